#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/checked.h"
#include "compile/compile.h"
#include "golden.h"
#include "planned.h"
#include "program/op_table.h"
#include "program/text.h"

static bool uses(const struct program *program, int64_t op, int32_t value)
{
    const uint32_t count = op_operand_count(op_info_find(program->ops[op].op));

    for (uint32_t i = 0; i < count; i++)
        if (program_operands(program, &program->ops[op])[i] == value)
            return true;
    return false;
}

/* Ops of one launch after the other: forward and backward, or one of evaluate, prefill and decode. */
static int group_of(enum section_kind kind)
{
    return kind == SECTION_EVALUATE  ? 2
           : kind == SECTION_PREFILL ? 3
           : kind == SECTION_DECODE  ? 4
           : kind == SECTION_FORWARD || kind == SECTION_BACKWARD || kind == SECTION_BACKWARD_INPUT ||
                   kind == SECTION_BACKWARD_WEIGHT
               ? 1
               : 0;
}

/* The first and last op of a group that use the value; false when none does. */
static bool lifetime(const struct program *program, int32_t value, int group, int64_t *first, int64_t *last)
{
    *first = *last = -1;
    for (int64_t s = 0; s < program->section_count; s++)
        for (int32_t n = 0; group_of(program->sections[s].kind) == group && n < program->sections[s].op_count; n++) {
            int64_t op = program->sections[s].first_op + n;

            if (!uses(program, op, value))
                continue;
            *first = *first < 0 ? op : *first;
            *last = op;
        }
    return *last >= 0;
}

/* From the plan's own numbers, for all pairs: values that are alive at one time share no byte. */
static void check_activations(const struct program *program, const struct memory_plan *plan)
{
    for (int group = 1; group <= 4; group++)
        for (int32_t a = 0; a < program->value_count; a++) {
            const struct placement *at_a = &plan->placements[a];
            int64_t first_a, last_a;

            if (program->values[a].kind != VALUE_ACTIVATION || !lifetime(program, a, group, &first_a, &last_a))
                continue;
            assert_true(at_a->placed);
            assert_int_equal(at_a->offset % PLAN_ALIGNMENT, 0);
            assert_true(at_a->offset + value_bytes(&program->values[a]) <= plan->region_bytes[REGION_ACTIVATIONS]);
            for (int32_t b = 0; b < a; b++) {
                const struct placement *at_b = &plan->placements[b];
                int64_t first_b, last_b;

                if (program->values[b].kind != VALUE_ACTIVATION || !lifetime(program, b, group, &first_b, &last_b))
                    continue;
                if (first_a > last_b || first_b > last_a)
                    continue;
                if (at_a->offset < at_b->offset + value_bytes(&program->values[b]) &&
                    at_b->offset < at_a->offset + value_bytes(&program->values[a]))
                    fail_msg("%s and %s are alive together and share bytes", program->values[a].name,
                             program->values[b].name);
            }
        }
}

struct life {
    int64_t first, last, bytes, offset;
};

/* Whether `a` comes before `b` in "greedy by size" (Pisarchyk and Lee 2020): the larger one, then the one alive first,
 * then that of the lower number, as they lie in memory. */
static bool before(const struct life *a, const struct life *b)
{
    return a->bytes != b->bytes ? a->bytes > b->bytes : a->first != b->first ? a->first < b->first : a < b;
}

/* Whether `life` could lie at an offset beside all of those before it. */
static bool fits(const struct life *life, int64_t offset, const struct life *others, int64_t count)
{
    for (const struct life *other = others; other < others + count; other++)
        if (before(other, life) && life->first <= other->last && other->first <= life->last &&
            offset < other->offset + other->bytes && other->offset < offset + life->bytes)
            return false;
    return true;
}

