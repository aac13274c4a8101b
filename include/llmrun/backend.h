/* llmrun plugin contract: the backend. One device kind behind tables of functions; docs/backend-guide.md builds one
 * step by step, backends/null is the template.
 *
 * Objects and threads
 * - The creator destroys: what the host got from a create, open, alloc or prepare call it gives back to the same
 *   plugin, each child before its parent. Destroy functions accept NULL and block until the object is no longer in use.
 * - Device calls come from any thread. A stream, a prepared kernel, a program and a graph are used by one thread at a
 *   time. `event_query` may come from any thread at any time.
 * - Calls that enqueue work (copy, fill, launch, event_record, stream_wait, replay) do not wait for the device. The
 *   memory that enqueued work names stays valid until an event recorded after it has completed; descriptors are read
 *   during the call.
 *
 * - The host may try a plugin in a child process first: entry, count, info, open, memory, streams, events, synchronize,
 *   close. So a device that is closed can be opened again, by another process too.
 * - What a call gives beside LLMRUN_OK is checked: an object that is NULL, a number that its description excludes or
 *   memory that overlaps other memory in use is a failure of the plugin. A call that does not return in time ends the
 *   process.
 *
 * Memory
 * - An address is a number that only the plugin interprets; address + n with n below the allocation's size is an
 *   address in the same allocation. 0 is never an address. The host never reads or writes device memory itself.
 *
 * Failures of enqueued work appear in the next event recorded on that stream, and in every later one.
 *
 * Behind an entry stands, after "as", what does it in CUDA's driver API, in HIP and in Level Zero; "-" where there is
 * no such call. */
#ifndef LLMRUN_BACKEND_H
#define LLMRUN_BACKEND_H

#include <llmrun/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct llmrun_device;  /* opened device */
struct llmrun_stream;  /* queue of work, run in order */
struct llmrun_event;   /* a point in a stream */
struct llmrun_kernel;  /* a prepared op */
struct llmrun_program; /* a compiled list of ops */
struct llmrun_graph;   /* captured work, to be replayed */

/* Devices and memory. */

struct llmrun_device_info {
    uint32_t size;
    uint32_t streams;          /* that can make progress side by side, at least 1 */
    char name[128];            /* for people */
    char architecture[64];     /* e.g. "sm_90a", "x86-64-v4"; part of cache keys */
    char domain[16];           /* what its native handles belong to: "host", "cuda", "hip", "ze", "opencl", "synapse" */
    int64_t memory_bytes;      /* device memory, 0 when unknown */
    int64_t memory_free_bytes; /* now; 0 when unknown */
    int64_t alignment;         /* of every address that memory_alloc returns, in bytes, a power of two */
    double memory_bytes_per_s; /* peak rate, 0 when unknown */
    double flops_f32;          /* peak dense matrix rates, operations a second, 0 when unknown */
    double flops_bf16;
    double flops_fp8;
    uint64_t dtypes;                  /* bit (1 << LLMRUN_F32) ...: element types that at least one op takes */
    uint32_t exact;                   /* 1: ops with LLMRUN_OP_EXACT are carried out bit for bit as defined */
    uint32_t reserved;                /* 0 */
    int64_t largest_allocation_bytes; /* that one memory_alloc can give, 0: as large as the memory */
};
#define LLMRUN_DEVICE_INFO_MIN LLMRUN_THROUGH(struct llmrun_device_info, reserved)

#define LLMRUN_MEMORY_DEVICE 1 /* fast memory of the device */
#define LLMRUN_MEMORY_SHARED 2 /* one address for host and device; optional */

#define LLMRUN_COPY_HOST_TO_DEVICE   1
#define LLMRUN_COPY_DEVICE_TO_HOST   2
#define LLMRUN_COPY_DEVICE_TO_DEVICE 3

