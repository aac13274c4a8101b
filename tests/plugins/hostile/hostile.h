/* The CPU backend, breaking the contract by order. HOSTILE in the environment names how:
 *
 *   WHERE-HOW     at the n-th call, and every later one, of WHERE: an entry of the tables, "constructor" or "entry";
 * HOW is crash (a write to address 0), abort, exit0, exit7, _exit, hang or fail (with a failure's sentence) others
 * values.c lists them: values that cannot be
 *
 * HOSTILE_AT gives n, 1 when not set. HOSTILE_PRIORITY is the priority for `backend: auto`, 0 when not set. */
#ifndef LLMRUN_HOSTILE_H
#define LLMRUN_HOSTILE_H

#include <stdbool.h>

#include "wrapped/wrapped.h"

/* Whether this is the order. */
bool is_ordered(const char *order);
/* Whether this is the order and the n-th call with it, or a later one. */
bool is_due(const char *order);
/* Does what is ordered for `where`, if anything is. A code other than LLMRUN_OK is to be returned. */
int32_t misbehave(const char *where, struct llmrun_error *error);

/* Changes the values of `to` and of the tables that it names as ordered, before anybody sees them. */
const struct llmrun_backend *spoil_backend(struct llmrun_backend *to, struct llmrun_device_table *device,
                                           struct llmrun_kernel_table *kernel);
void spoil_device(struct llmrun_device **device);
void spoil_count(int32_t *count);
void spoil_info(struct llmrun_device_info *info);
void spoil_memory(uint64_t *address);
void spoil_host_memory(void **memory);
void spoil_answer(struct llmrun_op_support *answer);

#endif