/* Each activation lies at the lowest offset that fits: 0, or the end of one before it. */
static void check_layout(const struct program *program, const struct memory_plan *plan)
{
    struct life *lives = calloc((size_t)program->value_count + 1, sizeof *lives);

    assert_non_null(lives);
    for (int group = 1; group <= 4; group++) {
        int64_t count = 0;

        for (int32_t value = 0; value < program->value_count; value++)
            if (program->values[value].kind == VALUE_ACTIVATION &&
                lifetime(program, value, group, &lives[count].first, &lives[count].last)) {
                lives[count].bytes = round_up(value_bytes(&program->values[value]), PLAN_ALIGNMENT);
                lives[count++].offset = plan->placements[value].offset;
            }
        for (int64_t i = 0; i < count; i++) {
            int64_t lowest = fits(&lives[i], 0, lives, count) ? 0 : INT64_MAX;

            for (int64_t j = 0; j < count; j++) {
                const int64_t end = lives[j].offset + lives[j].bytes;

                if (end < lowest && before(&lives[j], &lives[i]) && fits(&lives[i], end, lives, count))
                    lowest = end;
            }
            assert_int_equal(lives[i].offset, lowest);
        }
    }
    free(lives);
}

/* Of one value: where it is, however many slots it has. */
static int32_t slots_of(const struct flow *flow, const struct placement *at)
{
    return at->pool != NO_POOL ? flow->group_slots[flow->group[at->pool]] : 1;
}

static int64_t start_of(const struct memory_plan *plan, const struct placement *at, int32_t slot)
{
    return plan->region_offset[at->region] + at->offset + (at->pool != NO_POOL ? at->steps[slot] : 0);
}

/* A slot of a group that pools share has one microbatch of one pool at a time. */
static bool excluded(const struct flow *flow, const struct placement *a, int32_t slot_a, const struct placement *b,
                     int32_t slot_b)
{
    return a->pool != NO_POOL && b->pool != NO_POOL && a->pool != b->pool && slot_a == slot_b &&
           flow->group[a->pool] == flow->group[b->pool];
}

/* All values that outlive a line of the schedule, in all their slots: no byte is shared. */
static void check_persistent(const struct program *program, const struct flow *flow, const struct memory_plan *plan)
{
    for (int32_t a = 0; a < program->value_count; a++) {
        const struct placement *at_a = &plan->placements[a];
        const int64_t bytes_a = value_bytes(&program->values[a]);

        if ((program->values[a].kind == VALUE_ACTIVATION && at_a->pool == NO_POOL) ||
            program->values[a].flags & VALUE_VIEW)
            continue;
        assert_true(at_a->placed);
        assert_int_equal(at_a->offset % PLAN_ALIGNMENT, 0);
        for (int32_t slot = 0; slot < slots_of(flow, at_a); slot++) {
            assert_int_equal(start_of(plan, at_a, slot) % PLAN_ALIGNMENT, 0);
            assert_true(start_of(plan, at_a, slot) + bytes_a <=
                        plan->region_offset[at_a->region] + plan->region_bytes[at_a->region]);
        }
        assert_int_equal((at_a->region == REGION_INPUTS && at_a->pool != NO_POOL) || at_a->region == REGION_FLIGHT,
                         at_a->pool != NO_POOL);
        for (int32_t b = 0; b <= a; b++) {
            const struct placement *at_b = &plan->placements[b];
            const int64_t bytes_b = value_bytes(&program->values[b]);

            if ((program->values[b].kind == VALUE_ACTIVATION && at_b->pool == NO_POOL) ||
                program->values[b].flags & VALUE_VIEW)
                continue;
            for (int32_t i = 0; i < slots_of(flow, at_a); i++)
                for (int32_t j = 0; j < slots_of(flow, at_b); j++)
                    if ((a != b || i != j) && !excluded(flow, at_a, i, at_b, j) &&
                        start_of(plan, at_a, i) < start_of(plan, at_b, j) + bytes_b &&
                        start_of(plan, at_b, j) < start_of(plan, at_a, i) + bytes_a)
                        fail_msg("%s in slot %d and %s in slot %d share bytes", program->values[a].name, i,
                                 program->values[b].name, j);
        }
    }
    for (int r = 1; r < REGIONS; r++)
        assert_true(plan->region_offset[r] >= plan->region_offset[r - 1] + plan->region_bytes[r - 1]);
    for (int r = 0; r < REGIONS; r++)
        assert_int_equal(plan->region_offset[r] % PLAN_ALIGNMENT, 0);
    assert_true(plan->total_bytes >= plan->region_offset[REGIONS - 1] + plan->region_bytes[REGIONS - 1]);
}

