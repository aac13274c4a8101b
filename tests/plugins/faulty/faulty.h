/* What the files of the faulty plugin share. faulty.c says what fails. */
#ifndef LLMRUN_FAULTY_H
#define LLMRUN_FAULTY_H

#include <stdbool.h>

#include "wrapped/wrapped.h"

enum fault {
    FAULT_OPEN,
    FAULT_ALLOC,
    FAULT_HOST_ALLOC,
    FAULT_STREAM,
    FAULT_EVENT_CREATE,
    FAULT_PREPARE,
    FAULT_LAUNCH,
    FAULT_EVENT,
    FAULT_HANG,
    FAULT_LIAR,
    FAULT_BEGIN,
    FAULT_END,
    FAULT_END_NULL,
    FAULT_REPLAY,
    FAULT_REPLAYED,
    FAULT_REPLAY_HANG,
    FAULT_KILL_FORWARD,
    FAULT_KILL_UPDATE,
    FAULT_STOP_FORWARD,
    FAULT_STOP_UPDATE,
    FAULTS
};

struct llmrun_device {
    struct llmrun_device *worker;
    int64_t at[FAULTS];             /* 0: never */
    int64_t count[FAULTS];          /* calls so far */
    struct llmrun_graph *recording; /* of the capture that is going on, NULL: none */
    int64_t capture;                /* its number */
};

struct llmrun_stream {
    struct llmrun_device *device;
    struct llmrun_stream *worker;
    int64_t capture; /* number of the latest that it was part of, 0: none */
};

struct llmrun_event {
    struct llmrun_device *device;
    struct llmrun_event *worker;
    int64_t failed; /* number of the record that fails, 0: none */
    int hangs;
    int64_t capture; /* that it was last recorded in, 0: none */
};

struct llmrun_kernel {
    struct llmrun_kernel *worker;
    uint32_t op;
    int y;            /* operand that the liar spoils, -1: none */
    uint32_t pattern; /* with these bits */
};

/* A call that enqueues work. */
struct work {
    enum { WORK_COPY, WORK_FILL, WORK_LAUNCH } kind;
    uint32_t count;
    uint32_t pattern;
    struct llmrun_kernel *kernel;
    struct llmrun_copy copy;
    uint64_t addresses[LLMRUN_MAX_OPERANDS]; /* of a launch; a fill's is the first */
    uint64_t workspace;
    int64_t bytes; /* of a fill */
};

/* faulty.c */

/* Counts one call. True when it is the one that fails. */
bool faulty_strikes(struct llmrun_device *device, enum fault fault);
/* Enqueues it, or records it where the stream is part of a capture. */
int32_t faulty_run(struct llmrun_stream *stream, const struct work *work, struct llmrun_error *error);

/* capture.c: captured work, recorded in the order of the calls and replayed in it on one stream. */

bool capture_records(const struct llmrun_stream *stream);
int32_t capture_add(struct llmrun_stream *stream, const struct work *work, struct llmrun_error *error);

extern const struct llmrun_capture_table faulty_capture_table;

#endif
