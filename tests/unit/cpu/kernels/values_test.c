/* The f64 reference against PyTorch in fp64, and the exact order against both: it may differ by a few roundings. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "cpu_ref/table.h"
#include "golden.h"
#include "op_case.h"

/* Largest error of one result, as a part of the largest result. Half a unit of fp32 is 2^-24 of a number's own size. */
#define BOUND_DOUBLE 0x1p-24
#define BOUND_EXACT  0x1p-20

static void use(struct op_case *op, int operand, const int64_t *extents, const char *name)
{
    struct golden golden = golden_read(name);
    float *data = op_case_operand(op, operand, LLMRUN_F32, extents, NUMBERS_USUAL);

    assert_int_equal(golden.count, op_case_elements(op, operand));
    for (int64_t i = 0; i < golden.count; i++)
        data[i] = (float)golden.values[i];
    golden_end(&golden);
}

static void result(struct op_case *op, int operand, const int64_t *extents)
{
    op_case_operand(op, operand, LLMRUN_F32, extents, NUMBERS_USUAL);
}

static void assert_values(const struct op_case *op, int operand, const char *name, double bound)
{
    struct golden golden = golden_read(name);
    double largest = 0;

    assert_int_equal(golden.count, op_case_elements(op, operand));
    for (int64_t i = 0; i < golden.count; i++)
        largest = fmax(largest, fabs(golden.values[i]));
    for (int64_t i = 0; i < golden.count; i++) {
        double found = op_case_value(op, operand, i);

        if (!(fabs(found - golden.values[i]) <= bound * largest))
            fail_msg("%s[%d] is %.9g and not %.9g", name, (int)i, found, golden.values[i]);
    }
    golden_end(&golden);
}

/* Runs one of the references. */
static void run(struct op_case *op, uint32_t flags)
{
    op->op.flags = flags;
    assert_true(op_case_run(op, op_case_kernel(reference_candidates(op->op.op, 0, flags)), 1));
}

struct wanted {
    int operand;
    const char *name;
};

static void check(struct op_case *op, const struct wanted *wanted, int count)
{
    run(op, 0);
    for (int i = 0; i < count; i++)
        assert_values(op, wanted[i].operand, wanted[i].name, BOUND_DOUBLE);
    run(op, LLMRUN_OP_EXACT);
    for (int i = 0; i < count; i++)
        assert_values(op, wanted[i].operand, wanted[i].name, BOUND_EXACT);
    op_case_end(op);
}

#define CHECK(op, ...)                                                                                                 \
    check(op, (const struct wanted[]){__VA_ARGS__},                                                                    \
          (int)(sizeof((const struct wanted[]){__VA_ARGS__}) / sizeof(struct wanted)))

static void gelu_equals_pytorch(void **state)
{
    struct op_case op;

    (void)state;
    op_case_begin(&op, LLMRUN_OP_GELU, NULL, 1);
    use(&op, LLMRUN_GELU_X, EXTENTS(1, 101), "gelu.x");
    result(&op, LLMRUN_GELU_Y, EXTENTS(1, 101));
    CHECK(&op, {LLMRUN_GELU_Y, "gelu.y"});

    op_case_begin(&op, LLMRUN_OP_GELU_GRAD, NULL, 1);
    use(&op, LLMRUN_GELU_GRAD_DY, EXTENTS(1, 101), "gelu.dy");
    use(&op, LLMRUN_GELU_GRAD_X, EXTENTS(1, 101), "gelu.x");
    result(&op, LLMRUN_GELU_GRAD_DX, EXTENTS(1, 101));
    CHECK(&op, {LLMRUN_GELU_GRAD_DX, "gelu.dx"});
}

