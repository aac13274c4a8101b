#include "plugin/registry.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "plugin/auto.h"
#include "plugin/loader.h"
#include "plugin/probe.h"

#define PATH_SHOWN 300

/* A path in a sentence: of a very long one the end, so that the rest of the sentence finds room. */
static const char *path_end(const char *path)
{
    const size_t length = strlen(path);

    return length > PATH_SHOWN ? path + length - PATH_SHOWN : path;
}

#define PATH_FORMAT   "%s%s"
#define PATH_OF(path) strlen(path) > PATH_SHOWN ? "..." : "", path_end(path)

static int check_file(struct candidate *candidate, int missing, const char *named, struct error *error)
{
    int result;

    if (missing == EINVAL)
        return error_set(error, STATUS_BACKEND, "is neither a file nor a folder");
    if (missing != 0)
        return error_set(error, STATUS_BACKEND, "cannot be opened: %s", strerror(missing));
    result = plugin_note_read(&file_system_real, candidate->path, &candidate->note, error);
    if (result == STATUS_OK)
        result = loader_check_note(&candidate->note, error);
    if (result != STATUS_OK || !candidate->named)
        return result;
    if (strcmp(candidate->note.name, named) != 0)
        return error_set(error, STATUS_BACKEND, "is the plugin '%s', not '%s'", candidate->note.name, named);
    if (candidate->note.kind != candidate->named)
        return error_set(error, STATUS_BACKEND, "is a %s, not a %s", plugin_kind_name(candidate->note.kind),
                         plugin_kind_name(candidate->named));
    return STATUS_OK;
}

static void examine(const struct registry *registry, struct candidate *candidate, const struct plugin_path *path,
                    const struct plugin_search *search)
{
    const char *named = path->named != 0 ? search->named[path->named - 1].name : "";
    const struct candidate *shadow;
    struct error error;

    candidate->named = path->named;
    if (check_file(candidate, path->missing, named, &error) != STATUS_OK) {
        candidate_refuse(candidate, &error);
        if (candidate->named) {
            snprintf(candidate->note.name, sizeof candidate->note.name, "%s", named);
            candidate->note.kind = candidate->named;
        }
        return;
    }
    candidate->plugin = loader_loaded(candidate->path);
    candidate->state =
        candidate->plugin.backend != NULL || candidate->plugin.collective != NULL ? CANDIDATE_LOADED : CANDIDATE_USABLE;
    shadow = candidate_shadow(registry->items, candidate);
    if (shadow != NULL) {
        candidate->state = CANDIDATE_SHADOWED;
        snprintf(candidate->reason, sizeof candidate->reason, "is hidden by " PATH_FORMAT ", which is found first",
                 PATH_OF(shadow->path));
    }
}

int registry_init(const struct plugin_search *search, candidate_trial *trial, struct registry *registry,
                  struct error *error)
{
    struct plugin_paths paths;
    int result = plugin_search_run(search, &paths, error);

    memset(registry, 0, sizeof *registry);
    registry->probe_timeout_ns = PROBE_TIMEOUT_NS;
    if (result != STATUS_OK)
        return result;
    registry->items = calloc((size_t)paths.count + 1, sizeof *registry->items);
    if (registry->items == NULL) {
        result = error_set(error, STATUS_MEMORY, "no memory for the list of plugins");
        goto out;
    }
    for (int64_t i = 0; i < paths.count; i++) {
        struct candidate *candidate = &registry->items[i];

        candidate->path = paths.items[i].path;
        candidate->trial = trial;
        paths.items[i].path = NULL;
        examine(registry, candidate, &paths.items[i], search);
        registry->count++;
    }
out:
    plugin_paths_finish(&paths);
    return result;
}

void registry_finish(struct registry *registry)
{
    for (int64_t i = 0; i < registry->count; i++)
        free(registry->items[i].path);
    free(registry->items);
    memset(registry, 0, sizeof *registry);
}

/* Runs the plugin's code in a child process first. A sentence of its device's own is *whole; others go on after the
 * path of the file. */
static int try_out(const struct candidate *candidate, int64_t timeout_ns, bool *whole, struct error *error)
{
    struct probe_child child;
    struct plugin_probe probe;
    bool fatal = true;
    int result = probe_start(candidate, timeout_ns, &child, error);

    *whole = false;
    if (result != STATUS_OK) { /* no process more for this user: no reason not to run */
        log_line(LOG_WARNING, "the plugin %s %s; it is loaded untried", candidate->path, error->message);
        return STATUS_OK;
    }
    result = probe_devices(&child, &probe, &fatal, error);
    if (result == STATUS_OK && probe.device_count > 0) {
        result = probe_trial(&child, &fatal, error);
        *whole = !fatal;
        if (!fatal && result == STATUS_MEMORY)
            result = STATUS_OK; /* what there is no memory for is known better where it is needed */
    }
    probe_end(&child);
    return result;
}

