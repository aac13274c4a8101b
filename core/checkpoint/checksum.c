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
    return strncmp(text, "xxh3:", 5) == 0 && strlen(text) == CHECKSUM_TEXT_BYTES - 1 &&
           checksum_parse_digits(text + 5, value);
}

bool checksum_parse_digits(const char *digits, uint64_t *value)
{
    *value = 0;
    for (int i = 0; i < 16; i++) {
        const char digit = digits[i];

        if (digit >= '0' && digit <= '9')
            *value = *value << 4 | (uint64_t)(digit - '0');
        else if (digit >= 'a' && digit <= 'f')
            *value = *value << 4 | (uint64_t)(digit - 'a' + 10);
        else
            return false;
    }
    return true;
}
