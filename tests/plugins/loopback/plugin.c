#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "loopback.h"

struct group *group_make(int32_t ranks)
{
    struct group *group = calloc(1, sizeof *group);
    pthread_condattr_t attributes;

    if (group == NULL)
        return NULL;
    group->ranks = group->ends = ranks;
    pthread_mutex_init(&group->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&group->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    return group;
}

void group_free(struct group *group)
{
    if (group == NULL)
        return;
    pthread_cond_destroy(&group->changed);
    pthread_mutex_destroy(&group->mutex);
    free(group);
}

/* What the ranks tell each other when they meet. */
struct hello {
    int64_t process;
    struct group *group; /* rank 0's; only the address travels */
    int64_t code;
};

static int32_t check_hellos(const struct hello *all, int32_t ranks, struct llmrun_error *error)
{
    for (int32_t i = 0; i < ranks; i++) {
        if (all[i].process != all[0].process)
            return llmrun_fail(error, LLMRUN_ERROR_UNSUPPORTED, "rank %d is in another process than rank 0", i);
        if (all[i].code != LLMRUN_OK)
            return llmrun_fail(error, LLMRUN_ERROR_MEMORY, "rank %d has no memory", i);
    }
    return LLMRUN_OK;
}

static int32_t create(const struct llmrun_communicator_desc *from, struct llmrun_communicator **communicator,
                      struct llmrun_error *error)
{
    struct llmrun_communicator_desc desc;
    struct llmrun_communicator *made;
    struct hello own = {.process = getpid()}, all[RANKS_MAX];
    int32_t code;

    llmrun_copy_struct(&desc, sizeof desc, from, llmrun_size_of(from));
    if (desc.ranks < 1 || desc.rank < 0 || desc.rank >= desc.ranks)
        return llmrun_fail(error, LLMRUN_ERROR_ARGUMENT, "rank %d of %d", desc.rank, desc.ranks);
    if (desc.ranks > RANKS_MAX || strcmp(desc.domain, "host") != 0)
        return llmrun_fail(error, LLMRUN_ERROR_UNSUPPORTED,
                           "%d ranks in memory domain '%s'; up to %d in 'host' are possible", desc.ranks, desc.domain,
                           RANKS_MAX);
    made = calloc(1, sizeof *made);
    if (desc.rank == 0)
        own.group = group_make(desc.ranks);
    if (made == NULL || (desc.rank == 0 && own.group == NULL))
        own.code = LLMRUN_ERROR_MEMORY;
    code = desc.exchange(desc.context, &own, all, sizeof own, error);
    if (code == LLMRUN_OK)
        code = check_hellos(all, desc.ranks, error);
    if (code != LLMRUN_OK) {
        group_free(own.group);
        free(made);
        return code;
    }
    made->group = all[0].group;
    made->rank = desc.rank;
    *communicator = made;
    return LLMRUN_OK;
}

static bool is_side(const struct llmrun_blocks *side, const int64_t *bytes, int32_t parts)
{
    int64_t all = 0;

    if (side->blocks < 0 || side->bytes < 0)
        return false;
    for (int32_t i = 0; i < parts; i++) {
        const int64_t own = bytes != NULL ? bytes[i] : side->bytes;

        if (own < 0)
            return false;
        all += own;
    }
    return all == 0 || side->blocks == 0 || (side->address != 0 && (side->blocks == 1 || side->pitch >= all));
}

/* A call that fails in a group fails the communicator. */
static int32_t answer(struct llmrun_communicator *communicator, int32_t code, const struct llmrun_error *error)
{
    if (code != LLMRUN_OK && communicator->grouping) {
        pthread_mutex_lock(&communicator->group->mutex);
        group_fail(communicator->group, code, "%s", error != NULL ? error->message : "a call in a group failed");
        pthread_mutex_unlock(&communicator->group->mutex);
    }
    return code;
}

static int32_t post_transfer(struct llmrun_communicator *communicator, enum kind kind,
                             const struct llmrun_transfer *transfer, struct llmrun_request **request,
                             struct llmrun_error *error)
{
    const int32_t ranks = communicator->group->ranks, rank = communicator->rank;
    const bool has_peer = kind == BROADCAST || kind == SEND || kind == RECEIVE;
    struct llmrun_request draft = {.kind = kind};
    struct llmrun_transfer *own = &draft.transfer;

