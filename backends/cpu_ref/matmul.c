/* matmul, finish, matmul_input_grad and matmul_weight_grad */
#include "cpu_ref/chain.h"
#include "cpu_ref/exact.h"
#include "cpu_ref/reference.h"

#define PAIRS 3

/* One element of a result: sum over pairs of operands s and over k of a_s[.., k] b_s[.., k]. */
struct product {
    const struct kernel_call *call;
    int bf16;
    int parts;
    int count; /* of pairs */
    struct operand_pair {
        int a, b;                 /* operands */
        int64_t a_first, b_first; /* elements at k = 0 */
        int64_t a_step, b_step;   /* elements from one k to the next */
        int64_t extent;           /* of k */
    } pair[PAIRS];
    int at; /* the pair that `term` reads */
};

static struct chain_term term(const void *context, int64_t k)
{
    const struct product *product = context;
    const struct operand_pair *pair = &product->pair[product->at];

    return (struct chain_term){reference_read(product->call, pair->a, pair->a_first + k * pair->a_step),
                               reference_read(product->call, pair->b, pair->b_first + k * pair->b_step)};
}

/* Part `index`: its part of the first pair, then of the second and the third. */
static float part(const void *context, int64_t index)
{
    struct product product = *(const struct product *)context;
    float sum = 0.0f;

    for (product.at = 0; product.at < product.count; product.at++) {
        int64_t part = product.pair[product.at].extent / product.parts;

        sum = chain_sum(product.bf16, term, &product, index * part, (index + 1) * part, sum);
    }
    return sum;
}

static double sum_double(const struct product *product)
{
    double sum = 0;

    for (int s = 0; s < product->count; s++) {
        const struct operand_pair *pair = &product->pair[s];

        for (int64_t k = 0; k < pair->extent; k++)
            sum += reference_read_double(product->call, pair->a, pair->a_first + k * pair->a_step) *
                   reference_read_double(product->call, pair->b, pair->b_first + k * pair->b_step);
    }
    return sum;
}

/* aux = x w^T + bias; y = activation(aux as it is stored) */

static struct product matmul_element(const struct kernel_call *call, int64_t t, int64_t n)
{
    const struct llmrun_matmul_attributes *attributes = call->op->attributes;
    int64_t k = reference_extent(call, LLMRUN_MATMUL_X, 1);

    return (struct product){.call = call,
                            .bf16 = operand_is_bf16(call->op, LLMRUN_MATMUL_X),
                            .parts = attributes->feature_parts > 0 ? (int)attributes->feature_parts : 1,
                            .count = 1,
                            .pair = {{LLMRUN_MATMUL_X, LLMRUN_MATMUL_W, t * k, n * k, 1, 1, k}}};
}

/* What comes after the sum of element `at` of y, in column `n`: of matmul, whose operands bias, y and aux these are,
 * and of finish. */
struct finish {
    int bias, y, aux;
    uint32_t activation;
};

static void finish_exact_at(const struct kernel_call *call, const struct finish *to, int64_t at, int64_t n, float sum)
{
    if (reference_has(call, to->bias))
        sum += reference_read(call, to->bias, n);
    if (reference_has(call, to->aux))
        reference_write(call, to->aux, at, sum);
    if (operand_is_bf16(call->op, to->y))
        sum = reference_widen(reference_narrow(sum));
    reference_write(call, to->y, at, to->activation == LLMRUN_ACTIVATION_GELU ? exact_gelu(sum) : sum);
}

static double gelu_double(double x)
{
    return x / 2 * (1 + tanh(0.79788456080286535588 * (x + 0.044715 * x * x * x)));
}

static void finish_double_at(const struct kernel_call *call, const struct finish *to, int64_t at, int64_t n, double sum)
{
    if (reference_has(call, to->bias))
        sum += reference_read_double(call, to->bias, n);
    if (reference_has(call, to->aux))
        reference_write(call, to->aux, at, sum);
    reference_write(call, to->y, at, to->activation == LLMRUN_ACTIVATION_GELU ? gelu_double(sum) : sum);
}

