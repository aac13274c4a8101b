#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/random_bytes.h"
#include "dist/control_state.h"
#include "dist/handshake.h"
#include "dist/secret.h"
#include "dist/sockets.h"

#define REFUSALS 3 /* of our secret, before that is believed */
#define GRACE_NS INT64_C(2000000000)
#define RETRY_NS 20000000

/* The state of the tries to connect. */
struct approach {
    struct control *control;
    const char *host;
    int32_t port;
    uint8_t key[SHA256_BYTES];
    int64_t deadline_ns;
    int refusals;
    char reason[256]; /* of the last failure */
};

/* Ranks that begin at once do not come again at once. */
static void pause_a_moment(void)
{
    uint8_t random = 0;
    struct timespec pause = {0, RETRY_NS};

    random_bytes(&random, 1, NULL);
    pause.tv_nsec += RETRY_NS * (long)random / 64;
    nanosleep(&pause, NULL);
}

static int refused_secret(const struct approach *approach, struct error *error)
{
    return error_set(error, STATUS_USAGE,
                     "rank 0 at %s:%d refuses the secret of rank %d; LLMRUN_SECRET must be the same for all ranks",
                     approach->host, (int)approach->port, (int)approach->control->rank);
}

/* One try. STATUS_PEER: another one may go better. */
static int try_once(struct approach *approach, struct error *error)
{
    struct control *control = approach->control;
    struct error why;
    bool proved;
    int socket;

    if (socket_connect(approach->host, approach->port, approach->deadline_ns, control->clock, &socket, &why) !=
        STATUS_OK) {
        snprintf(approach->reason, sizeof approach->reason, "%.255s", why.message);
        return STATUS_PEER;
    }
    switch (handshake_offer(socket, approach->key, control->rank, control->world, approach->deadline_ns, control->clock,
                            &control->connection, &proved)) {
    case HANDSHAKE_GOOD:
        return STATUS_OK;
    case HANDSHAKE_UNPROVED:
        snprintf(approach->reason, sizeof approach->reason, "what listens there does not know the secret of this job");
        break;
    case HANDSHAKE_WAITS:
        snprintf(approach->reason, sizeof approach->reason, "what listens there does not answer");
        break;
    default:
        snprintf(approach->reason, sizeof approach->reason, "the connection was closed");
        approach->refusals += proved;
    }
    close(socket);
    return approach->refusals >= REFUSALS ? refused_secret(approach, error) : STATUS_PEER;
}

static int connect_to_root(struct approach *approach, struct error *error)
{
    struct control *control = approach->control;
    int status;

    do {
        status = try_once(approach, error);
        if (status != STATUS_PEER)
            return status;
        pause_a_moment();
    } while (control->clock->monotonic_ns(control->clock) < approach->deadline_ns);
    return error_set(error, STATUS_PEER,
                     "rank %d did not reach rank 0 at %s:%d (LLMRUN_RENDEZVOUS gives another place) within %.6g s "
                     "(parallel.timeout): %s",
                     (int)control->rank, approach->host, (int)approach->port, 1e-9 * (double)control->timeout_ns,
                     approach->reason);
}

/* Rank 0 begins to serve. `host` and `port` become how it reaches itself. */
static int serve(struct control *control, const struct control_options *options, struct approach *approach,
                 char host[SOCKET_HOST_BYTES], struct error *error)
{
    const struct rank_environment *environment = options->environment;
    struct hub_options hub = {.listener = environment->listener,
                              .world = environment->world,
                              .timeout_ns = options->timeout_ns,
                              .gather_ns = options->call_timeout_ns,
                              .clock = control->clock};
    int32_t port = environment->port;
    int status;

    if (hub.listener >= 0)
        status = socket_inherit(hub.listener, error);
    else
        status = socket_listen(environment->host, &port, &hub.listener, error);
    if (status == STATUS_OK)
        status = socket_own_address(hub.listener, host, &approach->port, error);
    if (status != STATUS_OK)
        return status;
    approach->host = host;
    memcpy(hub.key, approach->key, sizeof hub.key);
    return hub_start(&hub, &control->hub, error);
}