static void layernorm_equals_pytorch(void **state)
{
    struct llmrun_layernorm_attributes attributes = {1e-5f};
    const int64_t *matrix = EXTENTS(6, 67), *channels = EXTENTS(67), *tokens = EXTENTS(6);
    struct op_case op;

    (void)state;
    op_case_begin(&op, LLMRUN_OP_LAYERNORM, &attributes, 1);
    use(&op, LLMRUN_LAYERNORM_X, matrix, "layernorm.x");
    use(&op, LLMRUN_LAYERNORM_RESIDUAL, matrix, "layernorm.residual");
    use(&op, LLMRUN_LAYERNORM_WEIGHT, channels, "layernorm.weight");
    use(&op, LLMRUN_LAYERNORM_BIAS, channels, "layernorm.bias");
    result(&op, LLMRUN_LAYERNORM_Y, matrix);
    result(&op, LLMRUN_LAYERNORM_RESIDUAL_OUT, matrix);
    result(&op, LLMRUN_LAYERNORM_MEAN, tokens);
    result(&op, LLMRUN_LAYERNORM_RSTD, tokens);
    CHECK(&op, {LLMRUN_LAYERNORM_Y, "layernorm.y"}, {LLMRUN_LAYERNORM_RESIDUAL_OUT, "layernorm.residual_out"},
          {LLMRUN_LAYERNORM_MEAN, "layernorm.mean"}, {LLMRUN_LAYERNORM_RSTD, "layernorm.rstd"});
}

static void layernorm_grad_equals_pytorch(void **state)
{
    const struct llmrun_layernorm_grad_attributes attributes = {6, 1, 1};
    const int64_t *matrix = EXTENTS(6, 67), *channels = EXTENTS(67), *tokens = EXTENTS(6);
    struct op_case op;

    (void)state;
    op_case_begin(&op, LLMRUN_OP_LAYERNORM_GRAD, &attributes, 1);
    use(&op, LLMRUN_LAYERNORM_GRAD_DY, matrix, "layernorm.dy");
    use(&op, LLMRUN_LAYERNORM_GRAD_RESIDUAL_OUT, matrix, "layernorm.residual_out");
    use(&op, LLMRUN_LAYERNORM_GRAD_WEIGHT, channels, "layernorm.weight");
    use(&op, LLMRUN_LAYERNORM_GRAD_MEAN, tokens, "layernorm.mean");
    use(&op, LLMRUN_LAYERNORM_GRAD_RSTD, tokens, "layernorm.rstd");
    use(&op, LLMRUN_LAYERNORM_GRAD_DRESIDUAL_OUT, matrix, "layernorm.dresidual_out");
    result(&op, LLMRUN_LAYERNORM_GRAD_DX, matrix);
    result(&op, LLMRUN_LAYERNORM_GRAD_DWEIGHT, EXTENTS(1, 67));
    result(&op, LLMRUN_LAYERNORM_GRAD_DBIAS, EXTENTS(1, 67));
    run(&op, 0);
    /* mean and rstd are inputs, rounded to fp32 here and not there. */
    assert_values(&op, LLMRUN_LAYERNORM_GRAD_DX, "layernorm.dx", 4 * BOUND_DOUBLE);
    assert_values(&op, LLMRUN_LAYERNORM_GRAD_DWEIGHT, "layernorm.dweight", 4 * BOUND_DOUBLE);
    assert_values(&op, LLMRUN_LAYERNORM_GRAD_DBIAS, "layernorm.dbias", BOUND_DOUBLE);
    run(&op, LLMRUN_OP_EXACT);
    assert_values(&op, LLMRUN_LAYERNORM_GRAD_DX, "layernorm.dx", BOUND_EXACT);
    assert_values(&op, LLMRUN_LAYERNORM_GRAD_DWEIGHT, "layernorm.dweight", BOUND_EXACT);
    assert_values(&op, LLMRUN_LAYERNORM_GRAD_DBIAS, "layernorm.dbias", BOUND_EXACT);
    op_case_end(&op);
}

