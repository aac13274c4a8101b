#include "cases.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define CASE_KEY_ROWS 12 /* of attention with fewer queries than keys */

static int32_t input(struct builder *b, const char *name, uint32_t dtype, int64_t count)
{
    return build_value(b, name, VALUE_INPUT, 0, dtype, 1, &count);
}

static int32_t matrix(struct builder *b, const char *name, int64_t rows, int64_t columns)
{
    return build_parameter(b, name, VALUE_TRAINABLE, 2, (const int64_t[]){rows, columns});
}

static int32_t vector(struct builder *b, const char *name, int64_t elements)
{
    return build_parameter(b, name, VALUE_TRAINABLE, 1, &elements);
}

/* An activation whose gradient can be read: the rows of a parameter, each looked up once. */
static int32_t activation(struct builder *b, const char *name, int64_t columns)
{
    return build_embedding(b, input(b, "identity", LLMRUN_I32, CASE_ROWS), matrix(b, name, CASE_ROWS, columns),
                           NO_VALUE, name);
}

static int32_t embedding_of_repeated_tokens(struct builder *b)
{
    return build_embedding(b, input(b, "tokens", LLMRUN_I32, CASE_ROWS), matrix(b, "table", 5, CASE_COLUMNS), NO_VALUE,
                           "y");
}

static int32_t embedding_with_addend(struct builder *b)
{
    return build_embedding(b, input(b, "tokens", LLMRUN_I32, CASE_ROWS), matrix(b, "table", 5, CASE_COLUMNS),
                           activation(b, "addend", CASE_COLUMNS), "y");
}

static int32_t layernorm_alone(struct builder *b)
{
    return build_layernorm(b, activation(b, "x", CASE_COLUMNS), NO_VALUE, vector(b, "norm_weight", CASE_COLUMNS),
                           vector(b, "bias", CASE_COLUMNS), 1e-5f, NULL, "y");
}

static int32_t layernorm_without_bias(struct builder *b)
{
    return build_layernorm(b, activation(b, "x", CASE_COLUMNS), NO_VALUE, vector(b, "norm_weight", CASE_COLUMNS),
                           NO_VALUE, 1e-3f, NULL, "y");
}

static int32_t layernorm_with_residual(struct builder *b)
{
    return build_layernorm(b, activation(b, "x", CASE_COLUMNS), activation(b, "residual", CASE_COLUMNS),
                           vector(b, "norm_weight", CASE_COLUMNS), vector(b, "bias", CASE_COLUMNS), 1e-5f, NULL, "y");
}

/* The sum goes on beside the norm, as the residual stream does. */
static int32_t layernorm_whose_sum_is_used(struct builder *b)
{
    int32_t sum, y = build_layernorm(b, activation(b, "x", CASE_COLUMNS), activation(b, "residual", CASE_COLUMNS),
                                     vector(b, "norm_weight", CASE_COLUMNS), vector(b, "bias", CASE_COLUMNS), 1e-5f,
                                     &sum, "norm");

    return build_add(b, sum, y, "y");
}

/* Only the sum is used: no gradient reaches the norm itself. */
static int32_t layernorm_of_which_only_the_sum_is_used(struct builder *b)
{
    int32_t sum;

    build_layernorm(b, activation(b, "x", CASE_COLUMNS), activation(b, "residual", CASE_COLUMNS),
                    vector(b, "norm_weight", CASE_COLUMNS), NO_VALUE, 1e-5f, &sum, "norm");
    return build_gelu(b, sum, "y");
}

static int32_t rmsnorm_alone(struct builder *b)
{
    return build_rmsnorm(b, activation(b, "x", CASE_COLUMNS), NO_VALUE, vector(b, "norm_weight", CASE_COLUMNS), 1e-3f,
                         NULL, "y");
}

static int32_t rmsnorm_with_residual(struct builder *b)
{
    return build_rmsnorm(b, activation(b, "x", CASE_COLUMNS), activation(b, "residual", CASE_COLUMNS),
                         vector(b, "norm_weight", CASE_COLUMNS), 1e-5f, NULL, "y");
}

