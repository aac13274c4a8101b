/* The project's own sources and documents, gathered at build time: what the demo trains on. */
#ifndef LLMRUN_CLI_BUILTIN_TEXT_H
#define LLMRUN_CLI_BUILTIN_TEXT_H

#include <stdint.h>

/* Documents with a byte 0 between them; lives as long as the process. */
const char *builtin_text(int64_t *bytes);

#endif