static void rmsnorm_and_its_gradient_equal_pytorch(void **state)
{
    struct llmrun_rmsnorm_attributes attributes = {1e-5f, 0};
    const int64_t *matrix = EXTENTS(6, 67), *channels = EXTENTS(67), *tokens = EXTENTS(6, 1);
    struct op_case op;

    (void)state;
    op_case_begin(&op, LLMRUN_OP_RMSNORM, &attributes, 1);
    use(&op, LLMRUN_RMSNORM_X, matrix, "rmsnorm.x");
    use(&op, LLMRUN_RMSNORM_RESIDUAL, matrix, "rmsnorm.residual");
    use(&op, LLMRUN_RMSNORM_WEIGHT, channels, "rmsnorm.weight");
    result(&op, LLMRUN_RMSNORM_Y, matrix);
    result(&op, LLMRUN_RMSNORM_RESIDUAL_OUT, matrix);
    result(&op, LLMRUN_RMSNORM_RSTD, tokens);
    CHECK(&op, {LLMRUN_RMSNORM_Y, "rmsnorm.y"}, {LLMRUN_RMSNORM_RESIDUAL_OUT, "rmsnorm.residual_out"},
          {LLMRUN_RMSNORM_RSTD, "rmsnorm.rstd"});

    op_case_begin(&op, LLMRUN_OP_RMSNORM_GRAD, &(struct llmrun_rmsnorm_grad_attributes){tokens[0], 1, 1, 1, 0}, 1);
    use(&op, LLMRUN_RMSNORM_GRAD_DY, matrix, "rmsnorm.dy");
    use(&op, LLMRUN_RMSNORM_GRAD_RESIDUAL_OUT, matrix, "rmsnorm.residual_out");
    use(&op, LLMRUN_RMSNORM_GRAD_WEIGHT, channels, "rmsnorm.weight");
    use(&op, LLMRUN_RMSNORM_GRAD_RSTD, tokens, "rmsnorm.rstd");
    use(&op, LLMRUN_RMSNORM_GRAD_DRESIDUAL_OUT, matrix, "rmsnorm.dresidual_out");
    result(&op, LLMRUN_RMSNORM_GRAD_DX, matrix);
    result(&op, LLMRUN_RMSNORM_GRAD_DWEIGHT, EXTENTS(1, channels[0]));
    run(&op, 0);
    /* rstd is an input, rounded to fp32 here and not there. */
    assert_values(&op, LLMRUN_RMSNORM_GRAD_DX, "rmsnorm.dx", 4 * BOUND_DOUBLE);
    assert_values(&op, LLMRUN_RMSNORM_GRAD_DWEIGHT, "rmsnorm.dweight", 4 * BOUND_DOUBLE);
    run(&op, LLMRUN_OP_EXACT);
    assert_values(&op, LLMRUN_RMSNORM_GRAD_DX, "rmsnorm.dx", BOUND_EXACT);
    assert_values(&op, LLMRUN_RMSNORM_GRAD_DWEIGHT, "rmsnorm.dweight", BOUND_EXACT);
    op_case_end(&op);
}

static void swiglu_and_its_gradient_equal_pytorch(void **state)
{
    const int64_t *row = EXTENTS(1, 101);
    struct op_case op;

    (void)state;
    op_case_begin(&op, LLMRUN_OP_SWIGLU, NULL, 1);
    use(&op, LLMRUN_SWIGLU_GATE, row, "swiglu.gate");
    use(&op, LLMRUN_SWIGLU_UP, row, "swiglu.up");
    result(&op, LLMRUN_SWIGLU_Y, row);
    CHECK(&op, {LLMRUN_SWIGLU_Y, "swiglu.y"});

    op_case_begin(&op, LLMRUN_OP_SWIGLU_GRAD, NULL, 1);
    use(&op, LLMRUN_SWIGLU_GRAD_DY, row, "swiglu.dy");
    use(&op, LLMRUN_SWIGLU_GRAD_GATE, row, "swiglu.gate");
    use(&op, LLMRUN_SWIGLU_GRAD_UP, row, "swiglu.up");
    result(&op, LLMRUN_SWIGLU_GRAD_DGATE, row);
    result(&op, LLMRUN_SWIGLU_GRAD_DUP, row);
    CHECK(&op, {LLMRUN_SWIGLU_GRAD_DGATE, "swiglu.dgate"}, {LLMRUN_SWIGLU_GRAD_DUP, "swiglu.dup"});
}

