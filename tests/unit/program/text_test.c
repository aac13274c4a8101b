#include "program/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "program/builder.h"

/* One line of every form: each kind of value, flag, section, role, type of attribute, and the marks of an op. */
static const char every_form[] =
    "llmrun-program 1\n"
    "%0 = parameter f32[8,4] \"wte\" trainable decay\n"
    "%1 = state f32[8,4] \"wte.m\" of %0\n"
    "%2 = state f32[8,4] \"wte.v\" of %0\n"
    "%3 = cast bf16[8,4] \"wte.bf16\" of %0\n"
    "%4 = gradient f32[8,4] \"wte.grad\" of %0\n"
    "%5 = input i32[6] \"tokens\" per-microbatch\n"
    "%6 = result f64[2] \"losses\"\n"
    "%7 = result f64[1] \"losses.microbatch\" per-microbatch of %6\n"
    "%8 = scratch f64[1] \"squares\"\n"
    "%9 = activation bf16[6,4] \"x\"\n"
    "%10 = activation bf16[6,4] \"x.again\"\n"
    "%11 = activation bf16[6,4] \"y\"\n"
    "%12 = input u32[5] \"random\"\n"
    "%13 = activation f32[] \"scalar\"\n"
    "%14 = constant f32[6,4] \"table\"\n"
    "section init 0\n"
    "  init(-> %0) {stream_id: 18446744073709551615, distribution: 1, a: 0, b: 0.0199999996, reserved: 0} U\n"
    "section cast_weights 0\n"
    "  cast(%0 -> %3) U\n"
    "section forward 3\n"
    "  embedding(%5, %3, _ -> %9) F\n"
    "  dropout(%9, %12 -> %11) {seq_len: 3, probability: 0.100000001, reserved: 7} F layer 2\n"
    "section backward 0\n"
    "  embedding(%5, %3, _ -> %10) B again layer 0\n"
    "  embedding_grad(%5, %10 -> +%4) {batch_parts: 1, reserved: 0} W\n"
    "section update 0\n"
    "  sum_squares(%4, %8) {slot: 0, row_parts: 1, column_parts: 1} U\n"
    "section evaluate 0\n"
    "section decode 0\n";

