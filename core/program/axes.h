/* Axes annotations of ops.def, bound to the shapes of one op: the shape rule of every op, and later the split rule. */
#ifndef LLMRUN_PROGRAM_AXES_H
#define LLMRUN_PROGRAM_AXES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "program/op_table.h"
#include "program/program.h"

/* One dimension of an annotation: "(b s)" is one axis whose name is "b s". */
struct axis {
    char name[12]; /* letters without marks; digits for a fixed extent; "..." for any further dimensions */
    bool summed;   /* '+' on it or on a factor */
    bool whole;    /* '^' */
};

#define AXES_MAX 16

/* Splits an annotation; returns the number of axes, at most LLMRUN_MAX_RANK. */
int axes_parse(const char *text, struct axis axes[LLMRUN_MAX_RANK]);

/* Extents by axis name, for one op. */
struct axes_binding {
    struct {
        char name[12];
        int64_t extent;
    } entries[AXES_MAX];
    int count;
};

/* Binds the axes of all operands that are there (ids, NO_VALUE for absent) and of the attributes: h = heads, g =
 * kv_heads, b = rows / sequence. STATUS_BUG names op, operand and the extents that disagree. */
int axes_bind(const struct program *program, const struct op_info *info, const int32_t *operands,
              const void *attributes, struct axes_binding *binding, struct error *error);

/* The shape of an operand by a binding. False when an axis is unknown or the annotation says "...". */
bool axes_shape(const struct axes_binding *binding, const char *axes, uint32_t *rank, int64_t shape[LLMRUN_MAX_RANK]);

#endif
