/* metrics.jsonl, read back with a JSON library. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/log.h"
#include "failing_files.h"
#include "train/metrics.h"

static char folder[] = "/tmp/llmrun-metrics-XXXXXX";
static char path[64];

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder + strlen(folder) - 6, "XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/metrics.jsonl", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static void put_file(const char *text)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static const char *get_file(void)
{
    static char text[8192];
    FILE *file = fopen(path, "r");

    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    return text;
}

static void open_well(struct metrics *metrics, const struct file_system *fs)
{
    struct error error = {0};

    if (metrics_open(metrics, fs, folder, &error) != STATUS_OK)
        fail_msg("%s", error.message);
}

static json_t *last_line(void)
{
    const char *text = get_file(), *at = text + strlen(text) - 1;
    json_error_t error;
    json_t *object;

    assert_true(at >= text && *at == '\n');
    while (at > text && at[-1] != '\n')
        at--;
    object = json_loads(at, JSON_REJECT_DUPLICATES, &error);
    if (object == NULL)
        fail_msg("%s: %s", error.text, at);
    return object;
}

static const struct step_metrics ordinary = {.step = 12,
                                             .loss = 0.1f,
                                             .grad_norm = 0.81f,
                                             .learning_rate = 6e-4,
                                             .tokens = 98304,
                                             .step_tokens = 1024,
                                             .trained_tokens = 1000,
                                             .trained_tokens_per_s = 12033.7,
                                             .tokens_per_s = 12345.06,
                                             .step_ms = 83.1,
                                             .mfu = 0.41,
                                             .mem_bytes = 123456789};

/* The bits of 0.1 and 0.81 in binary32, by numpy. */
static void a_step_is_one_object_with_the_bits_of_its_numbers(void **state)
{
    struct metrics metrics;
    json_t *line;

    (void)state;
    open_well(&metrics, &file_system_real);
    metrics_step(&metrics, &ordinary);
    line = last_line(); /* before the file is closed: it is written at once */
    assert_string_equal(json_string_value(json_object_get(line, "event")), "step");
    assert_int_equal(json_integer_value(json_object_get(line, "step")), 12);
    assert_true(json_real_value(json_object_get(line, "loss")) == 0.100000001);
    assert_string_equal(json_string_value(json_object_get(line, "loss_bits")), "0x3dcccccd");
    assert_string_equal(json_string_value(json_object_get(line, "grad_norm_bits")), "0x3f4f5c29");
    assert_true((float)json_real_value(json_object_get(line, "grad_norm")) == 0.81f);
    assert_true(json_real_value(json_object_get(line, "lr")) == 6e-4);
    assert_int_equal(json_integer_value(json_object_get(line, "tokens")), 98304);
    assert_true(json_real_value(json_object_get(line, "tokens_per_s")) == 12345.1);
    assert_true(json_real_value(json_object_get(line, "mfu")) == 0.41);
    assert_true(json_real_value(json_object_get(line, "step_ms")) == 83.1);
    assert_int_equal(json_integer_value(json_object_get(line, "mem_bytes")), 123456789);
    assert_int_equal(json_integer_value(json_object_get(line, "step_tokens")), 1024);
    assert_int_equal(json_integer_value(json_object_get(line, "trained_tokens")), 1000);
    assert_true(json_real_value(json_object_get(line, "trained_tokens_per_s")) == 12033.7);
    assert_int_equal(json_object_size(line), 15);
    json_decref(line);
    metrics_close(&metrics);
}

static void nine_digits_give_the_number_back(void **state)
{
    struct step_metrics step = ordinary;
    struct metrics metrics;

    (void)state;
    open_well(&metrics, &file_system_real);
    for (uint32_t i = 0, bits = 0x3f000001u; i < 1000; i++, bits += 16807 + i) {
        json_t *line;

        memcpy(&step.loss, &bits, sizeof bits);
        put_file("");
        metrics_step(&metrics, &step);
        line = last_line();
        assert_true((float)json_number_value(json_object_get(line, "loss")) == step.loss);
        json_decref(line);
    }
    metrics_close(&metrics);
}