static void values_that_are_alive_together_share_no_byte(void **state)
{
    static const char *const goldens[] = {"mlp",   "mlp_backward",   "mlp_update",      "mlp_bf16",
                                          "block", "block_backward", "block_selective", "block_full"};

    (void)state;
    for (size_t g = 0; g < sizeof goldens / sizeof goldens[0]; g++)
        for (int32_t microbatches = 1; microbatches <= 2; microbatches++) {
            struct planned planned;
            struct program program;
            struct error error;

            golden_read(goldens[g], &program);
            if (planned_make(&program, microbatches, 4097, false, &planned, &error) != STATUS_OK)
                fail_msg("%s: %s", goldens[g], error.message);
            check_activations(&program, &planned.plan);
            check_layout(&program, &planned.plan);
            check_persistent(&program, &planned.flow, &planned.plan);
            planned_finish(&planned);
            program_finish(&program);
        }
}

static struct compile_request demo(enum recompute recompute)
{
    struct compile_request request = {.seed = 1,
                                      .sequence = 16,
                                      .global_batch = 6,
                                      .micro_batch = 2,
                                      .eval_batch = 3,
                                      .train = true,
                                      .generate = true,
                                      .dropout = 0.1f,
                                      .compute_dtype = LLMRUN_BF16,
                                      .recompute = recompute,
                                      .update = {0.9f, 0.95f, 1e-8f, 0.1f, 1}};
    struct error error;

    assert_int_equal(model_preset("demo", &request.model, &error), STATUS_OK);
    return request;
}

static void so_it_is_for_a_whole_model_with_every_section(void **state)
{
    (void)state;
    for (int recompute = RECOMPUTE_NONE; recompute <= RECOMPUTE_FULL; recompute++) {
        struct compile_request request = demo((enum recompute)recompute);
        struct compiled compiled;
        struct error error;

        if (compile_step(&request, &compiled, &error) != STATUS_OK)
            fail_msg("%s", error.message);
        check_activations(&compiled.program, &compiled.plan);
        check_layout(&compiled.program, &compiled.plan);
        check_persistent(&compiled.program, &compiled.flow, &compiled.plan);
        compiled_finish(&compiled);
    }
}

static void so_it_is_where_several_microbatches_are_in_flight(void **state)
{
    static const struct {
        enum pipeline_kind kind;
        int32_t chunks;
    } schedules[] = {{PIPELINE_GPIPE, 1}, {PIPELINE_INTERLEAVED, 2}, {PIPELINE_ZERO_BUBBLE, 2}};

    (void)state;
    for (size_t s = 0; s < sizeof schedules / sizeof schedules[0]; s++) {
        struct compile_request request = demo(RECOMPUTE_NONE);
        struct compiled compiled;
        struct error error;

        request.schedule = schedules[s].kind;
        request.chunks = schedules[s].chunks;
        if (compile_step(&request, &compiled, &error) != STATUS_OK)
            fail_msg("%s", error.message);
        assert_false(compiled.flow.serial);
        assert_true(compiled.plan.region_bytes[REGION_FLIGHT] > 0);
        check_persistent(&compiled.program, &compiled.flow, &compiled.plan);
        compiled_finish(&compiled);
    }
}

/* Buffers follow each other, none is larger than `largest`, and each value lies in one of them in all its slots. */
static void check_buffers(const struct compiled *compiled, int64_t largest)
{
    const struct memory_plan *plan = &compiled->plan;
    int64_t end = 0;

    for (int64_t i = 0; i < plan->buffer_count; i++) {
        assert_int_equal(plan->buffers[i].offset, end);
        assert_in_range(plan->buffers[i].bytes, 1, largest);
        end += plan->buffers[i].bytes;
    }
    assert_int_equal(end, plan->total_bytes);
    for (int32_t value = 0; value < compiled->program.value_count; value++) {
        const struct placement *at = &plan->placements[value];

        for (int32_t slot = 0; at->placed && slot < slots_of(&compiled->flow, at); slot++) {
            const int64_t start = start_of(plan, at, slot);
            const struct plan_range *buffer = plan->buffers;

            while (buffer->offset + buffer->bytes <= start)
                buffer++;
            if (start + value_bytes(&compiled->program.values[value]) > buffer->offset + buffer->bytes)
                fail_msg("%s in slot %d crosses a border of buffers", compiled->program.values[value].name, slot);
        }
    }
}

