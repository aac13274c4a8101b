/* What ranks that split the summed features of a product, or the vocabulary, compute between them has the bits of the
 * whole op: by hand, each rank in turn, on the reference and on the kernels of each instruction set. Each kernel has
 * the bits of the reference too. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cpu_ref/table.h"
#include "kernels/table.h"
#include "op_case.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define RANKS        8 /* at most */
#define REFERENCE    (-1)
#define REFERENCE64  (-2) /* in fp64: rounds elsewhere, so it comes near the whole op only */

static int isa;          /* or REFERENCE, REFERENCE64 */
static char what[160];   /* is being checked */
static uint32_t compute; /* type */

static void run(struct op_case *op)
{
    const struct kernel *reference = op_case_kernel(reference_candidates(op->op.op, 0, LLMRUN_OP_EXACT));
    struct op_case expected;

    if (isa < 0) {
        const uint32_t flags = isa == REFERENCE ? LLMRUN_OP_EXACT : 0;

        assert_true(op_case_run(op, op_case_kernel(reference_candidates(op->op.op, 0, flags)), 1));
        return;
    }
    op_case_copy(&expected, op);
    assert_true(op_case_run(&expected, reference, 1));
    assert_true(op_case_run(op, op_case_kernel(kernel_table_candidates(op->op.op, isa, LLMRUN_OP_EXACT)), 2));
    op_case_assert_same(&expected, op, what);
    op_case_end(&expected);
}

static size_t bytes_of(uint32_t dtype)
{
    return dtype == LLMRUN_F64 ? 8 : dtype == LLMRUN_BF16 ? 2 : 4;
}

/* An operand that is `rows` rows of `columns` elements, from row and column on, of a matrix that is `pitch` wide. */
static void part(struct op_case *op, int index, const struct op_case *from, int from_index, int64_t row, int64_t rows,
                 int64_t column, int64_t columns, int64_t pitch)
{
    const uint32_t dtype = from->tensors[from_index].dtype;
    const size_t bytes = bytes_of(dtype);
    char *to = op_case_operand(op, index, dtype, EXTENTS(rows, columns), NUMBERS_USUAL);

    for (int64_t i = 0; i < rows; i++)
        memcpy(to + (size_t)(i * columns) * bytes,
               (const char *)from->data[from_index] + (size_t)((row + i) * pitch + column) * bytes,
               (size_t)columns * bytes);
}

/* The same of a vector. */
static void piece(struct op_case *op, int index, const struct op_case *from, int from_index, int64_t first,
                  int64_t count)
{
    const size_t bytes = bytes_of(from->tensors[from_index].dtype);
    void *to = op_case_operand(op, index, from->tensors[from_index].dtype, EXTENTS(count), NUMBERS_USUAL);

    memcpy(to, (const char *)from->data[from_index] + (size_t)first * bytes, (size_t)count * bytes);
}

static void assert_bits(const struct op_case *whole, int operand, int64_t first, const struct op_case *found,
                        int found_operand, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        const double a = op_case_value(whole, operand, first + i), b = op_case_value(found, found_operand, i);

        if (isa == REFERENCE64 && fabs(a - b) <= (compute == LLMRUN_BF16 ? 0.02 : 1e-5) * (1 + fabs(a)))
            continue;
        if (memcmp(&a, &b, sizeof(a)) != 0 && !(isnan(a) && isnan(b)))
            fail_msg("%s: operand %d differs at %lld: %a and not %a", what, operand, (long long)(first + i), b, a);
    }
}

