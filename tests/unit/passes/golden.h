/* Programs in committed text files, read, rewritten by a pass, and compared with the committed result. */
#ifndef LLMRUN_TEST_PASSES_GOLDEN_H
#define LLMRUN_TEST_PASSES_GOLDEN_H

#include "base/text.h"
#include "program/program.h"

/* Parses golden/<name>.txt; fails the test when it is no program. */
void golden_read(const char *name, struct program *program);

/* Compares with golden/<name>.txt and fails at the first line that differs. With LLMRUN_UPDATE_GOLDEN set in the
 * environment the file is written instead: read the difference before committing it. Frees the text. */
void golden_compare(const char *name, struct text *text);

/* A program that verifies, as text. */
void golden_compare_program(const char *name, const struct program *program);

#endif
