#include "support.h"

#include "batch_memory.h"

struct fixture {
    struct token_set set;
    struct sampler sampler;
    struct batch batch;
};

static void start(struct fixture *fixture, const int64_t *lengths, int64_t documents, int64_t seq_len,
                  int64_t sequences, bool pack)
{
    struct sampler_options options = {.seq_len = seq_len, .pack = pack, .seed = 5};

    make_token_set(&fixture->set, 100000, lengths, documents);
    assert_int_equal(sampler_start_evaluation(&fixture->sampler, &fixture->set, &options, 0, NULL), STATUS_OK);
    assert_true(batch_create(&fixture->batch, sequences, seq_len));
}

static void finish(struct fixture *fixture)
{
    batch_destroy(&fixture->batch);
    sampler_finish(&fixture->sampler);
    token_set_finish(&fixture->set);
}

static void assert_i32(const int32_t *found, const int32_t *wanted, size_t count)
{
    size_t index;

    for (index = 0; index < count; index++)
        assert_int_equal(found[index], wanted[index]);
}

static void assert_weights(const float *found, const int *wanted, size_t count)
{
    size_t index;

    for (index = 0; index < count; index++)
        assert_true(found[index] == (float)wanted[index]);
}

static void a_window_inside_one_document_counts_up_and_weighs_one_everywhere(void **state)
{
    static const int32_t tokens[] = {1, 2, 3, 4, 5, 6}, targets[] = {2, 3, 4, 5, 6, 7},
                         positions[] = {0, 1, 2, 0, 1, 2};
    static const int32_t starts[6] = {0};
    static const int weights[] = {1, 1, 1, 1, 1, 1};
    const int64_t length = 7;
    struct fixture fixture;

    (void)state;
    start(&fixture, &length, 1, 3, 2, true);
    batch_fill(&fixture.batch, &fixture.sampler, 0, 2);
    assert_i32(fixture.batch.tokens, tokens, 6);
    assert_i32(fixture.batch.targets, targets, 6);
    assert_i32(fixture.batch.positions, positions, 6);
    assert_i32(fixture.batch.segment_starts, starts, 6);
    assert_weights(fixture.batch.weights, weights, 6);
    assert_int_equal(batch_valid_tokens(&fixture.sampler, 0, 2), 6);
    finish(&fixture);
}

/* Documents 1 2 3 | 4 5 | 6 7 8: tokens 4 and 6 are first tokens, so nothing predicts them. */
static void positions_and_segments_restart_at_each_document_and_its_first_token_is_not_predicted(void **state)
{
    static const int32_t tokens[] = {1, 2, 3, 4, 5, 6, 7}, positions[] = {0, 1, 2, 0, 1, 0, 1};
    static const int32_t starts[] = {0, 0, 0, 3, 3, 5, 5};
    static const int weights[] = {1, 1, 0, 1, 0, 1, 1};
    const int64_t lengths[] = {3, 2, 3};
    struct fixture fixture;

    (void)state;
    start(&fixture, lengths, 3, 7, 1, true);
    batch_fill(&fixture.batch, &fixture.sampler, 0, 1);
    assert_i32(fixture.batch.tokens, tokens, 7);
    assert_i32(fixture.batch.positions, positions, 7);
    assert_i32(fixture.batch.segment_starts, starts, 7);
    assert_weights(fixture.batch.weights, weights, 7);
    finish(&fixture);
}

static void the_last_window_is_padded_with_segments_of_one_place(void **state)
{
    static const int32_t tokens[] = {5, 6, 0, 0}, targets[] = {6, 7, 0, 0}, positions[] = {0, 1, 0, 0};
    static const int32_t starts[] = {0, 0, 2, 3};
    static const int weights[] = {1, 1, 0, 0};
    const int64_t length = 7;
    struct fixture fixture;

    (void)state;
    start(&fixture, &length, 1, 4, 1, true);
    batch_fill(&fixture.batch, &fixture.sampler, 1, 1);
    assert_i32(fixture.batch.tokens, tokens, 4);
    assert_i32(fixture.batch.targets, targets, 4);
    assert_i32(fixture.batch.positions, positions, 4);
    assert_i32(fixture.batch.segment_starts, starts, 4);
    assert_weights(fixture.batch.weights, weights, 4);
    assert_int_equal(batch_valid_tokens(&fixture.sampler, 1, 1), 2);
    finish(&fixture);
}

