#include <math.h>

#include "engine/generate.h"

bool generate_is_stop(const struct generate_options *options, int32_t token)
{
    for (int64_t i = 0; i < options->stop_count; i++)
        if (options->stops[i] == token)
            return true;
    return false;
}

static bool may_be_picked(const struct generate_options *options, int32_t token)
{
    return options->vocabulary == 0 || token < options->vocabulary || generate_is_stop(options, token);
}

static int32_t most_probable(const float *logits, int64_t count, const struct generate_options *options)
{
    int32_t best = 0;

    for (int32_t i = 1; i < count; i++)
        if (logits[i] > logits[best] && may_be_picked(options, i))
            best = i;
    return best;
}

static bool comes_before(const struct candidate_token *a, const struct candidate_token *b)
{
    return a->logit > b->logit || (a->logit == b->logit && a->token < b->token);
}

/* A heap has the most probable token at 0. */
static void sift_down(struct candidate_token *heap, int64_t count, int64_t at)
{
    for (int64_t child = 2 * at + 1; child < count; child = 2 * at + 1) {
        struct candidate_token moved = heap[at];

        if (child + 1 < count && comes_before(&heap[child + 1], &heap[child]))
            child++;
        if (!comes_before(&heap[child], &moved))
            return;
        heap[at] = heap[child];
        heap[child] = moved;
        at = child;
    }
}

/* The candidates from the most probable one on, which stand at the end of the array in reverse: of a large vocabulary
 * few are looked at, so they are sorted only as far as they are asked for. */
struct ranking {
    struct candidate_token *candidates;
    int64_t count, sorted;
    double highest, temperature;
};

static void rank_begin(struct ranking *ranking, const float *logits, int64_t count,
                       const struct generate_options *options, struct candidate_token *scratch)
{
    *ranking = (struct ranking){.candidates = scratch, .temperature = options->temperature};
    for (int32_t i = 0; i < count; i++)
        if (may_be_picked(options, i))
            scratch[ranking->count++] = (struct candidate_token){logits[i], i};
    for (int64_t i = ranking->count / 2; i-- > 0;)
        sift_down(scratch, ranking->count, i);
    ranking->highest = scratch[0].logit;
}

static const struct candidate_token *rank(struct ranking *ranking, int64_t place)
{
    while (ranking->sorted <= place) {
        struct candidate_token *last = &ranking->candidates[ranking->count - ++ranking->sorted];
        struct candidate_token first = ranking->candidates[0];

        ranking->candidates[0] = *last;
        *last = first;
        sift_down(ranking->candidates, ranking->count - ranking->sorted, 0);
    }
    return &ranking->candidates[ranking->count - 1 - place];
}

/* Proportional to the probability, 1 for the most probable token. */
static double weight(const struct ranking *ranking, const struct candidate_token *candidate)
{
    return exp((candidate->logit - ranking->highest) / ranking->temperature);
}

int32_t sample_token(const float *logits, int64_t count, const struct generate_options *options, double uniform,
                     struct candidate_token *scratch)
{
    int64_t candidates, last;
    double total = 0, kept = 0, reached = 0;
    struct ranking ranking;

    if (options->temperature == 0)
        return most_probable(logits, count, options);
    rank_begin(&ranking, logits, count, options, scratch);
    candidates = options->top_k > 0 && options->top_k < ranking.count ? options->top_k : ranking.count;
    last = candidates - 1;
    for (int64_t i = 0; i < candidates; i++)
        total += weight(&ranking, candidates < ranking.count ? rank(&ranking, i) : &scratch[i]);
    kept = total;
    if (options->top_p < 1) {
        kept = 0;
        for (last = 0; last < candidates; last++) {
            kept += weight(&ranking, rank(&ranking, last));
            if (kept >= options->top_p * total)
                break;
        }
        if (last == candidates)
            last--;
    }
    for (int64_t i = 0; i < last; i++) {
        reached += weight(&ranking, rank(&ranking, i));
        if (uniform * kept < reached)
            return rank(&ranking, i)->token;
    }
    return rank(&ranking, last)->token;
}
