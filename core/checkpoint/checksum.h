/* XXH3 (64 bits) over data that comes in pieces, and its text form "xxh3:0123456789abcdef". It finds damage, not
 * forgery. */
#ifndef LLMRUN_CHECKPOINT_CHECKSUM_H
#define LLMRUN_CHECKPOINT_CHECKSUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHECKSUM_TEXT_BYTES 22 /* with the NUL */

struct checksum; /* the running state */

/* NULL when there is no memory. Freed with checksum_destroy, which accepts NULL. */
struct checksum *checksum_create(void);
void checksum_destroy(struct checksum *checksum);

/* Forgets what was added. */
void checksum_reset(struct checksum *checksum);
void checksum_add(struct checksum *checksum, const void *data, size_t bytes);

/* Of everything added so far; equal to hash_bytes over the whole. More may be added after it. */
uint64_t checksum_value(const struct checksum *checksum);

const char *checksum_print(uint64_t value, char text[CHECKSUM_TEXT_BYTES]);
bool checksum_parse(const char *text, uint64_t *value); /* exactly the printed form */

/* 16 hexadecimal digits, lower case; what follows them is not looked at. */
bool checksum_parse_digits(const char *digits, uint64_t *value);

#endif
