#include "base/hash.h"

#include <string.h>

#define XXH_STATIC_LINKING_ONLY /* a running state that needs no memory of its own */
#include <xxhash.h>

uint64_t hash_bytes(const void *data, size_t bytes)
{
    return XXH3_64bits(data, bytes);
}

uint64_t hash_text(const char *text)
{
    return XXH3_64bits(text, strlen(text));
}

uint64_t hash_widened(const uint8_t *numbers, size_t count)
{
    XXH3_state_t state;
    uint16_t wide[4096];

    XXH3_INITSTATE(&state);
    XXH3_64bits_reset(&state);
    while (count > 0) {
        size_t now = count < sizeof wide / sizeof wide[0] ? count : sizeof wide / sizeof wide[0];

        for (size_t i = 0; i < now; i++)
            wide[i] = numbers[i];
        XXH3_64bits_update(&state, wide, now * sizeof wide[0]);
        numbers += now;
        count -= now;
    }
    return XXH3_64bits_digest(&state);
}
