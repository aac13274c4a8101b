/* The programs of all ranks of a pipeline, for every preset: they verify, and their union is the program of one rank.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "compile/compile.h"
#include "passes/holders.h"
#include "program/op_table.h"
#include "program/verify.h"

#include "../every.h"

#define RANKS_MOST 4

static const struct {
    enum pipeline_kind kind;
    int32_t chunks;
} schedules[] = {{PIPELINE_GPIPE, 1},
                 {PIPELINE_ONE_F_ONE_B, 1},
                 {PIPELINE_INTERLEAVED, 2},
                 {PIPELINE_ZERO_BUBBLE, 1},
                 {PIPELINE_ZERO_BUBBLE, 2}};
enum { SCHEDULES = sizeof schedules / sizeof *schedules };

static struct compile_request request_of(const char *preset)
{
    struct compile_request request = {.seed = 1,
                                      .sequence = 16,
                                      .global_batch = 12,
                                      .micro_batch = 1,
                                      .batch_parts = 2,
                                      .eval_batch = 1,
                                      .train = true,
                                      .generate = true,
                                      .compute_dtype = LLMRUN_BF16,
                                      .update = {0.9f, 0.95f, 1e-8f, 0.1f, 1},
                                      .exact = true};
    struct error error;

    if (model_preset(preset, &request.model, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    return request;
}

static void compile_rank(const struct compile_request *request, int32_t ranks, int32_t rank, struct compiled *compiled)
{
    struct compile_request own = *request;
    struct error error;

    own.mesh = mesh_single();
    own.mesh.sizes[MESH_PP] = ranks;
    mesh_place(&own.mesh, rank);
    if (compile_step(&own, compiled, &error) != STATUS_OK)
        fail_msg("rank %d of %d: %s", rank, ranks, error.message);
}

/* What an op is, in words that no layout changes: its section, its name and its operands. */
struct known_op {
    char *words;
    int32_t parameter; /* that it belongs to */
    bool update;       /* of no stage and of no parameter */
};

struct list {
    struct known_op *ops;
    int64_t count;
};

static bool is_of_pipeline(const struct program *program, const struct op *op)
{
    const int32_t *operands = program_operands(program, op);

    if (op->op == OP_SEND || op->op == OP_RECEIVE || op->op == OP_ALL_REDUCE)
        return true;
    return op->op == LLMRUN_OP_ADD && (op + 1)->op == OP_SEND &&
           program_operands(program, op + 1)[SEND_X] == operands[LLMRUN_ADD_Y];
}

/* Names of operands, but for those that are others behind a boundary: "<sum>" comes from there. */
static void describe(const struct program *program, const struct section *section, const struct op *op,
                     struct text *words)
{
    const struct op_info *info = op_info_find(op->op);
    const int32_t *operands = program_operands(program, op);
    struct op_residual at = {UINT32_MAX, UINT32_MAX, UINT32_MAX};

    op_residual_find(info, &at);
    text_add(words, "%s %d %d %s", section_kind_name(section->kind), section->level, op->recomputed, info->name);
    for (uint32_t i = 0; info->operands[i].name != NULL; i++) {
        const char *name = operands[i] != NO_VALUE ? program->values[operands[i]].name : "_";
        size_t length = strlen(name);

        if (i == at.x || i == at.residual || i == at.sum)
            continue;
        if (length > strlen(".stage") && strcmp(name + length - strlen(".stage"), ".stage") == 0)
            length -= strlen(".stage");
        text_add(words, " %.*s", (int)length, name);
    }
}

static int in_order(const void *a, const void *b)
{
    return strcmp(((const struct known_op *)a)->words, ((const struct known_op *)b)->words);
}

static void list_ops(const struct program *program, struct list *list)
{
    list->ops = calloc((size_t)program->op_count + 1, sizeof *list->ops);
    list->count = 0;
    for (int64_t s = 0; s < program->section_count; s++)
        for (int32_t i = 0; i < program->sections[s].op_count; i++) {
            const struct op *op = &program->ops[program->sections[s].first_op + i];
            struct text words = {0};

            if (is_of_pipeline(program, op))
                continue;
            describe(program, &program->sections[s], op, &words);
            list->ops[list->count++] = (struct known_op){.words = words.data,
                                                         .parameter = op_parameter(program, op),
                                                         .update = program->sections[s].kind == SECTION_UPDATE &&
                                                                   op_parameter(program, op) == NO_VALUE};
        }
    qsort(list->ops, (size_t)list->count, sizeof *list->ops, in_order);
}

