/* Folders of safetensors files: which are taken, and what is said of those that are not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <malloc.h>

#include "fixture.h"
#include "huggingface/directory.h"

/* A file of fp32 tensors [1] with these names. */
static void write_tensors(const char *folder, const char *file, const char *const *names)
{
    struct safetensors_form forms[4];
    struct error error = {0};
    int64_t count = 0, bytes;
    char *header, *all;

    for (; names[count] != NULL; count++)
        forms[count] = (struct safetensors_form){names[count], LLMRUN_F32, {1, {1}}};
    assert_int_equal(safetensors_make_header(forms, count, NULL, 0, &header, &bytes, &error), STATUS_OK);
    all = calloc(1, (size_t)(bytes + 4 * count));
    assert_non_null(all);
    memcpy(all, header, (size_t)bytes);
    fixture_write(fixture_path(folder, file), all, (size_t)(bytes + 4 * count));
    free(all);
    free(header);
}

#define TENSORS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void write_index(const char *folder, const char *map)
{
    char text[1000];

    snprintf(text, sizeof text, "{\"metadata\":{\"total_size\":8},\"weight_map\":{%s}}", map);
    fixture_write(fixture_path(folder, HF_INDEX_NAME), text, strlen(text));
}

static void assert_refused(const char *folder, const char *part)
{
    struct hf_directory directory;
    struct error error = {0};

    assert_int_equal(hf_directory_open(&file_system_real, folder, &directory, &error), STATUS_INPUT);
    if (strstr(error.message, part) == NULL)
        fail_msg("'%s' has no '%s'", error.message, part);
}

static void tensors_of_all_shards_are_found(void **state)
{
    const struct fixture *fixture = *state;
    const struct safetensors *file;
    struct hf_directory directory;
    struct error error = {0};

    write_tensors(fixture->folder, "one.safetensors", TENSORS("a", "b"));
    write_tensors(fixture->folder, "two.safetensors", TENSORS("c"));
    write_index(fixture->folder, "\"a\":\"one.safetensors\",\"c\":\"two.safetensors\",\"b\":\"one.safetensors\"");
    if (hf_directory_open(&file_system_real, fixture->folder, &directory, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    assert_int_equal(directory.count, 2);
    assert_string_equal(hf_directory_find(&directory, "c", &file)->name, "c");
    assert_ptr_equal(file, &directory.files[1]);
    assert_null(hf_directory_find(&directory, "d", &file));
    hf_directory_close(&directory);
}

static void one_file_needs_no_index(void **state)
{
    const struct fixture *fixture = *state;
    struct hf_directory directory;

    assert_refused(fixture->folder, "holds neither model.safetensors nor model.safetensors.index.json");
    write_tensors(fixture->folder, HF_MODEL_NAME, TENSORS("a"));
    assert_int_equal(hf_directory_open(&file_system_real, fixture->folder, &directory, NULL), STATUS_OK);
    assert_int_equal(directory.count, 1);
    hf_directory_close(&directory);
}

static void a_shard_name_cannot_leave_the_folder(void **state)
{
    static const char *const bad[] = {
        "../one.safetensors", "/etc/passwd", "a/b", "..", ".", ".hidden", "", "..\\\\x", "a\\nb", "\xc3\xbc"};
    const struct fixture *fixture = *state;
    char map[100];

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(map, sizeof map, "\"a\":\"%s\"", bad[i]);
        write_index(fixture->folder, map);
        assert_refused(fixture->folder, "a plain name");
    }
    write_index(fixture->folder, "\"a\":3");
    assert_refused(fixture->folder, "is no text");
}

static void index_and_shards_must_agree(void **state)
{
    const struct fixture *fixture = *state;

    write_tensors(fixture->folder, "one.safetensors", TENSORS("a", "b"));
    write_tensors(fixture->folder, "two.safetensors", TENSORS("b", "c"));
    write_index(fixture->folder, "\"a\":\"one.safetensors\"");
    assert_refused(fixture->folder, "holds tensor 'b', which model.safetensors.index.json puts into no file");
    write_index(fixture->folder, "\"a\":\"one.safetensors\",\"b\":\"one.safetensors\",\"c\":\"two.safetensors\"");
    assert_refused(fixture->folder, "holds tensor 'b', which model.safetensors.index.json puts into one.safetensors");
    write_index(fixture->folder, "\"a\":\"one.safetensors\",\"b\":\"one.safetensors\",\"d\":\"one.safetensors\"");
    assert_refused(fixture->folder, "tensor 'd' is not in one.safetensors");
    write_index(fixture->folder, "\"a\":\"none.safetensors\"");
    assert_refused(fixture->folder, "none.safetensors");
    write_index(fixture->folder, "\"a\":\"one.safetensors\",\"a\":\"one.safetensors\"");
    assert_refused(fixture->folder, "not valid JSON");
    fixture_write(fixture_path(fixture->folder, HF_INDEX_NAME), "{}", 2);
    assert_refused(fixture->folder, "'weight_map' is missing");
}

static void an_index_that_is_no_map_of_names_is_refused(void **state)
{
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"", "model.safetensors.index.json: not valid JSON"},
        {"[]", "model.safetensors.index.json: the JSON text is no object"},
        {"{\"weight_map\":[]}", "'weight_map' has the wrong type; an object is wanted"},
        {"{\"weight_map\":null}", "'weight_map' has the wrong type"},
        {"{\"weight_map\":{\"a\":null}}", "the file of tensor 'a' is no text"},
        {"{\"weight_map\":{\"a\":[\"one\"]}}", "the file of tensor 'a' is no text"},
        {"{\"weight_map\":{\"a\":\"one\\u0000\"}}", "not valid JSON"},
        {"{\"weight_map\":{\"a\":\"model.safetensors.index.json\"}}",
         "model.safetensors.index.json: the header claims"},
        {"{\"weight_map\":{\"a\\n\":\"../x\"}}", "the file of tensor 'a?' is '../x'"},
    };
    const struct fixture *fixture = *state;
    char *deep = malloc(60000);

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fixture_write(fixture_path(fixture->folder, HF_INDEX_NAME), cases[i].text, strlen(cases[i].text));
        assert_refused(fixture->folder, cases[i].part);
    }
    assert_non_null(deep);
    for (int i = 0; i < 10000; i++)
        memcpy(deep + 5 * i, "{\"a\":", 5);
    fixture_write(fixture_path(fixture->folder, HF_INDEX_NAME), deep, 50000);
    assert_refused(fixture->folder, "model.safetensors.index.json: JSON nested deeper than 64");
    free(deep);
}

