#include "plugin/registry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/loader.h"
#include "plugin/probe.h"

const char *candidate_state_name(enum candidate_state state)
{
    static const char *const names[] = {"usable", "loaded", "refused", "shadowed"};

    return names[state];
}

static void refuse(struct candidate *candidate, const struct error *error)
{
    candidate->state = CANDIDATE_REFUSED;
    snprintf(candidate->reason, sizeof candidate->reason, "%s", error->message);
}

/* The first candidate of the kind and name of `candidate` that stands before it and was not refused; one that was named
 * by path holds its name even when refused. */
static const struct candidate *shadow_of(const struct registry *registry, const struct candidate *candidate)
{
    for (const struct candidate *other = registry->items; other < candidate; other++)
        if (other->note.kind == candidate->note.kind && strcmp(other->note.name, candidate->note.name) == 0 &&
            other->state != CANDIDATE_SHADOWED && (other->state != CANDIDATE_REFUSED || other->named))
            return other;
    return NULL;
}

static int check_file(struct candidate *candidate, int missing, const char *named, struct error *error)
{
    int result;

    if (missing != 0)
        return error_set(error, STATUS_BACKEND, "cannot be opened: %s", strerror(missing));
    result = plugin_note_read(&file_system_real, candidate->path, &candidate->note, error);
    if (result == STATUS_OK)
        result = loader_check_note(&candidate->note, error);
    if (result != STATUS_OK || !candidate->named)
        return result;
    if (strcmp(candidate->note.name, named) != 0)
        return error_set(error, STATUS_BACKEND, "is the plugin '%s', not '%s'", candidate->note.name, named);
    if (candidate->note.kind != LLMRUN_PLUGIN_BACKEND)
        return error_set(error, STATUS_BACKEND, "is a collective, not a backend");
    return STATUS_OK;
}

static void examine(const struct registry *registry, struct candidate *candidate, const struct plugin_path *path,
                    const char *named)
{
    const struct candidate *shadow;
    struct error error;

    candidate->named = path->named;
    if (check_file(candidate, path->missing, named, &error) != STATUS_OK) {
        refuse(candidate, &error);
        if (candidate->named) {
            snprintf(candidate->note.name, sizeof candidate->note.name, "%s", named);
            candidate->note.kind = LLMRUN_PLUGIN_BACKEND;
        }
        return;
    }
    candidate->backend = loader_loaded(candidate->path);
    candidate->state = candidate->backend != NULL ? CANDIDATE_LOADED : CANDIDATE_USABLE;
    shadow = shadow_of(registry, candidate);
    if (shadow != NULL) {
        candidate->state = CANDIDATE_SHADOWED;
        snprintf(candidate->reason, sizeof candidate->reason, "is hidden by %s, which is found first", shadow->path);
    }
}

int registry_create(const struct plugin_search *search, struct registry *registry, struct error *error)
{
    struct plugin_paths paths;
    int result = plugin_search_run(search, &paths, error);

    memset(registry, 0, sizeof *registry);
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
        paths.items[i].path = NULL;
        examine(registry, candidate, &paths.items[i], search->named);
        registry->count++;
    }
out:
    plugin_paths_free(&paths);
    return result;
}

void registry_destroy(struct registry *registry)
{
    for (int64_t i = 0; i < registry->count; i++)
        free(registry->items[i].path);
    free(registry->items);
    memset(registry, 0, sizeof *registry);
}

int registry_load(struct registry *registry, struct candidate *candidate, struct error *error)
{
    struct error failure;

    (void)registry;
    if (candidate->state == CANDIDATE_LOADED)
        return STATUS_OK;
    if (candidate->state != CANDIDATE_USABLE)
        return error_set(error, STATUS_BACKEND, "the plugin %s %s", candidate->path, candidate->reason);
    if (loader_load(candidate->path, &candidate->note, &candidate->backend, &failure) != STATUS_OK) {
        refuse(candidate, &failure);
        return error_set(error, failure.status, "the plugin %s %s", candidate->path, candidate->reason);
    }
    candidate->state = CANDIDATE_LOADED;
    return STATUS_OK;
}

/* Backends that were found, "cpu, null", each name once; "none" where there are none. */
static void list_names(const struct registry *registry, char *text, size_t bytes)
{
    size_t used = 0;

    snprintf(text, bytes, "none");
    for (int64_t i = 0; i < registry->count && used < bytes; i++) {
        const struct candidate *candidate = &registry->items[i];

        if (candidate->note.kind == LLMRUN_PLUGIN_BACKEND && candidate->state <= CANDIDATE_LOADED)
            used += (size_t)snprintf(text + used, bytes - used, "%s%s", used > 0 ? ", " : "", candidate->note.name);
    }
}

static int open_named(struct registry *registry, const char *name, bool by_path, const struct backend **out,
                      struct error *error)
{
    const struct candidate *refused = NULL;
    char names[512];

    for (int64_t i = 0; i < registry->count; i++) {
        struct candidate *candidate = &registry->items[i];

        if (by_path ? !candidate->named
                    : candidate->note.kind != LLMRUN_PLUGIN_BACKEND || strcmp(candidate->note.name, name) != 0)
            continue;
        if (candidate->state <= CANDIDATE_LOADED) {
            int result = registry_load(registry, candidate, error);

            if (result == STATUS_OK)
                *out = candidate->backend;
            return result;
        }
        if (refused == NULL && candidate->state == CANDIDATE_REFUSED)
            refused = candidate;
    }
    if (refused != NULL)
        return error_set(error, STATUS_BACKEND, "the backend '%s' cannot be used: %s %s", name, refused->path,
                         refused->reason);
    list_names(registry, names, sizeof names);
    return error_set(error, STATUS_BACKEND, "there is no backend '%s'; found: %s (`llmrun backends` lists all)", name,
                     names);
}

static int open_auto(struct registry *registry, const struct backend **out, struct error *error)
{
    struct candidate *best = NULL;
    uint32_t best_rank = 0;
    char names[512];

    for (int64_t i = 0; i < registry->count; i++) {
        struct candidate *candidate = &registry->items[i];
        struct plugin_probe probe;

        if (candidate->state > CANDIDATE_LOADED || candidate->note.kind != LLMRUN_PLUGIN_BACKEND)
            continue;
        if (plugin_probe(candidate, PROBE_TIMEOUT_NS, &probe, NULL) != STATUS_OK || probe.device_count == 0)
            continue;
        if (probe.rank > best_rank) {
            best = candidate;
            best_rank = probe.rank;
        }
    }
    if (best != NULL) {
        int result = registry_load(registry, best, error);

        if (result == STATUS_OK)
            *out = best->backend;
        return result;
    }
    list_names(registry, names, sizeof names);
    return error_set(
        error, STATUS_BACKEND,
        "no backend with a device can be chosen by itself; usable by name: %s (`llmrun backends` lists all)", names);
}

int registry_open(struct registry *registry, const char *backend, const struct backend **out, struct error *error)
{
    const char *equals = strchr(backend, '=');
    char name[64];

    *out = NULL;
    if (strcmp(backend, "auto") == 0)
        return open_auto(registry, out, error);
    snprintf(name, sizeof name, "%.*s", equals != NULL ? (int)(equals - backend) : 63, backend);
    return open_named(registry, name, equals != NULL, out, error);
}