static void free_list(struct list *list)
{
    for (int64_t i = 0; i < list->count; i++)
        free(list->ops[i].words);
    free(list->ops);
}

static int64_t occurrences(const struct list *list, const char *words)
{
    const struct known_op key = {.words = (char *)(uintptr_t)words};
    const struct known_op *found = bsearch(&key, list->ops, (size_t)list->count, sizeof *list->ops, in_order);

    assert_true(found == NULL || found == list->ops || in_order(found - 1, found) != 0);
    assert_true(found == NULL || found == list->ops + list->count - 1 || in_order(found, found + 1) != 0);
    return found != NULL;
}

/* Each op of one rank is on one of them; that of a parameter that two have may be on both, what clips on all. */
static void compare_ops(const struct list *whole, const struct list *parts, int32_t ranks,
                        const struct program *program)
{
    int64_t found = 0, all = 0;

    for (int32_t r = 0; r < ranks; r++)
        all += parts[r].count;
    for (int64_t i = 0; i < whole->count; i++) {
        const struct known_op *op = &whole->ops[i];
        const bool tied = op->parameter != NO_VALUE &&
                          (strcmp(program->values[op->parameter].name, "wte.weight") == 0 ||
                           strcmp(program->values[op->parameter].name, "model.embed_tokens.weight") == 0);
        int64_t here = 0;

        for (int32_t r = 0; r < ranks; r++)
            here += occurrences(&parts[r], op->words);
        if (op->update ? here != ranks : tied ? here < 1 || here > 2 : here != 1)
            fail_msg("%s: %lld times on %d ranks", op->words, (long long)here, ranks);
        found += here;
    }
    if (found != all)
        fail_msg("%lld ops of %d ranks are none of one rank", (long long)(all - found), ranks);
}

/* Of the model's parameters, those on two ranks once. */
static int64_t count_parameters(const struct compiled *parts, int32_t ranks)
{
    int64_t elements = 0;

    for (int32_t r = 0; r < ranks; r++)
        for (int64_t i = 0; i < parts[r].program.value_count; i++) {
            const struct value *value = &parts[r].program.values[i];
            bool before = false;

            for (int32_t other = 0; other < r; other++)
                before |= program_find(&parts[other].program, value->name) != NO_VALUE;
            elements += value->kind == VALUE_PARAMETER && !before ? value_elements(value) : 0;
        }
    return elements;
}

static void union_is_whole(const struct compile_request *request, int32_t ranks)
{
    struct compile_request single = *request;
    struct compiled whole, parts[RANKS_MOST];
    struct list all, lists[RANKS_MOST];
    struct error error;

    /* The same program, cut into chunks of one rank; evaluation and generation are not cut by it. */
    single.chunks = 0;
    single.schedule = pipeline_splits(request->schedule) ? PIPELINE_ZERO_BUBBLE : PIPELINE_ONE_F_ONE_B;
    compile_rank(&single, 1, 0, &whole);
    list_ops(&whole.program, &all);
    for (int32_t r = 0; r < ranks; r++) {
        compile_rank(request, ranks, r, &parts[r]);
        if (program_verify(&parts[r].program, &error) != STATUS_OK)
            fail_msg("rank %d of %d: %s", r, ranks, error.message);
        list_ops(&parts[r].program, &lists[r]);
    }
    compare_ops(&all, lists, ranks, &whole.program);
    assert_int_equal(count_parameters(parts, ranks), count_parameters(&whole, 1));
    free_list(&all);
    compiled_finish(&whole);
    for (int32_t r = 0; r < ranks; r++) {
        free_list(&lists[r]);
        compiled_finish(&parts[r]);
    }
}

/* One preset of each structure: tied or not, with biases or without, fewer heads of keys, norms of heads. */
static bool stands_for_others(const char *preset)
{
    static const char *const those[] = {"gpt2", "llama-7b", "llama3-8b", "qwen2.5-0.5b", "qwen3-0.6b"};
    bool found = false;

    for (size_t i = 0; i < sizeof those / sizeof *those; i++)
        found |= strcmp(preset, those[i]) == 0;
    return found;
}

