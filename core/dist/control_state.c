#include "dist/control_state.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

void control_set_failure(struct control *control, int status, const char *sentence)
{
    if (atomic_load(&control->failed))
        return;
    error_set(&control->failure, status, "%s", sentence);
    atomic_store(&control->failed, true);
    pthread_cond_broadcast(&control->changed);
}

void control_wake(struct control *control)
{
    const uint64_t one = 1;

    /* Only a counter at its end refuses, and then the thread is awake. */
    if (write(control->wake, &one, sizeof one) < 0)
        return;
}

int control_queue(struct control *control, uint32_t type, const struct frame_part *parts, int count,
                  struct error *error)
{
    const int status = connection_queue(&control->connection, type, parts, count, error);

    if (status == STATUS_OK)
        control_wake(control);
    return status;
}

void control_queue_beat(struct control *control)
{
    const char *what = atomic_load(&control->note_what);
    struct wire wire = {0};
    struct frame_part part;

    wire_put_u64(&wire, (uint64_t)atomic_load(&control->note_step));
    wire_put_text(&wire, what != NULL ? what : "");
    part = (struct frame_part){wire.data, wire.length};
    if (!wire.failed)
        connection_queue(&control->connection, FRAME_BEAT, &part, 1, NULL); /* the next one may find memory */
    free(wire.data);
}

bool control_wait_until(struct control *control, int64_t deadline_ns)
{
    const struct timespec until = {deadline_ns / 1000000000, deadline_ns % 1000000000};

    return pthread_cond_timedwait(&control->changed, &control->mutex, &until) == 0;
}