/* Loads what was tried out. */
static int load(struct candidate *candidate, struct error *error)
{
    struct error failure;

    if (loader_load(candidate->path, &candidate->note, &candidate->plugin, &failure) != STATUS_OK) {
        candidate_refuse(candidate, &failure);
        return error_set(error, failure.status, "the plugin " PATH_FORMAT " %s", PATH_OF(candidate->path),
                         candidate->reason);
    }
    candidate->state = CANDIDATE_LOADED;
    return STATUS_OK;
}

int registry_load(struct registry *registry, struct candidate *candidate, struct error *error)
{
    struct error failure;
    bool whole;

    if (candidate->state == CANDIDATE_LOADED)
        return STATUS_OK;
    if (candidate->state != CANDIDATE_USABLE)
        return error_set(error, STATUS_BACKEND, "the plugin " PATH_FORMAT " %s", PATH_OF(candidate->path),
                         candidate->reason);
    if (try_out(candidate, registry->probe_timeout_ns, &whole, &failure) != STATUS_OK) {
        candidate_refuse(candidate, &failure);
        if (whole)
            return error_set(error, failure.status, "%s", failure.message);
        return error_set(error, failure.status, "the plugin " PATH_FORMAT " %s", PATH_OF(candidate->path),
                         candidate->reason);
    }
    return load(candidate, error);
}

/* Plugins of a kind that were found, "cpu, null", each name once; "none" where there are none. */
static void list_names(const struct registry *registry, uint32_t kind, char *text, size_t bytes)
{
    size_t used = 0;

    snprintf(text, bytes, "none");
    for (int64_t i = 0; i < registry->count && used < bytes; i++) {
        const struct candidate *candidate = &registry->items[i];

        if (candidate->note.kind == kind && candidate->state <= CANDIDATE_LOADED)
            used += (size_t)snprintf(text + used, bytes - used, "%s%s", used > 0 ? ", " : "", candidate->note.name);
    }
}

/* Loads the plugin of `kind` that `value`, "name" or "name=path", names. */
static int open_named(struct registry *registry, uint32_t kind, const char *value, struct plugin *out,
                      struct error *error)
{
    const char *equals = strchr(value, '='), *what = plugin_kind_name(kind);
    const struct candidate *refused = NULL;
    char names[512], name[64];

    snprintf(name, sizeof name, "%.*s", equals != NULL ? (int)(equals - value) : 63, value);
    for (int64_t i = 0; i < registry->count; i++) {
        struct candidate *candidate = &registry->items[i];

        if (candidate->note.kind != kind ||
            (equals != NULL ? candidate->named != kind : strcmp(candidate->note.name, name) != 0))
            continue;
        if (candidate->state <= CANDIDATE_LOADED) {
            int result = registry_load(registry, candidate, error);

            if (result == STATUS_OK)
                *out = candidate->plugin;
            return result;
        }
        if (refused == NULL && candidate->state == CANDIDATE_REFUSED)
            refused = candidate;
    }
    if (refused != NULL)
        return error_set(error, STATUS_BACKEND, "the %s '%s' cannot be used: " PATH_FORMAT " %s", what, name,
                         PATH_OF(refused->path), refused->reason);
    list_names(registry, kind, names, sizeof names);
    return error_set(error, STATUS_BACKEND, "there is no %s '%s'; found: %s (`llmrun backends` lists all)", what, name,
                     names);
}

static int open_auto(struct registry *registry, const struct backend **out, struct error *error)
{
    int status;
    struct candidate *best = auto_choose(registry, &status);
    char names[512];

    if (best == NULL) {
        list_names(registry, LLMRUN_PLUGIN_BACKEND, names, sizeof names);
        return error_set(
            error, status,
            "no backend with a device can be chosen by itself; usable by name: %s (`llmrun backends` lists "
            "all)",
            names);
    }
    status = best->state == CANDIDATE_USABLE ? load(best, error) : STATUS_OK;
    if (status == STATUS_OK)
        *out = best->plugin.backend;
    return status;
}

int registry_open(struct registry *registry, const char *backend, const struct backend **out, struct error *error)
{
    struct plugin plugin = {NULL, NULL};
    int result;

    *out = NULL;
    if (strcmp(backend, "auto") == 0)
        return open_auto(registry, out, error);
    result = open_named(registry, LLMRUN_PLUGIN_BACKEND, backend, &plugin, error);
    *out = plugin.backend;
    return result;
}

int registry_open_collective(struct registry *registry, const char *collective, const struct collective **out,
                             struct error *error)
{
    struct plugin plugin = {NULL, NULL};
    int result = open_named(registry, LLMRUN_PLUGIN_COLLECTIVE, collective, &plugin, error);

    *out = plugin.collective;
    return result;
}