static int32_t rmsnorm_of_heads(struct builder *b)
{
    return build_rmsnorm(b, activation(b, "x", CASE_COLUMNS), activation(b, "residual", CASE_COLUMNS),
                         vector(b, "norm_weight", CASE_COLUMNS / 2), 1e-5f, NULL, "y");
}

static int32_t rmsnorm_whose_sum_is_used(struct builder *b)
{
    int32_t sum, y = build_rmsnorm(b, activation(b, "x", CASE_COLUMNS), activation(b, "residual", CASE_COLUMNS),
                                   vector(b, "norm_weight", CASE_COLUMNS), 1e-5f, &sum, "norm");

    return build_add(b, sum, y, "y");
}

/* Only the sum is used: no gradient reaches the norm itself. */
static int32_t rmsnorm_of_which_only_the_sum_is_used(struct builder *b)
{
    int32_t sum;

    build_rmsnorm(b, activation(b, "x", CASE_COLUMNS), activation(b, "residual", CASE_COLUMNS),
                  vector(b, "norm_weight", CASE_COLUMNS), 1e-5f, &sum, "norm");
    return build_gelu(b, sum, "y");
}

static int32_t swiglu_alone(struct builder *b)
{
    return build_swiglu(b, activation(b, "gate", CASE_COLUMNS), activation(b, "up", CASE_COLUMNS), "y");
}

static int32_t swiglu_of_one_with_itself(struct builder *b)
{
    int32_t x = activation(b, "x", CASE_COLUMNS);

    return build_swiglu(b, x, x, "y");
}

/* One head of CASE_COLUMNS, whose angles grow with the token. */
static int32_t rope_alone(struct builder *b)
{
    const int64_t shape[] = {5, CASE_COLUMNS / 2};

    return build_rope(b, activation(b, "x", CASE_COLUMNS), input(b, "tokens", LLMRUN_I32, CASE_ROWS),
                      build_value(b, "cosines", VALUE_INPUT, 0, LLMRUN_F32, 2, shape),
                      build_value(b, "sines", VALUE_INPUT, 0, LLMRUN_F32, 2, shape), 1, "y");
}

static int32_t matmul_alone(struct builder *b)
{
    return build_linear(b, activation(b, "x", 3), matrix(b, "w", CASE_COLUMNS, 3), NO_VALUE, "y");
}

static int32_t matmul_with_bias(struct builder *b)
{
    return build_linear(b, activation(b, "x", 5), matrix(b, "w", CASE_COLUMNS, 5), vector(b, "bias", CASE_COLUMNS),
                        "y");
}

static int32_t matmul_with_gelu(struct builder *b)
{
    struct llmrun_matmul_attributes attributes = {LLMRUN_ACTIVATION_GELU, 1};
    int32_t operands[LLMRUN_MATMUL_OPERANDS] = {activation(b, "x", 3), matrix(b, "w", CASE_COLUMNS, 3),
                                                vector(b, "bias", CASE_COLUMNS), WANTED, WANTED};

    builder_emit(b, LLMRUN_OP_MATMUL, &attributes, operands, 0, "y");
    return operands[LLMRUN_MATMUL_Y];
}

/* Four matmuls of one input: its gradient comes from an op of three pairs and one of one. */
static int32_t matmuls_of_one_input(struct builder *b)
{
    int32_t x = activation(b, "x", 3), sum = build_linear(b, x, matrix(b, "w0", CASE_COLUMNS, 3), NO_VALUE, "y0");

    sum = build_add(b, sum, build_linear(b, x, matrix(b, "w1", CASE_COLUMNS, 3), NO_VALUE, "y1"), "sum1");
    sum = build_add(b, sum, build_linear(b, x, matrix(b, "w2", CASE_COLUMNS, 3), NO_VALUE, "y2"), "sum2");
    return build_add(b, sum, build_linear(b, x, matrix(b, "w3", CASE_COLUMNS, 3), NO_VALUE, "y3"), "y");
}