static int start_thread(struct control *control, struct error *error)
{
    sigset_t all, before;
    int problem;

    /* Signals are for the thread that trains. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    problem = pthread_create(&control->thread, NULL, control_thread, control);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (problem != 0)
        return error_set(error, STATUS_MEMORY, "no thread for the control channel: %s", strerror(problem));
    control->has_thread = true;
    return STATUS_OK;
}

/* Rank 0 knows who is missing and says so at the deadline: its word is awaited a little longer. */
static int await_start(struct control *control, int64_t deadline_ns, struct error *error)
{
    int status = STATUS_OK;

    pthread_mutex_lock(&control->mutex);
    while (!control->started && !atomic_load(&control->failed) && control_wait_until(control, deadline_ns + GRACE_NS))
        ;
    /* A job that has failed since all came is told by the next call. */
    if (!control->started && atomic_load(&control->failed)) {
        *error = control->failure;
        status = error->status;
    } else if (!control->started) {
        status =
            error_set(error, STATUS_PEER, "rank 0 did not say within %.6g s (parallel.timeout) that all ranks came",
                      1e-9 * (double)control->timeout_ns);
    }
    pthread_mutex_unlock(&control->mutex);
    return status;
}

static int join(struct control *control, const struct control_options *options, struct error *error)
{
    const struct rank_environment *environment = options->environment;
    struct approach approach = {.control = control, .host = environment->host, .port = environment->port};
    char host[SOCKET_HOST_BYTES];
    int status = STATUS_OK;

    if (environment->host[0] == '\0' || options->secret == NULL)
        return error_set(error, STATUS_USAGE,
                         "%d ranks need a secret and a place to meet; start them with `llmrun launch`",
                         (int)environment->world);
    secret_key(options->secret, approach.key);
    approach.deadline_ns = control->clock->monotonic_ns(control->clock) + options->timeout_ns;
    if (environment->rank == 0)
        status = serve(control, options, &approach, host, error);
    if (status == STATUS_OK)
        status = connect_to_root(&approach, error);
    if (status == STATUS_OK)
        status = start_thread(control, error);
    return status == STATUS_OK ? await_start(control, approach.deadline_ns, error) : status;
}

static void release(struct control *control)
{
    connection_finish(&control->connection);
    for (struct call *call = control->calls; call != NULL; call = call->next)
        free(call->result.data);
    if (control->wake >= 0)
        close(control->wake);
    pthread_cond_destroy(&control->changed);
    pthread_mutex_destroy(&control->mutex);
    free(control->peers);
    free(control);
}

static void stop_thread(struct control *control)
{
    if (!control->has_thread)
        return;
    pthread_mutex_lock(&control->mutex);
    if (!control->leaving && control->started && !atomic_load(&control->failed))
        control_queue(control, FRAME_BYE, NULL, 0, NULL);
    control->leaving = true;
    if (!control->started)
        control->ended = true;
    control_wake(control);
    pthread_mutex_unlock(&control->mutex);
    pthread_join(control->thread, NULL);
    control->has_thread = false;
}

static int prepare(const struct control_options *options, struct control **control, struct error *error)
{
    struct control *made = calloc(1, sizeof *made);
    pthread_condattr_t attributes;

    *control = NULL;
    if (made == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for the control channel");
    made->rank = options->environment->rank;
    made->world = options->environment->world;
    made->timeout_ns = options->timeout_ns;
    made->clock = options->clock != NULL ? options->clock : &clock_system;
    made->recorder = options->recorder;
    made->connection.socket = -1;
    made->peers = calloc((size_t)made->world, sizeof *made->peers);
    made->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&made->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&made->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    if (made->peers == NULL || made->wake < 0) {
        release(made);
        return error_set(error, STATUS_MEMORY, "no memory for the control channel of %d ranks",
                         (int)options->environment->world);
    }
    *control = made;
    return STATUS_OK;
}

int control_open(const struct control_options *options, struct control **control, struct error *error)
{
    struct control *made;
    int status = prepare(options, &made, error);

    *control = NULL;
    if (status != STATUS_OK)
        return status;
    if (made->world == 1) {
        gethostname(made->peers[0].host, sizeof made->peers[0].host - 1);
        made->started = true;
    } else {
        status = join(made, options, error);
    }
    if (status == STATUS_OK) {
        *control = made;
        return STATUS_OK;
    }
    stop_thread(made);
    connection_finish(&made->connection);
    /* Others that are here already wait for what rank 0 says of the deadline. */
    if (atomic_load(&made->failed))
        hub_finish(made->hub);
    else
        hub_abandon(made->hub);
    release(made);
    return status;
}

void control_close(struct control *control)
{
    if (control == NULL)
        return;
    stop_thread(control);
    connection_finish(&control->connection);
    hub_finish(control->hub);
    release(control);
}
