/* Operations from their posting to their end. */
#ifndef LLMRUN_HOST_REQUEST_H
#define LLMRUN_HOST_REQUEST_H

#include "communicator.h"
#include "engine.h"

/* Post an operation whose description has been checked. `bytes`: of each rank's part. */
int32_t request_post_transfer(struct engine *engine, struct llmrun_communicator *communicator, enum operation operation,
                              const struct llmrun_transfer *transfer, struct llmrun_request **request,
                              struct llmrun_error *error);
int32_t request_post_reduction(struct engine *engine, struct llmrun_communicator *communicator,
                               enum operation operation, const struct llmrun_reduction *reduction, const int64_t *bytes,
                               struct llmrun_request **request, struct llmrun_error *error);

/* As in llmrun/collective.h. */
int32_t request_wait(struct engine *engine, struct llmrun_request *request, int64_t timeout_ns,
                     struct llmrun_error *error);
void request_cancel(struct engine *engine, struct llmrun_request *request);

/* Posts and waits. Who gives up has failed the communicator. */
int32_t request_call(struct engine *engine, struct llmrun_communicator *communicator, enum operation operation,
                     const struct llmrun_transfer *transfer, int64_t timeout_ns, struct llmrun_error *error);

#endif
