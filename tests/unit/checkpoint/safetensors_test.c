#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "checkpoint/safetensors.h"
#include "fixture.h"
#include "tensor/convert.h"

/* Writes length, header and `data_bytes` zero bytes, and opens that. */
static int open_made(const char *folder, const char *header, size_t header_bytes, size_t data_bytes,
                     struct safetensors *file, struct error *error)
{
    const char *path = fixture_path(folder, "made.safetensors");
    uint64_t length = header_bytes;
    char *text = calloc(1, 8 + header_bytes + data_bytes);

    assert_non_null(text);
    memcpy(text, &length, 8);
    memcpy(text + 8, header, header_bytes);
    fixture_write(path, text, 8 + header_bytes + data_bytes);
    free(text);
    return safetensors_open(&file_system_real, path, file, error);
}

struct refusal {
    const char *header;
    size_t data_bytes;
    const char *message; /* how the text after the file's name starts; JSON errors are worded by the library */
};

#define F32_2 "\"dtype\":\"F32\",\"shape\":[2]"

static const struct refusal refusals[] = {
    {"", 0, ": the header does not start with '{'"},
    {" {}", 0, ": the header does not start with '{'"},
    {"[]", 0, ": the header does not start with '{'"},
    {"{", 0, ": not valid JSON at byte "},
    {"{} x", 0, ": not valid JSON at byte "},
    {"{}", 1, ": the tensors have 0 bytes of data, the file has 1"},
    {"{\"a\":{" F32_2 ",\"data_offsets\":[0,8]},\"a\":{" F32_2 ",\"data_offsets\":[8,16]}}", 16,
     ": not valid JSON at byte "},
    {"{\"a\":1}", 0, ": a: 'dtype' is missing; a text is wanted"},
    {"{\"a\":{\"shape\":[2],\"data_offsets\":[0,8]}}", 8, ": a: 'dtype' is missing; a text is wanted"},
    {"{\"a\":{\"dtype\":3,\"shape\":[2],\"data_offsets\":[0,8]}}", 8,
     ": a: 'dtype' has the wrong type; a text is wanted"},
    {"{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,8]}}", 8, ": a: 'shape' is missing; an array is wanted"},
    {"{\"a\":{" F32_2 "}}", 8, ": a: 'data_offsets' is missing; an array is wanted"},
    {"{\"a\":{\"dtype\":\"f32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, ": tensor 'a': dtype 'f32' is not known"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,2],\"data_offsets\":[0,8]}}", 8,
     ": tensor 'a': rank 6 is out of range; 0 to 5 can be used"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2.0],\"data_offsets\":[0,8]}}", 8,
     ": tensor 'a': an extent of its shape is no integer"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-2,-1],\"data_offsets\":[0,8]}}", 8,
     ": tensor 'a': shape [-2,-1] has a negative extent or more elements than can be counted in 63 bits"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967298],\"data_offsets\":[0,8]}}", 8,
     ": tensor 'a': shape [4294967296,4294967298] has a negative extent or more elements than can be counted in 63 "
     "bits"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1152921504606846977],\"data_offsets\":[0,4]}}", 4,
     ": tensor 'a': its size in bits does not fit 63 bits"},
    {"{\"a\":{\"dtype\":\"F4\",\"shape\":[3],\"data_offsets\":[0,1]}}", 1,
     ": tensor 'a': its 12 bits are no whole bytes"},
    {"{\"a\":{" F32_2 ",\"data_offsets\":[0,8,9]}}", 8, ": tensor 'a': 'data_offsets' are not two integers"},
    {"{\"a\":{" F32_2 ",\"data_offsets\":[\"0\",8]}}", 8, ": tensor 'a': 'data_offsets' are not two integers"},
    {"{\"a\":{" F32_2 ",\"data_offsets\":[0,\"8\"]}}", 8, ": tensor 'a': 'data_offsets' are not two integers"},
    {"{\"a\":{" F32_2 ",\"data_offsets\":[-8,0]}}", 8,
     ": tensor 'a': its data [-8,0) are not within the file's 8 bytes of data"},
    {"{\"a\":{" F32_2 ",\"data_offsets\":[8,0]}}", 8,
     ": tensor 'a': its data [8,0) are not within the file's 8 bytes of data"},
    {"{\"a\":{" F32_2 ",\"data_offsets\":[0,16]}}", 8,
     ": tensor 'a': its data [0,16) are not within the file's 8 bytes of data"},
    {"{\"a\":{" F32_2 ",\"data_offsets\":[9223372036854775800,9223372036854775807]}}", 8,
     ": tensor 'a': its data [9223372036854775800,9223372036854775807) are not within the file's 8 bytes of data"},
    {"{\"a\":{" F32_2 ",\"data_offsets\":[0,9223372036854775808]}}", 8, ": not valid JSON at byte "},
    {"{\"a\":{" F32_2 ",\"data_offsets\":[0,7]}}", 7, ": tensor 'a': it has 7 bytes of data, dtype and shape need 8"},
    {"{\"a\":{" F32_2 ",\"data_offsets\":[5,12]}}", 12, ": tensor 'a': it has 7 bytes of data, dtype and shape need 8"},
    {"{\"a\":{" F32_2 ",\"data_offsets\":[1,9]}}", 9,
     ": tensor 'a' starts at byte 1 of the data, the one before it ends at 0"},
    {"{\"a\":{" F32_2 ",\"data_offsets\":[0,8]},\"b\":{" F32_2 ",\"data_offsets\":[12,20]}}", 20,
     ": tensor 'b' starts at byte 12 of the data, the one before it ends at 8"},
    {"{\"a\":{" F32_2 ",\"data_offsets\":[4,12]},\"b\":{" F32_2 ",\"data_offsets\":[0,8]}}", 12,
     ": tensor 'a' starts at byte 4 of the data, the one before it ends at 8"},
    {"{\"a\":{" F32_2 ",\"data_offsets\":[0,8]},\"b\":{" F32_2 ",\"data_offsets\":[0,8]}}", 8,
     ": tensor 'b' starts at byte 0 of the data, the one before it ends at 8"},
    {"{\"a\":{" F32_2 ",\"data_offsets\":[0,8]}}", 9, ": the tensors have 8 bytes of data, the file has 9"},
    {"{\"a\":null}", 0, ": a: 'dtype' is missing; a text is wanted"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":null,\"data_offsets\":[0,8]}}", 8,
     ": a: 'shape' has the wrong type; an array is wanted"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[true,2],\"data_offsets\":[0,8]}}", 8,
     ": tensor 'a': an extent of its shape is no integer"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1099511627776,1099511627776,0],\"data_offsets\":[0,0]}}", 0,
     ": tensor 'a': shape [1099511627776,1099511627776,0] has a negative extent or more elements than can be counted"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,8]}}", 8,
     ": tensor 'a': it has 8 bytes of data, dtype and shape need 0"},
    {"{\"a\":{\"dtype\":\"F64\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8,
     ": tensor 'a': it has 8 bytes of data, dtype and shape need 16"},
    {"{\"a\":{" F32_2 ",\"data_offsets\":[0.0,8.0]}}", 8, ": tensor 'a': 'data_offsets' are not two integers"},
    {"{\"a\":{" F32_2 ",\"data_offsets\":[false,true]}}", 8, ": tensor 'a': 'data_offsets' are not two integers"},
    {"{\"a\":{" F32_2 ",\"data_offsets\":[]}}", 8, ": tensor 'a': 'data_offsets' are not two integers"},
    {"{\"a\":{" F32_2 ",\"data_offsets\":[0,8]},\"b\":{" F32_2 ",\"data_offsets\":[0,8]}}", 16,
     ": tensor 'b' starts at byte 0 of the data, the one before it ends at 8"},
    {"{\"a\":{" F32_2 ",\"data_offsets\":[0,8]}}{}", 8, ": not valid JSON at byte "},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[NaN],\"data_offsets\":[0,8]}}", 8, ": not valid JSON at byte "},
    {"{\"\\ud800\":{" F32_2 ",\"data_offsets\":[0,8]}}", 8, ": not valid JSON at byte "},
    {"{\"a\\n\\u001b[2J\":{" F32_2 ",\"data_offsets\":[0,9]}}", 9,
     ": tensor 'a??[2J': it has 9 bytes of data, dtype and shape need 8"},
    {"{\"__metadata__\":null}", 0, ": '__metadata__' is no object"},
    {"{\"__metadata__\":\"a\"}", 0, ": '__metadata__' is no object"},
    {"{\"__metadata__\":[]}", 0, ": '__metadata__' is no object"},
    {"{\"__metadata__\":{\"a\":1}}", 0, ": the metadata 'a' is no text"},
    {"{\"__metadata__\":{\"a\":{}}}", 0, ": the metadata 'a' is no text"},
    {"{\"\xff\":{" F32_2 ",\"data_offsets\":[0,8]}}", 8, ": not valid JSON at byte "},
    {"{\"a\\u0000\":{" F32_2 ",\"data_offsets\":[0,8]}}", 8, ": not valid JSON at byte "},
};

