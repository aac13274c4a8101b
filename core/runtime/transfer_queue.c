#include "runtime/transfer_queue.h"

#include <pthread.h>
#include <stdlib.h>

#include "plugin/guard.h"

#define WAITING 64 /* transfers that are enqueued at once */

struct entry {
    struct transfer_job job;
    struct event reached; /* the device has done what comes before */
    struct event done;    /* what comes behind may begin */
};

struct transfer_queue {
    struct device *device;
    struct entry entries[WAITING];
    pthread_t thread;
    bool started;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t changed;
    int64_t put, taken; /* entries, so far */
    bool ending;
    bool failed; /* transfers are passed over from now on */
};

static int post(const struct transfer_job *job, struct posted *posted, struct error *error)
{
    const enum communicator_call call = (enum communicator_call)job->call;

    return call == CALL_ALL_REDUCE || call == CALL_REDUCE_SCATTER
               ? communicator_post_reduction(job->communicator, call, &job->reduction, &job->purpose, posted, error)
               : communicator_post_transfer(job->communicator, call, &job->transfer, &job->purpose, posted, error);
}

int transfer_run(const struct transfer_job *job, struct error *error)
{
    struct posted own, *posted = job->keep != NULL ? job->keep : &own;
    int status = job->communicator != NULL ? post(job, posted, error) : STATUS_OK;

    if (status == STATUS_OK && job->communicator != NULL && job->keep == NULL)
        status = communicator_wait(posted, error);
    for (int i = 0; status == STATUS_OK && i < TRANSFER_ENDS && job->ends[i] != NULL; i++)
        status = communicator_wait(job->ends[i], error);
    return status;
}

static int carry_out(const struct transfer_queue *queue, const struct entry *entry, struct error *error)
{
    const struct awaited awaited = {.what = "the work before the exchange of", .name = entry->job.purpose.what};
    int status =
        event_finish(&entry->reached, queue->device->timeout_ns + (int64_t)(entry->job.seconds * 1e9), &awaited, error);

    return status == STATUS_OK ? transfer_run(&entry->job, error) : status;
}

/* Carries out one after the other; the lock is held but while it does so. */
static void *run(void *context)
{
    struct transfer_queue *queue = context;
    void *memory = guard_thread_begin();
    struct error error, ignored;

    pthread_mutex_lock(&queue->lock);
    for (;;) {
        const struct entry *entry;
        int status = STATUS_OK;
        bool skip;

        while (queue->taken == queue->put && !queue->ending)
            pthread_cond_wait(&queue->changed, &queue->lock);
        if (queue->taken == queue->put)
            break;
        entry = &queue->entries[queue->taken % WAITING];
        skip = queue->failed || queue->ending;
        pthread_mutex_unlock(&queue->lock);
        if (!skip)
            status = carry_out(queue, entry, &error);
        if (status != STATUS_OK)
            device_abandon(queue->device, status, error.message);
        event_signal(&entry->done, true, &ignored);
        pthread_mutex_lock(&queue->lock);
        queue->failed = queue->failed || status != STATUS_OK;
        queue->taken++;
        pthread_cond_broadcast(&queue->changed);
    }
    pthread_mutex_unlock(&queue->lock);
    guard_thread_end(memory);
    return NULL;
}

int transfer_queue_create(struct device *device, struct transfer_queue **out, struct error *error)
{
    struct transfer_queue *queue = calloc(1, sizeof *queue);
    int status = STATUS_OK;

    if (queue == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for the communication of a device");
    queue->device = device;
    pthread_mutex_init(&queue->lock, NULL);
    pthread_cond_init(&queue->changed, NULL);
    for (int i = 0; status == STATUS_OK && i < WAITING; i++) {
        status = event_create(device, &queue->entries[i].reached, error);
        if (status == STATUS_OK)
            status = event_create(device, &queue->entries[i].done, error);
    }
    if (status == STATUS_OK && pthread_create(&queue->thread, NULL, run, queue) != 0)
        status = error_set(error, STATUS_MEMORY, "the thread for communication could not be started");
    queue->started = status == STATUS_OK;
    if (status != STATUS_OK)
        transfer_queue_destroy(queue);
    else
        *out = queue;
    return status;
}

void transfer_queue_destroy(struct transfer_queue *queue)
{
    if (queue == NULL)
        return;
    if (queue->started) {
        pthread_mutex_lock(&queue->lock);
        queue->ending = true;
        pthread_cond_broadcast(&queue->changed);
        pthread_mutex_unlock(&queue->lock);
        pthread_join(queue->thread, NULL);
    }
    for (int i = 0; i < WAITING; i++) {
        event_destroy(&queue->entries[i].reached);
        event_destroy(&queue->entries[i].done);
    }
    pthread_cond_destroy(&queue->changed);
    pthread_mutex_destroy(&queue->lock);
    free(queue);
}

/* A place whose last transfer has ended, so that its events are ready. */
static struct entry *place(struct transfer_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    while (queue->put - queue->taken == WAITING)
        pthread_cond_wait(&queue->changed, &queue->lock);
    pthread_mutex_unlock(&queue->lock);
    return &queue->entries[queue->put % WAITING];
}

int transfer_queue_put(struct transfer_queue *queue, const struct stream *stream, const struct transfer_job *job,
                       struct error *error)
{
    struct entry *entry = place(queue);
    int status = stream_record(stream, &entry->reached, error);

    entry->job = *job;
    if (status == STATUS_OK)
        status = event_signal(&entry->done, false, error);
    if (status != STATUS_OK)
        return status;
    status = stream_wait(stream, &entry->done, error);
    pthread_mutex_lock(&queue->lock);
    queue->put++;
    pthread_cond_broadcast(&queue->changed);
    pthread_mutex_unlock(&queue->lock);
    return status;
}