static void what_is_not_finite_or_not_known_is_null(void **state)
{
    struct step_metrics step = ordinary;
    struct metrics metrics;
    json_t *line;

    (void)state;
    step.loss = -INFINITY;
    step.grad_norm = NAN;
    step.mfu = -1;
    open_well(&metrics, &file_system_real);
    metrics_step(&metrics, &step);
    line = last_line();
    assert_true(json_is_null(json_object_get(line, "loss")));
    assert_string_equal(json_string_value(json_object_get(line, "loss_bits")), "0xff800000");
    assert_true(json_is_null(json_object_get(line, "grad_norm")));
    assert_true(json_is_null(json_object_get(line, "mfu")));
    json_decref(line);

    metrics_evaluation(&metrics, 3, 800, 7, 0); /* e^800 is more than a double holds */
    line = last_line();
    assert_string_equal(json_string_value(json_object_get(line, "event")), "eval");
    assert_true(json_number_value(json_object_get(line, "loss")) == 800);
    assert_string_equal(json_string_value(json_object_get(line, "loss_bits")), "0x4089000000000000");
    assert_true(json_is_null(json_object_get(line, "perplexity")));
    json_decref(line);
    metrics_close(&metrics);
}

static void perplexity_is_e_to_the_loss(void **state)
{
    struct metrics metrics;
    json_t *line;

    (void)state;
    open_well(&metrics, &file_system_real);
    metrics_evaluation(&metrics, 100, 2, 4096, 12.5);
    line = last_line();
    assert_int_equal(json_integer_value(json_object_get(line, "step")), 100);
    assert_true(json_real_value(json_object_get(line, "perplexity")) == 7.3890561);
    assert_int_equal(json_integer_value(json_object_get(line, "tokens")), 4096);
    json_decref(line);
    metrics_close(&metrics);
}

static void other_events_hold_what_they_are_given(void **state)
{
    struct metrics metrics;

    (void)state;
    open_well(&metrics, &file_system_real);
    metrics_event(&metrics, "checkpoint", "\"step\":%d", 7);
    metrics_close(&metrics);
    assert_string_equal(get_file(), "{\"event\":\"checkpoint\",\"step\":7}\n");
}

static void opening_cuts_a_torn_last_line_and_appends(void **state)
{
    struct metrics metrics;

    (void)state;
    put_file("{\"event\":\"a\"}\n{\"event\":\"b\"}\n{\"event\":\"st");
    open_well(&metrics, &file_system_real);
    assert_string_equal(get_file(), "{\"event\":\"a\"}\n{\"event\":\"b\"}\n");
    metrics_event(&metrics, "c", "\"n\":%d", 1);
    metrics_close(&metrics);
    assert_string_equal(get_file(), "{\"event\":\"a\"}\n{\"event\":\"b\"}\n{\"event\":\"c\",\"n\":1}\n");
}

static void a_file_of_one_torn_line_becomes_empty(void **state)
{
    struct metrics metrics;

    (void)state;
    put_file("{\"event\":\"st");
    open_well(&metrics, &file_system_real);
    metrics_close(&metrics);
    assert_string_equal(get_file(), "");
}

static void a_whole_file_stays_as_it_is(void **state)
{
    struct metrics metrics;

    (void)state;
    put_file("{\"event\":\"a\"}\n");
    open_well(&metrics, &file_system_real);
    metrics_close(&metrics);
    assert_string_equal(get_file(), "{\"event\":\"a\"}\n");
}

static int warnings;

static void count_warning(void *context, enum log_level level, const char *line)
{
    (void)context;
    static const char *const sentences[] = {"metrics.jsonl: could not write: No space left on device; its lines wait",
                                            "metrics.jsonl: there was no room for its last lines",
                                            "metrics.jsonl: too many lines wait"};
    int said = 0;

    assert_int_equal(level, LOG_WARNING);
    for (int i = 0; i < 3; i++)
        said += strstr(line, sentences[i]) != NULL;
    assert_int_equal(said, 1);
    warnings++;
}

static void open_failing(struct failing_files *files, struct metrics *metrics, int first, int last)
{
    failing_files_init(files);
    files->call = CALL_WRITE;
    files->first = first;
    files->last = last;
    files->problem = ENOSPC;
    warnings = 0;
    log_set_sink(count_warning, NULL);
    open_well(metrics, &files->fs);
}

static void lines_that_found_a_full_disk_follow_when_there_is_room(void **state)
{
    struct failing_files files;
    struct metrics metrics;

    (void)state;
    open_failing(&files, &metrics, 2, 3);
    for (int i = 0; i < 3; i++)
        metrics_event(&metrics, "checkpoint", "\"step\":%d", i);
    assert_string_equal(get_file(), "{\"event\":\"checkpoint\",\"step\":0}\n");
    assert_int_equal(warnings, 1);
    metrics_event(&metrics, "checkpoint", "\"step\":3");
    assert_string_equal(get_file(), "{\"event\":\"checkpoint\",\"step\":0}\n{\"event\":\"checkpoint\",\"step\":1}\n"
                                    "{\"event\":\"checkpoint\",\"step\":2}\n{\"event\":\"checkpoint\",\"step\":3}\n");
    metrics_close(&metrics);
    log_set_sink(NULL, NULL);
    assert_int_equal(warnings, 1);
}

