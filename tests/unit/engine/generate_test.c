/* The choice of a token. Logits are logarithms of probabilities, so the expected shares are those probabilities: a grid
 * of uniform numbers must meet each token as often as it is probable. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "engine/generate.h"

#define TOKENS 5
#define DRAWS  10000

/* Token 2 is the most probable one, then 4, 0, 1, 3. */
static const double probability[TOKENS] = {0.15, 0.04, 0.5, 0.01, 0.3};

static void make_logits(float logits[TOKENS])
{
    for (int i = 0; i < TOKENS; i++)
        logits[i] = (float)log(probability[i]) + 3; /* a constant changes no share */
}

static void count_draws(const struct generate_options *options, int counts[TOKENS])
{
    struct candidate_token scratch[TOKENS];
    float logits[TOKENS];

    make_logits(logits);
    memset(counts, 0, TOKENS * sizeof *counts);
    for (int i = 0; i < DRAWS; i++)
        counts[sample_token(logits, TOKENS, options, (i + 0.5) / DRAWS, scratch)]++;
}

static void assert_shares(const struct generate_options *options, const double shares[TOKENS])
{
    int counts[TOKENS];

    count_draws(options, counts);
    for (int i = 0; i < TOKENS; i++)
        if (fabs(counts[i] - DRAWS * shares[i]) > 2)
            fail_msg("token %d was chosen %d times in %d, wanted %.1f", i, counts[i], DRAWS, DRAWS * shares[i]);
}

static void each_token_comes_as_often_as_it_is_probable(void **state)
{
    const struct generate_options options = {.temperature = 1, .top_p = 1};

    (void)state;
    assert_shares(&options, probability);
}

static void temperature_is_a_power_of_the_probabilities(void **state)
{
    const struct generate_options options = {.temperature = 2, .top_p = 1};
    double shares[TOKENS], sum = 0;

    (void)state;
    for (int i = 0; i < TOKENS; i++)
        sum += sqrt(probability[i]);
    for (int i = 0; i < TOKENS; i++)
        shares[i] = sqrt(probability[i]) / sum;
    assert_shares(&options, shares);
}

static void top_k_keeps_the_k_most_probable(void **state)
{
    const struct generate_options options = {.temperature = 1, .top_p = 1, .top_k = 2};

    (void)state;
    assert_shares(&options, (const double[TOKENS]){0, 0, 0.5 / 0.8, 0, 0.3 / 0.8});
}

static void a_top_k_above_the_vocabulary_keeps_all(void **state)
{
    const struct generate_options options = {.temperature = 1, .top_p = 1, .top_k = 1000};

    (void)state;
    assert_shares(&options, probability);
}

/* Holtzman et al. 2020: the smallest set of the most probable tokens that reaches p together. */
static void top_p_keeps_the_smallest_set_that_reaches_p(void **state)
{
    struct generate_options options = {.temperature = 1, .top_p = 0.81};

    (void)state;
    assert_shares(&options, (const double[TOKENS]){0.15 / 0.95, 0, 0.5 / 0.95, 0, 0.3 / 0.95});
    options.top_p = 0.79;
    assert_shares(&options, (const double[TOKENS]){0, 0, 0.5 / 0.8, 0, 0.3 / 0.8});
    options.top_p = 0.01;
    assert_shares(&options, (const double[TOKENS]){0, 0, 1, 0, 0});
}

static void top_p_counts_among_what_top_k_leaves(void **state)
{
    /* Of 0.5, 0.3, 0.15 the first two are 0.842. */
    const struct generate_options options = {.temperature = 1, .top_p = 0.83, .top_k = 3};

    (void)state;
    assert_shares(&options, (const double[TOKENS]){0, 0, 0.5 / 0.8, 0, 0.3 / 0.8});
}

static void temperature_0_is_the_most_probable_token(void **state)
{
    const struct generate_options options = {.temperature = 0, .top_p = 1};

    (void)state;
    assert_shares(&options, (const double[TOKENS]){0, 0, 1, 0, 0});
}

static void a_tiny_temperature_is_the_most_probable_token_too(void **state)
{
    const struct generate_options options = {.temperature = 1e-300, .top_p = 1};

    (void)state;
    assert_shares(&options, (const double[TOKENS]){0, 0, 1, 0, 0});
}

static void ties_go_to_the_lower_token(void **state)
{
    const float logits[] = {1, 5, 5, 5, 2};
    struct generate_options options = {.temperature = 0, .top_p = 1};
    struct candidate_token scratch[TOKENS];

    (void)state;
    assert_int_equal(sample_token(logits, TOKENS, &options, 0.999, scratch), 1);
    options.temperature = 1;
    options.top_k = 1;
    assert_int_equal(sample_token(logits, TOKENS, &options, 0.999, scratch), 1);
    options.top_k = 2;
    assert_int_equal(sample_token(logits, TOKENS, &options, 0.999, scratch), 2);
}

static void the_ends_of_the_uniform_range_choose_the_first_and_the_last(void **state)
{
    const struct generate_options options = {.temperature = 1, .top_p = 1};
    struct candidate_token scratch[TOKENS];
    float logits[TOKENS];

    (void)state;
    make_logits(logits);
    assert_int_equal(sample_token(logits, TOKENS, &options, 0, scratch), 2);
    assert_int_equal(sample_token(logits, TOKENS, &options, 1 - 0x1p-53, scratch), 3);
}

