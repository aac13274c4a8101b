/* What a communicator has sent, for comparison with a plan. */
#ifndef LLMRUN_HOST_COUNT_H
#define LLMRUN_HOST_COUNT_H

#include "communicator.h"

/* Where the options ask for it, logs a line of JSON and appends it to a file: {"rank": 0, "ranks": 2,
 * "all_gather": {"calls": 3, "bytes": 96}, ...}, of the operations that were called. Bytes are those of data that this
 * rank has sent by the algorithms that were chosen; each line is written at once, so all ranks may name one file. */
void count_write(const struct llmrun_communicator *communicator, const struct llmrun_host *host);

#endif