/* Nine layers of each preset, which only three ranks divide. */
static void the_union_of_all_ranks_is_the_model(void **state)
{
    (void)state;
    for (int p = 0; model_preset_name(p) != NULL; p++)
        for (int32_t ranks = 2; ranks <= RANKS_MOST; ranks++)
            for (int s = (p + ranks) % EVERY(4); s < SCHEDULES; s += EVERY(4)) {
                struct compile_request request = request_of(model_preset_name(p));

                request.model.n_layer = 9;
                request.schedule = schedules[s].kind;
                request.chunks = schedules[s].chunks;
                for (int mode = RECOMPUTE_NONE; mode <= RECOMPUTE_FULL; mode++) {
                    request.recompute = (enum recompute)mode;
                    if (stands_for_others(model_preset_name(p)) || mode == (p + ranks + s) % 3)
                        union_is_whole(&request, ranks);
                }
            }
}

static void thirty_layers_are_on_four_ranks(void **state)
{
    struct compile_request request = request_of("llama-30b");
    struct compiled last;

    (void)state;
    request.model.n_layer = 30;
    request.micro_batch = 2;
    union_is_whole(&request, 4);
    /* A layer has 4 x 6656^2 + 3 x 6656 x 17920 weights, the head 32000 x 6656, 0.4 of it: 7, 8, 8 layers, and 7 with
     * the head. */
    compile_rank(&request, 4, 3, &last);
    assert_int_not_equal(program_find(&last.program, "model.layers.23.mlp.up_proj.weight"), NO_VALUE);
    assert_int_equal(program_find(&last.program, "model.layers.22.mlp.up_proj.weight"), NO_VALUE);
    compiled_finish(&last);
}

static void numbers_without_exact_sums_are_cut_as_well(void **state)
{
    struct compile_request request = request_of("gpt2-tiny");

    (void)state;
    request.exact = false;
    request.dropout = 0.1f;
    for (int32_t ranks = 2; ranks <= RANKS_MOST; ranks++) {
        struct compiled compiled;

        for (int32_t r = 0; r < ranks; r++) {
            compile_rank(&request, ranks, r, &compiled);
            compiled_finish(&compiled);
        }
    }
}

static void inputs_are_where_they_are_used(void **state)
{
    struct compile_request request = request_of("gpt2-tiny");
    struct compiled compiled;

    (void)state;
    for (int32_t r = 0; r < 3; r++) {
        const struct io_values *io = &compiled.io;

        compile_rank(&request, 3, r, &compiled);
        assert_int_equal(io->train.tokens != NO_VALUE, r == 0);
        assert_int_equal(io->train.positions != NO_VALUE, r == 0);
        assert_int_equal(io->train.segment_starts != NO_VALUE, true);
        assert_int_equal(io->train.targets != NO_VALUE, r == 2);
        assert_int_equal(io->train.weights != NO_VALUE, r == 2);
        assert_int_equal(io->inverse_tokens != NO_VALUE, r == 2);
        assert_int_equal(io->microbatch_losses != NO_VALUE, r == 2);
        assert_int_equal(io->prefill_row != NO_VALUE, r == 2);
        assert_int_equal(io->decode.tokens != NO_VALUE, r == 0);
        assert_string_equal(compiled.program.values[io->losses].name, "losses");
        assert_string_equal(compiled.program.values[io->logits].name, "logits");
        assert_string_equal(compiled.program.values[io->evaluate_losses].name, "eval.losses");
        assert_int_not_equal(io->grad_norm, NO_VALUE);
        assert_int_not_equal(io->learning_rate, NO_VALUE);
        compiled_finish(&compiled);
    }
}

static void more_stages_than_layers_are_refused(void **state)
{
    struct compile_request request = request_of("gpt2-8");
    struct compiled compiled;
    struct error error;

    (void)state;
    request.mesh = mesh_single();
    request.mesh.sizes[MESH_PP] = 3;
    assert_int_equal(compile_step(&request, &compiled, &error), STATUS_USAGE);
    assert_string_equal(error.message,
                        "parallel.pp 3 with parallel.chunks 1 has more stages than the model's 2 layers; "
                        "fewer ranks or chunks are needed");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_union_of_all_ranks_is_the_model),        cmocka_unit_test(thirty_layers_are_on_four_ranks),
        cmocka_unit_test(numbers_without_exact_sums_are_cut_as_well), cmocka_unit_test(inputs_are_where_they_are_used),
        cmocka_unit_test(more_stages_than_layers_are_refused),
    };

    return cmocka_run_group_tests_name("compile pipeline", tests, NULL, NULL);
}
