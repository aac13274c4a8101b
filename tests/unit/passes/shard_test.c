/* The shard pass: small models line by line, every preset in every layout, and what cannot be split. */
#include "golden.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "compile/values.h"
#include "passes/backward.h"
#include "passes/precision.h"
#include "passes/recompute.h"
#include "passes/shard.h"
#include "program/axes.h"
#include "program/op_table.h"
#include "program/text.h"
#include "program/verify.h"

/* A step of two microbatches of two sequences, before its passes: batch parts are the sequences. */
static struct compile_request request_of(const char *preset, int64_t layers, int64_t sequence, uint32_t dtype)
{
    struct compile_request request = {.seed = 1,
                                      .sequence = sequence,
                                      .mesh = mesh_single(),
                                      .global_batch = 4,
                                      .micro_batch = 2,
                                      .train = true,
                                      .compute_dtype = dtype,
                                      .update = {0.9f, 0.95f, 1e-8f, 0.1f, 1, true},
                                      .exact = true};
    struct error error;

    assert_int_equal(model_preset(preset, &request.model, &error), STATUS_OK);
    request.model.n_layer = layers;
    return request;
}

/* What the shard pass takes, and *form of its sums. */
static void build(const struct compile_request *request, struct program *program, struct reduction_form *form)
{
    const struct reduction_request sums = {.exact = request->exact,
                                           .one_backward = true,
                                           .sequence = request->sequence,
                                           .global_batch = request->global_batch,
                                           .micro_batch = request->micro_batch,
                                           .position_parts = request->position_parts};
    struct io_values io;
    struct builder builder;
    struct error error;
    int status;

    program_init(program);
    values_none(&io);
    builder_init(&builder, program, &error);
    builder_section(&builder, SECTION_INIT);
    builder.role = ROLE_UPDATE;
    model_build_init(&builder, &request->model, request->seed);
    builder.role = ROLE_FORWARD;
    if (request->train)
        values_build_train(&builder, request, &io);
    status = builder.status == STATUS_OK && request->train ? pass_backward(program, &error) : builder.status;
    if (status == STATUS_OK && request->eval_batch > 0)
        values_build_evaluate(&builder, request, &io);
    if (status == STATUS_OK && request->generate)
        values_build_generate(&builder, request, &io);
    if (status == STATUS_OK)
        status = reduction_form_make(&sums, form, &error);
    if (status == STATUS_OK)
        status = pass_reduction_order(program, form, &error);
    if (status == STATUS_OK && request->train)
        status = pass_optimizer(program, &request->update, &error);
    if (status == STATUS_OK)
        status = pass_precision(program, request->compute_dtype, &error);
    if (status != STATUS_OK)
        fail_msg("%s", error.message);
}

static int shard(const struct compile_request *request, int32_t tp, int32_t index, struct program *program,
                 struct error *error)
{
    struct reduction_form sums;
    struct shard_form form = {.mesh = mesh_single(),
                              .sequence_parallel = request->sequence_parallel,
                              .loss_chunk = request->loss_chunk,
                              .sums = &sums};

    form.mesh.sizes[MESH_TP] = tp;
    form.mesh.index[MESH_TP] = index;
    build(request, program, &sums);
    return pass_shard(program, &form, error);
}

struct layout {
    const char *name, *preset;
    bool sequence_parallel;
    uint32_t dtype;
    int64_t loss_chunk;
};

/* Rank 1 of 2. */
static const struct layout goldens[] = {
    {"shard_gpt2", "gpt2-8", false, LLMRUN_F32, 0},     {"shard_gpt2_sp_bf16", "gpt2-8", true, LLMRUN_BF16, 0},
    {"shard_llama_sp", "llama-8", true, LLMRUN_F32, 4}, {"shard_llama_bf16", "llama-8", false, LLMRUN_BF16, 0},
    {"shard_qwen3_sp", "qwen3-8", true, LLMRUN_F32, 0},
};

