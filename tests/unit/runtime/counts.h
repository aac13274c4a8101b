/* Counts of what has no place in the steady state. The linker sends calls of the core and of the test here (--wrap);
 * allocations of plugins and libraries are counted too, as the allocator's functions are defined here. */
#ifndef LLMRUN_TEST_RUNTIME_COUNTS_H
#define LLMRUN_TEST_RUNTIME_COUNTS_H

#include <stdint.h>

enum count {
    COUNT_ALLOCATIONS,     /* by the core */
    COUNT_ALL_ALLOCATIONS, /* by anybody in the process; 0 under a sanitizer, which has an allocator of its own */
    COUNT_LOOKUPS,         /* of a value, an op or an operand by its name, and each look at a text */
    COUNT_TEXTS,           /* that are formatted */
    COUNTS
};

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define COUNTS_ALL_ALLOCATIONS 0
#else
#define COUNTS_ALL_ALLOCATIONS 1
#endif

/* So far. */
int64_t counted(enum count count);

#endif
