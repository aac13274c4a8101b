/* The keys of config.json, a table for each family. */
#ifndef LLMRUN_MODEL_KEYS_H
#define LLMRUN_MODEL_KEYS_H

#include "model/model.h"

/* The name under which a family's config.json has the extent at this offset of struct model_config. */
const char *keys_name(enum model_family family, size_t offset);

/* Sets *config from the JSON object or null of rope_scaling (or rope_parameters, which has rope_theta too): rope_type
 * (or type) default, linear or llama3, and the numbers of that type. Errors as model_set. */
int keys_set_rope(struct model_config *config, const char *where, int wrong, const char *key, const char *value,
                  struct error *error);

#endif
