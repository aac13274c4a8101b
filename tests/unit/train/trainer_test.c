/* Whole runs of a tiny model, on files that fail as ordered. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "quiet.h"
#include "scratch.h"
#include "train/trainer.h"

static char folder[256];
static char said[4096];

/* What fails: renames to a path that ends with `name`, from the first to the last of them. */
static struct {
    const char *name;
    int first, last;
    atomic_int renames;
    const char *closes; /* name of a file whose close fails */
    int handle;         /* of that file */
} order;

static bool ends_with(const char *text, const char *end)
{
    const size_t length = strlen(text), wanted = strlen(end);

    return length >= wanted && strcmp(text + length - wanted, end) == 0;
}

static int ordered_rename(const struct file_system *fs, const char *from, const char *to)
{
    int rename;

    if (order.name == NULL || !ends_with(to, order.name))
        return file_system_real.rename(fs, from, to);
    rename = atomic_fetch_add(&order.renames, 1) + 1;
    return rename >= order.first && rename <= order.last ? -ENOSPC : file_system_real.rename(fs, from, to);
}

static int ordered_open(const struct file_system *fs, const char *path, enum file_mode mode)
{
    const int handle = file_system_real.open(fs, path, mode);

    if (order.closes != NULL && mode == FILE_CREATE && ends_with(path, order.closes))
        order.handle = handle;
    return handle;
}

static int ordered_close(const struct file_system *fs, int handle)
{
    const int result = file_system_real.close(fs, handle);

    return order.closes != NULL && handle == order.handle ? -EIO : result;
}

static int no_sync(const struct file_system *fs, int handle)
{
    (void)fs, (void)handle;
    return 0;
}

static int no_sync_folder(const struct file_system *fs, const char *path)
{
    (void)fs, (void)path;
    return 0;
}

static void hear(void *context, enum log_level level, const char *line)
{
    const size_t length = strlen(said);

    (void)context;
    if (level == LOG_WARNING)
        snprintf(said + length, sizeof said - length, "%s\n", line);
}

static int set_up(void **state)
{
    (void)state;
    memset(&order, 0, sizeof order);
    order.handle = -1;
    said[0] = '\0';
    log_set_sink(hear, NULL);
    return scratch_make(folder, sizeof folder) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    log_set_sink(NULL, NULL);
    return scratch_remove(folder);
}

static void stop_at(void *context, const struct trainer *trainer, const struct step_metrics *step)
{
    (void)trainer;
    if (step->step == *(const int64_t *)context)
        raise_quietly(SIGTERM);
}

/* Operations of the products of a step, by hand: 16 tokens of a model of one layer, 16 wide, with 256 tokens, and twice
 * as many for the gradients. */
#define PRODUCTS (3 * 2.0 * 16 * (16 * 48 + 16 * 16 + 2 * 16 * 64 + 16 * 256))
#define PEAK     1e9

/* In place of the step at which a run is asked to stop: its steps are measured, against no peak of the device or one.
 */
enum { WITHOUT_PEAK = -1, MEASURED = -2, MEASURED_BF16 = -3 };

static int measured;

static void set_peak(void *context, const struct trainer *trainer)
{
    (void)context;
    trainer_engine(trainer)->chosen.device->info.flops_f32 = PEAK;
    trainer_engine(trainer)->chosen.device->info.flops_bf16 = 2 * PEAK;
}

static bool near(double a, double b)
{
    return a > b * (1 - 1e-9) && a < b * (1 + 1e-9);
}

static void measure(void *context, const struct trainer *trainer, const struct step_metrics *step)
{
    const double peak = *(const double *)context, seconds = step->step_ms * 1e-3;

    (void)trainer;
    assert_true(seconds > 0 && seconds < 100);
    assert_int_equal(step->step_tokens, 2 * 8);
    assert_true(near(step->tokens_per_s * seconds, 16));
    assert_true(near(step->trained_tokens_per_s * seconds, (double)step->trained_tokens));
    if (peak == 0)
        assert_true(step->mfu == -1);
    else /* attention adds a little */
        assert_true(step->mfu * seconds * peak >= PRODUCTS && step->mfu * seconds * peak < 1.05 * PRODUCTS);
    measured++;
}

/* A run with the keys KEY, VALUE, ..., NULL that is asked to stop when step `last` (0: it is not) is told. Where that
 * step is not saved, the one behind it has been submitted by then. */
