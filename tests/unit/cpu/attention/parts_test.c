/* Attention in parts: queries or heads in several calls give the bits of one call. Documents by their offsets give
 * those of segment_starts. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "attention_case.h"
#include "every.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const uint32_t dtypes[] = {LLMRUN_F32, LLMRUN_BF16};

/* What one call has of a whole case. */
struct part {
    int64_t first, queries;
    uint32_t head, heads;
};

/* The elements that a part has of a row, and which rows, as counted in a sequence. */
struct window {
    int64_t row, rows, all_rows;
    int64_t column, columns, all_columns;
};

/* Operands have the same indices in both ops up to lse; attention_grad has do, dq, dk and dv behind. */
static struct window window_of(const struct attention_shape *shape, const struct part *part, int operand)
{
    int64_t width = operand == LLMRUN_ATTENTION_GRAD_LSE ? 1 : shape->width, group = shape->heads / shape->kv_heads;
    struct window window = {part->first,        part->queries,       shape->sequence,
                            part->head * width, part->heads * width, shape->heads * width};

    switch (operand) {
    case LLMRUN_ATTENTION_GRAD_K:
    case LLMRUN_ATTENTION_GRAD_V:
    case LLMRUN_ATTENTION_GRAD_DK:
    case LLMRUN_ATTENTION_GRAD_DV:
        return (struct window){0,
                               shape->sequence,
                               shape->sequence,
                               window.column / group,
                               window.columns / group,
                               window.all_columns / group};
    case LLMRUN_ATTENTION_GRAD_SEGMENT_STARTS:
        return (struct window){part->first, part->queries, shape->sequence, 0, 1, 1};
    default:
        return window;
    }
}

static size_t element_bytes(const struct op_case *op_case, int operand)
{
    return op_case->tensors[operand].dtype == LLMRUN_BF16 ? 2 : 4;
}

/* Row `row` of sequence `sequence` in a window of the whole operand. */
static char *whole_row(const struct op_case *whole, int operand, const struct window *window, int64_t sequence,
                       int64_t row)
{
    int64_t element = (sequence * window->all_rows + window->row + row) * window->all_columns + window->column;

    return (char *)whole->data[operand] + (size_t)element * element_bytes(whole, operand);
}

static void take_part(const struct attention_shape *shape, const struct op_case *whole, const struct part *part,
                      struct llmrun_attention_attributes *attributes, struct op_case *to)
{
    memcpy(attributes, whole->op.attributes, sizeof(*attributes)); /* attention_grad has the same ones */
    attributes->seq_len = part->queries;
    attributes->query_first = part->first;
    attributes->kv_head_first = (uint32_t)part->head / (shape->heads / shape->kv_heads);
    attributes->kv_heads_full = shape->kv_heads;
    attributes->kv_heads = shape->kv_heads * part->heads / shape->heads;
    attributes->heads = part->heads;
    op_case_begin(to, whole->op.op, attributes, 3);
    for (int i = 0; i < (int)whole->op.operand_count; i++) {
        struct window window = window_of(shape, part, i);
        int64_t rows = shape->sequences * window.rows;
        uint32_t dtype = whole->tensors[i].dtype;
        size_t bytes = (size_t)window.columns * element_bytes(whole, i);
        char *data;

        if (whole->data[i] == NULL)
            continue;
        if (i == LLMRUN_ATTENTION_RNG_STATE || i == LLMRUN_ATTENTION_DOCUMENT_OFFSETS) {
            memcpy(op_case_operand(to, i, dtype, EXTENTS(op_case_elements(whole, i)), NUMBERS_SMALL), whole->data[i],
                   (size_t)op_case_elements(whole, i) * 4);
            continue;
        }
        data = op_case_operand(
            to, i, dtype, whole->tensors[i].rank == 1 ? EXTENTS(rows) : EXTENTS(rows, window.columns), NUMBERS_USUAL);
        for (int64_t row = 0; row < rows; row++)
            memcpy(data + (size_t)row * bytes, whole_row(whole, i, &window, row / window.rows, row % window.rows),
                   bytes);
    }
}

static void assert_part(const struct attention_shape *shape, const struct op_case *whole, const struct part *part,
                        const struct op_case *found, int operand)
{
    struct window window = window_of(shape, part, operand);
    size_t bytes = (size_t)window.columns * element_bytes(whole, operand);

    for (int64_t row = 0; row < shape->sequences * window.rows; row++)
        if (memcmp((char *)found->data[operand] + (size_t)row * bytes,
                   whole_row(whole, operand, &window, row / window.rows, row % window.rows), bytes) != 0)
            fail_msg("op %u, operand %d, row %lld of queries %lld to %lld, heads %u to %u", whole->op.op, operand,
                     (long long)row, (long long)part->first, (long long)(part->first + part->queries - 1), part->head,
                     part->head + part->heads - 1);
}

