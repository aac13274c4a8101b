#include "dist/environment.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dist/rendezvous.h"
#include "dist/variables.h"

#define RANKS_MOST 1000000

/* Bits of sources, for `hides`. */
enum { LAUNCH = 1, TORCHRUN = 2, HAND = 4, OPEN_MPI = 8, PMI = 16, SLURM = 32, PMIX = 64, ALL = 127 };

/* Inner before outer. A source speaks where its marker and its rank or world are set. */
static const struct source {
    const char *name;
    int bit;
    int hides; /* sources around it, which count other processes */
    const char *marker;
    const char *rank, *world, *local_rank, *local_world;
} sources[] = {
    {"llmrun launch", LAUNCH, ALL, "LLMRUN_RENDEZVOUS", "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"},
    {"torchrun", TORCHRUN, ALL, "TORCHELASTIC_RUN_ID", "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"},
    {"RANK and WORLD_SIZE", HAND, 0, NULL, "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"},
    {"Open MPI", OPEN_MPI, SLURM, NULL, "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK",
     "OMPI_COMM_WORLD_LOCAL_SIZE"},
    {"PMI", PMI, SLURM, NULL, "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"},
    {"Slurm", SLURM, 0, "SLURM_STEP_ID", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", NULL},
    {"PMIx", PMIX, 0, "PMIX_NAMESPACE", "PMIX_RANK", NULL, NULL, NULL},
};

#define SOURCES (int)(sizeof sources / sizeof sources[0])

/* What one source says; -1: nothing. */
struct claim {
    const struct source *source;
    int32_t rank, world, local_rank, local_world;
};

/* A variable that may be missing (-1) or is a whole number from `least` on. */
static int read_number(char *const *variables, const char *name, int32_t least, int32_t *number, struct error *error)
{
    const char *text = name != NULL ? variable_find(variables, name) : NULL;
    char *end;
    long value;

    *number = -1;
    if (text == NULL)
        return STATUS_OK;
    errno = 0;
    value = strtol(text, &end, 10);
    if (*end != '\0' || end == text || errno != 0 || value < least || value > RANKS_MOST)
        return error_set(error, STATUS_USAGE, "%s is '%.80s'; expected a whole number from %d to %d", name, text,
                         (int)least, RANKS_MOST);
    *number = (int32_t)value;
    return STATUS_OK;
}

/* Slurm lists the ranks of a node: "4,5". */
static void count_global_ids(char *const *variables, struct claim *claim)
{
    const char *ids = variable_find(variables, "SLURM_GTIDS");

    if (claim->source->bit != SLURM || ids == NULL)
        return;
    claim->local_world = 1;
    for (; *ids != '\0'; ids++)
        claim->local_world += *ids == ',';
}

static int check_claim(const struct claim *claim, struct error *error)
{
    const struct source *source = claim->source;

    if (claim->rank < 0 || (claim->world < 0 && source->world != NULL))
        return error_set(error, STATUS_USAGE, "%s is set and %s is not; set both, or neither",
                         claim->rank < 0 ? source->world : source->rank,
                         claim->rank < 0 ? source->rank : source->world);
    if (claim->world >= 0 && claim->rank >= claim->world)
        return error_set(error, STATUS_USAGE, "%s is %d and %s is %d; expected a rank from 0 to %d", source->rank,
                         (int)claim->rank, source->world, (int)claim->world, (int)claim->world - 1);
    if (claim->local_world >= 0 && claim->local_rank >= claim->local_world)
        return error_set(error, STATUS_USAGE, "%s is %d and %s is %d; expected a local rank from 0 to %d",
                         source->local_rank, (int)claim->local_rank,
                         source->local_world != NULL ? source->local_world : "the number of ranks in SLURM_GTIDS",
                         (int)claim->local_world, (int)claim->local_world - 1);
    if (claim->world >= 0 && claim->local_world > claim->world)
        return error_set(error, STATUS_USAGE, "%s is %d and %s is %d; expected no more ranks on a machine than in all",
                         source->local_world != NULL ? source->local_world : "the number of ranks in SLURM_GTIDS",
                         (int)claim->local_world, source->world, (int)claim->world);
    return STATUS_OK;
}

/* claim->source is NULL afterwards where the source does not speak. */
static int read_claim(char *const *variables, const struct source *source, struct claim *claim, struct error *error)
{
    int status;

    *claim = (struct claim){NULL, -1, -1, -1, -1};
    if (source->marker != NULL && variable_find(variables, source->marker) == NULL)
        return STATUS_OK;
    if (variable_find(variables, source->rank) == NULL &&
        (source->world == NULL || variable_find(variables, source->world) == NULL))
        return STATUS_OK;
    claim->source = source;
    status = read_number(variables, source->rank, 0, &claim->rank, error);
    if (status == STATUS_OK)
        status = read_number(variables, source->world, 1, &claim->world, error);
    if (status == STATUS_OK)
        status = read_number(variables, source->local_rank, 0, &claim->local_rank, error);
    if (status == STATUS_OK)
        status = read_number(variables, source->local_world, 1, &claim->local_world, error);
    if (status != STATUS_OK)
        return status;
    count_global_ids(variables, claim);
    return check_claim(claim, error);
}

/* That of `other` against the one that was chosen. A step of one task says nothing: it may be the shell in which ranks
 * are started by hand. */
static int compare(const struct claim *chosen, const struct claim *other, struct error *error)
{
    if ((other->rank == chosen->rank && (other->world < 0 || other->world == chosen->world)) || other->world == 1)
        return STATUS_OK;
    if (other->world < 0)
        return error_set(error, STATUS_USAGE,
                         "%s says rank %d (%s) and %s says rank %d (%s): unset the variables of one of them",
                         chosen->source->name, (int)chosen->rank, chosen->source->rank, other->source->name,
                         (int)other->rank, other->source->rank);
    return error_set(error, STATUS_USAGE,
                     "%s says rank %d of %d (%s, %s) and %s says rank %d of %d (%s, %s): unset the variables of one of "
                     "them",
                     chosen->source->name, (int)chosen->rank, (int)chosen->world, chosen->source->rank,
                     chosen->source->world, other->source->name, (int)other->rank, (int)other->world,
                     other->source->rank, other->source->world);
}

/* The innermost source that knows the number of ranks. */
static int choose(char *const *variables, struct claim *chosen, struct error *error)
{
    struct claim claims[SOURCES];
    int hidden = 0, status = STATUS_OK, first = -1;

    for (int i = 0; i < SOURCES && status == STATUS_OK; i++) {
        claims[i].source = NULL;
        if ((hidden & sources[i].bit) != 0)
            continue;
        status = read_claim(variables, &sources[i], &claims[i], error);
        if (claims[i].source == NULL)
            continue;
        hidden |= sources[i].hides;
        if (first < 0 && claims[i].world >= 0)
            first = i;
    }
    for (int i = 0; i < SOURCES && status == STATUS_OK; i++) {
        if (claims[i].source == NULL || i == first)
            continue;
        status = first >= 0 ? compare(&claims[first], &claims[i], error)
                            : error_set(error, STATUS_USAGE,
                                        "%s is set and no variable says how many ranks there are; set RANK and "
                                        "WORLD_SIZE, or start the ranks with `llmrun launch`",
                                        claims[i].source->rank);
    }
    *chosen = first >= 0 ? claims[first] : (struct claim){NULL, 0, 1, 0, 1};
    return status;
}

/* Of rank 0 only: launch gives others none. */
static int read_listener(char *const *variables, struct rank_environment *environment, struct error *error)
{
    int status = read_number(variables, "LLMRUN_RENDEZVOUS_FD", 3, &environment->listener, error);

    if (environment->rank != 0)
        environment->listener = -1;
    return status;
}

int rank_environment_read(char *const *variables, struct rank_environment *environment, struct error *error)
{
    struct claim chosen;
    int status;

    *environment = (struct rank_environment){.world = 1, .local_world = 1, .source = "no variables", .listener = -1};
    status = choose(variables, &chosen, error);
    if (status != STATUS_OK)
        return status;
    environment->rank = chosen.rank;
    environment->world = chosen.world;
    environment->local_rank = chosen.local_rank;
    environment->local_world = chosen.local_world;
    if (chosen.source != NULL)
        environment->source = chosen.source->name;
    environment->launched = chosen.source != NULL && chosen.source->bit == LAUNCH;
    if (environment->launched)
        status = read_listener(variables, environment, error);
    return status == STATUS_OK ? rendezvous_read(variables, environment, error) : status;
}

void rank_environment_describe(const struct rank_environment *environment, char text[RANK_ENVIRONMENT_TEXT])
{
    if (environment->world == 1)
        snprintf(text, RANK_ENVIRONMENT_TEXT, "a single rank (%s)", environment->source);
    else
        snprintf(text, RANK_ENVIRONMENT_TEXT, "rank %d of %d (%s), rank 0 is at %s:%d", (int)environment->rank,
                 (int)environment->world, environment->source, environment->host, (int)environment->port);
}