/* One weight twice: its gradient is added up over both uses. */
static int32_t matmuls_of_one_weight(struct builder *b)
{
    int32_t w = matrix(b, "w", CASE_COLUMNS, CASE_COLUMNS);

    return build_linear(b, build_gelu(b, build_linear(b, activation(b, "x", CASE_COLUMNS), w, NO_VALUE, "h"), "g"), w,
                        NO_VALUE, "y");
}

static int32_t matmuls_of_one_weight_three_times(struct builder *b)
{
    int32_t x = activation(b, "x", CASE_COLUMNS), weight = matrix(b, "matrix", CASE_COLUMNS, CASE_COLUMNS);

    for (int i = 0; i < 3; i++)
        x = build_linear(b, x, weight, NO_VALUE, i < 2 ? "x" : "y");
    return x;
}

/* Gain and bias of three norms, and the bias of a product. */
static int32_t channels_used_again(struct builder *b)
{
    int32_t weight = vector(b, "weight", CASE_COLUMNS), bias = vector(b, "bias", CASE_COLUMNS);
    int32_t x = activation(b, "x", CASE_COLUMNS);

    for (int i = 0; i < 2; i++)
        x = build_layernorm(b, x, NO_VALUE, weight, bias, 1e-3f, NULL, "norm");
    x = build_linear(b, x, matrix(b, "matrix", CASE_COLUMNS, CASE_COLUMNS), bias, "x");
    return build_layernorm(b, x, NO_VALUE, weight, weight, 1e-3f, NULL, "y");
}

static int32_t gelu_alone(struct builder *b)
{
    return build_gelu(b, activation(b, "x", CASE_COLUMNS), "y");
}

static int32_t attention(struct builder *b, uint32_t kv_heads, float dropout)
{
    const struct attention_form form = {CASE_SEQUENCE, 2, kv_heads, 0.7f, dropout};
    const int64_t width = CASE_COLUMNS / 2;

    return build_attention(b, activation(b, "q", 2 * width), activation(b, "k", kv_heads * width),
                           activation(b, "v", kv_heads * width), input(b, "segment_starts", LLMRUN_I32, CASE_ROWS),
                           dropout > 0 ? build_random(b, 0) : NO_VALUE, &form, "y");
}

static int32_t attention_with_segments(struct builder *b)
{
    return attention(b, 2, 0);
}

static int32_t attention_with_shared_keys(struct builder *b)
{
    return attention(b, 1, 0);
}

static int32_t attention_without_segments(struct builder *b)
{
    const struct attention_form form = {CASE_SEQUENCE, 2, 2, 0.7f, 0};

    return build_attention(b, activation(b, "q", CASE_COLUMNS), activation(b, "k", CASE_COLUMNS),
                           activation(b, "v", CASE_COLUMNS), NO_VALUE, NO_VALUE, &form, "y");
}

/* Rows of two sequences of keys, each looked up once. */
static int32_t keys(struct builder *b, const char *name)
{
    return build_embedding(b, input(b, "key_rows", LLMRUN_I32, CASE_KEY_ROWS),
                           matrix(b, name, CASE_KEY_ROWS, CASE_COLUMNS / 2), NO_VALUE, name);
}

/* Queries whose sequences have keys before and behind them, in documents by their offsets. */
static int32_t attention_of_a_part(struct builder *b)
{
    struct llmrun_attention_attributes attributes = {.seq_len = CASE_SEQUENCE,
                                                     .keys = CASE_KEY_ROWS / CASE_SEQUENCES,
                                                     .query_first = 1,
                                                     .heads = 2,
                                                     .kv_heads = 1,
                                                     .scale = 0.7f};
    int32_t operands[LLMRUN_ATTENTION_OPERANDS] = {activation(b, "q", CASE_COLUMNS),
                                                   keys(b, "k"),
                                                   keys(b, "v"),
                                                   NO_VALUE,
                                                   input(b, "document_offsets", LLMRUN_I32, 4),
                                                   NO_VALUE,
                                                   WANTED,
                                                   WANTED};

    builder_emit(b, LLMRUN_OP_ATTENTION, &attributes, operands, 0, "y");
    return operands[LLMRUN_ATTENTION_O];
}

