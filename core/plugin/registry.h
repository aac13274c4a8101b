/* Every plugin that could be found, and why each can or cannot be used. */
#ifndef LLMRUN_PLUGIN_REGISTRY_H
#define LLMRUN_PLUGIN_REGISTRY_H

#include <stdbool.h>

#include "plugin/backend.h"
#include "plugin/note.h"
#include "plugin/search.h"

enum candidate_state {
    CANDIDATE_USABLE,   /* its note fits; its code was not run */
    CANDIDATE_LOADED,   /* its tables are in use */
    CANDIDATE_REFUSED,  /* `reason` says why */
    CANDIDATE_SHADOWED, /* another one of the same name came first; `reason` says which */
};

/* Makes of a loaded backend what a run makes of it first: device_trial of hal/trial.h. */
typedef int candidate_trial(const struct backend *backend, struct error *error);

struct candidate {
    char *path;
    struct plugin_note note; /* all zero where the file has none that can be read */
    enum candidate_state state;
    bool named;                    /* by `name=path`: no other one stands in for it */
    char reason[1024];             /* goes on after the path: "is not an ELF file"; "" where usable */
    const struct backend *backend; /* where loaded */
    candidate_trial *trial;        /* run in a child process before it is loaded */
};

struct registry {
    struct candidate *items; /* in order of the search */
    int64_t count;
    int64_t probe_timeout_ns; /* for an answer of a plugin that is tried out: PROBE_TIMEOUT_NS until set */
};

/* Makes it refused, for the reason that `error` gives. */
void candidate_refuse(struct candidate *candidate, const struct error *error);
const char *candidate_state_name(enum candidate_state state); /* "usable" ... */

/* Shadowed candidates whose shadow was refused meanwhile become usable. */
void registry_unshadow(struct registry *registry);

/* Looks through `search` and checks each file without running any plugin's code. A refused candidate is no failure.
 * One thread at a time uses a registry. */
int registry_create(const struct plugin_search *search, candidate_trial *trial, struct registry *registry,
                    struct error *error);
/* Loaded backends stay. */
void registry_destroy(struct registry *registry);

/* Opens a backend: "name", "name=path" (the search was made with the same text), or "auto": of the backends of priority
 * above 0 that have a device, the one of highest priority, the first of equals. Auto asks each candidate in a child
 * process. STATUS_BACKEND names what was looked for, what is there, and why a candidate of that name was refused. */
int registry_open(struct registry *registry, const char *backend, const struct backend **out, struct error *error);

/* Loads one candidate. A failure makes it refused. */
int registry_load(struct registry *registry, struct candidate *candidate, struct error *error);

#endif