/* rope of x, and turned back of dy: the gradient. */
static void rope_and_its_gradient_equal_transformers(void **state)
{
    static const char *const names[2][2] = {{"rope.x", "rope.y"}, {"rope.dy", "rope.dx"}};

    (void)state;
    for (uint32_t inverse = 0; inverse < 2; inverse++) {
        struct llmrun_rope_attributes attributes = {2, inverse};
        struct golden golden = golden_read("rope.positions");
        struct op_case op;
        int32_t *positions;

        op_case_begin(&op, LLMRUN_OP_ROPE, &attributes, 1);
        use(&op, LLMRUN_ROPE_X, EXTENTS(7, 12), names[inverse][0]);
        positions = op_case_operand(&op, LLMRUN_ROPE_POSITIONS, LLMRUN_I32, EXTENTS(7), NUMBERS_SMALL);
        for (int i = 0; i < 7; i++)
            positions[i] = (int32_t)golden.values[i];
        golden_end(&golden);
        use(&op, LLMRUN_ROPE_COSINES, EXTENTS(11, 3), "rope.cosines");
        use(&op, LLMRUN_ROPE_SINES, EXTENTS(11, 3), "rope.sines");
        result(&op, LLMRUN_ROPE_Y, EXTENTS(7, 12));
        CHECK(&op, {LLMRUN_ROPE_Y, names[inverse][1]});
    }
}

static void bias_grad_is_the_bias_gradient_of_layernorm(void **state)
{
    struct op_case op;

    (void)state;
    op_case_begin(&op, LLMRUN_OP_BIAS_GRAD, &(struct llmrun_bias_grad_attributes){6, 1, 1}, 1);
    use(&op, LLMRUN_BIAS_GRAD_DY, EXTENTS(6, 67), "layernorm.dy");
    result(&op, LLMRUN_BIAS_GRAD_DBIAS, EXTENTS(1, 67));
    CHECK(&op, {LLMRUN_BIAS_GRAD_DBIAS, "layernorm.dbias"});
}

static void use_ids(struct op_case *op, int operand)
{
    struct golden golden = golden_read("embedding.ids");
    int32_t *ids = op_case_operand(op, operand, LLMRUN_I32, EXTENTS(23), NUMBERS_SMALL);

    for (int i = 0; i < 23; i++)
        ids[i] = (int32_t)golden.values[i];
    golden_end(&golden);
}

static void embedding_equals_pytorch(void **state)
{
    struct op_case op;

    (void)state;
    op_case_begin(&op, LLMRUN_OP_EMBEDDING, NULL, 1);
    use_ids(&op, LLMRUN_EMBEDDING_IDS);
    use(&op, LLMRUN_EMBEDDING_TABLE, EXTENTS(11, 19), "embedding.table");
    use(&op, LLMRUN_EMBEDDING_ADDEND, EXTENTS(23, 19), "embedding.addend");
    result(&op, LLMRUN_EMBEDDING_Y, EXTENTS(23, 19));
    CHECK(&op, {LLMRUN_EMBEDDING_Y, "embedding.y"});

    op_case_begin(&op, LLMRUN_OP_EMBEDDING_GRAD, &(struct llmrun_embedding_grad_attributes){.batch_parts = 1}, 1);
    use_ids(&op, LLMRUN_EMBEDDING_GRAD_IDS);
    use(&op, LLMRUN_EMBEDDING_GRAD_DY, EXTENTS(23, 19), "embedding.dy");
    result(&op, LLMRUN_EMBEDDING_GRAD_DTABLE, EXTENTS(11, 19));
    CHECK(&op, {LLMRUN_EMBEDDING_GRAD_DTABLE, "embedding.dtable"});
}

static float *scalars(struct op_case *op, int operand, int64_t count)
{
    return op_case_operand(op, operand, LLMRUN_F32, EXTENTS(count), NUMBERS_USUAL);
}

