#include "rank_threads.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* With the lock held. */
static int meet(struct rank_thread *rank, struct error *error)
{
    struct rank_threads *group = rank->group;
    const int64_t meeting = group->meetings;

    if (++group->arrived == group->count) {
        group->arrived = 0;
        group->meetings++;
        pthread_cond_broadcast(&group->changed);
    }
    while (group->meetings == meeting && !group->broken)
        pthread_cond_wait(&group->changed, &group->lock);
    return group->meetings > meeting ? STATUS_OK : error_set(error, STATUS_PEER, "a rank is gone");
}

/* False where this rank, or another one, is gone. */
static bool enter(struct rank_thread *rank)
{
    pthread_mutex_lock(&rank->group->lock);
    rank->calls++;
    if (rank->gone_from > 0 && rank->calls >= rank->gone_from) {
        rank->group->broken = true;
        pthread_cond_broadcast(&rank->group->changed);
    }
    return !rank->group->broken;
}

static char *copy_of(const char *data, int64_t bytes)
{
    char *copy = malloc((size_t)bytes + 1);

    if (bytes > 0)
        memcpy(copy, data, (size_t)bytes);
    return copy;
}

static int gather(void *context, const void *mine, int64_t bytes, char **all, int64_t *sizes, struct error *error)
{
    struct rank_thread *rank = context;
    struct rank_threads *group = rank->group;
    int status = STATUS_PEER;
    int64_t sum = 0;

    *all = NULL;
    if (!enter(rank)) {
        pthread_mutex_unlock(&group->lock);
        return error_set(error, STATUS_PEER, "a rank is gone");
    }
    free(group->given[rank->ranks.rank]);
    group->given[rank->ranks.rank] = copy_of(mine, bytes);
    group->given_bytes[rank->ranks.rank] = bytes;
    status = meet(rank, error);
    if (status == STATUS_OK && rank->ranks.rank == 0) {
        for (int32_t i = 0; i < group->count; i++)
            sum += group->given_bytes[i];
        *all = malloc((size_t)sum + 1);
        sum = 0;
        for (int32_t i = 0; i < group->count; i++) {
            memcpy(*all + sum, group->given[i], (size_t)group->given_bytes[i]);
            sum += sizes[i] = group->given_bytes[i];
        }
    }
    pthread_mutex_unlock(&group->lock);
    return status;
}

static int broadcast(void *context, const void *mine, int64_t bytes, char **told, int64_t *told_bytes,
                     struct error *error)
{
    struct rank_thread *rank = context;
    struct rank_threads *group = rank->group;
    int status;

    if (!enter(rank)) {
        pthread_mutex_unlock(&group->lock);
        return error_set(error, STATUS_PEER, "a rank is gone");
    }
    if (rank->ranks.rank == 0) {
        free(group->told);
        group->told = copy_of(mine, bytes);
        group->told_bytes = bytes;
    }
    status = meet(rank, error);
    if (status == STATUS_OK) {
        *told = copy_of(group->told, group->told_bytes);
        *told_bytes = group->told_bytes;
    }
    pthread_mutex_unlock(&group->lock);
    return status;
}

void rank_threads_init(struct rank_threads *group, int32_t count)
{
    memset(group, 0, sizeof *group);
    group->count = count;
    pthread_mutex_init(&group->lock, NULL);
    pthread_cond_init(&group->changed, NULL);
    for (int32_t i = 0; i < count; i++) {
        struct rank_thread *thread = &group->threads[i];

        thread->group = group;
        thread->ranks = (struct checkpoint_ranks){i, count, gather, broadcast, thread};
    }
}

void rank_threads_finish(struct rank_threads *group)
{
    for (int32_t i = 0; i < group->count; i++)
        free(group->given[i]);
    free(group->told);
    pthread_cond_destroy(&group->changed);
    pthread_mutex_destroy(&group->lock);
}

struct start {
    struct rank_thread *rank;
    int (*work)(struct rank_thread *rank, struct error *error);
};

static void *run(void *argument)
{
    struct start *start = argument;

    start->rank->status = start->work(start->rank, &start->rank->error);
    return NULL;
}

void rank_threads_run(struct rank_threads *group, int (*work)(struct rank_thread *rank, struct error *error))
{
    struct start starts[RANKS_MOST];
    pthread_t threads[RANKS_MOST];

    for (int32_t i = 0; i < group->count; i++) {
        starts[i] = (struct start){&group->threads[i], work};
        group->threads[i].error = (struct error){0};
        assert_int_equal(pthread_create(&threads[i], NULL, run, &starts[i]), 0);
    }
    for (int32_t i = 0; i < group->count; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}
