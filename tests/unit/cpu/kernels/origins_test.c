/* A part of a tensor, with its origin, is what the whole has there, bit for bit: random numbers, rows of an embedding
 * and slots of a norm go by logical places. Each part is run by the reference and by the kernels of every instruction
 * set. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/table.h"
#include "op_case.h"

static void run(struct op_case *op)
{
    assert_true(
        op_case_run(op, op_case_kernel(kernel_table_candidates(op->op.op, (int)cpu_isa_best(), LLMRUN_OP_EXACT)), 2));
}

/* Rows [row, row + rows) and columns [column, column + columns) of a matrix `width` elements wide. */
struct block {
    int64_t row, rows, column, columns, width;
    size_t bytes; /* of an element */
};

static void copy_block(void *to, const void *from, struct block block)
{
    for (int64_t i = 0; i < block.rows; i++)
        memcpy((char *)to + (size_t)(i * block.columns) * block.bytes,
               (const char *)from + (size_t)((block.row + i) * block.width + block.column) * block.bytes,
               (size_t)block.columns * block.bytes);
}

static void assert_block(const void *part, const void *whole, struct block block)
{
    for (int64_t i = 0; i < block.rows; i++)
        assert_memory_equal((const char *)part + (size_t)(i * block.columns) * block.bytes,
                            (const char *)whole + (size_t)((block.row + i) * block.width + block.column) * block.bytes,
                            (size_t)block.columns * block.bytes);
}

#define TOKENS 40
#define ROWS   12
#define WIDTH  20

static void rows_of_a_table_are_looked_up_by_the_part_that_has_them(void **state)
{
    struct llmrun_embedding_attributes attributes = {0};
    struct op_case whole, half;
    float sums[TOKENS * WIDTH];

    (void)state;
    op_case_begin(&whole, LLMRUN_OP_EMBEDDING, &attributes, 1);
    op_case_operand(&whole, LLMRUN_EMBEDDING_IDS, LLMRUN_I32, EXTENTS(TOKENS), NUMBERS_SMALL);
    op_case_operand(&whole, LLMRUN_EMBEDDING_TABLE, LLMRUN_F32, EXTENTS(ROWS, WIDTH), NUMBERS_USUAL);
    op_case_operand(&whole, LLMRUN_EMBEDDING_Y, LLMRUN_F32, EXTENTS(TOKENS, WIDTH), NUMBERS_USUAL);
    run(&whole);
    for (int64_t i = 0; i < TOKENS * WIDTH; i++)
        sums[i] = -0.0f;
    for (int i = 0; i < 2; i++) {
        struct llmrun_embedding_attributes part = {.row_first = i * ROWS / 2};

        op_case_begin(&half, LLMRUN_OP_EMBEDDING, &part, 1);
        memcpy(op_case_operand(&half, LLMRUN_EMBEDDING_IDS, LLMRUN_I32, EXTENTS(TOKENS), 0),
               whole.data[LLMRUN_EMBEDDING_IDS], TOKENS * sizeof(int32_t));
        copy_block(op_case_operand(&half, LLMRUN_EMBEDDING_TABLE, LLMRUN_F32, EXTENTS(ROWS / 2, WIDTH), 0),
                   whole.data[LLMRUN_EMBEDDING_TABLE],
                   (struct block){i * ROWS / 2, ROWS / 2, 0, WIDTH, WIDTH, sizeof(float)});
        op_case_operand(&half, LLMRUN_EMBEDDING_Y, LLMRUN_F32, EXTENTS(TOKENS, WIDTH), 0);
        run(&half);
        for (int64_t at = 0; at < TOKENS * WIDTH; at++)
            sums[at] += ((const float *)half.data[LLMRUN_EMBEDDING_Y])[at];
        op_case_check(&half, "part of an embedding");
    }
    assert_memory_equal(sums, whole.data[LLMRUN_EMBEDDING_Y], sizeof(sums));
    op_case_end(&whole);
}

