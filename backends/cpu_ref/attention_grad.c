#include "cpu_ref/attention.h"
#include "cpu_ref/chain.h"
#include "cpu_ref/exact.h"

/* Row i and key j: the weight that v was multiplied with, and the gradient of the score before `scale`. Both are 0
 * where the row does not see the key. */
struct pair {
    float weight;
    float score_grad;
};

struct pair_double {
    double weight;
    double score_grad;
};

/* Products of row i of do with row i of o, or with row j of v. */
struct output_terms {
    const struct kernel_call *call;
    int other; /* operand o or v */
    int64_t do_first;
    int64_t other_first;
};

static struct chain_term output_term(const void *context, int64_t c)
{
    const struct output_terms *terms = context;

    return (struct chain_term){reference_read(terms->call, LLMRUN_ATTENTION_GRAD_DO, terms->do_first + c),
                               reference_read(terms->call, terms->other, terms->other_first + c)};
}

static struct pair pair_exact(const struct attention_head *head, int64_t i, int64_t j)
{
    const struct attention *a = head->attention;
    int64_t row = attention_query_at(head, i);
    struct output_terms with_o = {a->call, LLMRUN_ATTENTION_GRAD_O, row, row};
    struct output_terms with_v = {a->call, LLMRUN_ATTENTION_GRAD_V, row, attention_key_at(head, j)};
    float lse, delta, p, dp;

    if (!attention_sees(head, i, j))
        return (struct pair){0.0f, 0.0f};
    lse = reference_read(a->call, LLMRUN_ATTENTION_GRAD_LSE, row / a->width);
    delta = chain_sum(0, output_term, &with_o, 0, a->width, 0.0f);
    p = exact_exp(attention_score(head, i, j) - lse);
    dp = chain_sum(a->bf16, output_term, &with_v, 0, a->width, 0.0f);
    if (!attention_keeps(head, i, j))
        return (struct pair){0.0f, attention_rounded(a, p * (0.0f - delta))};
    if (a->threshold == 0)
        return (struct pair){attention_rounded(a, p), attention_rounded(a, p * (dp - delta))};
    return (struct pair){attention_rounded(a, p * a->keep), attention_rounded(a, p * (dp * a->keep - delta))};
}

static struct pair_double pair_double(const struct attention_head *head, int64_t i, int64_t j)
{
    const struct attention *a = head->attention;
    const struct llmrun_attention_grad_attributes *attributes = a->call->op->attributes;
    double keep = attention_keeps(head, i, j) ? 1 / (1 - (double)attributes->dropout) : 0, delta = 0, dp = 0, p;
    int64_t row = attention_query_at(head, i), key = attention_key_at(head, j);

    if (!attention_sees(head, i, j))
        return (struct pair_double){0, 0};
    for (int64_t c = 0; c < a->width; c++) {
        double gradient = reference_read_double(a->call, LLMRUN_ATTENTION_GRAD_DO, row + c);

        delta += gradient * reference_read_double(a->call, LLMRUN_ATTENTION_GRAD_O, row + c);
        dp += gradient * reference_read_double(a->call, LLMRUN_ATTENTION_GRAD_V, key + c);
    }
    p = exp(attention_score_double(head, i, j) -
            reference_read_double(a->call, LLMRUN_ATTENTION_GRAD_LSE, row / a->width));
    return (struct pair_double){p * keep, p * (dp * keep - delta)};
}

/* dq of row i from the pairs of all keys up to i. */

struct row_terms {
    const struct attention_head *head;
    const struct pair *pairs; /* [i + 1] */
    int64_t column;
};

static struct chain_term row_term(const void *context, int64_t j)
{
    const struct row_terms *terms = context;

    return (struct chain_term){terms->pairs[j].score_grad,
                               reference_read(terms->head->attention->call, LLMRUN_ATTENTION_GRAD_K,
                                              attention_key_at(terms->head, j) + terms->column)};
}

static void query_grad_exact(const struct attention_head *head, int64_t i)
{
    const struct attention *a = head->attention;
    struct pair *pairs = a->call->workspace;
    struct row_terms terms = {head, pairs, 0};

    for (int64_t j = 0; j <= i; j++)
        pairs[j] = pair_exact(head, i, j);
    for (; terms.column < a->width; terms.column++)
        reference_write(a->call, LLMRUN_ATTENTION_GRAD_DQ, attention_query_at(head, i) + terms.column,
                        fmaf(chain_sum(a->bf16, row_term, &terms, 0, i + 1, 0.0f), a->scale, 0.0f));
}

static void query_grad_double(const struct attention_head *head, int64_t i)
{
    const struct attention *a = head->attention;
    struct pair_double *pairs = a->call->workspace;

    for (int64_t j = 0; j <= i; j++)
        pairs[j] = pair_double(head, i, j);
    for (int64_t c = 0; c < a->width; c++) {
        double sum = 0;

        for (int64_t j = 0; j <= i; j++)
            sum += pairs[j].score_grad *
                   reference_read_double(a->call, LLMRUN_ATTENTION_GRAD_K, attention_key_at(head, j) + c);
        reference_write(a->call, LLMRUN_ATTENTION_GRAD_DQ, attention_query_at(head, i) + c, a->scale * sum);
    }
}

/* dk and dv of key j from the pairs of all rows, for each query head of the group. */

struct column_terms {
    struct attention_head head; /* the first of the group; then the one that is summed */
    const struct pair *pairs;   /* [group, row_end] */
    const struct pair *of_head; /* [row_end] */
    int64_t column;
};

