/* loss_statistics and loss_gradient */
#include "cpu_ref/loss_row.h"
#include "cpu_ref/reference.h"

/* Where a statistic of a part stands for a token. */
enum statistic { MAXIMUM, SUM, TARGET, STATISTICS };

static int64_t statistic_at(const struct kernel_call *call, int operand, int64_t part, enum statistic statistic,
                            int64_t token)
{
    return (part * STATISTICS + statistic) * reference_extent(call, operand, 2) + token;
}

static const float *logits_of(const struct kernel_call *call, int64_t token)
{
    /* The first operand of both ops. */
    return (const float *)call->operands[LLMRUN_LOSS_STATISTICS_LOGITS] +
           token * reference_extent(call, LLMRUN_LOSS_STATISTICS_LOGITS, 1);
}

static float target_logit(const struct kernel_call *call, int64_t token, int64_t part, int64_t size)
{
    const struct llmrun_loss_statistics_attributes *a = call->op->attributes;
    int64_t target = ((const int32_t *)call->operands[LLMRUN_LOSS_STATISTICS_TARGETS])[token];

    if (target < 0 || target >= a->full)
        return NAN;
    target -= a->first;
    return target >= 0 && target < a->vocabulary && target / size == part ? logits_of(call, token)[target] : -0.0f;
}

static void write_statistics(const struct kernel_call *call, int64_t token, int64_t part, double maximum, double sum,
                             double target)
{
    const int to = LLMRUN_LOSS_STATISTICS_STATISTICS;

    reference_write(call, to, statistic_at(call, to, part, MAXIMUM, token), maximum);
    reference_write(call, to, statistic_at(call, to, part, SUM, token), sum);
    reference_write(call, to, statistic_at(call, to, part, TARGET, token), target);
}

static void loss_statistics_exact(const struct kernel_call *call)
{
    const struct llmrun_loss_statistics_attributes *a = call->op->attributes;
    int64_t size = reference_extent(call, LLMRUN_LOSS_STATISTICS_LOGITS, 1) / a->vocabulary_parts;

    for (int64_t t = 0; t < reference_extent(call, LLMRUN_LOSS_STATISTICS_LOGITS, 0); t++)
        for (int64_t i = 0; i < a->vocabulary_parts; i++) {
            struct loss_part part = loss_part_of(logits_of(call, t), i * size, size, a->vocabulary);

            write_statistics(call, t, i, part.maximum, part.sum, target_logit(call, t, i, size));
        }
}

static void loss_statistics_double(const struct kernel_call *call)
{
    const struct llmrun_loss_statistics_attributes *a = call->op->attributes;
    int64_t size = reference_extent(call, LLMRUN_LOSS_STATISTICS_LOGITS, 1) / a->vocabulary_parts;

    for (int64_t t = 0; t < reference_extent(call, LLMRUN_LOSS_STATISTICS_LOGITS, 0); t++)
        for (int64_t i = 0; i < a->vocabulary_parts; i++) {
            double maximum = -FLT_MAX, sum = 0;

            for (int64_t v = i * size; v < (i + 1) * size && v < a->vocabulary; v++)
                maximum = fmax(maximum, logits_of(call, t)[v]);
            for (int64_t v = i * size; v < (i + 1) * size && v < a->vocabulary; v++)
                sum += exp(logits_of(call, t)[v] - maximum);
            write_statistics(call, t, i, maximum + 0.0, sum, target_logit(call, t, i, size));
        }
}

/* A token of loss_gradient: what both forms take of it. */
struct token {
    float weight;
    int64_t target;      /* its column; outside of them where another rank has it */
    int64_t size, first; /* of a part; the first one that is here */
    float target_logit;
    struct loss_parts parts;
};

static struct token token_of(const struct kernel_call *call, int64_t t)
{
    const struct llmrun_loss_gradient_attributes *a = call->op->attributes;
    const int from = LLMRUN_LOSS_GRADIENT_STATISTICS;
    struct token token = {.weight = reference_read(call, LLMRUN_LOSS_GRADIENT_LOSS_WEIGHTS, t),
                          .target = ((const int32_t *)call->operands[LLMRUN_LOSS_GRADIENT_TARGETS])[t] - a->first,
                          .size = reference_extent(call, LLMRUN_LOSS_GRADIENT_LOGITS, 1) / a->vocabulary_parts,
                          .target_logit = -0.0f,
                          .parts.count = reference_extent(call, from, 0)};

