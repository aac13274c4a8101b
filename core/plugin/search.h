/* Where plugins are looked for. No list of names: every file libllmrun-*.so of a folder is a candidate. Never the
 * current folder, never the linker's paths. */
#ifndef LLMRUN_PLUGIN_SEARCH_H
#define LLMRUN_PLUGIN_SEARCH_H

#include <stdint.h>

#include "base/status.h"

#define SEARCH_FOLDERS 4

/* Of `name=path`. */
struct plugin_named {
    char name[32];    /* "" for none */
    const char *path; /* NULL for none */
};

/* What to look through, in this order. Texts are borrowed. */
struct plugin_search {
    struct plugin_named named[2];      /* by kind - 1 */
    const char *listed;                /* LLMRUN_BACKEND_PATH: folders and files between colons; NULL for none */
    char folders[SEARCH_FOLDERS][512]; /* beside the running program, then the installed one; "" is skipped */
};

/* Fills `search` for the running program: `backend` is the value of --backend or run.backend ("auto", "cpu",
 * "mine=path"), NULL for none; the list comes from the environment. STATUS_USAGE when a `name=path` is malformed. */
int plugin_search_default(struct plugin_search *search, const char *backend, struct error *error);

/* Makes a value that names a plugin of `kind` part of the search: "name=path" is looked at first, other values ("auto",
 * "cpu", NULL) leave nothing of that kind. The text is borrowed. STATUS_USAGE when a `name=path` is malformed. */
int plugin_search_name(struct plugin_search *search, uint32_t kind, const char *value, struct error *error);

/* A file that may be a plugin, or something named by the user that cannot be one. */
struct plugin_path {
    char *path;     /* absolute where it exists */
    uint32_t named; /* the kind that `name=path` asked for, LLMRUN_PLUGIN_BACKEND ...; 0: it does not come from one */
    int missing;    /* errno where the path does not exist or is no regular file, else 0 */
};

struct plugin_paths {
    struct plugin_path *items;
    int64_t count;
    int64_t capacity;
};

/* Lists the candidates in order of the search, each file once; those of one folder by name. Paths that the user named
 * are listed even when nothing is there, the program's own folders are not. STATUS_MEMORY is the only failure. */
int plugin_search_run(const struct plugin_search *search, struct plugin_paths *paths, struct error *error);
void plugin_paths_finish(struct plugin_paths *paths);

#endif