static void each_rule_of_the_format_is_checked(void **state)
{
    struct fixture *fixture = *state;

    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        const struct refusal *refusal = &refusals[i];
        struct safetensors file;
        struct error error = {0};
        const char *found;

        assert_int_equal(
            open_made(fixture->folder, refusal->header, strlen(refusal->header), refusal->data_bytes, &file, &error),
            STATUS_INPUT);
        assert_memory_equal(error.message, fixture->folder, strlen(fixture->folder));
        found = error.message + strlen(fixture->folder) + strlen("/made.safetensors");
        if (strncmp(found, refusal->message, strlen(refusal->message)) != 0)
            fail_msg("header %s: '%s' is wanted, found '%s'", refusal->header, refusal->message, found);
    }
}

/* The types of safetensors 0.8.0 (enum Dtype) and their bits: 8 elements take as many bytes. */
static void each_type_of_the_format_has_its_size(void **state)
{
    static const struct {
        const char *name;
        size_t bits;
    } types[] = {{"BOOL", 8},    {"U8", 8},   {"I8", 8},      {"F8_E5M2", 8}, {"F8_E4M3", 8},
                 {"F8_E8M0", 8}, {"F4", 4},   {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"I16", 16},
                 {"U16", 16},    {"F16", 16}, {"BF16", 16},   {"I32", 32},    {"U32", 32},
                 {"F32", 32},    {"F64", 64}, {"I64", 64},    {"U64", 64},    {"C64", 64}};
    struct fixture *fixture = *state;

    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        for (size_t bytes = types[i].bits - 1; bytes <= types[i].bits + 1; bytes++) {
            struct safetensors file;
            struct error error = {0};
            char header[200];
            int status;

            snprintf(header, sizeof header, "{\"a\":{\"dtype\":\"%s\",\"shape\":[8],\"data_offsets\":[0,%zu]}}",
                     types[i].name, bytes);
            status = open_made(fixture->folder, header, strlen(header), bytes, &file, &error);
            if (status != (bytes == types[i].bits ? STATUS_OK : STATUS_INPUT))
                fail_msg("8 x %s in %zu bytes: %d, %s", types[i].name, bytes, status, error.message);
            if (status == STATUS_OK) {
                assert_int_equal(file.tensors[0].bytes, bytes);
                safetensors_close(&file);
            }
        }
}

