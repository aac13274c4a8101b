/* Room for the checkpoints of a run, on a disk with as many free bytes as a test says. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "base/log.h"
#include "checkpoint/fixture.h"
#include "checkpointing/space.h"

static int64_t free_now;
static char warning[1024];
static struct program program;
static int64_t one; /* bytes of a checkpoint, as checkpoint/partial.h wants them free */

static int64_t say_free(const struct file_system *fs, const char *folder)
{
    (void)fs;
    (void)folder;
    return free_now;
}

static void keep_warning(void *context, enum log_level level, const char *line)
{
    (void)context;
    if (level == LOG_WARNING)
        snprintf(warning, sizeof warning, "%s", line);
}

static int make_program(void **state)
{
    struct model_config model;
    struct state_dict list;
    struct error error;

    (void)state;
    log_set_sink(keep_warning, NULL);
    if (model_preset("gpt2-tiny", &model, &error) != STATUS_OK ||
        state_dict_of_model(&model, &program, &list, &error) != STATUS_OK)
        return -1;
    one = 65536;
    for (int64_t i = 0; i < list.count; i++)
        one += shape_elements(&list.forms[i].shape) * 4 +
               partial_bytes_beside(list.forms[i].name, shape_elements(&list.forms[i].shape) * 4);
    state_dict_finish(&list);
    return 0;
}

static int free_program(void **state)
{
    (void)state;
    program_finish(&program);
    log_set_sink(NULL, NULL);
    return 0;
}

/* The outcome of a run with the keys KEY, VALUE, ..., NULL where so many bytes are free. */
static int check(int64_t bytes, struct error *error, const char *const *words)
{
    struct file_system fs = file_system_real;
    struct config_flag flags[8];
    struct config_inputs inputs = {.flags = flags};
    struct resume resume = {.resumed = false};
    int status;

    for (; words[0] != NULL; words += 2)
        flags[inputs.flag_count++] = (struct config_flag){words[0], words[1]};
    if (config_load(&resume.config, &inputs, error) != STATUS_OK)
        fail_msg("%s", error->message);
    fs.free_bytes = say_free;
    free_now = bytes;
    warning[0] = '\0';
    status = space_check(&fs, &resume, "/nowhere/run", &program, error);
    config_finish(&resume.config);
    return status;
}

#define CHECK(bytes, error, ...) check(bytes, error, (const char *const[]){__VA_ARGS__, NULL})

static void one_checkpoint_has_to_fit(void **state)
{
    struct error error;

    (void)state;
    assert_int_equal(CHECK(one - 1, &error, "train.steps", "5", "checkpoint.every", "0"), STATUS_STORAGE);
    assert_non_null(strstr(error.message, "/nowhere/run/ckpt: a checkpoint needs"));
    assert_int_equal(CHECK(one, &error, "train.steps", "5", "checkpoint.every", "0"), STATUS_OK);
    assert_string_equal(warning, "");
}

static void a_run_that_goes_on_after_failed_saves_is_warned(void **state)
{
    struct error error;

    (void)state;
    assert_int_equal(CHECK(one - 1, &error, "train.steps", "5", "train.on_save_error", "continue"), STATUS_OK);
    assert_non_null(strstr(warning, "make room"));
}

/* The outcome for a run in `folder` that goes on after step `done` (-1: a new one), where no byte is free. */
static int check_resumed(const char *folder, int64_t done, const char *steps, const char *every, const char *keep,
                         int64_t bytes)
{
    const struct config_flag flags[] = {{"train.steps", steps}, {"checkpoint.every", every}, {"checkpoint.keep", keep}};
    const struct config_inputs inputs = {.flags = flags, .flag_count = 3};
    struct file_system fs = file_system_real;
    struct resume resume = {.resumed = done >= 0};
    struct error error;
    int status;

    assert_int_equal(config_load(&resume.config, &inputs, &error), STATUS_OK);
    assert_int_equal(checkpoint_state_set_integer(&resume.checkpoint.manifest.state, "step", done, &error), STATUS_OK);
    fs.free_bytes = say_free;
    free_now = bytes;
    warning[0] = '\0';
    status = space_check(&fs, &resume, folder, &program, &error);
    checkpoint_state_finish(&resume.checkpoint.manifest.state);
    config_finish(&resume.config);
    return status;
}