static int train(const char *run_folder, int64_t last, struct error *error, const char *const *words)
{
    static const char text[] =
        "One day a small model learnt to write, a letter at a time, and then it wrote this text.";
    struct config_flag flags[24] = {{"run.backend", "cpu"},
                                    {"run.threads", "1"},
                                    {"run.dir", run_folder},
                                    {"model.preset", "demo"},
                                    {"model.overrides", "{n_layer: 1, n_embd: 16, n_head: 2, n_positions: 8}"},
                                    {"train.global_batch", "2"},
                                    {"train.eval_every", "0"}};
    struct config_inputs inputs = {.flags = flags, .flag_count = 7};
    struct file_system fs = file_system_real;
    struct trainer_options options = {
        .builtin = text, .builtin_bytes = sizeof text - 1, .fs = &fs, .clock = &clock_system};
    struct trainer *trainer = NULL;
    struct config config;
    double peak = last == MEASURED ? PEAK : last == MEASURED_BF16 ? 2 * PEAK : 0;
    int status;

    for (; words[0] != NULL; words += 2)
        flags[inputs.flag_count++] = (struct config_flag){words[0], words[1]};
    if (config_load(&config, &inputs, error) != STATUS_OK)
        fail_msg("%s", error->message);
    fs.rename = ordered_rename;
    fs.open = ordered_open;
    fs.close = ordered_close;
    fs.sync = no_sync;
    fs.sync_folder = no_sync_folder;
    options.config = &config;
    if (last < 0) {
        options.observer.context = &peak;
        options.observer.started = peak > 0 ? set_peak : NULL;
        options.observer.step = measure;
    }
    if (last > 0) {
        options.observer.context = &last;
        options.observer.step = stop_at;
    }
    status = trainer_create(&options, &trainer, error);
    if (status == STATUS_OK)
        status = trainer_run(trainer, error);
    trainer_destroy(trainer);
    config_finish(&config);
    return status;
}

#define TRAIN(last, error, ...) train(folder, last, error, (const char *const[]){__VA_ARGS__, NULL})

/* Whether a checkpoint of the step is there. */
static bool is_saved(int64_t step)
{
    char path[PATH_MAX];

    snprintf(path, sizeof path, "%s/ckpt/step_%08lld/manifest.json", folder, (long long)step);
    return access(path, F_OK) == 0;
}

static void assert_says(const struct error *error, const char *part)
{
    if (strstr(error->message, part) == NULL)
        fail_msg("'%s' has no '%s'", error->message, part);
}

static void fail_saves(const char *name, int first, int last)
{
    order.name = name;
    order.first = first;
    order.last = last;
}

/* Events of metrics.jsonl of this kind and step. */
static int events(const char *event, int64_t step)
{
    char path[PATH_MAX], line[4096], wanted[100];
    FILE *file;
    int found = 0;

    snprintf(path, sizeof path, "%s/metrics.jsonl", folder);
    snprintf(wanted, sizeof wanted, "{\"event\":\"%s\",\"step\":%lld", event, (long long)step);
    file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL)
        found += strncmp(line, wanted, strlen(wanted)) == 0 && strchr(",}", line[strlen(wanted)]) != NULL;
    fclose(file);
    return found;
}

static void a_save_that_failed_is_tried_again_where_the_run_stops_at_that_step(void **state)
{
    struct error error = {0};

    (void)state;
    for (int async = 0; async < 2; async++) {
        fail_saves("step_00000004", 1, 1);
        assert_int_equal(TRAIN(4, &error, "checkpoint.every", "4", "checkpoint.async", async ? "true" : "false",
                               "train.on_save_error", "continue"),
                         STATUS_STOPPED);
        assert_says(&error, "stopped by SIGTERM after step 4; the checkpoint is saved");
        assert_int_equal(order.renames, 2);
        assert_true(is_saved(4));
        assert_non_null(strstr(said, "the checkpoint of step 4 could not be saved, training goes on: "));
        assert_int_equal(events("save_error", 4), 1);
        assert_int_equal(events("checkpoint", 4), 1);
        assert_int_equal(tear_down(NULL), 0);
        assert_int_equal(set_up(NULL), 0);
    }
}