static void a_file_shorter_than_its_length_field_is_refused(void **state)
{
    struct fixture *fixture = *state;
    const char *path = fixture_path(fixture->folder, "short");
    struct safetensors file;

    for (size_t bytes = 0; bytes < 8; bytes++) {
        fixture_write(path, "\2\0\0\0\0\0\0\0", bytes);
        assert_int_equal(safetensors_open(&file_system_real, path, &file, NULL), STATUS_INPUT);
    }
}

static void a_header_larger_than_file_or_limit_is_refused_without_memory_for_it(void **state)
{
    static const uint64_t lengths[] = {3,         99999999,       100000001, UINT64_C(1) << 40,
                                       INT64_MAX, UINT64_MAX - 7, UINT64_MAX};
    struct fixture *fixture = *state;
    const char *path = fixture_path(fixture->folder, "huge");
    struct safetensors file;
    struct error error = {0};
    char text[10] = "........{}";

    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        size_t before = mallinfo2().uordblks;

        memcpy(text, &lengths[i], 8);
        fixture_write(path, text, sizeof text);
        assert_int_equal(safetensors_open(&file_system_real, path, &file, &error), STATUS_INPUT);
        assert_non_null(strstr(error.message, ": the header claims "));
        assert_true(mallinfo2().uordblks < before + 65536);
    }
}

