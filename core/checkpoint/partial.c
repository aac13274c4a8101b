#include "checkpoint/partial.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "checkpoint/blocks.h"
#include "checkpoint/commit.h"
#include "checkpoint/folder.h"
#include "checkpoint/manifest.h"
#include "checkpoint/retain.h"
#include "checkpoint/stored_file.h"

int partial_name(const struct checkpoint_target *target, struct partial_folder *partial, struct error *error)
{
    char name[128];

    if (target->step < 0 || !manifest_plain_name(target->run_id, MANIFEST_RUN_ID_BYTES - 1))
        return error_set(error, STATUS_BUG, "a checkpoint of step %lld and run '%.80s' cannot be named",
                         (long long)target->step, target->run_id);
    snprintf(name, sizeof name, "step_%08" PRId64 COMMIT_PARTIAL "%s", target->step, target->run_id);
    if (!file_join(partial->partial, sizeof partial->partial, target->folder, name))
        return error_set(error, STATUS_STORAGE, "the path of the folder %.200s... is too long", target->folder);
    *strstr(name, COMMIT_PARTIAL) = '\0';
    file_join(partial->final, sizeof partial->final, target->folder, name);
    return STATUS_OK;
}

/* Makes the folder of checkpoints, and its own entry in the folder above durable. */
static int make_folder(const struct checkpoint_target *target, struct error *error)
{
    char parent[PATH_MAX], *slash;
    int result;

    if (folder_exists(target->folder))
        return STATUS_OK;
    result = file_make_folders(target->fs, target->folder, error);
    if (result != STATUS_OK)
        return result;
    snprintf(parent, sizeof parent, "%s", target->folder);
    slash = strrchr(parent, '/');
    if (slash == NULL)
        strcpy(parent, ".");
    else
        slash[slash == parent] = '\0';
    return stored_folder_sync(target->fs, parent, error);
}

static int check_space(const struct checkpoint_target *target, int64_t needed, struct error *error)
{
    int64_t available = target->fs->free_bytes(target->fs, target->folder);

    if (available >= 0 && available < needed)
        return error_set(error, STATUS_STORAGE,
                         "%s: the checkpoint needs %lld bytes, %lld are free; make room or keep fewer checkpoints",
                         target->folder, (long long)needed, (long long)available);
    return STATUS_OK;
}

/* What cannot be removed is in the way only where it has the name of the new folder. */
static int sweep(const struct checkpoint_target *target, const struct partial_folder *partial, struct error *error)
{
    struct error removal = {0};
    int result = checkpoint_sweep(target->fs, target->folder, &removal);

    if (result == STATUS_OK)
        return STATUS_OK;
    if (folder_exists(partial->partial))
        return error_set(error, result, "%s", removal.message);
    log_line(LOG_WARNING, "the rest of an earlier save stays: %s", removal.message);
    return STATUS_OK;
}

int partial_make(const struct checkpoint_target *target, const struct partial_folder *partial, int64_t bytes,
                 struct error *error)
{
    int result;

    if ((result = make_folder(target, error)) != STATUS_OK || (result = sweep(target, partial, error)) != STATUS_OK ||
        (result = check_space(target, bytes, error)) != STATUS_OK)
        return result;
    result = target->fs->make_folder(target->fs, partial->partial);
    if (result != 0)
        return error_set(error, STATUS_STORAGE, "%s: could not create: %s", partial->partial, strerror(-result));
    return STATUS_OK;
}

void partial_remove(const struct checkpoint_target *target, const struct partial_folder *partial)
{
    (void)folder_remove(target->fs, partial->partial, MANIFEST_NAME, NULL);
}

/* Names and numbers, and 16 digits a block. The smallest rows make the most blocks. */
int64_t partial_bytes_beside(const char *name, int64_t bytes)
{
    return 600 + (int64_t)strlen(name) + 16 * blocks_most(bytes);
}
