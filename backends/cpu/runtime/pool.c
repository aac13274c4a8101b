#include "runtime/pool.h"

#include <pthread.h>
#include <stdlib.h>

#include "runtime/machine.h"
#include "runtime/wait.h"

/* What a worker is doing. It leaves IDLE and ASLEEP only when the caller posts work, and the caller may take posted
 * work back that the worker has not begun, so a worker that gets no processor never delays the others. */
enum worker_state {
    WORKER_IDLE,    /* spinning, or about to sleep */
    WORKER_ASLEEP,  /* in the kernel, to be woken */
    WORKER_POSTED,  /* there is work; not begun */
    WORKER_RUNNING, /* takes tasks */
    WORKER_AWAITED, /* takes tasks, and the caller sleeps until it is done */
    WORKER_STOP
};

struct worker {
    _Alignas(64) _Atomic uint32_t state;
    int number;
    pthread_t handle;
    struct pool *pool;
};

struct pool {
    _Alignas(64) _Atomic int64_t next; /* first task that nobody took */
    _Alignas(64) pool_task *task;
    void *context;
    int64_t tasks;
    int threads;
    int spins;
    struct worker *workers; /* threads - 1 */
};

static void take_tasks(struct pool *pool, int thread)
{
    for (;;) {
        int64_t task = atomic_fetch_add_explicit(&pool->next, 1, memory_order_relaxed);

        if (task >= pool->tasks)
            return;
        pool->task(pool->context, task, thread);
    }
}

/* Returns POSTED or STOP. */
static uint32_t await_work(struct worker *worker)
{
    int spins = worker->pool->spins;

    for (;;) {
        uint32_t state = atomic_load_explicit(&worker->state, memory_order_acquire);

        if (state == WORKER_POSTED || state == WORKER_STOP)
            return state;
        if (spins-- > 0) {
            wait_pause();
        } else if (state == WORKER_ASLEEP) {
            wait_sleep(&worker->state, WORKER_ASLEEP);
        } else {
            atomic_compare_exchange_strong(&worker->state, &state, WORKER_ASLEEP);
        }
    }
}

static void *worker_main(void *argument)
{
    struct worker *worker = argument;

    for (;;) {
        uint32_t state = await_work(worker);

        if (state == WORKER_STOP)
            return NULL;
        if (!atomic_compare_exchange_strong(&worker->state, &state, WORKER_RUNNING))
            continue;
        take_tasks(worker->pool, worker->number);
        if (atomic_exchange(&worker->state, WORKER_IDLE) == WORKER_AWAITED)
            wait_wake(&worker->state);
    }
}

static void post(struct worker *worker, uint32_t what)
{
    if (atomic_exchange(&worker->state, what) == WORKER_ASLEEP)
        wait_wake(&worker->state);
}

/* Takes the work back where it was not begun, else waits until the worker is done. */
static void await_worker(struct worker *worker)
{
    int spins = worker->pool->spins;
    uint32_t posted = WORKER_POSTED;

    if (atomic_compare_exchange_strong(&worker->state, &posted, WORKER_IDLE))
        return;
    for (;;) {
        uint32_t state = atomic_load_explicit(&worker->state, memory_order_acquire);

        if (state == WORKER_IDLE || state == WORKER_ASLEEP)
            return;
        if (spins-- > 0)
            wait_pause();
        else if (state == WORKER_AWAITED)
            wait_sleep(&worker->state, WORKER_AWAITED);
        else
            atomic_compare_exchange_strong(&worker->state, &state, WORKER_AWAITED);
    }
}

static void stop_workers(struct pool *pool, int started)
{
    int i;

    for (i = 0; i < started; i++) {
        post(&pool->workers[i], WORKER_STOP);
        pthread_join(pool->workers[i].handle, NULL);
    }
    free(pool->workers);
    free(pool);
}

static void *allocate_lines(size_t bytes)
{
    return aligned_alloc(64, (bytes + 63) / 64 * 64);
}

struct pool *pool_create(int threads)
{
    struct pool *pool = allocate_lines(sizeof(*pool));
    int i;

    if (pool == NULL)
        return NULL;
    *pool = (struct pool){.threads = threads};
    pool->spins = machine_spins(threads);
    if (threads == 1)
        return pool;
    pool->workers = allocate_lines((size_t)(threads - 1) * sizeof(*pool->workers));
    if (pool->workers == NULL) {
        free(pool);
        return NULL;
    }
    for (i = 0; i < threads - 1; i++) {
        struct worker *worker = &pool->workers[i];

        *worker = (struct worker){.number = i + 1, .pool = pool};
        if (machine_thread_start(&worker->handle, "llmrun-pool", worker_main, worker) != 0) {
            stop_workers(pool, i);
            return NULL;
        }
    }
    return pool;
}

void pool_destroy(struct pool *pool)
{
    if (pool != NULL)
        stop_workers(pool, pool->threads - 1);
}

int pool_threads(const struct pool *pool)
{
    return pool->threads;
}

void pool_run(struct pool *pool, int64_t tasks, pool_task *task, void *context)
{
    int helpers = tasks < pool->threads ? (int)tasks - 1 : pool->threads - 1;
    int i;

    pool->task = task;
    pool->context = context;
    pool->tasks = tasks;
    atomic_store_explicit(&pool->next, 0, memory_order_relaxed);
    for (i = 0; i < helpers; i++)
        post(&pool->workers[i], WORKER_POSTED);
    take_tasks(pool, 0);
    for (i = 0; i < helpers; i++)
        await_worker(&pool->workers[i]);
}
