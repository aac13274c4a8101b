/* Ranks of tensor and sequence parallelism compute the bits of one rank: whole steps of small models, every value that
 * one rank has, op by op in one process (lockstep/lockstep.h). */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "compile/compile.h"
#include "compile/values.h"
#include "lockstep/lockstep.h"

#define RANKS_MOST 8
#define BATCH      8
#define SEQUENCE   16
#define EVAL_BATCH 2
#define STEPS      2
#define VOCABULARY 250 /* some rows of padding */

struct layout {
    const char *preset;
    int32_t tp;
    bool sequence_parallel;
    uint32_t dtype;
    float dropout;
    int64_t micro_batch, batch_parts, loss_chunk;
    enum recompute recompute;
    bool unordered;
    bool untied;
    uint32_t seed; /* of a random model of the preset's family; 0: the preset with two layers */
};

/* splitmix64 (Steele, Lea, Flood 2014), below `most`. */
static int64_t draw(uint64_t *random, int64_t most)
{
    uint64_t z = *random += 0x9e3779b97f4a7c15u;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (int64_t)((z ^ (z >> 31)) % (uint64_t)most);
}

/* Extents that tp divides, not all of which 8 divides. */
static void random_model(struct model_config *model, const struct layout *layout)
{
    uint64_t random = layout->seed;
    const int64_t kv_heads = layout->tp * (1 + draw(&random, 2));

    model->n_layer = 1 + draw(&random, 2);
    model->n_head = kv_heads * (model->n_kv_head > 0 ? 1 + draw(&random, 3) : 1);
    model->head_dim = model->n_kv_head > 0 ? 4 + 2 * draw(&random, 5) : 0;
    if (model->n_kv_head > 0)
        model->n_kv_head = kv_heads;
    model->n_embd = model->n_head * (4 + draw(&random, 6));
    model->n_inner = layout->tp * (5 + draw(&random, 20));
    model->vocab_size = 30 + draw(&random, 200);
}

static struct compile_request request_of(const struct layout *layout, int32_t tp)
{
    struct compile_request request = {.seed = 5,
                                      .sequence = SEQUENCE,
                                      .mesh = mesh_single(),
                                      .global_batch = BATCH,
                                      .micro_batch = layout->micro_batch,
                                      .batch_parts = layout->batch_parts,
                                      .eval_batch = EVAL_BATCH,
                                      .train = true,
                                      .generate = true,
                                      .dropout = layout->dropout,
                                      .compute_dtype = layout->dtype,
                                      .recompute = layout->recompute,
                                      .sequence_parallel = layout->sequence_parallel && tp > 1,
                                      .loss_chunk = layout->loss_chunk,
                                      .update = {0.9f, 0.95f, 1e-8f, 0.1f, 0.5f},
                                      .exact = !layout->unordered};
    struct error error;

    assert_int_equal(model_preset(layout->preset, &request.model, &error), STATUS_OK);
    request.model.n_layer = 2;
    request.model.vocab_size = VOCABULARY;
    if (request.model.n_embd > 64) { /* of 14 heads and 2 of keys */
        request.model.n_embd = 112;
        request.model.n_inner = 192;
    }
    if (layout->seed > 0)
        random_model(&request.model, layout);
    request.model.initializer_range = 0.2;
    if (layout->untied)
        request.model.tie_word_embeddings = false;
    request.mesh.sizes[MESH_TP] = tp;
    return request;
}

/* All ranks of a layout. */
struct world {
    struct compile_request request;
    struct compiled compiled[RANKS_MOST];
    struct mesh meshes[RANKS_MOST];
    struct lockstep *lockstep;
    int count;
};

static void fill_constants(struct world *world)
{
    const struct program *program = &world->compiled[0].program;

    for (int64_t i = 0; i < program->value_count; i++) {
        const struct value *value = &program->values[i];
        struct error error;

        for (int r = 0; value->kind == VALUE_CONSTANT && value->contents == NULL && r < world->count; r++)
            assert_int_equal(model_fill_constant(&world->request.model, value,
                                                 lockstep_memory(world->lockstep, r, value->name), &error),
                             STATUS_OK);
    }
}

