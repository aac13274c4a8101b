#include "dist/ranks.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "dist/secret.h"

#define SENTENCE_BYTES 500
#define UPWARD         MESH_GROUPS /* the second communicator of pp */
#define COMMUNICATORS  (MESH_GROUPS + 1)

struct ranks {
    struct rank_environment environment;
    struct control *control;
    struct recorder *recorder;
    struct communicator communicators[COMMUNICATORS];
    struct control_exchange_context exchanges[COMMUNICATORS]; /* their groups; the ranks are owned */
    struct communication communication;
    const struct file_system *fs; /* of the run's folder; NULL: it is not known */
    char record[PATH_MAX];
    bool told; /* all ranks know why they end */
    void (*failed)(void *context, const struct error *error);
    void *failed_context;
};

static void on_failure(void *context, const struct error *error)
{
    struct ranks *ranks = context;

    for (int i = 0; i < COMMUNICATORS; i++)
        if (ranks->communicators[i].handle != NULL)
            communicator_abort(&ranks->communicators[i]);
    if (ranks->failed != NULL)
        ranks->failed(ranks->failed_context, error);
}

static int connect_control(struct ranks *ranks, char *const *variables, const char *run_folder, int64_t timeout_ns,
                           struct error *error)
{
    char secret[SECRET_TEXT_BYTES];
    const struct control_options options = {
        .environment = &ranks->environment, .secret = secret, .timeout_ns = timeout_ns, .recorder = ranks->recorder};
    int status = secret_find(variables, run_folder, secret, error);

    return status == STATUS_OK ? control_open(&options, &ranks->control, error) : status;
}

/* Once for all ranks. */
static void tell_source(const struct rank_environment *environment)
{
    char text[RANK_ENVIRONMENT_TEXT];

    rank_environment_describe(environment, text);
    if (environment->rank == 0)
        log_line(LOG_INFO, "%s", text);
}

int ranks_open(char *const *variables, const char *run_folder, int64_t timeout_ns, struct ranks **out,
               struct error *error)
{
    struct rank_environment environment;
    struct ranks *ranks;
    int status = rank_environment_read(variables, &environment, error);