static void a_run_that_saves_nothing_more_needs_no_room(void **state)
{
    static const char *const every[] = {"0", "1", "3"};

    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(check_resumed("/nowhere/run", 10, "10", every[i], "3", 0), STATUS_OK);
        assert_int_equal(check_resumed("/nowhere/run", 11, "10", every[i], "3", 0), STATUS_OK);
        assert_int_equal(check_resumed("/nowhere/run", 9, "10", every[i], "3", 0), STATUS_STORAGE);
        assert_int_equal(check_resumed("/nowhere/run", -1, "10", every[i], "3", 0), STATUS_STORAGE);
    }
}

/* The path is refused where it is opened, with a sentence of its own. */
static void a_folder_with_too_long_a_path_is_not_looked_at(void **state)
{
    static char path[PATH_MAX];

    (void)state;
    memset(path, 'x', sizeof path - 1);
    assert_int_equal(check_resumed(path, -1, "10", "1", "3", 0), STATUS_OK);
}

/* Exactly `most` more fit without a warning. */
static void assert_more(const char *folder, int64_t done, const char *steps, const char *every, const char *keep,
                        int64_t most)
{
    char text[64];

    assert_int_equal(check_resumed(folder, done, steps, every, keep, most * one), STATUS_OK);
    assert_string_equal(warning, "");
    if (most == 1)
        return;
    assert_int_equal(check_resumed(folder, done, steps, every, keep, most * one - 1), STATUS_OK);
    snprintf(text, sizeof text, ": %lld more checkpoints of", (long long)most);
    if (strstr(warning, text) == NULL)
        fail_msg("wanted '%s', was told '%s'", text, warning);
}

/* By hand. Saved are the multiples of 3 and the last step. */
static void steps_that_are_done_are_not_saved_again(void **state)
{
    (void)state;
    assert_more("/nowhere/run", 2, "10", "3", "0", 4);  /* 3, 6, 9 and 10 */
    assert_more("/nowhere/run", 3, "10", "3", "0", 3);  /* 6, 9 and 10 */
    assert_more("/nowhere/run", 5, "10", "3", "0", 3);  /* 6, 9 and 10 */
    assert_more("/nowhere/run", 6, "9", "3", "0", 1);   /* 9 */
    assert_more("/nowhere/run", 9, "10", "3", "0", 1);  /* 10 */
    assert_more("/nowhere/run", 1, "10", "0", "0", 1);  /* 10 */
    assert_more("/nowhere/run", 0, "10", "10", "0", 1); /* 10 */
}

/* A folder with two checkpoints: of four that are kept two more have room beside them, and a third before one goes. */
static void checkpoints_that_are_there_take_part_in_what_is_kept(void **state)
{
    struct fixture *fixture;

    assert_int_equal(fixture_setup(state), 0);
    fixture = *state;
    fixture_save(fixture->ckpt, 1);
    fixture_save(fixture->ckpt, 2);
    assert_more(fixture->folder, 2, "1000", "1", "4", 3);
    assert_more(fixture->folder, 2, "1000", "1", "3", 2);
    assert_more(fixture->folder, 2, "1000", "1", "2", 1);
    assert_more(fixture->folder, 2, "1000", "1", "1", 1);
    assert_more(fixture->folder, 2, "5", "1", "0", 3); /* all */
    /* One that is not whole is none. */
    fixture_remove(fixture_path(fixture->ckpt, "step_00000002"));
    assert_more(fixture->folder, 2, "1000", "1", "3", 3);
    assert_int_equal(fixture_teardown(state), 0);
}

static char asked[16][PATH_MAX];
static int asked_count;
static const char *there;

/* Of all folders only `there` is. */
static int64_t say_free_there(const struct file_system *fs, const char *folder)
{
    (void)fs;
    snprintf(asked[asked_count++], PATH_MAX, "%s", folder);
    return strcmp(folder, there) == 0 ? 0 : -1;
}

