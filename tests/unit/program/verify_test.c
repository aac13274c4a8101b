#include "program/verify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "program/op_table.h"
#include "program/text.h"

/* Values that the cases use. */
#define VALUES                                                                                                         \
    "llmrun-program 1\n"                                                                                               \
    "%0 = input i32[6] \"ids\"\n"                                                                                      \
    "%1 = parameter f32[8,4] \"table\"\n"                                                                              \
    "%2 = activation f32[6,4] \"x\"\n"                                                                                 \
    "%3 = activation f32[6,4] \"y\"\n"                                                                                 \
    "%4 = activation bf16[6,4] \"half\"\n"                                                                             \
    "%5 = activation f32[6,5] \"wide\"\n"                                                                              \
    "%6 = activation f32[24] \"flat\"\n"                                                                               \
    "%7 = gradient f32[8,4] \"table.grad\" of %1\n"                                                                    \
    "%8 = result f64[2] \"losses\"\n"                                                                                  \
    "%9 = input u32[5] \"random\"\n"                                                                                   \
    "%10 = activation f16[6,4] \"f16\"\n"                                                                              \
    "%11 = activation f64[6,4] \"f64\"\n"                                                                              \
    "%12 = input f32[6,4] \"given\"\n"                                                                                 \
    "%13 = input f32[6] \"weights\"\n"                                                                                 \
    "%14 = input f32[1] \"scale\"\n"                                                                                   \
    "%15 = activation f32[6] \"mean\"\n"                                                                               \
    "%16 = input u32[3] \"short\"\n"                                                                                   \
    "%17 = constant f32[6,4] \"table of the host\"\n"                                                                  \
    "%18 = activation f64[2] \"slots\"\n"                                                                              \
    "%19 = constant i32[2,3] \"slot table\"\n"                                                                         \
    "%20 = activation f64[2] \"roots\"\n"                                                                              \
    "%21 = cast bf16[3,4] \"low weight\"\n"                                                                            \
    "%22 = activation bf16[6,3] \"low\"\n"                                                                             \
    "%23 = activation f32[6,3] \"sum\"\n"                                                                              \
    "section forward 0\n"
#define SQUARES(slot)                                                                                                  \
    "  sum_squares(%7, %18) {slot: " slot ", row_parts: 1, column_parts: 1} U\n" /* the other slot is not its */
#define ROOTS  "  slot_tree(%18, %19 -> %20) U\n"
#define LOW    LOOKUP "  cast(%2 -> %4) F\n"
#define LOOKUP "  embedding(%0, %1, _ -> %2) F\n"

static int verify(const char *text, struct error *error)
{
    struct program program;
    int status;

    program_init(&program);
    if (program_parse(&program, text, error) != STATUS_OK)
        fail_msg("%s", error->message);
    status = program_verify(&program, error);
    program_finish(&program);
    return status;
}

static void programs_that_mean_something_are_accepted(void **state)
{
    static const char *const good[] = {
        VALUES,
        VALUES LOOKUP "  add(%2, %2 -> %3) F\n",
        VALUES LOOKUP "  add(%2, %2 -> %3) F\n  add(%2, %2 -> +%3) F\n", /* accumulating writes may follow */
        VALUES LOOKUP "section backward 0\n  embedding_grad(%0, %2 -> +%7) {batch_parts: 1, reserved: 0} W\n",
        VALUES "section init 0\n  init(-> %1) {stream_id: 1, distribution: 0, a: 0, b: 0, reserved: 0} U\n",
        VALUES LOOKUP "  cast(%2 -> %4) F\n  cast(%4 -> %10) F\n",
        VALUES "section update 0\n" SQUARES("1") SQUARES("0") ROOTS,
        VALUES LOW "  matmul(%4, %21, _ -> %22, _) {activation: 0, feature_parts: 1} F\n",
        VALUES LOW "  matmul(%4, %21, _ -> %23, _) {activation: 0, feature_parts: 1} F\n", /* a sum, not rounded */
    };
    struct error error;

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        if (verify(good[i], &error) != STATUS_OK)
            fail_msg("%s", error.message);
}

