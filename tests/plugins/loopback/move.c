#include <math.h>
#include <string.h>

#include "loopback.h"

/* The part of `rank`. `bytes` is NULL where all are equal. */
static struct llmrun_blocks part_of(const struct llmrun_blocks *side, const int64_t *bytes, int32_t rank)
{
    struct llmrun_blocks part = *side;

    for (int32_t i = 0; i < rank; i++)
        part.address += (uint64_t)(bytes != NULL ? bytes[i] : side->bytes);
    part.bytes = bytes != NULL ? bytes[rank] : side->bytes;
    return part;
}

static char *at(const struct llmrun_blocks *side, int64_t byte)
{
    return (char *)(uintptr_t)side->address + byte / side->bytes * side->pitch + byte % side->bytes;
}

/* Copies one string of bytes into another, however each is cut. */
static int32_t copy(const struct llmrun_blocks *to, const struct llmrun_blocks *from, struct llmrun_error *error)
{
    const int64_t bytes = from->blocks * from->bytes;

    if (to->blocks * to->bytes != bytes)
        return llmrun_fail(error, LLMRUN_ERROR_ARGUMENT, "a rank sends %lld bytes where another receives %lld",
                           (long long)bytes, (long long)(to->blocks * to->bytes));
    for (int64_t done = 0, run; done < bytes; done += run) {
        const int64_t left = from->bytes - done % from->bytes, room = to->bytes - done % to->bytes;

        run = left < room ? left : room;
        memmove(at(to, done), at(from, done), (size_t)run);
    }
    return LLMRUN_OK;
}

static int32_t move_bytes(const struct llmrun_request *from, const struct llmrun_request *to,
                          struct llmrun_error *error)
{
    const struct llmrun_transfer *sender = &from->transfer, *receiver = &to->transfer;
    struct llmrun_blocks source = sender->send, target = receiver->receive;

    if (from->kind == ALL_TO_ALL)
        source = part_of(&source, sender->send_bytes, to->rank);
    if (from->kind == ALL_TO_ALL || from->kind == ALL_GATHER)
        target = part_of(&target, receiver->receive_bytes, from->rank);
    return copy(&target, &source, error);
}

static float f16_decode(uint16_t bits)
{
    const int exponent = bits >> 10 & 31, fraction = bits & 1023;
    const float size = exponent == 0   ? ldexpf((float)fraction, -24)
                       : exponent < 31 ? ldexpf((float)(fraction + 1024), exponent - 25)
                       : fraction == 0 ? INFINITY
                                       : NAN;

    return (bits & 0x8000) != 0 ? -size : size;
}

/* Nearest, ties to even. */
static uint16_t f16_encode(float value)
{
    const unsigned sign = signbit(value) ? 0x8000 : 0;
    const float size = fabsf(value);
    int exponent;

    if (isnan(value))
        return 0x7e00;
    if (size >= 65520.0F)
        return (uint16_t)(sign | 0x7c00);
    frexpf(size, &exponent);
    if (size == 0.0F || exponent < -13)
        exponent = -13; /* subnormal: units of 2^-24 */
    return (uint16_t)(sign | ((unsigned)(exponent + 13) * 1024 + (unsigned)lrintf(ldexpf(size, 11 - exponent))));
}

