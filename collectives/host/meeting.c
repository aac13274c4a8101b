#include "meeting.h"

#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <llmrun/plugin.h>

#include "connect.h"
#include "engine.h"

#define ORDER_MARK 0x01020304
#define VERSION    1
/* Of connecting, where create has no limit: a rank that gave up is known only when all have finished. */
#define CONNECT_NS INT64_C(60000000000)

static void read_line(const char *path, char *line, size_t bytes)
{
    FILE *file = fopen(path, "re");

    line[0] = '\0';
    if (file == NULL)
        return;
    if (fgets(line, (int)bytes, file) == NULL)
        line[0] = '\0';
    fclose(file);
    line[strcspn(line, "\n")] = '\0';
}

static void introduce(struct hello *hello, const struct options *options)
{
    struct stat network;

    memset(hello, 0, sizeof *hello);
    *hello = (struct hello){
        .order = ORDER_MARK, .version = VERSION, .transport = (int32_t)options->transport, .pid = (int32_t)getpid()};
    if (stat("/proc/self/ns/net", &network) == 0)
        hello->network = network.st_ino;
    read_line("/proc/sys/kernel/random/boot_id", hello->machine, sizeof hello->machine);
    if (gethostname(hello->host, sizeof hello->host - 1) != 0)
        strcpy(hello->host, "a host without a name");
}

static int32_t check_hellos(const struct meeting *meeting, struct llmrun_error *error)
{
    const struct hello *own = &meeting->hellos[meeting->desc->rank];

    for (int32_t i = 0; i < meeting->desc->ranks; i++) {
        struct hello *other = &meeting->hellos[i];

        other->host[sizeof other->host - 1] = other->machine[sizeof other->machine - 1] = '\0';
        if (other->order != ORDER_MARK || other->version != VERSION)
            return llmrun_fail(error, LLMRUN_ERROR_VERSION,
                               "rank %d on %s runs another version of the collective host, or has another byte order",
                               i, other->host);
        if (other->transport != own->transport)
            return llmrun_fail(error, LLMRUN_ERROR_ARGUMENT,
                               "rank %d has another option transport than rank %d; give all the same", i,
                               meeting->desc->rank);
        meeting->mesh->neighbours += strcmp(other->machine, own->machine) == 0;
        if (own->transport == TRANSPORT_SHM && i != meeting->desc->rank && !connect_is_local(meeting, i))
            return llmrun_fail(error, LLMRUN_ERROR_UNSUPPORTED,
                               "transport is shm, but rank %d is on %s and rank %d on %s; choose auto or tcp", i,
                               other->host, meeting->desc->rank, own->host);
    }
    return LLMRUN_OK;
}

static int32_t exchange(const struct meeting *meeting, const void *mine, void *all, int64_t bytes,
                        struct llmrun_error *error)
{
    return meeting->desc->exchange(meeting->desc->context, mine, all, bytes, error);
}

/* Tells where this rank is, or that it gives up, and learns the same of all. */
static int32_t exchange_whereabouts(struct meeting *meeting, struct llmrun_error *error)
{
    struct whereabouts *mine = calloc(1, (size_t)meeting->told_bytes);
    struct llmrun_error own = {0};
    int32_t code;

    if (mine == NULL)
        return llmrun_fail(error, LLMRUN_ERROR_MEMORY, "there is no memory for %d ranks", meeting->desc->ranks);
    if (getrandom(mine + 1, (size_t)(meeting->desc->ranks * TOKEN_BYTES), 0) != meeting->desc->ranks * TOKEN_BYTES ||
        getrandom(meeting->probe, TOKEN_BYTES, 0) != TOKEN_BYTES)
        mine->code = llmrun_fail(&own, LLMRUN_ERROR_DEVICE, "the system gives no random bytes");
    else
        mine->code = connect_listen(meeting, mine, &own);
    memcpy(mine->message, own.message, sizeof mine->message - 1);
    code = exchange(meeting, mine, meeting->told, meeting->told_bytes, error);
    free(mine);
    for (int32_t i = 0; i < meeting->desc->ranks && code == LLMRUN_OK; i++) {
        const struct whereabouts *other = (const void *)(meeting->told + i * meeting->told_bytes);

        if (other->code != LLMRUN_OK)
            code = llmrun_fail(error, LLMRUN_ERROR_DEVICE, "rank %d cannot listen: %.255s", i, other->message);
    }
    return code;
}

struct outcome {
    int32_t code;
    int32_t shared;
    char message[256];
};

/* Connects, and says so to all. */
static int32_t exchange_outcomes(struct meeting *meeting, struct llmrun_error *error)
{
    struct outcome mine = {.shared = 1}, *all = calloc((size_t)meeting->desc->ranks, sizeof *all);
    struct mesh *mesh = meeting->mesh;
    struct llmrun_error own = {0};
    int32_t code;

    mine.code = all == NULL ? LLMRUN_ERROR_MEMORY : connect_all(meeting, &own);
    memcpy(mine.message, own.message, sizeof mine.message - 1);
    for (int32_t i = 0; i < mesh->ranks; i++)
        if (mesh->links[i] != NULL && mesh->links[i]->wire != &wire_shared)
            mine.shared = 0;
    if (all == NULL)
        return llmrun_fail(error, LLMRUN_ERROR_MEMORY, "there is no memory for %d ranks", mesh->ranks);
    code = exchange(meeting, &mine, all, sizeof mine, error);
    mesh->shared = true;
    for (int32_t i = 0; i < mesh->ranks && code == LLMRUN_OK; i++) {
        mesh->shared &= all[i].shared != 0;
        if (all[i].code != LLMRUN_OK)
            code = llmrun_fail(error, all[i].code, "rank %d on %s: %.255s", i, meeting->hellos[i].host, all[i].message);
    }
    free(all);
    return code;
}

int32_t meeting_hold(const struct llmrun_communicator_desc *desc, const struct options *options, int bell,
                     struct mesh *mesh, struct llmrun_error *error)
{
    const int64_t limit_ns = desc->timeout_ns < 0 ? CONNECT_NS : desc->timeout_ns, now_ns = engine_now_ns();
    struct meeting meeting = {.desc = desc,
                              .options = options,
                              .mesh = mesh,
                              .bell = bell,
                              .until_ns = limit_ns > INT64_MAX - now_ns ? INT64_MAX : now_ns + limit_ns,
                              .told_bytes = (int64_t)sizeof(struct whereabouts) + (int64_t)desc->ranks * TOKEN_BYTES,
                              .listeners = {-1, -1}};
    struct hello own;
    int32_t code;

    meeting.hellos = calloc((size_t)desc->ranks, sizeof *meeting.hellos);
    meeting.told = calloc((size_t)desc->ranks, (size_t)meeting.told_bytes);
    introduce(&own, options);
    if (meeting.hellos == NULL || meeting.told == NULL)
        code = llmrun_fail(error, LLMRUN_ERROR_MEMORY, "there is no memory for %d ranks", desc->ranks);
    else
        code = exchange(&meeting, &own, meeting.hellos, sizeof own, error);
    if (code == LLMRUN_OK)
        code = check_hellos(&meeting, error);
    if (code == LLMRUN_OK)
        code = exchange_whereabouts(&meeting, error);
    if (code == LLMRUN_OK)
        code = exchange_outcomes(&meeting, error);
    connect_close(&meeting);
    free(meeting.hellos);
    free(meeting.told);
    return code;
}
