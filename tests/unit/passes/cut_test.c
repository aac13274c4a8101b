#include "passes/cut.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "golden.h"
#include "passes/recompute.h"
#include "program/op_table.h"
#include "program/text.h"
#include "program/verify.h"

static void cut(struct program *program, int32_t layers, int32_t chunks, bool split)
{
    double flops[8] = {1, 1, 1, 1, 1, 1, 1, 1};
    struct stages stages;
    const struct cut_form form = {.stages = &stages, .split = split};
    struct error error;

    if (stages_balance(flops, layers, chunks, &stages, &error) != STATUS_OK ||
        pass_cut(program, &form, &error) != STATUS_OK || program_verify(program, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    stages_finish(&stages);
}

/* One line a section, and the values that its ops write: "backward 1 layer 2: a b". */
static void outline(const struct program *program, struct text *text)
{
    for (int64_t s = 0; s < program->section_count; s++) {
        const struct section *section = &program->sections[s];

        text_add(text, "%s %d", section_kind_name(section->kind), section->chunk);
        if (section->layer >= 0)
            text_add(text, " layer %d", section->layer);
        if (section->level > 0)
            text_add(text, " level %d", section->level);
        text_add(text, ":");
        for (int32_t i = 0; i < section->op_count; i++) {
            const struct op *op = &program->ops[section->first_op + i];
            const struct op_info *info = op_info_find(op->op);

            for (uint32_t k = 0; info->operands[k].name != NULL; k++)
                if (info->operands[k].direction == OPERAND_OUT)
                    text_add(text, " %s", program->values[program_operands(program, op)[k]].name);
        }
        text_add(text, "\n");
    }
}

static void becomes(const char *from, int32_t layers, int32_t chunks, bool split, const char *wanted)
{
    struct text text = {0};
    struct program program;
    struct error error;

    program_init(&program);
    if (program_parse(&program, from, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    cut(&program, layers, chunks, split);
    outline(&program, &text);
    assert_string_equal(text.data, wanted);
    text_finish(&text);
    program_finish(&program);
}

/* Three layers of one op; B and W of each, and an op before and behind them. */
#define VALUES                                                                                                         \
    "llmrun-program 1\n"                                                                                               \
    "%0 = parameter f32[4,4] \"w\" trainable\n"                                                                        \
    "%1 = activation f32[4,4] \"e\"\n"                                                                                 \
    "%2 = activation f32[4,4] \"x0\"\n"                                                                                \
    "%3 = activation f32[4,4] \"x1\"\n"                                                                                \
    "%4 = activation f32[4,4] \"x2\"\n"                                                                                \
    "%5 = activation f32[4,4] \"h\"\n"                                                                                 \
    "%6 = activation f32[4,4] \"dh\"\n"                                                                                \
    "%7 = activation f32[4,4] \"d2\"\n"                                                                                \
    "%8 = activation f32[4,4] \"d1\"\n"                                                                                \
    "%9 = activation f32[4,4] \"d0\"\n"                                                                                \
    "%10 = gradient f32[4,4] \"g2\" of %0\n"                                                                           \
    "%11 = gradient f32[4,4] \"g1\" of %0\n"                                                                           \
    "%12 = gradient f32[4,4] \"g0\" of %0\n"                                                                           \
    "%13 = gradient f32[4,4] \"ge\" of %0\n"                                                                           \
    "%14 = activation f32[4,4] \"x1 again\"\n"
#define FORWARD                                                                                                        \
    "section forward 0\n"                                                                                              \
    "  gelu(%0 -> %1) F\n"                                                                                             \
    "  gelu(%1 -> %2) F layer 0\n"                                                                                     \
    "  gelu(%2 -> %3) F layer 1\n"                                                                                     \
    "  gelu(%3 -> %4) F layer 2\n"                                                                                     \
    "  gelu(%4 -> %5) F layer 3\n"
#define BACKWARD                                                                                                       \
    "section backward 0\n"                                                                                             \
    "  gelu(%5 -> %6) B layer 3\n"                                                                                     \
    "  gelu_grad(%6, %4 -> %7) B layer 3\n"                                                                            \
    "  matmul_weight_grad(%7, %3 -> +%10) {batch_parts: 1, reserved: 0} W layer 2\n"                                   \
    "  gelu_grad(%7, %3 -> %8) B layer 2\n"                                                                            \
    "  matmul_weight_grad(%8, %2 -> +%11) {batch_parts: 1, reserved: 0} W layer 1\n"                                   \
    "  gelu_grad(%8, %2 -> %9) B layer 1\n"                                                                            \
    "  matmul_weight_grad(%9, %1 -> +%12) {batch_parts: 1, reserved: 0} W layer 0\n"                                   \
    "  matmul_weight_grad(%9, %0 -> +%13) {batch_parts: 1, reserved: 0} W\n"

static void each_layer_is_a_section(void **state)
{
    (void)state;
    becomes(VALUES FORWARD BACKWARD, 3, 1, false,
            "forward 0: e\n"
            "forward 0 layer 0: x0\n"
            "forward 0 layer 1: x1\n"
            "forward 0 layer 2: x2\n"
            "forward 0 layer 3: h\n"
            "backward 0 layer 3: dh d2\n"
            "backward 0 layer 2: g2 d1\n"
            "backward 0 layer 1: g1 d0\n"
            "backward 0 layer 0: g0\n"
            "backward 0: ge\n");
}

static void chunks_are_of_whole_layers_and_backward_comes_from_the_last_one(void **state)
{
    (void)state;
    becomes(VALUES FORWARD BACKWARD, 3, 2, false,
            "forward 0: e\n"
            "forward 0 layer 0: x0\n"
            "forward 1 layer 1: x1\n"
            "forward 1 layer 2: x2\n"
            "forward 1 layer 3: h\n"
            "backward 1 layer 3: dh d2\n"
            "backward 1 layer 2: g2 d1\n"
            "backward 1 layer 1: g1 d0\n"
            "backward 0 layer 0: g0\n"
            "backward 0: ge\n");
}

static void a_split_puts_w_behind_all_of_b(void **state)
{
    (void)state;
    becomes(VALUES FORWARD BACKWARD, 3, 3, true,
            "forward 0: e\n"
            "forward 0 layer 0: x0\n"
            "forward 1 layer 1: x1\n"
            "forward 2 layer 2: x2\n"
            "forward 2 layer 3: h\n"
            "backward_input 2 layer 3: dh d2\n"
            "backward_input 2 layer 2: d1\n"
            "backward_input 1 layer 1: d0\n"
            "backward_input 0:\n"
            "backward_weight 2 layer 2: g2\n"
            "backward_weight 1 layer 1: g1\n"
            "backward_weight 0 layer 0: g0\n"
            "backward_weight 0: ge\n");
}

/* x1 is computed again for W of layer 2, and is B: W could be far behind. A clone has the layer that it was made from,
 * and stands with the op that needs it. */
static void what_is_recomputed_goes_to_the_op_that_it_is_made_for(void **state)
{
    static const char backward[] = "section backward 0\n"
                                   "  gelu(%5 -> %6) B layer 3\n"
                                   "  gelu_grad(%6, %4 -> %7) B layer 3\n"
                                   "  gelu(%2 -> %14) B again layer 1\n"
                                   "  matmul_weight_grad(%7, %14 -> +%10) {batch_parts: 1, reserved: 0} W layer 2\n"
                                   "  gelu_grad(%7, %14 -> %8) B layer 2\n"
                                   "  gelu_grad(%8, %2 -> %9) B layer 1\n";
    char text[sizeof VALUES + sizeof FORWARD + sizeof backward];

    (void)state;
    snprintf(text, sizeof text, "%s%s", VALUES FORWARD, backward);
    becomes(text, 3, 3, false,
            "forward 0: e\n"
            "forward 0 layer 0: x0\n"
            "forward 1 layer 1: x1\n"
            "forward 2 layer 2: x2\n"
            "forward 2 layer 3: h\n"
            "backward 2 layer 3: dh d2\n"
            "backward 2 layer 2: x1 again g2 d1\n"
            "backward 1 layer 1: d0\n"
            "backward 0:\n");
    becomes(text, 3, 3, true,
            "forward 0: e\n"
            "forward 0 layer 0: x0\n"
            "forward 1 layer 1: x1\n"
            "forward 2 layer 2: x2\n"
            "forward 2 layer 3: h\n"
            "backward_input 2 layer 3: dh d2\n"
            "backward_input 2 layer 2: x1 again d1\n"
            "backward_input 1 layer 1: d0\n"
            "backward_input 0:\n"
            "backward_weight 2 layer 2: g2\n"
            "backward_weight 1:\n"
            "backward_weight 0:\n");
}

static void chunks_without_ops_get_an_empty_section(void **state)
{
    (void)state;
    becomes(VALUES "section forward 0\nsection backward 0\n", 4, 2, false,
            "forward 0:\nforward 1:\nbackward 1:\nbackward 0:\n");
    becomes(VALUES "section forward 0\n"
                   "  gelu(%0 -> %1) F layer 2\n"
                   "section backward 0\n"
                   "  gelu(%1 -> %2) B layer 2\n",
            4, 4, true,
            "forward 0:\nforward 1:\nforward 2 layer 2: e\nforward 3:\n"
            "backward_input 3:\nbackward_input 2 layer 2: x0\nbackward_input 1:\nbackward_input 0:\n"
            "backward_weight 3:\nbackward_weight 2:\nbackward_weight 1:\nbackward_weight 0:\n");
}

/* Evaluation and generation belong to no chunk. */
static void other_sections_are_cut_by_layers_only_or_stay_whole(void **state)
{
    static const char layers[] = "  gelu(%0 -> %1) F\n"
                                 "  gelu(%1 -> %2) F layer 0\n"
                                 "  gelu(%2 -> %3) F layer 1\n"
                                 "  gelu(%3 -> %4) F layer 2\n";
    static const char *const kinds[] = {"evaluate", "prefill", "decode"};

    (void)state;
    for (int i = 0; i < 3; i++) {
        char text[sizeof VALUES + sizeof layers + 64], wanted[256];

        snprintf(text, sizeof text, "%ssection %s 0\n%s", VALUES, kinds[i], layers);
        snprintf(wanted, sizeof wanted, "%s 0: e\n%s 0 layer 0: x0\n%s 0 layer 1: x1\n%s 0 layer 2: x2\n", kinds[i],
                 kinds[i], kinds[i], kinds[i]);
        becomes(text, 2, 2, true, wanted);
    }
    becomes(VALUES "section init 0\n"
                   "  gelu(%0 -> %1) U\n"
                   "  gelu(%1 -> %2) U layer 1\n"
                   "section cast_weights 0\n"
                   "section combine_input 0 level 2\n"
                   "  gelu(%2 -> %3) U layer 0\n"
                   "section update 0\n"
                   "  gelu(%3 -> %4) U layer 1\n",
            2, 2, false, "init 0: e x0\ncast_weights 0:\ncombine_input 0 level 2: x1\nupdate 0: x2\n");
}

static void print_ops(const struct program *program, uint32_t kinds, uint32_t roles, struct text *text)
{
    for (int64_t s = 0; s < program->section_count; s++)
        for (int32_t i = 0; kinds >> program->sections[s].kind & 1 && i < program->sections[s].op_count; i++) {
            const struct op *op = &program->ops[program->sections[s].first_op + i];

            if (roles >> op->role & 1) {
                program_print_op(program, op, text);
                text_add(text, "\n");
            }
        }
}

static void same_ops(const struct program *a, const struct program *b, uint32_t kinds, uint32_t roles)
{
    struct text before = {0}, after = {0};

    print_ops(a, kinds, roles, &before);
    print_ops(b, kinds, roles, &after);
    assert_true(before.length > 0);
    assert_string_equal(after.data, before.data);
    text_finish(&before);
    text_finish(&after);
}

/* Two layers of GPT-2. Sections of one kind follow each other in the order in which they run, so the ops keep theirs:
 * all of them, or, with a split, those of B and those of W. */
static void no_op_is_lost_doubled_or_moved(void **state)
{
    const uint32_t backward = 1u << SECTION_BACKWARD | 1u << SECTION_BACKWARD_INPUT | 1u << SECTION_BACKWARD_WEIGHT;

    (void)state;
    for (int mode = RECOMPUTE_NONE; mode <= RECOMPUTE_FULL; mode++)
        for (int32_t chunks = 1; chunks <= 2; chunks++)
            for (int split = 0; split < 2; split++) {
                struct program whole, parts;
                struct error error;

                golden_read("block_backward", &whole);
                golden_read("block_backward", &parts);
                assert_int_equal(pass_recompute(&whole, (enum recompute)mode, &error), STATUS_OK);
                assert_int_equal(pass_recompute(&parts, (enum recompute)mode, &error), STATUS_OK);
                cut(&parts, 2, chunks, split);
                assert_int_equal(parts.op_count, whole.op_count);
                same_ops(&whole, &parts, 1u << SECTION_FORWARD, ~0u);
                if (split) {
                    same_ops(&whole, &parts, backward, 1u << ROLE_BACKWARD_INPUT);
                    same_ops(&whole, &parts, backward, 1u << ROLE_BACKWARD_WEIGHT);
                } else {
                    same_ops(&whole, &parts, backward, ~0u);
                }
                for (int64_t s = 0; s < parts.section_count; s++) {
                    const struct section *section = &parts.sections[s];

                    assert_true(section->kind == SECTION_FORWARD || (section->kind == SECTION_BACKWARD) == !split);
                    for (int32_t i = 0; split && i < section->op_count; i++)
                        assert_int_equal(parts.ops[section->first_op + i].role == ROLE_BACKWARD_WEIGHT,
                                         section->kind == SECTION_BACKWARD_WEIGHT);
                }
                program_finish(&whole);
                program_finish(&parts);
            }
}

static void values_keep_their_numbers_and_all_that_they_are(void **state)
{
    struct program whole, parts;

    (void)state;
    golden_read("block_backward", &whole);
    golden_read("block_backward", &parts);
    cut(&parts, 2, 2, true);
    assert_int_equal(parts.value_count, whole.value_count);
    for (int32_t i = 0; i < whole.value_count; i++) {
        struct value value = parts.values[i];

        assert_string_equal(value.name, whole.values[i].name);
        assert_int_equal(program_find(&parts, value.name), i);
        value.name = whole.values[i].name;
        assert_memory_equal(&value, &whole.values[i], sizeof value);
    }
    program_finish(&whole);
    program_finish(&parts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_layer_is_a_section),
        cmocka_unit_test(chunks_are_of_whole_layers_and_backward_comes_from_the_last_one),
        cmocka_unit_test(a_split_puts_w_behind_all_of_b),
        cmocka_unit_test(what_is_recomputed_goes_to_the_op_that_it_is_made_for),
        cmocka_unit_test(chunks_without_ops_get_an_empty_section),
        cmocka_unit_test(other_sections_are_cut_by_layers_only_or_stay_whole),
        cmocka_unit_test(no_op_is_lost_doubled_or_moved),
        cmocka_unit_test(values_keep_their_numbers_and_all_that_they_are),
    };

    return cmocka_run_group_tests_name("passes cut", tests, NULL, NULL);
}
