#include "compile/compile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "program/op_table.h"

static struct compile_request demo(void)
{
    struct compile_request request = {.seed = 1,
                                      .sequence = 8,
                                      .global_batch = 6,
                                      .micro_batch = 2,
                                      .batch_parts = 1,
                                      .train = true,
                                      .compute_dtype = LLMRUN_F32,
                                      .update = {0.9f, 0.95f, 1e-8f, 0.1f, 1},
                                      .exact = true};
    struct error error;

    assert_int_equal(model_preset("demo", &request.model, &error), STATUS_OK);
    request.model.n_layer = 1;
    return request;
}

static void compile(const struct compile_request *request, struct compiled *compiled)
{
    struct error error;

    if (compile_step(request, compiled, &error) != STATUS_OK)
        fail_msg("%s", error.message);
}

static void refused(const struct compile_request *request, const char *message)
{
    struct compiled compiled;
    struct error error = {0};

    assert_int_equal(compile_step(request, &compiled, &error), STATUS_USAGE);
    assert_string_equal(error.message, message);
    assert_null(compiled.program.values);
    assert_null(compiled.plan.placements);
}

static void wrong_sizes_are_a_usage_error_with_what_to_change(void **state)
{
    struct compile_request request = demo();

    (void)state;
    request.micro_batch = 4;
    refused(&request, "train.micro_batch 4 does not divide train.global_batch 6");
    request.micro_batch = 0;
    refused(&request, "train.micro_batch 0 does not divide train.global_batch 6");
    request.micro_batch = -2;
    refused(&request, "train.micro_batch -2 does not divide train.global_batch 6");
    request.micro_batch = 2;
    request.batch_parts = 0;
    refused(
        &request,
        "train.micro_batch 2 is neither a part nor a multiple of a batch part: train.global_batch 6 in 2 batch parts "
        "has parts of 3 sequences; with numerics.batch_parts 1 every train.micro_batch is possible");
    request.batch_parts = 4;
    refused(&request, "numerics.batch_parts is 4; expected a power of two up to 256 that divides train.global_batch 6");
    request.batch_parts = 1;
    request.position_parts = 6;
    refused(&request, "numerics.position_parts is 6; expected a power of two up to 64");
    request.position_parts = 128;
    refused(&request, "numerics.position_parts is 128; expected a power of two up to 64");
    request.position_parts = 0;
    request.micro_batch = 1;
    request.global_batch = 0;
    refused(&request, "train.global_batch is 0; at least 1 is needed");
    request.global_batch = (int64_t)1 << 32;
    refused(&request, "train.global_batch 4294967296 has more than 2147483647 microbatches of 1");
    request = demo();
    request.chunks = 2;
    refused(&request, "parallel.chunks is 2; a model of 1 layers has 1 to 1");
    request.chunks = -1;
    refused(&request, "parallel.chunks is -1; a model of 1 layers has 1 to 1");
    request.model.n_layer = request.chunks = 2;
    refused(&request, "schedule 1f1b: 2 chunks a rank, wanted 1 to 1");
    request = demo();
    request.schedule = PIPELINE_INTERLEAVED;
    refused(&request, "schedule interleaved: 1 chunks a rank, wanted 2 to 64");
    request = demo();
    request.sequence = 129;
    refused(&request, "data.seq_len 129 is longer than the model's context of 128");
    request.sequence = 0;
    refused(&request, "data.seq_len is 0; at least 1 is needed");
    request = demo();
    request.model.n_head = 3;
    refused(&request, "model: n_embd 128 is not a multiple of n_head 3");
}

/* Kinds, as bits. */
static int sections_of(const struct compiled *compiled)
{
    const struct section *sections = compiled->program.sections;
    int mask = 0;

    for (int64_t i = 0; i < compiled->program.section_count; i++) {
        for (int64_t k = 0; k < i; k++) /* no key comes twice */
            assert_false(sections[i].kind == sections[k].kind && sections[i].chunk == sections[k].chunk &&
                         sections[i].layer == sections[k].layer && sections[i].level == sections[k].level);
        mask |= 1 << sections[i].kind;
    }
    return mask;
}

