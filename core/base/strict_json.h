/* JSON from files that we did not write: parsed by jansson under caps, with errors that name the source. */
#ifndef LLMRUN_BASE_STRICT_JSON_H
#define LLMRUN_BASE_STRICT_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

#define STRICT_JSON_DEPTH 64 /* nested objects and arrays */

/* Parses an object of `bytes` bytes. Refused with STATUS_INPUT, naming `source`: anything but one object, a key twice
 * in one object, invalid UTF-8, a NUL anywhere, integers beyond 64 bits, nesting deeper than STRICT_JSON_DEPTH.
 * STATUS_MEMORY when memory ends. The caller drops *root with json_decref. Memory is bounded by a multiple of `bytes`,
 * whatever the text claims. */
int strict_json_parse(const char *text, int64_t bytes, const char *source, json_t **root, struct error *error);

/* The same, with every number as a real one: for files that hold integers beyond 64 bits. */
int strict_json_parse_reals(const char *text, int64_t bytes, const char *source, json_t **root, struct error *error);

/* Refuses a NUL and too deep nesting: for a text that is parsed by jansson elsewhere. */
int strict_json_check(const char *text, int64_t bytes, const char *source, struct error *error);

/* Around calls of jansson, which does not tell why it gave NULL: forgets, and tells whether an allocation of this
 * thread has failed since. */
void strict_json_watch_memory(void);
bool strict_json_lacked_memory(void);

/* A member of `object` of the type wanted; STATUS_INPUT, naming `source` and `key`, when it is missing or another type.
 * Results are borrowed from the object. */
int strict_json_text(const json_t *object, const char *key, const char *source, const char **text, struct error *error);
int strict_json_integer(const json_t *object, const char *key, const char *source, int64_t minimum, int64_t *value,
                        struct error *error);
int strict_json_array(const json_t *object, const char *key, const char *source, json_t **array, struct error *error);
int strict_json_object(const json_t *object, const char *key, const char *source, json_t **value, struct error *error);

#endif
