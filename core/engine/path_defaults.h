/* What follows from the files in model.path where nobody sets it. */
#ifndef LLMRUN_ENGINE_PATH_DEFAULTS_H
#define LLMRUN_ENGINE_PATH_DEFAULTS_H

#include "base/file.h"
#include "config/config.h"

#define PATH_TIE_ENTRY "tie_word_embeddings"

/* The entry of model.overrides of that name; NULL where there is none. */
const struct config_pair *path_tie_entry(const struct config *config);

/* model.dropout is that of config.json, where its fields agree. With model.init weights, a stored head that differs
 * from the token embedding makes model.overrides.tie_word_embeddings false. Nothing follows from files that are missing
 * or cannot be read: they are left to whoever needs them. */
int path_defaults_set(const struct file_system *fs, struct config *config, struct error *error);

/* Logs that the head is not the embedding, where that followed. */
void path_defaults_tell_head(const struct config *config);

/* Logs what the first weights and the dropout of a new run are, where that may be unexpected. STATUS_INPUT for a
 * config.json whose dropout cannot be. */
int path_defaults_tell(const struct file_system *fs, const struct config *config, struct error *error);

#endif
