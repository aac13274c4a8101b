#include <stdlib.h>

#include "layout/schedule.h"

int schedule_accumulate(int32_t microbatches, struct schedule *schedule, struct error *error)
{
    struct schedule_entry *entries = malloc((size_t)microbatches * 2 * sizeof *entries);

    if (entries == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for a schedule of %d microbatches", microbatches);
    for (int32_t i = 0; i < microbatches; i++) {
        entries[2 * i] = (struct schedule_entry){SCHEDULE_FORWARD, i, 0};
        entries[2 * i + 1] = (struct schedule_entry){SCHEDULE_BACKWARD, i, 0};
    }
    *schedule = (struct schedule){entries, 2 * (int64_t)microbatches, microbatches, 1};
    return STATUS_OK;
}