/* The fp32 outputs `operand` of all ranks as a balanced tree by the op reduce; the result is that of the first. */
static void reduce(struct op_case *ranks, int count, int operand)
{
    const int64_t elements = op_case_elements(&ranks[0], operand);

    for (int step = 1; step < count; step *= 2)
        for (int i = 0; i < count; i += 2 * step) {
            struct op_case op;

            op_case_begin(&op, LLMRUN_OP_REDUCE, NULL, 1);
            piece(&op, LLMRUN_REDUCE_A, &ranks[i], operand, 0, elements);
            piece(&op, LLMRUN_REDUCE_B, &ranks[i + step], operand, 0, elements);
            op_case_operand(&op, LLMRUN_REDUCE_Y, LLMRUN_F32, EXTENTS(elements), NUMBERS_USUAL);
            run(&op);
            memcpy(ranks[i].data[operand], op.data[LLMRUN_REDUCE_Y], (size_t)elements * sizeof(float));
            op_case_end(&op);
        }
}

static void end_all(struct op_case *ranks, int count)
{
    for (int i = 0; i < count; i++)
        op_case_end(&ranks[i]);
}

/* On the reference and each instruction set, in both types. */
static void on_each(void (*check)(void))
{
    static const uint32_t types[] = {LLMRUN_F32, LLMRUN_BF16};

    for (isa = REFERENCE64; isa <= (int)cpu_isa_best(); isa++)
        for (size_t i = 0; i < COUNT(types); i++) {
            compute = types[i];
            check();
        }
}

#define TOKENS   7
#define ROWS     19
#define FEATURES 32
#define PARTS    8

/* Variant: bit 0 bias, bit 1 GELU, bit 2 aux. */
static void check_row_parallel(int ranks, unsigned variant, enum numbers numbers)
{
    const uint32_t activation = variant & 2 ? LLMRUN_ACTIVATION_GELU : LLMRUN_ACTIVATION_NONE;
    const struct llmrun_matmul_attributes all = {activation, PARTS},
                                          own = {LLMRUN_ACTIVATION_NONE, (uint32_t)(PARTS / ranks)};
    const struct llmrun_finish_attributes finish = {activation, 0};
    const int64_t each = FEATURES / ranks;
    struct op_case whole, of[RANKS], last;

    snprintf(what, sizeof(what), "matmul over %d ranks, kernels %d, type %u, variant %u", ranks, isa, compute, variant);
    op_case_begin(&whole, LLMRUN_OP_MATMUL, &all, 3);
    op_case_operand(&whole, LLMRUN_MATMUL_X, compute, EXTENTS(TOKENS, FEATURES), numbers);
    op_case_operand(&whole, LLMRUN_MATMUL_W, compute, EXTENTS(ROWS, FEATURES), NUMBERS_USUAL);
    if (variant & 1)
        op_case_operand(&whole, LLMRUN_MATMUL_BIAS, LLMRUN_F32, EXTENTS(ROWS), NUMBERS_USUAL);
    op_case_operand(&whole, LLMRUN_MATMUL_Y, compute, EXTENTS(TOKENS, ROWS), NUMBERS_USUAL);
    if (variant & 4)
        op_case_operand(&whole, LLMRUN_MATMUL_AUX, compute, EXTENTS(TOKENS, ROWS), NUMBERS_USUAL);
    run(&whole);
    for (int i = 0; i < ranks; i++) {
        op_case_begin(&of[i], LLMRUN_OP_MATMUL, &own, 4);
        part(&of[i], LLMRUN_MATMUL_X, &whole, LLMRUN_MATMUL_X, 0, TOKENS, i * each, each, FEATURES);
        part(&of[i], LLMRUN_MATMUL_W, &whole, LLMRUN_MATMUL_W, 0, ROWS, i * each, each, FEATURES);
        op_case_operand(&of[i], LLMRUN_MATMUL_Y, LLMRUN_F32, EXTENTS(TOKENS, ROWS), NUMBERS_USUAL);
        run(&of[i]);
    }
    reduce(of, ranks, LLMRUN_MATMUL_Y);
    op_case_begin(&last, LLMRUN_OP_FINISH, &finish, 5);
    part(&last, LLMRUN_FINISH_PARTIAL, &of[0], LLMRUN_MATMUL_Y, 0, TOKENS, 0, ROWS, ROWS);
    if (variant & 1)
        piece(&last, LLMRUN_FINISH_BIAS, &whole, LLMRUN_MATMUL_BIAS, 0, ROWS);
    op_case_operand(&last, LLMRUN_FINISH_Y, compute, EXTENTS(TOKENS, ROWS), NUMBERS_USUAL);
    if (variant & 4)
        op_case_operand(&last, LLMRUN_FINISH_AUX, compute, EXTENTS(TOKENS, ROWS), NUMBERS_USUAL);
    run(&last);
    assert_bits(&whole, LLMRUN_MATMUL_Y, 0, &last, LLMRUN_FINISH_Y, TOKENS * ROWS);
    if (variant & 4)
        assert_bits(&whole, LLMRUN_MATMUL_AUX, 0, &last, LLMRUN_FINISH_AUX, TOKENS * ROWS);
    op_case_end(&last);
    end_all(of, ranks);
    op_case_end(&whole);
}