static void three_steps(uint32_t flags, double bound)
{
    static const char *const gradients[] = {"adamw.gradient1", "adamw.gradient2", "adamw.gradient3"};
    static const char *const parameters[] = {"adamw.parameter1", "adamw.parameter2", "adamw.parameter3"};
    struct llmrun_adamw_attributes attributes = {0.875f, 0.96875f, 0x1p-20f, 0.125f};
    struct golden gradient;
    struct op_case op;
    float *correction;

    op_case_begin(&op, LLMRUN_OP_ADAMW, &attributes, 1);
    use(&op, LLMRUN_ADAMW_PARAMETER, EXTENTS(37), "adamw.parameter0");
    result(&op, LLMRUN_ADAMW_GRADIENT, EXTENTS(37));
    memset(op_case_operand(&op, LLMRUN_ADAMW_FIRST_MOMENT, LLMRUN_F32, EXTENTS(37), NUMBERS_USUAL), 0, 37 * 4);
    memset(op_case_operand(&op, LLMRUN_ADAMW_SECOND_MOMENT, LLMRUN_F32, EXTENTS(37), NUMBERS_USUAL), 0, 37 * 4);
    scalars(&op, LLMRUN_ADAMW_LEARNING_RATE, 1)[0] = 0x1p-7f;
    scalars(&op, LLMRUN_ADAMW_CLIP_SCALE, 1)[0] = 0.25f;
    correction = scalars(&op, LLMRUN_ADAMW_BIAS_CORRECTION, 2);
    *(uint32_t *)op_case_operand(&op, LLMRUN_ADAMW_FOUND_INF, LLMRUN_U32, EXTENTS(1), NUMBERS_SMALL) = 0;
    for (int step = 1; step <= 3; step++) {
        gradient = golden_read(gradients[step - 1]);
        for (int i = 0; i < 37; i++) /* the clip factor brings it back to the recorded gradient */
            ((float *)op.data[LLMRUN_ADAMW_GRADIENT])[i] = (float)gradient.values[i] * 4;
        golden_end(&gradient);
        correction[0] = (float)(1 - pow(0.875, step));
        correction[1] = (float)sqrt(1 - pow(0.96875, step));
        run(&op, flags);
        assert_values(&op, LLMRUN_ADAMW_PARAMETER, parameters[step - 1], bound);
    }
    op_case_end(&op);
}

static void adamw_equals_pytorch_for_three_steps(void **state)
{
    (void)state;
    three_steps(0, 3 * BOUND_DOUBLE);
    three_steps(LLMRUN_OP_EXACT, BOUND_EXACT);
}

/* sum_squares of both gradients, then clip, then the factor on the first. */
static void clip_equals_pytorch(void **state)
{
    static const char *const names[] = {"clip.a", "clip.b"};
    static const int64_t counts[] = {50, 63};
    struct llmrun_clip_attributes clip = {1.5f, 0};
    struct golden norm = golden_read("clip.norm"), a = golden_read("clip.a"), scaled = golden_read("clip.scaled_a");
    double sums[2];
    float scale;
    struct op_case op;

    (void)state;
    for (int64_t i = 0; i < 2; i++) {
        struct llmrun_sum_squares_attributes attributes = {.slot = i, .row_parts = 1, .column_parts = 1};

        op_case_begin(&op, LLMRUN_OP_SUM_SQUARES, &attributes, 1);
        use(&op, LLMRUN_SUM_SQUARES_X, EXTENTS(counts[i]), names[i]);
        op_case_operand(&op, LLMRUN_SUM_SQUARES_SUMS, LLMRUN_F64, EXTENTS(2), NUMBERS_USUAL);
        run(&op, LLMRUN_OP_EXACT);
        sums[i] = op_case_value(&op, LLMRUN_SUM_SQUARES_SUMS, i);
        op_case_end(&op);
    }
    op_case_begin(&op, LLMRUN_OP_CLIP, &clip, 1);
    memcpy(op_case_operand(&op, LLMRUN_CLIP_ROOTS, LLMRUN_F64, EXTENTS(2), NUMBERS_USUAL), sums, sizeof(sums));
    op_case_operand(&op, LLMRUN_CLIP_LOSSES, LLMRUN_F64, EXTENTS(3), NUMBERS_USUAL);
    *(uint32_t *)op_case_operand(&op, LLMRUN_CLIP_FOUND_INF, LLMRUN_U32, EXTENTS(1), NUMBERS_SMALL) = 0;
    result(&op, LLMRUN_CLIP_SCALE, EXTENTS(1));
    result(&op, LLMRUN_CLIP_NORM, EXTENTS(1));
    run(&op, LLMRUN_OP_EXACT);
    scale = (float)op_case_value(&op, LLMRUN_CLIP_SCALE, 0);
    assert_true(fabs(op_case_value(&op, LLMRUN_CLIP_NORM, 0) / norm.values[0] - 1) < 0x1p-23);
    assert_int_equal(op_case_value(&op, LLMRUN_CLIP_FOUND_INF, 0), 0);
    for (int64_t i = 0; i < a.count; i++)
        assert_true(fabs(a.values[i] * scale - scaled.values[i]) <= 0x1p-23 * fabs(scaled.values[i]));
    op_case_end(&op);
    golden_end(&norm);
    golden_end(&a);
    golden_end(&scaled);
}

