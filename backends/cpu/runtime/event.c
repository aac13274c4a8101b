#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "runtime/clock.h"
#include "runtime/runtime.h"

struct llmrun_event {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t recorded; /* points made so far */
    uint64_t reached;  /* points reached, in order */
    int users;         /* enqueued commands that name this event */
    uint64_t armed;    /* the point that the host reaches, 0: none */
    int64_t time_ns;   /* of the last point reached, CLOCK_MONOTONIC */
    struct llmrun_error failure;
};

int32_t event_create(struct llmrun_device *device, struct llmrun_event **event, struct llmrun_error *error)
{
    struct llmrun_event *made = calloc(1, sizeof(*made));
    pthread_condattr_t monotonic;

    (void)device;
    if (made == NULL)
        return llmrun_fail(error, LLMRUN_ERROR_MEMORY, "there is no memory for an event");
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&made->lock, NULL);
    pthread_cond_init(&made->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    *event = made;
    return LLMRUN_OK;
}

/* With the lock held. */
static void complete(struct llmrun_event *event)
{
    event->reached = event->armed;
    event->armed = 0;
    event->time_ns = clock_now_ns();
    pthread_cond_broadcast(&event->changed);
}

void event_destroy(struct llmrun_event *event)
{
    if (event == NULL)
        return;
    pthread_mutex_lock(&event->lock);
    if (event->armed > 0)
        complete(event);
    while (event->users > 0)
        pthread_cond_wait(&event->changed, &event->lock);
    pthread_mutex_unlock(&event->lock);
    pthread_cond_destroy(&event->changed);
    pthread_mutex_destroy(&event->lock);
    free(event);
}

/* With the lock held: the code of an event whose last point is reached. */
static int32_t outcome(const struct llmrun_event *event, struct llmrun_error *error)
{
    if (event->failure.code != LLMRUN_OK && error != NULL)
        *error = event->failure;
    return event->failure.code;
}

int32_t event_query(struct llmrun_event *event, uint32_t *state, struct llmrun_error *error)
{
    int32_t code = LLMRUN_OK;

    pthread_mutex_lock(&event->lock);
    *state = event->reached == event->recorded ? LLMRUN_EVENT_READY : LLMRUN_EVENT_NOT_READY;
    if (*state == LLMRUN_EVENT_READY)
        code = outcome(event, error);
    pthread_mutex_unlock(&event->lock);
    return code;
}

int32_t event_wait(struct llmrun_event *event, int64_t timeout_ns, struct llmrun_error *error)
{
    struct timespec deadline = {0, 0};
    int waiting = 0;
    uint64_t point;
    int32_t code;

    if (timeout_ns >= 0) {
        int64_t now = clock_now_ns();
        int64_t end = timeout_ns < INT64_MAX - now ? now + timeout_ns : INT64_MAX;

        deadline.tv_sec = (time_t)(end / 1000000000);
        deadline.tv_nsec = (long)(end % 1000000000);
    }
    pthread_mutex_lock(&event->lock);
    point = event->recorded;
    while (event->reached < point && waiting != ETIMEDOUT)
        waiting = timeout_ns < 0 ? pthread_cond_wait(&event->changed, &event->lock)
                                 : pthread_cond_timedwait(&event->changed, &event->lock, &deadline);
    if (event->reached < point)
        code =
            llmrun_fail(error, LLMRUN_ERROR_TIMEOUT, "the event was not reached within %lld ns", (long long)timeout_ns);
    else
        code = outcome(event, error);
    pthread_mutex_unlock(&event->lock);
    return code;
}

/* When the last point was reached; 0 when there is none or it is still to come. */
static int64_t reached_ns(struct llmrun_event *event)
{
    int64_t time_ns;

    pthread_mutex_lock(&event->lock);
    time_ns = event->reached == event->recorded ? event->time_ns : 0;
    pthread_mutex_unlock(&event->lock);
    return time_ns;
}

int32_t event_elapsed(struct llmrun_event *start, struct llmrun_event *end, int64_t *ns, struct llmrun_error *error)
{
    int64_t from = reached_ns(start);
    int64_t to = reached_ns(end);

    if (from == 0 || to == 0)
        return llmrun_fail(error, LLMRUN_ERROR_ARGUMENT, "the %s event was not recorded, or is not ready yet",
                           from == 0 ? "first" : "second");
    *ns = to - from;
    return LLMRUN_OK;
}

int32_t event_signal(struct llmrun_event *event, uint32_t state, struct llmrun_error *error)
{
    int32_t code = LLMRUN_OK;

    if (state > LLMRUN_EVENT_READY)
        return llmrun_fail(error, LLMRUN_ERROR_UNSUPPORTED, "event state %u is unknown", state);
    pthread_mutex_lock(&event->lock);
    if (state == LLMRUN_EVENT_READY && event->armed > 0) {
        complete(event);
    } else if (state == LLMRUN_EVENT_NOT_READY && event->reached == event->recorded) {
        memset(&event->failure, 0, sizeof(event->failure));
        event->armed = ++event->recorded;
    } else {
        code = llmrun_fail(error, LLMRUN_ERROR_ARGUMENT,
                           state == LLMRUN_EVENT_READY ? "an event is completed that was not armed"
                                                       : "an event is armed that is not ready");
    }
    pthread_mutex_unlock(&event->lock);
    return code;
}

uint64_t event_enter_record(struct llmrun_event *event)
{
    uint64_t point;

    pthread_mutex_lock(&event->lock);
    event->users++;
    point = ++event->recorded;
    pthread_mutex_unlock(&event->lock);
    return point;
}

uint64_t event_enter_wait(struct llmrun_event *event)
{
    uint64_t point;

    pthread_mutex_lock(&event->lock);
    event->users++;
    point = event->recorded;
    pthread_mutex_unlock(&event->lock);
    return point;
}

/* With the lock held. After the unlock the event may be gone. */
static void leave(struct llmrun_event *event)
{
    event->users--;
    pthread_cond_broadcast(&event->changed);
    pthread_mutex_unlock(&event->lock);
}

void event_reach(struct llmrun_event *event, uint64_t point, const struct llmrun_error *failure)
{
    pthread_mutex_lock(&event->lock);
    while (event->reached < point - 1)
        pthread_cond_wait(&event->changed, &event->lock);
    event->reached = point;
    event->time_ns = clock_now_ns();
    event->failure = *failure;
    leave(event);
}

void event_pass(struct llmrun_event *event, uint64_t point, struct llmrun_error *failure)
{
    pthread_mutex_lock(&event->lock);
    while (event->reached < point)
        pthread_cond_wait(&event->changed, &event->lock);
    if (failure->code == LLMRUN_OK)
        *failure = event->failure;
    leave(event);
}
