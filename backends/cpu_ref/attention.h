/* What the forward and the backward reference of attention share: shapes, which keys a row sees, and dropout. */
#ifndef LLMRUN_CPU_REF_ATTENTION_H
#define LLMRUN_CPU_REF_ATTENTION_H

#include <llmrun/random.h>

#include "cpu_ref/reference.h"

#define ATTENTION_KEY_BLOCK 64 /* keys between two updates of the running maximum: part of the definition */

/* The attributes and shapes of attention or attention_grad, whose first six operands are the same. */
struct attention {
    const struct kernel_call *call;
    int bf16;
    int64_t sequences, sequence;    /* and queries of one */
    int64_t keys, query_first;      /* of one, and the position of its first query */
    int64_t heads, kv_heads, group; /* group = query heads of one key-value head */
    int64_t width;                  /* of a head */
    float scale;
    float keep; /* 1 / (1 - dropout) */
    uint32_t threshold;
};

struct attention attention_of(const struct kernel_call *call);

/* One query head of one sequence. */
struct attention_head {
    const struct attention *attention;
    int64_t sequence;
    int64_t head;
};

/* Rows i and keys j are positions; the call has the rows from query_first to row_end - 1. */
int64_t attention_row_end(const struct attention *attention);

/* Element 0 of row i of operand q, o or do, and of row j of operand k or v, for the head. */
int64_t attention_query_at(const struct attention_head *head, int64_t i);
int64_t attention_key_at(const struct attention_head *head, int64_t j);

/* Row i takes key j: same segment or document, not later. */
int attention_sees(const struct attention_head *head, int64_t i, int64_t j);
/* Dropout keeps weight (i, j); always 1 without dropout. */
int attention_keeps(const struct attention_head *head, int64_t i, int64_t j);

/* scale q[i] . k[j] */
float attention_score(const struct attention_head *head, int64_t i, int64_t j);
double attention_score_double(const struct attention_head *head, int64_t i, int64_t j);

/* Rounded to bf16 where the call is in bf16. */
float attention_rounded(const struct attention *attention, float x);

#endif
