#include "checkpoint/save.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "checkpoint/distributed_save.h"
#include "checkpoint/manifest.h"
#include "checkpoint/retain.h"

static int write_tensors(const struct checkpoint_snapshot *snapshot, struct checkpoint_writer *writer,
                         struct error *error)
{
    int result = STATUS_OK;

    for (int64_t i = 0; i < snapshot->count && result == STATUS_OK; i++)
        result = checkpoint_writer_add(writer, snapshot->forms[i].name, snapshot->data[i],
                                       safetensors_form_bytes(&snapshot->forms[i]), error);
    return result;
}

static int save_alone(const struct checkpoint_snapshot *snapshot, int64_t *bytes, struct error *error)
{
    struct checkpoint_writer *writer = NULL;
    int result =
        checkpoint_writer_begin(&snapshot->target, snapshot->forms, snapshot->count, snapshot->state, &writer, error);

    if (result != STATUS_OK)
        return result;
    *bytes = checkpoint_writer_bytes(writer);
    result = write_tensors(snapshot, writer, error);
    for (int64_t i = 0; i < snapshot->file_count && result == STATUS_OK; i++) {
        const struct checkpoint_blob *file = &snapshot->files[i];

        result = checkpoint_writer_add_file(writer, file->name, file->data, file->bytes, error);
        *bytes += file->bytes;
    }
    if (result == STATUS_OK)
        return checkpoint_writer_commit(writer, error);
    checkpoint_writer_abort(writer);
    return result;
}

static void retain(const struct checkpoint_snapshot *snapshot)
{
    const struct checkpoint_target *target = &snapshot->target;
    struct error removal = {0};
    int64_t branch = 0;

    if (snapshot->state != NULL)
        (void)checkpoint_state_integer(snapshot->state, MANIFEST_BRANCH_KEY, &branch);
    if (checkpoint_retain(target->fs, target->folder, snapshot->keep, branch, target->step, &removal) != STATUS_OK)
        log_line(LOG_WARNING, "an old checkpoint stays: %s", removal.message);
}

int checkpoint_save(const struct checkpoint_snapshot *snapshot, int64_t *bytes, struct error *error)
{
    struct error reason = snapshot->refusal;
    int64_t total = 0;
    int result;

    if (snapshot->ranks != NULL)
        result = save_distributed(snapshot, &total, &reason);
    else
        result = reason.status != STATUS_OK ? reason.status : save_alone(snapshot, &total, &reason);
    if (result != STATUS_OK)
        return error_set(error, result, "%s", reason.message);
    if (bytes != NULL)
        *bytes = total;
    if (snapshot->ranks == NULL || snapshot->ranks->rank == 0)
        retain(snapshot);
    return STATUS_OK;
}

struct checkpoint_async {
    bool started;  /* a save, whose result was not asked for */
    bool threaded; /* in a thread that is to be joined */
    bool said;     /* that there is none */
    pthread_t thread;
    atomic_bool done; /* set by the thread at its end; all else is the owner's before start and after join */
    struct checkpoint_snapshot snapshot;
    int result;
    int64_t bytes;
    struct error error;
};

int checkpoint_async_create(struct checkpoint_async **async, struct error *error)
{
    *async = calloc(1, sizeof **async);
    if (*async == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for saving in the background");
    return STATUS_OK;
}

static void *save_in_thread(void *argument)
{
    struct checkpoint_async *async = argument;

    async->result = checkpoint_save(&async->snapshot, &async->bytes, &async->error);
    atomic_store(&async->done, true);
    return NULL;
}

/* Signals stay with the threads that expect them. */
static int start_thread(struct checkpoint_async *async)
{
    sigset_t all, before;
    int result;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    result = pthread_create(&async->thread, NULL, save_in_thread, async);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return result;
}

int checkpoint_async_start(struct checkpoint_async *async, const struct checkpoint_snapshot *snapshot,
                           struct error *error)
{
    int result = checkpoint_async_wait(async, NULL, error);

    if (result != STATUS_OK)
        return result;
    async->snapshot = *snapshot;
    async->bytes = 0;
    atomic_store(&async->done, false);
    async->started = true;
    result = start_thread(async);
    async->threaded = result == 0;
    if (async->threaded)
        return STATUS_OK;
    if (!async->said)
        log_line(LOG_WARNING, "there is no thread for saving in the background (%s); training waits for each save",
                 strerror(result));
    async->said = true;
    (void)save_in_thread(async);
    return STATUS_OK;
}

bool checkpoint_async_busy(const struct checkpoint_async *async)
{
    return async->started && !atomic_load(&async->done);
}

int checkpoint_async_wait(struct checkpoint_async *async, int64_t *bytes, struct error *error)
{
    if (!async->started)
        return STATUS_OK;
    if (async->threaded)
        pthread_join(async->thread, NULL);
    async->started = false;
    if (async->result != STATUS_OK)
        return error_set(error, async->result, "%s", async->error.message);
    if (bytes != NULL)
        *bytes = async->bytes;
    return STATUS_OK;
}

void checkpoint_async_destroy(struct checkpoint_async *async)
{
    struct error error = {0};

    if (async == NULL)
        return;
    if (checkpoint_async_wait(async, NULL, &error) != STATUS_OK)
        log_line(LOG_WARNING, "the last checkpoint was not saved: %s", error.message);
    free(async);
}