static const struct {
    const char *lines, *message;
} wrong[] = {
    {"  embedding(_, %1, _ -> %2) F\n", "section forward, op 0, embedding(_, %1, _ -> %2) F: operand ids is missing"},
    {"  embedding(%0, %1, _ -> _) F\n", "section forward, op 0, embedding(%0, %1, _ -> _) F: operand y is missing"},
    {"  embedding(%9, %1, _ -> %2) F\n",
     "section forward, op 0, embedding(%9, %1, _ -> %2) F: operand ids (value random) cannot be u32 here"},
    {"  embedding(%0, %1, _ -> %4) F\n",
     "section forward, op 0, embedding(%0, %1, _ -> %4) F: operand y (value half) cannot be bf16 here"},
    {LOOKUP "  cast(%2 -> %11) F\n  gelu(%11 -> %3) F\n",
     "section forward, op 2, gelu(%11 -> %3) F: operand x (value f64) cannot be f64 here"},
    {LOOKUP "  linear_cross_entropy(%2, %1, %0, %0, %14 -> %8, _, _) {seq_len: 3, vocabulary: 8, feature_parts: 1, "
            "vocabulary_parts: 1, batch_parts: 1, reserved: 0} F\n",
     "section forward, op 1, linear_cross_entropy(%2, %1, %0, %0, %14 -> %8, _, _) {seq_len: 3, vocabulary: 8, "
     "feature_parts: 1, vocabulary_parts: 1, batch_parts: 1, reserved: 0} F: "
     "operand "
     "loss_weights (value ids) cannot be i32 here"},
    {LOOKUP "  dropout(%2, %16 -> %3) {seq_len: 3, probability: 0.5, reserved: 0} F\n",
     "section forward, op 1, dropout(%2, %16 -> %3) {seq_len: 3, probability: 0.5, reserved: 0} F: dropout: operand "
     "rng_state "
     "(value "
     "short) has extent 3 on axis '5', wanted 5"},
    {LOOKUP "  add(%2, %2 -> %5) F\n",
     "section forward, op 1, add(%2, %2 -> %5) F: add: operand y (value wide) has extent 5 on axis 'c', wanted 4"},
    {LOOKUP "  add(%2, %2 -> %6) F\n",
     "section forward, op 1, add(%2, %2 -> %6) F: add: operand y (value flat) has rank 1, the op table says '(b s) c'"},
    {LOOKUP "  linear_cross_entropy(%2, %1, %0, %13, %14 -> %8, _, _) {seq_len: 2, vocabulary: 8, feature_parts: 1, "
            "vocabulary_parts: 1, batch_parts: 1, reserved: 0} F\n",
     "section forward, op 1, linear_cross_entropy(%2, %1, %0, %13, %14 -> %8, _, _) {seq_len: 2, vocabulary: 8, "
     "feature_parts: 1, vocabulary_parts: 1, batch_parts: 1, reserved: 0} F: "
     "linear_cross_entropy: operand losses (value losses) has extent 2 on axis 'b', wanted 3"},
    {"  gelu(%2 -> %3) F\n",
     "section forward, op 0, gelu(%2 -> %3) F: operand x (value x) is read before it is written"},
    {"  embedding(%0, %1, _ -> +%2) F\n",
     "section forward, op 0, embedding(%0, %1, _ -> +%2) F: operand y (value x) is read before it is written"},
    {LOOKUP LOOKUP,
     "section forward, op 1, embedding(%0, %1, _ -> %2) F: operand y (value x) is written a second time"},
    {LOOKUP "  add(%2, +%2 -> %3) F\n",
     "section forward, op 1, add(%2, +%2 -> %3) F: operand b is no output and cannot be added to"},
    {LOOKUP "  add(%2, %2 -> %12) F\n",
     "section forward, op 1, add(%2, %2 -> %12) F: operand y would write input given"},
    {LOOKUP "  embedding_grad(%0, %2 -> %1) {batch_parts: 1, reserved: 0} F\n",
     "section forward, op 1, embedding_grad(%0, %2 -> %1) {batch_parts: 1, reserved: 0} F: operand dtable would write "
     "parameter table"},
    {LOW "  matmul(%4, %21, _ -> %23, %22) {activation: 0, feature_parts: 1} F\n",
     "section forward, op 2, matmul(%4, %21, _ -> %23, %22) {activation: 0, feature_parts: 1} F: operand aux (value "
     "low) cannot be bf16 here"},
    {LOW "  matmul(%4, %21, _ -> %10, _) {activation: 0, feature_parts: 1} F\n",
     "section forward, op 2, matmul(%4, %21, _ -> %10, _) {activation: 0, feature_parts: 1} F: operand y (value f16) "
     "cannot be f16 here"},
    {LOOKUP "  add(%2, %2 -> %17) F\n",
     "section forward, op 1, add(%2, %2 -> %17) F: operand y would write constant table of the host"},
    {"section update 0\n" ROOTS SQUARES("1"),
     "section update, op 0, slot_tree(%18, %19 -> %20) U: operand sums (value slots) is read before it is written"},
    {"section backward 0\n  gelu(%2 -> %3) F\n",
     "section backward, op 0, gelu(%2 -> %3) F: operand x (value x) is read before it is written"},
};

