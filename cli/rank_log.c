#include "rank_log.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"

static void write_early(struct rank_log *log)
{
    struct error ignored;

    if (log->early.data != NULL && file_write_all(&file_system_real, log->file, "", log->early.data,
                                                  (size_t)log->early.length, &ignored) != STATUS_OK) {
        file_system_real.close(&file_system_real, log->file);
        log->file = -1;
        log->kept = false;
        fprintf(stderr, "rank %d: %s", (int)log->rank, log->early.data);
    }
    text_finish(&log->early);
    log->early = (struct text){0};
}

static void take(void *context, enum log_level level, const char *line)
{
    static const char *const names[] = {"error: ", "warning: ", "", "debug: "};
    struct rank_log *log = context;

    pthread_mutex_lock(&log->mutex);
    if (log->kept)
        text_add(&log->early, "%s%s\n", names[level], line);
    else
        log->next(log->context, level, line);
    if (log->kept && log->file >= 0)
        write_early(log);
    pthread_mutex_unlock(&log->mutex);
}

void rank_log_init(struct rank_log *log, log_sink *next, void *context)
{
    *log = (struct rank_log){.next = next, .context = context, .file = -1};
    pthread_mutex_init(&log->mutex, NULL);
    log_set_sink(take, log);
}

void rank_log_begin(struct rank_log *log, const struct ranks *ranks)
{
    pthread_mutex_lock(&log->mutex);
    log->rank = ranks_rank(ranks);
    log->kept = ranks_share_output(ranks) && !ranks_is_first(ranks);
    pthread_mutex_unlock(&log->mutex);
}

void rank_log_open(struct rank_log *log, const char *run_folder)
{
    char folder[PATH_MAX], path[PATH_MAX];
    struct error error;

    pthread_mutex_lock(&log->mutex);
    if (log->kept && file_join(folder, sizeof folder, run_folder, "logs") &&
        snprintf(path, sizeof path, "%.4000s/rank_%d.log", folder, (int)log->rank) > 0) {
        if (file_make_folders(&file_system_real, folder, &error) == STATUS_OK)
            log->file = file_system_real.open(&file_system_real, path, FILE_APPEND);
        if (log->file >= 0)
            write_early(log);
    }
    pthread_mutex_unlock(&log->mutex);
}

void rank_log_finish(struct rank_log *log)
{
    log_set_sink(NULL, NULL);
    if (log->early.data != NULL)
        fprintf(stderr, "%s", log->early.data);
    if (log->file >= 0)
        file_system_real.close(&file_system_real, log->file);
    text_finish(&log->early);
    pthread_mutex_destroy(&log->mutex);
}
