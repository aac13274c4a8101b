/* A file that may be a plugin, and what is known of it. */
#ifndef LLMRUN_PLUGIN_CANDIDATE_H
#define LLMRUN_PLUGIN_CANDIDATE_H

#include "plugin/loader.h"

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
    uint32_t named;         /* the kind asked for by `name=path`: no other one stands in for it; 0: not so */
    char reason[1024];      /* goes on after the path: "is not an ELF file"; "" where usable */
    struct plugin plugin;   /* where loaded */
    candidate_trial *trial; /* of a backend, run in a child process before it is loaded */
};

/* Makes it refused, for the reason that `error` gives. */
void candidate_refuse(struct candidate *candidate, const struct error *error);
const char *candidate_state_name(enum candidate_state state); /* "usable" ... */

/* The first of the kind and name of `candidate` that stands before it in `items` and was not refused; one that was
 * named by path holds its name even when refused. NULL: there is none. */
const struct candidate *candidate_shadow(const struct candidate *items, const struct candidate *candidate);

/* Shadowed ones whose shadow was refused meanwhile become usable. */
void candidates_unshadow(struct candidate *items, int64_t count);

#endif
