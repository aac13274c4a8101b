/* Where generation stops by a Hugging Face directory: which file decides, and what is refused. That
 * generation_config.json comes before config.json, and that an id may stand alone or in a list, is what transformers
 * 5.23.0 does (tests/golden/hf_roundtrip.py). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "huggingface/directory.h"
#include "huggingface/stop_ids.h"

static void write_file(const char *folder, const char *name, const char *text)
{
    char path[256];
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

/* The ids of a folder with these files (NULL: without) as "2 64". */
static void assert_stops(const char *generation, const char *config, const char *wanted)
{
    char folder[] = "stop_ids.XXXXXX", found[200] = "", path[256];
    struct hf_stop_ids ids;
    struct error error = {0};

    assert_non_null(mkdtemp(folder));
    if (generation != NULL)
        write_file(folder, HF_GENERATION_NAME, generation);
    if (config != NULL)
        write_file(folder, HF_CONFIG_NAME, config);
    if (hf_stop_ids_read(&file_system_real, folder, 100, &ids, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    for (int64_t i = 0; i < ids.count; i++)
        snprintf(found + strlen(found), sizeof found - strlen(found), i > 0 ? " %d" : "%d", ids.ids[i]);
    assert_string_equal(found, wanted);
    hf_stop_ids_finish(&ids);
    snprintf(path, sizeof path, "%s/%s", folder, HF_GENERATION_NAME);
    unlink(path);
    snprintf(path, sizeof path, "%s/%s", folder, HF_CONFIG_NAME);
    unlink(path);
    rmdir(folder);
}

static void assert_refused(const char *text, const char *part)
{
    struct hf_stop_ids ids;
    struct error error = {0};
    bool named;

    assert_int_equal(hf_stop_ids_parse(text, (int64_t)strlen(text), "m/file.json", 100, &ids, &named, &error),
                     STATUS_INPUT);
    assert_int_equal(error.status, STATUS_INPUT);
    if (strstr(error.message, part) == NULL || strncmp(error.message, "m/file.json", 11) != 0)
        fail_msg("'%s' has no '%s'", error.message, part);
    assert_null(ids.ids);
}

static void an_id_or_a_list_of_ids_is_read(void **state)
{
    (void)state;
    assert_stops("{\"eos_token_id\": 64}", "{\"eos_token_id\": 2}", "64");
    assert_stops("{\"bos_token_id\": 1, \"eos_token_id\": [2, 64, 99], \"top_p\": 0.9}", "{}", "2 64 99");
    assert_stops("{\"eos_token_id\": []}", "{\"eos_token_id\": 2}", "");
    assert_stops("{\"eos_token_id\": 0}", NULL, "0");
}

static void config_json_names_them_where_generation_config_json_does_not(void **state)
{
    (void)state;
    assert_stops(NULL, "{\"eos_token_id\": 2}", "2");
    assert_stops(NULL, "{\"eos_token_id\": [2, 3]}", "2 3");
    assert_stops("{\"_from_model_config\": true}", "{\"eos_token_id\": 2}", "2");
    assert_stops("{\"eos_token_id\": null}", "{\"eos_token_id\": 2}", "2");
    assert_stops("{}", "{\"eos_token_id\": null}", "");
    assert_stops("{}", "{}", "");
    assert_stops(NULL, NULL, "");
}

/* GPT2Config(vocab_size=100) leaves 50256 in both files; transformers 5.24.0 generates with it. */
static void ids_that_no_token_of_the_model_has_are_passed_over(void **state)
{
    (void)state;
    assert_stops("{\"eos_token_id\": 50256}", "{\"eos_token_id\": 50256}", "");
    assert_stops("{\"eos_token_id\": 100}", "{\"eos_token_id\": 2}", "");
    assert_stops("{\"eos_token_id\": [-1, 2, 4294967298]}", NULL, "2");
    assert_stops(NULL, "{\"eos_token_id\": 100}", "");
}

static void what_is_no_id_is_refused(void **state)
{
    (void)state;
    assert_refused("{\"eos_token_id\": \"2\"}", "wrong type");
    assert_refused("{\"eos_token_id\": 2.0}", "wrong type");
    assert_refused("{\"eos_token_id\": true}", "wrong type");
    assert_refused("{\"eos_token_id\": {\"id\": 2}}", "wrong type");
    assert_refused("{\"eos_token_id\": [2, [3]]}", "wrong type");
    assert_refused("{\"eos_token_id\": [2, null]}", "wrong type");
    assert_refused("{\"eos_token_id\": 2", "not valid JSON");
    assert_refused("{\"eos_token_id\": 2, \"eos_token_id\": 3}", "not valid JSON");
    assert_refused("{\"eos_token_id\": 99999999999999999999}", "not valid JSON");
    assert_refused("[2]", "no object");
    assert_refused("", "not valid JSON");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_id_or_a_list_of_ids_is_read),
        cmocka_unit_test(config_json_names_them_where_generation_config_json_does_not),
        cmocka_unit_test(ids_that_no_token_of_the_model_has_are_passed_over),
        cmocka_unit_test(what_is_no_id_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
