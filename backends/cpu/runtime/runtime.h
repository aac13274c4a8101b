/* The objects behind the contract's tables, private to this folder. */
#ifndef LLMRUN_CPU_RUNTIME_H
#define LLMRUN_CPU_RUNTIME_H

#include <llmrun/plugin.h>
#include <pthread.h>
#include <stdatomic.h>

#include "runtime/isa.h"
#include "runtime/kernel.h"

struct llmrun_device {
    const struct kernel_set *set;
    struct pool *pool;
    enum cpu_isa isa;
    int64_t memory_bytes; /* what may be allocated in all */
    _Atomic int64_t used_bytes;
    pthread_mutex_t pool_lock; /* held by the stream whose kernel runs */
    pthread_mutex_t streams_lock;
    struct llmrun_stream *streams; /* open ones */
    pthread_mutex_t failure_lock;
    struct llmrun_error failure; /* the first of all streams */
};

struct llmrun_kernel {
    const struct kernel *implementation;
    struct llmrun_op op;    /* complete (llmrun_op_complete); its attributes and operands lie behind this object */
    uint32_t address_count; /* that a launch gives: the operands of the version that was asked for */
    int64_t workspace_bytes;
};

extern const struct llmrun_device_table runtime_device_table;
extern const struct llmrun_kernel_table runtime_kernel_table;

/* The set of kernels that this plugin has: the contract's tables have no argument for it. Set once, by
 * cpu_runtime_backend. */
void runtime_use_kernels(const struct kernel_set *set);
const struct kernel_set *runtime_kernel_set(void);

/* device.c. *isa is the machine's best before, and what `value` (auto, plain, avx2, avx512) says after; one beyond the
 * best is LLMRUN_ERROR_ARGUMENT. */
int32_t device_parse_isa(const char *value, enum cpu_isa *isa, struct llmrun_error *error);

/* memory.c */
int32_t memory_alloc(struct llmrun_device *device, uint32_t kind, int64_t bytes, uint64_t *address,
                     struct llmrun_error *error);
void memory_free(struct llmrun_device *device, uint64_t address);
int32_t memory_host_alloc(struct llmrun_device *device, int64_t bytes, void **memory, struct llmrun_error *error);
void memory_host_free(struct llmrun_device *device, void *memory);

/* stream.c */
int32_t stream_create(struct llmrun_device *device, uint32_t kind, struct llmrun_stream **stream,
                      struct llmrun_error *error);
void stream_destroy(struct llmrun_stream *stream);
int32_t stream_copy(struct llmrun_stream *stream, const struct llmrun_copy *copy, struct llmrun_error *error);
int32_t stream_fill(struct llmrun_stream *stream, uint64_t address, uint32_t pattern, int64_t bytes,
                    struct llmrun_error *error);
int32_t stream_record(struct llmrun_stream *stream, struct llmrun_event *event, struct llmrun_error *error);
int32_t stream_wait(struct llmrun_stream *stream, struct llmrun_event *event, struct llmrun_error *error);
int32_t stream_export(struct llmrun_stream *stream, uint64_t address, struct llmrun_native *native,
                      struct llmrun_error *error);
int32_t stream_launch(struct llmrun_stream *stream, struct llmrun_kernel *kernel, const uint64_t *addresses,
                      uint32_t address_count, uint64_t workspace, struct llmrun_error *error);
/* Waits until all that was enqueued on any stream before the call has ended. Any thread. */
void stream_drain_all(struct llmrun_device *device);

/* event.c */
int32_t event_create(struct llmrun_device *device, struct llmrun_event **event, struct llmrun_error *error);
void event_destroy(struct llmrun_event *event);
int32_t event_query(struct llmrun_event *event, uint32_t *state, struct llmrun_error *error);
int32_t event_wait(struct llmrun_event *event, int64_t timeout_ns, struct llmrun_error *error);
int32_t event_elapsed(struct llmrun_event *start, struct llmrun_event *end, int64_t *ns, struct llmrun_error *error);
/* device.c's table: arms and completes an event. */
int32_t event_signal(struct llmrun_event *event, uint32_t state, struct llmrun_error *error);
/* A record or a wait is about to be enqueued: the point it is about. The event lives until event_leave. */
uint64_t event_enter_record(struct llmrun_event *event);
uint64_t event_enter_wait(struct llmrun_event *event);
/* On the stream's thread: the point is reached, in the state `failure` (code LLMRUN_OK: none). Points of one event are
 * reached in the order of their numbers; an earlier one on another stream is waited for. */
void event_reach(struct llmrun_event *event, uint64_t point, const struct llmrun_error *failure);
/* On a stream's thread: waits until the point is reached and takes over its failure into *failure if that has none. */
void event_pass(struct llmrun_event *event, uint64_t point, struct llmrun_error *failure);

#endif