/* `rows` runs of `row_bytes` bytes. A host side is a host address cast to uint64_t, in memory of host_alloc for the
 * copy to be asynchronous; from other memory the call may wait. The two sides do not overlap. */
struct llmrun_copy {
    uint32_t size;
    uint32_t direction;
    uint64_t to;
    uint64_t from;
    int64_t rows;
    int64_t row_bytes;
    int64_t to_pitch; /* bytes from one row to the next */
    int64_t from_pitch;
};
#define LLMRUN_COPY_MIN LLMRUN_THROUGH(struct llmrun_copy, from_pitch)

#define LLMRUN_STREAM_COMPUTE       1
#define LLMRUN_STREAM_COPY          2
#define LLMRUN_STREAM_COMMUNICATION 3

#define LLMRUN_EVENT_NOT_READY 0
#define LLMRUN_EVENT_READY     1

/* A native view of device memory and a stream, for a plugin that must meet this one (a collective). */
struct llmrun_native {
    uint32_t size;
    uint32_t reserved;
    char domain[16];
    uint64_t stream;
    uint64_t buffer;
    int64_t offset;
    uint64_t device;
};
#define LLMRUN_NATIVE_MIN LLMRUN_THROUGH(struct llmrun_native, device)

struct llmrun_device_table {
    uint32_t size;
    uint32_t reserved;
    /* Number of devices; 0 is no error. As cuDeviceGetCount, hipGetDeviceCount, zeDeviceGet. */
    int32_t (*count)(int32_t *count, struct llmrun_error *error);
    /* Fills at most info->size bytes, which the caller sets. Does not open the device. As cuDeviceGetAttribute,
     * hipGetDeviceProperties, zeDeviceGetProperties. */
    int32_t (*info)(int32_t index, struct llmrun_device_info *info, struct llmrun_error *error);
    /* Unknown option keys are ignored; a known key with a bad value is LLMRUN_ERROR_ARGUMENT. As
     * cuDevicePrimaryCtxRetain, hipSetDevice, zeContextCreate. */
    int32_t (*open)(int32_t index, const struct llmrun_options *options, struct llmrun_device **device,
                    struct llmrun_error *error);
    /* As cuDevicePrimaryCtxRelease, -, zeContextDestroy. */
    void (*close)(struct llmrun_device *device);
    /* Waits until all work of the device has ended; returns the first failure. As cuCtxSynchronize,
     * hipDeviceSynchronize, zeCommandListHostSynchronize of each list. */
    int32_t (*synchronize)(struct llmrun_device *device, struct llmrun_error *error);

    /* Contents are undefined. May block. `bytes` > 0. As cuMemAlloc, hipMalloc, zeMemAllocDevice. */
    int32_t (*memory_alloc)(struct llmrun_device *device, uint32_t kind, int64_t bytes, uint64_t *address,
                            struct llmrun_error *error);
    /* As cuMemFree, hipFree, zeMemFree. */
    void (*memory_free)(struct llmrun_device *device, uint64_t address);
    /* Host memory that the device can copy from and to while the host goes on; aligned to 8 bytes or more. As
     * cuMemHostAlloc, hipHostMalloc, zeMemAllocHost. */
    int32_t (*host_alloc)(struct llmrun_device *device, int64_t bytes, void **memory, struct llmrun_error *error);
    /* As cuMemFreeHost, hipHostFree, zeMemFree. */
    void (*host_free)(struct llmrun_device *device, void *memory);

    /* As cuStreamCreate, hipStreamCreate, zeCommandListCreateImmediate. */
    int32_t (*stream_create)(struct llmrun_device *device, uint32_t kind, struct llmrun_stream **stream,
                             struct llmrun_error *error);
    /* As cuStreamDestroy, hipStreamDestroy, zeCommandListDestroy. */
    void (*stream_destroy)(struct llmrun_stream *stream);
    /* As cuMemcpy2DAsync, hipMemcpy2DAsync, zeCommandListAppendMemoryCopyRegion. */
    int32_t (*copy)(struct llmrun_stream *stream, const struct llmrun_copy *copy, struct llmrun_error *error);
    /* Writes the 32-bit pattern; address and bytes are multiples of 4. As cuMemsetD32Async, hipMemsetD32Async,
     * zeCommandListAppendMemoryFill. */
    int32_t (*fill)(struct llmrun_stream *stream, uint64_t address, uint32_t pattern, int64_t bytes,
                    struct llmrun_error *error);