static void a_request_gets_the_sections_that_it_asks_for(void **state)
{
    const int init = 1 << SECTION_INIT, cast_weights = 1 << SECTION_CAST_WEIGHTS, evaluate = 1 << SECTION_EVALUATE,
              generate = 1 << SECTION_PREFILL | 1 << SECTION_DECODE,
              train = 1 << SECTION_FORWARD | 1 << SECTION_BACKWARD | 1 << SECTION_REDUCE | 1 << SECTION_UPDATE;
    struct compile_request request = demo();
    struct compiled compiled;

    (void)state;
    compile(&request, &compiled);
    assert_int_equal(sections_of(&compiled), init | train);
    assert_int_equal(compiled.microbatches, 3);
    assert_int_equal(compiled.pipeline.shape.ranks, 1);
    assert_int_equal(compiled.pipeline.ranks[0].count, 10); /* twice zero, three times F and BW, twice combine */
    compiled_finish(&compiled);

    request.train = false;
    request.eval_batch = 2;
    compile(&request, &compiled);
    assert_int_equal(sections_of(&compiled), init | evaluate);
    assert_null(compiled.pipeline.ranks);
    assert_int_equal(compiled.commands.jobs[JOB_STEP].count, 0);
    assert_int_equal(compiled.plan.region_bytes[REGION_GRADIENTS], 0);
    assert_int_equal(compiled.plan.region_bytes[REGION_STATE], 0);
    compiled_finish(&compiled);

    request.train = request.generate = true;
    request.compute_dtype = LLMRUN_BF16;
    compile(&request, &compiled);
    assert_int_equal(sections_of(&compiled), init | cast_weights | train | evaluate | generate);
    compiled_finish(&compiled);
}

/* By hand: microbatches of 2 sequences of 8 tokens, 3 sequences of 6 in an evaluation, a prefill of 8 rows,
 * 4 dropouts: of the embedding, and 3 of the layer. */
