#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "runtime/machine.h"
#include "runtime/pool.h"
#include "support.h"

#define MOST_TASKS 1000

struct tally {
    int runs[MOST_TASKS]; /* plain: each is written by one task, and read after pool_run */
    int threads;
    _Atomic int strangers; /* thread numbers outside the pool */
};

static void count_task(void *context, int64_t task, int thread)
{
    struct tally *tally = context;

    tally->runs[task]++;
    if (thread < 0 || thread >= tally->threads)
        tally->strangers++;
}

static void each_task_runs_once_for_every_number_of_tasks_and_threads(void **state)
{
    static const int threads[] = {1, 2, 3, 8};
    static const int tasks[] = {0, 1, 2, 7, MOST_TASKS};
    size_t i, j;
    int task;

    (void)state;
    for (i = 0; i < sizeof(threads) / sizeof(threads[0]); i++) {
        struct pool *pool = pool_create(threads[i]);

        assert_non_null(pool);
        assert_int_equal(pool_threads(pool), threads[i]);
        for (j = 0; j < sizeof(tasks) / sizeof(tasks[0]); j++) {
            struct tally tally = {.threads = threads[i]};

            pool_run(pool, tasks[j], count_task, &tally);
            for (task = 0; task < MOST_TASKS; task++)
                assert_int_equal(tally.runs[task], task < tasks[j]);
            assert_int_equal(tally.strangers, 0);
        }
        pool_destroy(pool);
    }
}

/* The caller's task is done first; the other thread's takes longer. */
static void slow_task(void *context, int64_t task, int thread)
{
    int *done = context;

    nanosleep(&(struct timespec){0, thread == 0 ? 5000000 : 20000000}, NULL);
    done[task] = 1;
}

static void a_piece_ends_when_the_slowest_thread_is_done(void **state)
{
    struct pool *pool = pool_create(2);
    int done[2] = {0, 0};

    (void)state;
    pool_run(pool, 2, slow_task, done);
    assert_int_equal(done[0] + done[1], 2);
    pool_destroy(pool);
}

static void thousands_of_small_pieces_in_a_row_lose_no_task(void **state)
{
    struct pool *pool = pool_create(4);
    struct tally tally = {.threads = 4};
    int piece, task;

    (void)state;
    for (piece = 0; piece < 3000; piece++) {
        /* Now and then long enough for the workers to fall asleep. */
        if (piece % 500 == 0)
            nanosleep(&(struct timespec){0, 2000000}, NULL);
        pool_run(pool, 5, count_task, &tally);
    }
    for (task = 0; task < 5; task++)
        assert_int_equal(tally.runs[task], 3000);
    pool_destroy(pool);
}

static int64_t processor_time_ns(void)
{
    struct timespec time;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static void an_idle_pool_uses_no_processor_time(void **state)
{
    struct pool *pool = pool_create(4);
    struct tally tally = {.threads = 4};
    int64_t before;

    (void)state;
    pool_run(pool, 8, count_task, &tally);
    nanosleep(&(struct timespec){0, 20000000}, NULL);
    before = processor_time_ns();
    nanosleep(&(struct timespec){0, 100000000}, NULL);
    assert_true(processor_time_ns() - before < 10000000);
    pool_destroy(pool);
}

static void more_threads_than_processors_never_spin(void **state)
{
    int processors = machine_processors();

    (void)state;
    assert_int_equal(machine_spins(processors + 1), 0);
    assert_true(machine_spins(processors) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_task_runs_once_for_every_number_of_tasks_and_threads),
        cmocka_unit_test(a_piece_ends_when_the_slowest_thread_is_done),
        cmocka_unit_test(thousands_of_small_pieces_in_a_row_lose_no_task),
        cmocka_unit_test(an_idle_pool_uses_no_processor_time),
        cmocka_unit_test(more_threads_than_processors_never_spin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
