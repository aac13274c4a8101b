/* What layouts of other trainers got wrong (docs/testing.md): each against one rank, bit for bit. */
#include "training.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "every.h"
#include "model/family.h"

#define COUNT(list) (int)(sizeof(list) / sizeof(list)[0])

/* What a case changes in each training. */
typedef void change(struct training *training);

static const struct layout all_kinds[] = {{.tp = 1, .pp = 1, .dp = 4, .micro_batch = 1},
                                          {.tp = 1, .pp = 4, .dp = 1, .micro_batch = 1},
                                          {.tp = 4, .pp = 1, .dp = 1, .micro_batch = 2, .sp = true},
                                          {.tp = 2, .pp = 2, .dp = 2, .micro_batch = 2, .sp = true, .zero = 1}};

/* The layouts against one rank, which is left for the caller to end. */
static void compare(struct rank *one, enum training_family family, const struct layout *layouts, int count,
                    change *apply)
{
    static struct rank all[TRAINING_RANKS];
    struct training training = training_of(family, LLMRUN_F32, &training_single);

    apply(&training);
    training_run(one, &training);
    for (int i = (int)family / 3 % EVERY(2); i < count; i += EVERY(2)) {
        char text[200];

        training = training_of(family, LLMRUN_F32, &layouts[i]);
        apply(&training);
        training_describe(&layouts[i], &training, text);
        training_run(all, &training);
        training_compare(all, one, text);
        training_end(all);
    }
}

static void leave_two_rows(struct training *training)
{
    training->silent = 0xff & ~(1u << 1 | 1u << 4);
}

static void leave_no_row(struct training *training)
{
    training->silent = 0xff;
}

/* Rows 1 and 4 of 8 have targets: of four ranks of dp the second and the last have none, of the others one microbatch
 * of two. */
static void ranks_and_microbatches_may_have_nothing_to_predict(void **state)
{
    static struct rank one[TRAINING_RANKS];

    (void)state;
    for (int f = 0; f < TRAINING_FAMILIES; f += EVERY(3)) {
        compare(one, (enum training_family)f, all_kinds, COUNT(all_kinds), leave_two_rows);
        for (int step = 0; step < TRAINING_STEPS; step++) {
            assert_true(isfinite(one->outcome.norms[step]) && one->outcome.norms[step] > 0);
            for (int row = 0; row < TRAINING_BATCH; row++)
                if (row == 1 || row == 4)
                    assert_true(one->outcome.losses[step][row] > 0);
                else
                    assert_true(one->outcome.losses[step][row] == 0);
        }
        training_end(one);
    }
}

static void a_batch_may_have_nothing_to_predict(void **state)
{
    static struct rank one[TRAINING_RANKS];

    (void)state;
    compare(one, TRAINING_QWEN3, all_kinds, COUNT(all_kinds), leave_no_row);
    for (int step = 0; step < TRAINING_STEPS; step++)
        assert_true(one->outcome.norms[step] == 0);
    training_end(one);
}

static void only_initialise(struct training *training)
{
    training->steps = 0;
}

/* Of a parameter that is drawn. */
static bool is_random(const struct rank *one, int32_t id)
{
    const struct value *value = &one->compiled.program.values[id];
    const float *numbers = one->outcome.values[id];

    return value->kind == VALUE_PARAMETER && training_keeps(value) && value->dtype == LLMRUN_F32 &&
           memcmp(numbers, numbers + 1, sizeof *numbers) != 0;
}

static void initial_weights_are_those_of_one_rank_and_no_two_tensors_are_equal(void **state)
{
    static struct rank one[TRAINING_RANKS];

    (void)state;
    for (int f = 0; f < TRAINING_FAMILIES; f += EVERY(3)) {
        const struct program *program = &one->compiled.program;
        int pairs = 0;

        compare(one, (enum training_family)f, all_kinds, COUNT(all_kinds), only_initialise);
        for (int32_t a = 0; a < program->value_count; a++)
            for (int32_t b = 0; is_random(one, a) && b < a; b++)
                if (is_random(one, b)) {
                    assert_memory_not_equal(one->outcome.values[a], one->outcome.values[b], 16 * sizeof(float));
                    pairs++;
                }
        assert_true(pairs > 100);
        training_end(one);
    }
}

