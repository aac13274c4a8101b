#include <stdlib.h>

#include "dist/control_state.h"

#define VERDICT_NS INT64_C(6000000000)

void control_note(struct control *control, int64_t step, const char *what)
{
    atomic_store_explicit(&control->note_step, step, memory_order_relaxed);
    atomic_store_explicit(&control->note_what, what, memory_order_release);
}

int control_serve_status(struct control *control, const char *run_folder, struct error *error)
{
    return control->hub != NULL ? hub_serve_status(control->hub, run_folder, error) : STATUS_OK;
}

int control_failed(struct control *control, struct error *error)
{
    if (!atomic_load(&control->failed))
        return STATUS_OK;
    if (error != NULL)
        *error = control->failure; /* constant from then on */
    return control->failure.status;
}

void control_on_failure(struct control *control, void (*callback)(void *context, const struct error *error),
                        void *context)
{
    pthread_mutex_lock(&control->mutex);
    while (control->callback_runs)
        pthread_cond_wait(&control->changed, &control->mutex);
    control->callback = callback;
    control->callback_context = context;
    control_wake(control);
    pthread_mutex_unlock(&control->mutex);
}

/* What this rank says, after its last note. */
static int send_failure(struct control *control, int status, const char *sentence)
{
    struct wire wire = {0};
    struct frame_part part;
    int result;

    wire_put_u32(&wire, (uint32_t)status);
    wire_put_text(&wire, sentence);
    part = (struct frame_part){wire.data, wire.length};
    control_queue_beat(control);
    result = wire.failed ? STATUS_MEMORY : control_queue(control, FRAME_FAIL, &part, 1, NULL);
    free(wire.data);
    return result;
}

int control_fail(struct control *control, int status, const char *sentence, struct error *root)
{
    const int64_t deadline_ns = clock_system.monotonic_ns(&clock_system) + VERDICT_NS;

    pthread_mutex_lock(&control->mutex);
    if (control->has_thread && !control->ended && !atomic_load(&control->failed) &&
        send_failure(control, status, sentence) == STATUS_OK)
        while (!atomic_load(&control->failed) && control_wait_until(control, deadline_ns))
            ;
    control_set_failure(control, status, sentence); /* where nobody else said anything */
    if (root != NULL)
        *root = control->failure;
    status = control->failure.status;
    pthread_mutex_unlock(&control->mutex);
    return status;
}
