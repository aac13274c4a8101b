/* Parameters out of tensors as transformers stores them. The model is small enough to be written down: width 2, one
 * head, MLP width 4, context 2, vocabulary 3 (stored here as 64 rows). Element i of each tensor is its base + i. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fixture.h"
#include "huggingface/weights.h"
#include "model/family.h"
#include "tensor/convert.h"

static const struct model_config model = {.family = &family_gpt2,
                                          .n_layer = 1,
                                          .n_embd = 2,
                                          .n_head = 1,
                                          .n_inner = 4,
                                          .n_positions = 2,
                                          .vocab_size = 3,
                                          .tie_word_embeddings = true};

struct tensor {
    struct safetensors_form form;
    float base;
};

#define TENSORS 16

static const struct tensor stored[TENSORS] = {
    {{"transformer.wte.weight", LLMRUN_F32, {2, {3, 2}}}, 0},
    {{"transformer.wpe.weight", LLMRUN_F32, {2, {2, 2}}}, 10},
    {{"transformer.ln_f.weight", LLMRUN_F32, {1, {2}}}, 20},
    {{"transformer.ln_f.bias", LLMRUN_F32, {1, {2}}}, 30},
    {{"transformer.h.0.ln_1.weight", LLMRUN_F32, {1, {2}}}, 40},
    {{"transformer.h.0.ln_1.bias", LLMRUN_F32, {1, {2}}}, 50},
    {{"transformer.h.0.attn.c_attn.weight", LLMRUN_BF16, {2, {2, 6}}}, 60},
    {{"transformer.h.0.attn.c_attn.bias", LLMRUN_F16, {1, {6}}}, 80},
    {{"transformer.h.0.attn.c_proj.weight", LLMRUN_F32, {2, {2, 2}}}, 90},
    {{"transformer.h.0.attn.c_proj.bias", LLMRUN_F32, {1, {2}}}, 100},
    {{"transformer.h.0.ln_2.weight", LLMRUN_F32, {1, {2}}}, 110},
    {{"transformer.h.0.ln_2.bias", LLMRUN_F32, {1, {2}}}, 120},
    {{"transformer.h.0.mlp.c_fc.weight", LLMRUN_F32, {2, {2, 4}}}, 130},
    {{"transformer.h.0.mlp.c_fc.bias", LLMRUN_F32, {1, {4}}}, 140},
    {{"transformer.h.0.mlp.c_proj.weight", LLMRUN_F16, {2, {4, 2}}}, 150},
    {{"transformer.h.0.mlp.c_proj.bias", LLMRUN_F32, {1, {2}}}, 160},
};

#define PARAMETERS 20

static const struct {
    struct safetensors_form form;
    float values[8]; /* of the rows that are stored */
} parameters[PARAMETERS] = {
    {{"wte.weight", LLMRUN_F32, {2, {64, 2}}}, {0, 1, 2, 3, 4, 5}},
    {{"wpe.weight", LLMRUN_F32, {2, {2, 2}}}, {10, 11, 12, 13}},
    {{"ln_f.weight", LLMRUN_F32, {1, {2}}}, {20, 21}},
    {{"ln_f.bias", LLMRUN_F32, {1, {2}}}, {30, 31}},
    {{"h.0.ln_1.weight", LLMRUN_F32, {1, {2}}}, {40, 41}},
    {{"h.0.ln_1.bias", LLMRUN_F32, {1, {2}}}, {50, 51}},
    {{"h.0.attn.q_proj.weight", LLMRUN_F32, {2, {2, 2}}}, {60, 66, 61, 67}},
    {{"h.0.attn.k_proj.weight", LLMRUN_F32, {2, {2, 2}}}, {62, 68, 63, 69}},
    {{"h.0.attn.v_proj.weight", LLMRUN_F32, {2, {2, 2}}}, {64, 70, 65, 71}},
    {{"h.0.attn.q_proj.bias", LLMRUN_F32, {1, {2}}}, {80, 81}},
    {{"h.0.attn.k_proj.bias", LLMRUN_F32, {1, {2}}}, {82, 83}},
    {{"h.0.attn.v_proj.bias", LLMRUN_F32, {1, {2}}}, {84, 85}},
    {{"h.0.attn.c_proj.weight", LLMRUN_F32, {2, {2, 2}}}, {90, 92, 91, 93}},
    {{"h.0.attn.c_proj.bias", LLMRUN_F32, {1, {2}}}, {100, 101}},
    {{"h.0.ln_2.weight", LLMRUN_F32, {1, {2}}}, {110, 111}},
    {{"h.0.ln_2.bias", LLMRUN_F32, {1, {2}}}, {120, 121}},
    {{"h.0.mlp.c_fc.weight", LLMRUN_F32, {2, {4, 2}}}, {130, 134, 131, 135, 132, 136, 133, 137}},
    {{"h.0.mlp.c_fc.bias", LLMRUN_F32, {1, {4}}}, {140, 141, 142, 143}},
    {{"h.0.mlp.c_proj.weight", LLMRUN_F32, {2, {2, 4}}}, {150, 152, 154, 156, 151, 153, 155, 157}},
    {{"h.0.mlp.c_proj.bias", LLMRUN_F32, {1, {2}}}, {160, 161}},
};