static struct finish finish_of_matmul(const struct kernel_call *call)
{
    const struct llmrun_matmul_attributes *attributes = call->op->attributes;

    return (struct finish){LLMRUN_MATMUL_BIAS, LLMRUN_MATMUL_Y, LLMRUN_MATMUL_AUX, attributes->activation};
}

static void matmul_exact(const struct kernel_call *call)
{
    const struct finish to = finish_of_matmul(call);
    int64_t columns = reference_extent(call, LLMRUN_MATMUL_Y, 1);

    for (int64_t at = 0; at < reference_elements(call, LLMRUN_MATMUL_Y); at++) {
        struct product product = matmul_element(call, at / columns, at % columns);

        finish_exact_at(call, &to, at, at % columns, chain_tree(part, &product, 0, product.parts));
    }
}

static void matmul_double(const struct kernel_call *call)
{
    const struct finish to = finish_of_matmul(call);
    int64_t columns = reference_extent(call, LLMRUN_MATMUL_Y, 1);

    for (int64_t at = 0; at < reference_elements(call, LLMRUN_MATMUL_Y); at++) {
        struct product product = matmul_element(call, at / columns, at % columns);

        finish_double_at(call, &to, at, at % columns, sum_double(&product));
    }
}

static struct finish finish_of_finish(const struct kernel_call *call)
{
    const struct llmrun_finish_attributes *attributes = call->op->attributes;

    return (struct finish){LLMRUN_FINISH_BIAS, LLMRUN_FINISH_Y, LLMRUN_FINISH_AUX, attributes->activation};
}

static void finish_exact(const struct kernel_call *call)
{
    const struct finish to = finish_of_finish(call);
    int64_t columns = reference_extent(call, LLMRUN_FINISH_Y, 1);

    for (int64_t at = 0; at < reference_elements(call, LLMRUN_FINISH_Y); at++)
        finish_exact_at(call, &to, at, at % columns, reference_read(call, LLMRUN_FINISH_PARTIAL, at));
}

static void finish_double(const struct kernel_call *call)
{
    const struct finish to = finish_of_finish(call);
    int64_t columns = reference_extent(call, LLMRUN_FINISH_Y, 1);

    for (int64_t at = 0; at < reference_elements(call, LLMRUN_FINISH_Y); at++)
        finish_double_at(call, &to, at, at % columns, reference_read_double(call, LLMRUN_FINISH_PARTIAL, at));
}

/* dx = dy0 w0 + dy1 w1 + dy2 w2 */

static struct product input_grad_element(const struct kernel_call *call, int64_t t, int64_t k)
{
    const struct llmrun_matmul_input_grad_attributes *attributes = call->op->attributes;
    int64_t columns = reference_extent(call, LLMRUN_MATMUL_INPUT_GRAD_DX, 1);
    struct product product = {.call = call,
                              .bf16 = operand_is_bf16(call->op, LLMRUN_MATMUL_INPUT_GRAD_DY0),
                              .parts = attributes->feature_parts > 0 ? (int)attributes->feature_parts : 1};

    for (int s = 0; s < PAIRS; s++) {
        int dy = LLMRUN_MATMUL_INPUT_GRAD_DY0 + 2 * s, w = LLMRUN_MATMUL_INPUT_GRAD_W0 + 2 * s;

        if (reference_has(call, dy)) {
            int64_t n = reference_extent(call, dy, 1);

            product.pair[product.count++] = (struct operand_pair){dy, w, t * n, k, 1, columns, n};
        }
    }
    return product;
}

