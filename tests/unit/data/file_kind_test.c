/* Which files are text. Marks of formats are those of their specifications; UTF-16 and UTF-32 are written by the
 * compiler, other encodings by Python's codecs. */
#include "support.h"

#include <uchar.h>

#include "data/file_kind.h"

static void endings_of_other_kinds_are_refused_with_what_to_do(void **state)
{
    static const char *const names[][2] = {
        {"a.json", "name it .jsonl"},     {"a/b.CSV", "as JSONL"},
        {"x.tar.gz", "unpack it"},        {"x.json.zst", "jq -c '.[]'"},
        {"a.b.parquet", "as JSONL"},      {"page.HTML", "extract its text"},
        {"paper.pdf.gz", "extract"},      {"x.txt.xz", "gzip and zstd are read"},
        {"x.tgz", "unpack it"},           {"tokens.bin", "give the text"},
        {"model.safetensors", "weights"}, {"notes.ipynb", "JSON"},
        {"a.json5", "jq -c '.[]'"},       {"x.txt.br", "gzip and zstd are read"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct file_name_kind kind;
        struct error error = {0};

        assert_int_equal(file_kind_of_name(names[i][0], &kind, &error), STATUS_USAGE);
        if (strncmp(error.message, names[i][0], strlen(names[i][0])) != 0 || strstr(error.message, names[i][1]) == NULL)
            fail_msg("'%s' does not say '%s'", error.message, names[i][1]);
    }
}

static void any_other_ending_is_text_or_jsonl(void **state)
{
    static const struct {
        const char *name;
        struct file_name_kind kind;
    } names[] = {
        {"main.c", {COMPRESSION_NONE, false, false}},       {"README.md", {COMPRESSION_NONE, false, false}},
        {"a.py", {COMPRESSION_NONE, false, false}},         {"a.text", {COMPRESSION_NONE, false, false}},
        {"a.log", {COMPRESSION_NONE, false, false}},        {"pom.xml", {COMPRESSION_NONE, false, false}},
        {"a.json.d/part", {COMPRESSION_NONE, false, true}}, {".json", {COMPRESSION_NONE, false, true}},
        {"Makefile", {COMPRESSION_NONE, false, true}},      {"a.jsonl2", {COMPRESSION_NONE, false, false}},
        {"json", {COMPRESSION_NONE, false, true}},          {"part-0001.gz", {COMPRESSION_GZIP, false, true}},
        {"a.TXT.GZ", {COMPRESSION_GZIP, false, false}},     {"DATA.JSONL", {COMPRESSION_NONE, true, false}},
        {"a.ndjson", {COMPRESSION_NONE, true, false}},      {"a.jsonl.zst", {COMPRESSION_ZSTD, true, false}},
        {"a.Jsonl.gzip", {COMPRESSION_GZIP, true, false}},  {"a.ldjson", {COMPRESSION_NONE, true, false}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct file_name_kind kind;

        assert_int_equal(file_kind_of_name(names[i].name, &kind, NULL), STATUS_OK);
        if (kind.compression != names[i].kind.compression || kind.jsonl != names[i].kind.jsonl ||
            kind.open != names[i].kind.open)
            fail_msg("%s", names[i].name);
    }
}

static void expect_kind(const void *content, int64_t bytes, const char *part)
{
    struct error error = {0};
    int status = file_kind_check("x.txt", content, bytes, false, &error);

    if (part == NULL && status != STATUS_OK)
        fail_msg("%s", error.message);
    if (part != NULL && (status != STATUS_INPUT || strstr(error.message, part) == NULL))
        fail_msg("'%s' does not say '%s'", error.message, part);
}

static void formats_are_known_by_their_first_bytes(void **state)
{
    static const struct {
        const char *bytes;
        int count;
        const char *part;
    } heads[] = {
        {"\x1f\x8b\x08\0", 4, "gzip"},
        {"\xfd\x37zXZ\0", 6, "xz"},
        {"BZh91AY&SY", 10, "bzip2"},
        {"PK\x03\x04", 4, "zip"},
        {"%PDF-1.7\n", 9, "PDF"},
        {"PAR1\x15\x04", 6, "Parquet"},
        {"ARROW1\0\0", 8, "Arrow"},
        {"\x93NUMPY\x01", 7, "NumPy"},
        {"MMIDIDX\0\0\x01", 10, "Megatron"},
        {"GGUF\x03\0\0\0", 8, "GGUF"},
        {"SQLite format 3\0", 16, "SQLite"},
        {"\x89PNG\r\n\x1a\n", 8, "PNG"},
        {"\x7f"
         "ELF\x02",
         5, "ELF"},
        {"\x48\0\0\0\0\0\0\0{\"a\":", 12, "safetensors"},
        {"\x80\x04\x95\x10\0\0\0", 7, "pickle"},
        {"RIFF\x24\0\0\0WAVEfmt ", 16, "WAV"},
        {"\0\0\0\x20"
         "ftypisom",
         12, "MP4"},
        {"MZ\x90\0\x03", 5, "Windows"},
        {"{\\rtf1\\ansi", 11, "RTF"},
    };
    char tar[512] = "name.txt";

    (void)state;
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++)
        expect_kind(heads[i].bytes, heads[i].count, heads[i].part);
    memcpy(tar + 257,
           "ustar\0"
           "00",
           8);
    expect_kind(tar, sizeof tar, "tar");
}

static void texts_that_speak_of_formats_are_text(void **state)
{
    static const char *const texts[] = {"PAR1 is how Parquet begins",
                                        "GGUF is a format",
                                        "BZh or not",
                                        "PK",
                                        "MZ",
                                        "ORC",
                                        "%PDFLaTeX",
                                        "{\\bf a}",
                                        "RIFF",
                                        "#!/usr/bin/env python3\nprint(1)\n",
                                        "[1, 2]\n",
                                        "a,b\n1,2\n",
                                        "\x1b[31mred\x1b[0m\b\f\v\r\n"};

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        expect_kind(texts[i], (int64_t)strlen(texts[i]), NULL);
}

/* Two bytes a unit, in the order of this machine and in the other. */
static void expect_utf16(const char16_t *text, bool mark, const char *same, const char *other)
{
    const char *little = (const char *)text;
    int64_t units = 0, skipped = mark ? 0 : 1; /* the literals begin with a mark */
    char swapped[512];

    while (text[units] != 0)
        units++;
    for (int64_t i = 0; i < 2 * units; i++)
        swapped[i ^ 1] = little[i];
    expect_kind(little + 2 * skipped, 2 * (units - skipped), same);
    expect_kind(swapped + 2 * skipped, 2 * (units - skipped), other);
}

static void utf_16_and_32_are_named(void **state)
{
    static const char16_t *const texts[] = {u"\uFEFFHello world",
                                            u"\uFEFFПривет, мир, это текст.\n",
                                            u"\uFEFFनमस्ते दुनिया, यह पाठ है\n",
                                            u"\uFEFFΓειά σου κόσμε, κείμενο.\n",
                                            u"\uFEFFשלום עולם",
                                            u"\uFEFFa\r\nb\r\n"};
    static const char16_t han[] = u"\uFEFF你好，世界，这是文本。你好，世界，这是文本。你好，世界，这是文本。";
    static const char32_t wide[] = U"\uFEFFHello, 世界.\n";
    char swapped[sizeof wide];

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        expect_utf16(texts[i], true, "it is UTF-16; expected UTF-8: iconv -f UTF-16 -t UTF-8", "it is UTF-16;");
        expect_utf16(texts[i], false, "UTF-16LE", "UTF-16BE");
    }
    expect_utf16(han, true, "UTF-16", "UTF-16");
    expect_utf16(han, false, "not UTF-8", "not UTF-8");
    for (size_t i = 0; i < sizeof wide; i++)
        swapped[i ^ 3] = ((const char *)wide)[i];
    expect_kind(wide, sizeof wide - 4, "UTF-32");
    expect_kind(swapped, sizeof wide - 4, "UTF-32");
    expect_kind(wide + 1, sizeof wide - 8, "UTF-32LE");
    expect_kind(swapped + 4, sizeof wide - 8, "UTF-32BE");
}

