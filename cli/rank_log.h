/* Where the log of a rank goes. Many ranks that share a terminal would say the same warnings many times: those other
 * than rank 0 write to RUN_DIR/logs/rank_N.log, unless `llmrun launch` has given them that file as their output. */
#ifndef LLMRUN_CLI_RANK_LOG_H
#define LLMRUN_CLI_RANK_LOG_H

#include <pthread.h>
#include <stdbool.h>

#include "base/log.h"
#include "base/text.h"
#include "dist/ranks.h"

struct rank_log {
    pthread_mutex_t mutex;
    log_sink *next; /* of a rank that writes where it is */
    void *context;
    int32_t rank;
    bool kept; /* lines wait in `early`, or go to the file */
    int file;  /* -1: the folder of the run is not known */
    struct text early;
};

/* All lines go to `next` at first. Before threads start. */
void rank_log_init(struct rank_log *log, log_sink *next, void *context);

/* It is known which rank this is: from now on lines wait where they are not for the terminal. */
void rank_log_begin(struct rank_log *log, const struct ranks *ranks);

/* The run's folder is there. What cannot be written there goes to the terminal. */
void rank_log_open(struct rank_log *log, const char *run_folder);

/* Lines that still wait go to the terminal; later ones go where they went before all this. */
void rank_log_finish(struct rank_log *log);

#endif