static void the_program_of_a_rank_is_the_committed_one(void **state)
{
    const struct layout *layout = *state;
    struct compile_request request = request_of(layout->preset, 1, 8, layout->dtype);
    struct program program;
    struct error error;

    request.sequence_parallel = layout->sequence_parallel;
    request.loss_chunk = layout->loss_chunk;
    if (shard(&request, 2, 1, &program, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    golden_compare_program(layout->name, &program);
    program_finish(&program);
}

static void one_rank_has_the_program_as_it_was(void **state)
{
    const struct compile_request request = request_of("llama-8", 1, 8, LLMRUN_BF16);
    struct reduction_form form;
    struct program program, sharded;
    struct error error;

    (void)state;
    build(&request, &program, &form);
    assert_int_equal(shard(&request, 1, 0, &sharded, &error), STATUS_OK);
    assert_true(program_hash(&program) == program_hash(&sharded));
    program_finish(&program);
    program_finish(&sharded);
}

/* 8 parts, or the largest power of two below that divides. */
static bool parts_divide(int64_t extent, int32_t ranks)
{
    int64_t parts = 8;

    while (extent % parts != 0)
        parts /= 2;
    return parts % ranks == 0;
}

static bool can_be_split(const struct model_config *model, int32_t ranks)
{
    const int64_t kv_heads = model->n_kv_head > 0 ? model->n_kv_head : model->n_head;

    return kv_heads % ranks == 0 && model->n_head % ranks == 0 &&
           parts_divide(model->n_head * model_head_width(model), ranks) && parts_divide(model_inner(model), ranks);
}

static void check_preset(const char *preset, int32_t ranks, bool sequence_parallel, uint32_t dtype)
{
    struct compile_request request = request_of(preset, 2, 64, dtype);

    request.sequence_parallel = sequence_parallel;
    request.generate = true;
    request.eval_batch = 2;
    request.eval_sequence = 60; /* positions are split over 2 and 4 ranks, not over 8 */
    request.dropout = sequence_parallel ? 0.1f : 0;
    for (int32_t r = 0; r < ranks; r += ranks - 1) {
        struct program program;
        struct error error;
        int status = shard(&request, ranks, r, &program, &error);

        if (status == STATUS_OK)
            status = program_verify(&program, &error);
        if (status != (can_be_split(&request.model, ranks) ? STATUS_OK : STATUS_USAGE))
            fail_msg("%s, tp %d: status %d, %s", preset, ranks, status, error.message);
        program_finish(&program);
    }
}

static void every_preset_verifies_in_every_layout_that_its_heads_allow(void **state)
{
    (void)state;
    for (int i = 0; model_preset_name(i) != NULL; i++)
        for (int32_t ranks = 2; ranks <= 8; ranks *= 2)
            for (int bits = 0; bits < 4; bits++)
                check_preset(model_preset_name(i), ranks, bits & 1, bits & 2 ? LLMRUN_BF16 : LLMRUN_F32);
}

static void wrong(const struct compile_request *request, int32_t tp, const char *message)
{
    struct program program;
    struct error error;

    assert_int_equal(shard(request, tp, 0, &program, &error), STATUS_USAGE);
    assert_string_equal(error.message, message);
    program_finish(&program);
}

static void what_cannot_be_split_is_named_with_the_nearest_layout(void **state)
{
    struct compile_request request = request_of("gpt2", 1, 12, LLMRUN_F32);

    (void)state;
    wrong(&request, 8,
          "parallel.tp is 8: attention (attention) has 12 heads of keys and values, which 8 ranks cannot share "
          "equally; use parallel.tp 4");
    request.sequence_parallel = true;
    wrong(&request, 8,
          "parallel.tp is 8: a sequence (data.seq_len) has 12 positions, which 8 ranks cannot share equally; use "
          "parallel.tp 4");
    request = request_of("llama-8", 1, 8, LLMRUN_F32);
    request.model.n_inner = 44; /* 4 parts */
    wrong(&request, 8,
          "parallel.tp is 8: matmul (model.layers.0.mlp.gate_proj.weight) has 44 features, which 8 ranks cannot "
          "share equally; use parallel.tp 4");
    request = request_of("llama-8", 1, 8, LLMRUN_F32);
    request.sequence_parallel = true;
    request.position_parts = 2;
    wrong(&request, 4,
          "parallel.tp is 4: rmsnorm_grad (model.norm.weight) has 2 parts of positions in exact sums "
          "(numerics.position_parts), which 4 ranks cannot share equally; use parallel.tp 2");
    request = request_of("llama-7b", 1, 64, LLMRUN_F32); /* 32 heads, and sums in 8 parts */
    wrong(&request, 16,
          "parallel.tp is 16: matmul (model.layers.0.self_attn.o_proj.weight) has 8 parts of features in exact sums, "
          "which 16 ranks cannot share equally; use parallel.tp 8");
}

static void a_chunk_of_the_loss_divides_a_batch_part(void **state)
{
    struct compile_request request = request_of("llama-8", 1, 8, LLMRUN_BF16);
    struct program program;
    struct error error;

    (void)state;
    request.loss_chunk = 3;
    assert_int_equal(shard(&request, 2, 0, &program, &error), STATUS_USAGE);
    assert_string_equal(
        error.message,
        "a chunk of the loss is 3 tokens; expected whole sequences of 8 tokens, or equal pieces of one of even "
        "length, that divide the 8 tokens of a batch part");
    program_finish(&program);
}

/* Three sequences of 8 tokens: 16 do not divide them, 8 do. */
static void an_evaluation_takes_the_next_smaller_chunk(void **state)
{
    struct compile_request request = request_of("llama-8", 3, 8, LLMRUN_F32);
    struct program program;
    struct error error;

    (void)state;
    request.train = false;
    request.eval_batch = 3;
    request.loss_chunk = 16;
    if (shard(&request, 2, 0, &program, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    assert_int_equal(program.values[program_find(&program, "eval.targets.chunk2")].shape[0], 8);
    assert_int_equal(program_find(&program, "eval.targets.chunk3"), NO_VALUE);
    program_finish(&program);
}

/* LLaMA's head is a matrix of its own; what it makes goes to the host. */
static void a_program_that_only_generates_splits_its_head_too(void **state)
{
    struct compile_request request = request_of("llama-8", 1, 8, LLMRUN_BF16);
    const struct value *head;
    struct program program;
    struct error error;

    (void)state;
    request.train = false;
    request.generate = true;
    request.sequence_parallel = true;
    assert_int_equal(shard(&request, 2, 1, &program, &error), STATUS_OK);
    if (program_verify(&program, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    head = &program.values[program_find(&program, MODEL_HEAD_NAME)];
    assert_int_equal(head->shape[0], head->full[0] / 2);
    assert_int_equal(program.values[program_find(&program, "logits")].shape[1], head->full[0]);
    program_finish(&program);
}

static int64_t rows_of_logits(const char *preset, int64_t sequence, uint32_t dtype)
{
    struct compile_request request = request_of(preset, 1, sequence, dtype);
    struct program program;
    struct error error;
    int64_t rows = 0;

    assert_int_equal(shard(&request, 2, 0, &program, &error), STATUS_OK);
    for (int64_t i = 0; i < program.op_count; i++)
        if (program.ops[i].op == LLMRUN_OP_LOSS_STATISTICS)
            rows = program.values[program_operands(&program, &program.ops[i])[LLMRUN_LOSS_STATISTICS_LOGITS]].shape[0];
    program_finish(&program);
    return rows;
}

/* Of LLaMA 3 a rank has 64128 columns, 256512 bytes a token: 32 tokens fill 8 MiB; of GPT-2 25152, 83 tokens. */
static void logits_of_a_chunk_fill_8_mib_or_are_of_64_tokens(void **state)
{
    (void)state;
    assert_int_equal(rows_of_logits("llama3-8b", 1024, LLMRUN_BF16), 64);
    assert_int_equal(rows_of_logits("llama3-8b", 32, LLMRUN_BF16), 64);  /* the microbatch */
    assert_int_equal(rows_of_logits("llama3-8b", 65, LLMRUN_F32), 65);   /* a sequence */
    assert_int_equal(rows_of_logits("llama3-8b", 254, LLMRUN_F32), 127); /* 64 to 126 do not divide one */
    assert_int_equal(rows_of_logits("llama3-8b", 5 * 131, LLMRUN_F32), 131);
    assert_int_equal(rows_of_logits("gpt2", 240, LLMRUN_F32), 80);
    assert_int_equal(rows_of_logits("llama-8", 256, LLMRUN_F32), 512);
}

/* Bytes of gathered activations of the forward section that the backward section reads, before the pass or after it. */
static int64_t gathered_bytes_kept(bool after, enum recompute mode)
{
    struct compile_request request = request_of("llama-8", 2, 16, LLMRUN_BF16);
    const struct section *backward;
    struct program program;
    struct error error;
    int64_t bytes = 0;

    request.sequence_parallel = true;
    assert_int_equal(shard(&request, 2, 0, &program, &error), STATUS_OK);
    if (after)
        assert_int_equal(pass_recompute(&program, mode, &error), STATUS_OK);
    if (program_verify(&program, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    backward = program_section(&program, SECTION_BACKWARD);
    for (int32_t v = 0; v < program.value_count; v++) {
        bool made = false, used = false;

        for (int32_t i = 0; i < backward->op_count; i++) {
            const struct op *op = &program.ops[backward->first_op + i];
            const struct op_info *info = op_info_find(op->op);

            for (uint32_t k = 0; info->operands[k].name != NULL; k++) {
                const bool same = program_operands(&program, op)[k] == v;

                made |= same && info->operands[k].direction == OPERAND_OUT;
                used |= same && info->operands[k].direction == OPERAND_IN;
            }
        }
        if (used && !made && strstr(program.values[v].name, ".gathered") != NULL)
            bytes += value_bytes(&program.values[v]);
    }
    program_finish(&program);
    return bytes;
}

/* Two sequences of 16 positions, 64 wide, in bf16, twice a layer, and two layers. */
static void recomputation_gathers_again_what_ranks_have_parts_of(void **state)
{
    (void)state;
    assert_int_equal(gathered_bytes_kept(false, RECOMPUTE_NONE), 4 * 32 * 64 * 2);
    assert_int_equal(gathered_bytes_kept(true, RECOMPUTE_NONE), 0);
    assert_int_equal(gathered_bytes_kept(true, RECOMPUTE_SELECTIVE), 0);
    assert_int_equal(gathered_bytes_kept(true, RECOMPUTE_FULL), 0);
}

int main(void)
{
    enum { COUNT = sizeof goldens / sizeof goldens[0] };
    const struct CMUnitTest others[] = {
        cmocka_unit_test(one_rank_has_the_program_as_it_was),
        cmocka_unit_test(every_preset_verifies_in_every_layout_that_its_heads_allow),
        cmocka_unit_test(what_cannot_be_split_is_named_with_the_nearest_layout),
        cmocka_unit_test(a_chunk_of_the_loss_divides_a_batch_part),
        cmocka_unit_test(an_evaluation_takes_the_next_smaller_chunk),
        cmocka_unit_test(a_program_that_only_generates_splits_its_head_too),
        cmocka_unit_test(logits_of_a_chunk_fill_8_mib_or_are_of_64_tokens),
        cmocka_unit_test(recomputation_gathers_again_what_ranks_have_parts_of),
    };
    struct CMUnitTest tests[COUNT + sizeof others / sizeof others[0]];

    for (int i = 0; i < COUNT; i++)
        tests[i] = (struct CMUnitTest){goldens[i].name, the_program_of_a_rank_is_the_committed_one, NULL, NULL,
                                       (void *)(uintptr_t)&goldens[i]};
    memcpy(tests + COUNT, others, sizeof others);
    return cmocka_run_group_tests_name("passes shard", tests, NULL, NULL);
}
