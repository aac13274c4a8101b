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
    struct error failure; /* status is STATUS_OK where the plugin can be used */
    struct llmrun_host host;
    uint32_t kind; /* LLMRUN_PLUGIN_BACKEND ... */
    char name[32];
    struct backend backend; /* of the kinds, the one that it is */
    struct collective collective;
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
    log_line(own, "%s: %s", entry->name, text);
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

    if (result == STATUS_OK && plugin_kind_name(note->kind) == NULL)
        result =
            error_set(error, STATUS_BACKEND, "is a plugin of kind %u, which this llmrun does not know", note->kind);
    if (result == STATUS_OK)
        result = abi_check_isa(abi_processor_isa(), note->isa, error);
    return result;
}

typedef const struct llmrun_backend *backend_entry(const struct llmrun_host *host, struct llmrun_error *error);
typedef const struct llmrun_collective *collective_entry(const struct llmrun_host *host, struct llmrun_error *error);

/* What differs between the kinds until a table is copied. */
static const struct {
    const char *symbol;
    const char *call; /* for the guard */
} kinds[] = {
    [LLMRUN_PLUGIN_BACKEND] = {"llmrun_backend_entry", "in llmrun_backend_entry"},
    [LLMRUN_PLUGIN_COLLECTIVE] = {"llmrun_collective_entry", "in llmrun_collective_entry"},
};

/* Finds the entry in the plugin itself: dlsym also looks through the libraries that it needs. */
static int find_entry(void *handle, const char *name, void **symbol, struct error *error)
{
    struct link_map *own = NULL, *map = NULL;
    const ElfW(Sym) *form = NULL;
    Dl_info info;

    *symbol = dlsym(handle, name);
    if (*symbol == NULL || dlinfo(handle, RTLD_DI_LINKMAP, &own) != 0 ||
        dladdr1(*symbol, &info, (void **)&map, RTLD_DL_LINKMAP) == 0 || map != own)
        return error_set(error, STATUS_BACKEND, "does not export the symbol %s", name);
    if (dladdr1(*symbol, &info, (void **)&form, RTLD_DL_SYMENT) != 0 && form != NULL &&
        ELF64_ST_TYPE(form->st_info) == STT_OBJECT)
        return error_set(error, STATUS_BACKEND, "exports %s as data, expected a function", name);
    return STATUS_OK;
}

/* Calls the entry: the plugin's table of tables, or NULL. */
static const void *call_entry(const struct loaded *entry, void *symbol, struct llmrun_error *reason)
{
    if (entry->kind == LLMRUN_PLUGIN_BACKEND) {
        backend_entry *function;

        memcpy(&function, &symbol, sizeof symbol);
        return function(&entry->host, reason);
    } else {
        collective_entry *function;

        memcpy(&function, &symbol, sizeof symbol);
        return function(&entry->host, reason);
    }
}

static int copy_tables(struct loaded *entry, const void *table, const struct plugin_note *note, struct error *error)
{
    if (entry->kind == LLMRUN_PLUGIN_BACKEND)
        return backend_copy(&entry->backend, table, note->name, note->abi_major, note->abi_minor, error);
    return collective_copy(&entry->collective, table, note->name, note->abi_major, note->abi_minor, error);
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
            guard_plugin_code(entry->name, info->dlpi_addr + info->dlpi_phdr[i].p_vaddr,
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
    const char *name = entry->name, *failure;
    struct llmrun_error reason = {0};
    const void *table;
    void *handle, *symbol;
    int result;

    guard_enter(name, "when it was loaded", true);
    handle = dlopen(entry->path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    guard_leave();
    if (handle == NULL) {
        failure = dlerror();
        return error_set(error, is_lack_of_memory(failure) ? STATUS_MEMORY : STATUS_BACKEND, "could not be loaded: %s",
                         failure);
    }
    result = find_entry(handle, kinds[entry->kind].symbol, &symbol, error);
    if (result != STATUS_OK)
        return result;
    dl_iterate_phdr(note_code, entry);
    guard_enter(name, kinds[entry->kind].call, true);
    table = call_entry(entry, symbol, &reason);
    guard_leave();
    reason.message[sizeof reason.message - 1] = '\0';
    if (table == NULL)
        return error_set(error, reason.code == LLMRUN_ERROR_MEMORY ? STATUS_MEMORY : STATUS_BACKEND,
                         "refused to start: %s", reason.message[0] != '\0' ? reason.message : "it gave no reason");
    guard_enter(name, "when its tables were read", true);
    result = copy_tables(entry, table, note, error);
    guard_leave();
    entry->backend.path = entry->collective.path = entry->path;
    return result;
}

static struct loaded *find_loaded(const char *path)
{
    for (struct loaded *entry = loaded_list; entry != NULL; entry = entry->next)
        if (strcmp(entry->path, path) == 0)
            return entry;
    return NULL;
}

static struct plugin plugin_of(const struct loaded *entry)
{
    struct plugin plugin = {NULL, NULL};

    if (entry == NULL || entry->failure.status != STATUS_OK)
        return plugin;
    if (entry->kind == LLMRUN_PLUGIN_BACKEND)
        plugin.backend = &entry->backend;
    else
        plugin.collective = &entry->collective;
    return plugin;
}

struct plugin loader_loaded(const char *path)
{
    const struct loaded *entry;

    pthread_mutex_lock(&loaded_mutex);
    entry = find_loaded(path);
    pthread_mutex_unlock(&loaded_mutex);
    return plugin_of(entry);
}

/* NULL when there is no memory. */
static struct loaded *load(const char *path, const struct plugin_note *note)
{
    const size_t path_bytes = strlen(path) + 1;
    struct loaded *entry = calloc(1, sizeof *entry + path_bytes);

    if (entry == NULL)
        return NULL;
    memcpy(entry->path, path, path_bytes);
    entry->kind = note->kind;
    memcpy(entry->name, note->name, sizeof entry->name);
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

int loader_load(const char *path, const struct plugin_note *note, struct plugin *plugin, struct error *error)
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
    *plugin = plugin_of(entry);
    return STATUS_OK;
}