static void drop_most(struct training *training)
{
    training->request.dropout = 0.9f;
    training->silent = 0;
    training->alike = true;
    training->steps = 2;
}

/* Rows of the same tokens have the same loss but for their masks; each is that of one rank. */
static void masks_of_dropout_are_those_of_one_rank_and_no_two_are_equal(void **state)
{
    static struct rank one[TRAINING_RANKS];

    (void)state;
    for (int f = 0; f < TRAINING_FAMILIES; f += EVERY(3)) {
        compare(one, (enum training_family)f, all_kinds, COUNT(all_kinds), drop_most);
        for (int a = 0; a < TRAINING_BATCH; a++) {
            assert_true(one->outcome.losses[0][a] != one->outcome.losses[1][a]);
            assert_true(one->outcome.evaluated[a] == one->outcome.evaluated[0]);
            for (int b = 0; b < a; b++)
                assert_true(one->outcome.losses[0][a] != one->outcome.losses[0][b]);
        }
        training_end(one);
    }
}

static void make_thirty_layers(struct training *training)
{
    training->request.model.n_layer = 30;
    training->steps = 2;
}

static void thirty_layers_on_four_stages_are_those_of_one_rank(void **state)
{
    static const struct layout layouts[] = {
        {.tp = 1, .pp = 4, .dp = 1, .micro_batch = 2},
        {.tp = 1, .pp = 4, .dp = 1, .micro_batch = 2, .schedule = PIPELINE_ZERO_BUBBLE, .chunks = 2},
        {.tp = 1, .pp = 4, .dp = 2, .micro_batch = 1, .zero = 1}};
    static const enum training_family families[] = {TRAINING_LLAMA, TRAINING_QWEN2};
    static struct rank one[TRAINING_RANKS];

    (void)state;
    for (int f = 0; f < COUNT(families); f++) {
        compare(one, families[f], layouts, COUNT(layouts), make_thirty_layers);
        assert_int_not_equal(program_find(&one->compiled.program, "model.layers.29.mlp.up_proj.weight"), NO_VALUE);
        training_end(one);
    }
}

/* Of decoders tensors of 10 to 4,480 elements, of extents that neither 4 nor 8 divides; of the vocabulary, stored as
 * 128, the second of two ranks of tp has 37 tokens. */
static void make_uneven(struct training *training)
{
    struct model_config *model = &training->request.model;

    model->n_layer = 3;
    model->n_embd = 35;
    model->n_head = 2;
    model->n_kv_head = model->n_kv_head > 0 ? 2 : 0;
    model->head_dim = model->n_kv_head > 0 ? 10 : 0;
    model->n_inner = model->n_kv_head > 0 ? 46 : 0;
    model->vocab_size = 101;
    if (model->n_kv_head == 0)
        model->n_embd = 38;
}

static void uneven_extents_have_the_bits_of_one_rank(void **state)
{
    static const struct layout layouts[] = {{.tp = 2, .pp = 1, .dp = 1, .micro_batch = 4},
                                            {.tp = 2, .pp = 1, .dp = 2, .micro_batch = 2, .sp = true, .zero = 1},
                                            {.tp = 1, .pp = 1, .dp = 8, .micro_batch = 1, .zero = 1},
                                            {.tp = 1, .pp = 1, .dp = 4, .micro_batch = 1, .zero = 1, .shards = 2},
                                            {.tp = 1, .pp = 3, .dp = 2, .micro_batch = 2, .zero = 1}};
    static struct rank one[TRAINING_RANKS];

    (void)state;
    for (int f = 0; f < TRAINING_FAMILIES; f += EVERY(3)) {
        compare(one, (enum training_family)f, layouts, COUNT(layouts), make_uneven);
        training_end(one);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranks_and_microbatches_may_have_nothing_to_predict),
        cmocka_unit_test(a_batch_may_have_nothing_to_predict),
        cmocka_unit_test(initial_weights_are_those_of_one_rank_and_no_two_tensors_are_equal),
        cmocka_unit_test(masks_of_dropout_are_those_of_one_rank_and_no_two_are_equal),
        cmocka_unit_test(thirty_layers_on_four_stages_are_those_of_one_rank),
        cmocka_unit_test(uneven_extents_have_the_bits_of_one_rank)};

    return cmocka_run_group_tests_name("layout cases", tests, training_setup, NULL);
}
