/* SHA-256 (FIPS 180-4) and HMAC-SHA256 (RFC 2104): that bytes come from who knows a secret. */
#ifndef LLMRUN_BASE_SHA256_H
#define LLMRUN_BASE_SHA256_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHA256_BYTES 32

struct sha256 {
    uint32_t state[8];
    uint64_t bytes; /* so far; the last bytes % 64 of them are in `block` */
    uint8_t block[64];
};

void sha256_init(struct sha256 *hash);
void sha256_add(struct sha256 *hash, const void *data, size_t bytes);
void sha256_finish(struct sha256 *hash, uint8_t digest[SHA256_BYTES]);

/* A copy of an initialized struct authenticates another message with the same key. */
struct hmac {
    struct sha256 inner, outer;
};

void hmac_init(struct hmac *hmac, const void *key, size_t bytes);
void hmac_add(struct hmac *hmac, const void *data, size_t bytes);
void hmac_finish(struct hmac *hmac, uint8_t tag[SHA256_BYTES]);

/* In a time that does not depend on where they differ. */
bool sha256_equal(const uint8_t a[SHA256_BYTES], const uint8_t b[SHA256_BYTES]);

#endif
