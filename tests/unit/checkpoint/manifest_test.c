#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "checkpoint/checksum.h"
#include "checkpoint/manifest.h"
#include "checkpoint/manifest_seal.h"
#include "tensor/dtype.h"

#define SUM   "\"xxh3:0000000000000000\""
#define HEAD  "{\n\"format\":1,\"step\":3,\"run\":\"r\",\"state\":{},"
#define FILE1 "{\"name\":\"a\",\"bytes\":72,\"checksum\":" SUM ",\"header_bytes\":64,\"header_checksum\":" SUM "}"
#define ENTRY(name, file, dtype, shape, offset, bytes)                                                                 \
    "{\"name\":\"" name "\",\"file\":\"" file "\",\"dtype\":\"" dtype "\",\"shape\":" shape ",\"offset\":" offset      \
    ",\"bytes\":" bytes ",\"checksum\":" SUM "}"
#define TENSOR ENTRY("t", "a", "f32", "[2]", "64", "8")

/* Seals a body, so that its content is what is judged. */
static int parse(const char *body, struct manifest *manifest, struct error *error)
{
    char *text;
    int64_t bytes;
    int result;

    assert_int_equal(manifest_seal(body, &text, &bytes, NULL), STATUS_OK);
    result = manifest_parse(text, bytes, "m", manifest, error);
    free(text);
    return result;
}

static void a_small_manifest_is_read(void **state)
{
    struct manifest manifest;

    (void)state;
    assert_int_equal(parse(HEAD "\"files\":[" FILE1 "],\"tensors\":[" TENSOR "]}", &manifest, NULL), STATUS_OK);
    assert_int_equal(manifest.step, 3);
    assert_string_equal(manifest.run_id, "r");
    assert_int_equal(manifest.tensors[0].dtype, LLMRUN_F32);
    assert_int_equal(manifest.tensors[0].shape.extent[0], 2);
    manifest_finish(&manifest);
}

struct refusal {
    const char *body;
    const char *message;
};

