/* Checks that a program means something, after building and after every pass. */
#ifndef LLMRUN_PROGRAM_VERIFY_H
#define LLMRUN_PROGRAM_VERIFY_H

#include "program/program.h"

/* Every op is in the op table with its version; required operands are there; element types, ranks and extents follow
 * the op table; accumulate marks outputs only; an activation is written before it is read and written once
 * (accumulating writes may follow); inputs and parameters are not written where the op table says `in`; sources exist;
 * each op can take its operands as they are split over ranks (program/sharding.h).
 * STATUS_BUG quotes the op. */
int program_verify(const struct program *program, struct error *error);

#endif
