/* The same sequences in one call, or one by one as microbatches of one sequence: the same bits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "attention_case.h"
#include "kernels/table.h"

static size_t element_bytes(uint32_t dtype)
{
    return dtype == LLMRUN_F64 ? 8 : dtype == LLMRUN_BF16 ? 2 : 4;
}

/* Operands whose rows are tokens or sequences are cut; `whole` has a bit for each operand that is not. */
struct split {
    const struct op_case *all;
    int64_t sequences;
    uint32_t whole;
};

static size_t part_bytes(const struct split *split, int operand)
{
    size_t bytes = (size_t)op_case_elements(split->all, operand) * element_bytes(split->all->tensors[operand].dtype);

    return split->whole >> operand & 1 ? bytes : bytes / (size_t)split->sequences;
}

/* A case of sequence `sequence` alone. Outputs that are not cut go on from `before`, where there is one. */
static void take_part(const struct split *split, int64_t sequence, const struct op_case *before, struct op_case *part)
{
    op_case_begin(part, split->all->op.op, split->all->op.attributes, 1);
    part->op.accumulate = split->all->op.accumulate;
    for (int i = 0; i < (int)split->all->op.operand_count; i++) {
        const struct llmrun_tensor *tensor = &split->all->tensors[i];
        int64_t extents[LLMRUN_MAX_RANK + 1] = {0};
        int whole = (int)(split->whole >> i & 1);
        const char *from = split->all->data[i];

        if (from == NULL)
            continue;
        memcpy(extents, tensor->shape, tensor->rank * sizeof(extents[0]));
        extents[0] /= whole ? 1 : split->sequences;
        if (!whole)
            from += (size_t)sequence * part_bytes(split, i);
        if (whole && before != NULL)
            from = before->data[i];
        memcpy(op_case_operand(part, i, tensor->dtype, extents, NUMBERS_USUAL), from, part_bytes(split, i));
    }
}

static void assert_part_is(const struct split *split, int64_t sequence, const struct op_case *part)
{
    for (int i = 0; i < (int)split->all->op.operand_count; i++)
        if (split->all->data[i] != NULL && !(split->whole >> i & 1))
            assert_memory_equal(part->data[i], (char *)split->all->data[i] + (size_t)sequence * part_bytes(split, i),
                                part_bytes(split, i));
}

static const struct kernel *best_kernel(const struct op_case *op_case)
{
    const struct kernel *const *kernels = kernel_table_candidates(op_case->op.op, cpu_isa_best(), LLMRUN_OP_EXACT);
    int64_t workspace_bytes = 0;
    char reason[256];

    while (!(*kernels)->query(&op_case->op, 1, &workspace_bytes, reason, sizeof(reason)))
        kernels++;
    return *kernels;
}

/* `random` is the operand whose fourth word counts the sequences before, -1 without one. */
static void check_split(struct op_case *all, int64_t sequences, uint32_t whole, int random)
{
    struct split split = {all, sequences, whole};
    const struct kernel *kernel = best_kernel(all);
    struct op_case found, parts[8], *before = NULL;

    op_case_copy(&found, all);
    assert_true(op_case_run(&found, kernel, 2));
    for (int64_t sequence = 0; sequence < sequences; sequence++) {
        struct op_case *part = &parts[sequence];

        take_part(&split, sequence, before, part);
        if (random >= 0 && part->data[random] != NULL)
            ((uint32_t *)part->data[random])[3] = ((uint32_t *)all->data[random])[3] + (uint32_t)sequence;
        assert_true(op_case_run(part, kernel, 1));
        before = part;
    }
    split.all = &found;
    for (int64_t sequence = 0; sequence < sequences; sequence++)
        assert_part_is(&split, sequence, &parts[sequence]);
    for (int i = 0; i < (int)all->op.operand_count; i++)
        if (found.data[i] != NULL && (whole >> i & 1) && i != random)
            assert_memory_equal(before->data[i], found.data[i], part_bytes(&split, i));
    for (int64_t sequence = 0; sequence < sequences; sequence++)
        op_case_end(&parts[sequence]);
    op_case_end(&found);
}

static void check_attention(uint32_t dtype, float dropout)
{
    static const uint32_t whole = 1u << LLMRUN_ATTENTION_RNG_STATE;
    struct attention_shape shape = {4, 70, 4, 2, 16, 3, dropout};
    struct attention_case attention;

    attention_case_begin(&attention, &shape, dtype, 5, 1);
    check_split(&attention.forward, shape.sequences, whole, LLMRUN_ATTENTION_RNG_STATE);
    check_split(&attention.grad, shape.sequences, whole, LLMRUN_ATTENTION_GRAD_RNG_STATE);
    attention_case_end(&attention);
}

static void a_microbatch_leaves_no_trace_in_attention(void **state)
{
    (void)state;
    check_attention(LLMRUN_F32, 0.0f);
    check_attention(LLMRUN_BF16, 0.0f);
}

static void dropout_counts_sequences_of_the_whole_batch(void **state)
{
    (void)state;
    check_attention(LLMRUN_F32, 0.5f);
}

static void a_microbatch_leaves_no_trace_in_the_loss(void **state)
{
    static const uint32_t dtypes[] = {LLMRUN_F32, LLMRUN_BF16};
    static const struct loss_shape shape = {4, 10, 24, 130, 120, 1, 2, 1};
    static const uint32_t whole = 1u << LLMRUN_LINEAR_CROSS_ENTROPY_W | 1u << LLMRUN_LINEAR_CROSS_ENTROPY_SCALE |
                                  1u << LLMRUN_LINEAR_CROSS_ENTROPY_DW;

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct loss_case loss;

        loss_case_begin(&loss, &shape, dtypes[i], LOSS_DX | LOSS_DW | LOSS_ADD_TO_DW, 6);
        check_split(&loss.op, shape.sequences, whole, -1);
        op_case_end(&loss.op);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_microbatch_leaves_no_trace_in_attention),
        cmocka_unit_test(dropout_counts_sequences_of_the_whole_batch),
        cmocka_unit_test(a_microbatch_leaves_no_trace_in_the_loss),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
