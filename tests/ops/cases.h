/* Forward passes for the finite differences: for each op with a backward rule, at least one with each of its forms. */
#ifndef LLMRUN_TEST_OPS_CASES_H
#define LLMRUN_TEST_OPS_CASES_H

#include "program/builder.h"

#define CASE_SEQUENCES  2
#define CASE_SEQUENCE   4
#define CASE_ROWS       (CASE_SEQUENCES * CASE_SEQUENCE)
#define CASE_COLUMNS    6
#define CASE_VOCABULARY 7 /* tokens; the head has one row more, of padding */

struct gradient_case {
    const char *name;
    uint16_t op;                               /* the op that it is for */
    int32_t (*build)(struct builder *builder); /* returns what goes into the loss, [CASE_ROWS, CASE_COLUMNS] */
    bool trains_head;                          /* the weight of the loss is trainable too */
    int without_influence;                     /* trainable parameters that the loss does not depend on */
};

extern const struct gradient_case gradient_cases[];
extern const int gradient_case_count;

/* Builds the forward section of a case, and a backward section of linear_cross_entropy. Losses are in "losses". */
void gradient_case_build(const struct gradient_case *from, struct program *program);

/* The contents of an input, of 4-byte elements. Fails the test for a name that no case has. */
void gradient_case_input(const char *name, void *data);

#endif
