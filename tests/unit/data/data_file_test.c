/* Files of training text: compressed ones, ones under another's name, broken ones. The two short streams were made by
 * gzip 1.12 and zstd 1.5.4. */
#include "support.h"

#include <zlib.h>
#include <zstd.h>

#include "base/log.h"
#include "data/data_file.h"
#include "every.h"

#define WORDS "one two three\n"

static const char gzipped[] = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xcb\xcf\x4b\x55\x28\x29\xcf\x57\x28\xc9\x28"
                              "\x4a\x4d\xe5\x02\x00\x37\x64\x18\x2a\x0e\x00\x00\x00";
static const char zstandard[] = "\x28\xb5\x2f\xfd\x24\x0e\x71\x00\x00\x6f\x6e\x65\x20\x74\x77\x6f\x20\x74\x68\x72\x65"
                                "\x65\x0a\xd8\x8d\xbe\x76";

static char folder[256];
static char warnings[4096];

static void keep_warning(void *context, enum log_level level, const char *line)
{
    (void)context, (void)level;
    snprintf(warnings + strlen(warnings), sizeof warnings - strlen(warnings), "%s\n", line);
}

static int set_up(void **state)
{
    (void)state;
    make_test_folder(folder, sizeof folder);
    log_set_sink(keep_warning, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    log_set_sink(NULL, NULL);
    scratch_remove(folder);
    return 0;
}

/* Longer than any text here. */
#define ROOM ((int64_t)2 << 20)

/* Reads a file, `step` bytes at a time, into memory that the caller frees. */
static int read_file(const char *name, int64_t step, char **text, int64_t *bytes, bool *jsonl, struct error *error)
{
    struct data_file file;
    char path[512];
    int64_t got = step, counted = 0;
    int status;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    *text = malloc((size_t)ROOM);
    *bytes = 0;
    status = data_file_open(&file, path, error);
    if (status != STATUS_OK)
        return status;
    *jsonl = file.jsonl;
    status = data_file_count(&file, &counted, error);
    while (status == STATUS_OK && got == step) {
        assert_true(*bytes + step <= ROOM);
        status = data_file_read(&file, *text + *bytes, step, &got, error);
        *bytes += got;
    }
    if (status == STATUS_OK)
        status = data_file_check(&file, error);
    if (status == STATUS_OK)
        assert_int_equal(counted, *bytes);
    data_file_close(&file);
    return status;
}

static void expect_text(const char *name, const char *wanted, int64_t bytes, bool jsonl)
{
    static const int64_t steps[] = {1 << 20, 7};

    for (int i = 0; i < 2; i++) {
        struct error error = {0};
        bool found_jsonl = false;
        char *text;
        int64_t found;

        warnings[0] = '\0';
        if (read_file(name, steps[i], &text, &found, &found_jsonl, &error) != STATUS_OK)
            fail_msg("%s", error.message);
        assert_int_equal(found, bytes);
        assert_memory_equal(text, wanted, (size_t)bytes);
        assert_int_equal(found_jsonl, jsonl);
        free(text);
    }
}

static void expect_refused(const char *name, const void *data, size_t size, int status, const char *part)
{
    struct error error = {0};
    int64_t bytes;
    bool jsonl;
    char *text;

    write_bytes(folder, name, data, size);
    assert_int_equal(read_file(name, 1 << 20, &text, &bytes, &jsonl, &error), status);
    free(text);
    if (strstr(error.message, name) == NULL || strstr(error.message, part) == NULL)
        fail_msg("'%s' does not say '%s'", error.message, part);
}

/* One member of gzip or frame of zstd behind the `used` bytes of `out`. */
static size_t compress_to(bool gzip, const void *data, size_t bytes, char *out, size_t used, size_t room)
{
    z_stream stream = {.next_in = (Bytef *)data, .avail_in = (uInt)bytes};

    if (!gzip)
        return used + ZSTD_compress(out + used, room - used, data, bytes, 3);
    assert_int_equal(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    stream.next_out = (Bytef *)out + used;
    stream.avail_out = (uInt)(room - used);
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    used = room - stream.avail_out;
    deflateEnd(&stream);
    return used;
}

static void compressed_text_is_read_whatever_its_name(void **state)
{
    static const char *const gzip_names[] = {"a.txt.gz", "a.txt", "a.log", "a.gz", "a"};
    static const char *const zstd_names[] = {"b.txt.zst", "b.txt", "b.py", "b.zstd", "b.gz"};

    (void)state;
    for (int i = 0; i < 5; i++) {
        write_bytes(folder, gzip_names[i], gzipped, sizeof gzipped - 1);
        expect_text(gzip_names[i], WORDS, 14, false);
        write_bytes(folder, zstd_names[i], zstandard, sizeof zstandard - 1);
        expect_text(zstd_names[i], WORDS, 14, false);
        assert_string_equal(warnings, "");
    }
}

static void members_and_frames_are_read_one_after_the_other(void **state)
{
    enum { BYTES = 600000 };
    static const char skippable[] = "\x50\x2a\x4d\x18\x03\x00\x00\x00xyz";
    char *text = malloc(BYTES), *stored = calloc(1, 2 * BYTES);

    (void)state;
    for (int i = 0; i < BYTES; i++)
        text[i] = (char)('a' + (i * 7 + i / 100) % 26);
    for (int gzip = 0; gzip < 2; gzip++) {
        const char *name = gzip ? "members.gz" : "frames.zst";
        size_t used = 0;

        if (!gzip) {
            memcpy(stored, skippable, sizeof skippable - 1);
            used = sizeof skippable - 1;
        }
        used = compress_to(gzip, text, 1000, stored, used, 2 * BYTES);
        used = compress_to(gzip, "", 0, stored, used, 2 * BYTES);
        used = compress_to(gzip, text + 1000, BYTES - 1000, stored, used, 2 * BYTES);
        write_bytes(folder, name, stored, used);
        expect_text(name, text, BYTES, false);
        if (gzip) {
            memset(stored + used, 0, 2 * BYTES - used);
            write_bytes(folder, name, stored, used + 512);
            expect_text(name, text, BYTES, false);
        }
        memcpy(stored + used, "more", 4);
        expect_refused(name, stored, used + 4, STATUS_INPUT, gzip ? "something else follows" : "zstd");
    }
    free(text);
    free(stored);
}

static void a_stream_that_ends_anywhere_is_refused(void **state)
{
    (void)state;
    for (size_t bytes = 3; bytes < sizeof gzipped - 1; bytes++)
        expect_refused("cut.gz", gzipped, bytes, STATUS_INPUT, "cut.gz");
    for (size_t bytes = 4; bytes < sizeof zstandard - 1; bytes++)
        expect_refused("cut.zst", zstandard, bytes, STATUS_INPUT, "cut.zst");
    expect_refused("cut.gz", gzipped, sizeof gzipped - 2, STATUS_INPUT, "the file ends too early");
    expect_refused("cut.zst", zstandard, sizeof zstandard - 2, STATUS_INPUT, "the file ends too early");
}

/* What a flipped bit leaves readable (times, names, flags that say nothing) reads as it was. */
static void a_flipped_bit_never_changes_the_text(void **state)
{
    (void)state;
    for (int gzip = 0; gzip < 2; gzip++) {
        const char *whole = gzip ? gzipped : zstandard;
        size_t size = gzip ? sizeof gzipped - 1 : sizeof zstandard - 1;
        int refused = 0;

        for (size_t bit = 0; bit < 8 * size; bit += EVERY(5)) {
            struct error error = {0};
            char copy[64], *text;
            int64_t bytes;
            bool jsonl;

            memcpy(copy, whole, size);
            copy[bit / 8] = (char)(copy[bit / 8] ^ 1 << bit % 8);
            write_bytes(folder, gzip ? "flipped.gz" : "flipped.zst", copy, size);
            if (read_file(gzip ? "flipped.gz" : "flipped.zst", 1 << 20, &text, &bytes, &jsonl, &error) == STATUS_OK) {
                assert_int_equal(bytes, 14);
                assert_memory_equal(text, WORDS, 14);
            } else {
                assert_int_equal(error.status, STATUS_INPUT);
                refused++;
            }
            free(text);
        }
        assert_true(refused > 20);
    }
}

static void names_that_promise_and_texts_that_are_something_else(void **state)
{
    char twice[256];
    size_t used = compress_to(true, gzipped, sizeof gzipped - 1, twice, 0, sizeof twice);

    (void)state;
    expect_refused("plain.txt.gz", WORDS, 14, STATUS_INPUT, "by its content it is not");
    expect_refused("twice.gz", twice, used, STATUS_INPUT, "gzip");
    expect_refused("paper.txt", "%PDF-1.4 abc", 12, STATUS_INPUT, "PDF");
    used = compress_to(true, "%PDF-1.4 abc", 12, twice, 0, sizeof twice);
    expect_refused("paper.gz", twice, used, STATUS_INPUT, "PDF");
    used = compress_to(true, "", 0, twice, 0, sizeof twice);
    expect_refused("nothing.gz", twice, used, STATUS_INPUT, "is empty");
    expect_refused("wide.jsonl", "\xff\xfe{\0}\0", 6, STATUS_INPUT, "UTF-16");
    expect_refused("pointer.gz", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", 64, STATUS_INPUT,
                   "Git LFS pointer");
}

static void jsonl_is_found_where_the_name_says_nothing_and_named_where_it_says_text(void **state)
{
    static const char line[] = "{\"id\": 1, \"text\": \"a\"}\n{\"text\": \"b\"}\n";
    char stored[256];
    size_t used = compress_to(true, line, sizeof line - 1, stored, 0, sizeof stored);

    (void)state;
    write_text(folder, "part-1", line);
    expect_text("part-1", line, sizeof line - 1, true);
    write_bytes(folder, "part-2.gz", stored, used);
    expect_text("part-2.gz", line, sizeof line - 1, true);
    write_bytes(folder, "part.jsonl", stored, used);
    expect_text("part.jsonl", line, sizeof line - 1, true);
    assert_string_equal(warnings, "");
    write_text(folder, "lines.txt", line);
    expect_text("lines.txt", line, sizeof line - 1, false);
    assert_non_null(strstr(warnings, "lines.txt: its first line is an object of JSONL"));
    write_text(folder, "code", "{{a}: 1}\n");
    expect_text("code", "{{a}: 1}\n", 9, false);
    assert_string_equal(warnings, "");
}

static void json_under_another_name_is_learned_with_a_warning(void **state)
{
    static const char *const json[] = {"[\n  {\"text\": \"a\"}\n]\n", "{\n \"a\" : 1\n}\n", "[{\"text\": \"a\"}]",
                                       " {\"a\": 1}"},
                             *const text[] = {"[\"a\"]",         "{ \"quoted\" words }", "{\"a",          "[{",
                                              "{\"a\" and b: c", "[1] {\"a\": 1}",       "{\n\"a\nb\": 1"};

    (void)state;
    for (size_t i = 0; i < sizeof json / sizeof *json; i++) {
        write_text(folder, "t.txt", json[i]);
        warnings[0] = '\0';
        expect_text("t.txt", json[i], (int64_t)strlen(json[i]), false);
        if (strstr(warnings, "t.txt: it begins as JSON does") == NULL)
            fail_msg("no warning of %s", json[i]);
    }
    for (size_t i = 0; i < sizeof text / sizeof *text; i++) {
        write_text(folder, "t.txt", text[i]);
        warnings[0] = '\0';
        expect_text("t.txt", text[i], (int64_t)strlen(text[i]), false);
        assert_string_equal(warnings, "");
    }
}

static void bytes_that_are_not_utf_8_are_counted_and_many_are_refused(void **state)
{
    enum { BYTES = 1 << 20 };
    char *text = malloc(BYTES);

    (void)state;
    for (int i = 0; i < BYTES; i++)
        text[i] = "\xc3\xa9t\xe2\x82\xac"[i % 6];
    text[3000] = '\xff'; /* the first of two is wrong, so is the other, and the half one at the end */
    write_bytes(folder, "few.txt", text, BYTES);
    expect_text("few.txt", text, BYTES, false);
    assert_non_null(strstr(warnings, "few.txt: 3 of 1048576 bytes are not UTF-8, the first at byte 3000; "));
    memset(text + BYTES / 2, '\xe9', BYTES / 2);
    expect_refused("many.txt", text, BYTES, STATUS_INPUT, "is not UTF-8 text: ");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compressed_text_is_read_whatever_its_name),
        cmocka_unit_test(members_and_frames_are_read_one_after_the_other),
        cmocka_unit_test(a_stream_that_ends_anywhere_is_refused),
        cmocka_unit_test(a_flipped_bit_never_changes_the_text),
        cmocka_unit_test(names_that_promise_and_texts_that_are_something_else),
        cmocka_unit_test(jsonl_is_found_where_the_name_says_nothing_and_named_where_it_says_text),
        cmocka_unit_test(json_under_another_name_is_learned_with_a_warning),
        cmocka_unit_test(bytes_that_are_not_utf_8_are_counted_and_many_are_refused),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
