/* A device that behaves like an accelerator on top of the CPU backend: its memory cannot be touched by the host, its
 * streams run late and in random order. What it is for stands in docs/testing.md.
 *
 * Addresses lie in ranges that nobody may read or write; the data lies elsewhere, and is garbage until something is
 * written. Enqueued work waits until a wait, a query, a synchronize or a destroy makes it go on. Then the streams take
 * turns in an order drawn from the seed, kept only by the events. */
#ifndef LLMRUN_FAKEGPU_H
#define LLMRUN_FAKEGPU_H

#include <pthread.h>
#include <stdbool.h>

#include "wrapped/wrapped.h"

/* ---- memory.c: where device addresses lead ---- */

struct allocation {
    struct allocation *next;
    uint64_t address; /* the start of a range without access rights */
    uint64_t data;    /* where the bytes are; 0 once freed, while the range stays taken */
    int64_t bytes;
    int64_t reserved;
};

/* Memory of host_alloc. */
struct host_allocation {
    struct host_allocation *next;
    char *memory;
    int64_t bytes;
};

/* ---- queue.c: streams, events, and who goes next ---- */

/* One record of an event. Waits hold on to it, so recording the event again changes nothing for them. */
struct point {
    int references;
    bool reached;
    bool armed; /* the host reaches it */
    int64_t time_ns;
    struct llmrun_error failure;
    bool captured;           /* recorded in a capture: a place in it and nothing to wait for */
    struct capture *capture; /* which; NULL once it is over */
    int64_t at;              /* index of its record there */
    struct point *replayed;  /* its point in the latest replay of the graph */
};

enum command_kind { COMMAND_COPY, COMMAND_FILL, COMMAND_LAUNCH, COMMAND_RECORD, COMMAND_WAIT };

struct command {
    struct command *next;
    enum command_kind kind;
    struct llmrun_copy copy;
    struct llmrun_kernel *kernel;
    uint64_t addresses[LLMRUN_MAX_OPERANDS]; /* of a launch; a fill's is the first */
    uint64_t workspace;
    int64_t bytes; /* of a fill */
    uint32_t count;
    uint32_t pattern;
    struct point *point;
};

struct llmrun_stream {
    struct llmrun_stream *next;
    struct llmrun_device *device;
    struct llmrun_stream *worker; /* stream of `inner`: work runs there, and is waited for */
    struct llmrun_event *done;    /* event of `inner` */
    struct command *first;
    struct command *last;
    uint64_t priority;
    struct llmrun_error failure; /* the first; work after it is skipped */
    struct capture *capture;     /* that records its work, NULL: none */
    int32_t branch;              /* its number there */
    int64_t tail;                /* its last command there, -1: none */
};

struct llmrun_device {
    pthread_mutex_t lock; /* held in every call */
    struct llmrun_device *worker;
    int32_t index;
    uint64_t random;
    struct allocation *allocations;
    struct host_allocation *host_allocations;
    struct llmrun_stream *streams;
    struct capture *captures; /* those that record */
    struct command *spare;
    int64_t pending;
    int64_t armed;            /* points that the host reaches */
    pthread_cond_t signalled; /* it has reached one */
    struct llmrun_error failure;
};

struct llmrun_event {
    struct llmrun_device *device;
    struct point *point; /* NULL until recorded */
};

struct llmrun_kernel {
    struct llmrun_device *device;
    struct llmrun_kernel *worker;
    int64_t workspace_bytes;
    int64_t pending;  /* launches that wait */
    int64_t recorded; /* launches in captures and graphs */
    bool destroyed;   /* by the host, while graphs name it */
    uint32_t count;
    int64_t bytes[LLMRUN_MAX_OPERANDS]; /* that each operand spans; -1 where absent */
    int64_t alignment[LLMRUN_MAX_OPERANDS];
};

/* All with the device's lock held. */
struct allocation *gpu_memory_find(const struct llmrun_device *device, uint64_t address);
int32_t gpu_memory_translate(const struct llmrun_device *device, uint64_t address, int64_t bytes, uint64_t *data,
                             struct llmrun_error *error);
bool gpu_memory_is_host(const struct llmrun_device *device, uint64_t address, int64_t bytes);
/* Fails where the stream is part of a capture that is void. */
int32_t queue_command(struct llmrun_stream *stream, enum command_kind kind, struct command **command,
                      struct llmrun_error *error);
