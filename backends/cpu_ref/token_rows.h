/* Sums of channels over tokens and heads, and which of them a row has: those of a batch part's sequences in a part of
 * the positions, and of a part of the heads. */
#ifndef LLMRUN_CPU_REF_TOKEN_ROWS_H
#define LLMRUN_CPU_REF_TOKEN_ROWS_H

#include "cpu_ref/reference.h"

struct token_rows {
    int64_t tokens;
    int64_t sequence;       /* positions of one */
    int64_t batch_parts;    /* equal parts of the sequences */
    int64_t position_parts; /* equal parts of the positions */
    int64_t head_parts;     /* equal parts of the heads */
};

static inline int64_t token_rows_count(const struct token_rows *rows)
{
    return rows->head_parts * rows->position_parts * rows->batch_parts;
}

/* The row that a head of a token belongs to: (head part * position parts + position part) * batch parts + batch part.
 */
static inline int64_t token_row(const struct token_rows *rows, int64_t token, int64_t head, int64_t heads)
{
    int64_t sequences = rows->tokens / rows->sequence / rows->batch_parts;
    int64_t positions = rows->sequence / rows->position_parts;
    int64_t head_part = head / (heads / rows->head_parts);

    return (head_part * rows->position_parts + token % rows->sequence / positions) * rows->batch_parts +
           token / rows->sequence / sequences;
}

/* Every element of `output`, [rows, channels]: a chain over the tokens of its row, in each over the heads. step(call,
 * at, i, c) is c after element i, which is that of head `at` of all tokens' heads, of the same channel. Operand 0 is
 * [tokens, heads x channels]. */
static inline void token_rows_chains(const struct kernel_call *call, const struct token_rows *rows, int output,
                                     float (*step)(const struct kernel_call *call, int64_t at, int64_t i, float c))
{
    int64_t channels = reference_extent(call, output, 1), heads = reference_extent(call, 0, 1) / channels;

    for (int64_t i = 0; i < token_rows_count(rows) * channels; i++) {
        float c = reference_start(call, output, i);

        for (int64_t at = 0; at < rows->tokens * heads; at++)
            if (token_row(rows, at / heads, at % heads, heads) == i / channels)
                c = step(call, at, at * channels + i % channels, c);
        reference_write(call, output, i, c);
    }
}

/* The same in fp64: what the output starts from, and the terms of its tokens. */
static inline void token_rows_sums(const struct kernel_call *call, const struct token_rows *rows, int output,
                                   double (*term)(const struct kernel_call *call, int64_t at, int64_t i))
{
    int64_t channels = reference_extent(call, output, 1), heads = reference_extent(call, 0, 1) / channels;

    for (int64_t i = 0; i < token_rows_count(rows) * channels; i++) {
        double sum = reference_start(call, output, i);

        for (int64_t at = 0; at < rows->tokens * heads; at++)
            if (token_row(rows, at / heads, at % heads, heads) == i / channels)
                sum += term(call, at, at * channels + i % channels);
        reference_write(call, output, i, sum);
    }
}

#endif