static void other_encodings_and_binary_data_are_refused(void **state)
{
    static const char greek[] = "\xc3\xe5\xe9\xdc\x20\xf3\xef\xf5\x20\xea\xfc\xf3\xec\xe5"; /* ISO 8859-7 */
    static const char kana[] =
        "\x82\xb1\x82\xf1\x82\xc9\x82\xbf\x82\xcd\x90\xa2\x8a\x45\x81\x41\x83\x65"; /* Shift JIS */
    static const char han[] =
        "\xc4\xe3\xba\xc3\xa3\xac\xca\xc0\xbd\xe7\xa3\xac\xd5\xe2\xca\xc7\xce\xc4\xb1\xbe"; /* GBK */
    uint16_t tokens[64];
    int32_t numbers[64];
    int64_t longs[64];
    float reals[64];
    unsigned char noise[64];
    uint32_t random = 1;

    (void)state;
    for (int i = 0; i < 64; i++) {
        random = random * 1664525u + 1013904223u;
        tokens[i] = (uint16_t)(random >> 16);
        numbers[i] = (int32_t)(random >> 24);
        longs[i] = i;
        reals[i] = (float)(random >> 8) / 3e7f;
        noise[i] = (unsigned char)(random >> 11);
    }
    expect_kind(greek, sizeof greek - 1, "not UTF-8 text");
    expect_kind(kana, sizeof kana - 1, "not UTF-8 text");
    expect_kind(han, sizeof han - 1, "not UTF-8 text");
    expect_kind(tokens, sizeof tokens, "x.txt: ");
    expect_kind(numbers, sizeof numbers, "x.txt: ");
    expect_kind(longs, sizeof longs, "x.txt: ");
    expect_kind(reals, sizeof reals, "x.txt: ");
    expect_kind(noise, sizeof noise, "x.txt: ");
}

