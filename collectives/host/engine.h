/* What carries out the operations of all communicators of the process (llmrun/collective.h: whoever waits progresses
 * all of them). One thread that waits leads: it moves what can be moved and sleeps when nothing can; the others sleep
 * until their request has ended or they are to lead. Peers wake the sleeper by its bell, an eventfd that they write to
 * only when it says that it sleeps. */
#ifndef LLMRUN_HOST_ENGINE_H
#define LLMRUN_HOST_ENGINE_H

#include "communicator.h"

struct engine;

/* The engine of the process, made for the first communicator and gone with the last. NULL with *error filled. */
struct engine *engine_acquire(struct llmrun_error *error);
void engine_release(struct engine *engine);
int engine_bell(const struct engine *engine); /* an eventfd, the engine's */

void engine_lock(struct engine *engine);
/* Wakes threads whose requests ended meanwhile. */
void engine_unlock(struct engine *engine);
/* Ends the sleep of the thread that leads, if any. Any thread, without the mutex too; does not block. */
void engine_wake(struct engine *engine);

/* With the mutex held. The links of the mesh are complete. */
int32_t engine_add(struct engine *engine, struct mesh *mesh, struct llmrun_error *error);
void engine_remove(struct engine *engine, struct mesh *mesh);
/* With the mutex held: moves what can be moved. True when something did. */
bool engine_progress(struct engine *engine);
/* The same where nobody has the mutex; does not block. */
void engine_try(struct engine *engine);

/* Without the mutex. Blocks until the request has ended, then true; false when timeout_ns (< 0: no limit) have gone
 * by. */
bool engine_wait(struct engine *engine, const struct llmrun_request *request, int64_t timeout_ns);

/* Without the mutex. Until what `mesh` has to send is gone, at most timeout_ns. */
void engine_drain(struct engine *engine, struct mesh *mesh, int64_t timeout_ns);

int64_t engine_now_ns(void); /* CLOCK_MONOTONIC */

#endif
