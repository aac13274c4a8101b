#include "checkpointing/space.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/hash.h"
#include "base/log.h"
#include "checkpoint/find.h"
#include "checkpointing/saver.h"

#define SHARD_BYTES ((int64_t)2 << 30)

/* What a tensor takes, and a hash of its name: each rank has some, and several have the same. */
struct taken {
    uint64_t name;
    int64_t bytes;
};

static int compare_names(const void *a, const void *b)
{
    const struct taken *x = a, *y = b;

    return (x->name > y->name) - (x->name < y->name);
}

static int list_taken(const struct program *program, struct ranks_message *message, struct error *error)
{
    struct state_dict list;
    struct taken *taken;
    int status = state_dict_make(program, &list, error);

    if (status != STATUS_OK)
        return status;
    taken = malloc((size_t)(list.count + 1) * sizeof *taken);
    for (int64_t i = 0; i < list.count && taken != NULL; i++) {
        const int64_t bytes = safetensors_form_bytes(&list.forms[i]);

        taken[i] =
            (struct taken){hash_text(list.forms[i].name), bytes + partial_bytes_beside(list.forms[i].name, bytes)};
    }
    *message = (struct ranks_message){(char *)taken, taken != NULL ? list.count * (int64_t)sizeof *taken : 0};
    if (taken == NULL)
        status = error_set(error, STATUS_MEMORY, "no memory for the list of weights");
    state_dict_finish(&list);
    return status;
}

/* Each tensor once, whichever ranks have it. */
static int checkpoint_size(const struct ranks_message *given, int32_t ranks, int64_t *bytes, struct error *error)
{
    int64_t count = 0, all = 0;
    char *joined;
    struct taken *taken;

    for (int32_t i = 0; i < ranks; i++)
        all += given[i].bytes;
    joined = malloc((size_t)all + 1);
    if (joined == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for the list of weights");
    for (int32_t i = 0; i < ranks; i++) {
        if (given[i].bytes > 0)
            memcpy(joined + count, given[i].data, (size_t)given[i].bytes);
        count += given[i].bytes;
    }
    taken = (struct taken *)(void *)joined;
    count /= (int64_t)sizeof *taken;
    qsort(taken, (size_t)count, sizeof *taken, compare_names);
    *bytes = PARTIAL_BYTES_BESIDE;
    for (int64_t i = 0; i < count; i++)
        if (i == 0 || taken[i].name != taken[i - 1].name)
            *bytes += taken[i].bytes;
    free(joined);
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

/* What rank 0 looks at. */
struct space {
    const struct file_system *fs;
    const struct resume *resume;
    const char *folder;
};

static int check(void *context, const struct ranks_message *given, struct ranks_message *answer, struct error *error)
{
    const struct space *space = context;
    const struct config *config = &space->resume->config;
    const int64_t saves = saves_ahead(space->resume);
    struct error problem;
    int64_t bytes = 0, room, most;
    int status = checkpoint_size(given, space->resume->ranks != NULL ? space->resume->ranks->ranks : 1, &bytes, error);

    (void)answer;
    if (status != STATUS_OK || saves == 0)
        return status;
    room = room_for(space->fs, space->folder);
    most = most_at_once(space->resume, complete_ones(space->fs, space->folder), saves);
    if (!one_fits(space->folder, bytes, room, &problem)) {
        if (config->train.on_save_error != CONFIG_ON_SAVE_ERROR_CONTINUE)
            return error_set(error, STATUS_STORAGE,
                             "%.600s, or set train.on_save_error to continue, and what can be saved later is saved",
                             problem.message);
        log_line(LOG_WARNING, "%s", problem.message);
    } else if (room >= 0 && (double)most * (double)bytes > (double)room) {
        log_line(LOG_WARNING,
                 "%s: %lld more checkpoints of %lld bytes will be there at once (checkpoint.keep %lld), and %lld bytes "
                 "are free; make room or keep fewer",
                 space->folder, (long long)most, (long long)bytes, (long long)config->checkpoint.keep, (long long)room);
    }
    return STATUS_OK;
}

int space_check(const struct file_system *fs, const struct resume *resume, const char *run_folder,
                const struct program *program, struct error *error)
{
    char folder[PATH_MAX];
    struct space space = {fs, resume, folder};
    struct ranks_message taken = {NULL, 0};
    int status = list_taken(program, &taken, error);

    if (!file_join(folder, sizeof folder, run_folder, SAVER_FOLDER))
        folder[0] = '\0';
    /* Where the path is too long, others say so. */
    status = ranks_meet(resume->ranks, status, &taken, folder[0] != '\0' ? check : NULL, &space, NULL, error);
    free(taken.data);
    return status;
}
