/* Which rank this process is, as whoever started it says in environment variables: `llmrun launch`, torchrun, RANK and
 * WORLD_SIZE set by hand, Open MPI, PMI (MPICH, Intel MPI), Slurm, PMIx. Without any it is a single rank.
 *
 * - A starter of processes (launch, torchrun, mpirun) hides what encloses it: `srun llmrun launch -n 8` gives nodes x 8
 *   ranks. Other sources that disagree are refused, and so is half of a source's variables.
 * - Slurm counts within a step (srun): the batch script of a job is a single rank, though it has SLURM_PROCID.
 * - Rank 0 is met at LLMRUN_RENDEZVOUS=host:port, else MASTER_ADDR and MASTER_PORT, else the first node of a Slurm
 * step, else, under Open MPI on one machine, 127.0.0.1. The ports of the last two follow from the job's id. Where
 * torchrun has a store of its own at MASTER_PORT, the next port. */
#ifndef LLMRUN_DIST_ENVIRONMENT_H
#define LLMRUN_DIST_ENVIRONMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

#define RENDEZVOUS_HOST_BYTES 256

struct rank_environment {
    int32_t rank, world;              /* 0 of 1: a single rank */
    int32_t local_rank, local_world;  /* on this machine; -1 where nobody says */
    const char *source;               /* "torchrun", for people; lives as long as the process */
    bool launched;                    /* `llmrun launch` has started it, and takes its output */
    char host[RENDEZVOUS_HOST_BYTES]; /* where rank 0 is met; "" for a single rank without an address */
    int32_t port;
    int32_t listener; /* of rank 0 under launch: a socket that listens there already, inherited; else -1 */
};

/* Reads an array like `environ`, "NAME=value" and a NULL at its end; an empty value counts as none. STATUS_USAGE names
 * the variables at fault. Blocks not. */
int rank_environment_read(char *const *variables, struct rank_environment *environment, struct error *error);

#define RANK_ENVIRONMENT_TEXT 512

/* "rank 3 of 8 (torchrun), rank 0 is at node1:29500". */
void rank_environment_describe(const struct rank_environment *environment, char text[RANK_ENVIRONMENT_TEXT]);

#endif