static void check_row_parallels(void)
{
    for (int ranks = 1; ranks <= 4; ranks *= 2)
        for (unsigned variant = 0; variant < 8; variant++) {
            check_row_parallel(ranks, variant, NUMBERS_USUAL);
            if (isa != REFERENCE64)
                check_row_parallel(ranks, variant, NUMBERS_SPECIAL);
        }
}

static void a_matmul_over_split_features_is_finished_to_the_bits_of_the_whole(void **state)
{
    (void)state;
    on_each(check_row_parallels);
}

/* Finishes dx, the sum of the ranks' fp32 ones, and compares rows of the whole op's operand from `first` on. */
static void finish_dx(struct op_case *of, int ranks, const struct op_case *whole, int operand, int64_t first)
{
    const struct llmrun_finish_attributes attributes = {LLMRUN_ACTIVATION_NONE, 0};
    const int64_t *shape = of[0].tensors[LLMRUN_MATMUL_INPUT_GRAD_DX].shape, rows = shape[0], columns = shape[1];
    struct op_case op;

    reduce(of, ranks, LLMRUN_MATMUL_INPUT_GRAD_DX);
    op_case_begin(&op, LLMRUN_OP_FINISH, &attributes, 5);
    part(&op, LLMRUN_FINISH_PARTIAL, &of[0], LLMRUN_MATMUL_INPUT_GRAD_DX, 0, rows, 0, columns, columns);
    op_case_operand(&op, LLMRUN_FINISH_Y, compute, EXTENTS(rows, columns), NUMBERS_USUAL);
    run(&op);
    assert_bits(whole, operand, first * columns, &op, LLMRUN_FINISH_Y, rows * columns);
    op_case_end(&op);
}

static void check_input_grad(int ranks, enum numbers numbers)
{
    static const int64_t widths[] = {32, 16, 48}; /* of the three pairs */
    const struct llmrun_matmul_input_grad_attributes all = {PARTS, 0}, own = {(uint32_t)(PARTS / ranks), 0};
    struct op_case whole, of[RANKS];

    snprintf(what, sizeof(what), "matmul_input_grad over %d ranks, kernels %d, type %u", ranks, isa, compute);
    op_case_begin(&whole, LLMRUN_OP_MATMUL_INPUT_GRAD, &all, 6);
    for (int p = 0; p < 3; p++) {
        op_case_operand(&whole, 2 * p, compute, EXTENTS(TOKENS, widths[p]), numbers);
        op_case_operand(&whole, 2 * p + 1, compute, EXTENTS(widths[p], ROWS), NUMBERS_USUAL);
    }
    op_case_operand(&whole, LLMRUN_MATMUL_INPUT_GRAD_DX, compute, EXTENTS(TOKENS, ROWS), NUMBERS_USUAL);
    run(&whole);
    for (int i = 0; i < ranks; i++) {
        op_case_begin(&of[i], LLMRUN_OP_MATMUL_INPUT_GRAD, &own, 7);
        for (int p = 0; p < 3; p++) {
            const int64_t each = widths[p] / ranks;

            part(&of[i], 2 * p, &whole, 2 * p, 0, TOKENS, i * each, each, widths[p]);
            part(&of[i], 2 * p + 1, &whole, 2 * p + 1, i * each, each, 0, ROWS, ROWS);
        }
        op_case_operand(&of[i], LLMRUN_MATMUL_INPUT_GRAD_DX, LLMRUN_F32, EXTENTS(TOKENS, ROWS), NUMBERS_USUAL);
        run(&of[i]);
    }
    finish_dx(of, ranks, &whole, LLMRUN_MATMUL_INPUT_GRAD_DX, 0);
    end_all(of, ranks);
    op_case_end(&whole);
}

