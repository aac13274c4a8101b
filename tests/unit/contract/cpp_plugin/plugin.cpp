/* A backend in C++17 that has the package of llmrun and nothing else: one device of host memory that trains LLaMA in
 * fp32. Work is done at once, in the call that enqueues it, so a stream has no queue and a recorded event is ready. */
#include "op_view.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <memory>
#include <new>

LLMRUN_PLUGIN_NOTE(LLMRUN_PLUGIN_BACKEND, "cpp", "0.1.0");

struct llmrun_device {
};

struct llmrun_stream {
};

struct llmrun_event {
    int64_t recorded_ns; /* 0: never */
};

struct llmrun_kernel {
    explicit llmrun_kernel(const llmrun_op *from) : op(from), kernel(cpp::find_layer_kernel(op.number()))
    {
        if (kernel == nullptr)
            kernel = cpp::find_step_kernel(op.number());
        if (kernel == nullptr)
            op.no("cpp does not have this op");
        work_bytes = kernel->plan != nullptr ? kernel->plan(op) * static_cast<int64_t>(sizeof(double)) : 0;
    }

    cpp::op_view op;
    const cpp::op_kernel *kernel;
    int64_t work_bytes;
};

namespace
{

constexpr int64_t memory_alignment = 64;

/* Runs what may throw: no exception goes to the host. */
template <typename F> int32_t guarded(llmrun_error *error, F body)
{
    try {
        return body();
    } catch (const cpp::refusal &refusal) {
        return llmrun_fail(error, refusal.code, "%s", refusal.reason.c_str());
    } catch (const std::bad_alloc &) {
        return llmrun_fail(error, LLMRUN_ERROR_MEMORY, "there is no memory for an object");
    } catch (...) {
        return llmrun_fail(error, LLMRUN_ERROR_INTERNAL, "an exception that is not known came out of a call");
    }
}

template <typename T> int32_t create(T **object, llmrun_error *error)
{
    return guarded(error, [=] {
        *object = new T();
        return LLMRUN_OK;
    });
}

template <typename T> void destroy(T *object)
{
    delete object;
}

int32_t check_index(int32_t index, llmrun_error *error)
{
    return index == 0
               ? LLMRUN_OK
               : llmrun_fail(error, LLMRUN_ERROR_ARGUMENT, "there is no device %d; cpp has device 0 alone", index);
}

/* ---- devices and memory -- */

int32_t device_count(int32_t *count, llmrun_error *)
{
    *count = 1;
    return LLMRUN_OK;
}

int32_t device_info(int32_t index, llmrun_device_info *info, llmrun_error *error)
{
    llmrun_device_info found = {};

    if (check_index(index, error) != LLMRUN_OK)
        return LLMRUN_ERROR_ARGUMENT;
    found.streams = 1;
    found.alignment = memory_alignment;
    found.dtypes = 1u << LLMRUN_F32 | 1u << LLMRUN_F64 | 1u << LLMRUN_I32 | 1u << LLMRUN_U32;
    std::strcpy(found.name, "plain C++");
    std::strcpy(found.architecture, "cpp");
    std::strcpy(found.domain, "host");
    llmrun_write(info, &found, sizeof(found));
    return LLMRUN_OK;
}

int32_t device_open(int32_t index, const llmrun_options *, llmrun_device **device, llmrun_error *error)
{
    return check_index(index, error) == LLMRUN_OK ? create(device, error) : LLMRUN_ERROR_ARGUMENT;
}

int32_t device_synchronize(llmrun_device *, llmrun_error *)
{
    return LLMRUN_OK;
}

int32_t host_alloc(llmrun_device *, int64_t bytes, void **memory, llmrun_error *error)
{
    if (bytes <= 0)
        return llmrun_fail(error, LLMRUN_ERROR_ARGUMENT, "memory of %lld bytes was asked for",
                           static_cast<long long>(bytes));
    *memory = ::operator new(static_cast<size_t>(bytes), std::align_val_t(memory_alignment), std::nothrow);
    return *memory != nullptr ? LLMRUN_OK
                              : llmrun_fail(error, LLMRUN_ERROR_MEMORY, "there are no %lld bytes of memory",
                                            static_cast<long long>(bytes));
}

void host_free(llmrun_device *, void *memory)
{
    ::operator delete(memory, std::align_val_t(memory_alignment));
}

int32_t memory_alloc(llmrun_device *device, uint32_t kind, int64_t bytes, uint64_t *address, llmrun_error *error)
{
    void *memory = nullptr;
    int32_t code;

    if (kind != LLMRUN_MEMORY_DEVICE)
        return llmrun_fail(error, LLMRUN_ERROR_UNSUPPORTED, "memory kind %u is not offered", kind);
    code = host_alloc(device, bytes, &memory, error);
    if (code == LLMRUN_OK)
        *address = reinterpret_cast<uintptr_t>(memory);
    return code;
}

template <typename T = void> T *memory_of(uint64_t address)
{
    return reinterpret_cast<T *>(static_cast<uintptr_t>(address));
}

void memory_free(llmrun_device *device, uint64_t address)
{
    host_free(device, memory_of(address));
}

/* ---- streams and events -- */

int32_t stream_create(llmrun_device *, uint32_t kind, llmrun_stream **stream, llmrun_error *error)
{
    if (kind < LLMRUN_STREAM_COMPUTE || kind > LLMRUN_STREAM_COMMUNICATION)
        return llmrun_fail(error, LLMRUN_ERROR_UNSUPPORTED, "stream kind %u is unknown", kind);
    return create(stream, error);
}

int32_t copy(llmrun_stream *, const llmrun_copy *from, llmrun_error *error)
{
    llmrun_copy copy;

    if (llmrun_read(from, LLMRUN_COPY_MIN, &copy, sizeof(copy), "a copy", error) != LLMRUN_OK)
        return LLMRUN_ERROR_ARGUMENT;
    if (copy.direction < LLMRUN_COPY_HOST_TO_DEVICE || copy.direction > LLMRUN_COPY_DEVICE_TO_DEVICE)
        return llmrun_fail(error, LLMRUN_ERROR_UNSUPPORTED, "copy direction %u is unknown", copy.direction);
    for (int64_t row = 0; row < copy.rows; row++)
        std::memcpy(memory_of<char>(copy.to) + row * copy.to_pitch,
                    memory_of<const char>(copy.from) + row * copy.from_pitch, static_cast<size_t>(copy.row_bytes));
    return LLMRUN_OK;
}

int32_t fill(llmrun_stream *, uint64_t address, uint32_t pattern, int64_t bytes, llmrun_error *error)
{
    if (address % 4 != 0 || bytes % 4 != 0)
        return llmrun_fail(error, LLMRUN_ERROR_ARGUMENT, "a fill of %lld bytes is not one of whole words",
                           static_cast<long long>(bytes));
    std::fill_n(memory_of<uint32_t>(address), bytes / 4, pattern);
    return LLMRUN_OK;
}

int32_t event_create(llmrun_device *, llmrun_event **event, llmrun_error *error)
{
    return create(event, error);
}

int32_t event_record(llmrun_stream *, llmrun_event *event, llmrun_error *)
{
    const auto now = std::chrono::steady_clock::now().time_since_epoch();

    event->recorded_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
    return LLMRUN_OK;
}

int32_t stream_wait(llmrun_stream *, llmrun_event *, llmrun_error *)
{
    return LLMRUN_OK;
}

int32_t event_query(llmrun_event *, uint32_t *state, llmrun_error *)
{
    *state = LLMRUN_EVENT_READY;
    return LLMRUN_OK;
}

int32_t event_wait(llmrun_event *, int64_t, llmrun_error *)
{
    return LLMRUN_OK;
}

int32_t event_elapsed(llmrun_event *start, llmrun_event *end, int64_t *ns, llmrun_error *error)
{
    if (start->recorded_ns == 0 || end->recorded_ns == 0)
        return llmrun_fail(error, LLMRUN_ERROR_ARGUMENT, "an event that was never recorded has no time");
    *ns = end->recorded_ns - start->recorded_ns;
    return LLMRUN_OK;
}

/* ---- ops -- */

int32_t kernel_query(llmrun_device *, const llmrun_op *op, llmrun_op_support *answer, llmrun_error *error)
{
    llmrun_op_support found = {};
    int32_t code = llmrun_check_size(answer, LLMRUN_OP_SUPPORT_MIN, "an answer", error);

    if (code != LLMRUN_OK)
        return code;
    code = guarded(error, [&] {
        try {
            found.workspace_bytes = llmrun_kernel(op).work_bytes;
            found.support = LLMRUN_SUPPORT_NATIVE;
        } catch (const cpp::refusal &refusal) {
            if (refusal.code != LLMRUN_ERROR_UNSUPPORTED)
                throw;
            found.support = LLMRUN_SUPPORT_NO;
            snprintf(found.reason, sizeof(found.reason), "%s", refusal.reason.c_str());
        }
        return LLMRUN_OK;
    });
    if (code == LLMRUN_OK)
        llmrun_write(answer, &found, sizeof(found));
    return code;
}

int32_t kernel_prepare(llmrun_device *, const llmrun_op *op, int64_t max_workspace, llmrun_kernel **kernel,
                       llmrun_error *error)
{
    return guarded(error, [&] {
        auto made = std::make_unique<llmrun_kernel>(op);

        if (made->work_bytes > max_workspace)
            made->op.no("the workspace is too small");
        *kernel = made.release();
        return LLMRUN_OK;
    });
}

int32_t kernel_launch(llmrun_stream *, llmrun_kernel *kernel, const uint64_t *addresses, uint32_t address_count,
                      uint64_t workspace, llmrun_error *error)
{
    if (address_count < kernel->op.operand_count())
        return llmrun_fail(error, LLMRUN_ERROR_ARGUMENT, "%s has %u operands and got %u addresses", kernel->op.name(),
                           kernel->op.operand_count(), address_count);
    return guarded(error, [&] {
        kernel->kernel->run({kernel->op, addresses, memory_of<double>(workspace)});
        return LLMRUN_OK;
    });
}

const char *kernel_name(const llmrun_kernel *kernel)
{
    return kernel->op.name();
}

/* ---- the tables, in the order of the headers: C++ before 2020 has no names here -- */

const llmrun_device_table device_table = {
    sizeof(llmrun_device_table),
    0, /* reserved */
    device_count,
    device_info,
    device_open,
    destroy<llmrun_device>,
    device_synchronize,
    memory_alloc,
    memory_free,
    host_alloc,
    host_free,
    stream_create,
    destroy<llmrun_stream>,
    copy,
    fill,
    event_create,
    destroy<llmrun_event>,
    event_record,
    stream_wait,
    event_query,
    event_wait,
    event_elapsed,
    nullptr, /* export_native */
    nullptr, /* event_signal */
};

const llmrun_kernel_table kernel_table = {
    sizeof(llmrun_kernel_table),
    0, /* reserved */
    kernel_query,
    kernel_prepare,
    kernel_launch,
    kernel_name,
    destroy<llmrun_kernel>,
};

const llmrun_backend backend = {
    sizeof(llmrun_backend),
    LLMRUN_ABI_MAJOR,
    LLMRUN_ABI_MINOR,
    0, /* priority: never chosen by `backend: auto` */
    "cpp",
    "0.1.0",
    "llmrun", /* vendor */
    &device_table,
    &kernel_table,
    nullptr, /* program */
    nullptr, /* capture */
};

} // namespace

const llmrun_backend *llmrun_backend_entry(const llmrun_host *host, llmrun_error *error)
{
    return llmrun_check_host(host, "cpp", error) == LLMRUN_OK ? &backend : nullptr;
}