static void matmul_input_grad_exact(const struct kernel_call *call)
{
    int64_t columns = reference_extent(call, LLMRUN_MATMUL_INPUT_GRAD_DX, 1);

    for (int64_t at = 0; at < reference_elements(call, LLMRUN_MATMUL_INPUT_GRAD_DX); at++) {
        struct product product = input_grad_element(call, at / columns, at % columns);

        reference_write(call, LLMRUN_MATMUL_INPUT_GRAD_DX, at, chain_tree(part, &product, 0, product.parts));
    }
}

static void matmul_input_grad_double(const struct kernel_call *call)
{
    int64_t columns = reference_extent(call, LLMRUN_MATMUL_INPUT_GRAD_DX, 1);

    for (int64_t at = 0; at < reference_elements(call, LLMRUN_MATMUL_INPUT_GRAD_DX); at++) {
        struct product product = input_grad_element(call, at / columns, at % columns);

        reference_write(call, LLMRUN_MATMUL_INPUT_GRAD_DX, at, sum_double(&product));
    }
}

/* dw = dy^T x (+ what dw holds, which the chain starts from) */

static struct product weight_grad_element(const struct kernel_call *call, int64_t n, int64_t k)
{
    const struct llmrun_matmul_weight_grad_attributes *attributes = call->op->attributes;
    int64_t tokens = reference_extent(call, LLMRUN_MATMUL_WEIGHT_GRAD_DY, 0);
    int64_t rows = reference_extent(call, LLMRUN_MATMUL_WEIGHT_GRAD_DW, 0);
    int64_t columns = reference_extent(call, LLMRUN_MATMUL_WEIGHT_GRAD_DW, 1);

    return (struct product){
        .call = call,
        .bf16 = operand_is_bf16(call->op, LLMRUN_MATMUL_WEIGHT_GRAD_DY),
        .parts = attributes->batch_parts > 0 ? (int)attributes->batch_parts : 1,
        .count = 1,
        .pair = {{LLMRUN_MATMUL_WEIGHT_GRAD_DY, LLMRUN_MATMUL_WEIGHT_GRAD_X, n, k, rows, columns, tokens}}};
}

static void matmul_weight_grad_exact(const struct kernel_call *call)
{
    int64_t columns = reference_extent(call, LLMRUN_MATMUL_WEIGHT_GRAD_DW, 1);

    for (int64_t at = 0; at < reference_elements(call, LLMRUN_MATMUL_WEIGHT_GRAD_DW); at++) {
        struct product product = weight_grad_element(call, at / columns, at % columns);
        float start = reference_start(call, LLMRUN_MATMUL_WEIGHT_GRAD_DW, at);

        reference_write(call, LLMRUN_MATMUL_WEIGHT_GRAD_DW, at,
                        product.parts > 1 ? start + chain_tree(part, &product, 0, product.parts)
                                          : chain_sum(product.bf16, term, &product, 0, product.pair[0].extent, start));
    }
}

static void matmul_weight_grad_double(const struct kernel_call *call)
{
    int64_t columns = reference_extent(call, LLMRUN_MATMUL_WEIGHT_GRAD_DW, 1);

    for (int64_t at = 0; at < reference_elements(call, LLMRUN_MATMUL_WEIGHT_GRAD_DW); at++) {
        struct product product = weight_grad_element(call, at / columns, at % columns);
        double start = reference_start(call, LLMRUN_MATMUL_WEIGHT_GRAD_DW, at);

        reference_write(call, LLMRUN_MATMUL_WEIGHT_GRAD_DW, at, start + sum_double(&product));
    }
}

REFERENCE_KERNELS(matmul, 0, matmul_exact, matmul_double)
REFERENCE_KERNELS(finish, 0, finish_exact, finish_double)
REFERENCE_KERNELS(matmul_input_grad, 0, matmul_input_grad_exact, matmul_input_grad_double)
REFERENCE_KERNELS(matmul_weight_grad, 1u << LLMRUN_MATMUL_WEIGHT_GRAD_DW, matmul_weight_grad_exact,
                  matmul_weight_grad_double)
