#include "checkpoint/save.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "checkpoint/manifest.h"
#include "checkpoint/retain.h"

/* What is handed to the file system at once: small enough to be hashed and written out of the cache. */
#define CHUNK_BYTES ((int64_t)1 << 20)

static int write_tensor(struct checkpoint_writer *writer, const struct safetensors_form *form, const void *data,
                        struct error *error)
{
    int64_t bytes = safetensors_form_bytes(form);
    int result = STATUS_OK;

    for (int64_t done = 0; done < bytes && result == STATUS_OK; done += CHUNK_BYTES) {
        int64_t chunk = bytes - done < CHUNK_BYTES ? bytes - done : CHUNK_BYTES;

        result = checkpoint_writer_add(writer, form->name, (const char *)data + done, chunk, error);
    }
    return result;
}

int checkpoint_save(const struct checkpoint_snapshot *snapshot, int64_t *bytes, struct error *error)
{
    const struct checkpoint_target *target = &snapshot->target;
    struct checkpoint_writer *writer = NULL;
    struct error removal = {0};
    int result = checkpoint_writer_begin(target, snapshot->forms, snapshot->count, snapshot->state, &writer, error);
    int64_t total, branch = 0;

    if (result != STATUS_OK)
        return result;
    total = checkpoint_writer_bytes(writer);
    for (int64_t i = 0; i < snapshot->count && result == STATUS_OK; i++)
        result = write_tensor(writer, &snapshot->forms[i], snapshot->data[i], error);
    for (int64_t i = 0; i < snapshot->file_count && result == STATUS_OK; i++) {
        const struct checkpoint_blob *file = &snapshot->files[i];

        result = checkpoint_writer_add_file(writer, file->name, file->data, file->bytes, error);
        total += file->bytes;
    }
    if (result != STATUS_OK) {
        checkpoint_writer_abort(writer);
        return result;
    }
    result = checkpoint_writer_commit(writer, error);
    if (result != STATUS_OK)
        return result;
    if (bytes != NULL)
        *bytes = total;
    if (snapshot->state != NULL)
        (void)checkpoint_state_integer(snapshot->state, MANIFEST_BRANCH_KEY, &branch);
    if (checkpoint_retain(target->fs, target->folder, snapshot->keep, branch, target->step, &removal) != STATUS_OK)
        log_line(LOG_WARNING, "an old checkpoint stays: %s", removal.message);
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
