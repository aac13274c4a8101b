/* The inside of a control: shared by the files control_*.c. */
#ifndef LLMRUN_DIST_CONTROL_STATE_H
#define LLMRUN_DIST_CONTROL_STATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "dist/connection.h"
#include "dist/control.h"
#include "dist/hub.h"
#include "dist/protocol.h"

/* A call that waits for its result; on the stack of its caller. */
struct call {
    uint64_t number;
    bool done;
    struct frame result;
    struct call *next;
};

struct peer {
    char host[PROTOCOL_HOST_BYTES];
    uint32_t process;
};

struct control {
    int32_t rank, world;
    int64_t timeout_ns;
    const struct clock *clock;
    struct recorder *recorder;
    struct hub *hub;    /* of rank 0 */
    struct peer *peers; /* [world]; set by START, constant then */
    int wake;           /* eventfd, for the thread */
    pthread_t thread;
    bool has_thread;

    _Atomic int64_t note_step;
    _Atomic(const char *) note_what;
    atomic_bool failed; /* set after `failure` is */

    pthread_mutex_t mutex; /* of all below */
    pthread_cond_t changed;
    struct connection connection;
    bool started, leaving, ended; /* ended: the thread reads no more */
    struct call *calls;
    uint64_t call_count;
    struct error failure;
    void (*callback)(void *context, const struct error *error);
    void *callback_context;
    bool callback_runs, callback_done;
    int64_t heard_ns, beat_ns, seen_ns; /* of the thread */
    int64_t root_step;                  /* what rank 0 noted last */
    char root_what[PROTOCOL_WHAT_BYTES];
};

/* The body of its thread; `context` is the control. */
void *control_thread(void *context);

/* With the mutex. */
void control_set_failure(struct control *control, int status, const char *sentence);
int control_queue(struct control *control, uint32_t type, const struct frame_part *parts, int count,
                  struct error *error);
void control_queue_beat(struct control *control);
void control_wake(struct control *control);

/* Waits for `changed` with the mutex, until `deadline_ns` of the system's monotonic clock. False when it has passed. */
bool control_wait_until(struct control *control, int64_t deadline_ns);

#endif