/* The same step is not saved twice. */
static void a_run_that_stops_where_it_has_just_saved_saves_nothing_more(void **state)
{
    struct error error = {0};

    (void)state;
    for (int async = 0; async < 2; async++) {
        fail_saves("step_00000004", 2, 100);
        assert_int_equal(TRAIN(4, &error, "checkpoint.every", "4", "checkpoint.async", async ? "true" : "false"),
                         STATUS_STOPPED);
        assert_int_equal(order.renames, 1);
        assert_true(is_saved(4));
        assert_int_equal(events("checkpoint", 4), 1);
        assert_int_equal(tear_down(NULL), 0);
        assert_int_equal(set_up(NULL), 0);
    }
}

static void a_stop_whose_checkpoint_cannot_be_saved_is_no_stop_on_request(void **state)
{
    static const char *const answers[] = {"stop", "continue"};
    struct error error = {0};

    (void)state;
    for (int async = 0; async < 2; async++)
        for (int answer = 0; answer < 2; answer++) {
            fail_saves("step_00000004", 1, 100);
            assert_int_equal(
                TRAIN(3, &error, "checkpoint.async", async ? "true" : "false", "train.on_save_error", answers[answer]),
                STATUS_STORAGE);
            assert_says(&error, "No space left on device");
            assert_false(is_saved(4));
            assert_int_equal(events("stop", 4), 1);
            assert_int_equal(events("checkpoint", 4), 0);
            assert_int_equal(events("save_error", 4), answer);
            assert_int_equal(tear_down(NULL), 0);
            assert_int_equal(set_up(NULL), 0);
        }
}

/* Which of the saves failed decides: the newest one does. */
static void a_run_fails_where_its_newest_save_failed(void **state)
{
    struct error error = {0};

    (void)state;
    for (int async = 0; async < 2; async++) {
        fail_saves("step_00000002", 1, 1);
        assert_int_equal(TRAIN(0, &error, "train.steps", "4", "checkpoint.every", "2", "checkpoint.async",
                               async ? "true" : "false", "train.on_save_error", "continue"),
                         STATUS_OK);
        assert_true(!is_saved(2) && is_saved(4));
        assert_int_equal(tear_down(NULL), 0);
        assert_int_equal(set_up(NULL), 0);
        fail_saves("step_00000004", 1, 1);
        assert_int_equal(TRAIN(0, &error, "train.steps", "4", "checkpoint.every", "2", "checkpoint.async",
                               async ? "true" : "false", "train.on_save_error", "continue"),
                         STATUS_STORAGE);
        assert_true(is_saved(2) && !is_saved(4));
        assert_int_equal(tear_down(NULL), 0);
        assert_int_equal(set_up(NULL), 0);
    }
}

/* A learning rate that leaves no number finite by step 2 or a little later. */
#define WILD "train.steps", "20", "optim.lr", "1e30", "optim.clip", "0", "optim.warmup", "0", "optim.decay", "constant"

static void last_good_weights_that_cannot_be_saved_are_told_with_why(void **state)
{
    struct error error = {0};

    (void)state;
    for (int async = 0; async < 2; async++) {
        long long step = 0;
        char wanted[500];

        assert_int_equal(TRAIN(0, &error, WILD, "checkpoint.async", async ? "true" : "false"), STATUS_NONFINITE);
        assert_int_equal(sscanf(error.message, "step %lld:", &step), 1);
        assert_true(step > 1 && is_saved(step - 1));
        snprintf(wanted, sizeof wanted, " are not finite; the weights are those of step %lld, saved in %s/ckpt/",
                 step - 1, folder);
        assert_says(&error, wanted);
        assert_int_equal(tear_down(NULL), 0);
        assert_int_equal(set_up(NULL), 0);
        snprintf(wanted, sizeof wanted, "step_%08lld", step - 1);
        fail_saves(wanted, 1, 100);
        assert_int_equal(TRAIN(0, &error, WILD, "checkpoint.async", async ? "true" : "false"), STATUS_NONFINITE);
        assert_false(is_saved(step - 1));
        snprintf(wanted, sizeof wanted,
                 " are not finite; the weights are those of step %lld, and could not be saved: ", step - 1);
        assert_says(&error, wanted);
        assert_says(&error, "No space left on device");
        assert_int_equal(tear_down(NULL), 0);
        assert_int_equal(set_up(NULL), 0);
    }
}

