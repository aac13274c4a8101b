/* Ranks as child processes: started, watched, told to stop, and their exit codes made one. */
#ifndef LLMRUN_CLI_LAUNCH_RANKS_H
#define LLMRUN_CLI_LAUNCH_RANKS_H

#include <stdint.h>

#include "dist/environment.h"
#include "dist/secret.h"

struct launch_options {
    const char *program; /* its path */
    char *const *arguments;
    char *const *variables; /* the environment, like `environ` */
    const struct rank_environment
        *enclosing;                 /* of this process: one of `world` machines, each of which does the same */
    int32_t ranks;                  /* on this machine, at least 1 */
    char secret[SECRET_TEXT_BYTES]; /* "" on one machine: a new one */
    const char *log_folder;         /* of rank_N.log; NULL: a temporary one, which is kept after a failure */
    int64_t grace_ns; /* after the first failure the others have so long to end by themselves; then they are killed */
};

/* Starts the ranks, each in a process group of its own, which ends with this process, and waits for all. Rank 0 has the
 * standard output and error of this process, others have logs. SIGINT, SIGTERM, SIGUSR1 and SIGHUP are passed on to all
 * ranks once; a second one kills them.
 *
 * *code: 0 if all ended so; 75 if they were stopped on request; 5 if the first that failed by itself was killed by a
 * signal, else its exit code; 5 where all failed because of others; 128 + n after a second signal n. `summary` is one
 * sentence. Another status than STATUS_OK: they could not be started. One thread. */
#define LAUNCH_SUMMARY 1024
int launch_ranks(const struct launch_options *options, int *code, char summary[LAUNCH_SUMMARY], struct error *error);

#endif