static void check_input_grads(void)
{
    for (int ranks = 1; ranks <= 8; ranks *= 2) {
        check_input_grad(ranks, NUMBERS_USUAL);
        if (isa != REFERENCE64)
            check_input_grad(ranks, NUMBERS_SPECIAL);
    }
}

static void an_input_gradient_over_split_features_is_finished_to_the_bits_of_the_whole(void **state)
{
    (void)state;
    on_each(check_input_grads);
}

/* ---- the vocabulary ------------------------------------------------------------------------------------------------
 */

struct shape {
    int64_t sequences, sequence, width, rows, vocabulary;
    uint32_t feature_parts, vocabulary_parts, batch_parts;
    int64_t chunk; /* of tokens: all, or some of a batch part */
};

/* The whole op, its ranks, and the shape of what they split. */
struct vocabulary {
    struct shape shape;
    int ranks, added; /* to dw */
    int64_t tokens, rows;
    uint32_t parts; /* of one rank */
    struct llmrun_linear_cross_entropy_attributes attributes;
    struct op_case whole;
    struct op_case sums[RANKS][8]; /* dw of each batch part, by rank */
};

#define LOSS(operand) LLMRUN_LINEAR_CROSS_ENTROPY_##operand

static void begin_whole(struct vocabulary *v, int special)
{
    const struct shape *s = &v->shape;
    int32_t *targets;
    float *weights;

    v->attributes = (struct llmrun_linear_cross_entropy_attributes){
        s->sequence, s->vocabulary, s->feature_parts, s->vocabulary_parts, s->batch_parts, 0};
    op_case_begin(&v->whole, LLMRUN_OP_LINEAR_CROSS_ENTROPY, &v->attributes, 8);
    op_case_operand(&v->whole, LOSS(X), compute, EXTENTS(v->tokens, s->width), NUMBERS_USUAL);
    op_case_operand(&v->whole, LOSS(W), compute, EXTENTS(s->rows, s->width), NUMBERS_USUAL);
    targets = op_case_operand(&v->whole, LOSS(TARGETS), LLMRUN_I32, EXTENTS(v->tokens), NUMBERS_USUAL);
    weights = op_case_operand(&v->whole, LOSS(LOSS_WEIGHTS), LLMRUN_F32, EXTENTS(v->tokens), NUMBERS_USUAL);
    *(float *)op_case_operand(&v->whole, LOSS(SCALE), LLMRUN_F32, EXTENTS(1), NUMBERS_USUAL) = 0.37f;
    for (int64_t t = 0; t < v->tokens; t++)
        targets[t] = (int32_t)(t * s->vocabulary / v->tokens); /* in each part */
    targets[0] = (int32_t)s->vocabulary - 1;
    targets[v->tokens - 1] = -1;
    weights[v->tokens - 1] = 0;
    if (special) {
        const uint16_t nan = 0x7fc0, infinity = 0xff80, large = 0x7f00;
        char *x = v->whole.data[LOSS(X)], *w = v->whole.data[LOSS(W)];
        const size_t bytes = bytes_of(compute), row = (size_t)s->width * bytes;

        memcpy(x + 1 * row + bytes - 2, &nan, 2); /* the upper half of an fp32 number is a bf16 one */
        memcpy(x + 3 * row + bytes - 2, &infinity, 2);
        memcpy(x + 4 * row + bytes - 2, &large, 2);
        memcpy(w + 5 * row + bytes - 2, &large, 2);
        targets[2] = (int32_t)s->vocabulary; /* outside, with a weight: the loss is a NaN */
        weights[0] = INFINITY;
    }
    op_case_operand(&v->whole, LOSS(LOSSES), LLMRUN_F64, EXTENTS(s->sequences), NUMBERS_USUAL);
    op_case_operand(&v->whole, LOSS(DX), compute, EXTENTS(v->tokens, s->width), NUMBERS_USUAL);
    op_case_operand(&v->whole, LOSS(DW), LLMRUN_F32, EXTENTS(s->rows, s->width), NUMBERS_USUAL);
    if (v->added)
        v->whole.op.accumulate = 1u << LOSS(DW);
}

