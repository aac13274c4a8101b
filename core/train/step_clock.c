#include "train/step_clock.h"

#include "base/log.h"

/* Two clocks need not agree to the last part in a hundred. */
#define SLACK_NS 1000000

/* For the event behind one that was reached already. */
#define PATIENCE_NS ((int64_t)10 * 1000 * 1000 * 1000)

int step_clock_open(struct step_clock *clock, const struct stream *stream, const struct clock *host,
                    struct error *error)
{
    int status = STATUS_OK;

    *clock = (struct step_clock){.stream = stream, .host = host};
    for (int i = 0; status == STATUS_OK && i < STEP_CLOCK_MARKS; i++)
        status = event_create(stream->device, &clock->marks[i].event, error);
    return status;
}

void step_clock_close(struct step_clock *clock)
{
    for (int i = 0; i < STEP_CLOCK_MARKS; i++)
        event_destroy(&clock->marks[i].event);
    *clock = (struct step_clock){.stream = NULL};
}

static struct step_clock_mark *mark_at(struct step_clock *clock, int64_t index)
{
    return &clock->marks[index % STEP_CLOCK_MARKS];
}

static int64_t host_ns(const struct step_clock *clock)
{
    return clock->host->monotonic_ns(clock->host);
}

static int make_mark(struct step_clock *clock, struct error *error)
{
    struct step_clock_mark *mark = mark_at(clock, clock->made);

    clock->made++;
    mark->host_ns = host_ns(clock);
    return stream_record(clock->stream, &mark->event, error);
}

int step_clock_start(struct step_clock *clock, struct error *error)
{
    clock->read = clock->made;
    clock->read_ns = host_ns(clock);
    clock->started = true;
    return make_mark(clock, error);
}

int step_clock_end(struct step_clock *clock, struct error *error)
{
    return make_mark(clock, error);
}

/* What the device says; false where it cannot be true. A step cannot have taken longer than from the moment at which
 * the host enqueued the mark before it until now. */
static bool device_time(struct step_clock *clock, int64_t *ns)
{
    const struct step_clock_mark *from = mark_at(clock, clock->read), *to = mark_at(clock, clock->read + 1);
    struct error error = {0};
    int64_t most;
    bool ready;

    /* The end of a step is one event behind that of its results. */
    if (event_wait(&to->event, PATIENCE_NS, &ready, &error) != STATUS_OK || !ready)
        return false;
    most = host_ns(clock) - from->host_ns;
    return event_elapsed(&from->event, &to->event, ns, &error) == STATUS_OK && *ns >= 0 &&
           *ns <= most + most / 100 + SLACK_NS;
}

int64_t step_clock_read(struct step_clock *clock)
{
    bool by_host = clock->started;
    int64_t ns = 0, now;

    if (!clock->doubtful && !device_time(clock, &ns)) {
        clock->doubtful = true;
        /* Of a run that ends because another rank is lost there is nothing to say. */
        if (atomic_load(&clock->stream->device->abandoned) == STATUS_OK)
            log_line(LOG_WARNING, "the device's clock gives no time of a step that can be true; step_ms is the host's");
    }
    now = host_ns(clock);
    if (by_host || clock->doubtful)
        ns = now - clock->read_ns;
    clock->started = false;
    clock->read++;
    clock->read_ns = now;
    return ns;
}