static void with_a_largest_allocation_no_value_crosses_a_border_of_buffers(void **state)
{
    static const enum pipeline_kind schedules[] = {PIPELINE_ONE_F_ONE_B, PIPELINE_GPIPE, PIPELINE_INTERLEAVED,
                                                   PIPELINE_ZERO_BUBBLE};

    (void)state;
    for (size_t s = 0; s < sizeof schedules / sizeof schedules[0]; s++)
        for (int64_t part = 1; part <= 16; part *= 2) {
            struct compile_request request = demo(RECOMPUTE_NONE);
            struct compiled whole, compiled;
            struct error error;

            request.micro_batch = 1;
            request.schedule = schedules[s];
            request.chunks = schedules[s] == PIPELINE_INTERLEAVED ? 2 : 1;
            assert_int_equal(compile_step(&request, &whole, &error), STATUS_OK);
            assert_int_equal(whole.plan.buffer_count, 1);
            request.largest_allocation = whole.plan.total_bytes / part;
            if (compile_step(&request, &compiled, &error) != STATUS_OK)
                fail_msg("%s", error.message);
            if (part == 1)
                assert_memory_equal(compiled.plan.region_offset, whole.plan.region_offset,
                                    sizeof whole.plan.region_offset);
            assert_in_range(compiled.plan.buffer_count, part, 2 * part + REGIONS);
            if (compiled.flow.serial)
                check_activations(&compiled.program, &compiled.plan);
            check_persistent(&compiled.program, &compiled.flow, &compiled.plan);
            check_buffers(&compiled, request.largest_allocation);
            compiled_finish(&compiled);
            compiled_finish(&whole);
        }
}