/* Room is asked for in the lowest folder above the checkpoints that is there. */
static void room_is_that_of_the_folder_above_which_is_there(void **state)
{
    static const struct {
        const char *run, *there;
        int count;
    } cases[] = {{"run", "run/ckpt", 1}, {"run", "run", 2},     {"run", ".", 3},      {"/run", "/run", 2},
                 {"/run", "/", 3},       {"/a/b/run", "/a", 4}, {"/a/b/run", "/", 5}, {"a/b", "a", 3},
                 {"a/b", ".", 4},        {"/", "/", 2},         {"./a", ".", 3}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct config_flag flags[] = {{"train.steps", "5"}};
        const struct config_inputs inputs = {.flags = flags, .flag_count = 1};
        struct file_system fs = file_system_real;
        struct resume resume = {.resumed = false};
        struct error error;

        assert_int_equal(config_load(&resume.config, &inputs, &error), STATUS_OK);
        fs.free_bytes = say_free_there;
        there = cases[i].there;
        asked_count = 0;
        if (space_check(&fs, &resume, cases[i].run, &program, &error) != STATUS_STORAGE)
            fail_msg("%s: '%s' was not asked; the last was '%s'", cases[i].run, there, asked[asked_count - 1]);
        assert_int_equal(asked_count, cases[i].count);
        assert_string_equal(asked[asked_count - 1], there);
        config_finish(&resume.config);
    }
}

/* A checkpoint of this model is one file, smaller than 2 GiB; of GPT-2 large, 3 GB, a file holds 2 GiB. */
static void a_process_that_may_make_no_file_of_that_size_cannot_save(void **state)
{
    const int64_t shard = (int64_t)2 << 30;
    struct program small = program;
    struct model_config model;
    struct state_dict list;
    struct error error;
    struct rlimit before, limit;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit = before;
    for (int large = 0; large < 2; large++) {
        const int64_t most = large ? shard : one;
        int with, without;

        if (large) {
            assert_int_equal(model_preset("gpt2-large", &model, &error), STATUS_OK);
            assert_int_equal(state_dict_of_model(&model, &program, &list, &error), STATUS_OK);
            assert_true(list.bytes > shard);
            state_dict_finish(&list);
        }
        limit.rlim_cur = (rlim_t)most;
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
        with = check_resumed("/nowhere/run", -1, "5", "0", "3", -1);
        limit.rlim_cur = (rlim_t)most - 1;
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
        without = check_resumed("/nowhere/run", -1, "5", "0", "3", -1);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
        assert_int_equal(with, STATUS_OK);
        assert_int_equal(without, STATUS_STORAGE);
    }
    program_finish(&program);
    program = small;
}

static void what_is_not_known_is_no_problem(void **state)
{
    struct error error;

    (void)state;
    assert_int_equal(CHECK(-1, &error, "train.steps", "5"), STATUS_OK);
    assert_string_equal(warning, "");
}

/* Exactly `most` checkpoints fit without a warning, and one byte less is told. */
static void assert_most(int64_t most, const char *steps, const char *every, const char *keep)
{
    struct error error;
    char text[64];

    assert_int_equal(
        CHECK(most * one, &error, "train.steps", steps, "checkpoint.every", every, "checkpoint.keep", keep), STATUS_OK);
    assert_string_equal(warning, "");
    assert_int_equal(
        CHECK(most * one - 1, &error, "train.steps", steps, "checkpoint.every", every, "checkpoint.keep", keep),
        STATUS_OK);
    snprintf(text, sizeof text, "/nowhere/run/ckpt: %lld more checkpoints of %lld bytes", (long long)most,
             (long long)one);
    if (strstr(warning, text) == NULL)
        fail_msg("wanted '%s', was told '%s'", text, warning);
}

static void all_that_are_kept_are_counted_with_the_one_that_is_saved(void **state)
{
    (void)state;
    assert_most(4, "10", "3", "0");   /* 3, 6, 9 and 10 */
    assert_most(3, "9", "3", "0");    /* 3, 6 and 9 */
    assert_most(3, "1000", "1", "2"); /* two, and a third before the first goes */
    assert_most(2, "10", "5", "3");   /* no more than are saved */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_checkpoint_has_to_fit),
        cmocka_unit_test(a_run_that_goes_on_after_failed_saves_is_warned),
        cmocka_unit_test(what_is_not_known_is_no_problem),
        cmocka_unit_test(a_run_that_saves_nothing_more_needs_no_room),
        cmocka_unit_test(a_folder_with_too_long_a_path_is_not_looked_at),
        cmocka_unit_test(steps_that_are_done_are_not_saved_again),
        cmocka_unit_test(checkpoints_that_are_there_take_part_in_what_is_kept),
        cmocka_unit_test(room_is_that_of_the_folder_above_which_is_there),
        cmocka_unit_test(a_process_that_may_make_no_file_of_that_size_cannot_save),
        cmocka_unit_test(all_that_are_kept_are_counted_with_the_one_that_is_saved),
    };

    return cmocka_run_group_tests(tests, make_program, free_program);
}
