#include "plugin/loader.h"

#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "plugin/abi.h"

/* A plugin that was entered, or failed to be. Kept for the life of the process: the plugin keeps `host`, is never
 * unloaded, and is entered only once, so a refusal is remembered too. */
struct loaded {
    struct loaded *next;
    struct error failure; /* status is STATUS_OK where the backend can be used */
    struct llmrun_host host;
    struct backend backend;
    char path[];
};

static struct loaded *loaded_list;
static pthread_mutex_t loaded_mutex = PTHREAD_MUTEX_INITIALIZER;

static void host_log(void *context, uint32_t level, const char *line)
{
    const struct loaded *entry = context;
    const enum log_level own = level <= LLMRUN_LOG_DEBUG ? (enum log_level)level : LOG_DEBUG;

    log_line(own, "%s: %s", entry->backend.name, line != NULL ? line : "");
}

static void *host_allocate(void *context, int64_t bytes, int64_t alignment)
{
    void *memory = NULL;

    (void)context;
    if (bytes <= 0 || alignment <= 0 || (alignment & (alignment - 1)) != 0)
        return NULL;
    if (alignment < (int64_t)sizeof(void *))
        alignment = sizeof(void *);
    return posix_memalign(&memory, (size_t)alignment, (size_t)bytes) == 0 ? memory : NULL;
}

static void host_release(void *context, void *memory)
{
    (void)context;
    free(memory);
}

int loader_check_note(const struct plugin_note *note, struct error *error)
{
    int result =
        abi_check(abi_host(), abi_host_oldest_minor(), (struct abi_version){note->abi_major, note->abi_minor}, error);

    if (result == STATUS_OK && note->kind != LLMRUN_PLUGIN_BACKEND && note->kind != LLMRUN_PLUGIN_COLLECTIVE)
        result =
            error_set(error, STATUS_BACKEND, "is a plugin of kind %u, which this llmrun does not know", note->kind);
    if (result == STATUS_OK)
        result = abi_check_isa(abi_processor_isa(), note->isa, error);
    return result;
}

typedef const struct llmrun_backend *backend_entry(const struct llmrun_host *host, struct llmrun_error *error);

/* Finds the entry in the plugin itself: dlsym also looks through the libraries that it needs. */
static backend_entry *find_entry(void *handle)
{
    void *symbol = dlsym(handle, "llmrun_backend_entry");
    struct link_map *own = NULL, *map = NULL;
    backend_entry *entry;
    Dl_info info;

    if (symbol == NULL || dlinfo(handle, RTLD_DI_LINKMAP, &own) != 0 ||
        dladdr1(symbol, &info, (void **)&map, RTLD_DL_LINKMAP) == 0 || map != own)
        return NULL;
    memcpy(&entry, &symbol, sizeof entry);
    return entry;
}

static int enter(struct loaded *entry, const struct plugin_note *note, struct error *error)
{
    const struct llmrun_backend *table;
    struct llmrun_error reason = {0};
    backend_entry *function;
    void *handle = dlopen(entry->path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    int result;

    if (handle == NULL)
        return error_set(error, STATUS_BACKEND, "could not be loaded: %s", dlerror());
    function = find_entry(handle);
    if (function == NULL)
        return error_set(error, STATUS_BACKEND, "does not export the symbol llmrun_backend_entry");
    table = function(&entry->host, &reason);
    reason.message[sizeof reason.message - 1] = '\0';
    if (table == NULL)
        return error_set(error, STATUS_BACKEND, "refused to start: %s",
                         reason.message[0] != '\0' ? reason.message : "it gave no reason");
    result = backend_copy(&entry->backend, table, note->name, note->abi_major, note->abi_minor, error);
    entry->backend.path = entry->path;
    return result;
}

static struct loaded *find_loaded(const char *path)
{
    for (struct loaded *entry = loaded_list; entry != NULL; entry = entry->next)
        if (strcmp(entry->path, path) == 0)
            return entry;
    return NULL;
}

const struct backend *loader_loaded(const char *path)
{
    const struct loaded *entry;

    pthread_mutex_lock(&loaded_mutex);
    entry = find_loaded(path);
    pthread_mutex_unlock(&loaded_mutex);
    return entry != NULL && entry->failure.status == STATUS_OK ? &entry->backend : NULL;
}

/* NULL when there is no memory. */
static struct loaded *load(const char *path, const struct plugin_note *note)
{
    const size_t path_bytes = strlen(path) + 1;
    struct loaded *entry = calloc(1, sizeof *entry + path_bytes);

    if (entry == NULL)
        return NULL;
    memcpy(entry->path, path, path_bytes);
    memcpy(entry->backend.name, note->name, sizeof entry->backend.name);
    entry->host = (struct llmrun_host){.size = sizeof entry->host,
                                       .abi_major = LLMRUN_ABI_MAJOR,
                                       .abi_minor = LLMRUN_ABI_MINOR,
                                       .context = entry,
                                       .log = host_log,
                                       .allocate = host_allocate,
                                       .release = host_release};
    entry->failure.status = enter(entry, note, &entry->failure);
    entry->next = loaded_list;
    loaded_list = entry;
    return entry;
}

int loader_load(const char *path, const struct plugin_note *note, const struct backend **backend, struct error *error)
{
    const struct loaded *entry;

    pthread_mutex_lock(&loaded_mutex);
    entry = find_loaded(path);
    if (entry == NULL)
        entry = load(path, note);
    pthread_mutex_unlock(&loaded_mutex);
    if (entry == NULL)
        return error_set(error, STATUS_MEMORY, "could not be loaded: no memory");
    if (entry->failure.status != STATUS_OK)
        return error_set(error, entry->failure.status, "%s", entry->failure.message);
    *backend = &entry->backend;
    return STATUS_OK;
}
