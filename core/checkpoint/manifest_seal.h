/* The first lines of manifest.json, which guard the rest:
 *
 *     {
 *      "checksum": "xxh3:0123456789abcdef",
 *      "format": 1, ...
 *
 * The checksum covers every byte after its own line. */
#ifndef LLMRUN_CHECKPOINT_MANIFEST_SEAL_H
#define LLMRUN_CHECKPOINT_MANIFEST_SEAL_H

#include <stdint.h>

#include "base/status.h"

/* `body` is a JSON object whose text starts with "{\n". *text is freed by the caller. */
int manifest_seal(const char *body, char **text, int64_t *bytes, struct error *error);

/* STATUS_INPUT, naming `source`, unless the first lines have that form and the checksum is right. */
int manifest_check_seal(const char *text, int64_t bytes, const char *source, struct error *error);

#endif
