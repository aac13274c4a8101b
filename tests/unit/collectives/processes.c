#include "processes.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define LIMIT_S 120

struct shared {
    pthread_barrier_t meeting;
    atomic_int created;
    atomic_int words[WORDS];
    struct {
        int line;
        char text[256];
    } notes[RANKS_MOST];
    char exchanged[RANKS_MOST][LLMRUN_EXCHANGE_BYTES];
};

static struct shared *shared;

atomic_int *processes_words(void)
{
    return shared->words;
}

void processes_meet(void)
{
    pthread_barrier_wait(&shared->meeting);
}

int32_t processes_exchange(void *context, const void *mine, void *all, int64_t bytes, struct llmrun_error *error)
{
    const struct rank *rank = context;

    (void)error;
    memcpy(shared->exchanged[rank->rank], mine, (size_t)bytes);
    processes_meet();
    for (int32_t i = 0; i < rank->ranks; i++)
        memcpy((char *)all + i * bytes, shared->exchanged[i], (size_t)bytes);
    processes_meet();
    return LLMRUN_OK;
}

static void run_body(const struct run *run, struct rank *rank)
{
    const struct llmrun_communicator_desc desc = {.size = sizeof desc,
                                                  .option_bytes = sizeof(struct llmrun_option),
                                                  .rank = rank->rank,
                                                  .ranks = rank->ranks,
                                                  .domain = "host",
                                                  .timeout_ns = run->timeout_ns > 0 ? run->timeout_ns : -1,
                                                  .exchange =
                                                      run->exchange != NULL ? run->exchange : processes_exchange,
                                                  .context = rank,
                                                  .options = run->options,
                                                  .option_count = run->option_count};

    CHECK(rank, rank->table->create(&desc, &rank->communicator, &rank->error) == LLMRUN_OK);
    atomic_fetch_add(&shared->created, 1);
    run->body(rank);
}

static int run_process(const struct run *run, int32_t own)
{
    struct rank rank = {.rank = own, .ranks = run->ranks, .table = ranks_table()};

    alarm(LIMIT_S);
    run_body(run, &rank);
    if (rank.failed_line != 0 && rank.communicator != NULL)
        rank.table->abort(rank.communicator);
    rank.table->destroy(rank.communicator);
    shared->notes[own].line = rank.failed_line;
    memcpy(shared->notes[own].text, rank.failed_text, sizeof rank.failed_text);
    return rank.failed_line != 0;
}

static void set_up(const struct run *run)
{
    pthread_barrierattr_t attributes;

    if (shared != NULL)
        munmap(shared, sizeof *shared);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(shared != MAP_FAILED);
    for (int i = 0; i < WORDS; i++)
        atomic_store(&shared->words[i], run->words[i]);
    pthread_barrierattr_init(&attributes);
    pthread_barrierattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_barrier_init(&shared->meeting, &attributes, (unsigned)run->ranks);
    pthread_barrierattr_destroy(&attributes);
}

void processes_run(const struct run *run)
{
    pid_t processes[RANKS_MOST];
    int endings[RANKS_MOST];

    set_up(run);
    fflush(NULL);
    for (int32_t i = 0; i < run->ranks; i++) {
        processes[i] = fork();
        assert_true(processes[i] >= 0);
        if (processes[i] == 0)
            _exit(run_process(run, i));
    }
    while (run->disturb != NULL && atomic_load(&shared->created) < run->ranks)
        usleep(100);
    if (run->disturb != NULL)
        run->disturb(processes, run->ranks);
    for (int32_t i = 0; i < run->ranks; i++)
        assert_int_equal(waitpid(processes[i], &endings[i], 0), processes[i]);
    for (int32_t i = 0; i < run->ranks; i++) {
        if (shared->notes[i].line != 0)
            fail_msg("rank %d, line %d: %s", i, shared->notes[i].line, shared->notes[i].text);
        if (endings[i] != 0 && i != run->victim)
            fail_msg("rank %d ended with %#x", i, (unsigned)endings[i]);
    }
}
