#include "checkpoint/find.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/log.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/commit.h"
#include "checkpoint/folder.h"

/* How often a reader follows a run that goes on saving. */
#define MOST_TRIES 100

static bool starts_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

/* "step_" and at least 8 digits; -1 for any other name. *rest is what follows. */
static int64_t step_of_name(const char *name, const char **rest)
{
    char *end;
    int64_t step;

    if (!starts_with(name, "step_") || strspn(name + 5, "0123456789") < 8 || strspn(name + 5, "0123456789") > 18)
        return -1;
    step = strtoll(name + 5, &end, 10);
    *rest = end;
    return step;
}

/* Fills what is known of a folder whose name says that it is complete. Only STATUS_MEMORY is a failure. */
static int examine(const struct file_system *fs, const char *path, struct checkpoint_entry *entry)
{
    struct manifest manifest;
    struct error error = {0};
    int result = checkpoint_read_manifest(fs, path, &manifest, &error);

    if (result == STATUS_OK && manifest.step != entry->step)
        result = error_set(&error, STATUS_INPUT, "%s is of step %" PRId64 " by its manifest", path, manifest.step);
    if (result == STATUS_OK)
        result = checkpoint_check_sizes(fs, path, &manifest, &error);
    entry->condition = result == STATUS_OK      ? CHECKPOINT_COMPLETE
                       : result == STATUS_INPUT ? CHECKPOINT_TORN
                                                : CHECKPOINT_UNREADABLE;
    for (int64_t i = 0; i < manifest.file_count && result == STATUS_OK; i++)
        entry->bytes += manifest.files[i].bytes;
    if (result == STATUS_OK) {
        entry->branch = manifest_branch(&manifest);
        entry->checksum = manifest.checksum;
    } else {
        snprintf(entry->reason, sizeof entry->reason, "%.500s", error.message);
    }
    manifest_finish(&manifest);
    return result == STATUS_MEMORY ? result : STATUS_OK;
}

/* Known to be no folder. */
static bool other_kind(const char *path)
{
    bool found;

    return folder_find(path, &found, NULL) == STATUS_INPUT;
}

/* Known to be gone. */
static bool gone(const char *path)
{
    bool found = true;

    return folder_find(path, &found, NULL) == STATUS_OK && !found;
}

static int classify(const struct file_system *fs, const char *folder, struct checkpoint_entry *entry)
{
    char path[PATH_MAX];
    const char *rest = "";

    entry->step = step_of_name(entry->name, &rest);
    entry->replaced = starts_with(rest, COMMIT_REPLACED);
    if (!file_join(path, sizeof path, folder, entry->name)) {
        entry->step = -1;
        entry->condition = CHECKPOINT_FOREIGN;
        snprintf(entry->reason, sizeof entry->reason, "its path is too long");
    } else if (entry->step >= 0 && starts_with(rest, COMMIT_PARTIAL)) {
        entry->condition = CHECKPOINT_PARTIAL;
        snprintf(entry->reason, sizeof entry->reason, "a save or removal that has not ended");
    } else if (entry->step >= 0 && (*rest == '\0' || entry->replaced || starts_with(rest, COMMIT_BRANCH)) &&
               !other_kind(path)) {
        return examine(fs, path, entry);
    } else {
        entry->step = -1;
        entry->condition = CHECKPOINT_FOREIGN;
        snprintf(entry->reason, sizeof entry->reason, "%s",
                 starts_with(rest, COMMIT_DAMAGED) ? "it was damaged when its step was saved again"
                                                   : "not a checkpoint's name");
    }
    return STATUS_OK;
}