static void open_world(struct world *world, const struct layout *layout, int32_t tp)
{
    const struct program *programs[RANKS_MOST];
    const uint32_t none = 0;

    memset(world, 0, sizeof *world);
    world->request = request_of(layout, tp);
    world->count = tp;
    for (int32_t r = 0; r < tp; r++) {
        struct error error;

        mesh_place(&world->request.mesh, r);
        if (compile_step(&world->request, &world->compiled[r], &error) != STATUS_OK)
            fail_msg("%s", error.message);
        world->meshes[r] = world->request.mesh;
        programs[r] = &world->compiled[r].program;
    }
    world->lockstep = lockstep_create(programs, world->meshes, tp, LOCKSTEP_FASTEST, !layout->unordered);
    fill_constants(world);
    lockstep_write(world->lockstep, "found_inf", &none, 1);
    lockstep_run(world->lockstep, SECTION_INIT, 0, 1);
    lockstep_run(world->lockstep, SECTION_CAST_WEIGHTS, 0, 1);
}

static void close_world(struct world *world)
{
    lockstep_destroy(world->lockstep);
    for (int r = 0; r < world->count; r++)
        compiled_finish(&world->compiled[r]);
}

static void write(struct world *world, const char *prefix, const char *name, const void *data)
{
    char full[64];

    snprintf(full, sizeof full, "%s%s", prefix, name);
    lockstep_write(world->lockstep, full, data, 1);
}

static void write_rows(struct world *world, const char *prefix, int first, int rows)
{
    int32_t tokens[BATCH * SEQUENCE], targets[BATCH * SEQUENCE], positions[BATCH * SEQUENCE], starts[BATCH * SEQUENCE];
    float weights[BATCH * SEQUENCE];

    const int64_t vocabulary = world->request.model.vocab_size;

    for (int i = 0; i < rows; i++) {
        const uint32_t number = (uint32_t)(first + i);
        const int position = i % SEQUENCE, start = position < 5 ? 0 : 5; /* two documents a sequence */

        tokens[i] = (int32_t)((number * 2654435761u >> 16) % vocabulary);
        targets[i] = (int32_t)((number * 2246822519u >> 16) % vocabulary);
        weights[i] = (float)(number % 7 != 0);
        positions[i] = position - start;
        starts[i] = start;
    }
    write(world, prefix, "tokens", tokens);
    write(world, prefix, "targets", targets);
    write(world, prefix, "weights", weights);
    write(world, prefix, "positions", positions);
    write(world, prefix, "segment_starts", starts);
}

static void write_random(struct world *world, int step, int64_t first_sequence)
{
    const int32_t id = world->compiled[0].io.random;
    const int64_t draws = id != NO_VALUE ? world->compiled[0].program.values[id].shape[0] : 0;
    uint32_t *rows = calloc((size_t)draws + 1, RANDOM_ROW * sizeof *rows);

    assert_non_null(rows);
    values_fill_random(rows, draws, 11, step, first_sequence);
    if (draws > 0)
        lockstep_write(world->lockstep, "random", rows, 1);
    free(rows);
}

static void write_scalars(struct world *world, int step)
{
    const float tokens = 1.0f / 100, rate = 0.01f;
    const float correction[] = {(float)(1 - pow(0.9, step)), (float)sqrt(1 - pow(0.95, step))};

    lockstep_write(world->lockstep, "inverse_tokens", &tokens, 1);
    lockstep_write(world->lockstep, "learning_rate", &rate, 1);
    lockstep_write(world->lockstep, "bias_correction", correction, 1);
}