static void more_shards_than_can_be_open_are_refused(void **state)
{
    const struct fixture *fixture = *state;
    char *text = malloc(64 * (HF_MOST_SHARDS + 2)), name[32];
    size_t length = 0;

    assert_non_null(text);
    length += (size_t)sprintf(text, "{\"weight_map\":{");
    for (int i = 0; i <= HF_MOST_SHARDS; i++) {
        snprintf(name, sizeof name, "s%d", i);
        write_tensors(fixture->folder, name, TENSORS(name));
        length += (size_t)sprintf(text + length, "%s\"s%d\":\"s%d\"", i > 0 ? "," : "", i, i);
    }
    length += (size_t)sprintf(text + length, "}}");
    fixture_write(fixture_path(fixture->folder, HF_INDEX_NAME), text, length);
    free(text);
    assert_refused(fixture->folder, "more than 512 files");
}

static void a_header_that_claims_gigabytes_allocates_nothing_of_them(void **state)
{
    static const char header[] = "{\"a\":{\"dtype\":\"F32\",\"shape\":[1000000000],\"data_offsets\":[0,4000000000]}}";
    const struct fixture *fixture = *state;
    const uint64_t lengths[] = {sizeof header - 1, 99999999, (uint64_t)1 << 63, ~(uint64_t)0};
    char text[8 + sizeof header];

    for (int i = 0; i < 4; i++) {
        size_t before = mallinfo2().uordblks, mapped = mallinfo2().hblkhd;

        memcpy(text, &lengths[i], 8);
        memcpy(text + 8, header, sizeof header - 1);
        fixture_write(fixture_path(fixture->folder, HF_MODEL_NAME), text, 8 + sizeof header - 1);
        assert_refused(fixture->folder, i == 0 ? "not within the file" : "the header claims");
        assert_true(mallinfo2().uordblks < before + 10000 && mallinfo2().hblkhd <= mapped);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(tensors_of_all_shards_are_found, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(one_file_needs_no_index, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(a_shard_name_cannot_leave_the_folder, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(index_and_shards_must_agree, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(an_index_that_is_no_map_of_names_is_refused, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(more_shards_than_can_be_open_are_refused, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(a_header_that_claims_gigabytes_allocates_nothing_of_them, fixture_setup,
                                        fixture_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