    /* An event that was never recorded counts as ready. As cuEventCreate, hipEventCreate, zeEventCreate. */
    int32_t (*event_create)(struct llmrun_device *device, struct llmrun_event **event, struct llmrun_error *error);
    /* As cuEventDestroy, hipEventDestroy, zeEventDestroy. */
    void (*event_destroy)(struct llmrun_event *event);
    /* Recording again replaces the point. As cuEventRecord, hipEventRecord, zeCommandListAppendSignalEvent. */
    int32_t (*event_record)(struct llmrun_stream *stream, struct llmrun_event *event, struct llmrun_error *error);
    /* Work enqueued on `stream` from now on starts after the event's point. As cuStreamWaitEvent, hipStreamWaitEvent,
     * zeCommandListAppendWaitOnEvents. */
    int32_t (*stream_wait)(struct llmrun_stream *stream, struct llmrun_event *event, struct llmrun_error *error);
    /* *state is NOT_READY or READY; a failure of the work before the event is returned as the code. As
     * cuEventQuery, hipEventQuery, zeEventQueryStatus. */
    int32_t (*event_query)(struct llmrun_event *event, uint32_t *state, struct llmrun_error *error);
    /* Blocks; LLMRUN_ERROR_TIMEOUT after timeout_ns, never with timeout_ns < 0. The host asks in parts of a second.
     * As cuEventSynchronize and hipEventSynchronize, which know no time limit, zeEventHostSynchronize. */
    int32_t (*event_wait)(struct llmrun_event *event, int64_t timeout_ns, struct llmrun_error *error);
    /* Nanoseconds on the device between two events that are ready, 0 or more. As cuEventElapsedTime,
     * hipEventElapsedTime, zeEventQueryKernelTimestamp of both. */
    int32_t (*event_elapsed)(struct llmrun_event *start, struct llmrun_event *end, int64_t *ns,
                             struct llmrun_error *error);

    /* Optional. The native handles behind a stream and an address; they stay the plugin's: a
     * CUstream, a hipStream_t, a ze_command_list_handle_t. */
    int32_t (*export_native)(struct llmrun_stream *stream, uint64_t address, struct llmrun_native *native,
                             struct llmrun_error *error);

    /* Optional. Makes streams wait for what the host does: NOT_READY arms an event that is ready, so that it is not
     * until READY completes it. LLMRUN_ERROR_ARGUMENT: it is not ready, or was not armed. An armed event is not
     * recorded; destroying it completes it. Any thread; not in a capture. As cuStreamWaitValue32 and
     * hipStreamWaitValue32 in stream_wait, on host memory that is written here; zeEventHostReset and zeEventHostSignal.
     */
    int32_t (*event_signal)(struct llmrun_event *event, uint32_t state, struct llmrun_error *error);
};

/* Ops, one at a time. */

/* Compute the bits that the definition of the op gives (docs/numerics.md); answer unsupported if you cannot. */
#define LLMRUN_OP_EXACT 1u
/* The same inputs on the same device give the same bits, run after run. */
#define LLMRUN_OP_DETERMINISTIC 2u

/* Everything about one op but addresses and contents. Operands stand in the order of llmrun/ops.h: inputs, then
 * outputs. */
