#include "engine.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <llmrun/plugin.h>

#include "message.h"
#include "schedule.h"

#define EVENTS       32
#define BUSY_PASSES  64 /* that find nothing before the processor is offered to others, where there are enough */
#define LEAST_PASSES 8  /* before a sleep, each of which lets another rank run */
#define IDLE_POLLS   64 /* passes that find nothing between two looks at sockets that tell of deaths only */

/* Passes of a thread that leads which found nothing, one after the other. */
struct idle {
    int64_t passes;
    int64_t since_ns;
};

struct engine {
    int references;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    atomic_int entering; /* threads that want the mutex */
    atomic_bool asleep;
    bool led;
    bool news;   /* a request ended */
    int waiting; /* threads that follow */
    int epoll, bell;
    int idle;
    int64_t spin_ns;
    int64_t busy_passes;
    int64_t next_ns; /* when a send that is held back is due */
    struct mesh *meshes;
};

int64_t engine_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* ---- one a process ---- */

static pthread_mutex_t process_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct engine *process_engine; /* the contract has no object of the process for it */

static void finish(struct engine *engine)
{
    if (engine->epoll >= 0)
        close(engine->epoll);
    if (engine->bell >= 0)
        close(engine->bell);
    pthread_cond_destroy(&engine->changed);
    pthread_mutex_destroy(&engine->mutex);
    free(engine);
}

static struct engine *create(struct llmrun_error *error)
{
    struct engine *engine = calloc(1, sizeof *engine);
    pthread_condattr_t attributes;

    if (engine == NULL) {
        llmrun_fail(error, LLMRUN_ERROR_MEMORY, "there is no memory for the collective");
        return NULL;
    }
    pthread_mutex_init(&engine->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&engine->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    engine->epoll = epoll_create1(EPOLL_CLOEXEC);
    engine->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (engine->epoll < 0 || engine->bell < 0) {
        llmrun_fail(error, LLMRUN_ERROR_DEVICE, "the collective cannot open its descriptors: %s", strerror(errno));
        finish(engine);
        return NULL;
    }
    return engine;
}

struct engine *engine_acquire(struct llmrun_error *error)
{
    struct engine *engine;

    pthread_mutex_lock(&process_mutex);
    if (process_engine == NULL)
        process_engine = create(error);
    engine = process_engine;
    if (engine != NULL)
        engine->references++;
    pthread_mutex_unlock(&process_mutex);
    return engine;
}

void engine_release(struct engine *engine)
{
    pthread_mutex_lock(&process_mutex);
    if (--engine->references == 0) {
        finish(engine);
        process_engine = NULL;
    }
    pthread_mutex_unlock(&process_mutex);
}

int engine_bell(const struct engine *engine)
{
    return engine->bell;
}

void engine_wake(struct engine *engine)
{
    const uint64_t one = 1;

    if (write(engine->bell, &one, sizeof one) < 0)
        return; /* it rings already */
}

void engine_lock(struct engine *engine)
{
    atomic_fetch_add(&engine->entering, 1);
    pthread_mutex_lock(&engine->mutex);
    atomic_fetch_sub(&engine->entering, 1);
}

void engine_unlock(struct engine *engine)
{
    if (engine->news && (engine->waiting > 0 || atomic_load(&engine->asleep))) {
        pthread_cond_broadcast(&engine->changed);
        if (atomic_load(&engine->asleep))
            engine_wake(engine);
    }
    engine->news = false;
    pthread_mutex_unlock(&engine->mutex);
}

/* ---- sockets ---- */

static int32_t watch(struct engine *engine, struct link *link, int how, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = link};

    return epoll_ctl(engine->epoll, how, link->socket, &event);
}

int32_t engine_add(struct engine *engine, struct mesh *mesh, struct llmrun_error *error)
{
    for (int32_t i = 0; i < mesh->ranks; i++)
        if (mesh->links[i] != NULL && watch(engine, mesh->links[i], EPOLL_CTL_ADD, EPOLLIN | EPOLLRDHUP) != 0) {
            const int code = errno;

            while (--i >= 0)
                if (mesh->links[i] != NULL)
                    watch(engine, mesh->links[i], EPOLL_CTL_DEL, 0);
            return llmrun_fail(error, LLMRUN_ERROR_DEVICE, "the connections cannot be watched: %s", strerror(code));
        }
    if (engine->meshes == NULL || mesh->options.spin_us * 1000 < engine->spin_ns)
        engine->spin_ns = mesh->options.spin_us * 1000;
    engine->busy_passes = mesh->crowded ? 0 : BUSY_PASSES;
    mesh->next = engine->meshes;
    engine->meshes = mesh;
    engine_wake(engine); /* who sleeps has not told the peers of these links */
    return LLMRUN_OK;
}

