/* The memory of a device that is in use: what a plugin gives must lie inside the address space and overlap nothing else
 * that it gave. */
#ifndef LLMRUN_HAL_LIVE_MEMORY_H
#define LLMRUN_HAL_LIVE_MEMORY_H

#include <stdint.h>

#include "base/status.h"

/* All zero: none. Used by one thread at a time. */
struct live_memory {
    struct live_range {
        uint64_t address;
        int64_t bytes;
    } * items;
    int64_t count, capacity;
};

/* Takes [address, address + bytes) in, bytes > 0. `what` begins the sentence, "faulty: memory_alloc": STATUS_BACKEND
 * where the address is 0 or no multiple of `alignment`, or the range ends beyond the last address or overlaps another.
 */
int live_memory_add(struct live_memory *live, const char *what, uint64_t address, int64_t bytes, int64_t alignment,
                    struct error *error);
void live_memory_remove(struct live_memory *live, uint64_t address);
void live_memory_finish(struct live_memory *live);

#endif
