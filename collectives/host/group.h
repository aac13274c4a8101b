/* Making communicators, and taking them down. */
#ifndef LLMRUN_HOST_GROUP_H
#define LLMRUN_HOST_GROUP_H

#include "communicator.h"
#include "engine.h"

/* As `create`, `split` and `destroy` of llmrun/collective.h, of a description that has been read and checked. Each
 * communicator holds a reference to the engine. */
int32_t group_create(const struct llmrun_communicator_desc *desc, const struct options *options,
                     struct llmrun_communicator **communicator, struct llmrun_error *error);
int32_t group_split(struct llmrun_communicator *communicator, int32_t color, int32_t key, int64_t timeout_ns,
                    struct llmrun_communicator **part, struct llmrun_error *error);
void group_destroy(struct llmrun_communicator *communicator);

#endif
