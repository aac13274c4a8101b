#include <stdlib.h>

#include "schedule/schedule.h"

int32_t schedule_closed_levels(int32_t unit)
{
    int32_t levels = 0;

    for (unit++; unit % 2 == 0; unit /= 2)
        levels++;
    return levels;
}

int schedule_accumulate(int32_t microbatches, int32_t units, bool zero, struct schedule *schedule, struct error *error)
{
    struct schedule_entry *entries = malloc((size_t)microbatches * 4 * sizeof *entries);
    int32_t each = microbatches / units;
    int64_t count = 0;

    if (entries == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for a schedule of %d microbatches", microbatches);
    for (int32_t i = 0; i < microbatches; i++) {
        if (zero && i % each == 0)
            entries[count++] = (struct schedule_entry){SCHEDULE_ZERO, i, 0};
        entries[count++] = (struct schedule_entry){SCHEDULE_FORWARD, i, 0};
        entries[count++] = (struct schedule_entry){SCHEDULE_BACKWARD, i, 0};
        if ((i + 1) % each == 0)
            entries[count++] = (struct schedule_entry){SCHEDULE_CLOSE, i, schedule_closed_levels(i / each)};
    }
    *schedule = (struct schedule){entries, count, microbatches, 1};
    return STATUS_OK;
}
