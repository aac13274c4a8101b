/* The built-in text: this project's own documents and sources as they were when the program was built, so that training
 * works with no file at hand. A library of its own (llmrun_builtin_text), linked by the command only. */
#ifndef LLMRUN_DATA_BUILTIN_H
#define LLMRUN_DATA_BUILTIN_H

#include <stdint.h>

/* Documents in the order of their paths, with a byte 0 between them. Lives as long as the program. */
const char *builtin_text(int64_t *bytes);

#endif
