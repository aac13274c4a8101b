#include "greeting.h"

#include <string.h>

#define MAGIC UINT64_C(0x6c6c6d72756e2d31)

/* The token that rank `maker` made for `rank`. */
static const uint8_t *token(const struct meeting *meeting, int32_t maker, int32_t rank)
{
    return (const uint8_t *)meeting->told + maker * meeting->told_bytes + (int64_t)sizeof(struct whereabouts) +
           (int64_t)rank * TOKEN_BYTES;
}

struct greeting greeting_to(const struct meeting *meeting, int32_t rank)
{
    struct greeting greeting = {.magic = MAGIC, .from = meeting->desc->rank, .to = rank};

    memcpy(greeting.token, token(meeting, rank, greeting.from), TOKEN_BYTES);
    return greeting;
}

bool greeting_holds(const struct meeting *meeting, const struct greeting *greeting)
{
    const uint8_t *expected;
    unsigned different = 0;

    if (greeting->magic != MAGIC || greeting->to != meeting->desc->rank || greeting->from < 0 ||
        greeting->from >= meeting->desc->ranks || greeting->from == meeting->desc->rank)
        return false;
    expected = token(meeting, meeting->desc->rank, greeting->from);
    for (int i = 0; i < TOKEN_BYTES; i++)
        different |= (unsigned)(greeting->token[i] ^ expected[i]);
    return different == 0;
}
