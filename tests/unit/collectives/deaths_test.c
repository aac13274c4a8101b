/* What the plugin host does when ranks die, stop, leave, abort or do not come. Seeds of random moments stand in the
 * names of what fails. */
#include <dirent.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "every.h"
#include "processes.h"

#define MS           INT64_C(1000000)
#define TABLE(rank)  (rank)->table
#define NOTICED_MS   2000 /* "at once", on a machine that does other things too */
#define BUFFER_BYTES (1 << 20)

enum { READY, STOPPED, CONTINUED, BYTES };

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / MS;
}

static struct llmrun_blocks side(const void *address, int64_t bytes)
{
    return (struct llmrun_blocks){(uint64_t)(uintptr_t)address, 1, bytes, bytes};
}

/* All ranks' gathering of `bytes` bytes each. */
static int32_t gather(struct rank *rank, int64_t bytes, int64_t timeout_ns)
{
    static char from[BUFFER_BYTES], to[RANKS_MOST * BUFFER_BYTES];
    const struct llmrun_transfer what = {
        .size = sizeof what, .peer = -1, .send = side(from, bytes), .receive = side(to, bytes)};
    struct llmrun_request *request;
    int32_t code = TABLE(rank)->all_gather(rank->communicator, &what, &request, &rank->error);

    if (code != LLMRUN_OK)
        return code;
    code = TABLE(rank)->wait(request, timeout_ns, &rank->error);
    if (code == LLMRUN_ERROR_TIMEOUT)
        TABLE(rank)->cancel(request, NULL);
    return code;
}

/* ---- a rank is killed ---- */

#define VICTIM 1

static void gather_until_one_dies(struct rank *rank)
{
    const int64_t start = now_ms(), bytes = atomic_load(&processes_words()[BYTES]);
    char name[64];
    int32_t code = LLMRUN_OK;

    while (code == LLMRUN_OK && now_ms() - start < 20000)
        code = gather(rank, bytes, 10000 * MS);
    CHECK(rank, code == LLMRUN_ERROR_DEVICE);
    snprintf(name, sizeof name, "rank %d (process ", VICTIM);
    CHECK(rank, strstr(rank->error.message, name) != NULL);
    CHECK(rank, strstr(rank->error.message, " is gone: ") != NULL);
    CHECK(rank, TABLE(rank)->status(rank->communicator, &rank->error) == LLMRUN_ERROR_DEVICE);
    CHECK(rank, gather(rank, bytes, 10000 * MS) == LLMRUN_ERROR_DEVICE);
}

static unsigned seed;

static void kill_one(const pid_t *processes, int32_t ranks)
{
    (void)ranks;
    usleep((useconds_t)(rand_r(&seed) % 20000));
    kill(processes[VICTIM], SIGKILL);
}

static void a_killed_rank_is_named_by_all_others_at_once(void **state)
{
    static const int64_t bytes[] = {64, 16000, 300000, BUFFER_BYTES};
    int64_t start;

    (void)state;
    for (unsigned i = 0; i < 24; i += EVERY(6)) {
        const struct run run = {.ranks = 2 + (int32_t)(i % 3),
                                .body = gather_until_one_dies,
                                .disturb = kill_one,
                                .victim = VICTIM,
                                .words = {[BYTES] = (int)bytes[i / 3 % 4]}};

        seed = i;
        start = now_ms();
        processes_run(&run);
        if (now_ms() - start > NOTICED_MS)
            fail_msg("seed %u: the ranks needed %lld ms", i, (long long)(now_ms() - start));
    }
}

/* ---- a rank stops for a while ---- */

/* Rank 0 says before each gathering whether it is the last one. */
static void gather_across_a_stop(struct rank *rank)
{
    static char from[300000], to[2 * 300000];
    const struct llmrun_transfer what = {
        .size = sizeof what, .peer = -1, .send = side(from, 300000), .receive = side(to, 300000)};
    struct llmrun_request *request;

    for (bool last = false; !last; last = from[0] + to[0] > 0) {
        int32_t code = LLMRUN_ERROR_TIMEOUT;

        from[0] = rank->rank == 0 && atomic_load(&processes_words()[CONTINUED]) != 0;
        CHECK(rank, TABLE(rank)->all_gather(rank->communicator, &what, &request, &rank->error) == LLMRUN_OK);
        while (code == LLMRUN_ERROR_TIMEOUT) {
            code = TABLE(rank)->wait(request, 50 * MS, &rank->error);
            CHECK(rank, TABLE(rank)->status(rank->communicator, NULL) == LLMRUN_OK);
            if (code == LLMRUN_ERROR_TIMEOUT && rank->rank == 0) {
                CHECK(rank, strcmp(rank->error.message, "all_gather: rank 0 waits for rank 1") == 0);
                atomic_fetch_add(&processes_words()[STOPPED], 1);
            }
        }
        CHECK(rank, code == LLMRUN_OK);
    }
}

