#include "runtime/timeline.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"

void timeline_destroy(struct timeline *timeline)
{
    for (int64_t i = 0; i < timeline->made; i++)
        event_destroy(&timeline->marks[i].event);
    free(timeline->marks);
    memset(timeline, 0, sizeof *timeline);
}

static int make_mark(struct timeline *timeline, struct device *device, struct error *error)
{
    struct timeline_mark *marks =
        array_reserve(timeline->marks, timeline->made, 1, &timeline->capacity, sizeof *timeline->marks);
    int status;

    if (marks == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for a timeline");
    timeline->marks = marks;
    status = event_create(device, &marks[timeline->made].event, error);
    if (status == STATUS_OK)
        timeline->made++;
    return status;
}

int timeline_mark(struct timeline *timeline, const struct stream *stream, const char *what, int32_t op,
                  struct error *error)
{
    struct timeline_mark *mark;
    int status = STATUS_OK;

    if (timeline == NULL)
        return STATUS_OK;
    if (timeline->count == timeline->made)
        status = make_mark(timeline, stream->device, error);
    if (status != STATUS_OK)
        return status;
    mark = &timeline->marks[timeline->count++];
    mark->what = what;
    mark->op = op;
    return stream_record(stream, &mark->event, error);
}

int timeline_elapsed(const struct timeline *timeline, int64_t index, int64_t *ns, struct error *error)
{
    return event_elapsed(&timeline->marks[index].event, &timeline->marks[index + 1].event, ns, error);
}
