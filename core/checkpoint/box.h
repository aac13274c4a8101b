/* Boxes of a tensor: along each dimension a run of indices. What a rank has of a logical tensor is one, and what a file
 * has of it. The elements of a box lie row-major, one after the other. */
#ifndef LLMRUN_CHECKPOINT_BOX_H
#define LLMRUN_CHECKPOINT_BOX_H

#include <stdbool.h>
#include <stdint.h>

#include "tensor/shape.h"

/* Entries past the rank are 0, so that equal boxes are equal bytes. */
struct box {
    int64_t first[LLMRUN_MAX_RANK], extent[LLMRUN_MAX_RANK];
};

struct box box_whole(const struct shape *shape);
struct shape box_shape(const struct box *box, int32_t rank);
bool box_equal(const struct box *a, const struct box *b);

/* Of a box that is within a shape whose elements can be counted. */
int64_t box_elements(const struct box *box, int32_t rank);

/* Takes numbers from outside. */
bool box_is_within(const struct box *box, const struct shape *shape);

/* What two boxes of one tensor have in common; false where that is no element. */
bool box_intersect(const struct box *a, const struct box *b, int32_t rank, struct box *common);

#define BOX_TEXT_BYTES 224 /* holds the text of any box */

/* "[0:4, 8:16]": the first index along each dimension, and the one behind the last. Returns `text`. */
const char *box_print(const struct box *box, int32_t rank, char text[BOX_TEXT_BYTES]);

/* The elements of a box that two larger ones contain, as runs that are contiguous in both of these, ascending in both.
 * Plain data: a copy walks on by itself.
 *
 *     box_walk_begin(&walk, rank, &common, &from, &to);
 *     while (box_walk_next(&walk))
 *         memcpy(to_data + walk.to, from_data + walk.from, walk.elements);
 */
struct box_walk {
    int64_t from, to, elements; /* the run: its first element in each box, and how many there are */
    int64_t runs;               /* that are left */
    int64_t run_elements;       /* of each of them */
    int32_t outer;              /* dimensions that a run does not span */
    int64_t index[LLMRUN_MAX_RANK], extent[LLMRUN_MAX_RANK];
    int64_t from_step[LLMRUN_MAX_RANK], to_step[LLMRUN_MAX_RANK]; /* elements to the next index */
    int64_t from_start, to_start;
};

void box_walk_begin(struct box_walk *walk, int32_t rank, const struct box *common, const struct box *from,
                    const struct box *to);
bool box_walk_next(struct box_walk *walk);

#endif
