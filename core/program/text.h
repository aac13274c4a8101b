/* The text form of a program: for people, golden tests, hashes and `llmrun plan --dump step`.
 *
 *   llmrun-program 1
 *   %0 = parameter f32[512,64] "wte" trainable decay
 *   %9 = gradient f32[512,64] "wte.grad" of %0
 *   %7 = activation f32[8,32] "h" full [8,64] tp split 1.0 0/2 dp partial + 0:4
 *   section forward 0
 *     matmul(%3, %0, _ -> %7, _) {activation: 0, leaves: 1} F layer 2
 *
 * One line a value, then the sections with one line an op. `_` is an absent operand, `+%7` an output that is added to.
 * A value that ranks share is `AXIS split DIMENSION.FACTOR INDEX/PARTS` or `AXIS partial REDUCTION FIRST:PARTS`. */
#ifndef LLMRUN_PROGRAM_TEXT_H
#define LLMRUN_PROGRAM_TEXT_H

#include "base/text.h"
#include "program/program.h"

void program_print(const struct program *program, struct text *text);

/* One op as in the text form, without the newline. */
void program_print_op(const struct program *program, const struct op *op, struct text *text);

/* Fills an empty program from its text form. STATUS_INPUT names the line and what was expected there. Printing the
 * result gives the same text. */
int program_parse(struct program *program, const char *text, struct error *error);

/* Of the text form; equal programs have equal hashes. 0 when there is no memory. */
uint64_t program_hash(const struct program *program);

/* "forward 0 layer 3", with " level 1" where there is one. */
void program_print_section(const struct section *section, struct text *text);

#endif
