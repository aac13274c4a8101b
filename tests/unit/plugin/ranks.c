#include "ranks.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "hal/trial.h"
#include "plugin/registry.h"

#define EXCHANGE_MOST LLMRUN_EXCHANGE_BYTES

/* Which plugin, and the folder of the build that has it. */
#ifndef RANKS_PLUGIN
#define RANKS_PLUGIN "loopback"
#define RANKS_FOLDER "/lib/llmrun-test"
#endif

static const struct collective *plugin;
static pthread_barrier_t meeting;
static char exchanged[RANKS_MOST][EXCHANGE_MOST];
static void (*current)(struct rank *rank);

int ranks_open(void **state)
{
    const struct plugin_search search = {.listed = LLMRUN_BUILD_DIR RANKS_FOLDER "/libllmrun-" RANKS_PLUGIN ".so"};
    struct registry registry;
    struct error error;
    int status;

    (void)state;
    status = registry_init(&search, device_trial, &registry, &error);
    if (status == STATUS_OK)
        status = registry_open_collective(&registry, RANKS_PLUGIN, &plugin, &error);
    registry_finish(&registry);
    return status;
}

bool ranks_are_of(const char *name)
{
    return strcmp(plugin->name, name) == 0;
}

const struct llmrun_collective_table *ranks_table(void)
{
    return &plugin->table;
}

void ranks_note(struct rank *rank, int line, const char *condition)
{
    rank->failed_line = line;
    snprintf(rank->failed_text, sizeof rank->failed_text, "%s (last sentence: %.100s)", condition, rank->error.message);
}

void ranks_meet(struct rank *rank)
{
    (void)rank;
    pthread_barrier_wait(&meeting);
}

int32_t ranks_exchange(void *context, const void *mine, void *all, int64_t bytes, struct llmrun_error *error)
{
    const struct rank *rank = context;

    (void)error;
    memcpy(exchanged[rank->rank], mine, (size_t)bytes);
    pthread_barrier_wait(&meeting);
    for (int32_t i = 0; i < rank->ranks; i++)
        memcpy((char *)all + i * bytes, exchanged[i], (size_t)bytes);
    pthread_barrier_wait(&meeting);
    return LLMRUN_OK;
}

static void run_body(struct rank *rank)
{
    const struct llmrun_communicator_desc desc = {.size = sizeof desc,
                                                  .option_bytes = sizeof(struct llmrun_option),
                                                  .rank = rank->rank,
                                                  .ranks = rank->ranks,
                                                  .domain = "host",
                                                  .timeout_ns = -1,
                                                  .exchange = ranks_exchange,
                                                  .context = rank};

    CHECK(rank, rank->table->create(&desc, &rank->communicator, &rank->error) == LLMRUN_OK);
    CHECK(rank, rank->communicator != NULL);
    current(rank);
}

static void *run_thread(void *context)
{
    struct rank *rank = context;

    run_body(rank);
    if (rank->failed_line != 0 && rank->communicator != NULL)
        rank->table->abort(rank->communicator); /* nobody waits for who is gone */
    pthread_barrier_wait(&meeting);
    rank->table->destroy(rank->communicator);
    return NULL;
}

void ranks_run(int32_t ranks, void (*body)(struct rank *rank))
{
    static struct rank all[RANKS_MOST];
    pthread_t threads[RANKS_MOST];

    memset(all, 0, sizeof all);
    current = body;
    pthread_barrier_init(&meeting, NULL, (unsigned)ranks);
    for (int32_t i = 0; i < ranks; i++) {
        all[i] = (struct rank){.rank = i, .ranks = ranks, .table = &plugin->table, .all = all};
        assert_int_equal(pthread_create(&threads[i], NULL, run_thread, &all[i]), 0);
    }
    for (int32_t i = 0; i < ranks; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&meeting);
    for (int32_t i = 0; i < ranks; i++)
        if (all[i].failed_line != 0)
            fail_msg("rank %d, line %d: %s", i, all[i].failed_line, all[i].failed_text);
}