static void check_table_gradient(uint32_t dtype, uint32_t batch_parts)
{
    const struct llmrun_embedding_grad_attributes attributes = {.batch_parts = batch_parts};
    size_t bytes = dtype == LLMRUN_BF16 ? 2 : 4;
    struct op_case whole, half;

    op_case_begin(&whole, LLMRUN_OP_EMBEDDING_GRAD, &attributes, 2);
    op_case_operand(&whole, LLMRUN_EMBEDDING_GRAD_IDS, LLMRUN_I32, EXTENTS(TOKENS), NUMBERS_SMALL);
    op_case_operand(&whole, LLMRUN_EMBEDDING_GRAD_DY, dtype, EXTENTS(TOKENS, WIDTH), NUMBERS_USUAL);
    op_case_operand(&whole, LLMRUN_EMBEDDING_GRAD_DTABLE, LLMRUN_F32, EXTENTS(ROWS, WIDTH), 0);
    run(&whole);
    for (int i = 0; i < 2; i++) {
        struct llmrun_embedding_grad_attributes part = {.batch_parts = batch_parts, .row_first = i * ROWS / 2};

        op_case_begin(&half, LLMRUN_OP_EMBEDDING_GRAD, &part, 2);
        memcpy(op_case_operand(&half, LLMRUN_EMBEDDING_GRAD_IDS, LLMRUN_I32, EXTENTS(TOKENS), 0),
               whole.data[LLMRUN_EMBEDDING_GRAD_IDS], TOKENS * sizeof(int32_t));
        memcpy(op_case_operand(&half, LLMRUN_EMBEDDING_GRAD_DY, dtype, EXTENTS(TOKENS, WIDTH), 0),
               whole.data[LLMRUN_EMBEDDING_GRAD_DY], TOKENS * WIDTH * bytes);
        op_case_operand(&half, LLMRUN_EMBEDDING_GRAD_DTABLE, LLMRUN_F32, EXTENTS(ROWS / 2, WIDTH), 0);
        run(&half);
        assert_block(half.data[LLMRUN_EMBEDDING_GRAD_DTABLE], whole.data[LLMRUN_EMBEDDING_GRAD_DTABLE],
                     (struct block){i * ROWS / 2, ROWS / 2, 0, WIDTH, WIDTH, sizeof(float)});
        op_case_check(&half, "part of the gradient of an embedding");
    }
    op_case_end(&whole);
}

static void rows_of_a_table_get_their_gradient_where_they_are(void **state)
{
    (void)state;
    check_table_gradient(LLMRUN_F32, 1);
    check_table_gradient(LLMRUN_BF16, 1);
    check_table_gradient(LLMRUN_F32, 4);
    check_table_gradient(LLMRUN_BF16, 4);
}

#define SEQUENCES 3
#define POSITIONS 10
#define CHANNELS  50

/* Positions [position, + positions) of every sequence, channels [channel, + channels). */
static void check_dropout(const struct op_case *whole, uint32_t dtype, int64_t position, int64_t positions,
                          int64_t channel, int64_t channels)
{
    struct llmrun_dropout_attributes part = {positions, 0.3f, 0, position, POSITIONS, channel, CHANNELS};
    size_t bytes = dtype == LLMRUN_BF16 ? 2 : 4;
    struct op_case op;
    char *x;

    op_case_begin(&op, LLMRUN_OP_DROPOUT, &part, 3);
    x = op_case_operand(&op, LLMRUN_DROPOUT_X, dtype, EXTENTS(SEQUENCES * positions, channels), 0);
    memcpy(op_case_operand(&op, LLMRUN_DROPOUT_RNG_STATE, LLMRUN_U32, EXTENTS(5), 0),
           whole->data[LLMRUN_DROPOUT_RNG_STATE], 5 * sizeof(uint32_t));
    op_case_operand(&op, LLMRUN_DROPOUT_Y, dtype, EXTENTS(SEQUENCES * positions, channels), 0);
    for (int64_t s = 0; s < SEQUENCES; s++)
        copy_block(x + (size_t)(s * positions * channels) * bytes, whole->data[LLMRUN_DROPOUT_X],
                   (struct block){s * POSITIONS + position, positions, channel, channels, CHANNELS, bytes});
    run(&op);
    for (int64_t s = 0; s < SEQUENCES; s++)
        assert_block((const char *)op.data[LLMRUN_DROPOUT_Y] + (size_t)(s * positions * channels) * bytes,
                     whole->data[LLMRUN_DROPOUT_Y],
                     (struct block){s * POSITIONS + position, positions, channel, channels, CHANNELS, bytes});
    op_case_check(&op, "part of a dropout");
}

