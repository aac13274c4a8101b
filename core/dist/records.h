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

/* The first place where ranks of a group called different operations, or one of other size; else a group in which some
 * wait for an operation that others have not called. False where all fits together. *culprit is a rank that did not do
 * what most did. */
bool records_compare(const struct record_bytes *ranks, int32_t world, char sentence[RECORDS_SENTENCE],
                     int32_t *culprit);

#endif
