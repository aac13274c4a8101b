/* From a file to a backend: the checks before dlopen, dlopen, the one symbol, the tables. */
#ifndef LLMRUN_PLUGIN_LOADER_H
#define LLMRUN_PLUGIN_LOADER_H

#include "plugin/backend.h"
#include "plugin/note.h"

/* Checks a note against this host without running code: kind, version of the contract, instruction set. */
int loader_check_note(const struct plugin_note *note, struct error *error);

/* Loads the backend in `path`, whose note was read and checked. Runs the plugin's code. A file that was loaded before
 * gives the same backend, or the same refusal, again. Never unloaded. Failures are STATUS_BACKEND; the sentence goes on
 * after the path ("lacks ..."). One thread at a time enters the plugin; any thread may call. */
int loader_load(const char *path, const struct plugin_note *note, const struct backend **backend, struct error *error);

/* The backend that was loaded from `path` before, or NULL. */
const struct backend *loader_loaded(const char *path);

#endif
