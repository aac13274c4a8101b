/* A step of all ranks as a picture (compile/picture.h). */
#ifndef LLMRUN_CLI_PLAN_PICTURE_H
#define LLMRUN_CLI_PLAN_PICTURE_H

#include "plan_ranks.h"

/* Writes it to the file `path`, which may be there already. Its rows: all ranks of a world of at most 8, else those of
 * the first dp replica, or of them, where they are more than 16, the first of each stage. Compiles once a row. */
int plan_picture_write(const struct compile_request *request, plan_compile *compile, void *context, const char *path,
                       struct error *error);

#endif