static int compare(const void *a, const void *b)
{
    const struct checkpoint_entry *x = a, *y = b;

    if (x->branch != y->branch)
        return x->branch < y->branch ? -1 : 1;
    if (x->step != y->step)
        return x->step < y->step ? -1 : 1;
    if (x->replaced != y->replaced)
        return x->replaced ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* Takes over the name. An entry that is gone by the time it was looked at is left out. */
static int add_entry(const struct file_system *fs, const char *folder, char *name, struct checkpoint_listing *listing,
                     struct error *error)
{
    struct checkpoint_entry *entry = &listing->entries[listing->count++];
    char path[PATH_MAX];

    entry->name = name;
    if (classify(fs, folder, entry) != STATUS_OK)
        return error_set(error, STATUS_MEMORY, "no memory to look at %s/%s", folder, name);
    if (entry->condition == CHECKPOINT_TORN && file_join(path, sizeof path, folder, name) && gone(path)) {
        free(name);
        *entry = (struct checkpoint_entry){0};
        listing->count--;
        listing->moved = true;
    }
    return STATUS_OK;
}

int checkpoint_list(const struct file_system *fs, const char *folder, struct checkpoint_listing *listing,
                    struct error *error)
{
    struct folder_names names;
    bool found;
    int result;

    *listing = (struct checkpoint_listing){0};
    if ((result = folder_find(folder, &found, error)) != STATUS_OK || !found)
        return result;
    result = folder_names(folder, &names, error);
    if (result != STATUS_OK)
        return result;
    listing->entries = calloc((size_t)names.count + 1, sizeof *listing->entries);
    if (listing->entries == NULL)
        result = error_set(error, STATUS_MEMORY, "no memory for the list of checkpoints in %s", folder);
    for (int64_t i = 0; i < names.count && result == STATUS_OK; i++) {
        char *name = names.names[i];

        names.names[i] = NULL;
        result = add_entry(fs, folder, name, listing, error);
    }
    folder_names_finish(&names);
    if (result == STATUS_OK)
        qsort(listing->entries, (size_t)listing->count, sizeof *listing->entries, compare);
    return result;
}

void checkpoint_listing_finish(struct checkpoint_listing *listing)
{
    for (int64_t i = 0; i < listing->count; i++)
        free(listing->entries[i].name);
    free(listing->entries);
    *listing = (struct checkpoint_listing){0};
}

const struct checkpoint_entry *checkpoint_newest(const struct checkpoint_listing *listing)
{
    for (int64_t i = listing->count - 1; i >= 0; i--)
        if (listing->entries[i].condition == CHECKPOINT_COMPLETE)
            return &listing->entries[i];
    return NULL;
}

static int find_in_listing(const struct checkpoint_listing *listing, const char *folder, char path[PATH_MAX],
                           bool *found, struct error *error)
{
    const struct checkpoint_entry *newest = checkpoint_newest(listing);

    for (int64_t i = 0; i < listing->count; i++) {
        const struct checkpoint_entry *entry = &listing->entries[i];

        if (entry->condition == CHECKPOINT_UNREADABLE)
            return error_set(error, STATUS_STORAGE,
                             "%s; it may be the newest, so nothing older is taken for it: mend the storage, or name "
                             "the checkpoint that is wanted",
                             entry->reason);
        if (entry->condition == CHECKPOINT_PARTIAL || entry->condition == CHECKPOINT_TORN)
            log_line(LOG_WARNING, "checkpoint %s is ignored: %s", entry->name, entry->reason);
    }
    *found = newest != NULL && file_join(path, PATH_MAX, folder, newest->name);
    return STATUS_OK;
}

int checkpoint_find_newest(const struct file_system *fs, const char *folder, char path[PATH_MAX], bool *found,
                           struct error *error)
{
    struct checkpoint_listing listing;
    int result;

    *found = false;
    for (int tries = 0;; tries++) {
        result = checkpoint_list(fs, folder, &listing, error);
        if (result != STATUS_OK)
            break;
        /* What was removed while it was looked at has a newer one beside it. */
        if (tries == MOST_TRIES || !listing.moved || checkpoint_newest(&listing) != NULL) {
            result = find_in_listing(&listing, folder, path, found, error);
            break;
        }
        checkpoint_listing_finish(&listing);
    }
    checkpoint_listing_finish(&listing);
    return result;
}

int checkpoint_resolve(const struct file_system *fs, const char *given, char path[PATH_MAX], struct error *error)
{
    char below[PATH_MAX];
    bool found = false;
    int handle, result;

    if (!file_join(below, sizeof below, given, MANIFEST_NAME))
        return error_set(error, STATUS_INPUT, "%.200s...: the path is too long", given);
    do
        handle = fs->open(fs, below, FILE_READ);
    while (handle == -EINTR);
    if (handle >= 0)
        fs->close(fs, handle);
    else if (handle != -ENOENT && handle != -ENOTDIR)
        return checkpoint_file_problem(below, -handle, error);
    if (handle >= 0) {
        snprintf(path, PATH_MAX, "%s", given);
        return STATUS_OK;
    }
    if (!file_join(below, sizeof below, given, "ckpt"))
        return error_set(error, STATUS_INPUT, "%.200s...: the path is too long", given);
    result = folder_find(given, &found, error);
    if (result == STATUS_OK && !found)
        return error_set(error, STATUS_INPUT, "%s: there is no such folder", given);
    if (result == STATUS_OK)
        result = folder_find(below, &found, error);
    if (result == STATUS_OK)
        result = checkpoint_find_newest(fs, found ? below : given, path, &found, error);
    if (result == STATUS_OK && !found)
        return error_set(error, STATUS_INPUT,
                         "%s is neither a checkpoint nor a run folder with a complete one: there is no " MANIFEST_NAME,
                         given);
    return result;
}

bool checkpoint_moved_on(const struct file_system *fs, const char *given, const char *path)
{
    char manifest[PATH_MAX];

    return strcmp(given, path) != 0 && file_join(manifest, sizeof manifest, path, MANIFEST_NAME) &&
           !file_is_there(fs, manifest);
}

int checkpoint_open_given(const struct file_system *fs, const char *given, struct checkpoint *checkpoint,
                          struct error *error)
{
    char path[PATH_MAX];
    int result;

    *checkpoint = (struct checkpoint){0};
    for (int tries = 0;; tries++) {
        result = checkpoint_resolve(fs, given, path, error);
        if (result != STATUS_OK)
            return result;
        result = checkpoint_open(fs, path, checkpoint, error);
        if (result != STATUS_INPUT || tries == MOST_TRIES || !checkpoint_moved_on(fs, given, path))
            return result;
    }
}
