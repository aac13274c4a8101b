/* Parts in manifests of format 2: what is refused, and why. And checkpoints of format 1. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/contents.h"
#include "checkpoint/manifest.h"
#include "checkpoint/manifest_seal.h"
#include "checkpoint/verify.h"
#include "fixture.h"
#include "tensor/dtype.h"

#define SUM "\"xxh3:0000000000000000\""
#define HEAD                                                                                                           \
    "{\n\"format\":2,\"step\":3,\"run\":\"r\",\"state\":{},\"files\":["                                                \
    "{\"name\":\"a\",\"bytes\":96,\"checksum\":" SUM ",\"header_bytes\":64,\"header_checksum\":" SUM "}],"             \
    "\"tensors\":["
#define ZERO "0000000000000000"

/* A tensor of 4 x 2 with one hash, and a part: rows, place, blocks of 8 bytes. */
#define TENSOR(content, parts)                                                                                         \
    HEAD "{\"name\":\"t\",\"dtype\":\"f32\",\"shape\":[4,2],\"content\":\"mix64:" content "\",\"parts\":[" parts "]}]" \
         "}"
#define PART(first, extent, bytes, content, offset, each, blocks)                                                      \
    "{\"first\":" first ",\"extent\":" extent ",\"bytes\":" bytes ",\"content\":\"mix64:" content                      \
    "\",\"file\":\"a\",\"offset\":" offset ",\"block_bytes\":" each ",\"blocks\":\"" blocks "\"}"
#define UPPER PART("[0,0]", "[2,2]", "16", "0000000000000002", "64", "8", ZERO ZERO)
#define LOWER PART("[2,0]", "[2,2]", "16", "0000000000000003", "80", "16", ZERO)
#define REPLICA(first, extent, bytes)                                                                                  \
    "{\"first\":" first ",\"extent\":" extent ",\"bytes\":" bytes ",\"content\":\"mix64:0000000000000009\"}"

static int parse(const char *body, bool is_list, struct manifest *manifest, struct error *error)
{
    char *text;
    int64_t bytes;
    int result;

    assert_int_equal(manifest_seal(body, &text, &bytes, NULL), STATUS_OK);
    result = (is_list ? manifest_parse_list : manifest_parse)(text, bytes, "m", manifest, error);
    free(text);
    return result;
}

static void parts_that_are_the_whole_are_read(void **state)
{
    struct manifest manifest;
    struct error error = {0};

    (void)state;
    if (parse(TENSOR("0000000000000005", UPPER "," LOWER), false, &manifest, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    assert_int_equal(manifest.format, 2);
    assert_int_equal(manifest.tensors[0].bytes, 32);
    assert_int_equal(manifest.tensors[0].part_count, 2);
    assert_int_equal(manifest.tensors[0].parts[1].box.first[0], 2);
    assert_int_equal(manifest.tensors[0].parts[0].block_bytes, 8);
    manifest_finish(&manifest);
}

static const struct {
    const char *body, *message;
} refusals[] = {
    {TENSOR("0000000000000002", UPPER), "m: the parts of tensor 't' have 16 bytes of its 32"},
    {TENSOR("0000000000000000", ""), "m: the parts of tensor 't' have 0 bytes of its 32"},
    {TENSOR("0000000000000006", UPPER "," LOWER), "m: the content hashes of the parts of tensor 't' give another one"},
    {TENSOR("000000000000000", UPPER "," LOWER), "m: 'content' of tensor 't' is no content hash"},
    {TENSOR("0000000000000004", UPPER "," UPPER),
     "m: tensor 't' has parts that overlap: [0:2, 0:2] in a and [0:2, 0:2] in a"},
    {TENSOR("0000000000000005", UPPER "," PART("[1,0]", "[2,2]", "16", "0000000000000003", "80", "16", ZERO)),
     "m: tensor 't' has parts that overlap: [0:2, 0:2] in a and [1:3, 0:2] in a"},
    {TENSOR("0000000000000000", PART("[3,0]", "[2,2]", "16", ZERO, "64", "16", ZERO)),
     "m: tensor 't' is [4,2] and has a part outside of it"},
    {TENSOR("0000000000000000", PART("[-1,0]", "[2,2]", "16", ZERO, "64", "16", ZERO)),
     "m: tensor 't' is [4,2] and has a part outside of it"},
    {TENSOR("0000000000000000",
            PART("[9223372036854775807,0]", "[9223372036854775807,2]", "16", ZERO, "64", "16", ZERO)),
     "m: tensor 't' is [4,2] and has a part outside of it"},
    {TENSOR("0000000000000000", PART("[0]", "[2,2]", "16", ZERO, "64", "16", ZERO)),
     "m: 'first' of a part of tensor 't' is not 2 whole numbers"},
    {TENSOR("0000000000000000", PART("[0,0]", "[2,2.5]", "16", ZERO, "64", "16", ZERO)),
     "m: 'extent' of a part of tensor 't' is not 2 whole numbers"},
    {TENSOR("0000000000000000", PART("[0,0]", "[2,2]", "12", ZERO, "64", "16", ZERO)),
     "m: part [0:2, 0:2] of tensor 't' has 12 bytes, which dtype and extent do not give"},
    {TENSOR("0000000000000000", PART("[0,0]", "[2,2]", "16", ZERO, "81", "16", ZERO)),
     "m: tensor 't' is not within the data of file a"},
    {TENSOR("0000000000000000", PART("[0,0]", "[2,2]", "16", ZERO, "63", "16", ZERO)),
     "m: tensor 't' is not within the data of file a"},
    {TENSOR("0000000000000000", PART("[0,0]", "[2,2]", "16", ZERO, "64", "0", "")),
     "m: a part of tensor 't' has 16 bytes in blocks of 0, and 0 digits of checksums"},
    {TENSOR("0000000000000000", PART("[0,0]", "[2,2]", "16", ZERO, "64", "6", ZERO ZERO ZERO)),
     "m: a part of tensor 't' has 16 bytes in blocks of 6, and 48 digits of checksums"},
    {TENSOR("0000000000000000", PART("[0,0]", "[2,2]", "16", ZERO, "64", "8", ZERO)),
     "m: a part of tensor 't' has 16 bytes in blocks of 8, and 16 digits of checksums"},
    {TENSOR("0000000000000000", PART("[0,0]", "[2,2]", "16", ZERO, "64", "16", "000000000000000g")),
     "m: 'blocks' of a part of tensor 't' are no checksums"},
    {TENSOR("0000000000000000", PART("[0,0]", "[2,0]", "0", ZERO, "64", "0", "")),
     "m: tensor 't' has a part of 0 bytes"},
    {TENSOR("0000000000000005", UPPER "," LOWER "," REPLICA("[0,0]", "[2,2]", "16")), "m: 'file' is missing"},
};

static void each_hostile_part_is_refused_for_its_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        struct manifest manifest;
        struct error error = {0};

        assert_int_equal(parse(refusals[i].body, false, &manifest, &error), STATUS_INPUT);
        if (strncmp(error.message, refusals[i].message, strlen(refusals[i].message)) != 0)
            fail_msg("'%s' is wanted, found '%s'", refusals[i].message, error.message);
    }
}

