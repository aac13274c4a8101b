/* The plan against what a device is asked for: a plugin counts its bytes, and refuses addresses that are not aligned as
 * the ops claim. */
#include "tiny.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/checked.h"
#include "program/op_table.h"
#include "runtime/constants.h"
#include "runtime/device_compile.h"
#include "runtime/section.h"

static int64_t bytes_on_device(const struct device *device)
{
    struct llmrun_device_info info = {.size = sizeof info};

    assert_int_equal(device->backend->device.info(device->index, &info, NULL), LLMRUN_OK);
    return info.memory_bytes - info.memory_free_bytes;
}

/* Trains two steps with two submissions in flight. */
static void count(const struct compile_request *request, const char *what)
{
    double losses[TINY_BATCH];
    int64_t planned;
    struct tiny tiny;

    tiny_open(&tiny, "counting", NULL, NULL, request);
    tiny_ok(&tiny, constants_write(tiny.executor, &request->model, &tiny.error));
    planned = executor_compiled(tiny.executor)->plan.total_bytes;
    if (bytes_on_device(tiny.device) != planned)
        fail_msg("%s: %lld bytes are planned, %lld are on the device", what, (long long)planned,
                 (long long)bytes_on_device(tiny.device));
    for (int step = 1; step <= 2; step++) {
        tiny_fill(&tiny, step);
        tiny_submit(&tiny);
    }
    tiny_collect(&tiny, losses);
    tiny_collect(&tiny, losses);
    assert_int_equal(bytes_on_device(tiny.device), planned);
    executor_destroy(tiny.executor);
    tiny.executor = NULL;
    assert_int_equal(bytes_on_device(tiny.device), 0);
    tiny_close(&tiny);
}

static void a_device_holds_the_bytes_that_are_planned_in_every_recompute_mode(void **state)
{
    static const uint32_t types[] = {LLMRUN_F32, LLMRUN_BF16};

    (void)state;
    for (int t = 0; t < 2; t++)
        for (int mode = RECOMPUTE_NONE; mode <= RECOMPUTE_FULL; mode++) {
            struct compile_request gpt2 = tiny_request(), llama = tiny_llama_request();

            gpt2.recompute = llama.recompute = (enum recompute)mode;
            gpt2.compute_dtype = llama.compute_dtype = types[t];
            llama.generate = false;
            count(&gpt2, "GPT-2");
            count(&llama, "LLaMA");
        }
}

/* A row of a microbatch has 64 bytes, and the arena is on an odd multiple of 64. */
static void no_address_is_claimed_to_be_aligned_better_than_it_is(void **state)
{
    struct compile_request request = tiny_request();

    (void)state;
    request.micro_batch = 1;
    count(&request, "microbatches of one sequence");
}

static void the_workspace_is_the_largest_that_any_op_asks_for(void **state)
{
    const struct compile_request request = tiny_request();
    struct device *device = tiny_device("cpu", NULL, NULL);
    struct compiled compiled;
    struct error error;
    int64_t largest = 0;

    (void)state;
    tiny_ok_(device_compile(device, &request, &compiled, &error), &error);
    for (int64_t i = 0; i < compiled.program.op_count; i++) {
        struct llmrun_op_support answer = {.size = sizeof answer};
        struct llmrun_tensor tensors[LLMRUN_MAX_OPERANDS];
        struct llmrun_op op;

        compiled_describe(&compiled, &compiled.program.ops[i], tensors, &op);
        tiny_ok_(capability_query(device, &op, &answer, &error), &error);
        largest = answer.workspace_bytes > largest ? answer.workspace_bytes : largest;
    }
    assert_true(largest > 0);
    assert_true(compiled.workspace_known);
    assert_int_equal(compiled.plan.region_bytes[REGION_WORKSPACE], round_up(largest, PLAN_ALIGNMENT));
    compiled_finish(&compiled);
    device_close(device);
}

static void an_operand_without_a_place_is_a_bug_and_no_address(void **state)
{
    const struct compile_request request = tiny_request();
    struct device *device = tiny_device("counting", NULL, NULL);
    struct prepared_section prepared;
    const struct section *forward = NULL;
    struct buffer buffer = {.address = 1 << 20};
    struct arena arena = {.buffers = &buffer, .count = 1};
    struct compiled compiled;
    struct error error;
    int32_t value;

    (void)state;
    tiny_ok_(device_compile(device, &request, &compiled, &error), &error);
    for (int64_t s = 0; s < compiled.program.section_count; s++)
        if (compiled.program.sections[s].kind == SECTION_FORWARD && compiled.program.sections[s].layer == 0)
            forward = &compiled.program.sections[s];
    assert_non_null(forward);
    arena.ranges = compiled.plan.buffers;
    value = program_find(&compiled.program, "gelu");
    compiled.plan.placements[value].placed = false;
    assert_int_equal(prepared_section_create(device, &compiled, forward, &arena, &prepared, &error), STATUS_BUG);
    assert_string_equal(error.message, "gelu: its operand gelu has no place in the memory plan");
    compiled_finish(&compiled);
    device_close(device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_device_holds_the_bytes_that_are_planned_in_every_recompute_mode),
        cmocka_unit_test(no_address_is_claimed_to_be_aligned_better_than_it_is),
        cmocka_unit_test(the_workspace_is_the_largest_that_any_op_asks_for),
        cmocka_unit_test(an_operand_without_a_place_is_a_bug_and_no_address),
    };

    return cmocka_run_group_tests_name("runtime plan", tests, NULL, NULL);
}