static void cast_rounds_as_pytorch(void **state)
{
    struct golden wanted = golden_read("cast.bf16");
    struct op_case op;

    (void)state;
    op_case_begin(&op, LLMRUN_OP_CAST, NULL, 1);
    use(&op, LLMRUN_CAST_X, EXTENTS(12), "cast.x");
    op_case_operand(&op, LLMRUN_CAST_Y, LLMRUN_BF16, EXTENTS(12), NUMBERS_USUAL);
    run(&op, LLMRUN_OP_EXACT);
    for (int64_t i = 0; i < wanted.count; i++)
        assert_true(op_case_value(&op, LLMRUN_CAST_Y, i) == wanted.values[i]);
    op_case_end(&op);
    golden_end(&wanted);
}

/* The exact order and fp64 on the same bf16 operands: a result differs by at most one step of bf16, 2^-7 of its own
 * size, or by what fp32 loses on the way, 2^-20 of the largest one. */
static void assert_close_in_bf16(struct op_case *exact)
{
    struct op_case precise;

    op_case_copy(&precise, exact);
    run(exact, LLMRUN_OP_EXACT);
    run(&precise, 0);
    for (int operand = 0; operand < (int)exact->op.operand_count; operand++) {
        for (int64_t i = 0; exact->data[operand] != NULL && i < op_case_elements(exact, operand); i++) {
            double found = op_case_value(exact, operand, i), wanted = op_case_value(&precise, operand, i);

            if (!(fabs(found - wanted) <= 0x1p-7 * fabs(wanted) + 0x1p-17))
                fail_msg("operand %d differs at %d: %.9g and %.9g", operand, (int)i, found, wanted);
        }
    }
    op_case_end(&precise);
    op_case_end(exact);
}

static void bf16_results_are_those_of_fp64_within_a_rounding(void **state)
{
    struct llmrun_layernorm_attributes attributes = {1e-5f};
    const int64_t *matrix = EXTENTS(5, 200);
    struct op_case op;

    (void)state;
    op_case_begin(&op, LLMRUN_OP_GELU_GRAD, NULL, 3);
    for (int operand = 0; operand < LLMRUN_GELU_GRAD_OPERANDS; operand++)
        op_case_operand(&op, operand, LLMRUN_BF16, matrix, NUMBERS_USUAL);
    assert_close_in_bf16(&op);

    op_case_begin(&op, LLMRUN_OP_LAYERNORM, &attributes, 4);
    op_case_operand(&op, LLMRUN_LAYERNORM_X, LLMRUN_BF16, matrix, NUMBERS_USUAL);
    op_case_operand(&op, LLMRUN_LAYERNORM_RESIDUAL, LLMRUN_BF16, matrix, NUMBERS_USUAL);
    op_case_operand(&op, LLMRUN_LAYERNORM_WEIGHT, LLMRUN_F32, EXTENTS(200), NUMBERS_USUAL);
    op_case_operand(&op, LLMRUN_LAYERNORM_Y, LLMRUN_BF16, matrix, NUMBERS_USUAL);
    op_case_operand(&op, LLMRUN_LAYERNORM_RESIDUAL_OUT, LLMRUN_BF16, matrix, NUMBERS_USUAL);
    op_case_operand(&op, LLMRUN_LAYERNORM_MEAN, LLMRUN_F32, EXTENTS(5), NUMBERS_USUAL);
    op_case_operand(&op, LLMRUN_LAYERNORM_RSTD, LLMRUN_F32, EXTENTS(5), NUMBERS_USUAL);
    assert_close_in_bf16(&op);

    op_case_begin(&op, LLMRUN_OP_SWIGLU_GRAD, NULL, 6);
    for (int operand = 0; operand < LLMRUN_SWIGLU_GRAD_OPERANDS; operand++)
        op_case_operand(&op, operand, LLMRUN_BF16, matrix, NUMBERS_USUAL);
    assert_close_in_bf16(&op);

    op_case_begin(&op, LLMRUN_OP_EMBEDDING_GRAD, &(struct llmrun_embedding_grad_attributes){.batch_parts = 1}, 5);
    op.op.accumulate = 1u << LLMRUN_EMBEDDING_GRAD_DTABLE;
    op_case_operand(&op, LLMRUN_EMBEDDING_GRAD_IDS, LLMRUN_I32, EXTENTS(60), NUMBERS_SMALL);
    op_case_operand(&op, LLMRUN_EMBEDDING_GRAD_DY, LLMRUN_BF16, EXTENTS(60, 33), NUMBERS_USUAL);
    op_case_operand(&op, LLMRUN_EMBEDDING_GRAD_DTABLE, LLMRUN_F32, EXTENTS(14, 33), NUMBERS_USUAL);
    assert_close_in_bf16(&op);
}

