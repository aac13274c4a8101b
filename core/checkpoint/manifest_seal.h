/* The first lines of manifest.json, which guard the rest:
 *
 *     {
 *      "checksum": "xxh3:0123456789abcdef",
 *      "format": 1, ...
 *
 * The checksum covers every byte after its own line. */
#ifndef LLMRUN_CHECKPOINT_MANIFEST_SEAL_H
#define LLMRUN_CHECKPOINT_MANIFEST_SEAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

/* `body` is a JSON object whose text starts with "{\n". *text is freed by the caller. */
int manifest_seal(const char *body, char **text, int64_t *bytes, struct error *error);

/* Of the first MANIFEST_SEAL_BYTES bytes, which tell one manifest from another. False when they have another form. */
#define MANIFEST_SEAL_BYTES 40
bool manifest_seal_value(const char *text, int64_t bytes, uint64_t *checksum);

/* STATUS_INPUT, naming `source`, unless the first lines have that form and the checksum is right. */
int manifest_check_seal(const char *text, int64_t bytes, const char *source, uint64_t *checksum, struct error *error);

#endif
