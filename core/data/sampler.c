#include "data/sampler.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "data/permutation.h"

static int64_t min_i64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t max_i64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

int64_t sampler_longest(const struct token_set *set, bool pack)
{
    int64_t longest = pack ? set->count - 1 : 1;

    for (int64_t document = 0; !pack && document < set->documents; document++)
        longest = max_i64(longest, set->starts[document + 1] - set->starts[document] - 1);
    return max_i64(longest, 1);
}

static struct window document_window(const struct sampler *sampler, int64_t document)
{
    const int64_t *starts = sampler->set->starts;
    struct window window = {starts[document],
                            min_i64(starts[document + 1] - starts[document], sampler->options.seq_len + 1)};

    return window;
}

/* Keeps the documents that have a target of weight 1 within seq_len. */
static int list_rows(struct sampler *sampler, struct error *error)
{
    const struct token_set *set = sampler->set;
    int64_t document;

    sampler->rows = malloc((size_t)max_i64(set->documents, 1) * sizeof *sampler->rows);
    if (sampler->rows == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for the list of %lld documents", (long long)set->documents);
    for (document = 0; document < set->documents; document++)
        if (window_valid_tokens(set, document_window(sampler, document)) > 0)
            sampler->rows[sampler->samples++] = document;
    return STATUS_OK;
}

static int start(struct sampler *sampler, const struct token_set *set, const struct sampler_options *options,
                 struct error *error)
{
    struct window whole = {0, set->count};
    int result;

    memset(sampler, 0, sizeof *sampler);
    sampler->set = set;
    sampler->options = *options;
    if (window_valid_tokens(set, whole) == 0)
        return error_set(error, STATUS_INPUT,
                         "the data has %lld tokens in %lld documents and none to predict; give longer text",
                         (long long)set->count, (long long)set->documents);
    if (options->pack)
        return STATUS_OK;
    result = list_rows(sampler, error);
    if (result == STATUS_OK && sampler->samples == 0)
        return error_set(error, STATUS_INPUT, "no document has a token to learn in its first %lld; raise data.seq_len",
                         (long long)options->seq_len + 1);
    return result;
}

int sampler_start_training(struct sampler *sampler, const struct token_set *set, const struct sampler_options *options,
                           struct error *error)
{
    int result = start(sampler, set, options, error);

    /* One window fewer than fit, so that every epoch may begin at another token; see sampler_window. */
    if (options->pack)
        sampler->samples = max_i64(1, set->count / options->seq_len - 1);
    sampler->shuffled = true;
    return result;
}

/* The number of leading rows that hold at most `token_limit` targets of weight 1, but 1 at least. */
static int64_t rows_within(const struct sampler *sampler, int64_t token_limit)
{
    int64_t total = 0, row;

    for (row = 0; row < sampler->samples; row++) {
        total += window_valid_tokens(sampler->set, document_window(sampler, sampler->rows[row]));
        if (total > token_limit)
            break;
    }
    return max_i64(row, 1);
}

/* Puts each sample behind the one before it, or into the next row where it does not fit. */
static int share_rows(struct sampler *sampler, struct error *error)
{
    int64_t used = 0;

    sampler->shared = malloc((size_t)(sampler->samples + 1) * sizeof *sampler->shared);
    if (sampler->shared == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for the list of %lld documents", (long long)sampler->samples);
    for (int64_t sample = 0; sample < sampler->samples; sample++) {
        const int64_t inputs = document_window(sampler, sampler->rows[sample]).count - 1;
        const int64_t start = round_up(used, SAMPLER_ALIGNMENT);

        if (sample > 0 && start + inputs <= sampler->options.seq_len) {
            used = start + inputs;
            continue;
        }
        sampler->shared[sampler->shared_rows++] = sample;
        used = inputs;
    }
    sampler->shared[sampler->shared_rows] = sampler->samples;
    return STATUS_OK;
}

int sampler_start_evaluation(struct sampler *sampler, const struct token_set *set,
                             const struct sampler_options *options, int64_t token_limit, struct error *error)
{
    int result = start(sampler, set, options, error);

    if (result != STATUS_OK)
        return result;
    if (options->pack) {
        sampler->samples = (set->count - 1 + options->seq_len - 1) / options->seq_len;
        if (token_limit > 0)
            sampler->samples = min_i64(sampler->samples, max_i64(1, token_limit / options->seq_len));
    } else if (token_limit > 0) {
        sampler->samples = rows_within(sampler, token_limit);
    }
    return options->pack ? STATUS_OK : share_rows(sampler, error);
}

int64_t sampler_rows(const struct sampler *sampler)
{
    return sampler->shared != NULL ? sampler->shared_rows : sampler->samples;
}

void sampler_row(const struct sampler *sampler, int64_t row, int64_t *first, int64_t *last)
{
    *first = row;
    *last = row + 1;
    if (sampler->shared == NULL)
        return;
    *first = sampler->shared[min_i64(row, sampler->shared_rows)];
    *last = sampler->shared[min_i64(row + 1, sampler->shared_rows)];
}

void sampler_finish(struct sampler *sampler)
{
    free(sampler->rows);
    free(sampler->shared);
    memset(sampler, 0, sizeof *sampler);
}

struct window sampler_window(const struct sampler *sampler, int64_t sample)
{
    const struct token_set *set = sampler->set;
    uint32_t epoch = (uint32_t)(sample / sampler->samples);
    int64_t place = sample % sampler->samples;
    int64_t seq_len = sampler->options.seq_len;
    struct window window = {0, 0};

    if (!sampler->shuffled && sample >= sampler->samples)
        return window;
    if (sampler->shuffled)
        place = permutation_index(sampler->options.seed, epoch, sampler->samples, place);
    if (!sampler->options.pack)
        return document_window(sampler, sampler->rows[place]);
    window.start = place * seq_len;
    /* The windows of an epoch tile the text from a place of their own, and leave out less than two windows at its ends.
     */
    if (sampler->shuffled)
        window.start +=
            permutation_offset(sampler->options.seed, epoch, max_i64(0, set->count - 1 - sampler->samples * seq_len));
    window.count = min_i64(seq_len + 1, set->count - window.start);
    return window;
}

int64_t window_valid_tokens(const struct token_set *set, struct window window)
{
    int64_t end = window.start + window.count;
    int64_t valid = 0, document;

    if (window.count < 2)
        return 0;
    for (document = token_set_document(set, window.start); document < set->documents; document++) {
        int64_t first = max_i64(max_i64(window.start, set->starts[document]) + 1, set->learn_from[document]);

        if (set->starts[document] >= end)
            break;
        valid += max_i64(0, min_i64(end, set->starts[document + 1]) - first);
    }
    return valid;
}
