/* What a run is compared with when it is resumed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "checkpoint/rank_threads.h"
#include "checkpoint/save.h"
#include "checkpointing/resume.h"
#include "checkpointing/saver.h"
#include "config/keys.h"
#include "engine/stored_model.h"
#include "scratch.h"

static char folder[256];

static int set_up(void **state)
{
    (void)state;
    return scratch_make(folder, sizeof folder) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    return scratch_remove(folder);
}

/* A checkpoint of step 1 with this config and a tensor. */
static void save(const char *config)
{
    const float zero = 0;
    const void *const data[] = {&zero};
    const struct safetensors_form forms[] = {{.name = "a", .dtype = LLMRUN_F32, .shape = {1, {1}}}};
    const struct checkpoint_blob files[] = {{STORED_CONFIG_NAME, config, (int64_t)strlen(config)}};
    struct checkpoint_state described = {0};
    char path[300];
    const struct checkpoint_snapshot snapshot = {
        .target = {.fs = &file_system_real, .folder = path, .step = 1, .run_id = "run"},
        .forms = forms,
        .data = data,
        .count = 1,
        .files = files,
        .file_count = 1,
        .state = &described,
    };
    struct error error = {0};

    snprintf(path, sizeof path, "%s/%s", folder, SAVER_FOLDER);
    if (checkpoint_save(&snapshot, NULL, &error) != STATUS_OK)
        fail_msg("%s", error.message);
}

/* Resumes with data.special as `flag`, NULL for not given. */
static int resume(const char *flag, enum config_data_special *special, struct error *error)
{
    const struct config_flag flags[] = {{"data.special", flag}};
    const struct config_inputs inputs = {.flags = flags, .flag_count = flag != NULL};
    struct config config;
    struct resume resume = {0};
    int status;

    assert_int_equal(config_load(&config, &inputs, error), STATUS_OK);
    status = resume_find(&resume, &file_system_real, &config, folder, NULL, error);
    *special = resume.config.data.special;
    if (status == STATUS_OK)
        assert_true(resume.resumed);
    resume_close(&resume);
    config_finish(&config);
    return status;
}

static void a_run_of_a_version_without_data_special_goes_on_without_special_tokens(void **state)
{
    enum config_data_special special;
    struct error error = {0};

    (void)state;
    save("data: {mask: none}\n");
    assert_int_equal(resume(NULL, &special, &error), STATUS_OK);
    assert_int_equal(special, CONFIG_SPECIAL_TEXT);
    assert_int_equal(resume("text", &special, &error), STATUS_OK);
    assert_int_equal(resume("auto", &special, &error), STATUS_USAGE);
    assert_non_null(strstr(error.message, "data.special is auto, but the run to resume has text"));
}

static void data_special_that_nobody_sets_is_what_the_run_began_with(void **state)
{
    enum config_data_special special;
    struct error error = {0};

    (void)state;
    save("data: {special: find}\n");
    assert_int_equal(resume(NULL, &special, &error), STATUS_OK);
    assert_int_equal(special, CONFIG_SPECIAL_FIND);
    assert_int_equal(resume("text", &special, &error), STATUS_USAGE);
    assert_non_null(strstr(error.message, "data.special is text, but the run to resume has find"));
}

/* Where to begin, as run.resume says. */
static int find(const char *run_folder, const char *from, bool *resumed, struct error *error)
{
    const struct config_flag flags[] = {{"run.resume", from}};
    const struct config_inputs inputs = {.flags = flags, .flag_count = 1};
    struct config config;
    struct resume resume = {0};
    int status;

    assert_int_equal(config_load(&config, &inputs, error), STATUS_OK);
    status = resume_find(&resume, &file_system_real, &config, run_folder, NULL, error);
    *resumed = resume.resumed;
    if (status == STATUS_OK && resume.resumed)
        assert_int_equal(resume.checkpoint.manifest.step, 1);
    resume_close(&resume);
    config_finish(&config);
    return status;
}

static void a_run_goes_on_from_what_is_asked_for(void **state)
{
    char path[300], nowhere[300];
    struct error error = {0};
    bool resumed;

    (void)state;
    snprintf(nowhere, sizeof nowhere, "%s/other", folder);
    snprintf(path, sizeof path, "%s/%s/step_00000001", folder, SAVER_FOLDER);
    assert_int_equal(find(folder, "none", &resumed, &error), STATUS_OK);
    assert_false(resumed);
    assert_int_equal(find(folder, "auto", &resumed, &error), STATUS_OK);
    assert_false(resumed);
    save("data: {mask: none}\n");
    assert_int_equal(find(folder, "auto", &resumed, &error), STATUS_OK);
    assert_true(resumed);
    assert_int_equal(find(folder, "none", &resumed, &error), STATUS_USAGE);
    assert_non_null(strstr(error.message, "run.resume is none, and "));
    assert_non_null(strstr(error.message, path));
    /* By its name it is found from anywhere. */
    assert_int_equal(find(nowhere, "auto", &resumed, &error), STATUS_OK);
    assert_false(resumed);
    assert_int_equal(find(nowhere, "none", &resumed, &error), STATUS_OK);
    assert_false(resumed);
    assert_int_equal(find(nowhere, path, &resumed, &error), STATUS_OK);
    assert_true(resumed);
    assert_int_equal(find(nowhere, nowhere, &resumed, &error), STATUS_INPUT);
}

