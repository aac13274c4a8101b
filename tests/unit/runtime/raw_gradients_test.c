/* Gradients as backward leaves them, neither clipped nor hidden by what AdamW makes of them: with beta1 0 and without
 * clipping, the first moment after a step is the gradient. */
#include "training.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "every.h"
#include "model/family.h"

static const struct layout layouts[] = {
    {.tp = 1, .pp = 1, .dp = 4, .micro_batch = 1},
    {.tp = 1, .pp = 1, .dp = 4, .micro_batch = 2, .zero = 1},
    {.tp = 1, .pp = 4, .dp = 1, .micro_batch = 1, .schedule = PIPELINE_ZERO_BUBBLE},
    {.tp = 1, .pp = 2, .dp = 1, .micro_batch = 2, .schedule = PIPELINE_INTERLEAVED, .chunks = 2},
    {.tp = 2, .pp = 1, .dp = 1, .micro_batch = 8},
    {.tp = 4, .pp = 1, .dp = 2, .micro_batch = 2, .sp = true, .zero = 1, .recompute = RECOMPUTE_SELECTIVE},
    {.tp = 2, .pp = 2, .dp = 2, .micro_batch = 1, .sp = true, .recompute = RECOMPUTE_FULL}};

static struct training raw(enum training_family family, uint32_t dtype, const struct layout *layout)
{
    struct training training = training_of(family, dtype, layout);

    training.steps = 1;
    training.request.update.beta1 = 0;
    training.request.update.clip = 0;
    return training;
}

static void raw_gradients_are_those_of_one_rank(void **state)
{
    static struct rank one[TRAINING_RANKS], all[TRAINING_RANKS];

    (void)state;
    for (int f = 0; f < TRAINING_FAMILIES; f++)
        for (int d = 0; d < 2; d++) {
            const uint32_t dtype = d == 0 ? LLMRUN_F32 : LLMRUN_BF16;
            const struct training alone = raw((enum training_family)f, dtype, &training_single);

            training_run(one, &alone);
            for (size_t i = (size_t)(f + d) % EVERY(3); i < sizeof layouts / sizeof layouts[0]; i += EVERY(3)) {
                const struct training training = raw((enum training_family)f, dtype, &layouts[i]);
                char text[200];

                training_describe(&layouts[i], &training, text);
                training_run(all, &training);
                training_compare(all, one, text);
                training_end(all);
            }
            training_end(one);
        }
}

static bool ends_with(const char *text, const char *end)
{
    const size_t length = strlen(text), ends = strlen(end);

    return length >= ends && strcmp(text + length - ends, end) == 0;
}

/* A number added to all scores of a row changes no softmax, so the gradient of GPT-2's bias of keys is what rounding
 * leaves. */
static bool has_no_gradient(const char *moment)
{
    return moment[0] == 'h' && ends_with(moment, ".attn.k_proj.bias.m");
}

/* Each parameter's squares are enough of the sum that the fp32 norm would change if one of its 8 parts was counted
 * twice or not at all; and that norm is the one of every layout, by the test above. */
static void the_norm_has_each_element_once(void **state)
{
    static struct rank one[TRAINING_RANKS];

    (void)state;
    for (int f = 0; f < TRAINING_FAMILIES; f++) {
        const struct training training = raw((enum training_family)f, LLMRUN_F32, &training_single);
        double shares[512] = {0}, sum = 0;
        const struct program *program = &one[0].compiled.program;
        int moments = 0;

        training_run(one, &training);
        for (int32_t i = 0; i < program->value_count; i++) {
            const struct value *value = &program->values[i];
            const float *numbers = one[0].outcome.values[i];

            if (!training_keeps(value) || !ends_with(value->name, ".m"))
                continue;
            assert_true(moments < 512);
            for (int64_t k = 0; k < value_elements(value); k++)
                shares[moments] += (double)numbers[k] * (double)numbers[k];
            sum += shares[moments];
            if (has_no_gradient(value->name))
                shares[moments] = INFINITY;
            moments++;
        }
        for (int i = 0; i < moments; i++)
            assert_true(shares[i] > 8 * 2.4e-7 * sum);
        assert_true(moments > 30);
        assert_true(fabs((double)one[0].outcome.norms[0] - sqrt(sum)) < 1.2e-7 * sqrt(sum));
        training_end(one);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(raw_gradients_are_those_of_one_rank),
                                       cmocka_unit_test(the_norm_has_each_element_once)};

    return cmocka_run_group_tests_name("raw gradients", tests, training_setup, NULL);
}
