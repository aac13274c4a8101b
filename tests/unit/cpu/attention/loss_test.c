/* linear_cross_entropy on each instruction set and number of threads against the exact reference, bit for bit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "attention_case.h"
#include "every.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void check(const struct loss_shape *shape, uint32_t dtype, unsigned gradients, uint64_t seed)
{
    struct loss_case loss;
    char what[160];

    snprintf(what, sizeof(what), "%lld x %lld tokens of %lld, %lld of %lld rows, gradients %u, seed %llu",
             (long long)shape->sequences, (long long)shape->sequence, (long long)shape->width,
             (long long)shape->vocabulary, (long long)shape->rows, gradients, (unsigned long long)seed);
    loss_case_begin(&loss, shape, dtype, gradients, seed);
    case_check(&loss.op, what);
    op_case_end(&loss.op);
}

static void every_kernel_gives_the_bits_of_the_reference(void **state)
{
    static const struct loss_shape shapes[] = {
        {1, 1, 1, 1, 1, 1, 1, 1},       {2, 3, 8, 17, 16, 1, 1, 1}, {3, 5, 33, 100, 97, 1, 1, 1},
        {2, 40, 16, 300, 257, 1, 1, 1}, {1, 7, 5, 64, 64, 1, 1, 1},
    };
    static const unsigned gradients[] = {0, LOSS_DX, LOSS_DW, LOSS_DX | LOSS_DW, LOSS_DX | LOSS_DW | LOSS_ADD_TO_DW};

    (void)state;
    for (size_t i = 0; i < COUNT(shapes); i++)
        for (size_t g = 0; g < COUNT(gradients); g += EVERY(4)) {
            check(&shapes[i], LLMRUN_F32, gradients[g], i);
            check(&shapes[i], LLMRUN_BF16, gradients[g], i);
        }
}

/* The last vocabulary part of 8 is all padding in the first shape, and the sum of each is made of sixteen lanes and a
 * rest. */
static void parts_have_the_bits_of_the_reference(void **state)
{
    static const struct loss_shape shapes[] = {{4, 6, 24, 320, 270, 8, 8, 2}, {2, 8, 16, 64, 57, 4, 4, 2},
                                               {8, 3, 8, 72, 72, 8, 8, 8},    {1, 16, 8, 16, 9, 2, 2, 1},
                                               {2, 8, 12, 64, 33, 4, 8, 2},   {2, 8, 16, 48, 7, 8, 4, 1}};

    (void)state;
    for (size_t i = 0; i < COUNT(shapes); i++) {
        check(&shapes[i], LLMRUN_F32, LOSS_DX | LOSS_DW, i);
        check(&shapes[i], LLMRUN_BF16, LOSS_DX | LOSS_DW, i);
    }
}

/* So many tokens for the width that sums of batch parts take less memory than all logits, and wait for each other. */
static void batch_parts_that_wait_have_the_bits_of_the_reference(void **state)
{
    static const struct loss_shape shapes[] = {
        {2, 40, 2, 32, 29, 2, 2, 2}, {8, 20, 8, 24, 24, 8, 8, 8}, {4, 32, 1, 17, 17, 1, 1, 4}};

    (void)state;
    for (size_t i = 0; i < COUNT(shapes); i++)
        for (unsigned gradients = LOSS_DX; gradients <= (LOSS_DX | LOSS_DW); gradients++) {
            check(&shapes[i], LLMRUN_F32, gradients, i);
            check(&shapes[i], LLMRUN_BF16, gradients, i);
        }
}

/* So many rows that 65 tokens make two chunks of logits, the second with an odd number of tokens; and so do the tokens
 * of each of two batch parts. */
static void a_chunk_of_tokens_leaves_no_trace(void **state)
{
    static const struct loss_shape shape = {1, 65, 2, 262208, 262190, 1, 1, 1},
                                   parts = {2, 65, 1, 262208, 262190, 1, 1, 2};

    (void)state;
    if (EVERY(2) > 1) {
        print_message("skipped: 51 million logits take too long under a sanitizer\n");
        skip();
    }
    check(&shape, LLMRUN_BF16, LOSS_DX | LOSS_DW | LOSS_ADD_TO_DW, 1);
    check(&parts, LLMRUN_F32, LOSS_DX | LOSS_DW, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kernel_gives_the_bits_of_the_reference),
        cmocka_unit_test(parts_have_the_bits_of_the_reference),
        cmocka_unit_test(batch_parts_that_wait_have_the_bits_of_the_reference),
        cmocka_unit_test(a_chunk_of_tokens_leaves_no_trace),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
