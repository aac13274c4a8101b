/* The rest of a training step, as in layers.cpp: loss, first weights, the norm of the gradients, AdamW. */
#include "op_view.hpp"

#include <llmrun/random.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace cpp
{
namespace
{

/* ---- loss -- */

/* Makes the gradient of the logits of a token and returns its loss. */
double token_loss(const op_call &c, int64_t token, double *logits)
{
    const int64_t vocabulary = c.op.attributes<llmrun_linear_cross_entropy_attributes>().vocabulary;
    const int64_t width = c.op.extent(LLMRUN_LINEAR_CROSS_ENTROPY_W, 1);
    const int64_t target = c.at<int32_t>(LLMRUN_LINEAR_CROSS_ENTROPY_TARGETS)[token];
    const float *x = c.at(LLMRUN_LINEAR_CROSS_ENTROPY_X) + token * width, *w = c.at(LLMRUN_LINEAR_CROSS_ENTROPY_W);
    const double weight = c.get(LLMRUN_LINEAR_CROSS_ENTROPY_LOSS_WEIGHTS, token);
    const double scale = weight * c.get(LLMRUN_LINEAR_CROSS_ENTROPY_SCALE, 0);
    double largest = -std::numeric_limits<double>::infinity(), sum = 0, of_target;

    std::fill(logits, logits + c.op.extent(LLMRUN_LINEAR_CROSS_ENTROPY_W, 0), 0.0);
    if (weight == 0)
        return 0;
    for (int64_t v = 0; v < vocabulary; v++)
        largest = std::max(largest, logits[v] = dot(x, 1, w + v * width, 1, width));
    of_target = target >= 0 && target < vocabulary ? logits[target] : std::numeric_limits<double>::quiet_NaN();
    for (int64_t v = 0; v < vocabulary; v++)
        sum += logits[v] = std::exp(logits[v] - largest);
    for (int64_t v = 0; v < vocabulary; v++)
        logits[v] = scale * (logits[v] / sum - (v == target ? 1 : 0));
    return weight * (std::log(sum) + largest - of_target);
}

void linear_cross_entropy(const op_call &c)
{
    const int64_t tokens = c.op.extent(LLMRUN_LINEAR_CROSS_ENTROPY_X, 0);
    const int64_t width = c.op.extent(LLMRUN_LINEAR_CROSS_ENTROPY_X, 1);
    const int64_t rows = c.op.extent(LLMRUN_LINEAR_CROSS_ENTROPY_W, 0);
    const int64_t sequence = c.op.attributes<llmrun_linear_cross_entropy_attributes>().seq_len;
    const float *x = c.at(LLMRUN_LINEAR_CROSS_ENTROPY_X), *w = c.at(LLMRUN_LINEAR_CROSS_ENTROPY_W);
    const double *gradients = c.work;

    c.each(LLMRUN_LINEAR_CROSS_ENTROPY_LOSSES, [&](int64_t b) {
        double sum = 0;

        for (int64_t t = b * sequence; t < (b + 1) * sequence; t++)
            sum += token_loss(c, t, c.work + t * rows);
        return sum;
    });
    c.each(LLMRUN_LINEAR_CROSS_ENTROPY_DW,
           [=](int64_t i) { return dot(gradients + i / width, rows, x + i % width, width, tokens); });
    c.each(LLMRUN_LINEAR_CROSS_ENTROPY_DX,
           [=](int64_t i) { return dot(gradients + i / width * rows, 1, w + i % width, width, rows); });
}

/* ---- weights -- */

/* The z > 0 beyond which a normal number lies with this probability: Newton's method, ascending from 0. */
double upper_quantile(double probability)
{
    const double root_half = std::sqrt(0.5), density = 1 / std::sqrt(2 * std::acos(-1.0));
    double z = 0, step = 1;

    for (int i = 0; i < 100 && step > 1e-12; i++) {
        step = (std::erfc(z * root_half) / 2 - probability) / (density * std::exp(-z * z / 2));
        z += step;
    }
    return z;
}

void init(const op_call &c)
{
    const auto a = c.op.attributes<llmrun_init_attributes>();
    const int64_t first[LLMRUN_MAX_RANK] = {a.first0, a.first1, a.first2};
    const int64_t full[LLMRUN_MAX_RANK] = {a.full0, a.full1, a.full2};
    const uint32_t seed[4] = {static_cast<uint32_t>(a.stream_id), static_cast<uint32_t>(a.stream_id >> 32), 0, 0};
    const double from = a.a, b = a.b;

    c.each(LLMRUN_INIT_Y, [&](int64_t i) {
        int64_t number = 0, size = 1;

        for (uint32_t d = c.op.rank(LLMRUN_INIT_Y); d-- > 0;) {
            const int64_t extent = c.op.extent(LLMRUN_INIT_Y, d);

            number += (first[d] + i % extent) * size;
            size *= full[d] > 0 ? full[d] : extent;
            i /= extent;
        }
        const uint32_t word = llmrun_random_word(seed, 0, static_cast<uint64_t>(number));
        const double p = (word + 0.5) / 4294967296.0;

        if (a.distribution == LLMRUN_INIT_CONSTANT)
            return from;
        if (a.distribution == LLMRUN_INIT_UNIFORM)
            return from + (word >> 8) / 16777216.0 * (b - from);
        return from + b * (p < 0.5 ? -upper_quantile(p) : upper_quantile(1 - p));
    });
}

void sum_squares(const op_call &c)
{
    const auto a = c.op.attributes<llmrun_sum_squares_attributes>();
    const int64_t columns = c.op.columns(LLMRUN_SUM_SQUARES_X), wide = columns / a.column_parts;
    const int64_t high = c.op.elements(LLMRUN_SUM_SQUARES_X) / columns / a.row_parts;
    const int64_t stride = a.slot_stride > 0 ? a.slot_stride : a.column_parts;

    for (int64_t part = 0; part < static_cast<int64_t>(a.row_parts) * a.column_parts; part++) {
        const int64_t r = part / a.column_parts, column = part % a.column_parts;
        const float *x = c.at(LLMRUN_SUM_SQUARES_X) + r * high * columns + column * wide;
        double sum = 0;

        for (int64_t i = 0; i < high && a.replica == 0; i++)
            sum += dot(x + i * columns, 1, x + i * columns, 1, wide);
        c.put(LLMRUN_SUM_SQUARES_SUMS, a.slot + r * stride + column, sum);
    }
}

/* Which order its sum has is up to us, so there is no tree. */
void slot_tree(const op_call &c)
{
    c.each(LLMRUN_SLOT_TREE_ROOTS, [&](int64_t k) {
        const int32_t *line = c.at<int32_t>(LLMRUN_SLOT_TREE_TABLE) + 3 * k;
        const int64_t count = static_cast<int64_t>(line[1]) * line[2];
        double sum = 0;

        if (line[0] < 0 || line[1] < 1 || line[2] < 1 || line[0] + count > c.op.elements(LLMRUN_SLOT_TREE_SUMS))
            return std::numeric_limits<double>::quiet_NaN();
        for (int64_t i = 0; i < count; i++)
            sum += c.get(LLMRUN_SLOT_TREE_SUMS, line[0] + i);
        return sum;
    });
}

void clip(const op_call &c)
{
    const double max_norm = c.op.attributes<llmrun_clip_attributes>().max_norm;
    double total = 0, norm;
    bool finite = true;

    for (int64_t i = 0; i < c.op.elements(LLMRUN_CLIP_ROOTS); i++)
        total += c.get(LLMRUN_CLIP_ROOTS, i);
    for (int64_t i = 0; i < c.op.elements(LLMRUN_CLIP_LOSSES); i++)
        finite = finite && std::isfinite(c.get(LLMRUN_CLIP_LOSSES, i));
    norm = std::sqrt(total);
    c.put(LLMRUN_CLIP_NORM, 0, norm);
    c.put(LLMRUN_CLIP_SCALE, 0, max_norm > 0 ? std::min(1.0, max_norm / (norm + 1e-6)) : 1);
    if (!finite || !std::isfinite(static_cast<float>(norm)) || *c.at<uint32_t>(LLMRUN_CLIP_FOUND_INF) != 0)
        *c.at<uint32_t>(LLMRUN_CLIP_FOUND_INF) = 1;
}

void adamw(const op_call &c)
{
    const auto a = c.op.attributes<llmrun_adamw_attributes>();
    const double rate = c.get(LLMRUN_ADAMW_LEARNING_RATE, 0), clip_scale = c.get(LLMRUN_ADAMW_CLIP_SCALE, 0);
    const double c1 = c.get(LLMRUN_ADAMW_BIAS_CORRECTION, 0), c2 = c.get(LLMRUN_ADAMW_BIAS_CORRECTION, 1);
    const double beta1 = a.beta1, beta2 = a.beta2;

    for (int64_t i = 0; i < c.op.elements(LLMRUN_ADAMW_PARAMETER) && *c.at<uint32_t>(LLMRUN_ADAMW_FOUND_INF) == 0;
         i++) {
        const double g = c.get(LLMRUN_ADAMW_GRADIENT, i) * clip_scale, old = c.get(LLMRUN_ADAMW_PARAMETER, i);
        const double m = beta1 * c.get(LLMRUN_ADAMW_FIRST_MOMENT, i) + (1 - beta1) * g;
        const double v = beta2 * c.get(LLMRUN_ADAMW_SECOND_MOMENT, i) + (1 - beta2) * g * g;
        const double p = old - rate * (a.weight_decay * old + m / c1 / (std::sqrt(v) / c2 + a.epsilon));

        c.put(LLMRUN_ADAMW_FIRST_MOMENT, i, m);
        c.put(LLMRUN_ADAMW_SECOND_MOMENT, i, v);
        c.put(LLMRUN_ADAMW_PARAMETER, i, p);
        c.put(LLMRUN_ADAMW_COPY, i, p);
    }
}

/* y may be the first rows of x: a row of y is written behind the last read of what is there. */
void reduce_rows(const op_call &c)
{
    const int64_t columns = c.op.columns(LLMRUN_REDUCE_ROWS_X);
    const int64_t group = c.op.elements(LLMRUN_REDUCE_ROWS_X) / c.op.elements(LLMRUN_REDUCE_ROWS_Y);

    c.each(LLMRUN_REDUCE_ROWS_Y, [&](int64_t i) {
        double sum = 0;

        for (int64_t u = 0; u < group; u++)
            sum += c.get(LLMRUN_REDUCE_ROWS_X, (i / columns * group + u) * columns + i % columns);
        return sum;
    });
}

/* ---- what there is -- */

const op_kernel kernels[] = {
    {LLMRUN_OP_LINEAR_CROSS_ENTROPY, linear_cross_entropy,
     [](const op_view &op) {
         return op.extent(LLMRUN_LINEAR_CROSS_ENTROPY_X, 0) * op.extent(LLMRUN_LINEAR_CROSS_ENTROPY_W, 0);
     }},
    {LLMRUN_OP_CAST,
     [](const op_call &c) { c.each(LLMRUN_CAST_Y, [&](int64_t i) { return c.get(LLMRUN_CAST_X, i); }); }, nullptr},
    {LLMRUN_OP_INIT, init,
     [](const op_view &op) -> int64_t {
         if (op.attributes<llmrun_init_attributes>().distribution > LLMRUN_INIT_UNIFORM)
             op.no("the distribution is unknown");
         return 0;
     }},
    {LLMRUN_OP_SUM_SQUARES, sum_squares,
     [](const op_view &op) -> int64_t {
         const auto a = op.attributes<llmrun_sum_squares_attributes>();
         const int64_t stride = a.slot_stride > 0 ? a.slot_stride : a.column_parts;
         const int64_t slots = op.elements(LLMRUN_SUM_SQUARES_SUMS) - (a.row_parts - 1) * stride - a.column_parts;

         if (a.slot < 0 || a.slot > slots)
             op.no("its slots are not in sums");
         return 0;
     }},
    {LLMRUN_OP_SLOT_TREE, slot_tree, nullptr},
    {LLMRUN_OP_CLIP, clip, nullptr},
    {LLMRUN_OP_ADAMW, adamw, nullptr},
    {LLMRUN_OP_REDUCE_ROWS, reduce_rows, nullptr},
    {LLMRUN_OP_REDUCE,
     [](const op_call &c) {
         c.each(LLMRUN_REDUCE_Y, [&](int64_t i) {
             return c.get(LLMRUN_REDUCE_A, i) + (c.op.has(LLMRUN_REDUCE_B) ? c.get(LLMRUN_REDUCE_B, i) : 0);
         });
     },
     nullptr},
};

} // namespace

const op_kernel *find_step_kernel(uint32_t op)
{
    return find_in(kernels, op);
}

} // namespace cpp
