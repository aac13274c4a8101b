/* Elements of a part of a tensor among those of the whole. */
#ifndef LLMRUN_TEST_LOCKSTEP_PART_H
#define LLMRUN_TEST_LOCKSTEP_PART_H

#include "program/program.h"

/* The place in the whole, of the shape `full`, of the part's element number `element`. Of a dimension whose inner
 * factor is split, rows are `sequences` runs. */
int64_t part_element(const struct value *value, int64_t element, int64_t sequences);

/* The same in what the ranks of one axis have together. *whole_elements is told too. */
int64_t part_element_over(const struct value *value, enum mesh_axis axis, int64_t element, int64_t sequences,
                          int64_t *whole_elements);

#endif
