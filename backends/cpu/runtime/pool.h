/* Threads that share one piece of work. The caller takes part; the others sleep between pieces after a short spin.
 * Results never depend on the number of threads: a task writes outputs of its own, and no two tasks add into one
 * number. */
#ifndef LLMRUN_CPU_POOL_H
#define LLMRUN_CPU_POOL_H

#include <stdint.h>

struct pool;

/* `thread` is below pool_threads(); the caller is one of them. */
typedef void pool_task(void *context, int64_t task, int thread);

/* `threads` >= 1, the caller counted. NULL when there is no memory or no thread. */
struct pool *pool_create(int threads);
void pool_destroy(struct pool *pool);
int pool_threads(const struct pool *pool);

/* Runs task(context, 0 .. tasks - 1), each once, in any order, and returns when all are done. One caller at a time; not
 * from inside a task. */
void pool_run(struct pool *pool, int64_t tasks, pool_task *task, void *context);

#endif
