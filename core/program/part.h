/* What of a logical tensor a rank has: between whole tensors, as files and the host have them, and the parts that the
 * splits of a value leave. */
#ifndef LLMRUN_PROGRAM_PART_H
#define LLMRUN_PROGRAM_PART_H

#include "base/status.h"
#include "program/program.h"

bool value_is_split(const struct value *value);

/* Elements of the whole value, and the bytes that they take. */
int64_t value_whole_bytes(const struct value *value);

/* Where this rank's part of a dimension begins; its extent is value->shape. STATUS_BUG for a split of an inner factor
 * of a dimension: its part is no run of elements, and no parameter, state or constant is split so. */
int value_part_begins(const struct value *value, int dimension, int64_t *first, struct error *error);

/* Copies this rank's part, value_bytes, out of the whole tensor. */
int value_take_part(const struct value *value, const void *whole, void *part, struct error *error);

#endif