/* Sums in another order differ in their last bits; whatever that makes of the ends of a range, the last of the tokens
 * that may be picked is the least probable one. */
static void rounding_never_leads_beyond_the_last_token(void **state)
{
    enum { COUNT = 37 };
    const double below_1 = 1 - 0x1p-53;
    struct candidate_token scratch[COUNT + 1];
    float logits[COUNT];
    uint32_t random = 1;

    (void)state;
    for (int round = 0; round < 300; round++) {
        int32_t least = 0;

        for (int i = 0; i < COUNT; i++) {
            random = random * 1664525 + 1013904223;
            logits[i] = (float)(random >> 8) * 0x1p-22f;
            least = logits[i] <= logits[least] ? i : least;
        }
        for (int i = 0; i < 3; i++) {
            const struct generate_options options = {
                .temperature = 1, .top_p = i == 1 ? below_1 : 1, .top_k = i == 2 ? COUNT - 1 : 0};
            int32_t token;

            scratch[COUNT] = (struct candidate_token){0, 1000}; /* of nobody */
            token = sample_token(logits, COUNT, &options, below_1, scratch);
            assert_in_range(token, 0, COUNT - 1);
            assert_true(i == 2 ? token != least : i == 1 || token == least);
            /* No number reaches all there is: the last token is the answer. */
            token = sample_token(logits, COUNT, &options, 2, scratch);
            assert_true(i == 2 ? token != least : token == least);
        }
    }
}

/* As the range goes on, tokens come from the most probable one on, ties by number: with many tokens and few values. */
static void tokens_come_in_the_order_of_their_probability(void **state)
{
    enum { COUNT = 101, STEPS = 20000 };
    static const int64_t kept[] = {0, 1, 2, 7, 50, COUNT - 1};
    struct candidate_token scratch[COUNT];
    float logits[COUNT];
    uint32_t random = 7;

    (void)state;
    for (int i = 0; i < COUNT; i++) {
        random = random * 1664525 + 1013904223;
        logits[i] = (float)(random >> 28) * 0.1f;
    }
    for (size_t k = 0; k < sizeof kept / sizeof kept[0]; k++)
        for (int by_share = 0; by_share < 2; by_share++) {
            /* A top_p just below 1 has all candidates ranked, and keeps them. */
            const struct generate_options options = {
                .temperature = 1, .top_p = by_share ? 1 - 1e-12 : 1, .top_k = kept[k]};
            const int64_t wanted = kept[k] > 0 ? kept[k] : COUNT;
            int32_t before = -1;
            int64_t tokens = 0;

            for (int step = 0; step < STEPS; step++) {
                const int32_t token = sample_token(logits, COUNT, &options, (double)step / STEPS, scratch);
                int64_t better = 0;

                if (token == before)
                    continue;
                for (int32_t i = 0; i < COUNT; i++)
                    better += logits[i] > logits[token] || (logits[i] == logits[token] && i < token);
                assert_int_equal(better, tokens); /* none is left out */
                before = token;
                tokens++;
            }
            assert_int_equal(tokens, wanted);
        }
}

/* Of tokens 0 to 4 the most probable is 2: with a tokenizer of two tokens it has no text. */
static void tokens_without_a_text_are_never_picked_but_for_stops(void **state)
{
    const int32_t stop = 4;
    struct generate_options options = {.temperature = 0, .top_p = 1, .vocabulary = 2};
    struct candidate_token scratch[TOKENS];
    const float logits[TOKENS] = {1, 2, 5, 3, 4};

    (void)state;
    assert_int_equal(sample_token(logits, TOKENS, &options, 0, scratch), 1);
    options.temperature = 1;
    assert_int_equal(sample_token(logits, TOKENS, &options, 0, scratch), 1);
    assert_int_equal(sample_token(logits, TOKENS, &options, 1 - 0x1p-53, scratch), 0);
    options.top_k = 4;
    assert_int_equal(sample_token(logits, TOKENS, &options, 1 - 0x1p-53, scratch), 0);
    options.stops = &stop;
    options.stop_count = 1;
    assert_int_equal(sample_token(logits, TOKENS, &options, 0, scratch), 4);
    options.temperature = 0;
    assert_int_equal(sample_token(logits, TOKENS, &options, 0, scratch), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_token_comes_as_often_as_it_is_probable),
        cmocka_unit_test(temperature_is_a_power_of_the_probabilities),
        cmocka_unit_test(top_k_keeps_the_k_most_probable),
        cmocka_unit_test(a_top_k_above_the_vocabulary_keeps_all),
        cmocka_unit_test(top_p_keeps_the_smallest_set_that_reaches_p),
        cmocka_unit_test(top_p_counts_among_what_top_k_leaves),
        cmocka_unit_test(temperature_0_is_the_most_probable_token),
        cmocka_unit_test(a_tiny_temperature_is_the_most_probable_token_too),
        cmocka_unit_test(ties_go_to_the_lower_token),
        cmocka_unit_test(tokens_come_in_the_order_of_their_probability),
        cmocka_unit_test(tokens_without_a_text_are_never_picked_but_for_stops),
        cmocka_unit_test(the_ends_of_the_uniform_range_choose_the_first_and_the_last),
        cmocka_unit_test(rounding_never_leads_beyond_the_last_token),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