static int32_t attention_with_dropout(struct builder *b)
{
    return attention(b, 2, 0.4f);
}

static int32_t dropout_alone(struct builder *b)
{
    return build_dropout(b, activation(b, "x", CASE_COLUMNS), build_random(b, 0), CASE_SEQUENCE, 0.4f, "y");
}

static int32_t add_of_two(struct builder *b)
{
    return build_add(b, activation(b, "a", CASE_COLUMNS), activation(b, "b", CASE_COLUMNS), "y");
}

static int32_t add_of_one_to_itself(struct builder *b)
{
    int32_t a = activation(b, "a", CASE_COLUMNS);

    return build_add(b, a, a, "y");
}

static int32_t cast_of_an_activation(struct builder *b)
{
    return build_cast(b, activation(b, "x", CASE_COLUMNS), LLMRUN_F32, "y");
}

static int32_t loss_alone(struct builder *b)
{
    return activation(b, "x", CASE_COLUMNS);
}

const struct gradient_case gradient_cases[] = {
    {"embedding of repeated tokens", LLMRUN_OP_EMBEDDING, embedding_of_repeated_tokens, false, 0},
    {"embedding with addend", LLMRUN_OP_EMBEDDING, embedding_with_addend, false, 0},
    {"layernorm", LLMRUN_OP_LAYERNORM, layernorm_alone, false, 0},
    {"layernorm without bias", LLMRUN_OP_LAYERNORM, layernorm_without_bias, false, 0},
    {"layernorm with residual", LLMRUN_OP_LAYERNORM, layernorm_with_residual, false, 0},
    {"layernorm whose sum is used", LLMRUN_OP_LAYERNORM, layernorm_whose_sum_is_used, false, 0},
    {"layernorm of which only the sum is used", LLMRUN_OP_LAYERNORM, layernorm_of_which_only_the_sum_is_used, false, 1},
    {"rmsnorm", LLMRUN_OP_RMSNORM, rmsnorm_alone, false, 0},
    {"rmsnorm with residual", LLMRUN_OP_RMSNORM, rmsnorm_with_residual, false, 0},
    {"rmsnorm of heads", LLMRUN_OP_RMSNORM, rmsnorm_of_heads, false, 0},
    {"rmsnorm whose sum is used", LLMRUN_OP_RMSNORM, rmsnorm_whose_sum_is_used, false, 0},
    {"rmsnorm of which only the sum is used", LLMRUN_OP_RMSNORM, rmsnorm_of_which_only_the_sum_is_used, false, 1},
    {"swiglu", LLMRUN_OP_SWIGLU, swiglu_alone, false, 0},
    {"swiglu of one with itself", LLMRUN_OP_SWIGLU, swiglu_of_one_with_itself, false, 0},
    {"rope", LLMRUN_OP_ROPE, rope_alone, false, 0},
    {"matmul", LLMRUN_OP_MATMUL, matmul_alone, false, 0},
    {"matmul with bias", LLMRUN_OP_MATMUL, matmul_with_bias, false, 0},
    {"matmul with gelu", LLMRUN_OP_MATMUL, matmul_with_gelu, false, 0},
    {"four matmuls of one input", LLMRUN_OP_MATMUL, matmuls_of_one_input, false, 0},
    {"two matmuls of one weight", LLMRUN_OP_MATMUL, matmuls_of_one_weight, false, 0},
    {"three matmuls of one weight", LLMRUN_OP_MATMUL, matmuls_of_one_weight_three_times, false, 0},
    {"channels used again", LLMRUN_OP_LAYERNORM, channels_used_again, false, 0},
    {"gelu", LLMRUN_OP_GELU, gelu_alone, false, 0},
    {"attention with segments", LLMRUN_OP_ATTENTION, attention_with_segments, false, 0},
    {"attention with shared keys", LLMRUN_OP_ATTENTION, attention_with_shared_keys, false, 0},
    {"attention without segments", LLMRUN_OP_ATTENTION, attention_without_segments, false, 0},
    {"attention of a part of the queries", LLMRUN_OP_ATTENTION, attention_of_a_part, false, 0},
    {"attention with dropout", LLMRUN_OP_ATTENTION, attention_with_dropout, false, 0},
    {"dropout", LLMRUN_OP_DROPOUT, dropout_alone, false, 0},
    {"add", LLMRUN_OP_ADD, add_of_two, false, 0},
    {"add of one to itself", LLMRUN_OP_ADD, add_of_one_to_itself, false, 0},
    {"cast", LLMRUN_OP_CAST, cast_of_an_activation, false, 0},
    {"linear_cross_entropy", LLMRUN_OP_LINEAR_CROSS_ENTROPY, loss_alone, true, 0},
};

