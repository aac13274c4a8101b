/* A backend of one device that does nothing, spoilt in one way for each build of it: CMakeLists.txt lists the ways.
 * Each must be refused by the loader, or come to no harm, and be explained in one sentence. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <llmrun/plugin.h>

#ifdef NAMED
#undef VARIANT
#define VARIANT NAMED
#endif
#ifndef NOTE_MAJOR
#define NOTE_MAJOR LLMRUN_ABI_MAJOR
#endif
#ifndef NOTE_MINOR
#define NOTE_MINOR LLMRUN_ABI_MINOR
#endif
#ifndef TABLE_MINOR
#define TABLE_MINOR NOTE_MINOR
#endif
#ifndef NOTE_KIND
#define NOTE_KIND LLMRUN_PLUGIN_BACKEND
#endif
#ifndef TABLE_NAME
#define TABLE_NAME VARIANT
#endif
#ifndef ENTRY_NAME
#define ENTRY_NAME llmrun_backend_entry
#endif
#ifndef PRIORITY
#define PRIORITY 0
#endif
#ifndef DEVICES
#define DEVICES 1
#endif

#ifdef NOTE_ISA
#undef LLMRUN_ISA_BASELINE
#define LLMRUN_ISA_BASELINE NOTE_ISA
#endif
#ifndef NO_NOTE
LLMRUN_PLUGIN_NOTE_ABI(NOTE_KIND, VARIANT, "0.1.0", NOTE_MAJOR, NOTE_MINOR);
#endif

#ifdef TWO_NOTES
#define llmrun_plugin_note llmrun_second_note
LLMRUN_PLUGIN_NOTE_ABI(NOTE_KIND, VARIANT, "0.2.0", NOTE_MAJOR, NOTE_MINOR);
#endif
#ifdef ENTRY_IS_DATA
LLMRUN_EXPORT extern const int entry_of_data[4] __asm__("llmrun_backend_entry");
const int entry_of_data[4] = {1, 2, 3, 4};
#endif

static int32_t device_count(int32_t *count, struct llmrun_error *error)
{
    (void)error;
#ifdef COUNT_ABORTS
    raise(SIGABRT);
#endif
    *count = DEVICES;
    return LLMRUN_OK;
}

static int32_t device_info(int32_t index, struct llmrun_device_info *info, struct llmrun_error *error)
{
    struct llmrun_device_info found = {.size = sizeof found, .streams = 1, .domain = "host", .alignment = 64};

    (void)index;
    (void)error;
    strcpy(found.name, "a device of " VARIANT);
    llmrun_write(info, &found, sizeof found);
    return LLMRUN_OK;
}

/* What a trial makes of a device: things that are there and do nothing. */
static int32_t device_open(int32_t index, const struct llmrun_options *options, struct llmrun_device **opened,
                           struct llmrun_error *error)
{
    static char place;

    (void)index;
    (void)options;
    (void)error;
    *opened = (struct llmrun_device *)&place;
    return LLMRUN_OK;
}

static int32_t make_memory(int64_t bytes, void **memory)
{
    *memory = aligned_alloc(64, ((size_t)bytes + 63) / 64 * 64);
    return *memory != NULL ? LLMRUN_OK : LLMRUN_ERROR_MEMORY;
}

static int32_t memory_alloc(struct llmrun_device *owner, uint32_t kind, int64_t bytes, uint64_t *address,
                            struct llmrun_error *error)
{
    void *memory = NULL;
    int32_t code = make_memory(bytes, &memory);

    (void)owner;
    (void)kind;
    (void)error;
    *address = (uint64_t)(uintptr_t)memory;
    return code;
}

static void memory_free(struct llmrun_device *owner, uint64_t address)
{
    (void)owner;
    free((void *)(uintptr_t)address);
}

static int32_t host_alloc(struct llmrun_device *owner, int64_t bytes, void **memory, struct llmrun_error *error)
{
    (void)owner;
    (void)error;
    return make_memory(bytes, memory);
}

static void host_free(struct llmrun_device *owner, void *memory)
{
    (void)owner;
    free(memory);
}