/* Losses of a microbatch are copied to those of the step by the host. */
static void copy_losses(struct world *world, int64_t microbatch)
{
    const int64_t count = world->request.micro_batch;

    for (int r = 0; r < world->count; r++)
        memcpy((double *)lockstep_memory(world->lockstep, r, "losses") + microbatch * count,
               lockstep_memory(world->lockstep, r, "losses.microbatch"), (size_t)count * sizeof(double));
}

static int levels_of(int64_t number, bool last, int64_t groups)
{
    int level = 0;

    while (last ? (int64_t)1 << level < groups : !(number >> level & 1))
        level++;
    return level;
}

/* After the last microbatch of an accumulation group. */
static void combine(struct world *world, int64_t done)
{
    const int64_t groups = world->compiled[0].form.groups;
    const int64_t each = world->compiled[0].microbatches / groups;
    const int level = done % each == 0 ? levels_of(done / each, done == world->compiled[0].microbatches, groups) : -1;

    for (int kind = SECTION_COMBINE_INPUT; level >= 0 && kind <= SECTION_COMBINE_WEIGHT; kind++)
        lockstep_run(world->lockstep, (enum section_kind)kind, level, world->request.micro_batch);
    if (level >= 0 && done < world->compiled[0].microbatches)
        lockstep_zero_gradients(world->lockstep);
}

static bool is_compared(const struct program *program, int32_t id)
{
    const struct value *value = &program->values[id];

    return value->kind != VALUE_PARTIAL_ROWS && value->kind != VALUE_PENDING && value_bytes(value) > 0;
}

/* Rows of what positions may be split of are those of whole sequences. */
static int64_t sequences_of(const struct value *value)
{
    return value->rank > 0 && value->full[0] % SEQUENCE == 0 ? value->full[0] / SEQUENCE : 1;
}

/* Every value of one rank that the others have too. Returns how many. */
static int compare(const struct world *one, const struct world *many, const char *when)
{
    const struct program *program = &one->compiled[0].program;
    int compared = 0;

    for (int32_t i = 0; i < program->value_count; i++) {
        const struct value *value = &program->values[i];
        const size_t bytes = (size_t)value_bytes(value);
        const char *expected = lockstep_memory(one->lockstep, 0, value->name);
        char *found = malloc(bytes > 0 ? bytes : 1);
        int64_t found_bytes = 0;

        assert_non_null(found);
        if (is_compared(program, i) &&
            lockstep_read(many->lockstep, value->name, found, &found_bytes, sequences_of(value))) {
            size_t at = 0;

            assert_int_equal(found_bytes, bytes);
            while (at < bytes && found[at] == expected[at])
                at++;
            if (at < bytes)
                fail_msg("%s, after %s: byte %zu of %zu differs from one rank's", value->name, when, at, bytes);
            compared++;
        }
        free(found);
    }
    return compared;
}

static void run_step(struct world *world, int step)
{
    write_scalars(world, step);
    lockstep_zero_gradients(world->lockstep);
    for (int64_t m = 0; m < world->compiled[0].microbatches; m++) {
        const int64_t count = world->request.micro_batch;

        write_rows(world, "", (int)(step * 100000 + m * count * SEQUENCE), (int)(count * SEQUENCE));
        write_random(world, step, m * count);
        lockstep_run(world->lockstep, SECTION_FORWARD, 0, count);
        lockstep_run(world->lockstep, SECTION_BACKWARD, 0, count);
        copy_losses(world, m);
        combine(world, m + 1);
    }
    lockstep_run(world->lockstep, SECTION_REDUCE, 0, world->request.micro_batch);
    lockstep_run(world->lockstep, SECTION_UPDATE, 0, world->request.micro_batch);
}