/* One document of 9 tokens, windows of 4: the second goes on at token 5, which the first had as its last target. */
static void a_long_document_goes_on_in_the_next_window_without_seeing_the_one_before(void **state)
{
    static const int32_t tokens[] = {1, 2, 3, 4, 5, 6, 7, 8}, targets[] = {2, 3, 4, 5, 6, 7, 8, 9},
                         positions[] = {0, 1, 2, 3, 0, 1, 2, 3};
    static const int32_t starts[8] = {0};
    static const int weights[] = {1, 1, 1, 1, 1, 1, 1, 1};
    const int64_t length = 9;
    struct fixture fixture;

    (void)state;
    start(&fixture, &length, 1, 4, 2, true);
    batch_fill(&fixture.batch, &fixture.sampler, 0, 2);
    assert_i32(fixture.batch.tokens, tokens, 8);
    assert_i32(fixture.batch.targets, targets, 8);
    assert_i32(fixture.batch.positions, positions, 8);
    assert_i32(fixture.batch.segment_starts, starts, 8);
    assert_weights(fixture.batch.weights, weights, 8);
    finish(&fixture);
}

static void samples_past_the_end_of_an_evaluation_are_padding(void **state)
{
    static const int32_t zeros[3] = {0}, starts[] = {0, 1, 2};
    static const int weights[3] = {0};
    const int64_t length = 4;
    struct fixture fixture;

    (void)state;
    start(&fixture, &length, 1, 3, 1, true);
    batch_fill(&fixture.batch, &fixture.sampler, 1, 1);
    assert_i32(fixture.batch.tokens, zeros, 3);
    assert_i32(fixture.batch.segment_starts, starts, 3);
    assert_i32(fixture.batch.positions, zeros, 3);
    assert_weights(fixture.batch.weights, weights, 3);
    assert_int_equal(batch_valid_tokens(&fixture.sampler, 1, 4), 0);
    finish(&fixture);
}

/* Documents of 5, 4, 70 and 3 tokens in rows of 72 places, by hand: the second begins at place 64 of the first row, the
 * third fills a row but for 3 places, and place 128, where the fourth could begin, is none of that row. */
static void documents_of_an_evaluation_share_a_row_at_places_that_are_multiples_of_64(void **state)
{
    const int64_t lengths[] = {5, 4, 70, 3};
    struct fixture fixture;
    const struct batch *batch = &fixture.batch;
    int64_t weights = 0;

    (void)state;
    start(&fixture, lengths, 4, 72, 3, false);
    assert_int_equal(fixture.sampler.samples, 4);
    assert_int_equal(sampler_rows(&fixture.sampler), 3);
    batch_fill(&fixture.batch, &fixture.sampler, 0, 3);
    for (int32_t place = 0; place < 72; place++) {
        const bool first = place < 4, second = place >= 64 && place < 67;

        assert_int_equal(batch->tokens[place], first ? 1 + place : second ? 6 + place - 64 : 0);
        assert_int_equal(batch->positions[place], first ? place : second ? place - 64 : 0);
        assert_int_equal(batch->segment_starts[place], first ? 0 : second ? 64 : place);
        weights += batch->weights[place] == 1.0f;
    }
    assert_int_equal(weights, 7);
    assert_int_equal(batch->tokens[72 + 68], 10 + 68);
    assert_int_equal(batch->segment_starts[72 + 68], 0);
    assert_int_equal(batch->segment_starts[72 + 69], 69);
    assert_int_equal(batch->tokens[144], 80);
    assert_int_equal(batch_valid_tokens(&fixture.sampler, 0, 1), 7);
    assert_int_equal(batch_valid_tokens(&fixture.sampler, 0, 9), 4 + 3 + 69 + 2);
    batch_fill(&fixture.batch, &fixture.sampler, 2, 2);
    assert_int_equal(batch->tokens[72], 0);
    finish(&fixture);
}

static void masked_tokens_have_weight_zero(void **state)
{
    static const int weights[] = {0, 0, 1, 0, 1};
    const int64_t lengths[] = {4, 2};
    struct fixture fixture;

    (void)state;
    start(&fixture, lengths, 2, 5, 1, true);
    fixture.set.learn_from[0] = 3; /* tokens 0, 1, 2 are the prompt */
    batch_fill(&fixture.batch, &fixture.sampler, 0, 1);
    assert_weights(fixture.batch.weights, weights, 5);
    assert_int_equal(batch_valid_tokens(&fixture.sampler, 0, 1), 2);
    finish(&fixture);
}

