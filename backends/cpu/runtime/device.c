#include <stdlib.h>
#include <string.h>

#include "runtime/machine.h"
#include "runtime/runtime.h"

#define MOST_THREADS 1024
/* Streams are threads of their own; one of each kind is worth having. */
#define STREAMS    3
#define BIT(dtype) ((uint64_t)1 << (dtype))

static int32_t device_count(int32_t *count, struct llmrun_error *error)
{
    (void)error;
    *count = 1;
    return LLMRUN_OK;
}

static int32_t check_index(int32_t index, struct llmrun_error *error)
{
    if (index == 0)
        return LLMRUN_OK;
    return llmrun_fail(error, LLMRUN_ERROR_ARGUMENT, "there is no device %d; the host is device 0, the only one",
                       index);
}

static int32_t device_info(int32_t index, struct llmrun_device_info *info, struct llmrun_error *error)
{
    struct llmrun_device_info found = {.streams = STREAMS, .domain = "host", .alignment = 64};

    if (check_index(index, error) != LLMRUN_OK)
        return LLMRUN_ERROR_ARGUMENT;
    machine_processor_name(found.name, sizeof(found.name));
    strcpy(found.architecture, machine_architecture());
    found.memory_bytes = machine_memory_bytes();
    found.memory_free_bytes = machine_memory_free_bytes();
    found.dtypes = BIT(LLMRUN_F64) | BIT(LLMRUN_F32) | BIT(LLMRUN_BF16) | BIT(LLMRUN_I32) | BIT(LLMRUN_U32);
    found.exact = runtime_kernel_set()->exact;
    llmrun_write(info, &found, sizeof(found));
    return LLMRUN_OK;
}

static int32_t parse_threads(const char *value, int *threads, struct llmrun_error *error)
{
    char *end;
    long number = strtol(value, &end, 10);

    if (end == value || *end != '\0' || number < 0 || number > MOST_THREADS)
        return llmrun_fail(error, LLMRUN_ERROR_ARGUMENT, "threads is '%s'; it can be 0 (automatic) to %d", value,
                           MOST_THREADS);
    if (number > 0)
        *threads = (int)number;
    return LLMRUN_OK;
}

int32_t device_parse_isa(const char *value, enum cpu_isa *isa, struct llmrun_error *error)
{
    int i;

    if (strcmp(value, "auto") == 0)
        return LLMRUN_OK;
    for (i = 0; i < CPU_ISAS && strcmp(value, cpu_isa_name((enum cpu_isa)i)) != 0; i++)
        ;
    if (i == CPU_ISAS)
        return llmrun_fail(error, LLMRUN_ERROR_ARGUMENT, "cpu_isa is '%s'; it can be auto, plain, avx2 or avx512",
                           value);
    if (i > (int)*isa)
        return llmrun_fail(error, LLMRUN_ERROR_ARGUMENT, "cpu_isa is '%s', which this machine lacks; its best is %s",
                           value, cpu_isa_name(*isa));
    *isa = (enum cpu_isa)i;
    return LLMRUN_OK;
}

static int32_t device_open(int32_t index, const struct llmrun_options *options, struct llmrun_device **device,
                           struct llmrun_error *error)
{
    const char *text;
    enum cpu_isa isa = cpu_isa_best();
    int threads = machine_default_threads();
    struct llmrun_device *made;
    int32_t code = check_index(index, error);

    if (code == LLMRUN_OK)
        code = llmrun_check_size(options, LLMRUN_OPTIONS_MIN, "a list of options", error);
    if (code == LLMRUN_OK && (text = llmrun_option_value(options, "threads")) != NULL)
        code = parse_threads(text, &threads, error);
    if (code == LLMRUN_OK && (text = llmrun_option_value(options, "cpu_isa")) != NULL)
        code = device_parse_isa(text, &isa, error);
    if (code != LLMRUN_OK)
        return code;
    made = calloc(1, sizeof(*made));
    if (made == NULL)
        return llmrun_fail(error, LLMRUN_ERROR_MEMORY, "there is no memory for a device");
    made->set = runtime_kernel_set();
    made->isa = isa;
    made->memory_bytes = machine_memory_bytes();
    made->pool = pool_create(threads);
    if (made->pool == NULL) {
        free(made);
        return llmrun_fail(error, LLMRUN_ERROR_MEMORY, "the system gives no %d threads", threads);
    }
    pthread_mutex_init(&made->pool_lock, NULL);
    pthread_mutex_init(&made->streams_lock, NULL);
    pthread_mutex_init(&made->failure_lock, NULL);
    *device = made;
    return LLMRUN_OK;
}

static void device_close(struct llmrun_device *device)
{
    if (device == NULL)
        return;
    pool_destroy(device->pool);
    pthread_mutex_destroy(&device->pool_lock);
    pthread_mutex_destroy(&device->streams_lock);
    pthread_mutex_destroy(&device->failure_lock);
    free(device);
}

static int32_t device_synchronize(struct llmrun_device *device, struct llmrun_error *error)
{
    int32_t code;

    stream_drain_all(device);
    pthread_mutex_lock(&device->failure_lock);
    code = device->failure.code;
    if (code != LLMRUN_OK && error != NULL)
        *error = device->failure;
    pthread_mutex_unlock(&device->failure_lock);
    return code;
}

const struct llmrun_device_table runtime_device_table = {
    .size = sizeof(struct llmrun_device_table),
    .count = device_count,
    .info = device_info,
    .open = device_open,
    .close = device_close,
    .synchronize = device_synchronize,
    .memory_alloc = memory_alloc,
    .memory_free = memory_free,
    .host_alloc = memory_host_alloc,
    .host_free = memory_host_free,
    .stream_create = stream_create,
    .stream_destroy = stream_destroy,
    .copy = stream_copy,
    .fill = stream_fill,
    .event_create = event_create,
    .event_destroy = event_destroy,
    .event_record = stream_record,
    .stream_wait = stream_wait,
    .event_query = event_query,
    .event_wait = event_wait,
    .event_elapsed = event_elapsed,
    .export_native = stream_export,
    .event_signal = event_signal,
};