    llmrun_copy_struct(own, sizeof *own, transfer, llmrun_size_of(transfer));
    if (kind != ALL_TO_ALL)
        own->send_bytes = NULL;
    if (kind != ALL_TO_ALL && kind != ALL_GATHER)
        own->receive_bytes = NULL;
    if (kind == RECEIVE || (kind == BROADCAST && own->peer != rank))
        memset(&own->send, 0, sizeof own->send);
    if (kind == SEND || (kind == BROADCAST && own->peer == rank))
        memset(&own->receive, 0, sizeof own->receive);
    if (own->stream != 0 ||
        (has_peer ? own->peer < 0 || own->peer >= ranks || (kind != BROADCAST && own->peer == rank) : own->peer != -1))
        return answer(communicator, llmrun_fail(error, LLMRUN_ERROR_ARGUMENT, "peer %d of %d ranks", own->peer, ranks),
                      error);
    if (!is_side(&own->send, own->send_bytes, kind == ALL_TO_ALL ? ranks : 1) ||
        !is_side(&own->receive, own->receive_bytes, kind == ALL_TO_ALL || kind == ALL_GATHER ? ranks : 1))
        return answer(communicator,
                      llmrun_fail(error, LLMRUN_ERROR_ARGUMENT, "a side has overlapping blocks or no address"), error);
    if (own->send_bytes != NULL)
        memcpy(draft.sizes[0], own->send_bytes, (size_t)ranks * sizeof(int64_t));
    if (own->receive_bytes != NULL)
        memcpy(draft.sizes[1], own->receive_bytes, (size_t)ranks * sizeof(int64_t));
    return answer(communicator, post(communicator, &draft, request, error), error);
}

static int32_t post_reduction(struct llmrun_communicator *communicator, enum kind kind,
                              const struct llmrun_reduction *reduction, struct llmrun_request **request,
                              struct llmrun_error *error)
{
    struct llmrun_request draft = {.kind = kind};
    struct llmrun_reduction *own = &draft.reduction;

    llmrun_copy_struct(own, sizeof *own, reduction, llmrun_size_of(reduction));
    if (kind == ALL_REDUCE)
        own->counts = NULL;
    if (own->dtype != LLMRUN_F32 && own->dtype != LLMRUN_BF16 && own->dtype != LLMRUN_F16 && own->dtype != LLMRUN_U32)
        return answer(communicator, llmrun_fail(error, LLMRUN_ERROR_UNSUPPORTED, "reductions of type %u", own->dtype),
                      error);
    if (own->operation != LLMRUN_REDUCE_SUM && own->operation != LLMRUN_REDUCE_MAX)
        return answer(communicator, llmrun_fail(error, LLMRUN_ERROR_UNSUPPORTED, "the reduction %u", own->operation),
                      error);
    if (own->counts != NULL)
        memcpy(draft.sizes[0], own->counts, (size_t)communicator->group->ranks * sizeof(int64_t));
    return answer(communicator, post(communicator, &draft, request, error), error);
}

#define OPERATION(name, form, kind)                                                                                    \
    static int32_t name(struct llmrun_communicator *communicator, const struct llmrun_##form *form,                    \
                        struct llmrun_request **request, struct llmrun_error *error)                                   \
    {                                                                                                                  \
        return post_##form(communicator, kind, form, request, error);                                                  \
    }

OPERATION(all_reduce, reduction, ALL_REDUCE)
OPERATION(reduce_scatter, reduction, REDUCE_SCATTER)
OPERATION(all_gather, transfer, ALL_GATHER)
OPERATION(broadcast, transfer, BROADCAST)
OPERATION(all_to_all, transfer, ALL_TO_ALL)
OPERATION(send_to, transfer, SEND)
OPERATION(receive_from, transfer, RECEIVE)

/* Posts `draft` and waits. Who gives up has failed the communicator. */
static int32_t call(struct llmrun_communicator *communicator, const struct llmrun_request *draft, int64_t timeout_ns,
                    struct llmrun_error *error)
{
    struct llmrun_request *request = NULL;
    int32_t code = post(communicator, draft, &request, error);

    if (code == LLMRUN_OK)
        code = request_wait(request, timeout_ns, error);
    if (code == LLMRUN_ERROR_TIMEOUT)
        request_cancel(request, NULL);
    return code;
}

static int32_t barrier(struct llmrun_communicator *communicator, int64_t timeout_ns, struct llmrun_error *error)
{
    const struct llmrun_request draft = {.kind = BARRIER};

    return call(communicator, &draft, timeout_ns, error);
}

static void destroy(struct llmrun_communicator *communicator)
{
    struct group *group;
    bool last;

    if (communicator == NULL)
        return;
    group = communicator->group;
    pthread_mutex_lock(&group->mutex);
    last = --group->ends == 0;
    pthread_mutex_unlock(&group->mutex);
    if (last)
        group_free(group);
    free(communicator);
}

static int32_t split(struct llmrun_communicator *communicator, int32_t color, int32_t key, int64_t timeout_ns,
                     struct llmrun_communicator **part, struct llmrun_error *error)
{
    const struct llmrun_request draft = {.kind = SPLIT, .color = color, .key = key, .part = part};
    int32_t code;