static void without_packing_a_row_holds_one_document_cut_or_padded(void **state)
{
    static const int32_t tokens[] = {1, 2, 0, 4, 5, 6}, targets[] = {2, 3, 0, 5, 6, 7};
    static const int weights[] = {1, 1, 0, 1, 1, 1};
    const int64_t lengths[] = {3, 9};
    struct fixture fixture;

    (void)state;
    start(&fixture, lengths, 2, 3, 2, false);
    batch_fill(&fixture.batch, &fixture.sampler, 0, 2);
    assert_i32(fixture.batch.tokens, tokens, 6);
    assert_i32(fixture.batch.targets, targets, 6);
    assert_weights(fixture.batch.weights, weights, 6);
    finish(&fixture);
}

static void the_same_samples_come_whatever_the_microbatch(void **state)
{
    const int64_t lengths[] = {50, 3, 200, 1, 7, 90};
    struct sampler_options options = {.seq_len = 8, .pack = true, .seed = 11};
    struct batch whole, part;
    struct token_set set;
    struct sampler sampler;
    int64_t sample, elements = 8;

    (void)state;
    make_token_set(&set, 1000, lengths, 6);
    assert_int_equal(sampler_start_training(&sampler, &set, &options, NULL), STATUS_OK);
    assert_true(batch_create(&whole, 120, 8));
    assert_true(batch_create(&part, 1, 8));
    batch_fill(&whole, &sampler, 30, 120);
    for (sample = 0; sample < 120; sample++) {
        batch_fill(&part, &sampler, 30 + sample, 1);
        assert_memory_equal(part.tokens, whole.tokens + sample * elements, elements * sizeof(int32_t));
        assert_memory_equal(part.targets, whole.targets + sample * elements, elements * sizeof(int32_t));
        assert_memory_equal(part.weights, whole.weights + sample * elements, elements * sizeof(float));
        assert_memory_equal(part.positions, whole.positions + sample * elements, elements * sizeof(int32_t));
        assert_memory_equal(part.segment_starts, whole.segment_starts + sample * elements, elements * sizeof(int32_t));
    }
    batch_destroy(&whole);
    batch_destroy(&part);
    sampler_finish(&sampler);
    token_set_finish(&set);
}

static void the_count_of_valid_tokens_is_the_sum_of_the_weights(void **state)
{
    const int64_t lengths[] = {50, 3, 20, 1, 7, 1, 1, 90};
    struct fixture fixture;
    int64_t sample, index;

    (void)state;
    start(&fixture, lengths, 8, 8, 1, true);
    fixture.set.learn_from[2] = 60;
    fixture.set.learn_from[7] = 100;
    for (sample = 0; sample < fixture.sampler.samples; sample++) {
        int64_t valid = 0;

        batch_fill(&fixture.batch, &fixture.sampler, sample, 1);
        for (index = 0; index < 8; index++)
            valid += fixture.batch.weights[index] == 1.0f;
        assert_int_equal(batch_valid_tokens(&fixture.sampler, sample, 1), valid);
    }
    finish(&fixture);
}

static void a_vocabulary_above_65536_keeps_its_large_ids(void **state)
{
    static const int32_t ids[] = {99999, 65536, 7};
    struct token_set set;

    (void)state;
    token_set_start(&set, 100000);
    assert_int_equal(token_set_open_document(&set, NULL), STATUS_OK);
    assert_int_equal(token_set_append(&set, ids, 3, NULL), STATUS_OK);
    token_set_close(&set);
    assert_int_equal(set.width, 4);
    assert_int_equal(token_set_at(&set, 0), 99999);
    assert_int_equal(token_set_at(&set, 1), 65536);
    token_set_finish(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_window_inside_one_document_counts_up_and_weighs_one_everywhere),
        cmocka_unit_test(positions_and_segments_restart_at_each_document_and_its_first_token_is_not_predicted),
        cmocka_unit_test(the_last_window_is_padded_with_segments_of_one_place),
        cmocka_unit_test(a_long_document_goes_on_in_the_next_window_without_seeing_the_one_before),
        cmocka_unit_test(samples_past_the_end_of_an_evaluation_are_padding),
        cmocka_unit_test(documents_of_an_evaluation_share_a_row_at_places_that_are_multiples_of_64),
        cmocka_unit_test(masked_tokens_have_weight_zero),
        cmocka_unit_test(without_packing_a_row_holds_one_document_cut_or_padded),
        cmocka_unit_test(the_same_samples_come_whatever_the_microbatch),
        cmocka_unit_test(the_count_of_valid_tokens_is_the_sum_of_the_weights),
        cmocka_unit_test(a_vocabulary_above_65536_keeps_its_large_ids),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