/* Writes `count` of `tensors`, their names without the first `cut` characters. */
static void write_model(const char *folder, const struct tensor *tensors, int count, size_t cut)
{
    struct safetensors_form forms[TENSORS + 4];
    struct error error = {0};
    int64_t bytes;
    char *header, *file, *at;

    for (int i = 0; i < count; i++) {
        forms[i] = tensors[i].form;
        forms[i].name += cut;
    }
    if (safetensors_make_header(forms, count, NULL, 0, &header, &bytes, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    file = calloc(1, (size_t)bytes + 4096);
    assert_non_null(file);
    memcpy(file, header, (size_t)bytes);
    at = file + bytes;
    for (int i = 0; i < count; i++) {
        int64_t elements = shape_elements(&forms[i].shape);
        float values[64];

        for (int64_t e = 0; e < elements; e++)
            values[e] = tensors[i].base + (float)e;
        if (!convert_from_f32(forms[i].dtype, values, at, elements, CONVERT_OVERFLOW))
            memset(at, 0, (size_t)(elements * dtype_bytes(forms[i].dtype)));
        at += elements * dtype_bytes(forms[i].dtype);
    }
    fixture_write(fixture_path(folder, HF_MODEL_NAME), file, (size_t)(at - file));
    free(file);
    free(header);
}

static int open_and_check(const char *folder, struct hf_directory *directory, struct error *error)
{
    struct safetensors_form forms[PARAMETERS];
    int status = hf_directory_open(&file_system_real, folder, directory, error);

    if (status != STATUS_OK)
        return status;
    for (int i = 0; i < PARAMETERS; i++)
        forms[i] = parameters[i].form;
    status = hf_weights_check(directory, &model, forms, PARAMETERS, error);
    if (status != STATUS_OK)
        hf_directory_close(directory);
    return status;
}

static void assert_read_right(const char *folder)
{
    struct hf_directory directory;
    struct error error = {0};
    float memory[128];

    if (open_and_check(folder, &directory, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    for (int i = 0; i < PARAMETERS; i++) {
        const int64_t elements = shape_elements(&parameters[i].form.shape);

        memset(memory, 0xFF, sizeof memory);
        if (hf_weights_read(&directory, &model, &parameters[i].form, memory, &error) != STATUS_OK)
            fail_msg("%s", error.message);
        for (int64_t e = 0; e < elements; e++)
            if (memory[e] != (e < 8 ? parameters[i].values[e] : 0))
                fail_msg("%s[%d] is %g", parameters[i].form.name, (int)e, (double)memory[e]);
    }
    assert_int_equal(hf_weights_dtype(&directory, &model, "h.0.attn.k_proj.weight"), LLMRUN_BF16);
    assert_int_equal(hf_weights_dtype(&directory, &model, "h.0.attn.v_proj.bias"), LLMRUN_F16);
    hf_directory_close(&directory);
}

static void assert_refused(const char *folder, const char *part)
{
    struct hf_directory directory;
    struct error error = {0};

    assert_int_equal(open_and_check(folder, &directory, &error), STATUS_INPUT);
    if (strstr(error.message, part) == NULL)
        fail_msg("'%s' has no '%s'", error.message, part);
}

static void matrices_are_turned_and_split_and_the_vocabulary_padded(void **state)
{
    const struct fixture *fixture = *state;

    write_model(fixture->folder, stored, TENSORS, 0);
    assert_read_right(fixture->folder);
}

static void names_may_lack_the_prefix(void **state)
{
    const struct fixture *fixture = *state;

    write_model(fixture->folder, stored, TENSORS, strlen("transformer."));
    assert_read_right(fixture->folder);
}

static void old_buffers_and_a_tied_head_are_ignored(void **state)
{
    const struct fixture *fixture = *state;
    struct tensor more[TENSORS + 3];

    memcpy(more, stored, sizeof stored);
    more[TENSORS] = (struct tensor){{"transformer.h.0.attn.bias", LLMRUN_U8, {4, {1, 1, 2, 2}}}, 0};
    more[TENSORS + 1] = (struct tensor){{"transformer.h.0.attn.masked_bias", LLMRUN_F32, {0, {0}}}, -1e4f};
    more[TENSORS + 2] = (struct tensor){{"lm_head.weight", LLMRUN_F32, {2, {3, 2}}}, 0};
    write_model(fixture->folder, more, TENSORS + 3, 0);
    assert_read_right(fixture->folder);
}

static const struct tensor head = {{"lm_head.weight", LLMRUN_F32, {2, {3, 2}}}, 0};

static bool has_own_head(const char *folder, const struct tensor *tensors, int count)
{
    struct hf_directory directory;
    struct error error = {0};
    bool own = false;

    write_model(folder, tensors, count, 0);
    if (hf_directory_open(&file_system_real, folder, &directory, &error) != STATUS_OK ||
        hf_weights_own_head(&directory, &model, &own, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    hf_directory_close(&directory);
    return own;
}

/* As transformers 5.24.0 (tie_weights of modeling_utils.py): torch.equal of both, once they are in one type. */
static void a_head_is_the_models_own_where_its_numbers_differ_in_fp32(void **state)
{
    const struct fixture *fixture = *state;
    struct tensor more[TENSORS + 1];

    memcpy(more, stored, sizeof stored);
    more[TENSORS] = head;
    assert_false(has_own_head(fixture->folder, stored, TENSORS));
    assert_false(has_own_head(fixture->folder, more, TENSORS + 1));
    more[TENSORS].form.dtype = LLMRUN_BF16;
    assert_false(has_own_head(fixture->folder, more, TENSORS + 1));
    more[TENSORS].base = -0.0f; /* as large as 0 */
    more[0].base = 0.0f;
    assert_false(has_own_head(fixture->folder, more, TENSORS + 1));
    more[TENSORS].base = 0.125f;
    assert_true(has_own_head(fixture->folder, more, TENSORS + 1));
    more[0].base = 256.5f; /* 257.5 and above are other numbers in bf16 */
    more[TENSORS].base = 256.5f;
    assert_true(has_own_head(fixture->folder, more, TENSORS + 1));
    more[0].base = NAN;
    more[TENSORS] = head;
    more[TENSORS].base = NAN;
    assert_true(has_own_head(fixture->folder, more, TENSORS + 1));
}

/* The check of a model with a head then names it. */
static void a_head_of_another_form_is_the_models_own(void **state)
{
    const struct fixture *fixture = *state;
    struct tensor more[TENSORS + 1];

    memcpy(more, stored, sizeof stored);
    more[TENSORS] = head;
    more[TENSORS].form.shape.extent[0] = 4;
    assert_true(has_own_head(fixture->folder, more, TENSORS + 1));
    more[TENSORS] = head;
    more[TENSORS].form.dtype = LLMRUN_F64;
    assert_true(has_own_head(fixture->folder, more, TENSORS + 1));
}

static void the_embedding_may_be_stored_as_the_head_alone(void **state)
{
    const struct fixture *fixture = *state;
    struct tensor renamed[TENSORS];

    memcpy(renamed, stored, sizeof stored);
    renamed[0].form.name = head.form.name;
    assert_false(has_own_head(fixture->folder, renamed, TENSORS));
    assert_read_right(fixture->folder);
}

static void missing_surplus_and_wrong_tensors_are_named(void **state)
{
    const struct fixture *fixture = *state;
    struct tensor changed[TENSORS + 1];

    write_model(fixture->folder, stored, TENSORS - 1, 0);
    assert_refused(fixture->folder, "has no tensor transformer.h.0.mlp.c_proj.bias");
    memcpy(changed, stored, sizeof stored);
    changed[TENSORS] = (struct tensor){{"transformer.h.1.ln_1.bias", LLMRUN_F32, {1, {2}}}, 0};
    write_model(fixture->folder, changed, TENSORS + 1, 0);
    assert_refused(fixture->folder, "tensor 'transformer.h.1.ln_1.bias' is not of the model");
    changed[TENSORS].form.name = "wte.weight";
    write_model(fixture->folder, changed, TENSORS + 1, 0);
    assert_refused(fixture->folder, "tensor 'wte.weight' is not of the model");
    changed[6].form.shape = (struct shape){2, {6, 2}};
    write_model(fixture->folder, changed, TENSORS, 0);
    assert_refused(fixture->folder, "'transformer.h.0.attn.c_attn.weight' is [6,2], config.json asks for [2,6]");
    changed[6] = stored[6];
    changed[2].form.dtype = LLMRUN_F64;
    write_model(fixture->folder, changed, TENSORS, 0);
    assert_refused(fixture->folder, "'transformer.ln_f.weight' is F64");
}

static void more_layers_than_tensors_are_refused_at_once(void **state)
{
    const struct fixture *fixture = *state;
    struct model_config claims = model;
    struct hf_directory directory;
    struct error error = {0};

    write_model(fixture->folder, stored, TENSORS, 0);
    assert_int_equal(hf_directory_open(&file_system_real, fixture->folder, &directory, &error), STATUS_OK);
    claims.n_layer = 10000;
    assert_int_equal(hf_weights_check_layers(&directory, &claims, &error), STATUS_INPUT);
    assert_non_null(strstr(error.message, "config.json says 10000 layers, the files hold 16 tensors"));
    hf_directory_close(&directory);
}

/* Larger than what is read at once, in each way of reading. */
static void a_large_matrix_is_read_in_pieces(void **state)
{
    const int64_t c = 600; /* c x 3c elements, of which 2^18 are read at once */
    const struct fixture *fixture = *state;
    const struct safetensors_form form = {"h.0.attn.v_proj.weight", LLMRUN_F32, {2, {c, c}}};
    const struct safetensors_form square = {"h.0.attn.c_proj.weight", LLMRUN_F32, {2, {c, c}}};
    const struct safetensors_form files[] = {{"h.0.attn.c_attn.weight", LLMRUN_BF16, {2, {c, 3 * c}}},
                                             {"h.0.attn.c_proj.weight", LLMRUN_F16, {2, {c, c}}}};
    float *memory = malloc((size_t)(c * c) * sizeof *memory);
    struct hf_directory directory;
    struct error error = {0};
    int64_t bytes;
    char *header, *file;
    uint16_t *at;

    assert_int_equal(safetensors_make_header(files, 2, NULL, 0, &header, &bytes, &error), STATUS_OK);
    file = malloc((size_t)(bytes + 8 * c * c));
    assert_true(memory != NULL && file != NULL);
    memcpy(file, header, (size_t)bytes);
    at = (uint16_t *)(void *)(file + bytes);
    for (int64_t i = 0; i < 3 * c * c; i++) /* a bf16 and an fp16 of numbers up to 256 are exact */
        at[i] = (uint16_t)convert_encode(LLMRUN_BF16, (float)(i % 251), CONVERT_OVERFLOW);
    for (int64_t i = 0; i < c * c; i++)
        at[3 * c * c + i] = (uint16_t)convert_encode(LLMRUN_F16, (float)(i % 241), CONVERT_OVERFLOW);
    fixture_write(fixture_path(fixture->folder, HF_MODEL_NAME), file, (size_t)(bytes + 8 * c * c));
    assert_int_equal(hf_directory_open(&file_system_real, fixture->folder, &directory, &error), STATUS_OK);
    assert_int_equal(hf_weights_read(&directory, &model, &form, memory, &error), STATUS_OK);
    for (int64_t out = 0; out < c; out++)
        for (int64_t in = 0; in < c; in++)
            if (memory[out * c + in] != (float)((in * 3 * c + 2 * c + out) % 251))
                fail_msg("v_proj[%d,%d] is %g", (int)out, (int)in, (double)memory[out * c + in]);
    assert_int_equal(hf_weights_read(&directory, &model, &square, memory, &error), STATUS_OK);
    for (int64_t out = 0; out < c; out++)
        for (int64_t in = 0; in < c; in++)
            if (memory[out * c + in] != (float)((in * c + out) % 241))
                fail_msg("c_proj[%d,%d] is %g", (int)out, (int)in, (double)memory[out * c + in]);
    hf_directory_close(&directory);
    free(memory);
    free(file);
    free(header);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(matrices_are_turned_and_split_and_the_vocabulary_padded, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(names_may_lack_the_prefix, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(old_buffers_and_a_tied_head_are_ignored, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(a_head_is_the_models_own_where_its_numbers_differ_in_fp32, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(a_head_of_another_form_is_the_models_own, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(the_embedding_may_be_stored_as_the_head_alone, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(missing_surplus_and_wrong_tensors_are_named, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(more_layers_than_tensors_are_refused_at_once, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(a_large_matrix_is_read_in_pieces, fixture_setup, fixture_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
