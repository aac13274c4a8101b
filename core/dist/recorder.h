/* Flight recorder of a rank: its last collective operations, so that after a failure it can be told which rank did
 * something else than the others. Posting costs a lock that nobody else holds, and no memory.
 *
 * Any thread. */
#ifndef LLMRUN_DIST_RECORDER_H
#define LLMRUN_DIST_RECORDER_H

#include <stdint.h>

#include "base/clock.h"
#include "base/file.h"
#include "dist/wire.h"

#define RECORDER_ENTRIES    256
#define RECORDER_GROUPS     32
#define RECORDER_OP_BYTES   24
#define RECORDER_NAME_BYTES 16

struct recorder;

int recorder_create(const struct clock *clock, struct recorder **recorder, struct error *error);
void recorder_destroy(struct recorder *recorder); /* accepts NULL */

/* A group of ranks whose operations are numbered from 1 on, alike in each of its ranks: `name` ("dp") and `ranks`
 * (ascending, [count], copied) tell it from others. Its number for recorder_post; -1 where there are too many or no
 * memory, which recorder_post accepts and records without a group. */
int32_t recorder_group(struct recorder *recorder, const char *name, const int32_t *ranks, int32_t count);

enum record_state {
    RECORD_POSTED,
    RECORD_DONE,
    RECORD_FAILED,
    RECORD_LATE /* it did not end in its time, and was given up */
};

/* An operation that all ranks of the group call in the same order: `op` ("all_reduce", cut to 23 bytes), the bytes that
 * this rank sends, the step. Gives what recorder_end takes. */
int64_t recorder_post(struct recorder *recorder, int32_t group, const char *op, int64_t bytes, int64_t step);
/* The same for a send or receive, which concerns two ranks only and is not numbered alike. */
int64_t recorder_post_pair(struct recorder *recorder, int32_t group, const char *op, int32_t peer, int64_t bytes,
                           int64_t step);
void recorder_end(struct recorder *recorder, int64_t posted, enum record_state state);

/* How many have been posted. */
int64_t recorder_count(struct recorder *recorder);

/* The recorder as text, oldest first: RUN_DIR/logs/rank_N.collectives.txt. Makes missing folders. */
int recorder_write(struct recorder *recorder, const struct file_system *fs, const char *path, struct error *error);

/* Of each group how many operations there were and the last RECORD_TAIL of them, for records_compare. */
#define RECORD_TAIL 32
void recorder_encode(struct recorder *recorder, struct wire *wire);

#endif
