#include "data/batch.h"

#include "base/checked.h"

/* The window from place `start` of the row that begins at `base` on; where it ends. */
static int64_t fill_window(struct batch *batch, int64_t base, int64_t start, const struct token_set *set,
                           struct window window)
{
    int64_t inputs = window.count > 0 ? window.count - 1 : 0;
    int64_t document = inputs > 0 ? token_set_document(set, window.start) : 0;
    int64_t segment = start, index;

    for (index = start; index < start + inputs; index++) {
        int64_t token = window.start + index - start;
        int64_t end = set->starts[document + 1];

        if (token == end) {
            document++;
            segment = index;
            end = set->starts[document + 1];
        }
        batch->tokens[base + index] = token_set_at(set, token);
        batch->targets[base + index] = token_set_at(set, token + 1);
        batch->weights[base + index] = token + 1 < end && token_set_learns(set, document, token + 1) ? 1.0f : 0.0f;
        batch->positions[base + index] = (int32_t)(index - segment);
        batch->segment_starts[base + index] = (int32_t)segment;
    }
    return index;
}

static void fill_padding(struct batch *batch, int64_t base, int64_t from, int64_t to)
{
    for (int64_t index = from; index < to; index++) {
        batch->tokens[base + index] = 0;
        batch->targets[base + index] = 0;
        batch->weights[base + index] = 0.0f;
        batch->positions[base + index] = 0;
        batch->segment_starts[base + index] = (int32_t)index;
    }
}

static void fill_row(struct batch *batch, int64_t row, const struct sampler *sampler, int64_t number)
{
    const int64_t base = row * batch->seq_len;
    int64_t sample, last, used = 0;

    for (sampler_row(sampler, number, &sample, &last); sample < last; sample++) {
        int64_t start = round_up(used, SAMPLER_ALIGNMENT);

        fill_padding(batch, base, used, start);
        used = fill_window(batch, base, start, sampler->set, sampler_window(sampler, sample));
    }
    fill_padding(batch, base, used, batch->seq_len);
}

void batch_fill(struct batch *batch, const struct sampler *sampler, int64_t first, int64_t count)
{
    int64_t row;

    for (row = 0; row < count; row++)
        fill_row(batch, row, sampler, first + row);
}

int64_t batch_valid_tokens(const struct sampler *sampler, int64_t first, int64_t count)
{
    int64_t valid = 0, sample, last;

    for (int64_t row = first; row < first + count; row++)
        for (sampler_row(sampler, row, &sample, &last); sample < last; sample++)
            valid += window_valid_tokens(sampler->set, sampler_window(sampler, sample));
    return valid;
}