/* What a stored config says wrong names the checkpoint; what a flag above it says wrong does not. */
static void a_sentence_about_a_stored_config_begins_with_its_checkpoint(void **state)
{
    const struct config_flag flags[] = {{"train.steps", "many"}};
    const struct config_inputs above = {.flags = flags, .flag_count = 1};
    struct checkpoint checkpoint;
    struct config config;
    struct error error = {0};
    char wanted[400];
    bool resumed;

    (void)state;
    save("data: {mask: all}\n");
    snprintf(wanted, sizeof wanted, "%s/%s/step_00000001: %s", folder, SAVER_FOLDER, STORED_CONFIG_NAME);
    assert_int_not_equal(find(folder, "auto", &resumed, &error), STATUS_OK);
    assert_int_equal(strncmp(error.message, wanted, strlen(wanted)), 0);
    assert_int_equal(tear_down(NULL), 0);
    assert_int_equal(set_up(NULL), 0);
    save("data: {mask: none}\n");
    snprintf(wanted, sizeof wanted, "%s/%s/step_00000001", folder, SAVER_FOLDER);
    assert_int_equal(checkpoint_open(&file_system_real, wanted, &checkpoint, &error), STATUS_OK);
    assert_int_not_equal(stored_model_read_config(&checkpoint, &above, &config, &error), STATUS_OK);
    assert_null(strstr(error.message, folder));
    assert_non_null(strstr(error.message, "train.steps"));
    checkpoint_close(&checkpoint);
}

static const char *folders[RANKS_MOST]; /* of the run, as each rank sees it */

static int find_on_rank(struct rank_thread *rank, struct error *error)
{
    struct config config;
    struct resume resume = {0};
    int status = config_load(&config, rank->task, error);

    if (status != STATUS_OK)
        return status;
    status = resume_find(&resume, &file_system_real, &config, folders[rank->ranks.rank], &rank->ranks, error);
    if (status == STATUS_OK && (!resume.resumed || resume.checkpoint.manifest.step != 1))
        status = error_set(error, STATUS_BUG, "found nothing");
    resume_close(&resume);
    config_finish(&config);
    return status;
}

static void expect_on_ranks(const struct config_inputs *inputs, const struct config_inputs *of_rank_2, int status,
                            const char *sentence)
{
    struct rank_threads group;

    rank_threads_init(&group, 3);
    for (int r = 0; r < 3; r++)
        group.threads[r].task = r == 2 ? of_rank_2 : inputs;
    rank_threads_run(&group, find_on_rank);
    for (int r = 0; r < 3; r++) {
        if (group.threads[r].status != status)
            fail_msg("rank %d: %d, %s", r, group.threads[r].status, group.threads[r].error.message);
        assert_non_null(strstr(group.threads[r].error.message, sentence));
    }
    rank_threads_finish(&group);
}

/* The others need not see what rank 0 looked at: only the checkpoint that it found. */
static void ranks_go_on_from_the_checkpoint_that_rank_0_found(void **state)
{
    const struct config_inputs inputs = {.flag_count = 0};

    (void)state;
    save("data: {special: find}\n");
    folders[0] = folder;
    folders[1] = folders[2] = "/nowhere";
    expect_on_ranks(&inputs, &inputs, STATUS_OK, "");
}

static void what_one_rank_finds_wrong_ends_all(void **state)
{
    const struct config_flag flags[] = {{"data.special", "text"}};
    const struct config_inputs inputs = {.flag_count = 0}, other = {.flags = flags, .flag_count = 1};

    (void)state;
    save("data: {special: find}\n");
    folders[0] = folders[1] = folders[2] = folder;
    expect_on_ranks(&inputs, &other, STATUS_USAGE, "rank 2: data.special is text, but the run to resume has find");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_run_of_a_version_without_data_special_goes_on_without_special_tokens, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_run_goes_on_from_what_is_asked_for, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_sentence_about_a_stored_config_begins_with_its_checkpoint, set_up, tear_down),
        cmocka_unit_test_setup_teardown(ranks_go_on_from_the_checkpoint_that_rank_0_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_one_rank_finds_wrong_ends_all, set_up, tear_down),
        cmocka_unit_test_setup_teardown(data_special_that_nobody_sets_is_what_the_run_began_with, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