static void check_dropouts(uint32_t dtype)
{
    struct llmrun_dropout_attributes attributes = {.seq_len = POSITIONS, .probability = 0.3f};
    struct op_case whole;

    op_case_begin(&whole, LLMRUN_OP_DROPOUT, &attributes, 3);
    op_case_operand(&whole, LLMRUN_DROPOUT_X, dtype, EXTENTS(SEQUENCES * POSITIONS, CHANNELS), NUMBERS_USUAL);
    op_case_operand(&whole, LLMRUN_DROPOUT_RNG_STATE, LLMRUN_U32, EXTENTS(5), NUMBERS_SMALL);
    op_case_operand(&whole, LLMRUN_DROPOUT_Y, dtype, EXTENTS(SEQUENCES * POSITIONS, CHANNELS), 0);
    run(&whole);
    check_dropout(&whole, dtype, 0, POSITIONS, 0, CHANNELS);
    check_dropout(&whole, dtype, 5, 5, 0, CHANNELS);
    check_dropout(&whole, dtype, 0, POSITIONS, 25, 25);
    check_dropout(&whole, dtype, 3, 4, 17, 33);
    op_case_end(&whole);
}

static void dropout_drops_what_it_drops_in_the_whole(void **state)
{
    (void)state;
    check_dropouts(LLMRUN_F32);
    check_dropouts(LLMRUN_BF16);
}

static void initial_values_are_those_of_the_whole(void **state)
{
    static const struct block blocks[] = {
        {0, 30, 0, 70, 70, 4}, {10, 10, 0, 70, 70, 4}, {0, 30, 35, 35, 70, 4}, {7, 12, 13, 21, 70, 4}};

    (void)state;
    for (uint32_t distribution = LLMRUN_INIT_NORMAL; distribution <= LLMRUN_INIT_UNIFORM; distribution++) {
        struct llmrun_init_attributes attributes = {.stream_id = 77, .distribution = distribution, .a = -1, .b = 2};
        struct op_case whole, part;

        op_case_begin(&whole, LLMRUN_OP_INIT, &attributes, 4);
        op_case_operand(&whole, LLMRUN_INIT_Y, LLMRUN_F32, EXTENTS(30, 70), 0);
        run(&whole);
        for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++) {
            struct llmrun_init_attributes origin = attributes;

            origin.first0 = blocks[i].row;
            origin.full0 = 30;
            origin.first1 = blocks[i].column;
            origin.full1 = 70;
            op_case_begin(&part, LLMRUN_OP_INIT, &origin, 4);
            op_case_operand(&part, LLMRUN_INIT_Y, LLMRUN_F32, EXTENTS(blocks[i].rows, blocks[i].columns), 0);
            run(&part);
            assert_block(part.data[LLMRUN_INIT_Y], whole.data[LLMRUN_INIT_Y], blocks[i]);
            op_case_check(&part, "part of initial values");
        }
        /* The same numbers as [3, 10, 70], of which the last ten rows of its last matrix are asked for. */
        attributes.first0 = 2;
        attributes.full0 = 3;
        attributes.first1 = 4;
        attributes.full1 = 10;
        op_case_begin(&part, LLMRUN_OP_INIT, &attributes, 4);
        op_case_operand(&part, LLMRUN_INIT_Y, LLMRUN_F32, EXTENTS(1, 6, 70), 0);
        run(&part);
        assert_block(part.data[LLMRUN_INIT_Y], whole.data[LLMRUN_INIT_Y], (struct block){24, 6, 0, 70, 70, 4});
        op_case_check(&part, "part of three dimensions");
        op_case_end(&whole);
    }
}

