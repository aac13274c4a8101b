/* What this process may use of the machine: processors, memory, threads. */
#ifndef LLMRUN_CPU_MACHINE_H
#define LLMRUN_CPU_MACHINE_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

/* Processors in the affinity mask, at least 1. */
int machine_processors(void);
/* Rounds that one of `threads` threads may spin before it sleeps: none when there are more threads than processors. */
int machine_spins(int threads);
/* Threads for a device unless its options say otherwise: OMP_NUM_THREADS, else the processors of the affinity mask, but
 * no more than the cgroup's quota lets run at once (rounded up). */
int machine_default_threads(void);
/* Memory that this process may use, in bytes: the machine's or its cgroup's limit; and what is left of it now. 0:
 * unknown. */
int64_t machine_memory_bytes(void);
int64_t machine_memory_free_bytes(void);
/* The processor's own name for itself, and the psABI level of what is usable of it, e.g. "x86-64-v4". */
void machine_processor_name(char *name, size_t bytes);
const char *machine_architecture(void);
/* pthread_create, with all signals blocked (they are the host's business) and a name of at most 15 characters. */
int machine_thread_start(pthread_t *thread, const char *name, void *(*run)(void *), void *argument);

#endif
