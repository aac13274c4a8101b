/* The frames of the control channel. Numbers are those of dist/wire.h. */
#ifndef LLMRUN_DIST_PROTOCOL_H
#define LLMRUN_DIST_PROTOCOL_H

/* Between a rank, which connects, and rank 0, which serves. */
enum frame_type {
    FRAME_WELCOME = 1, /* to the rank: it has its place */
    FRAME_REFUSE,      /* to the rank: status u32, sentence */
    FRAME_JOIN,        /* of the rank: host, process id u32 */
    FRAME_START,       /* to the rank, when all have joined: host, process id u32, of each rank */
    FRAME_GATHER,      /* of the rank: see gather_encode, then its part */
    FRAME_RESULT,      /* to the rank: call u64, count u32, sizes u64 [count], the parts one after the other */
    FRAME_BEAT,        /* both ways: step u64, what; to a rank those of rank 0 */
    FRAME_COLLECT,     /* to the rank: a report is wanted */
    FRAME_REPORT,      /* of the rank: see recorder_encode */
    FRAME_FAIL,        /* of the rank: status u32, sentence */
    FRAME_VERDICT,     /* to the rank: status u32, rank u32 (no rank: all ones), sentence */
    FRAME_BYE          /* both ways: the last one */
};

#define PROTOCOL_HOST_BYTES 65
#define PROTOCOL_WHAT_BYTES 96
#define PROTOCOL_NO_RANK    UINT32_MAX

#endif
