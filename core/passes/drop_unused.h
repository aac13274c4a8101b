/* Takes the values out of a program that no op uses and that no value that stays belongs to. */
#ifndef LLMRUN_PASSES_DROP_UNUSED_H
#define LLMRUN_PASSES_DROP_UNUSED_H

#include "program/program.h"

/* new_ids, which has value_count entries, gets the new number of each value, NO_VALUE for one that is gone. Without
 * memory the program stays as it is. */
int pass_drop_unused(struct program *program, int32_t *new_ids, struct error *error);

#endif
