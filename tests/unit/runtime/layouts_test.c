/* Training in every layout: losses, gradient norms, weights and moments have the bits of one rank's. */
#include "training.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* The layouts of a test, against one rank, for three families in fp32 and bf16. */
static void compare(const struct layout *layouts, int count)
{
    static const enum training_family families[] = {TRAINING_GPT2, TRAINING_LLAMA, TRAINING_QWEN3};
    static const uint32_t dtypes[] = {LLMRUN_F32, LLMRUN_BF16};
    static struct rank one[TRAINING_RANKS], all[TRAINING_RANKS];

    for (int m = 0; m < 3; m++)
        for (int d = 0; d < 2; d++) {
            const struct training alone = training_of(families[m], dtypes[d], &training_single);

            training_run(one, &alone);
            for (int i = 0; i < count; i++) {
                const struct training training = training_of(families[m], dtypes[d], &layouts[i]);
                char text[200];

                training_describe(&layouts[i], &training, text);
                print_message("%s\n", text);
                training_run(all, &training);
                training_compare(all, one, text);
                training_end(all);
            }
            training_end(one);
        }
}

#define COMPARE(layouts) compare(layouts, (int)(sizeof(layouts) / sizeof(layouts)[0]))

static void pipelines_have_the_bits_of_one_rank(void **state)
{
    static const struct layout layouts[] = {
        {.tp = 1, .pp = 2, .dp = 1, .micro_batch = 2},
        {.tp = 1, .pp = 3, .dp = 1, .micro_batch = 1, .schedule = PIPELINE_GPIPE},
        {.tp = 1, .pp = 4, .dp = 1, .micro_batch = 2, .schedule = PIPELINE_ZERO_BUBBLE},
        {.tp = 1, .pp = 2, .dp = 1, .micro_batch = 2, .schedule = PIPELINE_INTERLEAVED, .chunks = 2},
        {.tp = 1, .pp = 2, .dp = 1, .micro_batch = 1, .schedule = PIPELINE_ZERO_BUBBLE, .chunks = 2},
        {.tp = 1, .pp = 2, .dp = 1, .micro_batch = 2, .recompute = RECOMPUTE_FULL},
        {.tp = 1, .pp = 2, .dp = 1, .micro_batch = 2, .recompute = RECOMPUTE_SELECTIVE}};

    (void)state;
    COMPARE(layouts);
}

static void data_parallel_ranks_have_the_bits_of_one_rank(void **state)
{
    static const struct layout layouts[] = {{.tp = 1, .pp = 1, .dp = 2, .micro_batch = 2},
                                            {.tp = 1, .pp = 1, .dp = 2, .micro_batch = 4},
                                            {.tp = 1, .pp = 1, .dp = 4, .micro_batch = 1},
                                            {.tp = 1, .pp = 1, .dp = 8, .micro_batch = 1},
                                            {.tp = 1, .pp = 1, .dp = 2, .micro_batch = 1, .recompute = RECOMPUTE_FULL},
                                            {.tp = 1, .pp = 2, .dp = 2, .micro_batch = 1},
                                            {.tp = 1, .pp = 2, .dp = 4, .micro_batch = 1, .schedule = PIPELINE_GPIPE}};

    (void)state;
    COMPARE(layouts);
}

static void a_sharded_optimizer_has_the_bits_of_one_rank(void **state)
{
    static const struct layout layouts[] = {
        {.tp = 1, .pp = 1, .dp = 2, .micro_batch = 2, .zero = 1},
        {.tp = 1, .pp = 1, .dp = 4, .micro_batch = 1, .zero = 1},
        {.tp = 1, .pp = 1, .dp = 8, .micro_batch = 1, .zero = 1},
        {.tp = 1, .pp = 1, .dp = 4, .micro_batch = 2, .zero = 1, .shards = 2},
        {.tp = 1, .pp = 1, .dp = 8, .micro_batch = 1, .zero = 1, .shards = 2},
        {.tp = 1, .pp = 1, .dp = 8, .micro_batch = 1, .zero = 1, .shards = 4},
        {.tp = 1, .pp = 2, .dp = 2, .micro_batch = 1, .zero = 1},
        {.tp = 1, .pp = 2, .dp = 4, .micro_batch = 1, .zero = 1, .schedule = PIPELINE_ZERO_BUBBLE}};

    (void)state;
    COMPARE(layouts);
}

static void tensor_parallel_ranks_have_the_bits_of_one_rank(void **state)
{
    static const struct layout layouts[] = {
        {.tp = 2, .pp = 1, .dp = 1, .micro_batch = 4},
        {.tp = 2, .pp = 1, .dp = 1, .micro_batch = 2, .sp = true},
        {.tp = 4, .pp = 1, .dp = 1, .micro_batch = 2, .sp = true, .recompute = RECOMPUTE_SELECTIVE},
        {.tp = 8, .pp = 1, .dp = 1, .micro_batch = 4, .sp = true},
        {.tp = 8, .pp = 1, .dp = 1, .micro_batch = 1, .recompute = RECOMPUTE_FULL},
        {.tp = 2, .pp = 1, .dp = 1, .micro_batch = 4, .sp = true, .loss_chunk = 16}};

    (void)state;
    COMPARE(layouts);
}

static void all_three_together_have_the_bits_of_one_rank(void **state)
{
    static const struct layout layouts[] = {
        {.tp = 2, .pp = 1, .dp = 2, .micro_batch = 2},
        {.tp = 2, .pp = 1, .dp = 2, .micro_batch = 2, .sp = true, .zero = 1},
        {.tp = 2, .pp = 1, .dp = 4, .micro_batch = 1, .zero = 1},
        {.tp = 2, .pp = 1, .dp = 4, .micro_batch = 1, .sp = true, .zero = 1, .shards = 2},
        {.tp = 2, .pp = 2, .dp = 1, .micro_batch = 2, .sp = true},
        {.tp = 2, .pp = 2, .dp = 1, .micro_batch = 2, .recompute = RECOMPUTE_FULL},
        {.tp = 2, .pp = 2, .dp = 1, .micro_batch = 4, .loss_chunk = 16},
        {.tp = 4, .pp = 2, .dp = 1, .micro_batch = 2, .sp = true, .schedule = PIPELINE_ZERO_BUBBLE},
        {.tp = 2, .pp = 2, .dp = 2, .micro_batch = 1},
        {.tp = 2, .pp = 2, .dp = 2, .micro_batch = 2, .sp = true, .zero = 1, .loss_chunk = 16},
        {.tp = 2, .pp = 2, .dp = 2, .micro_batch = 1, .sp = true, .schedule = PIPELINE_INTERLEAVED, .chunks = 2}};

    (void)state;
    COMPARE(layouts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(data_parallel_ranks_have_the_bits_of_one_rank),
                                       cmocka_unit_test(a_sharded_optimizer_has_the_bits_of_one_rank),
                                       cmocka_unit_test(tensor_parallel_ranks_have_the_bits_of_one_rank),
                                       cmocka_unit_test(all_three_together_have_the_bits_of_one_rank),
                                       cmocka_unit_test(pipelines_have_the_bits_of_one_rank)};

    return cmocka_run_group_tests(tests, training_setup, NULL);
}
