/* All ranks of a job at a glance: a line a stage of the pipeline, and what its schedule leaves idle. */
#ifndef LLMRUN_CLI_PLAN_RANKS_H
#define LLMRUN_CLI_PLAN_RANKS_H

#include "compile/compile.h"

/* Compiles a request as the one of the rank at hand was. */
typedef int plan_compile(void *context, const struct compile_request *request, struct compiled *compiled,
                         struct error *error);

/* Prints nothing for one rank. A line is that of the rank that is first along tp and dp, whose parts of what is divided
 * unevenly are the largest, so none of its stage has a larger arena. Compiles once a stage. */
int plan_ranks_print(const struct compile_request *request, plan_compile *compile, void *context, struct error *error);

#endif
