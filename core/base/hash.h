/* XXH3, 64 bits: checksums of stored data and names of programs. Not for secrets. */
#ifndef LLMRUN_BASE_HASH_H
#define LLMRUN_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t hash_bytes(const void *data, size_t bytes);
uint64_t hash_text(const char *text);

/* What hash_bytes gives for the same numbers as an array of uint16_t. */
uint64_t hash_widened(const uint8_t *numbers, size_t count);

#endif