static uint16_t bf16_encode(float value)
{
    uint32_t bits;

    memcpy(&bits, &value, sizeof bits);
    if (isnan(value))
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static int64_t width(uint32_t dtype)
{
    return dtype == LLMRUN_BF16 || dtype == LLMRUN_F16 ? 2 : 4;
}

static float load(uint32_t dtype, const void *from)
{
    uint16_t half;
    uint32_t word;
    float value;

    if (dtype == LLMRUN_F32) {
        memcpy(&value, from, sizeof value);
        return value;
    }
    memcpy(&half, from, sizeof half);
    if (dtype == LLMRUN_F16)
        return f16_decode(half);
    word = (uint32_t)half << 16;
    memcpy(&value, &word, sizeof value);
    return value;
}

static void store(uint32_t dtype, void *to, float value)
{
    const uint16_t half = dtype == LLMRUN_F16 ? f16_encode(value) : bf16_encode(value);

    memcpy(to, dtype == LLMRUN_F32 ? (const void *)&value : &half, (size_t)width(dtype));
}

/* Reduces element `index` of all ranks' send sides, in order of ranks, to `to`. */
static void reduce(struct llmrun_request *const *all, int32_t count, int64_t index, void *to)
{
    const struct llmrun_reduction *form = &all[0]->reduction;
    uint32_t word, words = 0;
    float sum = 0;

    for (int32_t i = 0; i < count; i++) {
        const char *from = (const char *)(uintptr_t)all[i]->reduction.send + index * width(form->dtype);

        if (form->dtype == LLMRUN_U32) {
            memcpy(&word, from, sizeof word);
            words = form->operation == LLMRUN_REDUCE_SUM ? words + word : word > words ? word : words;
        } else {
            const float value = load(form->dtype, from);

            sum = i == 0 ? value : form->operation == LLMRUN_REDUCE_SUM ? sum + value : fmaxf(sum, value);
        }
    }
    if (form->dtype == LLMRUN_U32)
        memcpy(to, &words, sizeof words);
    else
        store(form->dtype, to, sum);
}

static int32_t reduce_all(struct llmrun_request *const *all, int32_t count, struct llmrun_error *error)
{
    const struct llmrun_reduction *form = &all[0]->reduction;
    const int64_t bytes = width(form->dtype);

    for (int32_t i = 1; i < count; i++)
        if (all[i]->reduction.dtype != form->dtype || all[i]->reduction.operation != form->operation ||
            all[i]->reduction.count != form->count ||
            memcmp(all[i]->sizes[0], all[0]->sizes[0], sizeof all[0]->sizes[0]) != 0)
            return llmrun_fail(error, LLMRUN_ERROR_ARGUMENT, "rank %d reduces other elements than rank 0", i);
    if (all[0]->kind == ALL_REDUCE) {
        for (int64_t k = 0; k < form->count; k++) {
            char element[4];

            reduce(all, count, k, element);
            for (int32_t i = 0; i < count; i++)
                memcpy((char *)(uintptr_t)all[i]->reduction.receive + k * bytes, element, (size_t)bytes);
        }
        return LLMRUN_OK;
    }
    for (int64_t i = 0, first = 0; i < count; i++) {
        const int64_t own = form->counts != NULL ? form->counts[i] : form->count;

        for (int64_t k = 0; k < own; k++)
            reduce(all, count, first + k, (char *)(uintptr_t)all[i]->reduction.receive + k * bytes);
        first += own;
    }
    return LLMRUN_OK;
}

int32_t move(struct llmrun_request *const *all, int32_t count, struct llmrun_error *error)
{
    const enum kind kind = all[0]->kind;
    const int32_t root = all[0]->transfer.peer;
    int32_t code = LLMRUN_OK;

    if (kind == BARRIER)
        return LLMRUN_OK;
    if (kind == SPLIT)
        return divide(all, count, error);
    if (kind == SEND)
        return move_bytes(all[0], all[1], error);
    if (kind == ALL_REDUCE || kind == REDUCE_SCATTER)
        return reduce_all(all, count, error);
    for (int32_t from = 0; from < count; from++)
        for (int32_t to = 0; to < count && code == LLMRUN_OK; to++) {
            if (all[to]->transfer.peer != root)
                code = llmrun_fail(error, LLMRUN_ERROR_ARGUMENT, "rank %d has another root than rank 0", to);
            else if (kind != BROADCAST || (from == root && to != root))
                code = move_bytes(all[from], all[to], error);
        }
    return code;
}
