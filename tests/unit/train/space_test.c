/* Room for the checkpoints of a run, on a disk with as many free bytes as a test says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "train/space.h"

static int64_t free_now;
static char warning[1024];
static struct program program;
static int64_t one; /* bytes of a checkpoint, as checkpoint/writer.c wants them free */

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
    struct weight_list list;
    struct error error;

    (void)state;
    log_set_sink(keep_warning, NULL);
    if (model_preset("gpt2-tiny", &model, &error) != STATUS_OK ||
        weight_list_of_model(&model, &program, &list, &error) != STATUS_OK)
        return -1;
    one = 65536;
    for (int64_t i = 0; i < list.count; i++)
        one += shape_elements(&list.forms[i].shape) * 4 + 600 + (int64_t)strlen(list.forms[i].name);
    weight_list_free(&list);
    return 0;
}

static int free_program(void **state)
{
    (void)state;
    program_free(&program);
    log_set_sink(NULL, NULL);
    return 0;
}

/* The outcome of a run with the keys KEY, VALUE, ..., NULL where so many bytes are free. */
static int check(int64_t bytes, struct error *error, const char *const *words)
{
    struct file_system fs = file_system_real;
    struct config_flag flags[8];
    struct config_inputs inputs = {.flags = flags};
    struct origin origin = {.resumed = false};
    int status;

    for (; words[0] != NULL; words += 2)
        flags[inputs.flag_count++] = (struct config_flag){words[0], words[1]};
    if (config_load(&origin.config, &inputs, error) != STATUS_OK)
        fail_msg("%s", error->message);
    fs.free_bytes = say_free;
    free_now = bytes;
    warning[0] = '\0';
    status = space_check(&fs, &origin, "/nowhere/run", &program, error);
    config_free(&origin.config);
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
        cmocka_unit_test(all_that_are_kept_are_counted_with_the_one_that_is_saved),
    };

    return cmocka_run_group_tests(tests, make_program, free_program);
}