/* Each rank's logits and statistics of the chunk, and those of all ranks in their order. */
static void make_statistics(const struct vocabulary *v, int64_t first, struct op_case *logits, struct op_case *joined)
{
    const struct shape *s = &v->shape;
    const struct llmrun_matmul_attributes product = {LLMRUN_ACTIVATION_NONE, s->feature_parts};
    const int64_t sequence = s->chunk < s->sequence ? s->chunk : s->sequence;

    op_case_begin(joined, LLMRUN_OP_REDUCE, NULL, 9); /* to hold an operand */
    op_case_operand(joined, 0, LLMRUN_F32, EXTENTS(s->vocabulary_parts, 3, s->chunk), NUMBERS_USUAL);
    for (int r = 0; r < v->ranks; r++) {
        const int64_t left = s->vocabulary - r * v->rows;
        const struct llmrun_loss_statistics_attributes attributes = {
            sequence, r * v->rows, left < 0 ? 0 : left < v->rows ? left : v->rows, s->vocabulary, v->parts, 0};
        const int64_t count = (int64_t)v->parts * 3 * s->chunk;
        struct op_case op;

        op_case_begin(&logits[r], LLMRUN_OP_MATMUL, &product, 10);
        part(&logits[r], LLMRUN_MATMUL_X, &v->whole, LOSS(X), first, s->chunk, 0, s->width, s->width);
        part(&logits[r], LLMRUN_MATMUL_W, &v->whole, LOSS(W), r * v->rows, v->rows, 0, s->width, s->width);
        op_case_operand(&logits[r], LLMRUN_MATMUL_Y, LLMRUN_F32, EXTENTS(s->chunk, v->rows), NUMBERS_USUAL);
        run(&logits[r]);
        op_case_begin(&op, LLMRUN_OP_LOSS_STATISTICS, &attributes, 11);
        part(&op, LLMRUN_LOSS_STATISTICS_LOGITS, &logits[r], LLMRUN_MATMUL_Y, 0, s->chunk, 0, v->rows, v->rows);
        piece(&op, LLMRUN_LOSS_STATISTICS_TARGETS, &v->whole, LOSS(TARGETS), first, s->chunk);
        op_case_operand(&op, LLMRUN_LOSS_STATISTICS_STATISTICS, LLMRUN_F32, EXTENTS(v->parts, 3, s->chunk),
                        NUMBERS_USUAL);
        run(&op);
        memcpy((float *)joined->data[0] + r * count, op.data[LLMRUN_LOSS_STATISTICS_STATISTICS],
               (size_t)count * sizeof(float));
        op_case_end(&op);
    }
}

/* The gradient of the logits of rank r, and the losses of the chunk: those so far are added to within a sequence. */
static void make_gradient(const struct vocabulary *v, int r, int64_t first, const struct op_case *logits,
                          const struct op_case *joined, double *losses, struct op_case *op,
                          struct llmrun_loss_gradient_attributes *attributes)
{
    const struct shape *s = &v->shape;
    const int64_t left = s->vocabulary - r * v->rows, sequence = s->chunk < s->sequence ? s->chunk : s->sequence;
    const int64_t count = s->chunk / sequence;
    double *to;

