/* Attention kernels on each instruction set and number of threads against the exact reference, bit for bit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "attention_case.h"
#include "every.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Around the vector of 16, the block of 64, heads that fill no vector, groups that are no power of two. */
static const struct attention_shape shapes[] = {
    {1, 1, 1, 1, 8, 1, 0.0f},    {2, 7, 2, 2, 8, 1, 0.0f},      {1, 64, 2, 1, 64, 1, 0.0f},
    {2, 65, 3, 1, 16, 1, 0.0f},  {1, 200, 2, 2, 64, 1, 0.0f},   {1, 130, 6, 2, 80, 1, 0.0f},
    {1, 150, 5, 1, 24, 4, 0.0f}, {2, 200, 2, 1, 16, 7, 0.0f},   {1, 65, 2, 2, 16, 1, 0.25f},
    {2, 130, 2, 1, 8, 3, 0.5f},  {2, 64, 2, 2, 128, 2, 0.125f}, {1, 129, 7, 1, 10, 2, 0.0f},
};

static void check_shapes(uint32_t dtype)
{
    for (size_t i = 0; i < COUNT(shapes); i += EVERY(3)) {
        const struct attention_shape *shape = &shapes[i];
        struct attention_case attention;
        char what[160];

        snprintf(what, sizeof(what), "%lld x %lld, %u/%u heads of %lld, %d segments, dropout %g, seed %zu",
                 (long long)shape->sequences, (long long)shape->sequence, shape->heads, shape->kv_heads,
                 (long long)shape->width, shape->segments, (double)shape->dropout, i);
        attention_case_begin(&attention, shape, dtype, i, 1);
        case_check(&attention.forward, what);
        case_check(&attention.grad, what);
        attention_case_end(&attention);
    }
}

static void fp32_kernels_give_the_bits_of_the_reference(void **state)
{
    (void)state;
    check_shapes(LLMRUN_F32);
}

static void bf16_kernels_give_the_bits_of_the_reference(void **state)
{
    (void)state;
    check_shapes(LLMRUN_BF16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fp32_kernels_give_the_bits_of_the_reference),
        cmocka_unit_test(bf16_kernels_give_the_bits_of_the_reference),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