static void nesting_ten_thousand_deep_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct safetensors file;
    struct error error = {0};
    char *header = malloc(20006);

    memcpy(header, "{\"a\":", 5);
    memset(header + 5, '[', 10000);
    memset(header + 10005, ']', 10000);
    header[20005] = '}';
    assert_int_equal(open_made(fixture->folder, header, 20006, 0, &file, &error), STATUS_INPUT);
    assert_non_null(strstr(error.message, "JSON nested deeper than 64 at byte 68"));
    free(header);
}

static void blanks_after_the_object_are_padding(void **state)
{
    struct fixture *fixture = *state;
    struct safetensors file;

    assert_int_equal(open_made(fixture->folder, "{}      ", 8, 0, &file, NULL), STATUS_OK);
    assert_int_equal(file.count, 0);
    safetensors_close(&file);
}

static void a_missing_file_and_a_folder_are_refused(void **state)
{
    struct fixture *fixture = *state;
    struct safetensors file;
    struct error error = {0};

    assert_int_equal(safetensors_open(&file_system_real, "/nowhere/x.safetensors", &file, &error), STATUS_INPUT);
    assert_string_equal(error.message, "/nowhere/x.safetensors: No such file or directory");
    assert_int_equal(safetensors_open(&file_system_real, fixture->folder, &file, &error), STATUS_INPUT);
}

static void a_pipe_is_refused_at_once(void **state)
{
    struct fixture *fixture = *state;
    const char *path = fixture_path(fixture->folder, "pipe");
    struct safetensors file;
    struct error error = {0};

    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(safetensors_open(&file_system_real, path, &file, &error), STATUS_INPUT);
    assert_non_null(strstr(error.message, ": it is a pipe, socket or device, a file is wanted"));
}

static void a_file_that_shrinks_after_it_was_opened_gives_an_error(void **state)
{
    struct fixture *fixture = *state;
    const char *header = "{\"a\":{" F32_2 ",\"data_offsets\":[0,8]}}";
    struct safetensors file;
    struct error error = {0};
    char memory[8];

    assert_int_equal(open_made(fixture->folder, header, strlen(header), 8, &file, NULL), STATUS_OK);
    fixture_write(file.path, "", 0);
    assert_int_equal(safetensors_read(&file, &file.tensors[0], 0, memory, 8, &error), STATUS_INPUT);
    assert_non_null(strstr(error.message, "the file became shorter"));
    assert_memory_equal(error.message, "tensor 'a': ", 12);
    safetensors_close(&file);
}

static void a_range_outside_the_tensor_is_our_own_mistake(void **state)
{
    struct fixture *fixture = *state;
    const char *header = "{\"a\":{" F32_2 ",\"data_offsets\":[0,8]}}";
    struct safetensors file;
    char memory[8];

    assert_int_equal(open_made(fixture->folder, header, strlen(header), 8, &file, NULL), STATUS_OK);
    assert_int_equal(safetensors_read(&file, &file.tensors[0], 4, memory, 5, NULL), STATUS_BUG);
    assert_int_equal(safetensors_read(&file, &file.tensors[0], -1, memory, 1, NULL), STATUS_BUG);
    assert_int_equal(safetensors_read(&file, &file.tensors[0], INT64_MAX, memory, 8, NULL), STATUS_BUG);
    assert_int_equal(safetensors_read(&file, &file.tensors[0], 8, memory, 0, NULL), STATUS_OK);
    safetensors_close(&file);
}

