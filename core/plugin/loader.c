#include "plugin/loader.h"

#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "plugin/abi.h"
#include "plugin/guard.h"

#define LOG_BYTES 900 /* of a line of a plugin's; the rest is cut */

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
    char text[LOG_BYTES];

    snprintf(text, sizeof text, "%.*s", LOG_BYTES - 1, line != NULL ? line : "");
    text_hide_controls(text);
    log_line(own, "%s: %s", entry->backend.name, text);
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
static int find_entry(void *handle, backend_entry **entry, struct error *error)
{
    void *symbol = dlsym(handle, "llmrun_backend_entry");
    struct link_map *own = NULL, *map = NULL;
    const ElfW(Sym) *form = NULL;
    Dl_info info;

    if (symbol == NULL || dlinfo(handle, RTLD_DI_LINKMAP, &own) != 0 ||
        dladdr1(symbol, &info, (void **)&map, RTLD_DL_LINKMAP) == 0 || map != own)
        return error_set(error, STATUS_BACKEND, "does not export the symbol llmrun_backend_entry");
    if (dladdr1(symbol, &info, (void **)&form, RTLD_DL_SYMENT) != 0 && form != NULL &&
        ELF64_ST_TYPE(form->st_info) == STT_OBJECT)
        return error_set(error, STATUS_BACKEND, "exports llmrun_backend_entry as data, expected a function");
    memcpy(entry, &symbol, sizeof symbol);
    return STATUS_OK;
}

/* Tells the guard where the code of the plugin just loaded is. */
static int note_code(struct dl_phdr_info *info, size_t bytes, void *context)
{
    const struct loaded *entry = context;

    (void)bytes;
    if (info->dlpi_name == NULL || strcmp(info->dlpi_name, entry->path) != 0)
        return 0;
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_LOAD && (info->dlpi_phdr[i].p_flags & PF_X) != 0)
            guard_plugin_code(entry->backend.name, info->dlpi_addr + info->dlpi_phdr[i].p_vaddr,
                              info->dlpi_addr + info->dlpi_phdr[i].p_vaddr + info->dlpi_phdr[i].p_memsz);
    return 1;
}

/* The words of the linker when there is no room; it gives no number. */
static bool is_lack_of_memory(const char *reason)
{
    return strstr(reason, "failed to map segment") != NULL || strstr(reason, "annot allocate memory") != NULL ||
           strstr(reason, "out of memory") != NULL;
}

static int enter(struct loaded *entry, const struct plugin_note *note, struct error *error)
{
    const char *name = entry->backend.name, *failure;
    const struct llmrun_backend *table;
    struct llmrun_error reason = {0};
    backend_entry *function = NULL;
    void *handle;
    int result;

    guard_enter(name, "when it was loaded", true);
    handle = dlopen(entry->path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    guard_leave();
    if (handle == NULL) {
        failure = dlerror();
        return error_set(error, is_lack_of_memory(failure) ? STATUS_MEMORY : STATUS_BACKEND, "could not be loaded: %s",
                         failure);
    }
    result = find_entry(handle, &function, error);
    if (result != STATUS_OK)
        return result;
    dl_iterate_phdr(note_code, entry);
    guard_enter(name, "in llmrun_backend_entry", true);
    table = function(&entry->host, &reason);
    guard_leave();
    reason.message[sizeof reason.message - 1] = '\0';
    if (table == NULL)
        return error_set(error, reason.code == LLMRUN_ERROR_MEMORY ? STATUS_MEMORY : STATUS_BACKEND,
                         "refused to start: %s", reason.message[0] != '\0' ? reason.message : "it gave no reason");
    guard_enter(name, "when its tables were read", true);
    result = backend_copy(&entry->backend, table, note->name, note->abi_major, note->abi_minor, error);
    guard_leave();
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
