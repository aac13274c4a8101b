/* How much memory is there. The system promises more than it has and ends the process that takes it, so what grows with
 * its input asks before it grows. */
#ifndef LLMRUN_BASE_MEMORY_H
#define LLMRUN_BASE_MEMORY_H

#include <stdint.h>

/* Bytes that this process can still take: what the system has available (Linux, /proc/meminfo) or what is left to its
 * control group (version 2), whichever is less. INT64_MAX where neither says. */
int64_t memory_available(void);

#endif
