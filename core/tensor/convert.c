#include "tensor/convert.h"

#include <math.h>
#include <string.h>

#include "tensor/dtype.h"

static uint32_t float_bits(float value)
{
    uint32_t bits;

    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static float float_from_bits(uint32_t bits)
{
    float value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

/* The codes of a format that rounding and decoding meet, without the sign. */
static uint32_t exponent_ones(const struct dtype_facts *f)
{
    return ((1u << f->exponent_bits) - 1) << f->mantissa_bits;
}

static uint32_t largest_code(const struct dtype_facts *f)
{
    uint32_t all_ones = exponent_ones(f) | ((1u << f->mantissa_bits) - 1);

    return f->special == DTYPE_IEEE ? exponent_ones(f) - 1 : f->special == DTYPE_FN ? all_ones - 1 : all_ones;
}

static uint32_t sign_code(const struct dtype_facts *f)
{
    return 1u << (f->exponent_bits + f->mantissa_bits);
}

static uint32_t encode_nan(const struct dtype_facts *f, uint32_t sign, uint32_t bits)
{
    uint32_t payload = (bits & 0x7fffff) >> (23 - f->mantissa_bits);

    if (f->special == DTYPE_FNUZ)
        return sign_code(f);
    if (f->special == DTYPE_FN)
        return sign | (largest_code(f) + 1);
    return sign | exponent_ones(f) | payload | 1u << (f->mantissa_bits - 1);
}

static uint32_t encode_overflow(const struct dtype_facts *f, uint32_t sign, enum convert_range range)
{
    if (range == CONVERT_SATURATE)
        return sign | largest_code(f);
    return f->special == DTYPE_IEEE ? sign | exponent_ones(f) : encode_nan(f, sign, 0);
}

static uint32_t encode(const struct dtype_facts *f, float value, enum convert_range range)
{
    uint32_t bits = float_bits(value), magnitude = bits & 0x7fffffff;
    uint32_t sign = bits >> 31 != 0 ? sign_code(f) : 0;
    /* |value| = significand x 2^(exponent - 23) */
    int32_t exponent = (int32_t)(magnitude >> 23 > 0 ? magnitude >> 23 : 1) - 127;
    uint32_t significand = (magnitude & 0x7fffff) | (magnitude >> 23 > 0 ? 1u << 23 : 0);
    /* Numbers below the target's normal range share its smallest exponent. */
    int32_t target = exponent > 1 - f->bias ? exponent : 1 - f->bias;
    int32_t shift = target - exponent + 23 - f->mantissa_bits;
    uint32_t rounded, code;

    if (magnitude > 0x7f800000)
        return encode_nan(f, sign, bits);
    if (magnitude == 0x7f800000)
        return encode_overflow(f, sign, range);
    shift = shift < 25 ? shift : 25; /* significand < 2^24: from 25 on everything rounds to 0 */
    rounded = (significand + (1u << (shift - 1)) - 1 + (significand >> shift & 1)) >> shift;
    /* The implicit one of `rounded` adds 1 to the exponent field, and a carry out of the mantissa another. */
    code = ((uint32_t)(target + f->bias - 1) << f->mantissa_bits) + rounded;
    if (code > largest_code(f))
        return encode_overflow(f, sign, range);
    return code == 0 && f->special == DTYPE_FNUZ ? 0 : sign | code;
}

static float decode(const struct dtype_facts *f, uint32_t code)
{
    uint32_t sign = (code & sign_code(f)) != 0 ? 1u << 31 : 0;
    uint32_t magnitude = code & (sign_code(f) - 1);
    uint32_t mantissa = magnitude & ((1u << f->mantissa_bits) - 1);
    int32_t exponent = (int32_t)(magnitude >> f->mantissa_bits);
    float value;

    if (f->special == DTYPE_FNUZ && magnitude == 0)
        return sign != 0 ? float_from_bits(0xffc00000) : 0.0f;
    if (f->special == DTYPE_IEEE && magnitude >= exponent_ones(f))
        return float_from_bits(sign | 0x7f800000 | mantissa << (23 - f->mantissa_bits));
    if (f->special == DTYPE_FN && magnitude > largest_code(f))
        return float_from_bits(sign | 0x7fc00000);
    if (exponent > 0)
        mantissa |= 1u << f->mantissa_bits;
    value = ldexpf((float)mantissa, (exponent > 0 ? exponent : 1) - f->bias - f->mantissa_bits);
    return sign != 0 ? -value : value;
}

uint32_t convert_encode(uint32_t dtype, float value, enum convert_range range)
{
    return encode(dtype_facts(dtype), value, range);
}

float convert_decode(uint32_t dtype, uint32_t code)
{
    return decode(dtype_facts(dtype), code);
}

bool convert_from_f32(uint32_t dtype, const float *source, void *target, int64_t count, enum convert_range range)
{
    const struct dtype_facts *f = dtype_facts(dtype);
    uint8_t *out = target;

    if (f->kind != DTYPE_FLOAT)
        return false;
    if (dtype == LLMRUN_F32) {
        memcpy(target, source, (size_t)count * sizeof *source);
        return true;
    }
    for (int64_t i = 0; i < count; i++, out += f->bytes) {
        if (f->bytes == 8) {
            double wide = source[i];

            memcpy(out, &wide, sizeof wide);
        } else if (f->bytes == 2) {
            uint16_t code = (uint16_t)encode(f, source[i], range);

            memcpy(out, &code, sizeof code);
        } else {
            *out = (uint8_t)encode(f, source[i], range);
        }
    }
    return true;
}

static void widen_bf16(const uint8_t *in, float *target, int64_t count)
{
    for (int64_t i = 0; i < count; i++, in += 2)
        target[i] = float_from_bits((uint32_t)in[1] << 24 | (uint32_t)in[0] << 16);
}

bool convert_to_f32(uint32_t dtype, const void *source, float *target, int64_t count)
{
    const struct dtype_facts *f = dtype_facts(dtype);
    const uint8_t *in = source;

    if (f->kind != DTYPE_FLOAT)
        return false;
    if (dtype == LLMRUN_F32) {
        memcpy(target, source, (size_t)count * sizeof *target);
        return true;
    }
    if (dtype == LLMRUN_BF16) {
        widen_bf16(in, target, count);
        return true;
    }
    for (int64_t i = 0; i < count; i++, in += f->bytes) {
        if (f->bytes == 8) {
            double wide;

            memcpy(&wide, in, sizeof wide);
            target[i] = (float)wide;
        } else {
            target[i] = decode(f, f->bytes == 2 ? (uint32_t)in[1] << 8 | in[0] : in[0]);
        }
    }
    return true;
}
