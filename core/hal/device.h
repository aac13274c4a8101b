/* Opened devices and their memory. A buffer knows its device: what belongs to another one is refused here, before a
 * plugin sees an address that it would misread. */
#ifndef LLMRUN_HAL_DEVICE_H
#define LLMRUN_HAL_DEVICE_H

#include <pthread.h>
#include <stdatomic.h>

#include "hal/capability.h"
#include "hal/live_memory.h"
#include "hal/prepared.h"
#include "plugin/backend.h"

#define DEVICE_TIMEOUT_NS INT64_C(60000000000)

struct device {
    const struct backend *backend;
    struct llmrun_device *handle;
    int32_t index;
    struct llmrun_device_info info;
    struct capability_cache *capabilities;
    struct prepared_cache prepared;
    int64_t timeout_ns;   /* without progress, after which it counts as hung: DEVICE_TIMEOUT_NS until set */
    bool lost;            /* it hung or broke the contract: nothing of it is destroyed, since that may block */
    atomic_int abandoned; /* status of all waits until device_resume; STATUS_OK: they go on */
    pthread_mutex_t lock; /* of what follows */
    char abandon_reason[256];
    struct live_memory device_memory;
    struct live_memory host_memory;
};

/* Opens device `index` of the backend; the options are read during the call. May take long. */
int device_open(const struct backend *backend, int32_t index, const struct llmrun_option *options, int32_t option_count,
                struct device **device, struct error *error);
/* After all that was made from it. NULL is accepted. */
void device_close(struct device *device);
/* Blocks until all work of the device has ended; returns its first failure. */
int device_synchronize(struct device *device, struct error *error);

/* Any thread, while the device is open: waits for its events, those that have begun and those that come, end within a
 * quarter of a second with `status` (no STATUS_OK) and the sentence "... was abandoned: `reason`", until device_resume.
 * The first reason stays. What was enqueued goes on: its memory is in use until a later wait has found the end, or
 * the device is closed. Not for signal handlers. */
void device_abandon(struct device *device, int status, const char *reason);
void device_resume(struct device *device);

/* Bytes of device memory that are free now, -1 when the plugin does not know. */
int64_t device_free_bytes(const struct device *device);

/* Memory of a device. All zero: none. */
struct buffer {
    struct device *device;
    uint64_t address;
    int64_t bytes;
    uint32_t kind; /* LLMRUN_MEMORY_DEVICE ... */
};

/* `bytes` > 0. Out of memory is STATUS_MEMORY, with the bytes asked for and free in the sentence. */
int buffer_create(struct device *device, uint32_t kind, int64_t bytes, struct buffer *buffer, struct error *error);
void buffer_destroy(struct buffer *buffer);
/* The address of `bytes` bytes from `offset`, for work on `device`. STATUS_BUG when the buffer is another device's or
 * the range is not inside it. */
int buffer_address(const struct buffer *buffer, const struct device *device, int64_t offset, int64_t bytes,
                   uint64_t *address, struct error *error);

/* Host memory that a device copies from and to while the host goes on. All zero: none. */
struct host_buffer {
    struct device *device;
    void *memory;
    int64_t bytes;
};

int host_buffer_create(struct device *device, int64_t bytes, struct host_buffer *buffer, struct error *error);
void host_buffer_destroy(struct host_buffer *buffer);

/* A prepared op of the kernel table. Equal descriptions with equal max_workspace share the plugin's object, which goes
 * with the last of them. Any thread creates and destroys; all of one device are launched by one thread at a time. */
struct device_kernel {
    struct device *device;
    struct llmrun_kernel *handle;
    int64_t workspace_bytes; /* that a launch is to be given */
};

/* Asks first: STATUS_BACKEND with the plugin's reason when the device cannot do it, needs more than `max_workspace`
 * bytes or has no kernel table. */
int device_kernel_create(struct device *device, const struct llmrun_op *op, int64_t max_workspace,
                         struct device_kernel *kernel, struct error *error);
void device_kernel_destroy(struct device_kernel *kernel);
/* What it runs, for people, cut to `bytes`. */
void device_kernel_name(const struct device_kernel *kernel, char *text, size_t bytes);

/* A compiled list of ops of the program table. It stays until the device is closed, so that an equal description (its
 * name apart) is compiled once. Threads as for kernels. */
struct device_program {
    struct device *device;
    struct llmrun_program *handle;
    int64_t workspace_bytes;
};

int device_program_create(struct device *device, const struct llmrun_program_desc *desc, struct device_program *program,
                          struct error *error);
void device_program_destroy(struct device_program *program);

#endif
