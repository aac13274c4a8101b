#include "support.h"

#include "data/permutation.h"
#include "data/sampler.h"

static void a_permutation_visits_every_index_once(void **state)
{
    static const int64_t counts[] = {1, 2, 3, 4, 5, 16, 17, 100, 1023, 1024, 1025, 4097};
    size_t number;

    (void)state;
    for (number = 0; number < sizeof counts / sizeof counts[0]; number++) {
        int64_t count = counts[number], place;
        char *seen = calloc((size_t)count, 1);

        for (place = 0; place < count; place++) {
            int64_t index = permutation_index(1337, 2, count, place);

            assert_in_range(index, 0, count - 1);
            assert_int_equal(seen[index], 0);
            seen[index] = 1;
        }
        free(seen);
    }
}

static int64_t equal_places(uint64_t seed, uint32_t epoch, uint64_t other_seed, uint32_t other_epoch, int64_t count)
{
    int64_t place, equal = 0;

    for (place = 0; place < count; place++)
        equal +=
            permutation_index(seed, epoch, count, place) == permutation_index(other_seed, other_epoch, count, place);
    return equal;
}

/* Two random permutations agree in 1 place on average, in more than 12 with a probability under 1e-9. */
static void seeds_and_epochs_give_orders_that_have_nothing_in_common(void **state)
{
    (void)state;
    assert_in_range(equal_places(1, 0, 2, 0, 5000), 0, 12);
    assert_in_range(equal_places(1, 0, 1ull << 32 | 1, 0, 5000), 0, 12);
    assert_in_range(equal_places(1, 0, 1, 1, 5000), 0, 12);
    assert_int_equal(equal_places(1, 7, 1, 7, 5000), 5000);
}

/* Chi-square of (place quarter, index quarter) has 9 degrees of freedom for a random permutation: 39 is the 1e-5 tail.
 */
static void a_permutation_spreads_every_stretch_over_the_whole(void **state)
{
    enum { COUNT = 16000 };
    int cells[4][4] = {{0}};
    double chi_square = 0;
    int place, row, column;

    (void)state;
    for (place = 0; place < COUNT; place++)
        cells[place * 4 / COUNT][permutation_index(99, 0, COUNT, place) * 4 / COUNT]++;
    for (row = 0; row < 4; row++)
        for (column = 0; column < 4; column++)
            chi_square += (cells[row][column] - COUNT / 16.0) * (cells[row][column] - COUNT / 16.0) / (COUNT / 16.0);
    assert_true(chi_square < 39);
}

static void start_packed(struct sampler *sampler, const struct token_set *set, int64_t seq_len)
{
    struct sampler_options options = {.seq_len = seq_len, .pack = true, .seed = 7};

    assert_int_equal(sampler_start_training(sampler, set, &options, NULL), STATUS_OK);
}

static void windows_of_an_epoch_tile_the_text_without_overlap(void **state)
{
    const int64_t length = 1003;
    struct token_set set;
    struct sampler sampler;
    int64_t sample, index, untold = 0;
    char targets[1003] = {0};

    (void)state;
    make_token_set(&set, 2000, &length, 1);
    start_packed(&sampler, &set, 10);
    assert_int_equal(sampler.samples, 99);
    for (sample = 0; sample < sampler.samples; sample++) {
        struct window window = sampler_window(&sampler, sample);

        assert_int_equal(window.count, 11);
        assert_in_range(window.start, 0, length - 11);
        for (index = 1; index < 11; index++)
            assert_int_equal(targets[window.start + index]++, 0);
    }
    for (index = 1; index < length; index++)
        untold += targets[index] == 0;
    assert_int_equal(untold, 1002 - 990);
    sampler_finish(&sampler);
    token_set_finish(&set);
}

static void epochs_begin_at_different_tokens_so_that_all_phases_are_seen(void **state)
{
    const int64_t length = 1003;
    struct token_set set;
    struct sampler sampler;
    int phases[10] = {0};
    int epoch, phase;

    (void)state;
    make_token_set(&set, 2000, &length, 1);
    start_packed(&sampler, &set, 10);
    for (epoch = 0; epoch < 200; epoch++)
        phases[sampler_window(&sampler, epoch * sampler.samples).start % 10]++;
    for (phase = 0; phase < 10; phase++)
        assert_in_range(phases[phase], 1, 60);
    sampler_finish(&sampler);
    token_set_finish(&set);
}

/* Computed apart from this code, in Python, from the definitions of Philox and of the order (docs/data.md). */
static void the_order_of_samples_is_the_documented_one(void **state)
{
    static const struct {
        int64_t sample, start;
    } expected[] = {{0, 923}, {1, 703}, {2, 313}, {3, 623}, {4, 453}, {5, 823}, {99, 608}, {100, 988}};
    const int64_t length = 1003;
    struct token_set set;
    struct sampler sampler;
    size_t index;

    (void)state;
    make_token_set(&set, 2000, &length, 1);
    start_packed(&sampler, &set, 10);
    for (index = 0; index < sizeof expected / sizeof expected[0]; index++)
        assert_int_equal(sampler_window(&sampler, expected[index].sample).start, expected[index].start);
    sampler_finish(&sampler);
    token_set_finish(&set);
}

