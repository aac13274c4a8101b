#include "checkpoint/branch.h"

#include "base/log.h"
#include "checkpoint/find.h"

static int branch_in(const struct checkpoint_listing *listing, const char *folder, const struct manifest *origin,
                     int64_t *branch, struct error *error)
{
    const struct checkpoint_entry *newest = checkpoint_newest(listing);

    *branch = 0;
    for (int64_t i = 0; i < listing->count; i++)
        if (listing->entries[i].condition == CHECKPOINT_UNREADABLE)
            return error_set(error, STATUS_STORAGE, "%s", listing->entries[i].reason);
    if (newest == NULL)
        return STATUS_OK;
    *branch = newest->branch;
    if (newest->checksum == origin->checksum)
        return STATUS_OK;
    /* The list is sorted by branch. */
    *branch = newest->branch + 1;
    log_line(LOG_WARNING,
             "this run goes on from step %lld, and %s holds newer checkpoints (the newest: %s); they stay there, and "
             "those of this run count as the newest from its first one on (branch %lld)",
             (long long)origin->step, folder, newest->name, (long long)*branch);
    return STATUS_OK;
}

int checkpoint_branch_of_run(const struct file_system *fs, const char *folder, const struct manifest *origin,
                             int64_t *branch, struct error *error)
{
    struct checkpoint_listing listing;
    int result = checkpoint_list(fs, folder, &listing, error);

    if (result == STATUS_OK)
        result = branch_in(&listing, folder, origin, branch, error);
    checkpoint_listing_finish(&listing);
    return result;
}
