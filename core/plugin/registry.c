#include "plugin/registry.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "plugin/loader.h"
#include "plugin/probe.h"

#define ASKED_AT_ONCE 16 /* child processes of auto */
#define PATH_SHOWN    300

const char *candidate_state_name(enum candidate_state state)
{
    static const char *const names[] = {"usable", "loaded", "refused", "shadowed"};

    return names[state];
}

/* A path in a sentence: of a very long one the end, so that the rest of the sentence finds room. */
static const char *path_end(const char *path)
{
    const size_t length = strlen(path);

    return length > PATH_SHOWN ? path + length - PATH_SHOWN : path;
}

#define PATH_FORMAT   "%s%s"
#define PATH_OF(path) strlen(path) > PATH_SHOWN ? "..." : "", path_end(path)

static bool candidate_is_backend(const struct candidate *candidate)
{
    return candidate->note.kind == LLMRUN_PLUGIN_BACKEND;
}

void candidate_refuse(struct candidate *candidate, const struct error *error)
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
        candidate_refuse(candidate, &error);
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
        snprintf(candidate->reason, sizeof candidate->reason, "is hidden by " PATH_FORMAT ", which is found first",
                 PATH_OF(shadow->path));
    }
}

int registry_create(const struct plugin_search *search, struct registry *registry, struct error *error)
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

    if (loader_load(candidate->path, &candidate->note, &candidate->backend, &failure) != STATUS_OK) {
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
    if (!candidate_is_backend(candidate))
        return error_set(error, STATUS_BACKEND, "the plugin %s is a collective, not a backend", candidate->path);
    if (try_out(candidate, registry->probe_timeout_ns, &whole, &failure) != STATUS_OK) {
        candidate_refuse(candidate, &failure);
        if (whole)
            return error_set(error, failure.status, "%s", failure.message);
        return error_set(error, failure.status, "the plugin " PATH_FORMAT " %s", PATH_OF(candidate->path),
                         candidate->reason);
    }
    return load(candidate, error);
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
        return error_set(error, STATUS_BACKEND, "the backend '%s' cannot be used: " PATH_FORMAT " %s", name,
                         PATH_OF(refused->path), refused->reason);
    list_names(registry, names, sizeof names);
    return error_set(error, STATUS_BACKEND, "there is no backend '%s'; found: %s (`llmrun backends` lists all)", name,
                     names);
}

/* The candidate that auto takes, so far, and the child process that has it loaded; none where it is loaded here. */
struct choice {
    struct candidate *candidate;
    struct probe_child child;
    uint32_t rank;
    struct error failure; /* the first that was no refusal, STATUS_OK: none */
};

static void choose_none(struct choice *choice)
{
    probe_end(&choice->child);
    choice->candidate = NULL;
    choice->rank = 0;
}

/* Takes a candidate of no further use out, and says so: it is not what the user looks for, and may be. */
static void pass_over(struct choice *choice, struct candidate *candidate, const struct error *failure, bool by_path)
{
    candidate_refuse(candidate, failure);
    if (choice->failure.status == STATUS_OK)
        choice->failure = *failure;
    log_line(LOG_WARNING, "backend auto passes over %s: %s%s%s", candidate->note.name, by_path ? candidate->path : "",
             by_path ? " " : "", candidate->reason);
}

/* Takes `candidate`, with the child that answered `probe`, where it is better; ends the child where not. */
static void weigh(struct choice *choice, struct candidate *candidate, struct probe_child *child,
                  const struct plugin_probe *probe)
{
    if (probe->device_count == 0 || probe->rank <= choice->rank) {
        probe_end(child);
        return;
    }
    choose_none(choice);
    choice->candidate = candidate;
    choice->child = *child;
    choice->rank = probe->rank;
}

/* Asks `count` candidates at once. */
static void ask_some(struct choice *choice, int64_t timeout_ns, struct candidate **some, int count)
{
    struct probe_child children[ASKED_AT_ONCE];
    struct error failure;
    int started[ASKED_AT_ONCE];

    memset(children, 0, sizeof children);
    for (int i = 0; i < count; i++)
        started[i] =
            some[i]->state == CANDIDATE_LOADED ? STATUS_OK : probe_start(some[i], timeout_ns, &children[i], &failure);
    for (int i = 0; i < count; i++) {
        static struct plugin_probe probe;
        bool fatal = true;
        int result = started[i];

        if (some[i]->state == CANDIDATE_LOADED)
            result = plugin_probe(some[i], timeout_ns, &probe, NULL);
        else if (result == STATUS_OK)
            result = probe_devices(&children[i], &probe, &fatal, &failure);
        if (result == STATUS_OK) {
            weigh(choice, some[i], &children[i], &probe);
            continue;
        }
        probe_end(&children[i]);
        if (some[i]->state == CANDIDATE_LOADED)
            continue;
        if (fatal || result == STATUS_MEMORY)
            pass_over(choice, some[i], &failure, true);
        else
            candidate_refuse(some[i], &failure);
    }
}

static void choose(struct registry *registry, struct choice *choice)
{
    struct candidate *some[ASKED_AT_ONCE];
    int count = 0;

    for (int64_t i = 0; i < registry->count; i++) {
        struct candidate *candidate = &registry->items[i];

        if (candidate->state <= CANDIDATE_LOADED && candidate_is_backend(candidate))
            some[count++] = candidate;
        if (count == ASKED_AT_ONCE || (count > 0 && i == registry->count - 1)) {
            ask_some(choice, registry->probe_timeout_ns, some, count);
            count = 0;
        }
    }
}

static int open_auto(struct registry *registry, const struct backend **out, struct error *error)
{
    struct choice choice;
    char names[512];

    memset(&choice, 0, sizeof choice);
    for (;;) {
        struct candidate *best;
        struct error failure;
        bool fatal;
        int result = STATUS_OK;

        choose(registry, &choice);
        best = choice.candidate;
        if (best == NULL)
            break;
        if (best->state == CANDIDATE_USABLE) {
            result = probe_trial(&choice.child, &fatal, &failure);
            if (result != STATUS_OK)
                pass_over(&choice, best, &failure, fatal);
        }
        choose_none(&choice);
        if (result != STATUS_OK)
            continue;
        if (best->state == CANDIDATE_USABLE)
            result = load(best, error);
        if (result == STATUS_OK)
            *out = best->backend;
        return result;
    }
    list_names(registry, names, sizeof names);
    return error_set(error, choice.failure.status == STATUS_MEMORY ? STATUS_MEMORY : STATUS_BACKEND,
                     "no backend with a device can be chosen by itself; usable by name: %s (`llmrun backends` lists "
                     "all)",
                     names);
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
