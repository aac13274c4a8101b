#include "checkpoint/retain.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "checkpoint/commit.h"
#include "checkpoint/find.h"
#include "checkpoint/folder.h"

/* A file under such a name is removed too. */
static int remove_entry(const struct file_system *fs, const char *folder, const char *name, struct error *error)
{
    char path[PATH_MAX];
    int result;

    if (!file_join(path, sizeof path, folder, name))
        return error_set(error, STATUS_STORAGE, "%.200s...: a path in it is too long to remove", folder);
    if (folder_exists(path))
        return folder_remove(fs, path, MANIFEST_NAME, error);
    result = fs->remove(fs, path);
    if (result != 0)
        return error_set(error, STATUS_STORAGE, "%s: could not remove: %s", path, strerror(-result));
    return STATUS_OK;
}

int checkpoint_sweep(const struct file_system *fs, const char *folder, struct error *error)
{
    struct checkpoint_listing listing;
    int result = checkpoint_list(fs, folder, &listing, error);

    for (int64_t i = 0; i < listing.count; i++) {
        const struct checkpoint_entry *entry = &listing.entries[i];
        /* The list puts a replaced one right before what replaced it. */
        bool replaced = entry->replaced && i + 1 < listing.count && listing.entries[i + 1].step == entry->step &&
                        listing.entries[i + 1].condition == CHECKPOINT_COMPLETE;

        if (entry->condition == CHECKPOINT_PARTIAL || replaced) {
            int removed = remove_entry(fs, folder, entry->name, result == STATUS_OK ? error : NULL);

            result = result == STATUS_OK ? removed : result;
        }
    }
    checkpoint_listing_finish(&listing);
    return result;
}

static int retire(const struct file_system *fs, const char *folder, const char *name, struct error *error)
{
    char old[PATH_MAX], retired[PATH_MAX];
    int result;

    if (!file_join(old, sizeof old, folder, name) ||
        (size_t)snprintf(retired, sizeof retired, "%s" COMMIT_PARTIAL "removed", old) >= sizeof retired)
        return error_set(error, STATUS_STORAGE, "%.200s...: a path in it is too long to remove", folder);
    result = fs->rename(fs, old, retired);
    if (result != 0)
        return error_set(error, STATUS_STORAGE, "%s: could not rename it to %s: %s", old, retired, strerror(-result));
    return folder_remove(fs, retired, MANIFEST_NAME, error);
}

int checkpoint_retain(const struct file_system *fs, const char *folder, int64_t keep, struct error *error)
{
    struct checkpoint_listing listing;
    int64_t complete = 0;
    int result = checkpoint_list(fs, folder, &listing, error);

    for (int64_t i = 0; i < listing.count; i++)
        complete += listing.entries[i].condition == CHECKPOINT_COMPLETE;
    for (int64_t i = 0; i < listing.count && result == STATUS_OK && keep > 0 && complete > keep; i++) {
        if (listing.entries[i].condition != CHECKPOINT_COMPLETE)
            continue;
        result = retire(fs, folder, listing.entries[i].name, error);
        complete--;
    }
    checkpoint_listing_finish(&listing);
    return result;
}
