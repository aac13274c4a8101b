/* Where plugins are looked for. No list of names: every file libllmrun-*.so of a folder is a candidate. Never the
 * current folder, never the linker's paths. */
#ifndef LLMRUN_PLUGIN_SEARCH_H
#define LLMRUN_PLUGIN_SEARCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

#define SEARCH_FOLDERS 4

/* What to look through, in this order. Texts are borrowed. */
struct plugin_search {
    char named[32];                    /* of `--backend name=path`; "" for none */
    const char *named_path;            /* NULL for none */
    const char *listed;                /* LLMRUN_BACKEND_PATH: folders and files between colons; NULL for none */
    char folders[SEARCH_FOLDERS][512]; /* beside the running program, then the installed one; "" is skipped */
};

/* Fills `search` for the running program: `backend` is the value of --backend or run.backend ("auto", "cpu",
 * "mine=path"), NULL for none; the list comes from the environment. STATUS_USAGE when a `name=path` is malformed. */
int plugin_search_default(struct plugin_search *search, const char *backend, struct error *error);

/* A file that may be a plugin, or something named by the user that cannot be one. */
struct plugin_path {
    char *path;  /* absolute where it exists */
    bool named;  /* comes from `name=path` */
    int missing; /* errno where the path does not exist or is no regular file, else 0 */
};

struct plugin_paths {
    struct plugin_path *items;
    int64_t count;
    int64_t capacity;
};

/* Lists the candidates in order of the search, each file once; those of one folder by name. Paths that the user named
 * are listed even when nothing is there, the program's own folders are not. STATUS_MEMORY is the only failure. */
int plugin_search_run(const struct plugin_search *search, struct plugin_paths *paths, struct error *error);
void plugin_paths_free(struct plugin_paths *paths);

#endif