static void a_line_that_found_room_for_its_beginning_is_ended_later(void **state)
{
    struct failing_files files;
    struct metrics metrics;

    (void)state;
    open_failing(&files, &metrics, 3, 3);
    files.short_write = 10;
    metrics_event(&metrics, "checkpoint", "\"step\":%d", 0);
    assert_string_equal(get_file(), "{\"event\":\"checkpoint"); /* two writes of ten bytes */
    metrics_event(&metrics, "checkpoint", "\"step\":%d", 1);
    metrics_close(&metrics);
    log_set_sink(NULL, NULL);
    assert_string_equal(get_file(), "{\"event\":\"checkpoint\",\"step\":0}\n{\"event\":\"checkpoint\",\"step\":1}\n");
    assert_int_equal(warnings, 1);
}

static void a_disk_that_stays_full_leaves_whole_lines(void **state)
{
    struct failing_files files;
    struct metrics metrics;

    (void)state;
    open_failing(&files, &metrics, 6, 1 << 30);
    files.short_write = 10;
    for (int i = 0; i < 3; i++)
        metrics_event(&metrics, "checkpoint", "\"step\":%d", i);
    assert_int_equal(warnings, 1);
    assert_string_equal(get_file(), "{\"event\":\"checkpoint\",\"step\":0}\n{\"event\":\"");
    metrics_close(&metrics);
    log_set_sink(NULL, NULL);
    assert_string_equal(get_file(), "{\"event\":\"checkpoint\",\"step\":0}\n");
    assert_int_equal(warnings, 2);
}

static void lines_wait_in_bounded_memory_and_leave_no_hole(void **state)
{
    struct failing_files files;
    struct metrics metrics;
    char member[2000], text[100];
    FILE *file;
    int written = 0, lines = (int)(METRICS_MOST_WAITING / 2000);

    (void)state;
    memset(member, 'x', sizeof member - 1);
    member[sizeof member - 1] = '\0';
    open_failing(&files, &metrics, 1, lines + 200);
    for (int i = 0; i < lines + 300; i++) {
        metrics_event(&metrics, "x", "\"n\":%d,\"text\":\"%s\"", i, member);
        assert_true(metrics.lines.length < METRICS_MOST_WAITING + 4096);
    }
    assert_int_equal(warnings, 2);
    files.last = 0;
    metrics_close(&metrics);
    log_set_sink(NULL, NULL);
    file = fopen(path, "r");
    assert_non_null(file);
    while (fscanf(file, "{\"event\":\"x\",\"n\":%99[0-9],%*[^\n]\n", text) == 1)
        assert_int_equal(atoi(text), written++);
    assert_true(feof(file));
    fclose(file);
    assert_true(written > lines - 200 && written <= lines + 1);
}

static int64_t write_nothing(const struct file_system *fs, int handle, const void *data, size_t bytes)
{
    (void)fs, (void)handle, (void)data, (void)bytes;
    return 0;
}

static void expect_no_output(void *context, enum log_level level, const char *line)
{
    static const char *const sentences[] = {"could not write: Input/output error; its lines wait",
                                            "there was no room for its last lines"};

    (void)context;
    assert_int_equal(level, LOG_WARNING);
    assert_true(warnings < 2);
    assert_non_null(strstr(line, sentences[warnings++]));
}

static void a_file_that_takes_nothing_keeps_no_run_waiting(void **state)
{
    struct file_system fs = file_system_real;
    struct metrics metrics;

    (void)state;
    fs.write = write_nothing;
    warnings = 0;
    log_set_sink(expect_no_output, NULL);
    open_well(&metrics, &fs);
    for (int i = 0; i < 3; i++)
        metrics_event(&metrics, "checkpoint", "\"step\":%d", i);
    assert_int_equal(warnings, 1);
    metrics_close(&metrics);
    log_set_sink(NULL, NULL);
    assert_int_equal(warnings, 2);
}

static void interrupted_and_short_writes_lose_nothing(void **state)
{
    struct failing_files files;
    struct metrics metrics;

    (void)state;
    failing_files_init(&files);
    files.short_write = 7;
    files.interrupt_every = 3;
    open_well(&metrics, &files.fs);
    for (int i = 0; i < 3; i++)
        metrics_event(&metrics, "checkpoint", "\"step\":%d", i);
    metrics_close(&metrics);
    assert_string_equal(get_file(), "{\"event\":\"checkpoint\",\"step\":0}\n{\"event\":\"checkpoint\",\"step\":1}\n"
                                    "{\"event\":\"checkpoint\",\"step\":2}\n");
    assert_true(files.interrupted > 3);
}

