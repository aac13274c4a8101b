#include "cpu_ref/attention.h"

#include <float.h>

#include "cpu_ref/chain.h"
#include "cpu_ref/exact.h"

struct attention attention_of(const struct kernel_call *call)
{
    const struct llmrun_attention_attributes *attributes = call->op->attributes; /* attention_grad has the same ones */
    struct attention attention = {
        .call = call,
        .bf16 = operand_is_bf16(call->op, LLMRUN_ATTENTION_Q),
        .sequences = reference_extent(call, LLMRUN_ATTENTION_Q, 0) / attributes->seq_len,
        .sequence = attributes->seq_len,
        .keys = attributes->keys,
        .query_first = attributes->query_first,
        .heads = attributes->heads,
        .kv_heads = attributes->kv_heads,
        .group = attributes->heads / attributes->kv_heads,
        .width = reference_extent(call, LLMRUN_ATTENTION_Q, 1) / attributes->heads,
        .scale = attributes->scale,
        .keep = 1.0f / (1.0f - attributes->dropout),
        .threshold = llmrun_dropout_threshold(attributes->dropout),
    };

    return attention;
}

int64_t attention_row_end(const struct attention *attention)
{
    return attention->query_first + attention->sequence;
}

/* Row of operand q. */
static int64_t query_row(const struct attention_head *head, int64_t i)
{
    return head->sequence * head->attention->sequence + i - head->attention->query_first;
}

int64_t attention_query_at(const struct attention_head *head, int64_t i)
{
    const struct attention *a = head->attention;

    return (query_row(head, i) * a->heads + head->head) * a->width;
}

int64_t attention_key_at(const struct attention_head *head, int64_t j)
{
    const struct attention *a = head->attention;

    return ((head->sequence * a->keys + j) * a->kv_heads + head->head / a->group) * a->width;
}

int attention_sees(const struct attention_head *head, int64_t i, int64_t j)
{
    const struct attention *a = head->attention;
    const int32_t *starts = a->call->operands[LLMRUN_ATTENTION_SEGMENT_STARTS];
    const int32_t *offsets = a->call->operands[LLMRUN_ATTENTION_DOCUMENT_OFFSETS];
    int64_t begin = head->sequence * a->keys;

    if (starts != NULL)
        return starts[query_row(head, i)] <= j && j <= i;
    /* No document begins behind key j and up to row i. */
    for (int64_t d = 0; offsets != NULL && d < reference_extent(a->call, LLMRUN_ATTENTION_DOCUMENT_OFFSETS, 0); d++)
        if (begin + j < offsets[d] && offsets[d] <= begin + i)
            return 0;
    return j <= i;
}

int attention_keeps(const struct attention_head *head, int64_t i, int64_t j)
{
    const struct attention *a = head->attention;
    const struct llmrun_attention_attributes *attributes = a->call->op->attributes;
    const uint32_t *random = a->call->operands[LLMRUN_ATTENTION_RNG_STATE];
    uint64_t group = attributes->heads / attributes->kv_heads, keys = (uint64_t)a->keys;
    uint64_t heads = (attributes->kv_heads_full > 0 ? attributes->kv_heads_full : attributes->kv_heads) * group;
    uint64_t token, column = attributes->kv_head_first * group + (uint64_t)head->head;

    if (random == NULL)
        return 1;
    token = ((uint64_t)random[3] + (uint64_t)head->sequence) * keys + (uint64_t)i;
    return llmrun_random_word(random, random[4], (token * heads + column) * keys + (uint64_t)j) >= a->threshold;
}

float attention_rounded(const struct attention *attention, float x)
{
    return attention->bf16 ? reference_widen(reference_narrow(x)) : x;
}

struct score_terms {
    const struct kernel_call *call;
    int64_t q, k; /* first elements of the rows */
};

static struct chain_term score_term(const void *context, int64_t c)
{
    const struct score_terms *terms = context;

    return (struct chain_term){reference_read(terms->call, LLMRUN_ATTENTION_Q, terms->q + c),
                               reference_read(terms->call, LLMRUN_ATTENTION_K, terms->k + c)};
}

float attention_score(const struct attention_head *head, int64_t i, int64_t j)
{
    const struct attention *a = head->attention;
    struct score_terms terms = {a->call, attention_query_at(head, i), attention_key_at(head, j)};

    return a->scale * chain_sum(a->bf16, score_term, &terms, 0, a->width, 0.0f);
}

double attention_score_double(const struct attention_head *head, int64_t i, int64_t j)
{
    const struct attention *a = head->attention;
    int64_t q = attention_query_at(head, i), k = attention_key_at(head, j);
    double sum = 0;

    for (int64_t c = 0; c < a->width; c++)
        sum += reference_read_double(a->call, LLMRUN_ATTENTION_Q, q + c) *
               reference_read_double(a->call, LLMRUN_ATTENTION_K, k + c);
    return a->scale * sum;
}

/* The weights of one row for the keys of one block, +0 where a key is not seen or dropped. */
struct block {
    const struct attention_head *head;
    int64_t first; /* key */
    int64_t column;
    float weight[ATTENTION_KEY_BLOCK];
};

static struct chain_term value_term(const void *context, int64_t j)
{
    const struct block *block = context;
    const struct attention_head *head = block->head;
    float weight = block->weight[j - block->first];

