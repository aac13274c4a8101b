/* Content hashes: of the elements of a logical tensor, whatever layout they are stored in. Equal tensors have equal
 * hashes, and what ranks hash of their parts adds up to the hash of the whole.
 *
 *     content = sum over all elements of mix64(index, bits), modulo 2^64
 *
 * index counts the elements of the whole tensor row-major from 0; bits are those of the element as an unsigned number.
 * mix64(index, bits) is number `index` of SplitMix64 begun with `bits` (Steele, Lea, Flood: Fast splittable
 * pseudorandom number generators, OOPSLA 2014):
 *
 *     z = bits + (index + 1) * 0x9e3779b97f4a7c15
 *     z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9
 *     z = (z ^ (z >> 27)) * 0x94d049bb133111eb
 *     mix64 = z ^ (z >> 31)
 *
 * They tell tensors apart that differ by mistake, not by intent. */
#ifndef LLMRUN_CHECKPOINT_CONTENT_HASH_H
#define LLMRUN_CHECKPOINT_CONTENT_HASH_H

#include <stdbool.h>
#include <stdint.h>

#include "checkpoint/box.h"

static inline uint64_t content_mix64(uint64_t index, uint64_t bits)
{
    uint64_t z = bits + (index + 1) * UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* Of a box that comes in pieces of any number of bytes. */
struct content {
    uint64_t sum; /* of the elements so far; of all once all were added */
    struct box_walk walk;
    int64_t left; /* elements of the walk's run that did not come yet */
    int32_t element_bytes;
    int32_t pending;         /* bytes of an element that came in part */
    unsigned char bytes[16]; /* of it */
};

/* `dtype` is a type of 1, 2, 4 or 8 bytes; `box` lies within `shape`, that of the whole tensor. */
void content_begin(struct content *content, uint32_t dtype, const struct shape *shape, const struct box *box);

/* The next bytes of the box, row-major; no more than it has. */
void content_add(struct content *content, const void *data, int64_t bytes);

/* Of a box that lies in memory as a whole. */
uint64_t content_of_box(uint32_t dtype, const struct shape *shape, const struct box *box, const void *data);

#define CONTENT_TEXT_BYTES 23 /* with the NUL */

/* "mix64:0123456789abcdef". */
const char *content_print(uint64_t content, char text[CONTENT_TEXT_BYTES]);
bool content_parse(const char *text, uint64_t *content); /* exactly the printed form */

#endif