static const struct refusal refusals[] = {
    {"{\n\"x\":1}", "m: 'format' is missing"},
    {"{\n\"format\":0}", "m has format 0; this llmrun reads 1 to 2"},
    {"{\n\"format\":3}", "m has format 3; this llmrun reads 1 to 2"},
    {"{\n\"format\":\"1\"}", "m: 'format' has the wrong type"},
    {"{\n\"format\":1,\"step\":-1}", "m: 'step' is -1; it must be at least 0"},
    {"{\n\"format\":1,\"step\":1,\"run\":\"../x\",\"state\":{}}", "m: '../x' is no run id"},
    {"{\n\"format\":1,\"step\":1,\"run\":\"r\",\"state\":[]}", "m: 'state' has the wrong type"},
    {"{\n\"format\":1,\"step\":1,\"run\":\"r\",\"state\":{\"a\":{}}}", "m: the state 'a' is neither text nor number"},
    {HEAD "\"tensors\":[]}", "m: 'files' is missing"},
    {HEAD "\"files\":[1],\"tensors\":[]}", "m: 'name' is missing"},
    {HEAD "\"files\":[{\"name\":\"../../etc/passwd\"}],\"tensors\":[]}",
     "m: '../../etc/passwd' is no name of a file beside the manifest"},
    {HEAD "\"files\":[{\"name\":\"/etc/passwd\"}],\"tensors\":[]}",
     "m: '/etc/passwd' is no name of a file beside the manifest"},
    {HEAD "\"files\":[{\"name\":\"..\"}],\"tensors\":[]}", "m: '..' is no name of a file"},
    {HEAD "\"files\":[{\"name\":\"manifest.json\"}],\"tensors\":[]}", "m: 'manifest.json' is no name of a file"},
    {HEAD "\"files\":[{\"name\":\"a\",\"bytes\":-1}],\"tensors\":[]}", "m: 'bytes' is -1"},
    {HEAD "\"files\":[{\"name\":\"a\",\"bytes\":1,\"checksum\":\"xxh3:00\"}],\"tensors\":[]}",
     "m: 'checksum' is no checksum"},
    {HEAD "\"files\":[{\"name\":\"a\",\"bytes\":9,\"checksum\":" SUM ",\"header_bytes\":10,\"header_checksum\":" SUM
          "}],\"tensors\":[]}",
     "m: file a has a header of 10 bytes and 9 bytes in all"},
    {HEAD "\"files\":[" FILE1 "," FILE1 "],\"tensors\":[]}", "m lists the file a twice"},
    {HEAD "\"files\":[" FILE1 "],\"tensors\":[" TENSOR "," TENSOR "]}", "m lists the tensor 't' twice"},
    {HEAD "\"files\":[" FILE1 "],\"tensors\":[" ENTRY("t", "b", "f32", "[2]", "64", "8") "]}",
     "m: tensor 't' is in the file 'b', which is not listed"},
    {HEAD "\"files\":[" FILE1 "],\"tensors\":[" ENTRY("t", "a", "F32", "[2]", "64", "8") "]}",
     "m: tensor 't' has the dtype 'F32', which is not known"},
    {HEAD "\"files\":[" FILE1 "],\"tensors\":[" ENTRY("t", "a", "f32", "[3]", "64", "8") "]}",
     "m: tensor 't' has 8 bytes, which dtype and shape do not give"},
    {HEAD "\"files\":[" FILE1 "],\"tensors\":[" ENTRY("t", "a", "f32", "[4611686018427387906]", "64", "8") "]}",
     "m: tensor 't' has more bytes than can be counted"},
    {HEAD "\"files\":[" FILE1 "],\"tensors\":[" ENTRY("t", "a", "f32", "[1,1,1,1,1,2]", "64", "8") "]}",
     "m: tensor 't': rank 6 is out of range; 0 to 5 can be used"},
    {HEAD "\"files\":[" FILE1 "],\"tensors\":[" ENTRY("t", "a", "f32", "[\"2\"]", "64", "8") "]}",
     "m: tensor 't': an extent of its shape is no integer"},
    {HEAD "\"files\":[{\"name\":\"a\",\"bytes\":9,\"checksum\":" SUM ",\"header_bytes\":7,\"header_checksum\":" SUM
          "}],\"tensors\":[]}",
     "m: 'header_bytes' is 7; it must be at least 8"},
    {HEAD "\"files\":[{\"name\":\"a\",\"bytes\":9,\"checksum\":" SUM
          "}],\"tensors\":[" ENTRY("t", "a", "f32", "[2]", "0", "8") "]}",
     "m: tensor 't' is not within the data of file a"},
    {HEAD "\"files\":[" FILE1 "],\"tensors\":[" ENTRY("t", "a", "f32", "[2]", "-1", "8") "]}",
     "m: 'offset' is -1; it must be at least 0"},
    {HEAD "\"files\":[" FILE1 "],\"tensors\":[" ENTRY("t", "a", "f32", "[2]", "0", "8") "]}",
     "m: tensor 't' is not within the data of file a"},
    {HEAD "\"files\":[" FILE1 "],\"tensors\":[" ENTRY("t", "a", "f32", "[2]", "63", "8") "]}",
     "m: tensor 't' is not within the data of file a"},
    {HEAD "\"files\":[" FILE1 "],\"tensors\":[" ENTRY("t", "a", "f32", "[2]", "60", "8") "]}",
     "m: tensor 't' is not within the data of file a"},
    {HEAD "\"files\":[" FILE1 "],\"tensors\":[" ENTRY("t", "a", "f32", "[2]", "65", "8") "]}",
     "m: tensor 't' is not within the data of file a"},
    {HEAD "\"files\":[" FILE1 "],\"tensors\":[" ENTRY("t", "a", "f32", "[2]", "9223372036854775804", "8") "]}",
     "m: tensor 't' is not within the data of file a"},
};

static void each_hostile_manifest_is_refused_for_its_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        struct manifest manifest;
        struct error error = {0};

        assert_int_equal(parse(refusals[i].body, &manifest, &error), STATUS_INPUT);
        if (strncmp(error.message, refusals[i].message, strlen(refusals[i].message)) != 0)
            fail_msg("'%s' is wanted, found '%s'", refusals[i].message, error.message);
        assert_null(manifest.tensors);
    }
}