static void each_kind_of_wrong_program_is_refused_with_the_op_quoted(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char text[4096];
        struct error error = {0};

        snprintf(text, sizeof text, "%s%s", VALUES, wrong[i].lines);
        if (verify(text, &error) != STATUS_BUG)
            fail_msg("accepted: %s", wrong[i].lines);
        assert_string_equal(error.message, wrong[i].message);
    }
}

/* What the text form cannot say. */
static void ids_versions_and_sources_out_of_range_are_refused(void **state)
{
    struct program program;
    struct error error;
    char unknown[80];

    (void)state;
    program_init(&program);
    assert_int_equal(program_parse(&program, VALUES LOOKUP, &error), STATUS_OK);

    program.ops[0].version = 9;
    assert_int_equal(program_verify(&program, &error), STATUS_BUG);
    assert_string_equal(error.message,
                        "section forward, op 0, embedding(%0, %1, _ -> %2) F: op 1 version 9 is not in the op table");
    program.ops[0].version = LLMRUN_OP_EMBEDDING_VERSION;

    program.ops[0].op = LLMRUN_OPS;
    assert_int_equal(program_verify(&program, &error), STATUS_BUG);
    snprintf(unknown, sizeof unknown, "op %d version %d is not in the op table", LLMRUN_OPS,
             LLMRUN_OP_EMBEDDING_VERSION);
    assert_string_equal(error.message, unknown);
    program.ops[0].op = LLMRUN_OP_EMBEDDING;

    program.operands[0] = 99;
    assert_int_equal(program_verify(&program, &error), STATUS_BUG);
    assert_string_equal(error.message,
                        "section forward, op 0, embedding(%99, %1, _ -> %2) F: operand ids names no value");
    program.operands[0] = 0;

    program.values[7].source = 40;
    assert_int_equal(program_verify(&program, &error), STATUS_BUG);
    assert_string_equal(error.message, "value table.grad belongs to a value that is not there");
    program.values[7].source = 1;
    assert_int_equal(program_verify(&program, &error), STATUS_OK);
    program_finish(&program);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(programs_that_mean_something_are_accepted),
        cmocka_unit_test(each_kind_of_wrong_program_is_refused_with_the_op_quoted),
        cmocka_unit_test(ids_versions_and_sources_out_of_range_are_refused),
    };

    return cmocka_run_group_tests_name("program verifier", tests, NULL, NULL);
}
