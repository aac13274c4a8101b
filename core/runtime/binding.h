/* Where values of a compiled program are on a device. */
#ifndef LLMRUN_RUNTIME_BINDING_H
#define LLMRUN_RUNTIME_BINDING_H

#include "compile/compiled.h"

/* Where a value is: address + slot of the pool * stride. */
struct binding {
    uint64_t address; /* 0: it has no place */
    int64_t stride;
    int32_t pool; /* NO_POOL: it is there once */
};

/* `arena` is the address of the plan's first byte. */
struct binding binding_of(const struct compiled *compiled, int32_t value, uint64_t arena);

#endif