static struct chain_term key_term(const void *context, int64_t i)
{
    const struct column_terms *terms = context;

    if (i < terms->head.attention->query_first)
        return (struct chain_term){0.0f, 0.0f};
    return (struct chain_term){terms->of_head[i].score_grad,
                               reference_read(terms->head.attention->call, LLMRUN_ATTENTION_GRAD_Q,
                                              attention_query_at(&terms->head, i) + terms->column)};
}

static struct chain_term value_term(const void *context, int64_t i)
{
    const struct column_terms *terms = context;

    if (i < terms->head.attention->query_first)
        return (struct chain_term){0.0f, 0.0f};
    return (struct chain_term){terms->of_head[i].weight,
                               reference_read(terms->head.attention->call, LLMRUN_ATTENTION_GRAD_DO,
                                              attention_query_at(&terms->head, i) + terms->column)};
}

static float head_sum(const void *context, int64_t index, chain_terms *term)
{
    struct column_terms terms = *(const struct column_terms *)context;
    const struct attention *a = terms.head.attention;
    int64_t even = a->query_first / 2 * 2; /* pairs are those of positions */

    terms.head.head += index;
    terms.of_head = terms.pairs + index * attention_row_end(a);
    return chain_sum(a->bf16, term, &terms, even, attention_row_end(a), 0.0f);
}

static float key_head(const void *context, int64_t index)
{
    return head_sum(context, index, key_term);
}

static float value_head(const void *context, int64_t index)
{
    return head_sum(context, index, value_term);
}

static void key_grad_exact(const struct attention_head *first, int64_t j)
{
    const struct attention *a = first->attention;
    struct pair *pairs = a->call->workspace;
    struct column_terms terms = {.head = *first, .pairs = pairs};
    struct attention_head head = *first;

    for (; head.head < first->head + a->group; head.head++)
        for (int64_t i = a->query_first; i < attention_row_end(a); i++)
            pairs[(head.head - first->head) * attention_row_end(a) + i] = pair_exact(&head, i, j);
    for (; terms.column < a->width; terms.column++) {
        int64_t at = attention_key_at(first, j) + terms.column;

        reference_write(a->call, LLMRUN_ATTENTION_GRAD_DK, at,
                        fmaf(chain_tree(key_head, &terms, 0, a->group), a->scale, 0.0f));
        reference_write(a->call, LLMRUN_ATTENTION_GRAD_DV, at, chain_tree(value_head, &terms, 0, a->group) + 0.0f);
    }
}

static void key_grad_double(const struct attention_head *first, int64_t j)
{
    const struct attention *a = first->attention;
    double *dk = a->call->workspace, *dv = dk + a->width;
    struct attention_head head = *first;

    memset(dk, 0, (size_t)a->width * 2 * sizeof(*dk));
    for (; head.head < first->head + a->group; head.head++) {
        for (int64_t i = j > a->query_first ? j : a->query_first; i < attention_row_end(a); i++) {
            struct pair_double pair = pair_double(&head, i, j);
            int64_t row = attention_query_at(&head, i);

            for (int64_t c = 0; c < a->width; c++) {
                dk[c] += pair.score_grad * reference_read_double(a->call, LLMRUN_ATTENTION_GRAD_Q, row + c);
                dv[c] += pair.weight * reference_read_double(a->call, LLMRUN_ATTENTION_GRAD_DO, row + c);
            }
        }
    }
    for (int64_t c = 0; c < a->width; c++) {
        reference_write(a->call, LLMRUN_ATTENTION_GRAD_DK, attention_key_at(first, j) + c, a->scale * dk[c]);
        reference_write(a->call, LLMRUN_ATTENTION_GRAD_DV, attention_key_at(first, j) + c, dv[c]);
    }
}

typedef void position_grad(const struct attention_head *head, int64_t position);

static void each_position(const struct kernel_call *call, position_grad *query_grad, position_grad *key_grad)
{
    struct attention attention = attention_of(call);
    struct attention_head head = {.attention = &attention};

    for (head.sequence = 0; head.sequence < attention.sequences; head.sequence++)
        for (head.head = 0; head.head < attention.heads; head.head++)
            for (int64_t position = 0; position < attention.keys; position++) {
                if (position >= attention.query_first && position < attention_row_end(&attention))
                    query_grad(&head, position);
                if (head.head % attention.group == 0)
                    key_grad(&head, position);
            }
}

static void attention_grad_exact(const struct kernel_call *call)
{
    each_position(call, query_grad_exact, key_grad_exact);
}

static void attention_grad_double(const struct kernel_call *call)
{
    each_position(call, query_grad_double, key_grad_double);
}

static int query(const struct llmrun_op *op, int threads, int64_t *workspace_bytes, char *reason, size_t reason_bytes)
{
    const struct llmrun_attention_grad_attributes *attributes = op->attributes;
    int64_t width = op->operands[LLMRUN_ATTENTION_GRAD_Q].shape[1];

    (void)threads;
    if (!operand_fit(op, 0, reason, reason_bytes))
        return 0;
    *workspace_bytes = attributes->keys * attributes->heads * (int64_t)sizeof(struct pair_double) +
                       2 * width * (int64_t)sizeof(double);
    return 1;
}

extern const struct kernel reference_attention_grad_exact, reference_attention_grad_double;
const struct kernel reference_attention_grad_exact = {"attention_grad reference exact", query, attention_grad_exact};
const struct kernel reference_attention_grad_double = {"attention_grad reference f64", query, attention_grad_double};