    *attributes = (struct llmrun_loss_gradient_attributes){sequence, r * v->rows,
                                                           left < 0         ? 0
                                                           : left < v->rows ? left
                                                                            : v->rows,
                                                           v->parts, 0};
    op_case_begin(op, LLMRUN_OP_LOSS_GRADIENT, attributes, 12);
    part(op, LLMRUN_LOSS_GRADIENT_LOGITS, logits, LLMRUN_MATMUL_Y, 0, s->chunk, 0, v->rows, v->rows);
    memcpy(op_case_operand(op, LLMRUN_LOSS_GRADIENT_STATISTICS, LLMRUN_F32, EXTENTS(s->vocabulary_parts, 3, s->chunk),
                           NUMBERS_USUAL),
           joined->data[0], (size_t)op_case_elements(joined, 0) * sizeof(float));
    piece(op, LLMRUN_LOSS_GRADIENT_TARGETS, &v->whole, LOSS(TARGETS), first, s->chunk);
    piece(op, LLMRUN_LOSS_GRADIENT_LOSS_WEIGHTS, &v->whole, LOSS(LOSS_WEIGHTS), first, s->chunk);
    piece(op, LLMRUN_LOSS_GRADIENT_SCALE, &v->whole, LOSS(SCALE), 0, 1);
    to = op_case_operand(op, LLMRUN_LOSS_GRADIENT_LOSSES, LLMRUN_F64, EXTENTS(count), NUMBERS_USUAL);
    if (first % s->sequence > 0) {
        op->op.accumulate = 1u << LLMRUN_LOSS_GRADIENT_LOSSES;
        *to = losses[first / s->sequence];
    }
    op_case_operand(op, LLMRUN_LOSS_GRADIENT_DLOGITS, compute, EXTENTS(s->chunk, v->rows), NUMBERS_USUAL);
    run(op);
    if (r == v->ranks - 1) /* the others start from the same losses */
        memcpy(losses + first / s->sequence, to, (size_t)count * sizeof(double));
    if ((first + s->chunk) % s->sequence == 0)
        assert_bits(&v->whole, LOSS(LOSSES), first / s->sequence, op, LLMRUN_LOSS_GRADIENT_LOSSES, count);
}

/* dw of the chunk onto that of its batch part, or of all batch parts where the chunk holds them. */
static void add_dw(struct vocabulary *v, int r, int64_t first, const struct op_case *dlogits)
{
    const struct shape *s = &v->shape;
    const int together = s->chunk == v->tokens;
    const int64_t size = v->tokens / s->batch_parts, batch_part = together ? 0 : first / size;
    const struct llmrun_matmul_weight_grad_attributes attributes = {together ? s->batch_parts : 1, 0};
    struct op_case *sum = &v->sums[r][batch_part], op;

    op_case_begin(&op, LLMRUN_OP_MATMUL_WEIGHT_GRAD, &attributes, 13);
    part(&op, LLMRUN_MATMUL_WEIGHT_GRAD_DY, dlogits, LLMRUN_LOSS_GRADIENT_DLOGITS, 0, s->chunk, 0, v->rows, v->rows);
    part(&op, LLMRUN_MATMUL_WEIGHT_GRAD_X, &v->whole, LOSS(X), first, s->chunk, 0, s->width, s->width);
    part(&op, LLMRUN_MATMUL_WEIGHT_GRAD_DW, sum, 0, 0, v->rows, 0, s->width, s->width);
    if (v->added || first > batch_part * size)
        op.op.accumulate = 1u << LLMRUN_MATMUL_WEIGHT_GRAD_DW;
    run(&op);
    memcpy(sum->data[0], op.data[LLMRUN_MATMUL_WEIGHT_GRAD_DW], (size_t)op_case_elements(sum, 0) * sizeof(float));
    op_case_end(&op);
}