struct llmrun_op {
    uint32_t size;
    uint16_t op;         /* LLMRUN_OP_MATMUL ... of llmrun/ops.h */
    uint16_t version;    /* version of that op */
    uint32_t flags;      /* LLMRUN_OP_EXACT ... */
    uint32_t accumulate; /* bit i: operand i (an output) is added to, not overwritten */
    uint32_t attribute_bytes;
    uint32_t operand_count;
    const void *attributes; /* struct llmrun_<op>_attributes */
    const struct llmrun_tensor *operands;
    uint32_t operand_stride; /* bytes from one operand to the next */
    uint32_t reserved;       /* 0 */
};
#define LLMRUN_OP_MIN LLMRUN_THROUGH(struct llmrun_op, operand_stride)

#define LLMRUN_SUPPORT_NO       0
#define LLMRUN_SUPPORT_NATIVE   1
#define LLMRUN_SUPPORT_EMULATED 2 /* right, but by conversion to another type or by a slow path */

struct llmrun_op_support {
    uint32_t size;
    uint32_t support;
    int64_t workspace_bytes; /* scratch that a launch needs, exact */
    char reason[256];        /* why not, or how emulated */
};
#define LLMRUN_OP_SUPPORT_MIN LLMRUN_THROUGH(struct llmrun_op_support, reason)

#define LLMRUN_MAX_OPERANDS 24

struct llmrun_kernel_table {
    uint32_t size;
    uint32_t reserved;
    /* Can this device do this op? Depends on the arguments alone, so the host keeps the answer. An op that cannot be
     * done is LLMRUN_OK with LLMRUN_SUPPORT_NO. */
    int32_t (*query)(struct llmrun_device *device, const struct llmrun_op *op, struct llmrun_op_support *answer,
                     struct llmrun_error *error);
    /* Chooses the algorithm within `max_workspace` bytes and sets up whatever needs set-up. The host prepares an equal
     * description once a device and launches the kernel wherever it occurs, on any of the device's streams. As
     * cuModuleLoadData with cuModuleGetFunction, hipModuleLoadData with hipModuleGetFunction, zeKernelCreate. */
    int32_t (*prepare)(struct llmrun_device *device, const struct llmrun_op *op, int64_t max_workspace,
                       struct llmrun_kernel **kernel, struct llmrun_error *error);
    /* Enqueues it. addresses[i] is operand i, 0 where absent; `workspace` has the bytes that query answered and begins
     * at a multiple of 256, or of the device's alignment where that is less. As cuLaunchKernel, hipModuleLaunchKernel,
     * zeCommandListAppendLaunchKernel. */
    int32_t (*launch)(struct llmrun_stream *stream, struct llmrun_kernel *kernel, const uint64_t *addresses,
                      uint32_t address_count, uint64_t workspace, struct llmrun_error *error);
    /* What it runs, for people and profiles, e.g. "matmul f32 avx512 6x64". */
    const char *(*name)(const struct llmrun_kernel *kernel);
    /* As cuModuleUnload, hipModuleUnload, zeKernelDestroy. */
    void (*destroy)(struct llmrun_kernel *kernel);
};

/* Optional: captured work. From begin to end the host allocates and frees nothing on the device, prepares, builds and
 * destroys nothing, does not synchronize it and asks for no event that was recorded in the capture, from any thread;
 * copies in it are of memory of host_alloc, waits in it for events recorded in it. docs/backend-guide.md, section 7. */