static void slots_of_a_norm_lie_in_the_table_of_the_whole(void **state)
{
    struct llmrun_sum_squares_attributes whole_attributes = {.row_parts = 8, .column_parts = 4};
    struct op_case whole, part;

    (void)state;
    op_case_begin(&whole, LLMRUN_OP_SUM_SQUARES, &whole_attributes, 5);
    op_case_operand(&whole, LLMRUN_SUM_SQUARES_X, LLMRUN_F32, EXTENTS(16, 40), NUMBERS_USUAL);
    op_case_operand(&whole, LLMRUN_SUM_SQUARES_SUMS, LLMRUN_F64, EXTENTS(32), 0);
    run(&whole);
    for (uint32_t replica = 0; replica < 2; replica++)
        for (int64_t r = 0; r < 2; r++)
            for (int64_t c = 0; c < 2; c++) {
                struct llmrun_sum_squares_attributes attributes = {r * 16 + c * 2, 4, 2, 4, replica};
                double *sums;

                op_case_begin(&part, LLMRUN_OP_SUM_SQUARES, &attributes, 5);
                copy_block(op_case_operand(&part, LLMRUN_SUM_SQUARES_X, LLMRUN_F32, EXTENTS(8, 20), 0),
                           whole.data[LLMRUN_SUM_SQUARES_X], (struct block){r * 8, 8, c * 20, 20, 40, 4});
                sums = op_case_operand(&part, LLMRUN_SUM_SQUARES_SUMS, LLMRUN_F64, EXTENTS(32), 0);
                for (int i = 0; i < 32; i++)
                    sums[i] = -1;
                run(&part);
                for (int64_t slot = 0; slot < 32; slot++) {
                    int here = slot / 16 == r && slot % 4 / 2 == c;

                    assert_true(op_case_value(&part, LLMRUN_SUM_SQUARES_SUMS, slot) ==
                                (!here     ? -1
                                 : replica ? 0
                                           : op_case_value(&whole, LLMRUN_SUM_SQUARES_SUMS, slot)));
                }
                op_case_check(&part, "slots of a part");
            }
    op_case_end(&whole);
}

static void parts_that_do_not_lie_within_the_whole_are_refused(void **state)
{
    static const struct llmrun_dropout_attributes dropouts[] = {
        {4, 0.5f, 0, 1, 0, 0, 0}, {4, 0.5f, 0, 5, 8, 0, 0}, {4, 0.5f, 0, -1, 8, 0, 0}, {4, 0.5f, 0, 0, 0, 3, 8}};
    static const struct llmrun_init_attributes inits[] = {
        {.first0 = 1}, {.first0 = 5, .full0 = 8}, {.full0 = 3}, {.first2 = 0, .full2 = 8}};
    static const struct llmrun_sum_squares_attributes squares[] = {{8, 2, 2, 8, 0}, {0, 2, 2, 1, 0}, {0, 1, 1, 0, 2}};
    struct op_case op;

    (void)state;
    for (size_t i = 0; i < sizeof(dropouts) / sizeof(dropouts[0]); i++) {
        op_case_begin(&op, LLMRUN_OP_DROPOUT, &dropouts[i], 6);
        op_case_operand(&op, LLMRUN_DROPOUT_X, LLMRUN_F32, EXTENTS(8, 6), 0);
        op_case_operand(&op, LLMRUN_DROPOUT_RNG_STATE, LLMRUN_U32, EXTENTS(5), NUMBERS_SMALL);
        op_case_operand(&op, LLMRUN_DROPOUT_Y, LLMRUN_F32, EXTENTS(8, 6), 0);
        assert_false(op_case_run(&op, kernel_table_candidates(op.op.op, 0, LLMRUN_OP_EXACT)[0], 1));
        op_case_end(&op);
    }
    for (size_t i = 0; i < sizeof(inits) / sizeof(inits[0]); i++) {
        op_case_begin(&op, LLMRUN_OP_INIT, &inits[i], 6);
        op_case_operand(&op, LLMRUN_INIT_Y, LLMRUN_F32, EXTENTS(4, 6), 0);
        assert_false(op_case_run(&op, kernel_table_candidates(op.op.op, 0, LLMRUN_OP_EXACT)[0], 1));
        op_case_end(&op);
    }
    for (size_t i = 0; i < sizeof(squares) / sizeof(squares[0]); i++) {
        op_case_begin(&op, LLMRUN_OP_SUM_SQUARES, &squares[i], 6);
        op_case_operand(&op, LLMRUN_SUM_SQUARES_X, LLMRUN_F32, EXTENTS(4, 6), 0);
        op_case_operand(&op, LLMRUN_SUM_SQUARES_SUMS, LLMRUN_F64, EXTENTS(16), 0);
        assert_false(op_case_run(&op, kernel_table_candidates(op.op.op, 0, LLMRUN_OP_EXACT)[0], 1));
        op_case_end(&op);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_of_a_table_are_looked_up_by_the_part_that_has_them),
        cmocka_unit_test(rows_of_a_table_get_their_gradient_where_they_are),
        cmocka_unit_test(dropout_drops_what_it_drops_in_the_whole),
        cmocka_unit_test(initial_values_are_those_of_the_whole),
        cmocka_unit_test(slots_of_a_norm_lie_in_the_table_of_the_whole),
        cmocka_unit_test(parts_that_do_not_lie_within_the_whole_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