static void inputs_and_results_have_the_size_of_what_the_host_writes_and_reads(void **state)
{
    static const struct {
        const char *name;
        enum value_kind kind;
        uint32_t dtype, flags;
        int64_t elements;
    } wanted[] = {
        {"tokens", VALUE_INPUT, LLMRUN_I32, VALUE_PER_MICROBATCH, 16},
        {"targets", VALUE_INPUT, LLMRUN_I32, VALUE_PER_MICROBATCH, 16},
        {"weights", VALUE_INPUT, LLMRUN_F32, VALUE_PER_MICROBATCH, 16},
        {"positions", VALUE_INPUT, LLMRUN_I32, VALUE_PER_MICROBATCH, 16},
        {"segment_starts", VALUE_INPUT, LLMRUN_I32, VALUE_PER_MICROBATCH, 16},
        {"random", VALUE_INPUT, LLMRUN_U32, VALUE_PER_MICROBATCH, 4 * 64},
        {"inverse_tokens", VALUE_INPUT, LLMRUN_F32, 0, 1},
        {"learning_rate", VALUE_INPUT, LLMRUN_F32, 0, 1},
        {"bias_correction", VALUE_INPUT, LLMRUN_F32, 0, 2},
        {"eval.tokens", VALUE_INPUT, LLMRUN_I32, 0, 18},
        {"eval.targets", VALUE_INPUT, LLMRUN_I32, 0, 18},
        {"eval.weights", VALUE_INPUT, LLMRUN_F32, 0, 18},
        {"eval.positions", VALUE_INPUT, LLMRUN_I32, 0, 18},
        {"eval.segment_starts", VALUE_INPUT, LLMRUN_I32, 0, 18},
        {"prefill.tokens", VALUE_INPUT, LLMRUN_I32, 0, 8},
        {"prefill.positions", VALUE_INPUT, LLMRUN_I32, 0, 8},
        {"prefill.cached", VALUE_INPUT, LLMRUN_I32, 0, 1},
        {"prefill.row", VALUE_INPUT, LLMRUN_I32, 0, 1},
        {"decode.tokens", VALUE_INPUT, LLMRUN_I32, 0, 1},
        {"decode.positions", VALUE_INPUT, LLMRUN_I32, 0, 1},
        {"losses", VALUE_RESULT, LLMRUN_F64, 0, 6},
        {"losses.microbatch", VALUE_SCRATCH, LLMRUN_F64, 0, 2},
        {"eval.losses", VALUE_RESULT, LLMRUN_F64, 0, 3},
        {"grad_norm", VALUE_RESULT, LLMRUN_F32, 0, 1},
        {"found_inf", VALUE_RESULT, LLMRUN_U32, 0, 1},
        {"logits", VALUE_RESULT, LLMRUN_F32, 0, 256},
    };
    const int count = (int)(sizeof wanted / sizeof wanted[0]);
    struct compile_request request = demo();
    struct compiled compiled;
    int found = 0;

    (void)state;
    request.dropout = 0.1f;
    request.eval_batch = 3;
    request.eval_sequence = 6;
    request.generate = true;
    compile(&request, &compiled);
    for (int i = 0; i < count; i++) {
        const int32_t id = program_find(&compiled.program, wanted[i].name);
        const struct value *value = &compiled.program.values[id];

        if (id == NO_VALUE)
            fail_msg("there is no %s", wanted[i].name);
        if (value->kind != wanted[i].kind || value->dtype != wanted[i].dtype || value->flags != wanted[i].flags ||
            value_elements(value) != wanted[i].elements)
            fail_msg("%s: kind %d, type %u, flags %u, %lld elements", wanted[i].name, (int)value->kind, value->dtype,
                     value->flags, (long long)value_elements(value));
    }
    for (int64_t i = 0; i < compiled.program.value_count; i++)
        found += !(compiled.program.values[i].flags & VALUE_VIEW) &&
                 (compiled.program.values[i].kind == VALUE_INPUT || compiled.program.values[i].kind == VALUE_RESULT);
    assert_int_equal(found, count - 1); /* all but losses.microbatch */
    compiled_finish(&compiled);
}

static int32_t io_member(const struct io_values *io, size_t offset)
{
    int32_t value;

    memcpy(&value, (const char *)io + offset, sizeof value);
    return value;
}

static void their_ids_are_told_and_those_that_are_not_there_too(void **state)
{
#define BATCH(prefix, member)                                                                                          \
    {prefix "tokens", offsetof(struct io_values, member.tokens)},                                                      \
        {prefix "targets", offsetof(struct io_values, member.targets)},                                                \
        {prefix "weights", offsetof(struct io_values, member.weights)},                                                \
        {prefix "positions", offsetof(struct io_values, member.positions)},                                            \
    {                                                                                                                  \
        prefix "segment_starts", offsetof(struct io_values, member.segment_starts)                                     \
    }
    static const struct {
        const char *name; /* in the program; it has none of it where it stands for no value */
        size_t offset;
    } members[] = {
        BATCH("", train),
        BATCH("eval.", evaluate),
        BATCH("prefill.", prefill),
        BATCH("decode.", decode),
        {"random", offsetof(struct io_values, random)},
        {"inverse_tokens", offsetof(struct io_values, inverse_tokens)},
        {"learning_rate", offsetof(struct io_values, learning_rate)},
        {"bias_correction", offsetof(struct io_values, bias_correction)},
        {"losses", offsetof(struct io_values, losses)},
        {"losses.microbatch", offsetof(struct io_values, microbatch_losses)},
        {"grad_norm", offsetof(struct io_values, grad_norm)},
        {"found_inf", offsetof(struct io_values, found_inf)},
        {"eval.losses", offsetof(struct io_values, evaluate_losses)},
        {"prefill.cached", offsetof(struct io_values, prefill_cached)},
        {"prefill.row", offsetof(struct io_values, prefill_row)},
        {"logits", offsetof(struct io_values, logits)},
    };
#undef BATCH

    (void)state;
    assert_int_equal(sizeof members / sizeof members[0] * sizeof(int32_t), sizeof(struct io_values));
    for (int uses = 1; uses < 16; uses++) {
        struct compile_request request = demo();
        struct compiled compiled;

        request.train = uses & 1;
        request.eval_batch = uses & 2 ? 2 : 0;
        request.generate = uses & 4;
        request.dropout = uses & 8 ? 0.1f : 0;
        compile(&request, &compiled);
        for (size_t i = 0; i < sizeof members / sizeof members[0]; i++)
            assert_int_equal(io_member(&compiled.io, members[i].offset),
                             program_find(&compiled.program, members[i].name));
        compiled_finish(&compiled);
    }
}

