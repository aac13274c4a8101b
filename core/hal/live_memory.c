#include "hal/live_memory.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"

int live_memory_add(struct live_memory *live, const char *what, uint64_t address, int64_t bytes, int64_t alignment,
                    struct error *error)
{
    struct live_range *items;

    if (address == 0 || address % (uint64_t)alignment != 0)
        return error_set(error, STATUS_BACKEND, "%s gave the address %llu, expected a multiple of %lld other than 0",
                         what, (unsigned long long)address, (long long)alignment);
    if ((uint64_t)bytes > UINT64_MAX - address)
        return error_set(error, STATUS_BACKEND, "%s gave the address %llu for %lld bytes, which ends beyond 2^64", what,
                         (unsigned long long)address, (long long)bytes);
    for (int64_t i = 0; i < live->count; i++) {
        const struct live_range *other = &live->items[i];

        if (address < other->address + (uint64_t)other->bytes && other->address < address + (uint64_t)bytes)
            return error_set(error, STATUS_BACKEND,
                             "%s gave the address %llu for %lld bytes, in the midst of %lld bytes at %llu that are in "
                             "use",
                             what, (unsigned long long)address, (long long)bytes, (long long)other->bytes,
                             (unsigned long long)other->address);
    }
    items = array_reserve(live->items, live->count, 1, &live->capacity, sizeof *items);
    if (items == NULL)
        return error_set(error, STATUS_MEMORY, "no memory to note down an allocation");
    live->items = items;
    items[live->count++] = (struct live_range){address, bytes};
    return STATUS_OK;
}

void live_memory_remove(struct live_memory *live, uint64_t address)
{
    for (int64_t i = 0; i < live->count; i++)
        if (live->items[i].address == address) {
            live->items[i] = live->items[--live->count];
            return;
        }
}

void live_memory_finish(struct live_memory *live)
{
    free(live->items);
    memset(live, 0, sizeof *live);
}
