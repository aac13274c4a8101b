#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "tensor/convert.h"
#include "tensor/dtype.h"

static float from_bits(uint32_t bits)
{
    float value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

struct point {
    uint32_t dtype;
    float value;
    uint32_t overflow, saturate; /* codes */
};

/* Made with torch 2.15 (float8_e5m2, float8_e4m3fnuz, float8_e5m2fnuz, CONVERT_OVERFLOW) and with the tables of the OCP
 * 8-bit specification (e4m3fn; torch saturates there); IEEE e4m3 by hand. */
static const struct point points[] = {
    {LLMRUN_E4M3FN, 448, 0x7e, 0x7e},
    {LLMRUN_E4M3FN, 464, 0x7e, 0x7e},
    {LLMRUN_E4M3FN, 464.01f, 0x7f, 0x7e},
    {LLMRUN_E4M3FN, -INFINITY, 0xff, 0xfe},
    {LLMRUN_E4M3FN, -0.0f, 0x80, 0x80},
    {LLMRUN_E4M3FN, 0x1p-9f, 0x01, 0x01},
    {LLMRUN_E4M3FN, 0x1p-10f, 0x00, 0x00},
    {LLMRUN_E4M3FN, 0x1.01p-10f, 0x01, 0x01},
    {LLMRUN_E4M3FN, 0.3f, 0x2a, 0x2a},
    {LLMRUN_E4M3FN, -17.5f, 0xd9, 0xd9},
    {LLMRUN_E5M2, 57344, 0x7b, 0x7b},
    {LLMRUN_E5M2, 61439, 0x7b, 0x7b},
    {LLMRUN_E5M2, 61440, 0x7c, 0x7b},
    {LLMRUN_E5M2, INFINITY, 0x7c, 0x7b},
    {LLMRUN_E5M2, 0.3f, 0x35, 0x35},
    {LLMRUN_E5M2, -17.5f, 0xcc, 0xcc},
    {LLMRUN_E4M3FNUZ, 240, 0x7f, 0x7f},
    {LLMRUN_E4M3FNUZ, 247.9f, 0x7f, 0x7f},
    {LLMRUN_E4M3FNUZ, 248, 0x80, 0x7f},
    {LLMRUN_E4M3FNUZ, -0.0f, 0x00, 0x00},
    {LLMRUN_E4M3FNUZ, 0x1p-10f, 0x01, 0x01},
    {LLMRUN_E4M3FNUZ, 0.3f, 0x32, 0x32},
    {LLMRUN_E4M3FNUZ, -17.5f, 0xe1, 0xe1},
    {LLMRUN_E4M3FNUZ, NAN, 0x80, 0x80},
    {LLMRUN_E5M2FNUZ, 57344, 0x7f, 0x7f},
    {LLMRUN_E5M2FNUZ, 61440, 0x80, 0x7f},
    {LLMRUN_E5M2FNUZ, 0.3f, 0x39, 0x39},
    {LLMRUN_E5M2FNUZ, -17.5f, 0xd0, 0xd0},
    {LLMRUN_E4M3_IEEE, 240, 0x77, 0x77},
    {LLMRUN_E4M3_IEEE, 247.9f, 0x77, 0x77},
    {LLMRUN_E4M3_IEEE, -248, 0xf8, 0xf7},
    {LLMRUN_BF16, 1.00390625f, 0x3f80, 0x3f80}, /* 1 + 2^-8: a tie to the even 1 */
    {LLMRUN_BF16, 1.01171875f, 0x3f82, 0x3f82}, /* 1 + 3 x 2^-8: a tie upwards to the even one */
    {LLMRUN_BF16, 0x1.fffffep127f, 0x7f80, 0x7f7f},
    {LLMRUN_BF16, 0x1p-149f, 0x0000, 0x0000},
    {LLMRUN_BF16, 0x1p-133f, 0x0001, 0x0001},
    {LLMRUN_F16, 65519, 0x7bff, 0x7bff},
    {LLMRUN_F16, 65520, 0x7c00, 0x7bff},
    {LLMRUN_F16, 0x1p-24f, 0x0001, 0x0001},
    {LLMRUN_F16, 0x1p-25f, 0x0000, 0x0000},
};

static void known_values_have_known_codes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        const struct point *p = &points[i];

        assert_int_equal(convert_encode(p->dtype, p->value, CONVERT_OVERFLOW), p->overflow);
        assert_int_equal(convert_encode(p->dtype, p->value, CONVERT_SATURATE), p->saturate);
    }
}

static void every_code_of_every_format_survives_the_round_trip(void **state)
{
    (void)state;
    for (uint32_t dtype = 1; dtype < LLMRUN_DTYPES; dtype++) {
        const struct dtype_facts *facts = dtype_facts(dtype);
        uint32_t codes = facts->kind == DTYPE_FLOAT && facts->bytes <= 2 ? 1u << (8 * facts->bytes) : 0;

        for (uint32_t code = 0; code < codes; code++) {
            float value = convert_decode(dtype, code);

            if (isnan(value))
                assert_true(isnan(convert_decode(dtype, convert_encode(dtype, value, CONVERT_SATURATE))));
            else
                assert_int_equal(convert_encode(dtype, value, CONVERT_OVERFLOW), code);
        }
    }
}

