/* Every plugin that could be found, and why each can or cannot be used. */
#ifndef LLMRUN_PLUGIN_REGISTRY_H
#define LLMRUN_PLUGIN_REGISTRY_H

#include <stdbool.h>

#include "plugin/candidate.h"
#include "plugin/search.h"

struct registry {
    struct candidate *items; /* in order of the search */
    int64_t count;
    int64_t probe_timeout_ns; /* for an answer of a plugin that is tried out: PROBE_TIMEOUT_NS until set */
};

/* Looks through `search` and checks each file without running any plugin's code. A refused candidate is no failure.
 * One thread at a time uses a registry. */
int registry_init(const struct plugin_search *search, candidate_trial *trial, struct registry *registry,
                  struct error *error);
/* Loaded plugins stay. */
void registry_finish(struct registry *registry);

/* Opens a backend: "name", "name=path" (the search was made with the same text), or "auto": of the backends of priority
 * above 0 that have a device, the one of highest priority, the first of equals. Auto asks each candidate in a child
 * process. STATUS_BACKEND names what was looked for, what is there, and why a candidate of that name was refused. */
int registry_open(struct registry *registry, const char *backend, const struct backend **out, struct error *error);

/* Opens a collective: "name" or "name=path", as a backend is. */
int registry_open_collective(struct registry *registry, const char *collective, const struct collective **out,
                             struct error *error);

/* Loads one candidate. A failure makes it refused. */
int registry_load(struct registry *registry, struct candidate *candidate, struct error *error);

#endif
