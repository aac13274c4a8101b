/* A plugin's file cut at any length, or with any bit flipped, is refused with a sentence, or is of no harm: its code
 * runs in a child process until it has shown what it does. `test_plugin_damage all` tries every length and every bit,
 * and prints what became of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "every.h"
#include "hal/trial.h"
#include "plugin/probe.h"

#define PLUGIN     LLMRUN_BUILD_DIR "/lib/llmrun-test/faulty/libllmrun-faulty-plain.so"
#define TIMEOUT_NS INT64_C(1000000000)

static bool all;
static char folder[64], path[128];
static unsigned char *plugin;
static size_t plugin_bytes;

/* What became of the damaged files. */
static struct {
    int by_file, by_child, by_crash, usable;
} counts;

static int read_plugin(void **state)
{
    FILE *file = fopen(PLUGIN, "rb");

    (void)state;
    strcpy(folder, "/tmp/llmrun-damage-XXXXXX");
    plugin = malloc(1 << 20);
    if (file == NULL || plugin == NULL || mkdtemp(folder) == NULL)
        return -1;
    plugin_bytes = fread(plugin, 1, 1 << 20, file);
    fclose(file);
    snprintf(path, sizeof path, "%s/libllmrun-damaged.so", folder);
    return 0;
}

static int remove_all(void **state)
{
    (void)state;
    free(plugin);
    unlink(path);
    return rmdir(folder);
}

static void write_file(size_t bytes)
{
    FILE *file;

    unlink(path); /* a new file each time: some child may have the old one mapped */
    file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(plugin, 1, bytes, file), bytes);
    fclose(file);
}

static void assert_sentence(const char *reason)
{
    assert_string_not_equal(reason, "");
    for (const char *at = reason; *at != '\0'; at++)
        assert_false((unsigned char)*at < 0x20);
}

/* Runs the file as far as a run does before it is loaded. */
static void use(struct candidate *candidate)
{
    struct probe_child child;
    struct plugin_probe probe;
    struct error error = {0};
    bool fatal = false;
    int status = probe_start(candidate, TIMEOUT_NS, &child, &error);

    assert_int_equal(status, STATUS_OK);
    status = probe_devices(&child, &probe, &fatal, &error);
    if (status == STATUS_OK)
        status = probe_trial(&child, &fatal, &error);
    probe_end(&child);
    counts.usable += status == STATUS_OK;
    counts.by_child += status != STATUS_OK && !fatal;
    counts.by_crash += status != STATUS_OK && fatal;
    if (status != STATUS_OK)
        assert_sentence(error.message);
}

static void examine(size_t bytes)
{
    const struct plugin_search search = {.listed = path};
    struct registry registry;
    struct error error;

    write_file(bytes);
    assert_int_equal(registry_init(&search, device_trial, &registry, &error), STATUS_OK);
    assert_int_equal(registry.count, 1);
    if (registry.items[0].state == CANDIDATE_USABLE) {
        use(&registry.items[0]);
    } else {
        counts.by_file++;
        assert_sentence(registry.items[0].reason);
    }
    registry_finish(&registry);
}

static void report(const char *what)
{
    printf("%s: %d refused by the file, %d by the child, %d crashed, ended or hung there, %d usable\n", what,
           counts.by_file, counts.by_child, counts.by_crash, counts.usable);
    memset(&counts, 0, sizeof counts);
}

static void a_file_cut_at_any_length_is_refused(void **state)
{
    (void)state;
    for (size_t bytes = 0; bytes < plugin_bytes; bytes += all || bytes < 160 ? 1 : 97 * EVERY(4))
        examine(bytes);
    assert_int_equal(counts.usable, 0);
    report("lengths");
}

static void a_flipped_bit_harms_only_a_child(void **state)
{
    (void)state;
    for (size_t bit = 0; bit < 8 * plugin_bytes; bit += all ? 1 : 419 * EVERY(8)) {
        plugin[bit / 8] ^= (unsigned char)(1u << bit % 8);
        examine(plugin_bytes);
        plugin[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    assert_true(counts.usable > 0);
    report("bits");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_cut_at_any_length_is_refused),
        cmocka_unit_test(a_flipped_bit_harms_only_a_child),
    };

    all = argc > 1 && strcmp(argv[1], "all") == 0;
    return cmocka_run_group_tests_name("plugin damage", tests, read_plugin, remove_all);
}
