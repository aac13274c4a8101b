#include "checkpointing/space.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "base/log.h"
#include "checkpoint/find.h"
#include "checkpointing/saver.h"

/* As checkpoint/writer.c counts them: manifest and headers. */
#define BYTES_BESIDE        65536
#define BYTES_BESIDE_TENSOR 600
#define SHARD_BYTES         ((int64_t)2 << 30)

static int checkpoint_size(const struct program *program, int64_t *bytes, struct error *error)
{
    struct state_dict list;
    int status = state_dict_make(program, &list, error);

    if (status != STATUS_OK)
        return status;
    *bytes = list.bytes + BYTES_BESIDE;
    for (int64_t i = 0; i < list.count; i++)
        *bytes += BYTES_BESIDE_TENSOR + (int64_t)strlen(list.forms[i].name);
    state_dict_finish(&list);
    return STATUS_OK;
}

/* In the folder, or in the one above it that is there. -1: not known. */
static int64_t room_for(const struct file_system *fs, const char *folder)
{
    char path[PATH_MAX];
    int64_t room;

    if (snprintf(path, sizeof path, "%s", folder) >= (int)sizeof path)
        return -1;
    while ((room = fs->free_bytes(fs, path)) < 0) {
        char *slash = strrchr(path, '/');

        if (slash == NULL)
            return fs->free_bytes(fs, ".");
        slash[slash == path] = '\0';
        if (slash == path)
            return fs->free_bytes(fs, "/");
    }
    return room;
}

/* Saves of the steps to come. */
static int64_t saves_ahead(const struct resume *resume)
{
    const int64_t steps = resume->config.train.steps, every = resume->config.checkpoint.every;
    int64_t done = 0;

    if (resume->resumed)
        (void)checkpoint_state_integer(&resume->checkpoint.manifest.state, "step", &done);
    if (done >= steps)
        return 0;
    return every > 0 ? steps / every - done / every + (steps % every != 0) : 1;
}

/* Checkpoints that will be there at once beside those that are there now: a new one is whole before an old one goes. */
static int64_t most_at_once(const struct resume *resume, int64_t there, int64_t saves)
{
    const int64_t keep = resume->config.checkpoint.keep;
    const int64_t more = keep > there ? keep - there + 1 : 1;

    return keep == 0 || saves < more ? saves : more;
}

static int64_t complete_ones(const struct file_system *fs, const char *folder)
{
    struct checkpoint_listing listing;
    struct error ignored;
    int64_t count = 0;

    if (checkpoint_list(fs, folder, &listing, &ignored) != STATUS_OK)
        return 0;
    for (int64_t i = 0; i < listing.count; i++)
        count += listing.entries[i].condition == CHECKPOINT_COMPLETE;
    checkpoint_listing_finish(&listing);
    return count;
}

/* Why not even one checkpoint can be stored: false, and a sentence; true where one can. */
static bool one_fits(const char *folder, int64_t bytes, int64_t room, struct error *error)
{
    const int64_t largest = bytes < SHARD_BYTES ? bytes : SHARD_BYTES;
    struct rlimit files;

    if (room >= 0 && room < bytes) {
        error_set(error, STATUS_STORAGE, "%s: a checkpoint needs %lld bytes, %lld are free; make room", folder,
                  (long long)bytes, (long long)room);
        return false;
    }
    if (getrlimit(RLIMIT_FSIZE, &files) == 0 && files.rlim_cur != RLIM_INFINITY && files.rlim_cur < (rlim_t)largest) {
        error_set(error, STATUS_STORAGE,
                  "%s: a checkpoint needs files of %lld bytes, and this process may make none over %lld (ulimit -f)",
                  folder, (long long)largest, (long long)files.rlim_cur);
        return false;
    }
    return true;
}

int space_check(const struct file_system *fs, const struct resume *resume, const char *run_folder,
                const struct program *program, struct error *error)
{
    const int64_t saves = saves_ahead(resume);
    struct error problem;
    char folder[PATH_MAX];
    int64_t bytes, room, most;
    int status = checkpoint_size(program, &bytes, error);

    if (status != STATUS_OK || saves == 0 || !file_join(folder, sizeof folder, run_folder, SAVER_FOLDER))
        return status;
    room = room_for(fs, folder);
    most = most_at_once(resume, complete_ones(fs, folder), saves);
    if (!one_fits(folder, bytes, room, &problem)) {
        if (resume->config.train.on_save_error != CONFIG_ON_SAVE_ERROR_CONTINUE)
            return error_set(error, STATUS_STORAGE,
                             "%.600s, or set train.on_save_error to continue, and what can be saved later is saved",
                             problem.message);
        log_line(LOG_WARNING, "%s", problem.message);
    } else if (room >= 0 && (double)most * (double)bytes > (double)room) {
        log_line(LOG_WARNING,
                 "%s: %lld more checkpoints of %lld bytes will be there at once (checkpoint.keep %lld), and %lld bytes "
                 "are free; make room or keep fewer",
                 folder, (long long)most, (long long)bytes, (long long)resume->config.checkpoint.keep, (long long)room);
    }
    return STATUS_OK;
}