static void a_value_between_two_codes_goes_to_the_nearest_and_a_tie_to_the_even_one(void **state)
{
    (void)state;
    for (uint32_t dtype = 1; dtype < LLMRUN_DTYPES; dtype++) {
        const struct dtype_facts *facts = dtype_facts(dtype);

        if (facts->kind != DTYPE_FLOAT || facts->bytes > 2)
            continue;
        for (uint32_t code = 0; convert_decode(dtype, code) < (float)facts->max; code++) {
            float low = convert_decode(dtype, code), high = convert_decode(dtype, code + 1);
            float middle = low + (high - low) / 2;

            assert_true(low < high);
            assert_int_equal(convert_encode(dtype, middle, CONVERT_OVERFLOW), code + (code & 1));
            assert_int_equal(convert_encode(dtype, nextafterf(middle, 0), CONVERT_OVERFLOW), code);
            assert_int_equal(convert_encode(dtype, nextafterf(middle, INFINITY), CONVERT_OVERFLOW), code + 1);
        }
    }
}

static void the_largest_code_is_the_formats_maximum(void **state)
{
    (void)state;
    for (uint32_t dtype = 1; dtype < LLMRUN_DTYPES; dtype++) {
        const struct dtype_facts *facts = dtype_facts(dtype);

        if (facts->kind == DTYPE_FLOAT && facts->bytes <= 2)
            assert_true(convert_decode(dtype, convert_encode(dtype, INFINITY, CONVERT_SATURATE)) == (float)facts->max);
    }
}

#ifdef __FLT16_MAX__
static void f16_agrees_with_the_compilers_half_type_seed_1(void **state)
{
    uint32_t bits = 1;

    (void)state;
    for (int i = 0; i < 1000000; i++) {
        _Float16 half;
        uint16_t wanted;
        float value;

        bits = bits * 1664525 + 1013904223;
        value = from_bits((bits & 0x8fffffff) | 0x30000000); /* exponents around the range of f16 */
        half = (_Float16)value;
        memcpy(&wanted, &half, sizeof wanted);
        assert_int_equal(convert_encode(LLMRUN_F16, value, CONVERT_OVERFLOW), wanted);
    }
}
#endif

static void a_nan_keeps_its_sign_and_payload_and_becomes_quiet(void **state)
{
    (void)state;
    assert_int_equal(convert_encode(LLMRUN_BF16, from_bits(0xff810000), CONVERT_SATURATE), 0xffc1);
    assert_int_equal(convert_encode(LLMRUN_F16, from_bits(0x7f802000), CONVERT_SATURATE), 0x7e01);
    assert_int_equal(convert_encode(LLMRUN_E4M3FN, from_bits(0xffc00000), CONVERT_SATURATE), 0xff);
    assert_int_equal(convert_encode(LLMRUN_E5M2, from_bits(0x7f800001), CONVERT_OVERFLOW), 0x7e);
}

static void arrays_convert_both_ways_from_unaligned_memory(void **state)
{
    const float source[3] = {1.5f, -2, 0x1p-9f};
    uint8_t memory[3 * 8 + 1];
    float back[3];

    (void)state;
    for (uint32_t dtype = 1; dtype < LLMRUN_DTYPES; dtype++) {
        if (dtype_facts(dtype)->kind != DTYPE_FLOAT)
            continue;
        assert_true(convert_from_f32(dtype, source, memory + 1, 3, CONVERT_OVERFLOW));
        assert_true(convert_to_f32(dtype, memory + 1, back, 3));
        assert_memory_equal(back, source, sizeof source);
    }
}

static void integer_types_are_refused(void **state)
{
    float value = 1;

    (void)state;
    assert_false(convert_from_f32(LLMRUN_I32, &value, &value, 1, CONVERT_SATURATE));
    assert_false(convert_to_f32(LLMRUN_U8, &value, &value, 1));
    assert_false(convert_to_f32(LLMRUN_NONE, &value, &value, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_values_have_known_codes),
        cmocka_unit_test(every_code_of_every_format_survives_the_round_trip),
        cmocka_unit_test(a_value_between_two_codes_goes_to_the_nearest_and_a_tie_to_the_even_one),
        cmocka_unit_test(the_largest_code_is_the_formats_maximum),
#ifdef __FLT16_MAX__
        cmocka_unit_test(f16_agrees_with_the_compilers_half_type_seed_1),
#endif
        cmocka_unit_test(a_nan_keeps_its_sign_and_payload_and_becomes_quiet),
        cmocka_unit_test(arrays_convert_both_ways_from_unaligned_memory),
        cmocka_unit_test(integer_types_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