static int32_t stream_create(struct llmrun_device *owner, uint32_t kind, struct llmrun_stream **stream,
                             struct llmrun_error *error)
{
    (void)kind;
    (void)error;
    *stream = (struct llmrun_stream *)owner;
    return LLMRUN_OK;
}

static int32_t event_create(struct llmrun_device *owner, struct llmrun_event **event, struct llmrun_error *error)
{
    (void)error;
    *event = (struct llmrun_event *)owner;
    return LLMRUN_OK;
}

static int32_t event_query(struct llmrun_event *event, uint32_t *state, struct llmrun_error *error)
{
    (void)event;
    (void)error;
    *state = LLMRUN_EVENT_READY;
    return LLMRUN_OK;
}

static int32_t device_synchronize(struct llmrun_device *owner, struct llmrun_error *error)
{
    (void)owner;
    (void)error;
    return LLMRUN_OK;
}

/* Stands in every entry that the loader only looks for. */
static int32_t refuse(void)
{
    return LLMRUN_ERROR_UNSUPPORTED;
}

static struct llmrun_device_table device = {.size = sizeof device,
                                            .count = device_count,
                                            .info = device_info,
                                            .open = device_open,
                                            .synchronize = device_synchronize,
                                            .memory_alloc = memory_alloc,
                                            .memory_free = memory_free,
                                            .host_alloc = host_alloc,
                                            .host_free = host_free,
                                            .stream_create = stream_create,
                                            .event_create = event_create,
                                            .event_query = event_query};
static struct llmrun_kernel_table kernel = {.size = sizeof kernel};

/* Fills the pointers of a table from `first` on that are NULL. */
static void fill(void *table, size_t first, size_t bytes)
{
    void (*stub)(void) = (void (*)(void))refuse, (*there)(void);

    for (size_t at = first; at + sizeof stub <= bytes; at += sizeof stub) {
        memcpy(&there, (char *)table + at, sizeof there);
        if (there == NULL)
            memcpy((char *)table + at, &stub, sizeof stub);
    }
}

/* Tables of a later contract: an entry more than the host knows. */
struct larger_table {
    struct llmrun_device_table known;
    void (*later)(void);
    void (*even_later)(void);
};

static struct larger_table larger;

static const struct llmrun_backend backend = {
    .size = sizeof backend,
    .abi_major = NOTE_MAJOR,
    .abi_minor = TABLE_MINOR,
    .priority = PRIORITY,
    .name = TABLE_NAME,
    .version = "0.1.0",
    .vendor = "llmrun tests",
    .device = &larger.known,
#ifndef NO_KERNEL
    .kernel = &kernel,
#endif
};

const struct llmrun_backend *ENTRY_NAME(const struct llmrun_host *host, struct llmrun_error *error);

LLMRUN_EXPORT const struct llmrun_backend *ENTRY_NAME(const struct llmrun_host *host, struct llmrun_error *error)
{
    (void)host;
    fill(&device, offsetof(struct llmrun_device_table, open), sizeof device);
    fill(&kernel, offsetof(struct llmrun_kernel_table, query), sizeof kernel);
#ifdef MISSING_ENTRY
    device.MISSING_ENTRY = NULL;
#endif
#ifdef DEVICE_SIZE
    device.size = DEVICE_SIZE;
#endif
#ifdef OVERSIZED
    device.size = sizeof larger;
#endif
    larger.known = device;
    fill(&larger, offsetof(struct larger_table, later), sizeof larger);
#ifdef ENTRY_LOGS
    host->log(host->context, LLMRUN_LOG_WARNING, "hello");
#endif
#ifdef ENTRY_REFUSES
    error->code = LLMRUN_ERROR_VERSION;
    strcpy(error->message, "this host is too old for me");
    return NULL;
#endif
    (void)error;
#ifdef ENTRY_CRASHES
    raise(SIGSEGV);
#endif
#ifdef ENTRY_HANGS
    for (;;)
        pause();
#endif
#ifdef ENTRY_EXITS
    _exit(3);
#endif
    return &backend;
}
