/* The records of collectives of several ranks, side by side. */
#ifndef LLMRUN_DIST_RECORDS_H
#define LLMRUN_DIST_RECORDS_H

#include "dist/wire.h"

/* What rank i recorded, as recorder_encode wrote it; data NULL: unknown. */
struct record_bytes {
    const uint8_t *data;
    int64_t bytes;
};

#define RECORDS_SENTENCE 512

enum records_answer {
    RECORDS_FIT,    /* all fits together */
    RECORDS_DIFFER, /* *culprit is a rank that did not do what most did */
    RECORDS_STUCK   /* all did the same and one operation does not end: no rank is at fault */
};

/* The first place where ranks of a group called different operations, or one of other size; else a group in which some
 * wait for an operation that others have not called. Ranks that are held up in one group call nothing in another and
 * are no culprits, unless there are no others. */
enum records_answer records_compare(const struct record_bytes *ranks, int32_t world, char sentence[RECORDS_SENTENCE],
                                    int32_t *culprit);

/* What others wait for from a rank that says nothing any more: "rank 0 called collective 6 of dp (all_reduce of 64
 * bytes, step 7) with it". False where they wait for nothing. */
bool records_tell_lost(const struct record_bytes *ranks, int32_t world, int32_t lost, char sentence[RECORDS_SENTENCE]);

#endif
