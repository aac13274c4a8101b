#include "dist/hub.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/text.h"
#include "dist/hub_failure.h"
#include "dist/hub_members.h"
#include "dist/hub_serve.h"
#include "dist/rank_list.h"
#include "dist/status_socket.h"

#define LINGER_NS INT64_C(3000000000)

int64_t hub_beat_ns(int64_t timeout_ns)
{
    const int64_t beat = timeout_ns / 10;

    return beat < 10000000 ? 10000000 : beat > 500000000 ? 500000000 : beat;
}

static int64_t now_of(const struct hub *hub)
{
    return hub->options.clock->monotonic_ns(hub->options.clock);
}

static void send_beats(struct hub *hub, int64_t now_ns)
{
    struct wire wire = {0};

    if (now_ns - hub->beat_ns < hub_beat_ns(hub->options.timeout_ns))
        return;
    hub->beat_ns = now_ns;
    wire_put_u64(&wire, (uint64_t)hub->members[0].step);
    wire_put_text(&wire, hub->members[0].what);
    hub_send_all(hub, FRAME_BEAT, &wire);
    free(wire.data);
}

/* Time in which this process itself did not run is no silence of others. */
static void forgive(struct hub *hub, int64_t now_ns)
{
    const int64_t gap_ns = now_ns - hub->seen_ns;

    hub->seen_ns = now_ns;
    if (gap_ns < hub->options.timeout_ns / 2)
        return;
    for (int32_t i = 0; i < hub->world; i++)
        hub->members[i].heard_ns += gap_ns;
}

static void check_silence(struct hub *hub, int64_t now_ns)
{
    for (int32_t i = 0; i < hub->world; i++)
        if (hub->members[i].state == MEMBER_JOINED && now_ns - hub->members[i].heard_ns > hub->options.timeout_ns)
            hub_rank_silent(hub, i, now_ns);
}

static void check_joining(struct hub *hub, int64_t now_ns)
{
    char text[RANK_LIST_BYTES] = "some of them";
    struct error error;
    int32_t joined = 0;
    bool *missing;

    if (now_ns - hub->began_ns <= hub->options.timeout_ns)
        return;
    missing = calloc((size_t)hub->world, sizeof *missing);
    for (int32_t i = 0; i < hub->world; i++) {
        joined += hub->members[i].state == MEMBER_JOINED;
        if (missing != NULL)
            missing[i] = hub->members[i].state != MEMBER_JOINED;
    }
    if (missing != NULL)
        rank_list_text(missing, hub->world, text);
    free(missing);
    error_set(&error, STATUS_PEER, "%d of %d ranks came within %.6g s (parallel.timeout); missing: %s", (int)joined,
              (int)hub->world, 1e-9 * (double)hub->options.timeout_ns, text);
    admission_finish(&hub->admission);
    hub_tell_verdict(hub, STATUS_PEER, -1, error.message, now_ns);
}

static void check_gathers(struct hub *hub, int64_t now_ns)
{
    struct error error;

    if (gathering_check_time(&hub->gathering, now_ns, hub->options.gather_ns, &error) != STATUS_OK)
        hub_rank_failed(hub, -1, &error, now_ns);
}

static void keep_time(struct hub *hub, int64_t now_ns)
{
    send_beats(hub, now_ns);
    if (hub->phase == HUB_JOINING)
        check_joining(hub, now_ns);
    else if (hub->phase == HUB_RUNNING)
        check_gathers(hub, now_ns);
    if (hub->phase == HUB_COLLECTING)
        hub_collect(hub, now_ns);
    if (hub->phase == HUB_RUNNING || hub->phase == HUB_COLLECTING)
        check_silence(hub, now_ns);
}

static bool is_done(const struct hub *hub, int64_t now_ns)
{
    bool connected = false;

    for (int32_t i = 0; i < hub->world; i++)
        connected |= i != hub->lost && hub->members[i].connection.socket >= 0;
    if (hub->phase == HUB_FAILED)
        return !connected || now_ns - hub->phase_ns > LINGER_NS;
    return (hub->phase == HUB_RUNNING && !connected) || atomic_load(&hub->stopping);
}

/* One line a rank, for `llmrun status`. */
static void print_status(const struct hub *hub, int64_t now_ns, struct text *text)
{
    static const char *const states[] = {"absent", "joining", "here", "ended", "lost"};

    text_add(text, "rank  host              process  state       step  for, s  heard, s  what it does\n");
    for (int32_t i = 0; i < hub->world; i++) {
        const struct member *member = &hub->members[i];

        text_add(text, "%4d  %-16s %8u  %-7s %8lld  %6.1f  %8.1f  %s\n", (int)i, member->host, member->process,
                 states[member->state], (long long)member->step, 1e-9 * (double)(now_ns - member->noted_ns),
                 1e-9 * (double)(now_ns - member->heard_ns), member->what);
    }
}

static void answer_status(struct hub *hub, int64_t now_ns)
{
    const int listener = atomic_load(&hub->status_listener);
    struct pollfd wait = {.fd = listener, .events = POLLIN};
    struct text text = {0};

    if (listener < 0 || poll(&wait, 1, 0) <= 0)
        return;
    print_status(hub, now_ns, &text);
    status_socket_answer(listener, text.failed ? "" : text.data, text.failed ? 0 : text.length);
    text_finish(&text);
}

