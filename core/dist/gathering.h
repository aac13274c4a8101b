/* The gathers that are under way at rank 0: each is complete when all ranks of its group have sent their part. All
 * operations of the control channel (exchange, broadcast, barrier ...) are gathers of parts, some of them empty.
 *
 * A gather belongs to a channel and a group; of the same both there is one at a time, for a rank waits for the result
 * of one before it begins the next. One thread. */
#ifndef LLMRUN_DIST_GATHERING_H
#define LLMRUN_DIST_GATHERING_H

#include "dist/connection.h"

enum gather_kind { GATHER_EXCHANGE, GATHER_TEXTS, GATHER_BROADCAST, GATHER_AGREE, GATHER_BARRIER, GATHER_KINDS };

#define GATHER_PART_MOST (INT64_C(64) << 20)

struct gather_part {
    bool here;
    uint64_t call;   /* the sender's number for it */
    uint8_t *memory; /* of the frame */
    const uint8_t *data;
    int64_t bytes;
};

struct gather {
    uint32_t channel, kind;
    int32_t *ranks; /* [count], ascending */
    int32_t count, arrived;
    int64_t began_ns;
    struct gather_part *parts; /* [count], as `ranks` */
};

struct gathering {
    int32_t world;
    bool *left; /* [world]: no more part comes from it */
    struct gather *items;
    int64_t count, capacity;
};

int gathering_init(struct gathering *gathering, int32_t world, struct error *error);
void gathering_finish(struct gathering *gathering); /* accepts a zeroed struct */

/* The data of the frame that asks for a gather; `ranks` of `count` 0 are all. `part` follows it in the frame. */
void gather_encode(struct wire *wire, uint64_t call, uint32_t kind, uint32_t channel, const int32_t *ranks,
                   int32_t count);

/* Takes the part that `rank` sent, and frame->data with it in any case. *complete is NULL, or the gather that has all
 * its parts: the caller ends it with gathering_drop. STATUS_PEER where ranks do not call the same, with who called
 * what; STATUS_MEMORY. */
int gathering_take(struct gathering *gathering, int32_t rank, struct frame *frame, int64_t now_ns,
                   struct gather **complete, struct error *error);
void gathering_drop(struct gathering *gathering, struct gather *gather);

/* `rank` has closed the channel. STATUS_PEER where others wait for it. */
int gathering_leave(struct gathering *gathering, int32_t rank, struct error *error);

/* STATUS_PEER where a gather has waited longer than `limit_ns`, naming who is missing. 0: no limit. */
int gathering_check_time(const struct gathering *gathering, int64_t now_ns, int64_t limit_ns, struct error *error);

#endif