static void rates_and_shares_of_the_peak_follow_from_the_time_of_a_step(void **state)
{
    static const char *const ways[][4] = {{"train.micro_batch", "2", "parallel.recompute", "none"},
                                          {"train.micro_batch", "1", "parallel.recompute", "none"},
                                          {"train.micro_batch", "2", "parallel.recompute", "full"},
                                          {"train.micro_batch", "1", "precision.compute", "bf16"},
                                          {"train.micro_batch", "2", "parallel.recompute", "none"}};
    static const int64_t peaks[] = {MEASURED, MEASURED, MEASURED, MEASURED_BF16, WITHOUT_PEAK};
    struct error error = {0};

    (void)state;
    for (int i = 0; i < 5; i++) {
        measured = 0;
        assert_int_equal(TRAIN(peaks[i], &error, "train.steps", "3", ways[i][0], ways[i][1], ways[i][2], ways[i][3]),
                         STATUS_OK);
        assert_int_equal(measured, 3);
        assert_int_equal(tear_down(NULL), 0);
        assert_int_equal(set_up(NULL), 0);
    }
}

/* A member of the first event of this kind in metrics.jsonl. */
static double member(const char *event, const char *name)
{
    char path[PATH_MAX], line[4096], wanted[100];
    double number = -1;
    FILE *file;

    snprintf(path, sizeof path, "%s/metrics.jsonl", folder);
    file = fopen(path, "r");
    assert_non_null(file);
    while (number < 0 && fgets(line, sizeof line, file) != NULL) {
        const char *at;

        snprintf(wanted, sizeof wanted, "{\"event\":\"%s\"", event);
        if (strncmp(line, wanted, strlen(wanted)) != 0)
            continue;
        snprintf(wanted, sizeof wanted, "\"%s\":", name);
        at = strstr(line, wanted);
        assert_non_null(at);
        number = strtod(at + strlen(wanted), NULL);
    }
    fclose(file);
    return number;
}

/* No save of some kilobytes takes a minute, and none no time. */
static void the_times_of_a_save_are_told_in_milliseconds(void **state)
{
    struct error error = {0};

    (void)state;
    for (int async = 0; async < 2; async++) {
        assert_int_equal(TRAIN(0, &error, "train.steps", "1", "checkpoint.async", async ? "true" : "false"), STATUS_OK);
        assert_true(member("checkpoint", "save_ms") > 0.02 && member("checkpoint", "save_ms") < 60000);
        assert_true(member("checkpoint", "blocked_ms") > 0 && member("checkpoint", "blocked_ms") < 60000);
        assert_true(async || member("checkpoint", "blocked_ms") > 0.02);
        assert_int_equal(tear_down(NULL), 0);
        assert_int_equal(set_up(NULL), 0);
    }
}

static void a_folder_with_too_long_a_path_is_refused(void **state)
{
    static char path[5001];
    struct error error = {0};

    (void)state;
    memset(path, 'x', sizeof path - 1);
    /* With "/ckpt" behind it a path of 4,091 bytes has no room for its end in 4,096. */
    for (size_t length = 4091; length <= 5000; length += length < 4100 ? 1 : 450) {
        path[length] = '\0';
        assert_int_equal(train(path, 0, &error, (const char *const[]){"train.steps", "1", NULL}), STATUS_USAGE);
        assert_string_equal(error.message, "run.dir: the path is too long");
        path[length] = 'x';
    }
}

static void a_config_that_was_not_stored_whole_ends_the_start(void **state)
{
    struct error error = {0};

    (void)state;
    order.closes = "/config.resolved.yaml";
    assert_int_equal(TRAIN(0, &error, "train.steps", "1"), STATUS_STORAGE);
    assert_says(&error, "/config.resolved.yaml: could not be closed");
    assert_false(is_saved(1));
    order.closes = NULL;
    assert_int_equal(TRAIN(0, &error, "train.steps", "1"), STATUS_OK);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(a_save_that_failed_is_tried_again_where_the_run_stops_at_that_step),
        EACH(a_run_that_stops_where_it_has_just_saved_saves_nothing_more),
        EACH(a_stop_whose_checkpoint_cannot_be_saved_is_no_stop_on_request),
        EACH(a_run_fails_where_its_newest_save_failed),
        EACH(last_good_weights_that_cannot_be_saved_are_told_with_why),
        EACH(rates_and_shares_of_the_peak_follow_from_the_time_of_a_step),
        EACH(the_times_of_a_save_are_told_in_milliseconds),
        EACH(a_folder_with_too_long_a_path_is_refused),
        EACH(a_config_that_was_not_stored_whole_ends_the_start),
    };

    setenv("LLMRUN_BACKEND_PATH", LLMRUN_BUILD_DIR "/lib/llmrun", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
