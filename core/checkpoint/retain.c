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

/* Set aside for another one, which is there. One that cannot be read may still be wanted. */
static bool has_successor(const struct checkpoint_listing *listing, const struct checkpoint_entry *entry)
{
    if (!entry->replaced || entry->condition == CHECKPOINT_UNREADABLE)
        return false;
    for (int64_t i = 0; i < listing->count; i++) {
        const struct checkpoint_entry *other = &listing->entries[i];

        if (other->condition == CHECKPOINT_COMPLETE && !other->replaced && other->step == entry->step &&
            (entry->condition == CHECKPOINT_TORN || other->branch == entry->branch))
            return true;
    }
    return false;
}

int checkpoint_sweep(const struct file_system *fs, const char *folder, struct error *error)
{
    struct checkpoint_listing listing;
    int result = checkpoint_list(fs, folder, &listing, error);

    for (int64_t i = 0; i < listing.count; i++) {
        const struct checkpoint_entry *entry = &listing.entries[i];

        if (entry->condition == CHECKPOINT_PARTIAL || has_successor(&listing, entry)) {
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

static bool counts(const struct checkpoint_entry *entry, int64_t branch)
{
    return entry->condition == CHECKPOINT_COMPLETE && entry->branch == branch;
}

int checkpoint_retain(const struct file_system *fs, const char *folder, int64_t keep, int64_t branch, int64_t saved,
                      struct error *error)
{
    struct checkpoint_listing listing;
    int64_t complete = 0;
    int result = checkpoint_list(fs, folder, &listing, error);

    for (int64_t i = 0; i < listing.count; i++)
        complete += counts(&listing.entries[i], branch);
    for (int64_t i = 0; i < listing.count && result == STATUS_OK && keep > 0 && complete > keep; i++) {
        const struct checkpoint_entry *entry = &listing.entries[i];

        if (!counts(entry, branch) || (entry->step == saved && !entry->replaced))
            continue;
        result = retire(fs, folder, entry->name, error);
        complete--;
    }
    checkpoint_listing_finish(&listing);
    return result;
}