void engine_remove(struct engine *engine, struct mesh *mesh)
{
    struct mesh **place = &engine->meshes;

    while (*place != mesh)
        place = &(*place)->next;
    *place = mesh->next;
    for (int32_t i = 0; i < mesh->ranks; i++)
        if (mesh->links[i] != NULL)
            watch(engine, mesh->links[i], EPOLL_CTL_DEL, 0);
}

static void look_at_sockets(struct engine *engine)
{
    struct epoll_event events[EVENTS];
    const int count = epoll_wait(engine->epoll, events, EVENTS, 0);

    for (int i = 0; i < count; i++) {
        struct link *link = events[i].data.ptr;

        if (link->wire == &wire_tcp && !link->gone) {
            link->stream.readable = true;
            continue;
        }
        link->closed = true; /* nobody writes to the socket of a link over shared memory */
        watch(engine, link, EPOLL_CTL_DEL, 0);
    }
}

/* Streams that have something to send are woken when there is room. */
static void watch_for_room(struct engine *engine, struct link *link)
{
    const bool wanted = link->first != NULL || link->stream.filler > 0;

    if (link->wire != &wire_tcp || link->gone || wanted == link->stream.watched)
        return;
    if (watch(engine, link, EPOLL_CTL_MOD, EPOLLIN | EPOLLRDHUP | (wanted ? EPOLLOUT : 0)) == 0)
        link->stream.watched = wanted;
}

/* ---- progress ---- */

/* What a link brought no longer comes. */
static void lose(struct link *link)
{
    if (link->closed && !link->left)
        link_break(link, "its connection was closed");
    if (link->gone || (!link->left && link->broken[0] == '\0'))
        return;
    link->gone = true;
    message_abandon(link);
    if (link->left)
        return;
    for (struct llmrun_communicator *one = link->mesh->communicators; one != NULL; one = one->next) {
        const int32_t rank = communicator_rank_of(one, link->peer);

        if (rank >= 0)
            communicator_fail(one, LLMRUN_ERROR_DEVICE, "rank %d (process %d on %s) is gone: %s", rank, (int)link->pid,
                              link->host, link->broken);
    }
}

/* Ends what a failed communicator has under way, and tells the other ranks. */
static void settle(struct llmrun_communicator *communicator)
{
    struct llmrun_error failure;

    communicator->settled = true;
    communicator_failure(communicator, &failure);
    for (struct llmrun_request *request = communicator->requests; request != NULL; request = request->next)
        if (!request->ended)
            schedule_withdraw(request, failure.code);
    for (int32_t i = 0; i < communicator->ranks; i++) {
        struct link *link = communicator_link(communicator, i);

        if (link != NULL)
            message_tell(link, FRAME_FAIL, communicator->context, failure.code, failure.message);
    }
}

static bool progress_communicator(struct engine *engine, struct llmrun_communicator *communicator, int64_t now_ns)
{
    bool moved = false;

    for (struct llmrun_request *request = communicator->requests; request != NULL; request = request->next) {
        if (request->ended)
            continue;
        moved |= schedule_advance(request, now_ns);
        engine->news |= request->ended;
    }
    if (atomic_load(&communicator->failed) != LLMRUN_OK && !communicator->settled) {
        settle(communicator);
        engine->news = moved = true;
    }
    return moved;
}

static bool progress_mesh(struct engine *engine, struct mesh *mesh, int64_t now_ns)
{
    bool moved = false;

    if (mesh->held != NULL)
        moved |= message_release(mesh, now_ns, &engine->next_ns);
    for (int32_t i = 0; i < mesh->ranks; i++) {
        struct link *link = mesh->links[i];

        if (link == NULL || link->gone)
            continue;
        moved |= message_progress(link);
        lose(link);
    }
    for (struct llmrun_communicator *one = mesh->communicators; one != NULL; one = one->next)
        moved |= progress_communicator(engine, one, now_ns);
    return moved;
}

bool engine_progress(struct engine *engine)
{
    const int64_t now_ns = engine_now_ns();
    bool moved = false, streams = false;

    for (struct mesh *mesh = engine->meshes; mesh != NULL; mesh = mesh->next)
        streams |= !mesh->shared;
    if (streams || ++engine->idle % IDLE_POLLS == 0)
        look_at_sockets(engine);
    engine->next_ns = INT64_MAX;
    for (struct mesh *mesh = engine->meshes; mesh != NULL; mesh = mesh->next)
        moved |= progress_mesh(engine, mesh, now_ns);
    return moved;
}

void engine_try(struct engine *engine)
{
    if (pthread_mutex_trylock(&engine->mutex) != 0)
        return;
    look_at_sockets(engine);
    while (engine_progress(engine))
        continue;
    engine_unlock(engine);
}

/* ---- waiting ---- */

static void set_sleeping(struct engine *engine, uint32_t sleeping)
{
    for (struct mesh *mesh = engine->meshes; mesh != NULL; mesh = mesh->next)
        for (int32_t i = 0; i < mesh->ranks; i++)
            if (mesh->links[i] != NULL && mesh->links[i]->wire == &wire_shared)
                atomic_store_explicit(&mesh->links[i]->shared.mine->sleeping, sleeping, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst);
}