static void stop_one(const pid_t *processes, int32_t ranks)
{
    (void)ranks;
    usleep(20000);
    kill(processes[VICTIM], SIGSTOP);
    while (atomic_load(&processes_words()[STOPPED]) < 3)
        usleep(1000);
    kill(processes[VICTIM], SIGCONT);
    usleep(20000);
    atomic_store(&processes_words()[CONTINUED], 1);
}

static void a_stopped_rank_leads_to_timeouts_only(void **state)
{
    (void)state;
    processes_run(&(struct run){.ranks = 2, .body = gather_across_a_stop, .disturb = stop_one, .victim = -1});
}

/* ---- aborts ---- */

static void *abort_soon(void *context)
{
    struct rank *rank = context;

    usleep(50000);
    TABLE(rank)->abort(rank->communicator);
    return NULL;
}

/* Rank 2 takes no part in the gathering: it waits for a message that nobody sends, and all others for it. */
static void abort_from_another_thread(struct rank *rank)
{
    static char never[4];
    const struct llmrun_transfer what = {.size = sizeof what, .peer = 0, .receive = side(never, sizeof never)};
    const int64_t start = now_ms();
    struct llmrun_request *request;
    pthread_t thread;

    if (rank->rank == 2) {
        CHECK(rank, pthread_create(&thread, NULL, abort_soon, rank) == 0);
        CHECK(rank, TABLE(rank)->receive(rank->communicator, &what, &request, &rank->error) == LLMRUN_OK);
        CHECK(rank, TABLE(rank)->wait(request, -1, &rank->error) == LLMRUN_ERROR_ABORTED);
        pthread_join(thread, NULL);
    } else {
        CHECK(rank, gather(rank, 300000, -1) == LLMRUN_ERROR_ABORTED);
    }
    CHECK(rank, strcmp(rank->error.message, "rank 2 aborted") == 0);
    CHECK(rank, now_ms() - start < NOTICED_MS);
}

static void an_abort_wakes_every_rank(void **state)
{
    (void)state;
    processes_run(&(struct run){.ranks = 4, .body = abort_from_another_thread, .victim = -1});
}

static void call_another_operation(struct rank *rank)
{
    if (rank->rank == 0) {
        TABLE(rank)->barrier(rank->communicator, 10000 * MS, &rank->error);
        CHECK(rank, gather(rank, 64, 10000 * MS) == LLMRUN_ERROR_ARGUMENT);
    } else {
        CHECK(rank, gather(rank, 64, 10000 * MS) == LLMRUN_ERROR_ARGUMENT);
    }
    CHECK(rank, strcmp(rank->error.message, "rank 0 calls barrier where rank 1 calls all_gather: their operation "
                                            "number 0") == 0 ||
                    strcmp(rank->error.message, "rank 1 calls all_gather where rank 0 calls barrier: their operation "
                                                "number 0") == 0);
}

static void a_rank_that_calls_another_operation_is_named(void **state)
{
    (void)state;
    processes_run(&(struct run){.ranks = 2, .body = call_another_operation, .victim = -1});
}

/* ---- deadlines, and ranks that leave ---- */

static void wait_for_nobody(struct rank *rank)
{
    const int64_t start = now_ms();

    if (rank->rank == 0) {
        CHECK(rank, TABLE(rank)->barrier(rank->communicator, 100 * MS, &rank->error) == LLMRUN_ERROR_TIMEOUT);
        CHECK(rank, strcmp(rank->error.message, "barrier: rank 0 waits for rank 1") == 0);
        CHECK(rank, now_ms() - start >= 100 && now_ms() - start < NOTICED_MS);
        CHECK(rank, TABLE(rank)->status(rank->communicator, &rank->error) == LLMRUN_ERROR_ABORTED);
    }
    processes_meet();
}