/* `whole` has the outputs of a reference. The same reference gives the part's outputs the same bits, and the kernels
 * give those of the exact one. Adds dk and dv to `sums`, of the elements of k each. */
static void check_part(const struct attention_shape *shape, const struct op_case *whole, const struct part *part,
                       int exact, double *sums)
{
    int grad = whole->op.op == LLMRUN_OP_ATTENTION_GRAD, all = part->queries == shape->sequence;
    struct llmrun_attention_attributes attributes;
    struct op_case found;

    take_part(shape, whole, part, &attributes, &found);
    if (exact)
        case_check(&found, "part");
    assert_true(op_case_run(&found, case_reference(whole->op.op, exact), 1));
    assert_part(shape, whole, part, &found, grad ? LLMRUN_ATTENTION_GRAD_DQ : LLMRUN_ATTENTION_O);
    if (!grad)
        assert_part(shape, whole, part, &found, LLMRUN_ATTENTION_LSE);
    for (int i = LLMRUN_ATTENTION_GRAD_DK; grad && i <= LLMRUN_ATTENTION_GRAD_DV; i++) {
        if (all)
            assert_part(shape, whole, part, &found, i);
        for (int64_t e = 0; sums != NULL && e < op_case_elements(&found, i); e++)
            *sums++ += op_case_value(&found, i, e);
    }
    op_case_end(&found);
}

static void check_parts(const struct attention_shape *shape, const struct op_case *whole, const struct part *parts,
                        int count, int exact)
{
    struct op_case all;
    double *sums = calloc(2 * (size_t)op_case_elements(whole, LLMRUN_ATTENTION_K), sizeof(*sums));
    int sum = whole->op.op == LLMRUN_OP_ATTENTION_GRAD && !exact && parts[0].queries < shape->sequence, at = 0;

    assert_non_null(sums);
    op_case_copy(&all, whole);
    assert_true(op_case_run(&all, case_reference(whole->op.op, exact), 1));
    for (int i = 0; i < count; i++)
        check_part(shape, &all, &parts[i], exact, sum ? sums : NULL);
    for (int i = LLMRUN_ATTENTION_GRAD_DK; sum && i <= LLMRUN_ATTENTION_GRAD_DV; i++)
        for (int64_t e = 0; e < op_case_elements(&all, i); e++, at++)
            if (!(fabs(sums[at] - op_case_value(&all, i, e)) < (all.tensors[i].dtype == LLMRUN_F32 ? 1e-5 : 0.1)))
                fail_msg("operand %d, element %lld: parts add up to %g, not to %g", i, (long long)e, sums[at],
                         op_case_value(&all, i, e));
    free(sums);
    op_case_end(&all);
}

static void queries_in_parts_give_the_bits_of_the_whole(void **state)
{
    static const struct attention_shape shapes[] = {
        {2, 200, 4, 2, 10, 3, 0.0f}, {1, 200, 3, 1, 16, 2, 0.25f}, {1, 200, 2, 2, 20, 1, 0.0f}};
    /* In two and in four, where blocks of keys begin, and anywhere. */
    static const int64_t cuts[][5] = {{0, 100, 200}, {0, 50, 100, 150, 200}, {0, 64, 128, 200}, {0, 1, 65, 131, 200}};

    (void)state;
    for (size_t n = 0; n < COUNT(shapes) * COUNT(cuts); n += EVERY(5)) {
        const struct attention_shape *shape = &shapes[n % COUNT(shapes)];
        const int64_t *cut = cuts[n / COUNT(shapes)];
        struct attention_case attention;
        struct part parts[4];
        int count = 0;

        for (; count < 4 && cut[count + 1] > 0; count++)
            parts[count] = (struct part){cut[count], cut[count + 1] - cut[count], 0, shape->heads};
        attention_case_begin(&attention, shape, dtypes[n % COUNT(dtypes)], n, 1);
        for (int exact = n / COUNT(shapes) < COUNT(cuts) - 1; exact < 2; exact++) {
            check_parts(shape, &attention.forward, parts, count, exact);
            check_parts(shape, &attention.grad, parts, count, exact);
        }
        attention_case_end(&attention);
    }
}