static struct timespec timespec_of(int64_t ns)
{
    return (struct timespec){ns / 1000000000, ns % 1000000000};
}

/* Sleeps until the bell rings, a socket has something, or the time has come. Gives the mutex away meanwhile. */
static void sleep_until(struct engine *engine, int64_t until_ns)
{
    struct pollfd polls[2] = {{engine->bell, POLLIN, 0}, {engine->epoll, POLLIN, 0}};
    struct timespec left;
    uint64_t rung;
    int64_t ns;

    for (struct mesh *mesh = engine->meshes; mesh != NULL; mesh = mesh->next)
        for (int32_t i = 0; i < mesh->ranks; i++)
            if (mesh->links[i] != NULL)
                watch_for_room(engine, mesh->links[i]);
    atomic_store(&engine->asleep, true);
    set_sleeping(engine, 1);
    if (engine_progress(engine)) { /* something came before anybody knew that this thread sleeps */
        set_sleeping(engine, 0);
        atomic_store(&engine->asleep, false);
        return;
    }
    until_ns = until_ns < engine->next_ns ? until_ns : engine->next_ns;
    ns = until_ns - engine_now_ns();
    left = timespec_of(ns > 0 ? ns : 0);
    engine_unlock(engine);
    ppoll(polls, 2, until_ns == INT64_MAX ? NULL : &left, NULL);
    engine_lock(engine);
    atomic_store(&engine->asleep, false);
    set_sleeping(engine, 0);
    if ((polls[0].revents & POLLIN) != 0 && read(engine->bell, &rung, sizeof rung) < 0)
        rung = 0;
    if (polls[1].revents != 0)
        look_at_sockets(engine);
}

/* Gives the processor to a rank that may share it, which on a busy machine is sooner ready than a sleeper is woken. */
static void yield(struct engine *engine)
{
    engine_unlock(engine);
    sched_yield();
    engine_lock(engine);
}

/* Leads for a while: one pass, and a sleep after `spin_ns`, and some passes, that found nothing. */
static void lead(struct engine *engine, const struct llmrun_request *request, int64_t until_ns, struct idle *idle)
{
    engine->led = true;
    if (engine_progress(engine)) {
        idle->passes = 0;
    } else if (!request->ended) {
        if (idle->passes++ == 0)
            idle->since_ns = engine_now_ns();
        if (idle->passes > LEAST_PASSES && engine_now_ns() - idle->since_ns >= engine->spin_ns) {
            sleep_until(engine, until_ns);
            idle->passes = 0;
        } else if (idle->passes > engine->busy_passes) {
            yield(engine);
        }
    }
    engine->led = false;
    if (atomic_load_explicit(&engine->entering, memory_order_relaxed) > 0 || engine->news)
        yield(engine);
}

bool engine_wait(struct engine *engine, const struct llmrun_request *request, int64_t timeout_ns)
{
    const int64_t start_ns = engine_now_ns();
    const int64_t until_ns = timeout_ns < 0 || timeout_ns > INT64_MAX - start_ns ? INT64_MAX : start_ns + timeout_ns;
    const struct timespec until = timespec_of(until_ns);
    struct idle idle = {0};
    bool ended;

    engine_lock(engine);
    if (!request->ended && timeout_ns == 0) {
        look_at_sockets(engine);
        while (engine_progress(engine))
            continue;
    }
    while (!request->ended && (until_ns == INT64_MAX || engine_now_ns() < until_ns)) {
        if (!engine->led) {
            lead(engine, request, until_ns, &idle);
            continue;
        }
        engine->waiting++;
        if (until_ns == INT64_MAX)
            pthread_cond_wait(&engine->changed, &engine->mutex);
        else
            pthread_cond_timedwait(&engine->changed, &engine->mutex, &until);
        engine->waiting--;
    }
    ended = request->ended;
    if (!engine->led && engine->waiting > 0)
        pthread_cond_signal(&engine->changed); /* somebody is to lead */
    engine_unlock(engine);
    return ended;
}

static bool drained(const struct mesh *mesh)
{
    for (int32_t i = 0; i < mesh->ranks; i++)
        if (mesh->links[i] != NULL && !mesh->links[i]->gone && mesh->links[i]->broken[0] == '\0' &&
            mesh->links[i]->first != NULL)
            return false;
    return true;
}

void engine_drain(struct engine *engine, struct mesh *mesh, int64_t timeout_ns)
{
    const int64_t until_ns = engine_now_ns() + timeout_ns;

    engine_lock(engine);
    engine_progress(engine);
    while (!drained(mesh) && engine_now_ns() < until_ns) {
        engine_unlock(engine);
        usleep(200);
        engine_lock(engine);
        engine_progress(engine);
    }
    engine_unlock(engine);
}
