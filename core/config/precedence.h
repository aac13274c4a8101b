/* The levels above the file, and what holds between keys. Used by config_load alone. */
#ifndef LLMRUN_CONFIG_PRECEDENCE_H
#define LLMRUN_CONFIG_PRECEDENCE_H

#include "config/config.h"

/* Sets one key from the value of a flag or a variable. `dotted` is a known key, or an entry of a map key
 * (model.overrides.n_layer); `place` names the flag or variable in messages.
 *
 * A text is taken as it is. A list is the one name that is given, as it is; a value that begins with [ is YAML, unless
 * a file has that name. Values of other keys are YAML. */
int precedence_set(struct config *config, const char *dotted, const char *place, const char *text,
                   struct config_source source, struct error *error);

/* Called when all of a level is read: model.path and model.preset replace each other, and either drops the overrides of
 * lower levels. STATUS_USAGE when one level sets both. */
int precedence_end(struct config *config, enum config_level level, struct error *error);

/* Reads every LLMRUN_* variable; `environment` may be NULL. One of a key that `command` does not use is refused. */
int precedence_environment(struct config *config, enum config_command command, char *const *environment,
                           struct error *error);

int precedence_flags(struct config *config, const struct config_flag *flags, int64_t count, struct error *error);

/* Where data.tokenizer is not set and model.path holds a tokenizer, that is it. */
int config_follow_path(struct config *config, struct error *error);

/* What holds between keys that `command` uses. STATUS_USAGE names both. */
int config_check(const struct config *config, enum config_command command, struct error *error);

#endif
