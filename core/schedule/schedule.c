#include "schedule/schedule.h"

#include <stdbool.h>
#include <stdlib.h>

void schedule_free(struct schedule *schedule)
{
    free(schedule->entries);
    *schedule = (struct schedule){0};
}

int schedule_check(const struct schedule *schedule, struct error *error)
{
    uint8_t *state = calloc((size_t)schedule->microbatches + 1, 1); /* 0: nothing ran, 1: F ran, 2: B ran */
    int32_t open = 0, last_backward = -1;
    int status = STATUS_OK;

    if (state == NULL)
        return error_set(error, STATUS_MEMORY, "no memory to check the schedule");
    for (int64_t i = 0; status == STATUS_OK && i < schedule->count; i++) {
        const struct schedule_entry *entry = &schedule->entries[i];
        bool forward = entry->action == SCHEDULE_FORWARD;

        if (entry->action == SCHEDULE_ZERO || entry->action == SCHEDULE_CLOSE) {
            if (open != 0 || entry->microbatch != last_backward + (entry->action == SCHEDULE_ZERO))
                status = error_set(error, STATUS_BUG, "schedule entry %lld: %s amid microbatch %d", (long long)i,
                                   entry->action == SCHEDULE_ZERO ? "zero" : "close", entry->microbatch);
            continue;
        }
        if (entry->microbatch < 0 || entry->microbatch >= schedule->microbatches ||
            state[entry->microbatch] != (forward ? 0 : 1))
            status = error_set(error, STATUS_BUG, "schedule entry %lld: %s of microbatch %d is out of order",
                               (long long)i, forward ? "F" : "B", entry->microbatch);
        else if (!forward && entry->microbatch != last_backward + 1)
            status = error_set(error, STATUS_BUG, "schedule entry %lld: B of microbatch %d follows B of %d",
                               (long long)i, entry->microbatch, last_backward);
        else if ((open += forward ? 1 : -1) > schedule->in_flight)
            status = error_set(error, STATUS_BUG, "schedule entry %lld: more than %d microbatches are in flight",
                               (long long)i, schedule->in_flight);
        else {
            state[entry->microbatch]++;
            last_backward = forward ? last_backward : entry->microbatch;
        }
    }
    if (status == STATUS_OK && (open != 0 || last_backward != schedule->microbatches - 1))
        status = error_set(error, STATUS_BUG, "the schedule ends before the last B");
    free(state);
    return status;
}
