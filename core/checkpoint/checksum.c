#include "checkpoint/checksum.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

/* The handle that callers hold is xxHash's own state under our name. */
struct checksum *checksum_create(void)
{
    XXH3_state_t *state = XXH3_createState();

    if (state != NULL)
        XXH3_64bits_reset(state);
    return (struct checksum *)state;
}

void checksum_destroy(struct checksum *checksum)
{
    if (checksum != NULL)
        XXH3_freeState((XXH3_state_t *)checksum);
}

void checksum_reset(struct checksum *checksum)
{
    XXH3_64bits_reset((XXH3_state_t *)checksum);
}

void checksum_add(struct checksum *checksum, const void *data, size_t bytes)
{
    if (bytes > 0)
        XXH3_64bits_update((XXH3_state_t *)checksum, data, bytes);
}

uint64_t checksum_value(const struct checksum *checksum)
{
    return XXH3_64bits_digest((const XXH3_state_t *)checksum);
}

const char *checksum_print(uint64_t value, char text[CHECKSUM_TEXT_BYTES])
{
    snprintf(text, CHECKSUM_TEXT_BYTES, "xxh3:%016" PRIx64, value);
    return text;
}

bool checksum_parse(const char *text, uint64_t *value)
{
    if (strncmp(text, "xxh3:", 5) != 0 || strlen(text) != CHECKSUM_TEXT_BYTES - 1)
        return false;
    *value = 0;
    for (text += 5; *text != '\0'; text++) {
        const char *digits = "0123456789abcdef", *digit = strchr(digits, *text);

        if (digit == NULL)
            return false;
        *value = *value << 4 | (uint64_t)(digit - digits);
    }
    return true;
}
