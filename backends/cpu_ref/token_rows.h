/* Which tokens a row of a sum over tokens has: those of a lane's sequences in a chunk of positions. */
#ifndef LLMRUN_CPU_REF_TOKEN_ROWS_H
#define LLMRUN_CPU_REF_TOKEN_ROWS_H

#include <stdint.h>

struct token_rows {
    int64_t tokens;
    int64_t sequence; /* positions of one */
    int64_t lanes;    /* equal parts of the sequences */
    int64_t chunks;   /* equal parts of the positions */
};

static inline int64_t token_rows_count(const struct token_rows *rows)
{
    return rows->lanes * rows->chunks;
}

/* The row that a token belongs to: lane * chunks + chunk. */
static inline int64_t token_row(const struct token_rows *rows, int64_t token)
{
    int64_t per_lane = rows->tokens / rows->sequence / rows->lanes;

    return token / rows->sequence / per_lane * rows->chunks + token % rows->sequence / (rows->sequence / rows->chunks);
}

#endif