/* Asked once about all ops. */
struct device {
    int asked;
    int64_t ops;
    uint16_t refused;
};

static int query(void *context, const struct compiled *compiled, int64_t *workspace_bytes, struct error *error)
{
    struct device *device = context;

    device->asked++;
    device->ops = compiled->program.op_count;
    assert_non_null(compiled->flow.section); /* the device tells sections from each other by what stays within */
    assert_true(compiled->commands.jobs[JOB_STEP].count > 0);
    assert_null(compiled->plan.placements); /* the plan needs the answer */
    for (int64_t i = 0; i < compiled->program.op_count; i++)
        if (compiled->program.ops[i].op == device->refused)
            return error_set(error, STATUS_BACKEND, "no kernel for op %u", device->refused);
    *workspace_bytes = 1001;
    return STATUS_OK;
}

static void the_workspace_is_what_the_device_asks_for(void **state)
{
    struct device device = {0};
    struct compile_request request = demo();
    struct compiled compiled;

    (void)state;
    compile(&request, &compiled);
    assert_false(compiled.workspace_known);
    assert_int_equal(compiled.plan.region_bytes[REGION_WORKSPACE], 0);
    compiled_finish(&compiled);
    request.query = query;
    request.query_context = &device;
    compile(&request, &compiled);
    assert_true(compiled.workspace_known);
    assert_int_equal(device.asked, 1);
    assert_int_equal(device.ops, compiled.program.op_count);
    assert_int_equal(compiled.plan.region_bytes[REGION_WORKSPACE], 1024);
    compiled_finish(&compiled);
}

static void an_op_that_the_device_cannot_do_ends_compiling_with_its_reason(void **state)
{
    struct device device = {.refused = LLMRUN_OP_ADAMW};
    struct compile_request request = demo();
    struct compiled compiled;
    struct error error;

    (void)state;
    request.query = query;
    request.query_context = &device;
    assert_int_equal(compile_step(&request, &compiled, &error), STATUS_BACKEND);
    assert_string_equal(error.message, "no kernel for op 20");
    assert_null(compiled.program.values);
    assert_null(compiled.pipeline.ranks);
    assert_null(compiled.flow.slots);
    for (int job = 0; job < JOBS; job++)
        assert_null(compiled.commands.jobs[job].commands);
}

static const struct op *find_op(const struct compiled *compiled, uint16_t op)
{
    for (int64_t i = 0; i < compiled->program.op_count; i++)
        if (compiled->program.ops[i].op == op)
            return &compiled->program.ops[i];
    fail_msg("there is no op %u", op);
    return NULL;
}