static void heads_in_parts_drop_what_the_whole_drops(void **state)
{
    static const struct attention_shape shape = {2, 70, 8, 4, 8, 3, 0.5f};
    /* The last is a part of the queries too. */
    static const struct part parts[] = {{0, 70, 0, 4}, {0, 70, 4, 4}, {0, 70, 6, 2}, {37, 33, 4, 4}};

    (void)state;
    for (size_t n = 0; n < COUNT(dtypes); n++) {
        struct attention_case attention;

        attention_case_begin(&attention, &shape, dtypes[n], n, 1);
        for (int exact = 0; exact < 2; exact++) {
            check_parts(&shape, &attention.forward, parts, COUNT(parts), exact);
            check_parts(&shape, &attention.grad, parts, COUNT(parts), exact);
        }
        attention_case_end(&attention);
    }
}

/* The documents of segment_starts, and a document that goes on from one sequence into the next. */
static void set_offsets(const struct attention_shape *shape, struct op_case *op_case)
{
    const int32_t *starts = op_case->data[LLMRUN_ATTENTION_SEGMENT_STARTS];
    int32_t *offsets, rows = (int32_t)(shape->sequences * shape->sequence);
    int64_t count = 0;

    offsets = op_case_operand(op_case, LLMRUN_ATTENTION_DOCUMENT_OFFSETS, LLMRUN_I32,
                              EXTENTS(shape->sequences * (shape->segments + 1)), NUMBERS_SMALL);
    for (int32_t row = 0; row < rows; row++)
        if (row == 0 || (starts[row] > 0 && starts[row] == row % shape->sequence))
            offsets[count++] = row;
    while (count < op_case_elements(op_case, LLMRUN_ATTENTION_DOCUMENT_OFFSETS))
        offsets[count++] = rows;
}

static void remove_starts(struct op_case *op_case)
{
    free(op_case->data[LLMRUN_ATTENTION_SEGMENT_STARTS]);
    op_case->data[LLMRUN_ATTENTION_SEGMENT_STARTS] = NULL;
    memset(&op_case->tensors[LLMRUN_ATTENTION_SEGMENT_STARTS], 0, sizeof(op_case->tensors[0]));
}

/* With the operands `expected` has, but for starts, or starts and offsets: the same bits, whole and in parts. */
static void check_starts(const struct attention_shape *shape, const struct op_case *expected, int with_offsets)
{
    const struct part parts[] = {{0, 77, 0, shape->heads}, {77, shape->sequence - 77, 0, shape->heads}};

    for (int both = 0; both <= with_offsets; both++) {
        struct op_case op_case;

        op_case_copy(&op_case, expected);
        if (with_offsets)
            set_offsets(shape, &op_case);
        if (!both)
            remove_starts(&op_case);
        for (int exact = 0; exact < 2; exact++) {
            struct op_case all;

            op_case_copy(&all, expected);
            assert_true(op_case_run(&all, case_reference(all.op.op, exact), 1));
            assert_true(op_case_run(&op_case, case_reference(all.op.op, exact), 1));
            for (int i = LLMRUN_ATTENTION_RNG_STATE + 1; i < (int)all.op.operand_count; i++)
                assert_memory_equal(op_case.data[i], all.data[i],
                                    (size_t)op_case_elements(&all, i) * element_bytes(&all, i));
            op_case_end(&all);
        }
        case_check(&op_case, "without starts");
        check_parts(shape, &op_case, parts, COUNT(parts), 1);
        op_case_end(&op_case);
    }
}

static void offsets_of_documents_say_what_starts_say(void **state)
{
    static const struct attention_shape shapes[] = {{3, 150, 2, 1, 10, 5, 0.25f}, {2, 150, 2, 1, 16, 1, 0.0f}};

    (void)state;
    for (size_t n = 0; n < COUNT(shapes) * COUNT(dtypes); n++) {
        const struct attention_shape *shape = &shapes[n / 2];
        struct attention_case attention;

        attention_case_begin(&attention, shape, dtypes[n % 2], n, 1);
        for (int with_offsets = shape->segments > 1; with_offsets < 2; with_offsets++) {
            check_starts(shape, &attention.forward, with_offsets);
            check_starts(shape, &attention.grad, with_offsets);
        }
        attention_case_end(&attention);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(queries_in_parts_give_the_bits_of_the_whole),
        cmocka_unit_test(heads_in_parts_drop_what_the_whole_drops),
        cmocka_unit_test(offsets_of_documents_say_what_starts_say),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