/* tests/golden/checkpoint/reference.safetensors, made by the safetensors package 0.8.0 (make_safetensors.py beside it).
 */
static void a_file_of_the_safetensors_package_is_read(void **state)
{
    const struct safetensors_tensor *tensor;
    struct safetensors file;
    struct error error = {0};
    uint8_t memory[24];
    float values[6];

    (void)state;
    if (safetensors_open(&file_system_real, LLMRUN_SOURCE_DIR "/tests/golden/checkpoint/reference.safetensors", &file,
                         &error) != STATUS_OK)
        fail_msg("%s", error.message);
    assert_int_equal(file.count, 9);
    assert_string_equal(safetensors_metadata(&file, "made_by"), "safetensors");

    tensor = safetensors_find(&file, "float");
    assert_int_equal(tensor->dtype, LLMRUN_F32);
    assert_true(shape_equal(&tensor->shape, &(struct shape){2, {2, 3}}));
    assert_int_equal(safetensors_read(&file, tensor, 0, values, 24, NULL), STATUS_OK);
    assert_memory_equal(values, ((float[]){0, 0.25f, 0.5f, 0.75f, 1, 1.25f}), 24);
    assert_int_equal(safetensors_read(&file, tensor, 8, values, 8, NULL), STATUS_OK);
    assert_memory_equal(values, ((float[]){0.5f, 0.75f}), 8);

    tensor = safetensors_find(&file, "brain");
    assert_int_equal(safetensors_read(&file, tensor, 0, memory, 6, NULL), STATUS_OK);
    assert_true(convert_to_f32(tensor->dtype, memory, values, 3));
    assert_memory_equal(values, ((float[]){1.5f, -2, 3}), 12);

    tensor = safetensors_find(&file, "half");
    assert_int_equal(safetensors_read(&file, tensor, 0, memory, 4, NULL), STATUS_OK);
    assert_true(convert_to_f32(tensor->dtype, memory, values, 2));
    assert_memory_equal(values, ((float[]){0.5f, 65504}), 8);

    tensor = safetensors_find(&file, "eight");
    assert_int_equal(safetensors_read(&file, tensor, 0, memory, 2, NULL), STATUS_OK);
    assert_true(convert_to_f32(tensor->dtype, memory, values, 2));
    assert_memory_equal(values, ((float[]){448, -0.5f}), 8);

    tensor = safetensors_find(&file, "long");
    assert_int_equal(tensor->dtype, LLMRUN_NONE);
    assert_string_equal(tensor->stored_dtype, "I64");
    assert_int_equal(safetensors_read(&file, tensor, 0, memory, 16, NULL), STATUS_OK);
    assert_memory_equal(memory, ((int64_t[]){INT64_C(1) << 40, -1}), 16);

    assert_string_equal(safetensors_find(&file, "truth")->stored_dtype, "BOOL");
    assert_int_equal(safetensors_find(&file, "scalar")->shape.rank, 0);
    assert_int_equal(safetensors_find(&file, "empty")->bytes, 0);
    assert_int_equal(safetensors_find(&file, "\xc3\xbc"
                                             "bung/\xce\xbb")
                         ->bytes,
                     1);
    assert_null(safetensors_find(&file, "__metadata__"));
    safetensors_close(&file);
}

