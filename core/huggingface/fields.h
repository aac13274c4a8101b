/* Fields of a config.json that say nothing about the value of a logit. */
#ifndef LLMRUN_HUGGINGFACE_FIELDS_H
#define LLMRUN_HUGGINGFACE_FIELDS_H

#include <jansson.h>
#include <stdbool.h>

/* True for a field that changes nothing in any family, or not with this value (null always). */
bool hf_field_changes_nothing(const char *name, const json_t *value);

#endif
