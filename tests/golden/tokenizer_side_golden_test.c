/* Folders with files beside the vocabulary, as AutoTokenizer of transformers reads them (make_side_files.py): the same
 * ids, or a refusal that names the file. With another file of that kind as argument: that one. */
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "tokenizer/tokenizer.h"

#define GOLDEN LLMRUN_SOURCE_DIR "/tests/golden/tokenizer_side.jsonl"
#define CASES  300
#define READ   130 /* of them; the others are refused */

static const char *golden = GOLDEN;

enum form { DATA, SPECIAL, PROMPT, FORMS };

static const char *const form_names[FORMS] = {"data", "special", "prompt"};

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status, (void)type, (void)walk;
    return remove(path);
}

static void write_files(const char *folder, json_t *files)
{
    const char *name;
    json_t *value;

    json_object_foreach(files, name, value)
    {
        char path[512], *text = json_is_string(value) ? NULL : json_dumps(value, JSON_ENCODE_ANY);
        FILE *file;

        snprintf(path, sizeof path, "%s/%s", folder, name);
        file = fopen(path, "wb");
        assert_non_null(file);
        assert_true(fputs(text != NULL ? text : json_string_value(value), file) >= 0);
        assert_int_equal(fclose(file), 0);
        free(text);
    }
}

static uint64_t add_id(uint64_t hash, int32_t id)
{
    int shift;

    for (shift = 0; shift < 32; shift += 8)
        hash = (hash ^ (unsigned char)((uint32_t)id >> shift)) * 0x100000001B3ull;
    return hash;
}

static int encode(const struct tokenizer *tokenizer, enum form form, const char *text, struct token_list *ids)
{
    const int64_t bytes = (int64_t)strlen(text);

    if (form == PROMPT)
        return tokenizer_encode_prompt(tokenizer, text, bytes, true, ids, NULL);
    return form == SPECIAL ? tokenizer_encode_special(tokenizer, text, bytes, ids, NULL)
                           : tokenizer_encode(tokenizer, text, bytes, ids, NULL);
}

static void compare(const struct tokenizer *tokenizer, json_t *row, enum form form, int line)
{
    json_t *texts = json_object_get(row, "texts");
    uint64_t hash = 0xCBF29CE484222325ull;
    char found[20];
    size_t index;
    int64_t place;

    for (index = 0; index < json_array_size(texts); index++) {
        struct token_list ids = {0};

        assert_int_equal(encode(tokenizer, form, json_string_value(json_array_get(texts, index)), &ids), STATUS_OK);
        for (place = 0; place < ids.count; place++)
            hash = add_id(hash, ids.ids[place]);
        hash = add_id(hash, -1);
        free(ids.ids);
    }
    snprintf(found, sizeof found, "%016llx", (unsigned long long)hash);
    if (strcmp(found, json_string_value(json_object_get(row, form_names[form]))) != 0)
        fail_msg("line %d: other ids (%s) than those of transformers", line, form_names[form]);
}

/* True when the folder is read. */
static bool try_folder(json_t *bases, json_t *row, int line)
{
    const char *parent = getenv("TMPDIR");
    struct tokenizer *tokenizer = NULL;
    struct error error = {0};
    char folder[256];
    int form, result;

    snprintf(folder, sizeof folder, "%s/llmrun-side-XXXXXX", parent != NULL ? parent : "/tmp");
    assert_non_null(mkdtemp(folder));
    write_files(folder, json_object_get(bases, json_string_value(json_object_get(row, "base"))));
    write_files(folder, json_object_get(row, "files"));
    result = tokenizer_open(folder, &tokenizer, &error);
    nftw(folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    if (result == STATUS_OK) {
        if (tokenizer_vocabulary(tokenizer) != json_integer_value(json_object_get(row, "vocabulary")))
            fail_msg("line %d: a vocabulary of %d", line, tokenizer_vocabulary(tokenizer));
        for (form = DATA; form < FORMS; form++)
            compare(tokenizer, row, (enum form)form, line);
    } else if (result != STATUS_INPUT || strncmp(error.message, folder, strlen(folder)) != 0 ||
               strstr(error.message, ".json: ") == NULL || strchr(error.message, '\'') == NULL) {
        fail_msg("line %d: %s", line, error.message);
    }
    tokenizer_close(tokenizer);
    return result == STATUS_OK;
}

static void ids_are_those_of_autotokenizer_or_the_folder_is_refused(void **state)
{
    FILE *file = fopen(golden, "rb");
    json_t *bases = NULL, *head = NULL;
    char *line = NULL;
    size_t capacity = 0;
    int number = 0, read = 0;

    (void)state;
    assert_non_null(file);
    while (getline(&line, &capacity, file) > 0) {
        json_t *row = json_loads(line, 0, NULL);

        assert_non_null(row);
        number++;
        if (number == 1) {
            head = row;
            bases = json_object_get(head, "bases");
            continue;
        }
        read += try_folder(bases, row, number);
        json_decref(row);
    }
    print_message("%d folders, %d of them read\n", number - 1, read);
    if (strcmp(golden, GOLDEN) == 0) {
        assert_int_equal(number - 1, CASES);
        assert_int_equal(read, READ);
    }
    json_decref(head);
    free(line);
    fclose(file);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(ids_are_those_of_autotokenizer_or_the_folder_is_refused)};

    if (argc > 1)
        golden = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