/* (sums, losses, found_inf before) -> found_inf after */
static uint32_t found_inf_after(double sum, double loss, uint32_t before)
{
    struct llmrun_clip_attributes attributes = {1.0f, 0};
    struct op_case op;
    uint32_t after;

    op_case_begin(&op, LLMRUN_OP_CLIP, &attributes, 1);
    *(double *)op_case_operand(&op, LLMRUN_CLIP_ROOTS, LLMRUN_F64, EXTENTS(1), NUMBERS_USUAL) = sum;
    *(double *)op_case_operand(&op, LLMRUN_CLIP_LOSSES, LLMRUN_F64, EXTENTS(1), NUMBERS_USUAL) = loss;
    *(uint32_t *)op_case_operand(&op, LLMRUN_CLIP_FOUND_INF, LLMRUN_U32, EXTENTS(1), NUMBERS_SMALL) = before;
    result(&op, LLMRUN_CLIP_SCALE, EXTENTS(1));
    result(&op, LLMRUN_CLIP_NORM, EXTENTS(1));
    run(&op, LLMRUN_OP_EXACT);
    after = (uint32_t)op_case_value(&op, LLMRUN_CLIP_FOUND_INF, 0);
    op_case_end(&op);
    return after;
}

static void clip_says_when_the_norm_or_a_loss_is_not_finite_and_never_takes_it_back(void **state)
{
    (void)state;
    assert_int_equal(found_inf_after(4.0, 1.0, 0), 0);
    assert_int_equal(found_inf_after(NAN, 1.0, 0), 1);
    assert_int_equal(found_inf_after(INFINITY, 1.0, 0), 1);
    assert_int_equal(found_inf_after(1e80, 1.0, 0), 1); /* the norm, 1e40, is beyond fp32 */
    assert_int_equal(found_inf_after(4.0, NAN, 0), 1);
    assert_int_equal(found_inf_after(4.0, -INFINITY, 0), 1);
    assert_int_equal(found_inf_after(4.0, 1.0, 1), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gelu_equals_pytorch),
        cmocka_unit_test(layernorm_equals_pytorch),
        cmocka_unit_test(layernorm_grad_equals_pytorch),
        cmocka_unit_test(rmsnorm_and_its_gradient_equal_pytorch),
        cmocka_unit_test(swiglu_and_its_gradient_equal_pytorch),
        cmocka_unit_test(rope_and_its_gradient_equal_transformers),
        cmocka_unit_test(bias_grad_is_the_bias_gradient_of_layernorm),
        cmocka_unit_test(embedding_equals_pytorch),
        cmocka_unit_test(adamw_equals_pytorch_for_three_steps),
        cmocka_unit_test(clip_equals_pytorch),
        cmocka_unit_test(cast_rounds_as_pytorch),
        cmocka_unit_test(bf16_results_are_those_of_fp64_within_a_rounding),
        cmocka_unit_test(clip_says_when_the_norm_or_a_loss_is_not_finite_and_never_takes_it_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