static void constants_keep_their_type_and_lie_in_a_region_of_their_own(void **state)
{
    struct compile_request request = demo(RECOMPUTE_FULL);
    struct compiled compiled;
    struct error error;
    const struct value *slots;
    int constants = 0;

    (void)state;
    assert_int_equal(model_preset("llama-tiny", &request.model, &error), STATUS_OK);
    if (compile_step(&request, &compiled, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    check_activations(&compiled.program, &compiled.plan);
    check_layout(&compiled.program, &compiled.plan);
    check_persistent(&compiled.program, &compiled.flow, &compiled.plan);
    for (int64_t i = 0; i < compiled.program.value_count; i++) {
        if (compiled.program.values[i].kind != VALUE_CONSTANT)
            continue;
        assert_int_equal(compiled.program.values[i].dtype,
                         compiled.program.values[i].contents != NULL ? LLMRUN_I32 : LLMRUN_F32);
        assert_int_equal(compiled.plan.placements[i].region, REGION_CONSTANTS);
        constants++;
    }
    assert_int_equal(constants, 3); /* cosines, sines, and the slots of the gradient norm, which recompute keeps */
    slots = &compiled.program.values[program_find(&compiled.program, "grad_slots")];
    assert_non_null(slots->contents);
    assert_int_equal(compiled.plan.region_bytes[REGION_CONSTANTS],
                     2 * round_up(request.sequence * 4 * 4, 256) + round_up(value_bytes(slots), 256));
    compiled_finish(&compiled);
}

static void each_recompute_mode_needs_less_memory(void **state)
{
    int64_t bytes[3];

    (void)state;
    for (int recompute = RECOMPUTE_NONE; recompute <= RECOMPUTE_FULL; recompute++) {
        struct compile_request request = demo((enum recompute)recompute);
        struct compiled compiled;
        struct error error;

        request.eval_batch = 0;
        request.generate = false;
        assert_int_equal(compile_step(&request, &compiled, &error), STATUS_OK);
        bytes[recompute] = compiled.plan.region_bytes[REGION_ACTIVATIONS];
        compiled_finish(&compiled);
    }
    assert_true(bytes[RECOMPUTE_SELECTIVE] < bytes[RECOMPUTE_NONE]);
    assert_true(bytes[RECOMPUTE_FULL] < bytes[RECOMPUTE_SELECTIVE]);
}

static void the_bytes_are_those_of_a_count_by_hand(void **state)
{
    static const char text[] = "llmrun-program 1\n"
                               "%0 = parameter f32[4,64] \"table\"\n"
                               "%1 = parameter f32[75,1] \"odd\"\n"
                               "%2 = input i32[4] \"ids\"\n"
                               "%3 = activation f32[4,64] \"x\"\n"
                               "%4 = activation f32[4,64] \"y\"\n"
                               "%5 = activation f32[4,64] \"z\"\n"
                               "%6 = activation f32[4,64] \"v\"\n"
                               "section forward 0\n"
                               "  embedding(%2, %0, _ -> %3) F\n"
                               "  gelu(%3 -> %4) F\n"
                               "  add(%3, %4 -> %5) F\n"
                               "  add(%4, %5 -> %6) F\n"
                               "section backward 0\n";
    struct planned planned;
    struct program program;
    struct error error;

    (void)state;
    program_init(&program);
    assert_int_equal(program_parse(&program, text, &error), STATUS_OK);
    assert_int_equal(planned_make(&program, 1, 1, false, &planned, &error), STATUS_OK);
    assert_int_equal(planned.plan.region_bytes[REGION_PARAMETERS], 1024 + 512);
    assert_int_equal(planned.plan.region_bytes[REGION_INPUTS], 256);
    assert_int_equal(planned.plan.region_bytes[REGION_STAGING], 2 * 256);
    /* x lives in ops 0 to 2, y in 1 to 3, z in 2 to 3, v in 3: v takes the place of x. */
    assert_int_equal(planned.plan.region_bytes[REGION_ACTIVATIONS], 3 * 1024);
    assert_int_equal(planned.plan.placements[6].offset, planned.plan.placements[3].offset);
    assert_int_equal(planned.plan.region_bytes[REGION_WORKSPACE], 256);
    assert_int_equal(planned.plan.total_bytes, 5 * 4096);
    planned_finish(&planned);
    program_finish(&program);
}

static void with_a_compiling_device_only_what_crosses_sections_is_placed(void **state)
{
    struct planned planned;
    struct program program;
    struct error error;

    (void)state;
    golden_read("mlp_backward", &program);
    assert_int_equal(planned_make(&program, 1, 0, true, &planned, &error), STATUS_OK);
    for (int32_t i = 0; i < program.value_count; i++) {
        static const char *const crossing[] = {"x", "norm", "norm.mean", "norm.rstd", "fc.y", "gelu", "sum"};
        bool wanted = program.values[i].kind != VALUE_ACTIVATION;

        for (size_t k = 0; k < sizeof crossing / sizeof crossing[0]; k++)
            wanted |= strcmp(program.values[i].name, crossing[k]) == 0;
        if (planned.plan.placements[i].placed != wanted)
            fail_msg("%s is %s", program.values[i].name, wanted ? "not placed" : "placed");
    }
    planned_finish(&planned);
    program_finish(&program);
}

/* A value made in one section and used 32 sections later is not internal to either. */
static void what_crosses_sections_is_placed_however_many_there_are(void **state)
{
    struct text text = {0};
    struct planned planned;
    struct program program;
    struct error error;

    (void)state;
    text_add(&text, "llmrun-program 1\n"
                    "%%0 = parameter f32[4,64] \"x\"\n"
                    "%%1 = activation f32[4,64] \"early\"\n"
                    "%%2 = activation f32[4,64] \"inside\"\n"
                    "%%3 = activation f32[4,64] \"late\"\n"
                    "section forward 0\n"
                    "  gelu(%%0 -> %%1) F\n"
                    "  gelu(%%0 -> %%2) F\n");
    for (int s = 1; s < 32; s++)
        text_add(&text, "section forward 0 layer %d\n", s);
    text_add(&text, "section backward 0\n"
                    "  gelu(%%1 -> %%3) B\n");
    program_init(&program);
    if (program_parse(&program, text.data, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    assert_int_equal(planned_make(&program, 1, 0, true, &planned, &error), STATUS_OK);
    assert_true(planned.plan.placements[1].placed);
    assert_false(planned.plan.placements[2].placed);
    assert_false(planned.plan.placements[3].placed);
    planned_finish(&planned);
    program_finish(&program);
    text_finish(&text);
}

static int plan_of(const char *text, int32_t microbatches, int64_t workspace_bytes, struct error *error)
{
    struct planned planned;
    struct program program;
    int status;

    program_init(&program);
    assert_int_equal(program_parse(&program, text, error), STATUS_OK);
    status = planned_make(&program, microbatches, workspace_bytes, false, &planned, error);
    if (status == STATUS_OK)
        planned_finish(&planned);
    program_finish(&program);
    return status;
}

/* 2^62 bytes can be counted, and so can no sum of two such values. An input of 2^60 bytes is there once, and twice for
 * each microbatch where it arrives: 7 times for three of them, and 9 times for four. */
static void bytes_that_cannot_be_counted_are_refused(void **state)
{
    static const char one[] = "llmrun-program 1\n"
                              "%0 = parameter f32[1073741824,1073741824] \"large\"\n";
    static const char two[] = "llmrun-program 1\n"
                              "%0 = parameter f32[1073741824,1073741824] \"large\"\n"
                              "%1 = parameter f32[1073741824,1073741824] \"too large\"\n";
    static const char inputs[] = "llmrun-program 1\n"
                                 "%0 = input f32[536870912,536870912] \"many\" per-microbatch\n"
                                 "section forward 0\n"
                                 "section backward 0\n";
    struct error error;

    (void)state;
    assert_int_equal(plan_of(one, 1, 0, &error), STATUS_OK);
    assert_int_equal(plan_of(two, 1, 0, &error), STATUS_USAGE);
    assert_string_equal(error.message, "the memory of a step cannot be counted in 63 bits (at too large); a smaller "
                                       "model, train.micro_batch or data.seq_len is needed");
    assert_int_equal(plan_of(one, 1, INT64_MAX, &error), STATUS_BACKEND);
    assert_int_equal(plan_of(one, 1, -1, &error), STATUS_BACKEND);
    assert_string_equal(error.message, "the backend asks for -1 bytes of workspace");
    assert_int_equal(plan_of(inputs, 3, 0, &error), STATUS_OK);
    assert_int_equal(plan_of(inputs, 4, 0, &error), STATUS_USAGE);
}

static void an_activation_of_sections_that_overlay_each_other_is_a_bug(void **state)
{
    static const char text[] = "llmrun-program 1\n"
                               "%0 = parameter f32[4,64] \"x\"\n"
                               "%1 = activation f32[4,64] \"y\"\n"
                               "%2 = activation f32[4,64] \"z\"\n"
                               "section forward 0\n"
                               "  gelu(%0 -> %1) F\n"
                               "section backward 0\n"
                               "section evaluate 0\n"
                               "  gelu(%1 -> %2) F\n";
    struct error error;

    (void)state;
    assert_int_equal(plan_of(text, 1, 0, &error), STATUS_BUG);
    assert_string_equal(error.message, "y is used by sections that do not run together, like evaluate");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_that_are_alive_together_share_no_byte),
        cmocka_unit_test(so_it_is_for_a_whole_model_with_every_section),
        cmocka_unit_test(so_it_is_where_several_microbatches_are_in_flight),
        cmocka_unit_test(with_a_largest_allocation_no_value_crosses_a_border_of_buffers),
        cmocka_unit_test(constants_keep_their_type_and_lie_in_a_region_of_their_own),
        cmocka_unit_test(each_recompute_mode_needs_less_memory),
        cmocka_unit_test(the_bytes_are_those_of_a_count_by_hand),
        cmocka_unit_test(with_a_compiling_device_only_what_crosses_sections_is_placed),
        cmocka_unit_test(bytes_that_cannot_be_counted_are_refused),
        cmocka_unit_test(an_activation_of_sections_that_overlay_each_other_is_a_bug),
        cmocka_unit_test(what_crosses_sections_is_placed_however_many_there_are),
    };

    return cmocka_run_group_tests_name("passes memory plan", tests, NULL, NULL);
}