/* The least of each number, the highest rank, a file that is all header and an empty one. */
static void the_smallest_numbers_are_read(void **state)
{
    struct manifest manifest;
    struct error error = {0};

    (void)state;
    if (parse("{\n\"format\":1,\"step\":0,\"run\":\"r\",\"state\":{\"a\":0.5,\"b\":\"\"},\"files\":["
              "{\"name\":\"a\",\"bytes\":8,\"checksum\":" SUM ",\"header_bytes\":8,\"header_checksum\":" SUM "},"
              "{\"name\":\"b\",\"bytes\":0,\"checksum\":" SUM
              "}],\"tensors\":[" ENTRY("t", "a", "f32", "[1,2,0,3,4]", "8", "0") "]}",
              &manifest, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    assert_int_equal(manifest.step, 0);
    assert_int_equal(manifest.files[0].header_bytes, 8);
    assert_int_equal(manifest.files[1].header_bytes, 0);
    assert_true(shape_equal(&manifest.tensors[0].shape, &(struct shape){5, {1, 2, 0, 3, 4}}));
    manifest_finish(&manifest);
}

static void a_run_id_has_64_characters_at_most(void **state)
{
    (void)state;
    for (int length = 64; length <= 65; length++) {
        struct manifest manifest;
        struct error error = {0};
        char run[66] = "", body[200];

        memset(run, 'r', (size_t)length);
        snprintf(body, sizeof body,
                 "{\n\"format\":1,\"step\":1,\"run\":\"%s\",\"state\":{},\"files\":[],\"tensors\":[]}", run);
        assert_int_equal(parse(body, &manifest, &error), length == 64 ? STATUS_OK : STATUS_INPUT);
        if (length == 64)
            assert_string_equal(manifest.run_id, run);
        else
            assert_non_null(strstr(error.message, "is no run id"));
        manifest_finish(&manifest);
    }
}

static void a_text_that_ends_with_or_in_its_seal_is_refused(void **state)
{
    char *text;
    int64_t bytes;

    (void)state;
    assert_int_equal(manifest_seal("{\n}", &text, &bytes, NULL), STATUS_OK);
    for (int64_t length = 0; length <= MANIFEST_SEAL_BYTES; length++) {
        struct manifest manifest;
        struct error error = {0};

        assert_int_equal(manifest_parse(text, length, "m", &manifest, &error), STATUS_INPUT);
        assert_non_null(strstr(error.message, length < MANIFEST_SEAL_BYTES
                                                  ? "m does not start with the checksum of a manifest"
                                                  : "m is damaged: its bytes have the checksum xxh3:2d06800538d394c2"));
    }
    free(text);
}

/* XXH3 of 64 bits, of nothing and with seed 0: 2D06800538D394C2 by the tests of xxHash. */
static void checksums_have_one_form(void **state)
{
    static const char *const others[] = {
        "",
        "xxh3:",
        "xxh3:2d06800538d394c",
        "xxh3:2d06800538d394c22",
        "xxh3:2D06800538D394C2",
        "xxh4:2d06800538d394c2",
        "xxh3:2d06800538d394cg",
        "xxh3:gd06800538d394c2",
        "xxh3:2d06800538d394c ",
    };
    char text[CHECKSUM_TEXT_BYTES];
    struct checksum *checksum = checksum_create();
    uint64_t value = 0;

    (void)state;
    assert_true(checksum_value(checksum) == UINT64_C(0x2d06800538d394c2));
    checksum_add(checksum, "abc", 3);
    checksum_add(checksum, "d", 1);
    assert_true(checksum_value(checksum) == hash_bytes("abcd", 4));
    checksum_reset(checksum);
    assert_true(checksum_value(checksum) == UINT64_C(0x2d06800538d394c2));
    checksum_destroy(checksum);
    assert_string_equal(checksum_print(UINT64_C(0x0d06800538d394c2), text), "xxh3:0d06800538d394c2");
    assert_true(checksum_parse("xxh3:fd06a805b8e394c2", &value) && value == UINT64_C(0xfd06a805b8e394c2));
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_false(checksum_parse(others[i], &value));
}

static void a_printed_manifest_is_read_back(void **state)
{
    const struct manifest_file file = {
        .name = (char *)"a", .bytes = 72, .checksum = UINT64_MAX, .header_bytes = 64, .header_checksum = 1};
    const struct manifest_tensor tensor = {
        .name = (char *)"\xce\xbb\"\n", .dtype = LLMRUN_BF16, .shape = {2, {4, 1}}, .bytes = 8, .content = 5};
    uint64_t blocks[] = {2, UINT64_MAX};
    const struct manifest_part part = {
        .box = {.extent = {4, 1}}, .offset = 64, .bytes = 8, .content = 5, .block_bytes = 6, .blocks = blocks};
    struct manifest manifest = {.step = INT64_MAX, .run_id = "r"}, back;
    int64_t number = 0;
    char *text;
    int64_t bytes;

    (void)state;
    assert_int_equal(manifest_add_file(&manifest, &file, NULL), STATUS_OK);
    assert_int_equal(manifest_add_tensor(&manifest, &tensor, NULL), STATUS_OK);
    assert_int_equal(manifest_add_part(&manifest.tensors[0], &part, NULL), STATUS_OK);
    assert_int_equal(checkpoint_state_set_integer(&manifest.state, "tokens", INT64_MIN, NULL), STATUS_OK);
    assert_int_equal(manifest_print(&manifest, &text, &bytes, NULL), STATUS_OK);
    assert_int_equal(manifest_parse(text, bytes, "m", &back, NULL), STATUS_OK);
    assert_true(back.step == INT64_MAX);
    assert_string_equal(back.tensors[0].name, tensor.name);
    assert_true(back.files[0].checksum == UINT64_MAX);
    assert_true(shape_equal(&back.tensors[0].shape, &tensor.shape));
    assert_int_equal(back.tensors[0].part_count, 1);
    assert_int_equal(back.tensors[0].parts[0].offset, 64);
    assert_true(back.tensors[0].parts[0].content == 5);
    assert_true(back.tensors[0].parts[0].blocks[1] == UINT64_MAX);
    assert_true(checkpoint_state_integer(&back.state, "tokens", &number) && number == INT64_MIN);
    free(text);
    manifest_finish(&manifest);
    manifest_finish(&back);
}

static void a_name_that_is_no_utf_8_text_is_not_printed(void **state)
{
    const struct manifest_file file = {.name = (char *)"a", .bytes = 72, .header_bytes = 64};

    (void)state;
    for (int bad = 0; bad < 3; bad++) {
        struct manifest manifest = {.step = 1, .run_id = "r"};
        struct error error = {0};
        char *text;
        int64_t bytes;

        assert_int_equal(manifest_add_file(&manifest, &file, NULL), STATUS_OK);
        for (int i = 0; i < 3; i++) {
            char name[] = "t0";
            const struct manifest_tensor tensor = {.name = name, .dtype = LLMRUN_F32, .shape = {1, {0}}};

            name[1] = i == bad ? '\xff' : (char)('0' + i);
            assert_int_equal(manifest_add_tensor(&manifest, &tensor, NULL), STATUS_OK);
        }
        assert_int_equal(manifest_print(&manifest, &text, &bytes, &error), STATUS_BUG);
        assert_string_equal(error.message, "the manifest cannot be printed: a tensor name is no UTF-8 text");
        assert_null(text);
        manifest_finish(&manifest);
    }
}

static void file_names_are_plain(void **state)
{
    (void)state;
    assert_true(manifest_plain_name("tensors-00001.safetensors", 128));
    assert_true(manifest_plain_name("a..b", 128));
    assert_false(manifest_plain_name("", 128));
    assert_false(manifest_plain_name(".a", 128));
    assert_false(manifest_plain_name("a/b", 128));
    assert_false(manifest_plain_name("a b", 128));
    assert_false(manifest_plain_name("a\n", 128));
    assert_false(manifest_plain_name("\xc3\xa4", 128));
    assert_true(manifest_plain_name("1234", 4));
    assert_true(manifest_plain_name("a", 1));
    assert_false(manifest_plain_name("12345", 4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_small_manifest_is_read),
        cmocka_unit_test(each_hostile_manifest_is_refused_for_its_reason),
        cmocka_unit_test(the_smallest_numbers_are_read),
        cmocka_unit_test(a_run_id_has_64_characters_at_most),
        cmocka_unit_test(a_text_that_ends_with_or_in_its_seal_is_refused),
        cmocka_unit_test(checksums_have_one_form),
        cmocka_unit_test(a_printed_manifest_is_read_back),
        cmocka_unit_test(a_name_that_is_no_utf_8_text_is_not_printed),
        cmocka_unit_test(file_names_are_plain),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
