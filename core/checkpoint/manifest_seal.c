#include "checkpoint/manifest_seal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "checkpoint/checksum.h"

static const char seal_start[] = "{\n \"checksum\": \"";
static const char seal_end[] = "\",\n";

#define SEAL_BYTES ((int64_t)MANIFEST_SEAL_BYTES)
_Static_assert(MANIFEST_SEAL_BYTES == sizeof seal_start - 1 + CHECKSUM_TEXT_BYTES - 1 + sizeof seal_end - 1,
               "the seal is its three parts");

int manifest_seal(const char *body, char **text, int64_t *bytes, struct error *error)
{
    size_t rest = strlen(body) - 2;
    char checksum[CHECKSUM_TEXT_BYTES];

    *bytes = SEAL_BYTES + (int64_t)rest + 1;
    *text = malloc((size_t)*bytes + 1);
    if (*text == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for a manifest of %lld bytes", (long long)*bytes);
    memcpy(*text + SEAL_BYTES, body + 2, rest);
    memcpy(*text + SEAL_BYTES + rest, "\n", 2);
    checksum_print(hash_bytes(*text + SEAL_BYTES, rest + 1), checksum);
    memcpy(*text, seal_start, sizeof seal_start - 1);
    memcpy(*text + sizeof seal_start - 1, checksum, CHECKSUM_TEXT_BYTES - 1);
    memcpy(*text + SEAL_BYTES - (sizeof seal_end - 1), seal_end, sizeof seal_end - 1);
    return STATUS_OK;
}

bool manifest_seal_value(const char *text, int64_t bytes, uint64_t *checksum)
{
    char found[CHECKSUM_TEXT_BYTES] = "";

    if (bytes >= SEAL_BYTES)
        memcpy(found, text + sizeof seal_start - 1, CHECKSUM_TEXT_BYTES - 1);
    return bytes >= SEAL_BYTES && memcmp(text, seal_start, sizeof seal_start - 1) == 0 &&
           memcmp(text + SEAL_BYTES - (sizeof seal_end - 1), seal_end, sizeof seal_end - 1) == 0 &&
           checksum_parse(found, checksum);
}

int manifest_check_seal(const char *text, int64_t bytes, const char *source, uint64_t *checksum, struct error *error)
{
    char found[CHECKSUM_TEXT_BYTES], wanted[CHECKSUM_TEXT_BYTES];
    uint64_t of_the_rest;

    if (!manifest_seal_value(text, bytes, checksum))
        return error_set(error, STATUS_INPUT, "%s does not start with the checksum of a manifest", source);
    of_the_rest = hash_bytes(text + SEAL_BYTES, (size_t)(bytes - SEAL_BYTES));
    if (of_the_rest != *checksum)
        return error_set(error, STATUS_INPUT, "%s is damaged: its bytes have the checksum %s, it says %s", source,
                         checksum_print(of_the_rest, wanted), checksum_print(*checksum, found));
    return STATUS_OK;
}