/* Enqueues it, or records it where the stream is part of a capture. */
void queue_append(struct llmrun_stream *stream, struct command *command);
void queue_release(struct point *point);
/* One command of one stream that may go on. False when none may. */
bool queue_step(struct llmrun_device *device);
/* Likewise; where none may, waits until the host has signalled an event. False when none may and no event is armed, or
 * at `deadline_ns` of the monotonic clock, < 0: never. */
bool queue_advance(struct llmrun_device *device, int64_t deadline_ns);
/* The work of a command, at last. */
int32_t work_execute(struct llmrun_stream *stream, const struct command *command, struct llmrun_error *error);
/* A recorded launch is no more. */
void work_forget(struct llmrun_kernel *kernel);

/* ---- capture.c; with the device's lock held ---- */

/* The failure of the capture that the stream is part of. */
int32_t capture_check(const struct llmrun_stream *stream, struct llmrun_error *error);
void capture_spoil(struct capture *capture, int32_t code, const char *why);
/* Fails, and all captures of the device with it, where one is going on: nothing may do this in the midst of one. */
int32_t capture_refuse(struct llmrun_device *device, const char *call, struct llmrun_error *error);
/* Fails where the point was recorded in a capture, and that capture with it. */
int32_t capture_refuse_event(const struct point *point, const char *call, struct llmrun_error *error);
/* Before a wait for the point (NULL: of an event that was never recorded): takes the stream into the point's capture.
 * Fails where that cannot be waited for from here. */
int32_t capture_join(struct llmrun_stream *stream, const struct point *point, struct llmrun_error *error);
void capture_append(struct llmrun_stream *stream, struct command *command);
void capture_forget_stream(struct llmrun_stream *stream);

/* FAKEGPU_LARGEST of the environment: bytes of one memory_alloc at most, 0: no limit. */
int64_t gpu_largest_allocation(void);
/* FAKEGPU_NO_F64: the device has no fp64. */
int gpu_has_f64(void);

/* Entries of the tables. */
int32_t gpu_memory_alloc(struct llmrun_device *device, uint32_t kind, int64_t bytes, uint64_t *address,
                         struct llmrun_error *error);
void gpu_memory_free(struct llmrun_device *device, uint64_t address);
int32_t gpu_memory_host_alloc(struct llmrun_device *device, int64_t bytes, void **memory, struct llmrun_error *error);
void gpu_memory_host_free(struct llmrun_device *device, void *memory);
void gpu_memory_close(struct llmrun_device *device);
int32_t queue_stream_create(struct llmrun_device *device, uint32_t kind, struct llmrun_stream **stream,
                            struct llmrun_error *error);
void queue_stream_destroy(struct llmrun_stream *stream);
int32_t queue_event_create(struct llmrun_device *device, struct llmrun_event **event, struct llmrun_error *error);
void queue_event_destroy(struct llmrun_event *event);
int32_t queue_record(struct llmrun_stream *stream, struct llmrun_event *event, struct llmrun_error *error);
int32_t queue_wait(struct llmrun_stream *stream, struct llmrun_event *event, struct llmrun_error *error);
int32_t queue_event_query(struct llmrun_event *event, uint32_t *state, struct llmrun_error *error);
int32_t queue_event_wait(struct llmrun_event *event, int64_t timeout_ns, struct llmrun_error *error);
int32_t queue_event_elapsed(struct llmrun_event *start, struct llmrun_event *end, int64_t *ns,
                            struct llmrun_error *error);
int32_t queue_event_signal(struct llmrun_event *event, uint32_t state, struct llmrun_error *error);
int32_t queue_export_native(struct llmrun_stream *stream, uint64_t address, struct llmrun_native *native,
                            struct llmrun_error *error);
int32_t queue_synchronize(struct llmrun_device *device, struct llmrun_error *error);
void queue_close(struct llmrun_device *device);
int32_t work_copy(struct llmrun_stream *stream, const struct llmrun_copy *copy, struct llmrun_error *error);
int32_t work_fill(struct llmrun_stream *stream, uint64_t address, uint32_t pattern, int64_t bytes,
                  struct llmrun_error *error);

extern const struct llmrun_kernel_table fakegpu_kernel_table;
extern const struct llmrun_capture_table fakegpu_capture_table;

#endif
