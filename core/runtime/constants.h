/* Values that the host writes once: the tables of rotary positions, and what passes made. */
#ifndef LLMRUN_RUNTIME_CONSTANTS_H
#define LLMRUN_RUNTIME_CONSTANTS_H

#include "model/model.h"
#include "runtime/executor.h"

/* Writes every constant of the compiled program, as `model` fills it. Blocking; nothing may be pending. */
int constants_write(struct executor *executor, const struct model_config *model, struct error *error);

#endif