const int gradient_case_count = sizeof gradient_cases / sizeof gradient_cases[0];

void gradient_case_build(const struct gradient_case *from, struct program *program)
{
    const int64_t head_shape[] = {CASE_VOCABULARY + 1, CASE_COLUMNS}, sequences = CASE_SEQUENCES;
    struct builder b;
    struct error error;
    int32_t y, head, losses;

    builder_init(&b, program, &error);
    builder_section(&b, SECTION_FORWARD);
    y = from->build(&b);
    head = build_parameter(&b, "head", from->trains_head ? VALUE_TRAINABLE : 0, 2, head_shape);
    losses = build_value(&b, "losses", VALUE_RESULT, 0, LLMRUN_F64, 1, &sequences);
    builder_section(&b, SECTION_BACKWARD);
    b.role = ROLE_BACKWARD_INPUT;
    build_linear_cross_entropy(&b, y, head, input(&b, "targets", LLMRUN_I32, CASE_ROWS),
                               input(&b, "weights", LLMRUN_F32, CASE_ROWS), input(&b, "scale", LLMRUN_F32, 1), losses,
                               CASE_SEQUENCE, CASE_VOCABULARY);
    if (b.status != STATUS_OK)
        fail_msg("%s: %s", from->name, error.message);
}

void gradient_case_input(const char *name, void *data)
{
    static const int32_t identity[CASE_ROWS] = {0, 1, 2, 3, 4, 5, 6, 7}, tokens[CASE_ROWS] = {3, 1, 3, 0, 4, 3, 1, 4};
    static const int32_t targets[CASE_ROWS] = {6, 0, 2, 2, 5, 1, 3, 6}, starts[CASE_ROWS] = {0, 0, 0, 0, 0, 0, 2, 2};
    static const int32_t key_rows[CASE_KEY_ROWS] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, offsets[] = {0, 3, 9, 12};
    static const float weights[CASE_ROWS] = {1, 0.5f, 1, 0, 2, 1, 1, 0.25f}, scale[] = {0.25f};
    static const uint32_t random[] = {5, 9, 1, 0, 1};
    static const float cosines[] = {1, 1, 1, 0.5f, 0.8f, 0.9f, -0.5f, 0.28f, 0.6f, 0.1f, 0.2f, 0.3f, -1, 0, 0.7f};
    static const float sines[] = {0,    0,    0,     0.866f, 0.6f, 0.436f, 0.866f, 0.96f,
                                  0.8f, 0.9f, 0.98f, 0.954f, 0,    1,      0.714f};
    static const struct {
        const char *name;
        const void *data;
        size_t bytes;
    } inputs[] = {{"identity", identity, sizeof identity},
                  {"tokens", tokens, sizeof tokens},
                  {"targets", targets, sizeof targets},
                  {"segment_starts", starts, sizeof starts},
                  {"weights", weights, sizeof weights},
                  {"scale", scale, sizeof scale},
                  {"random", random, sizeof random},
                  {"cosines", cosines, sizeof cosines},
                  {"sines", sines, sizeof sines},
                  {"key_rows", key_rows, sizeof key_rows},
                  {"document_offsets", offsets, sizeof offsets}};

    for (size_t i = 0; i < sizeof inputs / sizeof inputs[0]; i++)
        if (strcmp(inputs[i].name, name) == 0) {
            memcpy(data, inputs[i].data, inputs[i].bytes);
            return;
        }
    fail_msg("no case has an input %s", name);
}