static void a_barrier_has_a_deadline(void **state)
{
    (void)state;
    processes_run(&(struct run){.ranks = 2, .body = wait_for_nobody, .victim = -1});
}

static void leave_early(struct rank *rank)
{
    if (rank->rank == 1) {
        TABLE(rank)->destroy(rank->communicator);
        rank->communicator = NULL;
    } else {
        CHECK(rank, gather(rank, 64, 10000 * MS) == LLMRUN_ERROR_DEVICE);
        CHECK(rank, strstr(rank->error.message, "rank 1 destroyed its communicator") != NULL);
    }
    processes_meet();
}

static void a_rank_that_left_is_told(void **state)
{
    (void)state;
    processes_run(&(struct run){.ranks = 2, .body = leave_early, .victim = -1});
}

/* What was sent before a rank left still arrives. */
static void send_and_leave(struct rank *rank)
{
    static char bytes[10000];
    struct llmrun_transfer what = {.size = sizeof what, .peer = 1 - rank->rank};
    struct llmrun_request *request;

    if (rank->rank == 0) {
        memset(bytes, 'x', sizeof bytes);
        what.send = side(bytes, sizeof bytes);
        CHECK(rank, TABLE(rank)->send(rank->communicator, &what, &request, &rank->error) == LLMRUN_OK);
        CHECK(rank, TABLE(rank)->wait(request, -1, &rank->error) == LLMRUN_OK);
        TABLE(rank)->destroy(rank->communicator);
        rank->communicator = NULL;
    }
    processes_meet();
    if (rank->rank == 1) {
        what.receive = side(bytes, sizeof bytes);
        CHECK(rank, TABLE(rank)->receive(rank->communicator, &what, &request, &rank->error) == LLMRUN_OK);
        CHECK(rank, TABLE(rank)->wait(request, 10000 * MS, &rank->error) == LLMRUN_OK);
        CHECK(rank, bytes[0] == 'x' && bytes[sizeof bytes - 1] == 'x');
    }
}

static void what_was_sent_before_a_rank_left_arrives(void **state)
{
    (void)state;
    processes_run(&(struct run){.ranks = 2, .body = send_and_leave, .victim = -1});
}

/* ---- leftovers ---- */

/* But for folders of other tests, which may run at the same time. */
static int entries(const char *folder)
{
    DIR *open = opendir(folder);
    const struct dirent *entry;
    int count = 0;

    if (open == NULL)
        return 0;
    while ((entry = readdir(open)) != NULL)
        count += strncmp(entry->d_name, "llmrun-test", 11) != 0;
    closedir(open);
    return count;
}

static void create_again(struct rank *rank)
{
    const int before = entries("/proc/self/fd");
    struct llmrun_communicator *parts[20] = {NULL};

    for (int i = 0; i < 20; i++)
        CHECK(rank,
              TABLE(rank)->split(rank->communicator, rank->rank % 2, 0, -1, &parts[i], &rank->error) == LLMRUN_OK);
    for (int i = 0; i < 20; i++)
        TABLE(rank)->destroy(parts[i]);
    CHECK(rank, entries("/proc/self/fd") == before);
    TABLE(rank)->destroy(rank->communicator);
    rank->communicator = NULL;
    CHECK(rank, entries("/proc/self/fd") < before);
}

static void nothing_is_left_behind(void **state)
{
    const int files = entries("/dev/shm"), descriptors = entries("/proc/self/fd");

    (void)state;
    processes_run(&(struct run){.ranks = 4, .body = create_again, .victim = -1});
    a_killed_rank_is_named_by_all_others_at_once(state);
    assert_int_equal(entries("/dev/shm"), files);
    assert_int_equal(entries("/proc/self/fd"), descriptors);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_killed_rank_is_named_by_all_others_at_once),
        cmocka_unit_test(a_stopped_rank_leads_to_timeouts_only),
        cmocka_unit_test(an_abort_wakes_every_rank),
        cmocka_unit_test(a_rank_that_calls_another_operation_is_named),
        cmocka_unit_test(a_barrier_has_a_deadline),
        cmocka_unit_test(a_rank_that_left_is_told),
        cmocka_unit_test(what_was_sent_before_a_rank_left_arrives),
        cmocka_unit_test(nothing_is_left_behind),
    };

    return cmocka_run_group_tests_name("host deaths", tests, ranks_open, NULL);
}