static void an_evaluation_predicts_every_token_but_the_first_exactly_once(void **state)
{
    const int64_t length = 25;
    struct sampler_options options = {.seq_len = 10, .pack = true};
    struct token_set set;
    struct sampler sampler;
    struct window last;

    (void)state;
    make_token_set(&set, 100, &length, 1);
    assert_int_equal(sampler_start_evaluation(&sampler, &set, &options, 0, NULL), STATUS_OK);
    assert_int_equal(sampler.samples, 3);
    assert_int_equal(sampler_window(&sampler, 1).start, 10);
    assert_int_equal(sampler_window(&sampler, 1).count, 11);
    last = sampler_window(&sampler, 2);
    assert_int_equal(last.start, 20);
    assert_int_equal(last.count, 5);
    assert_int_equal(sampler_window(&sampler, 3).count, 0);
    sampler_finish(&sampler);
    token_set_finish(&set);
}

static void an_evaluation_stays_within_its_limit_of_tokens(void **state)
{
    const int64_t lengths[] = {25, 4, 6};
    struct sampler_options options = {.seq_len = 10, .pack = true};
    struct token_set set;
    struct sampler sampler;

    (void)state;
    make_token_set(&set, 100, lengths, 3);
    assert_int_equal(sampler_start_evaluation(&sampler, &set, &options, 29, NULL), STATUS_OK);
    assert_int_equal(sampler.samples, 2);
    assert_int_equal(sampler_start_evaluation(&sampler, &set, &options, 1, NULL), STATUS_OK);
    assert_int_equal(sampler.samples, 1);
    options.pack = false;
    assert_int_equal(sampler_start_evaluation(&sampler, &set, &options, 13, NULL), STATUS_OK);
    assert_int_equal(sampler.samples, 2); /* 10 targets of the first document, 3 of the second */
    sampler_finish(&sampler);
    token_set_finish(&set);
}

static void without_packing_each_document_is_a_row_and_what_teaches_nothing_is_left_out(void **state)
{
    const int64_t lengths[] = {5, 1, 30, 2};
    struct sampler_options options = {.seq_len = 10, .pack = false, .seed = 3};
    struct token_set set;
    struct sampler sampler;
    int64_t sample, total = 0;

    (void)state;
    make_token_set(&set, 100, lengths, 4);
    set.learn_from[3] = set.count; /* nothing of the last document is learned */
    assert_int_equal(sampler_start_training(&sampler, &set, &options, NULL), STATUS_OK);
    assert_int_equal(sampler.samples, 2);
    for (sample = 2; sample < 4; sample++) {
        struct window window = sampler_window(&sampler, sample);

        assert_true((window.start == 0 && window.count == 5) || (window.start == 6 && window.count == 11));
        total += window.count;
    }
    assert_int_equal(total, 16);
    sampler_finish(&sampler);
    token_set_finish(&set);
}

static void a_set_shorter_than_a_window_gives_one_padded_sample(void **state)
{
    const int64_t length = 4;
    struct token_set set;
    struct sampler sampler;

    (void)state;
    make_token_set(&set, 100, &length, 1);
    start_packed(&sampler, &set, 10);
    assert_int_equal(sampler.samples, 1);
    assert_int_equal(sampler_window(&sampler, 5).start, 0);
    assert_int_equal(sampler_window(&sampler, 5).count, 4);
    sampler_finish(&sampler);
    token_set_finish(&set);
}

static void a_set_with_nothing_to_predict_is_refused(void **state)
{
    const int64_t lengths[] = {1, 1};
    struct sampler_options options = {.seq_len = 10, .pack = true};
    struct token_set set;
    struct sampler sampler;
    struct error error;

    (void)state;
    make_token_set(&set, 100, lengths, 2);
    assert_int_equal(sampler_start_training(&sampler, &set, &options, &error), STATUS_INPUT);
    assert_string_equal(error.message, "the data has 2 tokens in 2 documents and none to predict; give longer text");
    sampler_finish(&sampler);
    token_set_finish(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_permutation_visits_every_index_once),
        cmocka_unit_test(seeds_and_epochs_give_orders_that_have_nothing_in_common),
        cmocka_unit_test(a_permutation_spreads_every_stretch_over_the_whole),
        cmocka_unit_test(windows_of_an_epoch_tile_the_text_without_overlap),
        cmocka_unit_test(epochs_begin_at_different_tokens_so_that_all_phases_are_seen),
        cmocka_unit_test(the_order_of_samples_is_the_documented_one),
        cmocka_unit_test(an_evaluation_predicts_every_token_but_the_first_exactly_once),
        cmocka_unit_test(an_evaluation_stays_within_its_limit_of_tokens),
        cmocka_unit_test(without_packing_each_document_is_a_row_and_what_teaches_nothing_is_left_out),
        cmocka_unit_test(a_set_shorter_than_a_window_gives_one_padded_sample),
        cmocka_unit_test(a_set_with_nothing_to_predict_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