struct llmrun_capture_table {
    uint32_t size;
    uint32_t reserved;
    /* Until end, work enqueued on `stream` and on streams joined to it by events is recorded, not run. The streams are
     * joined back to `stream` by events before end. As cuStreamBeginCapture, hipStreamBeginCapture, -: Level Zero
     * records into a command list of its own, zeCommandListCreate. */
    int32_t (*begin)(struct llmrun_stream *stream, struct llmrun_error *error);
    /* On the stream that began. Ends the capture also where it fails. As cuStreamEndCapture with
     * cuGraphInstantiate, hipStreamEndCapture with hipGraphInstantiate, zeCommandListClose. */
    int32_t (*end)(struct llmrun_stream *stream, struct llmrun_graph **graph, struct llmrun_error *error);
    /* Enqueues the recorded work, after earlier replays of the graph, which may still run. As cuGraphLaunch,
     * hipGraphLaunch, zeCommandQueueExecuteCommandLists. */
    int32_t (*replay)(struct llmrun_stream *stream, struct llmrun_graph *graph, struct llmrun_error *error);
    /* As cuGraphExecDestroy, hipGraphExecDestroy, zeCommandListDestroy. */
    void (*destroy)(struct llmrun_graph *graph);
};

/* Optional: whole lists of ops, for devices that compile graphs. None of the three APIs has such calls. */

#define LLMRUN_VALUE_BOUND    1 /* its address comes with every launch */
#define LLMRUN_VALUE_INTERNAL 2 /* lives in the program's workspace, written before it is read */

struct llmrun_program_op {
    uint16_t op;
    uint16_t version;
    uint32_t flags;
    uint32_t accumulate;
    uint32_t attribute_bytes;
    const void *attributes;
    const int32_t *operands; /* indices into the values, -1 where absent */
    uint32_t operand_count;
    uint32_t reserved;
};
#define LLMRUN_PROGRAM_OP_MIN LLMRUN_THROUGH(struct llmrun_program_op, operand_count) /* of a stride */

struct llmrun_program_desc {
    uint32_t size;
    uint32_t op_count;
    const struct llmrun_program_op *ops; /* to be carried out as if in this order */
    const struct llmrun_tensor *values;
    const uint32_t *kinds; /* LLMRUN_VALUE_BOUND ... of each value */
    uint32_t value_count;
    uint32_t op_stride; /* bytes from one op to the next, and */
    const char *name;
    uint32_t value_stride; /* from one value to the next */
    uint32_t reserved;     /* 0 */
};
#define LLMRUN_PROGRAM_DESC_MIN LLMRUN_THROUGH(struct llmrun_program_desc, value_stride)

struct llmrun_program_table {
    uint32_t size;
    uint32_t reserved;
    int32_t (*query)(struct llmrun_device *device, const struct llmrun_op *op, struct llmrun_op_support *answer,
                     struct llmrun_error *error);
    /* Compiles; may take long. The description is read during the call only. The host keeps the program until it
     * closes the device, and builds an equal description once. */
    int32_t (*build)(struct llmrun_device *device, const struct llmrun_program_desc *desc,
                     struct llmrun_program **program, struct llmrun_error *error);
    int64_t (*workspace)(const struct llmrun_program *program);
    /* addresses[i] is value i of the description, ignored for internal values. */
    int32_t (*launch)(struct llmrun_stream *stream, struct llmrun_program *program, const uint64_t *addresses,
                      uint32_t address_count, uint64_t workspace, struct llmrun_error *error);
    void (*destroy)(struct llmrun_program *program);
};

/* The plugin. */

/* A backend has `kernel` or `program`, or both; the rest is required unless marked optional. All tables live as long as
 * the process. */
struct llmrun_backend {
    uint32_t size;
    uint32_t abi_major;
    uint32_t abi_minor;
    uint32_t priority; /* order of `backend: auto`, higher is faster; 0: only by name */
    const char *name;
    const char *version;
    const char *vendor;
    const struct llmrun_device_table *device;
    const struct llmrun_kernel_table *kernel;
    const struct llmrun_program_table *program; /* optional beside kernel */
    const struct llmrun_capture_table *capture; /* optional */
};

/* The one symbol of a backend plugin. Called once. NULL with `error` filled when the plugin cannot work with this host.
 */
LLMRUN_EXPORT const struct llmrun_backend *llmrun_backend_entry(const struct llmrun_host *host,
                                                                struct llmrun_error *error);

#ifdef __cplusplus
}
#endif

#endif