static int list_waits(struct hub *hub, int64_t now_ns)
{
    int count = 0;

    hub->waits[count++] = (struct pollfd){.fd = hub->wake, .events = POLLIN};
    hub->waits[count++] = (struct pollfd){.fd = atomic_load(&hub->status_listener), .events = POLLIN};
    for (int32_t i = 0; i < hub->world; i++) {
        const struct connection *connection = &hub->members[i].connection;

        /* A negative descriptor is passed over. */
        hub->waits[count++] = (struct pollfd){
            .fd = connection->socket, .events = (short)(POLLIN | (connection_has_queue(connection) ? POLLOUT : 0))};
    }
    return count + admission_waits(&hub->admission, now_ns, hub->waits + count);
}

static void serve_all(struct hub *hub, int64_t now_ns)
{
    struct connection connection;
    int32_t rank, world;

    while (hub->admission.listener >= 0 && admission_step(&hub->admission, now_ns, &connection, &rank, &world))
        hub_admit(hub, &connection, rank, world, now_ns);
    for (int32_t i = 0; i < hub->world; i++)
        if (hub->members[i].connection.socket >= 0 || member_is_here(&hub->members[i]))
            hub_serve(hub, i, now_ns);
}

/* One that broke is seen by the next read. */
static void write_all(struct hub *hub)
{
    for (int32_t i = 0; i < hub->world; i++)
        if (hub->members[i].connection.socket >= 0)
            connection_write(&hub->members[i].connection);
}

static void *run(void *context)
{
    struct hub *hub = context;
    int64_t now_ns = now_of(hub);

    hub->seen_ns = now_ns;
    while (!is_done(hub, now_ns)) {
        const int waits = list_waits(hub, now_ns);
        uint64_t woken;

        poll(hub->waits, (nfds_t)waits, (int)(hub_beat_ns(hub->options.timeout_ns) / 2000000 + 1));
        if (read(hub->wake, &woken, sizeof woken) < 0)
            woken = 0; /* nobody did */
        now_ns = now_of(hub);
        forgive(hub, now_ns);
        serve_all(hub, now_ns);
        keep_time(hub, now_ns);
        answer_status(hub, now_ns);
        write_all(hub);
    }
    return NULL;
}

static void release(struct hub *hub)
{
    for (int32_t i = 0; i < hub->world && hub->members != NULL; i++) {
        connection_finish(&hub->members[i].connection);
        free(hub->members[i].report.data);
    }
    admission_finish(&hub->admission);
    gathering_finish(&hub->gathering);
    if (hub->wake >= 0)
        close(hub->wake);
    if (atomic_load(&hub->status_listener) >= 0) {
        close(atomic_load(&hub->status_listener));
        status_socket_remove(hub->status_folder);
    }
    free(hub->members);
    free(hub->waits);
    free(hub->records);
    free(hub);
}

static int prepare(struct hub *hub, struct error *error)
{
    const size_t world = (size_t)hub->world;

    hub->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    hub->members = calloc(world, sizeof *hub->members);
    hub->waits = calloc(world + ADMISSION_SLOTS + 3, sizeof *hub->waits);
    hub->records = calloc(world, sizeof *hub->records);
    if (hub->wake < 0 || hub->members == NULL || hub->waits == NULL || hub->records == NULL)
        return error_set(error, STATUS_MEMORY, "no memory to serve %d ranks", (int)hub->world);
    for (int32_t i = 0; i < hub->world; i++)
        hub->members[i].connection.socket = -1;
    return gathering_init(&hub->gathering, hub->world, error);
}

int hub_start(const struct hub_options *options, struct hub **hub, struct error *error)
{
    struct hub *made = calloc(1, sizeof *made);
    sigset_t all, before;
    int status, problem;

    *hub = NULL;
    if (made == NULL) {
        close(options->listener);
        return error_set(error, STATUS_MEMORY, "no memory for the control channel");
    }
    made->options = *options;
    made->world = options->world;
    made->wake = made->lost = -1;
    atomic_init(&made->status_listener, -1);
    admission_init(&made->admission, options->listener, options->key);
    made->began_ns = made->beat_ns = now_of(made);
    status = prepare(made, error);
    if (status != STATUS_OK) {
        release(made);
        return status;
    }
    /* Signals are for the thread that trains. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    problem = pthread_create(&made->thread, NULL, run, made);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (problem != 0) {
        release(made);
        return error_set(error, STATUS_MEMORY, "no thread for the control channel: %s", strerror(problem));
    }
    *hub = made;
    return STATUS_OK;
}

static void wake(struct hub *hub)
{
    const uint64_t one = 1;

    /* Only a counter at its end refuses, and then the thread is awake. */
    if (write(hub->wake, &one, sizeof one) < 0)
        return;
}

int hub_serve_status(struct hub *hub, const char *run_folder, struct error *error)
{
    int listener, status;

    if (strlen(run_folder) >= sizeof hub->status_folder)
        return error_set(error, STATUS_USAGE, "the path of the run folder %.200s... is too long", run_folder);
    status = status_socket_listen(run_folder, &listener, error);
    if (status != STATUS_OK)
        return status;
    snprintf(hub->status_folder, sizeof hub->status_folder, "%s", run_folder);
    atomic_store(&hub->status_listener, listener);
    wake(hub);
    return STATUS_OK;
}

void hub_finish(struct hub *hub)
{
    if (hub == NULL)
        return;
    pthread_join(hub->thread, NULL);
    release(hub);
}

void hub_abandon(struct hub *hub)
{
    if (hub == NULL)
        return;
    atomic_store(&hub->stopping, true);
    wake(hub);
    hub_finish(hub);
}