static void an_op_is_described_in_the_words_of_the_contract(void **state)
{
    struct llmrun_tensor tensors[LLMRUN_MAX_OPERANDS];
    struct compile_request request = demo();
    struct compiled compiled;
    struct llmrun_op op;

    (void)state;
    compile(&request, &compiled);
    compiled_describe(&compiled, find_op(&compiled, LLMRUN_OP_EMBEDDING), tensors, &op);
    assert_int_equal(op.size, sizeof op);
    assert_int_equal(op.version, 1); /* the lowest that suffices: it uses no origin */
    assert_int_equal(op.flags, LLMRUN_OP_EXACT | LLMRUN_OP_DETERMINISTIC);
    assert_int_equal(op.operand_count, LLMRUN_EMBEDDING_OPERANDS);
    assert_int_equal(op.attribute_bytes, 0);
    assert_int_equal(tensors[LLMRUN_EMBEDDING_IDS].dtype, LLMRUN_I32);
    assert_int_equal(tensors[LLMRUN_EMBEDDING_IDS].shape[0], 16);
    assert_int_equal(tensors[LLMRUN_EMBEDDING_IDS].alignment, PLAN_ALIGNMENT);
    assert_int_equal(tensors[LLMRUN_EMBEDDING_TABLE].shape[0], 256);
    assert_int_equal(tensors[LLMRUN_EMBEDDING_TABLE].stride[0], 128);
    assert_int_equal(tensors[LLMRUN_EMBEDDING_TABLE].stride[1], 1);
    assert_int_equal(tensors[LLMRUN_EMBEDDING_TABLE].alignment, PLAN_ALIGNMENT);
    assert_int_equal(tensors[LLMRUN_EMBEDDING_ADDEND].dtype, LLMRUN_NONE);
    assert_int_equal(tensors[LLMRUN_EMBEDDING_ADDEND].rank, 0);
    compiled.form.exact = false;
    compiled_describe(&compiled, find_op(&compiled, LLMRUN_OP_ATTENTION), tensors, &op);
    assert_int_equal(op.flags, LLMRUN_OP_DETERMINISTIC);
    assert_int_equal(op.attribute_bytes, sizeof(struct llmrun_attention_attributes));
    assert_int_equal(((const struct llmrun_attention_attributes *)op.attributes)->seq_len, 8);
    compiled_finish(&compiled);
    request.alignment = 64; /* of the arena: no address in it is known to be aligned better */
    compile(&request, &compiled);
    compiled_describe(&compiled, find_op(&compiled, LLMRUN_OP_EMBEDDING), tensors, &op);
    assert_int_equal(tensors[LLMRUN_EMBEDDING_TABLE].alignment, 64);
    assert_int_equal(tensors[LLMRUN_EMBEDDING_ADDEND].alignment, 0);
    compiled_finish(&compiled);
    request.alignment = 4096;
    compile(&request, &compiled);
    assert_int_equal(compiled_alignment(&compiled), PLAN_ALIGNMENT);
    compiled_finish(&compiled);
}

/* They are written to one place, and copied from there, so the place is none of a microbatch's. */
static void the_losses_of_microbatches_are_parts_of_the_losses_of_the_step(void **state)
{
    struct compile_request request = demo();
    const struct value *all, *part;
    struct compiled compiled;

    (void)state;
    compile(&request, &compiled);
    all = &compiled.program.values[compiled.io.losses];
    part = &compiled.program.values[compiled.io.microbatch_losses];
    assert_int_equal(part->source, compiled.io.losses);
    assert_int_equal(value_bytes(part) * compiled.microbatches, value_bytes(all));
    assert_int_equal(compiled.plan.placements[compiled.io.losses].region, REGION_RESULTS);
    assert_int_equal(compiled.plan.placements[compiled.io.microbatch_losses].region, REGION_SCRATCH);
    assert_int_equal(compiled.plan.placements[compiled.io.microbatch_losses].pool, NO_POOL);
    compiled_finish(&compiled);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_sizes_are_a_usage_error_with_what_to_change),
        cmocka_unit_test(a_request_gets_the_sections_that_it_asks_for),
        cmocka_unit_test(inputs_and_results_have_the_size_of_what_the_host_writes_and_reads),
        cmocka_unit_test(their_ids_are_told_and_those_that_are_not_there_too),
        cmocka_unit_test(the_workspace_is_what_the_device_asks_for),
        cmocka_unit_test(an_op_that_the_device_cannot_do_ends_compiling_with_its_reason),
        cmocka_unit_test(an_op_is_described_in_the_words_of_the_contract),
        cmocka_unit_test(the_losses_of_microbatches_are_parts_of_the_losses_of_the_step),
    };

    return cmocka_run_group_tests_name("compile", tests, NULL, NULL);
}