static void forms_that_no_reader_would_take_are_not_written(void **state)
{
    const struct safetensors_form reserved = {"__metadata__", LLMRUN_F32, {1, {1}}};
    const struct safetensors_form untyped = {"a", LLMRUN_NONE, {1, {1}}};
    const struct safetensors_form negative = {"a", LLMRUN_F32, {1, {-1}}};
    const struct safetensors_form unnamed = {"\xff", LLMRUN_F32, {1, {1}}};
    const struct safetensors_form twice[2] = {{"a", LLMRUN_F32, {1, {1}}}, {"a", LLMRUN_F32, {1, {1}}}};
    char *header;
    int64_t bytes;

    (void)state;
    assert_int_equal(safetensors_make_header(&reserved, 1, NULL, 0, &header, &bytes, NULL), STATUS_BUG);
    assert_int_equal(safetensors_make_header(&untyped, 1, NULL, 0, &header, &bytes, NULL), STATUS_BUG);
    assert_int_equal(safetensors_make_header(&negative, 1, NULL, 0, &header, &bytes, NULL), STATUS_BUG);
    assert_int_equal(safetensors_make_header(&unnamed, 1, NULL, 0, &header, &bytes, NULL), STATUS_BUG);
    assert_int_equal(safetensors_make_header(twice, 2, NULL, 0, &header, &bytes, NULL), STATUS_BUG);
}

/* Each number of pairs of text, and none, is what a reader finds; the object is compared as the format writes it. */
static void a_header_holds_each_of_its_pairs(void **state)
{
    static const char *const wanted[] = {"{}", "{\"__metadata__\":{\"a\":\"1\"}}",
                                         "{\"__metadata__\":{\"a\":\"1\",\"b\":\"2\"}}"};
    const struct safetensors_pair pairs[] = {{"a", "1"}, {"b", "2"}};
    struct error error = {0};

    (void)state;
    for (int count = 0; count <= 2; count++) {
        char *header;
        int64_t bytes;

        if (safetensors_make_header(NULL, 0, pairs, count, &header, &bytes, &error) != STATUS_OK)
            fail_msg("%s", error.message);
        assert_int_equal(bytes % 64, 0);
        assert_memory_equal(header + 8, wanted[count], strlen(wanted[count]));
        for (int64_t i = 8 + (int64_t)strlen(wanted[count]); i < bytes; i++)
            assert_int_equal(header[i], ' ');
        free(header);
    }
}

/* Padded to the next multiple of 64, and not where it is one: {"__metadata__":{"a":""}} has 25 characters. */
static void a_header_is_padded_to_the_next_64_bytes(void **state)
{
    char value[200], *header;

    (void)state;
    for (size_t length = 0; length < 100; length++) {
        const struct safetensors_pair pair = {"a", value};
        const int64_t object = 8 + 25 + (int64_t)length;
        uint64_t json_bytes;
        int64_t bytes;

        memset(value, 'v', length);
        value[length] = '\0';
        assert_int_equal(safetensors_make_header(NULL, 0, &pair, 1, &header, &bytes, NULL), STATUS_OK);
        assert_int_equal(bytes, object <= 64 ? 64 : object <= 128 ? 128 : 192);
        memcpy(&json_bytes, header, 8);
        assert_int_equal(json_bytes, bytes - 8);
        assert_int_equal(header[object - 1], '}');
        free(header);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(each_rule_of_the_format_is_checked),
        TEST(a_header_holds_each_of_its_pairs),
        TEST(a_header_is_padded_to_the_next_64_bytes),
        TEST(each_type_of_the_format_has_its_size),
        TEST(a_file_shorter_than_its_length_field_is_refused),
        TEST(a_header_larger_than_file_or_limit_is_refused_without_memory_for_it),
        TEST(nesting_ten_thousand_deep_is_refused),
        TEST(blanks_after_the_object_are_padding),
        TEST(a_missing_file_and_a_folder_are_refused),
        TEST(a_pipe_is_refused_at_once),
        TEST(a_file_that_shrinks_after_it_was_opened_gives_an_error),
        TEST(a_range_outside_the_tensor_is_our_own_mistake),
        TEST(a_file_of_the_safetensors_package_is_read),
        TEST(forms_that_no_reader_would_take_are_not_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