    if (weight == 0.0f)
        return (struct chain_term){0.0f, 0.0f};
    return (struct chain_term){
        weight, reference_read(head->attention->call, LLMRUN_ATTENTION_V, attention_key_at(head, j) + block->column)};
}

/* What a row has after some blocks of keys. */
struct running {
    float maximum;
    float sum;
};

/* Steps 1 to 4 of the definition for one block; returns the factor for what was summed before. */
static float enter_block(struct running *running, struct block *block, int64_t i)
{
    const struct attention_head *head = block->head;
    float score[ATTENTION_KEY_BLOCK], maximum = running->maximum, factor;
    int64_t end = block->first + ATTENTION_KEY_BLOCK <= i ? block->first + ATTENTION_KEY_BLOCK : i + 1;

    for (int64_t j = block->first; j < end; j++) {
        score[j - block->first] = attention_sees(head, i, j) ? attention_score(head, i, j) : -INFINITY;
        maximum = fmaxf(maximum, score[j - block->first]);
    }
    factor = exact_exp(running->maximum - maximum);
    running->sum *= factor;
    running->maximum = maximum;
    for (int64_t j = block->first; j < block->first + ATTENTION_KEY_BLOCK; j++) {
        float p, *weight = &block->weight[j - block->first];

        *weight = 0.0f;
        if (j >= end || score[j - block->first] == -INFINITY)
            continue;
        p = exact_exp(score[j - block->first] - maximum);
        running->sum += p;
        if (attention_keeps(head, i, j))
            *weight =
                attention_rounded(head->attention, head->attention->threshold > 0 ? p * head->attention->keep : p);
    }
    return factor;
}

static void row_exact(const struct attention_head *head, int64_t i)
{
    const struct attention *a = head->attention;
    float *sums = a->call->workspace; /* [width] */
    struct running running = {-FLT_MAX, 0.0f};
    struct block block = {.head = head};

    memset(sums, 0, (size_t)a->width * sizeof(*sums));
    for (block.first = 0; block.first <= i; block.first += ATTENTION_KEY_BLOCK) {
        float factor = enter_block(&running, &block, i);

        for (block.column = 0; block.column < a->width; block.column++)
            sums[block.column] = chain_sum(a->bf16, value_term, &block, block.first, block.first + ATTENTION_KEY_BLOCK,
                                           factor * sums[block.column]);
    }
    for (int64_t c = 0; c < a->width; c++)
        reference_write(a->call, LLMRUN_ATTENTION_O, attention_query_at(head, i) + c,
                        fmaf(sums[c], 1.0f / running.sum, 0.0f));
    reference_write(a->call, LLMRUN_ATTENTION_LSE, attention_query_at(head, i) / a->width,
                    running.maximum + exact_log(running.sum));
}

static void row_double(const struct attention_head *head, int64_t i)
{
    const struct attention *a = head->attention;
    double *sums = a->call->workspace; /* [width] */
    double maximum = -INFINITY, sum = 0;
    double keep = 1 / (1 - (double)((const struct llmrun_attention_attributes *)a->call->op->attributes)->dropout);

    memset(sums, 0, (size_t)a->width * sizeof(*sums));
    for (int64_t j = 0; j <= i; j++)
        if (attention_sees(head, i, j))
            maximum = fmax(maximum, attention_score_double(head, i, j));
    for (int64_t j = 0; j <= i; j++) {
        double p;

        if (!attention_sees(head, i, j))
            continue;
        p = exp(attention_score_double(head, i, j) - maximum);
        sum += p;
        if (!attention_keeps(head, i, j))
            continue;
        for (int64_t c = 0; c < a->width; c++)
            sums[c] += p * keep * reference_read_double(a->call, LLMRUN_ATTENTION_V, attention_key_at(head, j) + c);
    }
    for (int64_t c = 0; c < a->width; c++)
        reference_write(a->call, LLMRUN_ATTENTION_O, attention_query_at(head, i) + c, sums[c] / sum);
    reference_write(a->call, LLMRUN_ATTENTION_LSE, attention_query_at(head, i) / a->width, maximum + log(sum));
}

static void each_row(const struct kernel_call *call, void (*row)(const struct attention_head *head, int64_t i))
{
    struct attention attention = attention_of(call);
    struct attention_head head = {.attention = &attention};

    for (head.sequence = 0; head.sequence < attention.sequences; head.sequence++)
        for (head.head = 0; head.head < attention.heads; head.head++)
            for (int64_t i = attention.query_first; i < attention_row_end(&attention); i++)
                row(&head, i);
}

static void attention_exact(const struct kernel_call *call)
{
    each_row(call, row_exact);
}

static void attention_double(const struct kernel_call *call)
{
    each_row(call, row_double);
}

static int query(const struct llmrun_op *op, int threads, int64_t *workspace_bytes, char *reason, size_t reason_bytes)
{
    (void)threads;
    if (!operand_fit(op, 0, reason, reason_bytes))
        return 0;
    *workspace_bytes = op->operands[LLMRUN_ATTENTION_Q].shape[1] * (int64_t)sizeof(double);
    return 1;
}

extern const struct kernel reference_attention_exact, reference_attention_double;
const struct kernel reference_attention_exact = {"attention reference exact", query, attention_exact};
const struct kernel reference_attention_double = {"attention reference f64", query, attention_double};
