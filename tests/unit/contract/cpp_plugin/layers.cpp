/* The layers of LLaMA, by the formulas of docs/ops.md in double: each sum in order, rounded once at the end. Without
 * exact numerics the parts of a sum say nothing of its order: they matter where they are rows of an output. */
#include "op_view.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace cpp
{
namespace
{

double sigmoid(double x)
{
    return 1 / (1 + std::exp(-x));
}

/* ---- matrices -- */

void matmul(const op_call &c)
{
    const int64_t inner = c.op.extent(LLMRUN_MATMUL_X, 1), columns = c.op.extent(LLMRUN_MATMUL_W, 0);
    const float *x = c.at(LLMRUN_MATMUL_X), *w = c.at(LLMRUN_MATMUL_W), *bias = c.at(LLMRUN_MATMUL_BIAS);
    auto value = [=](int64_t i) {
        return dot(x + i / columns * inner, 1, w + i % columns * inner, 1, inner) + (bias ? bias[i % columns] : 0);
    };

    c.each(LLMRUN_MATMUL_AUX, value);
    c.each(LLMRUN_MATMUL_Y, value);
}

void matmul_input_grad(const op_call &c)
{
    const int64_t columns = c.op.extent(LLMRUN_MATMUL_INPUT_GRAD_DX, 1);

    c.each(LLMRUN_MATMUL_INPUT_GRAD_DX, [&](int64_t i) {
        double sum = 0;

        for (uint32_t dy = LLMRUN_MATMUL_INPUT_GRAD_DY0; dy <= LLMRUN_MATMUL_INPUT_GRAD_DY2; dy += 2) {
            const int64_t n = c.op.extent(dy, 1); /* 0 of one that is absent */

            if (n > 0)
                sum += dot(c.at(dy) + i / columns * n, 1, c.at(dy + 1) + i % columns, columns, n);
        }
        return sum;
    });
}

void matmul_weight_grad(const op_call &c)
{
    const int64_t tokens = c.op.extent(LLMRUN_MATMUL_WEIGHT_GRAD_X, 0);
    const int64_t rows = c.op.extent(LLMRUN_MATMUL_WEIGHT_GRAD_DW, 0);
    const int64_t columns = c.op.extent(LLMRUN_MATMUL_WEIGHT_GRAD_DW, 1);
    const float *dy = c.at(LLMRUN_MATMUL_WEIGHT_GRAD_DY), *x = c.at(LLMRUN_MATMUL_WEIGHT_GRAD_X);

    c.each(LLMRUN_MATMUL_WEIGHT_GRAD_DW,
           [=](int64_t i) { return dot(dy + i / columns, rows, x + i % columns, columns, tokens); });
}

/* ---- token by token -- */

void embedding(const op_call &c)
{
    const int64_t first = c.op.attributes<llmrun_embedding_attributes>().row_first;
    const int64_t rows = c.op.extent(LLMRUN_EMBEDDING_TABLE, 0), columns = c.op.extent(LLMRUN_EMBEDDING_TABLE, 1);

    c.each(LLMRUN_EMBEDDING_Y, [&](int64_t i) -> double {
        const int64_t row = c.at<int32_t>(LLMRUN_EMBEDDING_IDS)[i / columns] - first;
        const float y = row < 0 || row >= rows ? -0.0f : c.at(LLMRUN_EMBEDDING_TABLE)[row * columns + i % columns];

        return c.op.has(LLMRUN_EMBEDDING_ADDEND) ? y + c.at(LLMRUN_EMBEDDING_ADDEND)[i] : y;
    });
}

void embedding_grad(const op_call &c)
{
    const int64_t first = c.op.attributes<llmrun_embedding_grad_attributes>().row_first;
    const int64_t tokens = c.op.extent(LLMRUN_EMBEDDING_GRAD_DY, 0), columns = c.op.extent(LLMRUN_EMBEDDING_GRAD_DY, 1);
    const int32_t *ids = c.at<int32_t>(LLMRUN_EMBEDDING_GRAD_IDS);

    c.each(LLMRUN_EMBEDDING_GRAD_DTABLE, [&](int64_t i) {
        double sum = 0;

        for (int64_t t = 0; t < tokens; t++)
            sum += ids[t] - first == i / columns ? c.at(LLMRUN_EMBEDDING_GRAD_DY)[t * columns + i % columns] : 0;
        return sum;
    });
}

void rmsnorm(const op_call &c)
{
    const int64_t n = c.op.extent(LLMRUN_RMSNORM_WEIGHT, 0);
    const float *x = c.at(LLMRUN_RMSNORM_X), *residual = c.at(LLMRUN_RMSNORM_RESIDUAL);
    const float *weight = c.at(LLMRUN_RMSNORM_WEIGHT);

    for (int64_t row = 0; row < c.op.elements(LLMRUN_RMSNORM_X) / n; row++) {
        /* Rounded to fp32, as residual_out is. */
        auto s = [=](int64_t i) { return residual ? x[row * n + i] + residual[row * n + i] : x[row * n + i]; };
        double squares = 0, rstd;

        for (int64_t i = 0; i < n; i++)
            squares += static_cast<double>(s(i)) * s(i);
        rstd = 1 / std::sqrt(squares / n + c.op.attributes<llmrun_rmsnorm_attributes>().epsilon);
        c.put(LLMRUN_RMSNORM_RSTD, row, rstd);
        for (int64_t i = 0; i < n; i++) {
            const float sum = s(i);

            c.put(LLMRUN_RMSNORM_Y, row * n + i, sum * rstd * weight[i]);
            c.put(LLMRUN_RMSNORM_RESIDUAL_OUT, row * n + i, sum);
        }
    }
}

void rmsnorm_grad(const op_call &c)
{
    const auto a = c.op.attributes<llmrun_rmsnorm_grad_attributes>();
    const int64_t n = c.op.extent(LLMRUN_RMSNORM_GRAD_WEIGHT, 0), heads = c.op.columns(LLMRUN_RMSNORM_GRAD_DY) / n;
    const int64_t tokens = c.op.extent(LLMRUN_RMSNORM_GRAD_DY, 0), sequences = tokens / a.seq_len;
    const float *dy = c.at(LLMRUN_RMSNORM_GRAD_DY), *s = c.at(LLMRUN_RMSNORM_GRAD_RESIDUAL_OUT);
    const float *weight = c.at(LLMRUN_RMSNORM_GRAD_WEIGHT), *rstd = c.at(LLMRUN_RMSNORM_GRAD_RSTD);
    const float *more = c.at(LLMRUN_RMSNORM_GRAD_DRESIDUAL_OUT);

    /* dweight first: dx may be written over what it is made of. */
    c.each(LLMRUN_RMSNORM_GRAD_DWEIGHT, [&](int64_t i) {
        const int64_t part = i / n, batch = part % a.batch_parts, position = part / a.batch_parts % a.position_parts;
        const int64_t head = part / a.batch_parts / a.position_parts;
        double sum = 0;

        for (int64_t t = 0; t < tokens; t++)
            for (int64_t h = 0; h < heads; h++) {
                const int64_t row = t * heads + h;

                if (t / a.seq_len * a.batch_parts / sequences == batch &&
                    t % a.seq_len * a.position_parts / a.seq_len == position && h * a.head_parts / heads == head)
                    sum += static_cast<double>(dy[row * n + i % n]) * s[row * n + i % n] * rstd[row];
            }
        return sum;
    });
    for (int64_t row = 0; row < tokens * heads; row++) {
        double mean = 0;

        for (int64_t i = 0; i < n; i++)
            mean += static_cast<double>(dy[row * n + i]) * weight[i] * s[row * n + i] * rstd[row] / n;
        for (int64_t i = 0; i < n; i++) {
            const double h = static_cast<double>(s[row * n + i]) * rstd[row];
            const double dx = rstd[row] * (static_cast<double>(dy[row * n + i]) * weight[i] - h * mean);

            c.put(LLMRUN_RMSNORM_GRAD_DX, row * n + i, dx + (more ? more[row * n + i] : 0));
        }
    }
}

void swiglu_grad(const op_call &c)
{
    for (int64_t i = 0; i < c.op.elements(LLMRUN_SWIGLU_GRAD_DY); i++) {
        const double dy = c.get(LLMRUN_SWIGLU_GRAD_DY, i), gate = c.get(LLMRUN_SWIGLU_GRAD_GATE, i);
        const double up = c.get(LLMRUN_SWIGLU_GRAD_UP, i), s = sigmoid(gate);

        c.put(LLMRUN_SWIGLU_GRAD_DGATE, i, dy * up * s * (1 + gate * (1 - s)));
        c.put(LLMRUN_SWIGLU_GRAD_DUP, i, dy * gate * s);
    }
}

void rope(const op_call &c)
{
    const int64_t half = c.op.extent(LLMRUN_ROPE_COSINES, 1), rows = c.op.extent(LLMRUN_ROPE_COSINES, 0);
    const int64_t columns = c.op.extent(LLMRUN_ROPE_X, 1);
    const double sign = c.op.attributes<llmrun_rope_attributes>().inverse != 0 ? -1 : 1;

    for (int64_t i = 0; i < c.op.elements(LLMRUN_ROPE_X); i++) {
        const int64_t position = c.at<int32_t>(LLMRUN_ROPE_POSITIONS)[i / columns];
        const int64_t pair = i % columns % (2 * half), entry = position * half + pair;
        const bool inside = position >= 0 && position < rows;

        if (pair >= half)
            continue; /* with the first of its pair */
        const double a = c.get(LLMRUN_ROPE_X, i), b = c.get(LLMRUN_ROPE_X, i + half);
        const double cosine = inside ? c.get(LLMRUN_ROPE_COSINES, entry) : std::numeric_limits<double>::quiet_NaN();
        const double sine = inside ? sign * c.get(LLMRUN_ROPE_SINES, entry) : cosine;

        c.put(LLMRUN_ROPE_Y, i, a * cosine - b * sine);
        c.put(LLMRUN_ROPE_Y, i + half, b * cosine + a * sine);
    }
}

/* ---- attention -- */

/* What both directions have in common; the first operands are the same. */
struct heads {
    int64_t queries, keys, first, kv, group, width;
    double scale;

    explicit heads(const op_view &op)
    {
        const auto a = op.attributes<llmrun_attention_attributes>(); /* those of attention_grad are equal */

        queries = a.seq_len;
        keys = a.keys;
        first = a.query_first;
        kv = a.kv_heads;
        group = a.heads / a.kv_heads;
        width = op.columns(LLMRUN_ATTENTION_K) / kv;
        scale = static_cast<double>(a.scale);
        if (a.dropout > 0)
            op.no("there is no dropout here");
        if (first < 0 || first > keys - queries)
            op.no("its queries are not among its keys");
    }
    /* Where a head of a token begins, in q and its like and in k and its like. */
    int64_t q_at(int64_t sequence, int64_t n, int64_t g, int64_t r) const
    {
        return (((sequence * queries + n) * kv + g) * group + r) * width;
    }
    int64_t k_at(int64_t sequence, int64_t j, int64_t g) const
    {
        return ((sequence * keys + j) * kv + g) * width;
    }
    /* The first key of a query. */
    int64_t start(const op_call &c, int64_t sequence, int64_t n) const
    {
        int64_t begin = sequence * keys;

        if (c.op.has(LLMRUN_ATTENTION_SEGMENT_STARTS))
            return std::max(c.at<int32_t>(LLMRUN_ATTENTION_SEGMENT_STARTS)[sequence * queries + n], 0);
        for (int64_t i = 0; i < c.op.elements(LLMRUN_ATTENTION_DOCUMENT_OFFSETS); i++) {
            const int64_t offset = c.at<int32_t>(LLMRUN_ATTENTION_DOCUMENT_OFFSETS)[i];

            if (offset <= sequence * keys + first + n)
                begin = std::max(begin, offset);
        }
        return begin - sequence * keys;
    }
    /* Calls body(sequence, g, r, n) for each query of each head, and after(sequence, g) behind those of a key head. */
    template <typename F, typename G> void walk(const op_call &c, F body, G after) const
    {
        for (int64_t s = 0; s < c.op.extent(LLMRUN_ATTENTION_Q, 0) / queries; s++)
            for (int64_t g = 0; g < kv; g++) {
                for (int64_t r = 0; r < group; r++)
                    for (int64_t n = 0; n < queries; n++)
                        body(s, g, r, n);
                after(s, g);
            }
    }
};

void attention(const op_call &c)
{
    const heads a(c.op);
    const float *q = c.at(LLMRUN_ATTENTION_Q), *k = c.at(LLMRUN_ATTENTION_K), *v = c.at(LLMRUN_ATTENTION_V);

    auto row = [&](int64_t s, int64_t g, int64_t r, int64_t n) {
        const int64_t first = a.start(c, s, n), end = a.first + n + 1, at = a.q_at(s, n, g, r);
        double largest = -std::numeric_limits<double>::infinity(), sum = 0;

        for (int64_t j = first; j < end; j++) {
            c.work[j] = a.scale * dot(q + at, 1, k + a.k_at(s, j, g), 1, a.width);
            largest = std::max(largest, c.work[j]);
        }
        for (int64_t j = first; j < end; j++)
            sum += c.work[j] = std::exp(c.work[j] - largest);
        for (int64_t i = 0; i < a.width; i++)
            c.put(LLMRUN_ATTENTION_O, at + i,
                  dot(c.work + first, 1, v + a.k_at(s, first, g) + i, a.kv * a.width, end - first) / sum);
        c.put(LLMRUN_ATTENTION_LSE, at / a.width, largest + std::log(sum));
    };
    a.walk(c, row, [](int64_t, int64_t) {});
}

void attention_grad(const op_call &c)
{
    const heads a(c.op);
    const float *q = c.at(LLMRUN_ATTENTION_GRAD_Q), *k = c.at(LLMRUN_ATTENTION_GRAD_K);
    const float *v = c.at(LLMRUN_ATTENTION_GRAD_V), *o = c.at(LLMRUN_ATTENTION_GRAD_O);
    const float *d_o = c.at(LLMRUN_ATTENTION_GRAD_DO), *lse = c.at(LLMRUN_ATTENTION_GRAD_LSE);
    double *dk = c.work, *dv = dk + a.keys * a.width, *dq = dv + a.keys * a.width;

    auto row = [&](int64_t s, int64_t g, int64_t r, int64_t n) {
        const int64_t at = a.q_at(s, n, g, r);
        const double delta = dot(d_o + at, 1, o + at, 1, a.width);

        std::fill(dq, dq + a.width, 0.0);
        for (int64_t j = a.start(c, s, n); j <= a.first + n; j++) {
            const int64_t key = a.k_at(s, j, g);
            const double p = std::exp(a.scale * dot(q + at, 1, k + key, 1, a.width) - lse[at / a.width]);
            const double ds = p * (dot(d_o + at, 1, v + key, 1, a.width) - delta);

            for (int64_t i = 0; i < a.width; i++) {
                dq[i] += ds * k[key + i];
                dk[j * a.width + i] += ds * q[at + i];
                dv[j * a.width + i] += p * d_o[at + i];
            }
        }
        for (int64_t i = 0; i < a.width; i++)
            c.put(LLMRUN_ATTENTION_GRAD_DQ, at + i, dq[i] * a.scale);
    };
    auto give = [&](int64_t s, int64_t g) {
        for (int64_t j = 0; j < a.keys; j++)
            for (int64_t i = 0; i < a.width; i++) {
                c.put(LLMRUN_ATTENTION_GRAD_DK, a.k_at(s, j, g) + i, dk[j * a.width + i] * a.scale);
                c.put(LLMRUN_ATTENTION_GRAD_DV, a.k_at(s, j, g) + i, dv[j * a.width + i]);
            }
        std::fill(dk, dq, 0.0);
    };
    std::fill(dk, dq, 0.0);
    a.walk(c, row, give);
}

/* ---- what there is -- */

const op_kernel kernels[] = {
    {LLMRUN_OP_EMBEDDING, embedding, nullptr},
    {LLMRUN_OP_EMBEDDING_GRAD, embedding_grad, nullptr},
    {LLMRUN_OP_MATMUL, matmul,
     [](const op_view &op) -> int64_t {
         if (op.attributes<llmrun_matmul_attributes>().activation != LLMRUN_ACTIVATION_NONE)
             op.no("there is no activation here");
         return 0;
     }},
    {LLMRUN_OP_MATMUL_INPUT_GRAD, matmul_input_grad, nullptr},
    {LLMRUN_OP_MATMUL_WEIGHT_GRAD, matmul_weight_grad, nullptr},
    {LLMRUN_OP_RMSNORM, rmsnorm, nullptr},
    {LLMRUN_OP_RMSNORM_GRAD, rmsnorm_grad, nullptr},
    {LLMRUN_OP_SWIGLU,
     [](const op_call &c) {
         c.each(LLMRUN_SWIGLU_Y, [&](int64_t i) {
             const double gate = c.get(LLMRUN_SWIGLU_GATE, i);

             return gate * sigmoid(gate) * c.get(LLMRUN_SWIGLU_UP, i);
         });
     },
     nullptr},
    {LLMRUN_OP_SWIGLU_GRAD, swiglu_grad, nullptr},
    {LLMRUN_OP_ROPE, rope, nullptr},
    {LLMRUN_OP_ATTENTION, attention, [](const op_view &op) { return heads(op).keys; }},
    {LLMRUN_OP_ATTENTION_GRAD, attention_grad,
     [](const op_view &op) {
         const heads a(op);

         return (2 * a.keys + 1) * a.width;
     }},
    {LLMRUN_OP_ADD,
     [](const op_call &c) {
         c.each(LLMRUN_ADD_Y, [&](int64_t i) { return c.get(LLMRUN_ADD_A, i) + c.get(LLMRUN_ADD_B, i); });
     },
     nullptr},
};

} // namespace

const op_kernel *find_layer_kernel(uint32_t op)
{
    return find_in(kernels, op);
}

} // namespace cpp
