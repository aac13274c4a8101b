/* Axes annotations of ops.def: which letter each factor of each dimension of an operand is. They are the shape rule of
 * every op (axes_bind) and its split rule (program/sharding.h). */
#ifndef LLMRUN_PROGRAM_AXES_H
#define LLMRUN_PROGRAM_AXES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "program/op_table.h"
#include "program/program.h"

/* Of the product that a dimension is: "(b s^)" has the factors b and s, outermost first. */
struct factor {
    char letter; /* '0' to '9' begins a fixed extent, '.' stands for any further dimensions */
    char tied;   /* the letter that it splits together with (`p~n` with n); itself without a mark */
    bool whole;  /* '^': it cannot be split */
    bool parts;  /* '/': one element a part of the letter, as many as the op's parts attribute says */
};

#define AXIS_MAX_FACTORS 3

struct axis {
    char name[12]; /* the letters with blanks and '/' but without other marks: "b s", "b/ s/", "4", "..." */
    struct factor factors[AXIS_MAX_FACTORS];
    int factor_count;
    bool optional; /* '?': a dimension in front that may be absent */
};

/* How an output loses a letter: behind the `|` of its annotation. */
struct removal {
    char letter; /* '.': the letters of the open operands */
    enum reduction reduction;
    bool same; /* "same": made without the letter, so that each rank has the same bits and nothing is to be reduced */
};

#define AXES_MAX_REMOVALS 3

struct annotation {
    struct axis axes[LLMRUN_MAX_RANK];
    int count;
    struct removal removals[AXES_MAX_REMOVALS];
    int removal_count;
};

void axes_parse(const char *text, struct annotation *annotation);

/* Those of all operands of an op, as they are there: a letter whose optional dimension is absent is gone from all. */
void axes_parse_op(const struct program *program, const struct op_info *info, const int32_t *operands,
                   struct annotation annotations[LLMRUN_MAX_OPERANDS]);

/* The last axis is "...". */
bool axes_are_open(const struct annotation *annotation);

/* A letter of a split: its character, that of the letter it is tied to, or, in an open operand, its place from
 * AXES_OPEN_LETTER on. 0 where the annotation has no letter there, or a fixed extent. */
#define AXES_OPEN_LETTER 256
int axes_letter(const struct annotation *annotation, int dimension, int factor);

/* Where the operand has the letter; of several places the first one. False where it has not. */
bool axes_find_letter(const struct annotation *annotation, int letter, int *dimension, int *factor);
bool axes_has_letter(const struct annotation *annotation, int letter);

/* The operand has the letter and needs it whole. */
bool axes_is_whole(const struct annotation *annotation, int letter);

/* How an output loses the letter; all 0 where it does not. */
struct removal axes_removal(const struct annotation *annotation, int letter);

#define AXES_MAX 32

/* Extents by axis name, for one op; parts of a letter as "b/". */
struct axes_binding {
    struct {
        char name[12];
        int64_t extent;
    } entries[AXES_MAX];
    int count;
};

/* Binds the axes of all operands that are there (ids, NO_VALUE for absent) and of the attributes, by their local
 * shapes. STATUS_BUG names op, operand and the extents that disagree. */
int axes_bind(const struct program *program, const struct op_info *info, const int32_t *operands,
              const void *attributes, struct axes_binding *binding, struct error *error);

/* Adds an extent where the name has none yet. */
void axes_binding_add(struct axes_binding *binding, const char *name, int64_t extent);

/* The shape of an operand by a binding. False when an axis is unknown or the annotation says "...". */
bool axes_shape(const struct axes_binding *binding, const char *axes, uint32_t *rank, int64_t shape[LLMRUN_MAX_RANK]);

/* The number that the attribute with role `role` ("parts k") has. False where the op has none. */
bool axes_attribute(const struct op_info *info, const void *attributes, const char *role, int64_t *number);

#endif