    token.first = a->first / token.size;
    for (int64_t i = 0; i < token.parts.count; i++) {
        token.parts.part[i].maximum = reference_read(call, from, statistic_at(call, from, i, MAXIMUM, t));
        token.parts.part[i].sum = reference_read(call, from, statistic_at(call, from, i, SUM, t));
        token.target_logit += reference_read(call, from, statistic_at(call, from, i, TARGET, t));
    }
    return token;
}

/* Adds the loss of token `t` to that of its sequence, and starts the sum at the first one. */
static void add_loss(const struct kernel_call *call, int64_t t, double loss)
{
    const struct llmrun_loss_gradient_attributes *a = call->op->attributes;
    const int losses = LLMRUN_LOSS_GRADIENT_LOSSES;
    double before = 0;

    if (!reference_has(call, losses))
        return;
    if (t % a->seq_len > 0 || operand_accumulates(call->op, losses))
        before = reference_read_double(call, losses, t / a->seq_len);
    reference_write(call, losses, t / a->seq_len, before + loss);
}

static void loss_gradient_exact(const struct kernel_call *call)
{
    const struct llmrun_loss_gradient_attributes *a = call->op->attributes;
    int64_t columns = reference_extent(call, LLMRUN_LOSS_GRADIENT_LOGITS, 1);

    for (int64_t t = 0; t < reference_extent(call, LLMRUN_LOSS_GRADIENT_LOGITS, 0); t++) {
        struct token token = token_of(call, t);
        float gradient = token.weight * reference_read(call, LLMRUN_LOSS_GRADIENT_SCALE, 0);

        loss_join(&token.parts);
        add_loss(call, t, token.weight == 0 ? 0 : loss_of_token(&token.parts, token.weight, token.target_logit));
        for (int64_t v = 0; reference_has(call, LLMRUN_LOSS_GRADIENT_DLOGITS) && v < columns; v++)
            reference_write(call, LLMRUN_LOSS_GRADIENT_DLOGITS, t * columns + v,
                            token.weight == 0 || v >= a->vocabulary
                                ? 0.0f
                                : loss_logit_gradient(&token.parts, token.first + v / token.size, logits_of(call, t)[v],
                                                      gradient, v == token.target));
    }
}

static void loss_gradient_double(const struct kernel_call *call)
{
    const struct llmrun_loss_gradient_attributes *a = call->op->attributes;
    int64_t columns = reference_extent(call, LLMRUN_LOSS_GRADIENT_LOGITS, 1);

    for (int64_t t = 0; t < reference_extent(call, LLMRUN_LOSS_GRADIENT_LOGITS, 0); t++) {
        struct token token = token_of(call, t);
        double gradient = (double)token.weight * reference_read_double(call, LLMRUN_LOSS_GRADIENT_SCALE, 0);
        double maximum = -FLT_MAX, sum = 0;

        for (int64_t i = 0; i < token.parts.count; i++)
            maximum = fmax(maximum, token.parts.part[i].maximum);
        for (int64_t i = 0; i < token.parts.count; i++)
            sum += token.parts.part[i].sum * exp(token.parts.part[i].maximum - maximum);
        add_loss(call, t, token.weight == 0 ? 0 : token.weight * (log(sum) + maximum - token.target_logit));
        for (int64_t v = 0; reference_has(call, LLMRUN_LOSS_GRADIENT_DLOGITS) && v < columns; v++)
            reference_write(call, LLMRUN_LOSS_GRADIENT_DLOGITS, t * columns + v,
                            token.weight == 0 || v >= a->vocabulary
                                ? 0.0
                                : gradient * (exp(logits_of(call, t)[v] - maximum) / sum - (v == token.target)));
    }
}

REFERENCE_KERNELS(loss_statistics, 0, loss_statistics_exact, loss_statistics_double)
REFERENCE_KERNELS(loss_gradient, 1u << LLMRUN_LOSS_GRADIENT_LOSSES, loss_gradient_exact, loss_gradient_double)