    *out = NULL;
    if (status != STATUS_OK || environment.world == 1)
        return status;
    ranks = calloc(1, sizeof *ranks);
    if (ranks == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for the ranks of a job");
    ranks->environment = environment;
    status = recorder_create(&clock_system, &ranks->recorder, error);
    if (status == STATUS_OK)
        status = connect_control(ranks, variables, run_folder, timeout_ns, error);
    if (status != STATUS_OK) {
        ranks_close(ranks);
        return status;
    }
    tell_source(&environment);
    *out = ranks;
    return STATUS_OK;
}

void ranks_close(struct ranks *ranks)
{
    if (ranks == NULL)
        return;
    if (ranks->control != NULL)
        control_on_failure(ranks->control, NULL, NULL);
    for (int i = COMMUNICATORS - 1; i >= 0; i--)
        communicator_destroy(&ranks->communicators[i]);
    control_close(ranks->control);
    for (int i = 0; i < COMMUNICATORS; i++)
        free((void *)ranks->exchanges[i].group.ranks);
    recorder_destroy(ranks->recorder);
    free(ranks);
}

static int make_group(struct ranks *ranks, const struct mesh *mesh, int group, int number, struct error *error)
{
    const int32_t size = mesh_group_size(mesh, group);
    int32_t *members = calloc((size_t)size, sizeof *members);

    if (members == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for the ranks of a job");
    for (int32_t i = 0; i < size; i++)
        members[i] = mesh_group_member(mesh, group, i);
    ranks->exchanges[number] =
        (struct control_exchange_context){.control = ranks->control, .group = {.ranks = members, .count = size}};
    return STATUS_OK;
}

int ranks_connect(struct ranks *ranks, const struct mesh *mesh, const struct collective *collective,
                  const struct llmrun_option *options, int64_t option_count, int64_t timeout_ns, struct error *error)
{
    int status = STATUS_OK;

    if (ranks == NULL)
        return STATUS_OK;
    for (int i = 0; status == STATUS_OK && i < COMMUNICATORS; i++) {
        const int group = i == UPWARD ? (int)MESH_PP : i;
        struct communicator_options own = {.collective = collective,
                                           .name = i == UPWARD ? "pp upward" : mesh_group_name(group),
                                           .rank = mesh_group_index(mesh, group),
                                           .ranks = mesh_group_size(mesh, group),
                                           .timeout_ns = timeout_ns,
                                           .exchange = control_exchange_callback,
                                           .context = &ranks->exchanges[i],
                                           .options = options,
                                           .option_count = option_count,
                                           .control = ranks->control,
                                           .recorder = ranks->recorder};

        if (own.ranks == 1 || (group >= MESH_AXES && !mesh_has_shard_groups(mesh)))
            continue;
        status = make_group(ranks, mesh, group, i, error);
        if (status != STATUS_OK)
            break;
        own.group = recorder_group(ranks->recorder, own.name, ranks->exchanges[i].group.ranks, own.ranks);
        status = communicator_create(&own, &ranks->communicators[i], error);
        if (i == UPWARD)
            ranks->communication.upward = &ranks->communicators[i];
        else
            ranks->communication.groups[group] = &ranks->communicators[i];
    }
    if (status == STATUS_OK)
        control_on_failure(ranks->control, on_failure, ranks);
    return status;
}

int32_t ranks_rank(const struct ranks *ranks)
{
    return ranks != NULL ? ranks->environment.rank : 0;
}

int32_t ranks_world(const struct ranks *ranks)
{
    return ranks != NULL ? ranks->environment.world : 1;
}

bool ranks_is_first(const struct ranks *ranks)
{
    return ranks_rank(ranks) == 0;
}

bool ranks_share_output(const struct ranks *ranks)
{
    return ranks != NULL && !ranks->environment.launched;
}

const struct communication *ranks_communication(const struct ranks *ranks)
{
    return ranks != NULL ? &ranks->communication : NULL;
}

struct control *ranks_control(struct ranks *ranks)
{
    return ranks != NULL ? ranks->control : NULL;
}

int ranks_share(struct ranks *ranks, void *data, int64_t bytes, struct error *error)
{
    return ranks != NULL ? control_broadcast(ranks->control, NULL, data, bytes, error) : STATUS_OK;
}

/* What a rank tells the others of its part. */
struct outcome {
    int32_t status;
    char sentence[SENTENCE_BYTES];
};

int ranks_together(struct ranks *ranks, int status, struct error *error)
{
    struct outcome own = {.status = status}, *all;
    struct error lost;

    if (ranks == NULL)
        return status;
    all = calloc((size_t)ranks_world(ranks), sizeof *all);
    if (all == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for what the ranks of a job tell");
    if (status != STATUS_OK)
        snprintf(own.sentence, sizeof own.sentence, "%.*s", SENTENCE_BYTES - 1, error->message);
    if (control_exchange(ranks->control, NULL, &own, all, sizeof own, &lost) != STATUS_OK) {
        if (status == STATUS_OK) {
            *error = lost;
            status = lost.status;
        }
    }
    for (int32_t i = 0; status == STATUS_OK && i < ranks_world(ranks); i++)
        if (all[i].status != STATUS_OK) {
            all[i].sentence[SENTENCE_BYTES - 1] = '\0';
            status = error_set(error, STATUS_PEER, "rank %d ended: %s", i, all[i].sentence);
        }
    free(all);
    ranks->told = ranks->told || status != STATUS_OK;
    return status;
}

int ranks_compare(struct ranks *ranks, const struct control_item *items, int32_t count, struct error *error)
{
    int status = control_agree(ranks->control, items, count, error);

    ranks->told = ranks->told || status == STATUS_USAGE;
    return status;
}

void ranks_on_failure(struct ranks *ranks, void (*callback)(void *context, const struct error *error), void *context)
{
    if (ranks == NULL)
        return;
    control_on_failure(ranks->control, NULL, NULL);
    ranks->failed = callback;
    ranks->failed_context = context;
    control_on_failure(ranks->control, on_failure, ranks);
}

void ranks_note(struct ranks *ranks, int64_t step, const char *what)
{
    if (ranks != NULL)
        control_note(ranks->control, step, what);
}

void ranks_all_know(struct ranks *ranks)
{
    if (ranks != NULL)
        ranks->told = true;
}

void ranks_name_folder(struct ranks *ranks, const struct file_system *fs, const char *run_folder)
{
    struct error error;

    if (ranks == NULL)
        return;
    ranks->fs = fs;
    snprintf(ranks->record, sizeof ranks->record, "%.3900s/logs/rank_%d.collectives.txt", run_folder,
             ranks->environment.rank);
    if (control_serve_status(ranks->control, run_folder, &error) != STATUS_OK)
        log_line(LOG_WARNING, "llmrun status is not answered: %s", error.message);
}

/* What cannot be written is a warning: the failure itself is told. */
static void write_record(struct ranks *ranks)
{
    struct error error;

    if (ranks->fs != NULL && recorder_count(ranks->recorder) > 0 &&
        recorder_write(ranks->recorder, ranks->fs, ranks->record, &error) != STATUS_OK)
        log_line(LOG_WARNING, "%s", error.message);
}

int ranks_fail(struct ranks *ranks, int status, struct error *error)
{
    char sentence[SENTENCE_BYTES];

    if (ranks == NULL || status == STATUS_OK || status == STATUS_STOPPED || ranks->told)
        return status;
    write_record(ranks);
    snprintf(sentence, sizeof sentence, "%.*s", SENTENCE_BYTES - 1, error->message);
    return control_fail(ranks->control, status, sentence, error);
}