    *part = NULL;
    code = call(communicator, &draft, timeout_ns, error);
    if (code != LLMRUN_OK) {
        destroy(*part); /* made while this rank gave up */
        *part = NULL;
    }
    return code;
}

/* The place of rank `own` among those of its color, of which there are *members. */
static int32_t place(struct llmrun_request *const *all, int32_t count, int32_t own, int32_t *members)
{
    int32_t before = 0;

    *members = 0;
    for (int32_t i = 0; i < count; i++)
        if (all[i]->color == all[own]->color) {
            ++*members;
            before += all[i]->key < all[own]->key || (all[i]->key == all[own]->key && i < own);
        }
    return before;
}

int32_t divide(struct llmrun_request *const *all, int32_t count, struct llmrun_error *error)
{
    struct llmrun_communicator *made[RANKS_MAX] = {NULL};
    struct group *groups[RANKS_MAX] = {NULL}; /* by the rank whose place is 0 */
    bool lacking = false;
    int32_t members;

    for (int32_t i = 0; i < count; i++) {
        if (all[i]->color < 0)
            continue;
        made[i] = calloc(1, sizeof *made[i]);
        if (place(all, count, i, &members) == 0)
            groups[i] = group_make(members);
        lacking |= made[i] == NULL || (place(all, count, i, &members) == 0 && groups[i] == NULL);
    }
    for (int32_t i = 0; i < count; i++) {
        if (lacking) {
            free(made[i]);
            group_free(groups[i]);
        } else if (made[i] != NULL) {
            made[i]->rank = place(all, count, i, &members);
            for (int32_t k = 0; k < count; k++)
                if (groups[k] != NULL && all[k]->color == all[i]->color)
                    made[i]->group = groups[k];
            *all[i]->part = made[i];
        }
    }
    return lacking ? llmrun_fail(error, LLMRUN_ERROR_MEMORY, "no memory for a communicator") : LLMRUN_OK;
}

/* Operations start when they are posted, and no send waits for its receive: nothing is to be started together. */
static int32_t group_begin(struct llmrun_communicator *communicator, struct llmrun_error *error)
{
    if (communicator->grouping)
        return llmrun_fail(error, LLMRUN_ERROR_ARGUMENT, "a group in a group");
    communicator->grouping = true;
    return LLMRUN_OK;
}

static int32_t status(struct llmrun_communicator *communicator, struct llmrun_error *error)
{
    struct group *group = communicator->group;
    int32_t code;

    pthread_mutex_lock(&group->mutex);
    code = group->failure.code;
    if (code != LLMRUN_OK)
        llmrun_fail(error, code, "%s", group->failure.message);
    pthread_mutex_unlock(&group->mutex);
    return code;
}

static int32_t group_end(struct llmrun_communicator *communicator, struct llmrun_error *error)
{
    if (!communicator->grouping)
        return llmrun_fail(error, LLMRUN_ERROR_ARGUMENT, "no group was begun");
    communicator->grouping = false;
    return status(communicator, error);
}

static void end_all(struct llmrun_communicator *communicator)
{
    pthread_mutex_lock(&communicator->group->mutex);
    group_fail(communicator->group, LLMRUN_ERROR_ABORTED, "rank %d aborted", communicator->rank);
    pthread_mutex_unlock(&communicator->group->mutex);
}

LLMRUN_PLUGIN_NOTE(LLMRUN_PLUGIN_COLLECTIVE, "loopback", "0.1.0");

static const struct llmrun_collective_table table = {
    .size = sizeof table,
    .create = create,
    .split = split,
    .all_reduce = all_reduce,
    .reduce_scatter = reduce_scatter,
    .all_gather = all_gather,
    .broadcast = broadcast,
    .all_to_all = all_to_all,
    .send = send_to,
    .receive = receive_from,
    .group_begin = group_begin,
    .group_end = group_end,
    .barrier = barrier,
    .wait = request_wait,
    .cancel = request_cancel,
    .status = status,
    .abort = end_all,
    .destroy = destroy,
};

static const char *const domains[] = {"host", NULL};

static const struct llmrun_collective collective = {
    .size = sizeof collective,
    .abi_major = LLMRUN_ABI_MAJOR,
    .abi_minor = LLMRUN_ABI_MINOR,
    .mode = LLMRUN_COLLECTIVE_HOST_DRIVEN,
    .name = "loopback",
    .version = "0.1.0",
    .domains = domains,
    .table = &table,
};

const struct llmrun_collective *llmrun_collective_entry(const struct llmrun_host *host, struct llmrun_error *error)
{
    return llmrun_check_host(host, "loopback", error) == LLMRUN_OK ? &collective : NULL;
}
