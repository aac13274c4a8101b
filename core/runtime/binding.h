/* Where values of a compiled program are on a device. */
#ifndef LLMRUN_RUNTIME_BINDING_H
#define LLMRUN_RUNTIME_BINDING_H

#include "compile/compiled.h"
#include "runtime/arena.h"

/* Where a value is: at offset + steps[slot of the pool] of the arena. */
struct binding {
    uint64_t address; /* in slot 0; 0: it has no place */
    int64_t offset;   /* likewise */
    const int64_t *steps;
    int32_t pool; /* NO_POOL: it is there once */
};

struct binding binding_of(const struct compiled *compiled, int32_t value, const struct arena *arena);

#endif