static void print_of(const char *from, struct text *text)
{
    struct program program;
    struct error error;

    program_init(&program);
    if (program_parse(&program, from, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    program_print(&program, text);
    program_finish(&program);
}

static void printing_what_was_parsed_gives_the_same_text(void **state)
{
    struct text text = {0};

    (void)state;
    print_of(every_form, &text);
    assert_string_equal(text.data, every_form);
    text_finish(&text);
}

static void parsing_fills_every_field(void **state)
{
    struct llmrun_dropout_attributes dropout;
    struct program program;
    struct error error;
    const struct op *op;

    (void)state;
    program_init(&program);
    assert_int_equal(program_parse(&program, every_form, &error), STATUS_OK);
    assert_int_equal(program.values[0].flags, VALUE_TRAINABLE | VALUE_DECAY);
    assert_int_equal(program.values[7].flags, VALUE_PER_MICROBATCH);
    assert_int_equal(program.values[7].source, 6);
    assert_int_equal(program.values[13].rank, 0);
    assert_int_equal(program.sections[2].chunk, 3);
    assert_int_equal(program.sections[2].first_op, 2);
    op = &program.ops[3];
    assert_int_equal(op->layer, 2);
    memcpy(&dropout, program_attributes(&program, op), sizeof dropout);
    assert_int_equal(dropout.seq_len, 3);
    assert_true(dropout.probability == 0.1f);
    assert_int_equal(dropout.reserved, 7);
    op = &program.ops[4];
    assert_int_equal(op->recomputed, 1);
    assert_int_equal(op->role, ROLE_BACKWARD_INPUT);
    op = &program.ops[5];
    assert_int_equal(op->accumulate, 1u << LLMRUN_EMBEDDING_GRAD_DTABLE);
    assert_int_equal(op->role, ROLE_BACKWARD_WEIGHT);
    program_finish(&program);
}

static void equal_programs_have_equal_hashes_and_others_not(void **state)
{
    struct program a, b;
    struct error error;

    (void)state;
    program_init(&a);
    program_init(&b);
    assert_int_equal(program_parse(&a, every_form, &error), STATUS_OK);
    assert_int_equal(program_parse(&b, every_form, &error), STATUS_OK);
    assert_true(program_hash(&a) != 0);
    assert_true(program_hash(&a) == program_hash(&b));
    b.ops[3].layer = 1;
    assert_true(program_hash(&a) != program_hash(&b));
    program_finish(&a);
    program_finish(&b);
}

#define START "llmrun-program 1\n"
#define VALUE START "%0 = parameter f32[2,3] \"w\" trainable\n"
#define BOTH                                                                                                           \
    VALUE "%1 = input i32[4] \"ids\"\n%2 = activation f32[4,3] \"y\"\n%3 = input u32[4] \"r\"\nsection forward 0\n"

static const struct {
    const char *text, *message;
} errors[] = {
    {"", "line 1: expected llmrun-program 1 at ''"},
    {"llmrun-program 2\n", "line 1: expected llmrun-program 1 at 'llmrun-program 2'"},
    {"llmrun-program 1 x\n", "line 1: expected the end of the line at 'x'"},
    {START "add", "line 2: expected a value or a section at 'add'"},
    {START "%1 = input i32[4] \"ids\"\n", "line 2: expected values numbered in order at ' = input i32[4] \"ids'"},
    {START "%x = input i32[4] \"ids\"\n", "line 2: expected a number at 'x = input i32[4] \"id'"},
    {START "%0 input i32[4] \"ids\"\n", "line 2: expected = at 'input i32[4] \"ids\"'"},
    {START "%0 = inputs i32[4] \"ids\"\n", "line 2: expected a kind of value at 'inputs i32[4] \"ids\"'"},
    {START "%0 = input i31[4] \"ids\"\n", "line 2: expected an element type at 'i31[4] \"ids\"'"},
    {START "%0 = input none[4] \"ids\"\n", "line 2: expected an element type at 'none[4] \"ids\"'"},
    {START "%0 = input i32 \"ids\"\n", "line 2: expected [ at '\"ids\"'"},
    {START "%0 = input i32[1,2,3,4,5,6] \"ids\"\n", "line 2: expected a shape of at most 5 extents at ',6] \"ids\"'"},
    {START "%0 = input i32[-4] \"ids\"\n", "line 2: expected an extent that is not negative at '] \"ids\"'"},
    {START "%0 = input i32[4294967296,4294967296] \"ids\"\n",
     "line 2: expected a shape whose bytes can be counted at '] \"ids\"'"},
    {START "%0 = input i32[4 2] \"ids\"\n", "line 2: expected , at '2] \"ids\"'"},
    {START "%0 = input i32[4] ids\n", "line 2: expected \" at 'ids'"},
    {START "%0 = input i32[4] \"\"\n", "line 2: expected a name and a quotation mark at '\"'"},
    {START "%0 = input i32[4] \"ids\n", "line 2: expected a name and a quotation mark at 'ids'"},
    {VALUE "%1 = input i32[4] \"w\"\n", "line 3: expected a name that no other value has at ''"},
    {VALUE "%1 = gradient f32[2,3] \"w.grad\" of %1\n", "line 3: expected a source that stands above at ''"},
    {VALUE "%1 = gradient f32[2,3] \"w.grad\" of 0\n", "line 3: expected % at '0'"},
    {VALUE "%1 = input i32[4] \"ids\" often\n", "line 3: expected % at 'ten'"},
    {VALUE "%1 = input i32[4] \"ids\" daily\n", "line 3: expected the end of the line at 'daily'"},
    {VALUE "section forwards 0\n", "line 3: expected a kind of section at 'forwards 0'"},
    {VALUE "section forward\n0\n", "line 3: expected a number at ''"},
    {"llmrun-program 1\n%0 = constant i32[2] \"a\" holds 1\n", "line 2: expected , at ''"},
    {"llmrun-program 1\n%0 = constant i32[2] \"a\" holds 1,4294967296\n", "line 2: expected a number of 32 bits at ''"},
    {"llmrun-program 1\n%0 = constant f32[2] \"a\" holds 1,2\n",
     "line 2: expected contents of a constant i32 alone at ' 1,2'"},
    {VALUE "section forward -1\n", "line 3: expected the number of a chunk at ''"},
    {BOTH "  embeding(%1, %0, _ -> %2) F\n", "line 7: expected the name of an op at 'embeding(%1, %0, _ -'"},
    {BOTH "  embedding %1, %0, _ -> %2) F\n", "line 7: expected ( at '%1, %0, _ -> %2) F'"},
    {BOTH "  embedding(%1, %0 -> %2) F\n", "line 7: expected , at '-> %2) F'"},
    {BOTH "  embedding(%1, %0, _, %2) F\n", "line 7: expected -> at ', %2) F'"},
    {BOTH "  embedding(%1, %0, _ -> %4) F\n", "line 7: expected a value that is declared above at ') F'"},
    {BOTH "  embedding(%1, %0, x -> %2) F\n", "line 7: expected % at 'x -> %2) F'"},
    {BOTH "  embedding(%1, %0, _ -> %2 F\n", "line 7: expected ) at 'F'"},
    {BOTH "  embedding(%1, %0, _ -> %2)\n", "line 7: expected a role: F, B, W or U at ''"},
    {BOTH "  embedding(%1, %0, _ -> %2) X\n", "line 7: expected a role: F, B, W or U at 'X'"},
    {BOTH "  embedding(%1, %0, _ -> %2) F layer -1\n", "line 7: expected a layer number at ''"},
    {BOTH "  embedding(%1, %0, _ -> %2) F layer 40000\n", "line 7: expected a layer number at ''"},
    {BOTH "  embedding(%1, %0, _ -> %2) F twice\n", "line 7: expected the end of the line at 'twice'"},
    {BOTH "  dropout(%2, %3 -> %2) F\n", "line 7: expected { at 'F'"},
    {BOTH "  dropout(%2, %3 -> %2) {probability: 0.1} F\n", "line 7: expected seq_len at 'probability: 0.1} F'"},
    {BOTH "  dropout(%2, %3 -> %2) {seq_len 4, } F\n", "line 7: expected : at '4, } F'"},
    {BOTH "  dropout(%2, %3 -> %2) {seq_len: x} F\n", "line 7: expected the value of an attribute at 'x} F'"},
    {BOTH "  dropout(%2, %3 -> %2) {seq_len: 4} F\n", "line 7: expected probability at '} F'"},
    {BOTH "  dropout(%2, %3 -> %2) {seq_len: 4, probability: 0.1, reserved: 0 F\n", "line 7: expected } at 'F'"},
};

static void each_mistake_is_told_with_its_line_and_what_was_expected(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        struct program program;
        struct error error = {0};

        program_init(&program);
        if (program_parse(&program, errors[i].text, &error) != STATUS_INPUT)
            fail_msg("case %zu was accepted: %s", i, errors[i].text);
        assert_string_equal(error.message, errors[i].message);
        program_finish(&program);
    }
}

static void a_text_cut_anywhere_is_refused_or_means_fewer_lines(void **state)
{
    const size_t length = sizeof every_form - 1;

    (void)state;
    for (size_t cut = 0; cut < length; cut++) {
        char text[sizeof every_form];
        struct program program;
        struct error error;

        memcpy(text, every_form, cut);
        text[cut] = '\0';
        program_init(&program);
        if (program_parse(&program, text, &error) == STATUS_OK) {
            struct text again = {0};

            program_print(&program, &again);
            assert_memory_equal(again.data, every_form, (size_t)again.length);
            text_finish(&again);
        }
        program_finish(&program);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(printing_what_was_parsed_gives_the_same_text),
        cmocka_unit_test(parsing_fills_every_field),
        cmocka_unit_test(equal_programs_have_equal_hashes_and_others_not),
        cmocka_unit_test(each_mistake_is_told_with_its_line_and_what_was_expected),
        cmocka_unit_test(a_text_cut_anywhere_is_refused_or_means_fewer_lines),
    };

    return cmocka_run_group_tests_name("program text", tests, NULL, NULL);
}
