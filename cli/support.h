/* What each backend can do, op by op: docs/support.md and the table of README.md. */
#ifndef LLMRUN_CLI_SUPPORT_H
#define LLMRUN_CLI_SUPPORT_H

#include "plugin/registry.h"

/* Prints as Markdown what the backends of `names` (separated by commas, or "all") answer for each op of the table in
 * fp32 and bf16, under the numerics that they have by default. Runs their code in this process. STATUS_USAGE for a name
 * that is not there; a backend that cannot be used or has no device is an error too, but with "all" it is left out. */
int support_print(struct registry *registry, const char *names, struct error *error);

#endif