static void run_chunk(struct vocabulary *v, int64_t first, double *losses)
{
    const struct shape *s = &v->shape;
    const struct llmrun_matmul_input_grad_attributes product = {v->parts, 0};
    struct llmrun_loss_gradient_attributes attributes[RANKS];
    struct op_case logits[RANKS], joined, gradient[RANKS], dx[RANKS];

    make_statistics(v, first, logits, &joined);
    for (int r = 0; r < v->ranks; r++) {
        make_gradient(v, r, first, &logits[r], &joined, losses, &gradient[r], &attributes[r]);
        op_case_begin(&dx[r], LLMRUN_OP_MATMUL_INPUT_GRAD, &product, 14);
        part(&dx[r], LLMRUN_MATMUL_INPUT_GRAD_DY0, &gradient[r], LLMRUN_LOSS_GRADIENT_DLOGITS, 0, s->chunk, 0, v->rows,
             v->rows);
        part(&dx[r], LLMRUN_MATMUL_INPUT_GRAD_W0, &logits[r], LLMRUN_MATMUL_W, 0, v->rows, 0, s->width, s->width);
        op_case_operand(&dx[r], LLMRUN_MATMUL_INPUT_GRAD_DX, LLMRUN_F32, EXTENTS(s->chunk, s->width), NUMBERS_USUAL);
        run(&dx[r]);
        add_dw(v, r, first, &gradient[r]);
    }
    finish_dx(dx, v->ranks, &v->whole, LOSS(DX), first);
    op_case_end(&joined);
    end_all(logits, v->ranks);
    end_all(gradient, v->ranks);
    end_all(dx, v->ranks);
}

static void check_vocabulary(const struct shape *s, int ranks, int special)
{
    struct vocabulary v = {.shape = *s,
                           .ranks = ranks,
                           .added = s->batch_parts == 1,
                           .tokens = s->sequences * s->sequence,
                           .rows = s->rows / ranks,
                           .parts = s->vocabulary_parts / (uint32_t)ranks};
    const int sums = s->chunk == v.tokens ? 1 : (int)s->batch_parts;
    double losses[8];

    snprintf(what, sizeof(what), "%lld of %lld rows over %d ranks, chunks of %lld, kernels %d, type %u, special %d",
             (long long)s->vocabulary, (long long)s->rows, ranks, (long long)s->chunk, isa, compute, special);
    begin_whole(&v, special);
    for (int r = 0; r < ranks; r++)
        for (int i = 0; i < sums; i++) {
            op_case_begin(&v.sums[r][i], LLMRUN_OP_REDUCE, NULL, 15); /* to hold an operand: dw before the op */
            part(&v.sums[r][i], 0, &v.whole, LOSS(DW), r * v.rows, v.rows, 0, s->width, s->width);
        }
    run(&v.whole);
    for (int64_t first = 0; first < v.tokens; first += s->chunk)
        run_chunk(&v, first, losses);
    for (int r = 0; r < ranks; r++) {
        reduce(v.sums[r], sums, 0);
        assert_bits(&v.whole, LOSS(DW), r * v.rows * s->width, &v.sums[r][0], 0, v.rows * s->width);
        end_all(v.sums[r], sums);
    }
    op_case_end(&v.whole);
}

/* The second: the last of eight parts is padding alone. Then chunks that are pieces of a sequence, and of a batch part;
 * in bf16 they are even. */
static void check_vocabularies(void)
{
    static const struct shape shapes[] = {
        {2, 4, 16, 64, 57, 4, 8, 1, 8},     {4, 6, 8, 320, 270, 8, 8, 2, 24}, {1, 7, 5, 64, 64, 1, 4, 1, 7},
        {2, 4, 16, 64, 57, 4, 8, 2, 2},     {4, 6, 8, 320, 270, 8, 8, 2, 12}, {4, 6, 8, 48, 48, 2, 8, 1, 2},
        {4, 4, 12, 1024, 1000, 4, 8, 4, 4},
    };

    for (size_t i = 0; i < COUNT(shapes); i++)
        for (int ranks = 1; ranks <= 8; ranks *= 2)
            for (int special = 0; special < (isa == REFERENCE64 ? 1 : 2) && ranks <= (int)shapes[i].vocabulary_parts;
                 special++)
                check_vocabulary(&shapes[i], ranks, special);
}

