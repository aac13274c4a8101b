#include "checkpoint/ranks.h"

#include <stdlib.h>
#include <string.h>

/* What stands before the bytes of each rank, and before the answer. All ranks run one binary on one kind of host. */
struct report {
    int32_t status;
    char sentence[sizeof((struct error *)0)->message];
};

int ranks_message_of(const void *data, int64_t bytes, struct ranks_message *message, struct error *error)
{
    *message = (struct ranks_message){malloc((size_t)bytes + 1), bytes};
    if (message->data == NULL) {
        message->bytes = 0;
        return error_set(error, STATUS_MEMORY, "no memory for a message of %lld bytes to other ranks",
                         (long long)bytes);
    }
    if (bytes > 0)
        memcpy(message->data, data, (size_t)bytes);
    return STATUS_OK;
}

/* `fallback` is sent where there is no memory: then the status says so. */
static const char *pack(int status, const struct error *error, const struct ranks_message *message,
                        struct report *fallback, int64_t *bytes, char **packed)
{
    const int64_t data_bytes = status == STATUS_OK && message != NULL ? message->bytes : 0;

    *fallback = (struct report){.status = status};
    if (status != STATUS_OK && error != NULL)
        memcpy(fallback->sentence, error->message, sizeof fallback->sentence);
    *bytes = (int64_t)sizeof *fallback + data_bytes;
    *packed = data_bytes > 0 ? malloc((size_t)*bytes) : NULL;
    if (data_bytes > 0 && *packed == NULL) {
        *fallback = (struct report){STATUS_MEMORY, "no memory for a message to other ranks"};
        *bytes = (int64_t)sizeof *fallback;
    }
    if (*packed == NULL)
        return (const char *)fallback;
    memcpy(*packed, fallback, sizeof *fallback);
    memcpy(*packed + sizeof *fallback, message->data, (size_t)data_bytes);
    return *packed;
}

/* Splits what was gathered; the root cause of ranks that failed. */
static int judge(const struct checkpoint_ranks *ranks, char *all, const int64_t *sizes, struct ranks_message *given,
                 struct error *error)
{
    struct report report;
    int result = STATUS_OK;

    for (int32_t i = 0; i < ranks->ranks; i++) {
        if (sizes[i] < (int64_t)sizeof report)
            return error_set(error, STATUS_PEER,
                             "rank %d sent %lld bytes about its part of a checkpoint, at least %zu "
                             "are expected",
                             i, (long long)sizes[i], sizeof report);
        memcpy(&report, all, sizeof report);
        report.sentence[sizeof report.sentence - 1] = '\0';
        given[i] = (struct ranks_message){all + sizeof report, sizes[i] - (int64_t)sizeof report};
        all += sizes[i];
        if (report.status != STATUS_OK && (result == STATUS_OK || result == STATUS_PEER) && result != report.status)
            result = error_set(error, report.status, "rank %d: %.1000s", i, report.sentence);
    }
    return result;
}

/* Rank 0's part between the two calls. */
static int lead(const struct checkpoint_ranks *ranks, const char *mine, int64_t bytes, ranks_work *work, void *context,
                struct ranks_message *answer, struct error *error)
{
    struct ranks_message *given = calloc((size_t)ranks->ranks, sizeof *given);
    int64_t *sizes = calloc((size_t)ranks->ranks, sizeof *sizes);
    char *all = NULL;
    int result;

    if (given == NULL || sizes == NULL)
        result = error_set(error, STATUS_MEMORY, "no memory for a message of %d ranks", ranks->ranks);
    else
        result = ranks->gather(ranks->context, mine, bytes, &all, sizes, error);
    if (result == STATUS_OK)
        result = judge(ranks, all, sizes, given, error);
    if (result == STATUS_OK && work != NULL)
        result = work(context, given, answer, error);
    free(all);
    free(given);
    free(sizes);
    return result;
}

static int hear(const struct checkpoint_ranks *ranks, const char *mine, int64_t bytes, struct ranks_message *told,
                struct error *error)
{
    struct report report;
    char *text = NULL;
    int64_t text_bytes = 0;
    int result = ranks->broadcast(ranks->context, mine, bytes, &text, &text_bytes, error);

    if (result != STATUS_OK)
        return result;
    if (text_bytes < (int64_t)sizeof report) {
        free(text);
        return error_set(error, STATUS_PEER, "rank 0 sent %lld bytes about a checkpoint, at least %zu are expected",
                         (long long)text_bytes, sizeof report);
    }
    memcpy(&report, text, sizeof report);
    if (report.status != STATUS_OK)
        result = error_set(error, report.status, "%.1000s", report.sentence);
    else if (told != NULL)
        result = ranks_message_of(text + sizeof report, text_bytes - (int64_t)sizeof report, told, error);
    free(text);
    return result;
}

static int alone(int status, const struct ranks_message *mine, ranks_work *work, void *context,
                 struct ranks_message *told, struct error *error)
{
    const struct ranks_message none = {NULL, 0};
    struct ranks_message answer = {NULL, 0};

    if (status == STATUS_OK && work != NULL)
        status = work(context, mine != NULL ? mine : &none, &answer, error);
    if (status == STATUS_OK && told != NULL)
        *told = answer;
    else
        free(answer.data);
    return status;
}

int ranks_meet(const struct checkpoint_ranks *ranks, int status, const struct ranks_message *mine, ranks_work *work,
               void *context, struct ranks_message *told, struct error *error)
{
    struct ranks_message answer = {NULL, 0};
    struct error ignored;
    struct report report;
    char *packed = NULL, *all = NULL;
    const char *sent;
    int64_t bytes;
    int result;

    if (told != NULL)
        *told = (struct ranks_message){NULL, 0};
    if (error == NULL)
        error = &ignored;
    if (ranks == NULL)
        return alone(status, mine, work, context, told, error);
    sent = pack(status, error, mine, &report, &bytes, &packed);
    if (ranks->rank != 0) {
        int64_t *sizes = calloc((size_t)ranks->ranks, sizeof *sizes);

        result = sizes != NULL ? ranks->gather(ranks->context, sent, bytes, &all, sizes, error)
                               : error_set(error, STATUS_MEMORY, "no memory for a message of %d ranks", ranks->ranks);
        free(all);
        free(sizes);
        free(packed);
        return result == STATUS_OK ? hear(ranks, NULL, 0, told, error) : result;
    }
    result = lead(ranks, sent, bytes, work, context, &answer, error);
    free(packed);
    sent = pack(result, error, &answer, &report, &bytes, &packed);
    free(answer.data);
    status = hear(ranks, sent, bytes, told, result == STATUS_OK ? error : &ignored);
    free(packed);
    return result == STATUS_OK ? status : result;
}

int ranks_agree(const struct checkpoint_ranks *ranks, int status, struct error *error)
{
    return ranks_meet(ranks, status, NULL, NULL, NULL, NULL, error);
}