static void bytes_0_lines_of_a_letter_and_few_wrong_bytes_are_text(void **state)
{
    static const char letters[] = "1\n0\n1\n1\n0\n1\n0\n";
    static const char documents[] = "abc\0def\0ghi\0jkl\0mno\0pqr\0stu\0";
    static const char umlauts[] = "Die Stra\xdf"
                                  "e f\xfchrt \xfc"
                                  "ber die Br\xfc"
                                  "cke in das Dorf, und von dort weiter.";

    (void)state;
    expect_kind(letters, sizeof letters - 1, NULL);
    expect_kind(documents, sizeof documents - 1, NULL);
    expect_kind("one\0two\0", 8, NULL);
    expect_kind(umlauts, sizeof umlauts - 1, NULL);
    expect_kind("\n\n\n\n\n\n\n\n", 8, NULL);
    expect_kind("\xef\xbb\xbfmarked", 9, NULL);
    expect_kind("\xe4\xbd\xa0\xe5\xa5\xbd", 5, NULL); /* cut within a character */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(endings_of_other_kinds_are_refused_with_what_to_do),
        cmocka_unit_test(any_other_ending_is_text_or_jsonl),
        cmocka_unit_test(formats_are_known_by_their_first_bytes),
        cmocka_unit_test(texts_that_speak_of_formats_are_text),
        cmocka_unit_test(utf_16_and_32_are_named),
        cmocka_unit_test(other_encodings_and_binary_data_are_refused),
        cmocka_unit_test(bytes_0_lines_of_a_letter_and_few_wrong_bytes_are_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
