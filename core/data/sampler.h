/* Which tokens make sample number n. A sample is a pure function of (token set, options, n): no rank, microbatch or
 * thread count enters, and the whole state of a run is the count of samples consumed so far. docs/data.md, "Samples".
 */
#ifndef LLMRUN_DATA_SAMPLER_H
#define LLMRUN_DATA_SAMPLER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "data/token_set.h"

struct sampler_options {
    int64_t seq_len; /* targets of one sample, > 0 */
    bool pack;       /* true: windows over all documents one after the other; false: one document a sample */
    uint64_t seed;   /* of the order; unused by an evaluation */
};

/* Tokens start..start+count-1 of the set: the first count-1 are inputs, the last count-1 their targets. */
struct window {
    int64_t start;
    int64_t count; /* seq_len + 1, fewer for a sample that is padded, 0 for one that is all padding */
};

struct sampler {
    const struct token_set *set; /* borrowed: outlives the sampler */
    struct sampler_options options;
    int64_t samples; /* of one epoch; of the whole evaluation */
    int64_t *rows;   /* pack false: [samples] documents that have something to learn; NULL otherwise */
    bool shuffled;
    int64_t *shared; /* evaluation with pack false: [shared_rows + 1] first sample of each row of a batch; else NULL */
    int64_t shared_rows;
};

/* Samples that share a row begin at multiples of this: attention adds up in blocks of so many keys from the row's start
 * (docs/numerics.md), so a sample has the same bits wherever it stands. */
#define SAMPLER_ALIGNMENT 64

/* Training: samples 0, 1, 2, ... without end; sample n belongs to epoch n / samples. STATUS_INPUT when the set holds
 * nothing to learn. */
int sampler_start_training(struct sampler *sampler, const struct token_set *set, const struct sampler_options *options,
                           struct error *error);

/* Evaluation: samples 0 to samples - 1 in the order of the text, the last one padded; samples past the end are all
 * padding. With pack false, rows of seq_len hold as many samples one after the other as fit. `token_limit` bounds the
 * targets, 0 for all; one sample at least. */
int sampler_start_evaluation(struct sampler *sampler, const struct token_set *set,
                             const struct sampler_options *options, int64_t token_limit, struct error *error);

void sampler_finish(struct sampler *sampler);

/* The targets of the longest window that the set can fill, at least 1: a longer seq_len only brings padding. */
int64_t sampler_longest(const struct token_set *set, bool pack);

/* Rows of a batch that an evaluation takes; short documents share one (pack false), others have one each. */
int64_t sampler_rows(const struct sampler *sampler);

/* The samples *first to *last - 1 of row `row`: itself, in training. Nothing past the end of shared rows. */
void sampler_row(const struct sampler *sampler, int64_t row, int64_t *first, int64_t *last);

/* Any thread. `sample` >= 0. */
struct window sampler_window(const struct sampler *sampler, int64_t sample);

/* Targets of weight 1 in the window. */
int64_t window_valid_tokens(const struct token_set *set, struct window window);

#endif