static void a_list_of_one_rank_may_lack_parts_and_has_replicas(void **state)
{
    struct manifest manifest;
    struct error error = {0};

    (void)state;
    if (parse(TENSOR("0000000000000002", UPPER "," REPLICA("[2,0]", "[1,2]", "8")), true, &manifest, &error) !=
        STATUS_OK)
        fail_msg("%s", error.message);
    assert_int_equal(manifest.tensors[0].part_count, 2);
    assert_int_equal(manifest.tensors[0].parts[1].file, -1);
    assert_true(manifest.tensors[0].parts[1].content == 9);
    manifest_finish(&manifest);
    assert_int_equal(parse(TENSOR("0000000000000000", REPLICA("[3,0]", "[2,2]", "16")), true, &manifest, &error),
                     STATUS_INPUT);
}

/* The fixture's checkpoint with the manifest that versions before parts wrote of it. */
static void downgrade(const char *folder)
{
    static char body[20000];
    struct checkpoint checkpoint;
    struct manifest *manifest = &checkpoint.manifest;
    unsigned char memory[512];
    int64_t bytes;
    char *text;
    int used;

    assert_int_equal(checkpoint_open(&file_system_real, folder, &checkpoint, NULL), STATUS_OK);
    used = snprintf(body, sizeof body,
                    "{\n \"format\": 1, \"step\": %" PRId64 ", \"run\": \"%s\", \"state\": {\"tokens_seen\": 3000}, "
                    "\"files\": [",
                    manifest->step, manifest->run_id);
    for (int64_t i = 0; i < manifest->file_count; i++) {
        const struct manifest_file *file = &manifest->files[i];

        used += snprintf(body + used, sizeof body - (size_t)used,
                         "%s{\"name\": \"%s\", \"bytes\": %" PRId64 ", \"checksum\": \"xxh3:%016" PRIx64 "\"",
                         i > 0 ? ", " : "", file->name, file->bytes, file->checksum);
        if (file->header_bytes > 0)
            used += snprintf(body + used, sizeof body - (size_t)used,
                             ", \"header_bytes\": %" PRId64 ", \"header_checksum\": \"xxh3:%016" PRIx64 "\"",
                             file->header_bytes, file->header_checksum);
        used += snprintf(body + used, sizeof body - (size_t)used, "}");
    }
    used += snprintf(body + used, sizeof body - (size_t)used, "], \"tensors\": [");
    for (int64_t i = 0; i < manifest->tensor_count; i++) {
        const struct manifest_tensor *tensor = &manifest->tensors[i];
        char shape[SHAPE_TEXT_BYTES];

        assert_int_equal(checkpoint_read(&checkpoint, tensor, memory, tensor->bytes, NULL), STATUS_OK);
        used += snprintf(body + used, sizeof body - (size_t)used,
                         "%s{\"name\": \"%s\", \"file\": \"%s\", \"dtype\": \"%s\", \"shape\": %s, \"offset\": %" PRId64
                         ", \"bytes\": %" PRId64 ", \"checksum\": \"xxh3:%016" PRIx64 "\"}",
                         i > 0 ? ", " : "", tensor->name, manifest->files[tensor->parts[0].file].name,
                         dtype_name(tensor->dtype), shape_print(&tensor->shape, shape), tensor->parts[0].offset,
                         tensor->bytes, hash_bytes(memory, (size_t)tensor->bytes));
    }
    snprintf(body + used, sizeof body - (size_t)used, "]}");
    assert_int_equal(manifest_seal(body, &text, &bytes, NULL), STATUS_OK);
    fixture_write(fixture_path(folder, MANIFEST_NAME), text, (size_t)bytes);
    free(text);
    checkpoint_close(&checkpoint);
}