static void a_loss_over_a_split_vocabulary_has_the_bits_of_the_whole(void **state)
{
    (void)state;
    on_each(check_vocabularies);
}

/* Rows of special numbers, and one of zeros of both signs, whose largest is +0 in any order. */
static void check_statistics(void)
{
    const struct llmrun_loss_statistics_attributes attributes = {4, 150, 290, 440, 2, 0};
    const struct llmrun_loss_gradient_attributes gradient = {4, 150, 290, 2, 0};
    struct op_case op, next;
    float *logits;

    snprintf(what, sizeof(what), "special numbers, kernels %d, type %u", isa, compute);
    op_case_begin(&op, LLMRUN_OP_LOSS_STATISTICS, &attributes, 16);
    logits = op_case_operand(&op, LLMRUN_LOSS_STATISTICS_LOGITS, LLMRUN_F32, EXTENTS(8, 300), NUMBERS_SPECIAL);
    for (int64_t v = 0; v < 300; v++) {
        logits[v] = v * v % 7 < 3 ? -0.0f : 0.0f;
        logits[300 + v] = v == 250 ? NAN : -INFINITY;
    }
    op_case_operand(&op, LLMRUN_LOSS_STATISTICS_TARGETS, LLMRUN_I32, EXTENTS(8), NUMBERS_SMALL);
    ((int32_t *)op.data[LLMRUN_LOSS_STATISTICS_TARGETS])[0] = 200;
    op_case_operand(&op, LLMRUN_LOSS_STATISTICS_STATISTICS, LLMRUN_F32, EXTENTS(2, 3, 8), NUMBERS_USUAL);
    run(&op);
    assert_memory_equal(op.data[LLMRUN_LOSS_STATISTICS_STATISTICS], (&(float){0.0f}), sizeof(float));
    op_case_begin(&next, LLMRUN_OP_LOSS_GRADIENT, &gradient, 17);
    part(&next, LLMRUN_LOSS_GRADIENT_LOGITS, &op, LLMRUN_LOSS_STATISTICS_LOGITS, 0, 8, 0, 300, 300);
    op_case_operand(&next, LLMRUN_LOSS_GRADIENT_STATISTICS, LLMRUN_F32, EXTENTS(4, 3, 8), NUMBERS_SPECIAL);
    piece(&next, LLMRUN_LOSS_GRADIENT_TARGETS, &op, LLMRUN_LOSS_STATISTICS_TARGETS, 0, 8);
    op_case_operand(&next, LLMRUN_LOSS_GRADIENT_LOSS_WEIGHTS, LLMRUN_F32, EXTENTS(8), NUMBERS_SPECIAL);
    op_case_operand(&next, LLMRUN_LOSS_GRADIENT_SCALE, LLMRUN_F32, EXTENTS(1), NUMBERS_USUAL);
    if (compute == LLMRUN_F32) /* each output is optional */
        op_case_operand(&next, LLMRUN_LOSS_GRADIENT_LOSSES, LLMRUN_F64, EXTENTS(2), NUMBERS_USUAL);
    else
        op_case_operand(&next, LLMRUN_LOSS_GRADIENT_DLOGITS, compute, EXTENTS(8, 300), NUMBERS_USUAL);
    run(&next);
    op_case_end(&next);
    op_case_end(&op);
}

static void special_logits_have_the_statistics_of_the_reference(void **state)
{
    (void)state;
    on_each(check_statistics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_matmul_over_split_features_is_finished_to_the_bits_of_the_whole),
        cmocka_unit_test(an_input_gradient_over_split_features_is_finished_to_the_bits_of_the_whole),
        cmocka_unit_test(a_loss_over_a_split_vocabulary_has_the_bits_of_the_whole),
        cmocka_unit_test(special_logits_have_the_statistics_of_the_reference),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
