/* One value of the config: from a node of YAML into its member, and back to text. */
#ifndef LLMRUN_CONFIG_VALUE_H
#define LLMRUN_CONFIG_VALUE_H

#include "base/text.h"
#include "config/config.h"
#include "config/document.h"
#include "config/keys.h"

/* Reads `node` into the member of `key`: checks type, range, choice and whether the feature is built. A map is merged.
 * The old value is freed; on failure it stays. STATUS_USAGE names place, key, value found and value wanted. */
int value_read(struct config *config, enum config_key_id key, const struct document *document, int64_t node,
               struct config_source source, struct error *error);

/* Sets one entry of a map key, as value_read does; `name` is copied. */
int value_read_entry(struct config *config, enum config_key_id key, const char *name, const struct document *document,
                     int64_t node, struct config_source source, struct error *error);

/* Frees the member of `key` and leaves it empty. */
void value_clear(struct config *config, enum config_key_id key);

/* Writes the value as one line of YAML. */
void value_print(const struct config *config, enum config_key_id key, struct text *out);

/* Writes a text as one YAML scalar: plain where that is safe, else in double quotes with escapes. */
void value_print_text(const char *text, struct text *out);

/* The same in double quotes always: one scalar of YAML and of JSON. */
void value_print_quoted(const char *text, struct text *out);

/* Whether two configs hold the same value under `key`; the order of a map does not count. */
bool value_same(const struct config *a, const struct config *b, enum config_key_id key);

#endif