static void a_checkpoint_of_format_1_is_read_whole_and_in_slices(void **state)
{
    const struct fixture *fixture = *state;
    const struct box rows = {{3, 2}, {2, 5}};
    struct checkpoint checkpoint;
    const struct manifest_tensor *tensor;
    uint32_t whole[16 * 8], part[10];
    char folder[PATH_MAX];

    fixture_save(fixture->ckpt, 3);
    strcpy(folder, fixture_path(fixture->ckpt, "step_00000003"));
    downgrade(folder);
    assert_true(fixture_is_step(folder, 3));
    assert_int_equal(checkpoint_verify(&file_system_real, folder, NULL, NULL, NULL, NULL), STATUS_OK);
    assert_int_equal(checkpoint_open(&file_system_real, folder, &checkpoint, NULL), STATUS_OK);
    assert_int_equal(checkpoint.manifest.format, 1);
    tensor = checkpoint_tensor_find(&checkpoint, "param/embedding.weight");
    assert_int_equal(checkpoint_read(&checkpoint, tensor, whole, sizeof whole, NULL), STATUS_OK);
    assert_int_equal(checkpoint_read_box(&checkpoint, tensor, &rows, part, NULL), STATUS_OK);
    for (int i = 0; i < 10; i++)
        assert_int_equal(part[i], whole[(3 + i / 5) * 8 + 2 + i % 5]);
    checkpoint_close(&checkpoint);
}

static uint64_t contents_of(const char *folder)
{
    struct checkpoint checkpoint;
    uint64_t tensors[FIXTURE_TENSORS], all;

    assert_int_equal(checkpoint_open(&file_system_real, folder, &checkpoint, NULL), STATUS_OK);
    assert_int_equal(checkpoint_contents(&checkpoint, tensors, &all, NULL), STATUS_OK);
    checkpoint_close(&checkpoint);
    return all;
}

/* Those of format 1 are computed. */
static void both_formats_have_the_same_contents_and_another_step_has_not(void **state)
{
    const struct fixture *fixture = *state;
    char folder[PATH_MAX];
    uint64_t before;

    fixture_save(fixture->ckpt, 4);
    fixture_save(fixture->ckpt, 3);
    strcpy(folder, fixture_path(fixture->ckpt, "step_00000003"));
    before = contents_of(folder);
    downgrade(folder);
    assert_true(contents_of(folder) == before);
    assert_true(contents_of(fixture_path(fixture->ckpt, "step_00000004")) != before);
}

static void a_flipped_bit_of_format_1_is_found(void **state)
{
    const struct fixture *fixture = *state;
    char folder[PATH_MAX], *data;
    struct error error = {0};
    int64_t bytes;

    fixture_save(fixture->ckpt, 3);
    strcpy(folder, fixture_path(fixture->ckpt, "step_00000003"));
    downgrade(folder);
    data = fixture_read(fixture_path(folder, "tensors-00001.safetensors"), &bytes);
    data[bytes - 1] ^= 1;
    fixture_write(fixture_path(folder, "tensors-00001.safetensors"), data, (size_t)bytes);
    free(data);
    assert_false(fixture_is_step(folder, 3));
    assert_int_equal(checkpoint_verify(&file_system_real, folder, NULL, NULL, NULL, &error), STATUS_INPUT);
    assert_non_null(strstr(error.message, "tensor 'param/norm.bias' is not what was written"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_that_are_the_whole_are_read),
        cmocka_unit_test(each_hostile_part_is_refused_for_its_reason),
        cmocka_unit_test(a_list_of_one_rank_may_lack_parts_and_has_replicas),
        TEST(a_checkpoint_of_format_1_is_read_whole_and_in_slices),
        TEST(both_formats_have_the_same_contents_and_another_step_has_not),
        TEST(a_flipped_bit_of_format_1_is_found),
    };

    return cmocka_run_group_tests_name("manifest parts", tests, NULL, NULL);
}