/* A prompt of 5 tokens, and one more. */
static void run_generate(struct world *world, bool decode)
{
    int32_t tokens[SEQUENCE] = {3, 14, 15, 9, 26}, positions[SEQUENCE], zero = 0, row = 4;
    const int32_t token = 5, position = 5;

    for (int32_t i = 0; i < SEQUENCE; i++)
        positions[i] = i;
    if (decode) {
        lockstep_write(world->lockstep, "decode.tokens", &token, 1);
        lockstep_write(world->lockstep, "decode.positions", &position, 1);
        lockstep_run(world->lockstep, SECTION_DECODE, 0, 1);
        return;
    }
    lockstep_write(world->lockstep, "prefill.tokens", tokens, 1);
    lockstep_write(world->lockstep, "prefill.positions", positions, 1);
    lockstep_write(world->lockstep, "prefill.cached", &zero, 1);
    lockstep_write(world->lockstep, "prefill.row", &row, 1);
    lockstep_run(world->lockstep, SECTION_PREFILL, 0, 1);
}

static void check_layout(const struct layout *layout)
{
    struct world one, many;
    int compared;

    open_world(&one, layout, 1);
    open_world(&many, layout, layout->tp);
    compare(&one, &many, "init");
    for (int step = 1; step <= STEPS; step++) {
        run_step(&one, step);
        run_step(&many, step);
        compared = compare(&one, &many, "a step");
        assert_true(compared > 50);
        assert_true(*(float *)lockstep_memory(one.lockstep, 0, "grad_norm") > 0.1f);
    }
    write_rows(&one, "eval.", 77, EVAL_BATCH * SEQUENCE);
    write_rows(&many, "eval.", 77, EVAL_BATCH * SEQUENCE);
    lockstep_run(one.lockstep, SECTION_EVALUATE, 0, EVAL_BATCH);
    lockstep_run(many.lockstep, SECTION_EVALUATE, 0, EVAL_BATCH);
    compare(&one, &many, "evaluation");
    for (int decode = 0; decode < 2; decode++) {
        run_generate(&one, decode);
        run_generate(&many, decode);
        compare(&one, &many, decode ? "decode" : "prefill");
    }
    close_world(&one);
    close_world(&many);
}

static const struct layout layouts[] = {
    {"gpt2-8", 2, false, LLMRUN_F32, 0, 2, 8, 0, RECOMPUTE_NONE, false, false, 0},
    {"gpt2-8", 4, false, LLMRUN_BF16, 0, 4, 8, 0, RECOMPUTE_NONE, false, false, 0},
    {"gpt2-8", 2, true, LLMRUN_BF16, 0, 1, 4, 0, RECOMPUTE_SELECTIVE, false, false, 0},
    {"gpt2-8", 4, true, LLMRUN_F32, 0.2f, 2, 4, 8, RECOMPUTE_NONE, false, false, 0},
    {"gpt2-8", 2, true, LLMRUN_F32, 0.2f, 8, 8, 0, RECOMPUTE_FULL, false, true, 0},
    {"llama-8", 2, false, LLMRUN_BF16, 0, 2, 8, 4, RECOMPUTE_NONE, false, false, 0},
    {"llama-8", 4, true, LLMRUN_F32, 0, 8, 8, 4, RECOMPUTE_FULL, false, false, 0},
    {"llama-8", 4, true, LLMRUN_BF16, 0, 8, 8, 16, RECOMPUTE_SELECTIVE, false, false, 0},
    {"qwen3-8", 2, false, LLMRUN_F32, 0, 8, 8, 8, RECOMPUTE_NONE, false, false, 0},
    {"qwen3-8", 4, true, LLMRUN_BF16, 0, 2, 8, 0, RECOMPUTE_NONE, false, false, 0},
    {"llama-8", 8, true, LLMRUN_BF16, 0, 2, 8, 0, RECOMPUTE_NONE, false, false, 0},
    {"llama-tiny", 4, true, LLMRUN_BF16, 0, 4, 2, 32, RECOMPUTE_FULL, false, false, 0},
    {"qwen2.5-0.5b", 2, true, LLMRUN_F32, 0, 2, 8, 0, RECOMPUTE_NONE, false, false, 0},
};

