/* From a file to a plugin: the checks before dlopen, dlopen, the one symbol, the tables. */
#ifndef LLMRUN_PLUGIN_LOADER_H
#define LLMRUN_PLUGIN_LOADER_H

#include "plugin/backend.h"
#include "plugin/collective.h"
#include "plugin/note.h"

/* A loaded plugin: one of them, as the kind in its note says; both NULL: none. */
struct plugin {
    const struct backend *backend;
    const struct collective *collective;
};

/* Checks a note against this host without running code: kind, version of the contract, instruction set. */
int loader_check_note(const struct plugin_note *note, struct error *error);

/* Loads the plugin in `path`, whose note was read and checked. Runs the plugin's code. A file that was loaded before
 * gives the same plugin, or the same refusal, again. Never unloaded. Failures are STATUS_BACKEND; the sentence goes on
 * after the path ("lacks ..."). One thread at a time enters the plugin; any thread may call. */
int loader_load(const char *path, const struct plugin_note *note, struct plugin *plugin, struct error *error);

/* The plugin that was loaded from `path` before, or none. */
struct plugin loader_loaded(const char *path);

#endif