static void a_file_that_cannot_be_opened_is_named(void **state)
{
    struct failing_files files;
    struct metrics metrics;
    struct error error = {0};

    (void)state;
    failing_files_init(&files);
    files.call = CALL_OPEN;
    files.first = files.last = 1;
    files.problem = EACCES;
    assert_int_equal(metrics_open(&metrics, &files.fs, folder, &error), STATUS_STORAGE);
    assert_non_null(strstr(error.message, "metrics.jsonl: Permission denied"));
    metrics_step(&metrics, &ordinary); /* dropped */
    metrics_close(&metrics);
    put_file(""); /* for the end of the test */
}

static int refuse_to_cut(const struct file_system *fs, int handle, int64_t bytes)
{
    (void)fs, (void)handle, (void)bytes;
    return -EIO;
}

static int64_t read_nothing(const struct file_system *fs, int handle, void *data, size_t bytes, int64_t offset)
{
    (void)fs, (void)handle, (void)data, (void)bytes, (void)offset;
    return 0;
}

static void assert_not_opened(struct failing_files *files, const char *sentence)
{
    struct metrics metrics;
    struct error error = {0};

    assert_int_equal(metrics_open(&metrics, &files->fs, folder, &error), STATUS_STORAGE);
    if (strstr(error.message, sentence) == NULL)
        fail_msg("'%s' has no '%s'", error.message, sentence);
    assert_int_equal(files->open, 0);
    metrics_step(&metrics, &ordinary); /* dropped */
    metrics_close(&metrics);
}

static void a_last_line_that_cannot_be_looked_at_or_cut_ends_the_start(void **state)
{
    static const char text[] = "{\"event\":\"a\"}\n{\"event\":\"st";
    struct failing_files files;
    struct metrics metrics;

    (void)state;
    put_file(text);
    for (int read = 1; read <= 13; read++) { /* the first to the last look at the 12 bytes behind the end of a line */
        failing_files_init(&files);
        files.call = CALL_READ;
        files.first = files.last = read;
        files.problem = EIO;
        assert_not_opened(&files, "metrics.jsonl: could not read its last line");
    }
    failing_files_init(&files);
    files.fs.read = read_nothing;
    assert_not_opened(&files, "metrics.jsonl: could not read its last line");
    failing_files_init(&files);
    files.fs.truncate = refuse_to_cut;
    assert_not_opened(&files, "metrics.jsonl: could not cut its torn last line");
    assert_string_equal(get_file(), text);
    /* Nothing is cut from a file without a torn line. */
    put_file("{}\n");
    open_well(&metrics, &files.fs);
    metrics_close(&metrics);
}

static void a_folder_whose_name_leaves_no_room_for_the_file_is_refused(void **state)
{
    struct metrics metrics;
    struct error error = {0};
    char name[sizeof metrics.path];

    (void)state;
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    assert_int_equal(metrics_open(&metrics, &file_system_real, name, &error), STATUS_USAGE);
    assert_string_equal(error.message, "run.dir: the path is too long");
    metrics_close(&metrics);
    put_file(""); /* for the end of the test */
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(a_step_is_one_object_with_the_bits_of_its_numbers),
        EACH(nine_digits_give_the_number_back),
        EACH(what_is_not_finite_or_not_known_is_null),
        EACH(perplexity_is_e_to_the_loss),
        EACH(other_events_hold_what_they_are_given),
        EACH(opening_cuts_a_torn_last_line_and_appends),
        EACH(a_file_of_one_torn_line_becomes_empty),
        EACH(a_whole_file_stays_as_it_is),
        EACH(lines_that_found_a_full_disk_follow_when_there_is_room),
        EACH(a_line_that_found_room_for_its_beginning_is_ended_later),
        EACH(a_disk_that_stays_full_leaves_whole_lines),
        EACH(lines_wait_in_bounded_memory_and_leave_no_hole),
        EACH(a_file_that_takes_nothing_keeps_no_run_waiting),
        EACH(interrupted_and_short_writes_lose_nothing),
        EACH(a_file_that_cannot_be_opened_is_named),
        EACH(a_last_line_that_cannot_be_looked_at_or_cut_ends_the_start),
        EACH(a_folder_whose_name_leaves_no_room_for_the_file_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