/* Losses and norm of a step, and how far the ranks' are off. */
static void unordered_sums_of_ranks_come_near_those_of_one(void **state)
{
    static const struct layout layout = {"qwen3-8", 4, true, LLMRUN_F32, 0, 2, 8, 16, RECOMPUTE_NONE, true, false, 0};
    struct world one, many;

    (void)state;
    open_world(&one, &layout, 1);
    open_world(&many, &layout, layout.tp);
    for (int step = 1; step <= STEPS; step++) {
        run_step(&one, step);
        run_step(&many, step);
        for (int r = 0; r < layout.tp; r++) {
            const double *expected = lockstep_memory(one.lockstep, 0, "losses");
            const double *found = lockstep_memory(many.lockstep, r, "losses");
            const float norm = *(float *)lockstep_memory(one.lockstep, 0, "grad_norm");

            for (int i = 0; i < BATCH; i++)
                assert_true(expected[i] > 0 && fabs(found[i] - expected[i]) < 1e-4 * expected[i]);
            assert_true(norm > 0 &&
                        fabsf(*(float *)lockstep_memory(many.lockstep, r, "grad_norm") - norm) < 1e-3f * norm);
        }
    }
    close_world(&one);
    close_world(&many);
}

static void ranks_of_tp_compute_the_bits_of_one_rank(void **state)
{
    check_layout(*state);
}

static struct layout random_layout(uint32_t seed)
{
    static const char *const presets[] = {"gpt2-8", "llama-8", "qwen2.5-0.5b", "qwen3-8"};
    static const int64_t chunks[] = {0, 4, 8, 16, 2};
    uint64_t random = seed * UINT64_C(1000003);
    struct layout layout = {.preset = presets[draw(&random, 4)], .seed = seed};

    layout.tp = draw(&random, 3) == 0 ? 4 : 2;
    layout.sequence_parallel = draw(&random, 3) > 0;
    layout.dtype = draw(&random, 2) == 0 ? LLMRUN_F32 : LLMRUN_BF16;
    layout.dropout = draw(&random, 3) == 0 ? 0.2f : 0;
    layout.micro_batch = (int64_t)1 << draw(&random, 4);
    layout.batch_parts = (int64_t)1 << draw(&random, 4);
    layout.loss_chunk = chunks[draw(&random, 5)];
    layout.recompute = (enum recompute)draw(&random, 3);
    layout.untied = draw(&random, 2);
    return layout;
}

#define RANDOM_LAYOUTS 24

int main(void)
{
    enum { COUNT = sizeof layouts / sizeof layouts[0] };
    static struct layout all[COUNT + RANDOM_LAYOUTS];
    static char names[COUNT + RANDOM_LAYOUTS][128];
    struct CMUnitTest tests[COUNT + RANDOM_LAYOUTS + 1];

    memcpy(all, layouts, sizeof layouts);
    for (uint32_t i = 0; i < RANDOM_LAYOUTS; i++)
        all[COUNT + i] = random_layout(i + 1);
    for (int i = 0; i < COUNT + RANDOM_LAYOUTS; i++) {
        const struct layout *l = &all[i];

        snprintf(names[i], sizeof names[i],
                 "%s tp %d%s %s dropout %.1f micro_batch %lld batch_parts %lld chunk %lld recompute %d seed %u",
                 l->preset, l->tp, l->sequence_parallel ? " sp" : "", l->dtype == LLMRUN_BF16 ? "bf16" : "fp32",
                 (double)l->dropout, (long long)l->micro_batch, (long long)l->batch_parts, (long long)l->loss_chunk,
                 (int)l->recompute, l->seed);
        tests[i] = (struct CMUnitTest){names[i], ranks_of_tp_compute_the_bits_of_one_rank, NULL, NULL, &all[i]};
    }
    tests[COUNT + RANDOM_LAYOUTS] = (struct CMUnitTest)cmocka_unit_test(unordered_sums_of_ranks_come_near_those_of_one);
    return cmocka_run_group_tests_name("passes shard ranks", tests, NULL, NULL);
}
