/* Calls of a device's backend, counted, and one of them failing. One device at a time. */
#ifndef LLMRUN_TEST_RUNTIME_CALLS_H
#define LLMRUN_TEST_RUNTIME_CALLS_H

#include "hal/device.h"

enum call {
    CALL_COPY,
    CALL_FILL,
    CALL_EVENT_RECORD,
    CALL_STREAM_WAIT,
    CALL_LAUNCH,
    CALL_LAUNCH_PROGRAM,
    CALL_BEGIN, /* of a capture */
    CALL_END,
    CALL_REPLAY,
    CALL_MEMORY_ALLOC,
    CALL_HOST_ALLOC,
    CALL_STREAM_CREATE,
    CALL_EVENT_CREATE,
    CALL_PREPARE,
    CALL_BUILD,
    CALLS
};

struct calls {
    int64_t of[CALLS];
    int64_t all;
    int64_t failing; /* this one of all fails with LLMRUN_ERROR_DEVICE, "as ordered", and is not made; 0: none */
};
extern struct calls calls;

/* From here on the device's calls are counted, from 0. */
void calls_watch(struct device *device);
/* Before the device is closed. */
void calls_unwatch(struct device *device);

#endif
