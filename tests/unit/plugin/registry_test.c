/* The whole way from files to backends, on the spoilt builds of tests/plugins/faulty. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "hal/trial.h"
#include "plugin/loader.h"
#include "plugin/probe.h"
#include "plugin/registry.h"

#define FAULTY LLMRUN_BUILD_DIR "/lib/llmrun-test/faulty"

static struct plugin_search search;
static struct registry registry;
static char folder[64];
static char logged[1024];

static void keep_log(void *context, enum log_level level, const char *line)
{
    (void)context;
    (void)level;
    snprintf(logged, sizeof logged, "%s", line);
}

static int set_up(void **state)
{
    (void)state;
    memset(&search, 0, sizeof search);
    strcpy(folder, "/tmp/llmrun-registry-XXXXXX");
    log_set_sink(keep_log, NULL);
    return mkdtemp(folder) != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    char command[128];

    (void)state;
    registry_finish(&registry);
    log_set_sink(NULL, NULL);
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command) == 0 ? 0 : -1;
}

static void scan(const char *list)
{
    struct error error = {0};

    search.listed = list;
    registry_finish(&registry);
    if (registry_init(&search, device_trial, &registry, &error) != STATUS_OK)
        fail_msg("%s", error.message);
}

static struct candidate *find(const char *file)
{
    for (int64_t i = 0; i < registry.count; i++) {
        const char *slash = strrchr(registry.items[i].path, '/');

        if (strcmp(slash + 1, file) == 0)
            return &registry.items[i];
    }
    fail_msg("%s is not listed", file);
    return NULL;
}

static struct candidate *find_faulty(const char *name)
{
    char file[64];

    snprintf(file, sizeof file, "libllmrun-faulty-%s.so", name);
    return find(file);
}

/* Puts a file of the given content into `folder`. */
static void make_file(const char *name, const char *content)
{
    char path[256];
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    file = fopen(path, "w");
    assert_non_null(file);
    fputs(content, file);
    fclose(file);
}

/* Copies the first `bytes` bytes (all: -1) of a variant to folder/`name`. */
static void copy_variant(const char *variant, const char *name, long bytes)
{
    char path[256];
    static char data[1 << 20];
    FILE *file;
    size_t got;

    snprintf(path, sizeof path, FAULTY "/libllmrun-faulty-%s.so", variant);
    file = fopen(path, "rb");
    assert_non_null(file);
    got = fread(data, 1, sizeof data, file);
    fclose(file);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    file = fopen(path, "wb");
    assert_non_null(file);
    fwrite(data, 1, bytes < 0 ? got : (size_t)bytes, file);
    fclose(file);
}

/* Writes version 0.7 of the contract into the note of folder/`name`. */
static void make_newer(const char *name)
{
    static char data[1 << 20];
    const uint32_t minor = 7;
    char path[256];
    char *note;
    FILE *file;
    size_t got;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    file = fopen(path, "r+b");
    assert_non_null(file);
    got = fread(data, 1, sizeof data, file);
    note = memmem(data, got, "llmrun\0", 8);
    assert_non_null(note);
    memcpy(note + 8 + sizeof minor, &minor, sizeof minor);
    rewind(file);
    fwrite(data, 1, got, file);
    fclose(file);
}

static void assert_reason(const struct candidate *candidate, const char *part)
{
    assert_string_equal(candidate_state_name(candidate->state), "refused");
    if (strstr(candidate->reason, part) == NULL)
        fail_msg("the reason is \"%s\", not \"%s\"", candidate->reason, part);
}

static void the_note_alone_refuses_what_does_not_fit(void **state)
{
    (void)state;
    scan(FAULTY);
    assert_reason(find_faulty("abi-major"), "is made for plugin contract 1.2, this llmrun speaks 0.2: another major");
    assert_reason(find_faulty("abi-newer"), "is made for plugin contract 0.3, this llmrun speaks 0.2: update llmrun");
    assert_reason(find_faulty("abi-older"),
                  "is made for plugin contract 0.1, this llmrun speaks 0.2 and drives 0.2 and newer: "
                  "update the plugin");
    assert_reason(find_faulty("isa"), "needs the instruction set unknown (level 99)");
    assert_reason(find_faulty("kind"), "is a plugin of kind 7, which this llmrun does not know");
    assert_reason(find_faulty("no-note"), "carries no llmrun note");
    assert_reason(find_faulty("two-notes"), "carries 2 llmrun notes, a plugin has one");
}

static void listing_runs_no_code_of_a_plugin(void **state)
{
    (void)state;
    scan(FAULTY); /* with the ones that crash and hang when entered */
    assert_int_equal(find_faulty("crash")->state, CANDIDATE_USABLE);
    assert_int_equal(find_faulty("hang")->state, CANDIDATE_USABLE);
    assert_string_equal(find_faulty("crash")->note.version, "0.1.0");
    assert_string_equal(find_faulty("crash")->reason, "");
}

static void files_that_are_no_plugins_are_explained(void **state)
{
    char path[256];

    (void)state;
    make_file("libllmrun-text.so", "just text, as a wrong download leaves it behind, longer than an ELF header is\n");
    make_file("libllmrun-empty.so", "");
    make_file("unrelated.so", "not looked at");
    copy_variant("plain", "libllmrun-cut.so", 9000);
    snprintf(path, sizeof path, "%s/libllmrun-folder.so", folder);
    mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/libllmrun-gone.so", folder);
    assert_int_equal(symlink("/nowhere/at/all", path), 0);
    scan(folder);
    assert_int_equal(registry.count, 5);
    assert_reason(find("libllmrun-text.so"), "is not an ELF file");
    assert_reason(find("libllmrun-empty.so"), "is not an ELF file");
    assert_reason(find("libllmrun-cut.so"), "is cut short: segment");
    assert_reason(find("libllmrun-folder.so"), "cannot be opened: Is a directory");
    assert_reason(find("libllmrun-gone.so"), "cannot be opened: No such file or directory");
}

/* Loads a variant, which must fail with a reason that holds `part`. */
static void assert_load_refused(const char *variant, const char *part)
{
    struct candidate *candidate = find_faulty(variant);
    struct error error = {0};

    assert_int_equal(candidate->state, CANDIDATE_USABLE);
    assert_int_equal(registry_load(&registry, candidate, &error), STATUS_BACKEND);
    assert_reason(candidate, part);
    assert_non_null(strstr(error.message, candidate->path));
    assert_non_null(strstr(error.message, part));
}

static void loading_refuses_what_the_tables_lack(void **state)
{
    (void)state;
    scan(FAULTY);
    assert_load_refused("no-symbol", "does not export the symbol llmrun_backend_entry");
    assert_load_refused("data-entry", "exports llmrun_backend_entry as data, expected a function");
    assert_load_refused("refuses", "refused to start: this host is too old for me");
    assert_load_refused("missing-entry", "lacks the entry event_wait of its device table, required since version 0.1");
    assert_load_refused("short-table", "lacks the entry event_query of its device table");
    assert_load_refused("absurd-size", "gives its size as 268435456 bytes");
    assert_load_refused("tiny-size", "gives its size as 4 bytes");
    assert_load_refused("no-ops", "has neither a kernel nor a program table");
    assert_load_refused("other-table", "contract 0.9 in its table, 0.2 in its note");
    assert_load_refused("other-name", "it is named 'cpu' in its table, 'faulty-other-name' in its note");
}

static void a_backend_that_calls_itself_a_collective_is_none(void **state)
{
    const struct backend *backend;
    struct error error = {0};

    (void)state;
    assert_int_equal(
        plugin_search_default(&search, "faulty-collective=" FAULTY "/libllmrun-faulty-collective.so", &error),
        STATUS_OK);
    scan(NULL);
    assert_int_equal(registry_open(&registry, "faulty-collective=x", &backend, &error), STATUS_BACKEND);
    assert_non_null(strstr(error.message, "faulty-collective.so is a collective, not a backend"));
}

static void a_refusal_stays_and_the_plugin_is_not_entered_again(void **state)
{
    const struct backend *backend;
    struct error error = {0};

    (void)state;
    scan(FAULTY);
    assert_load_refused("refuses", "this host is too old for me");
    assert_int_equal(registry_load(&registry, find_faulty("refuses"), &error), STATUS_BACKEND);
    logged[0] = '\0';
    scan(FAULTY); /* usable again, as far as its note tells */
    assert_int_equal(registry_open(&registry, "faulty-refuses", &backend, &error), STATUS_BACKEND);
    assert_non_null(strstr(error.message, "this host is too old for me"));
    assert_string_equal(logged, "");
}

static void a_table_of_a_later_contract_is_used(void **state)
{
    const struct backend *backend;
    struct error error;

    (void)state;
    scan(FAULTY);
    assert_int_equal(registry_open(&registry, "faulty-oversized", &backend, &error), STATUS_OK);
    assert_string_equal(backend->name, "faulty-oversized");
    assert_non_null(backend->device.count);
}

static void a_plugin_is_loaded_once_and_can_log(void **state)
{
    const struct backend *first, *second;
    struct plugin third;
    struct error error;

    (void)state;
    scan(FAULTY);
    assert_int_equal(registry_open(&registry, "faulty-plain", &first, &error), STATUS_OK);
    assert_string_equal(logged, "faulty-plain: hello");
    logged[0] = '\0';
    scan(FAULTY);
    assert_int_equal(find_faulty("plain")->state, CANDIDATE_LOADED);
    assert_int_equal(registry_open(&registry, "faulty-plain", &second, &error), STATUS_OK);
    assert_ptr_equal(first, second);
    assert_int_equal(loader_load(first->path, &find_faulty("plain")->note, &third, &error), STATUS_OK);
    assert_ptr_equal(first, third.backend);
    assert_null(third.collective);
    assert_string_equal(logged, "");
}

static void the_first_of_a_name_hides_the_later_ones(void **state)
{
    char list[256];

    (void)state;
    copy_variant("plain", "libllmrun-copy.so", -1);
    snprintf(list, sizeof list, "%s:%s", folder, FAULTY);
    scan(list);
    assert_int_equal(find("libllmrun-copy.so")->state, CANDIDATE_USABLE);
    assert_string_equal(candidate_state_name(find_faulty("plain")->state), "shadowed");
    assert_non_null(strstr(find_faulty("plain")->reason, "libllmrun-copy.so, which is found first"));
    snprintf(list, sizeof list, "%s:%s", FAULTY, folder);
    scan(list);
    assert_int_equal(find("libllmrun-copy.so")->state, CANDIDATE_SHADOWED);
    assert_true(find_faulty("plain")->state <= CANDIDATE_LOADED);
}

static void a_refused_file_hides_none_of_its_name(void **state)
{
    char list[256];

    (void)state;
    copy_variant("plain", "libllmrun-newer.so", -1);
    make_newer("libllmrun-newer.so");
    snprintf(list, sizeof list, "%s:%s/libllmrun-faulty-plain.so", folder, FAULTY);
    scan(list);
    assert_int_equal(registry.count, 2);
    assert_string_equal(registry.items[0].note.name, "faulty-plain");
    assert_reason(&registry.items[0], "is made for plugin contract 0.7");
    assert_true(registry.items[1].state <= CANDIDATE_LOADED);
}

static void a_named_path_comes_first_and_has_no_stand_in(void **state)
{
    const struct backend *backend;
    struct error error = {0};
    char spec[256];

    (void)state;
    assert_int_equal(plugin_search_default(&search, "faulty-plain=/nowhere/x.so", &error), STATUS_OK);
    search.folders[0][0] = search.folders[1][0] = search.folders[2][0] = '\0';
    scan(FAULTY);
    assert_reason(&registry.items[0], "cannot be opened: No such file or directory");
    assert_int_equal(registry_open(&registry, "faulty-plain=/nowhere/x.so", &backend, &error), STATUS_BACKEND);
    assert_string_equal(error.message,
                        "the backend 'faulty-plain' cannot be used: /nowhere/x.so cannot be opened: No such "
                        "file or directory");
    copy_variant("ranked", "any-file-name", -1);
    snprintf(spec, sizeof spec, "faulty-ranked=%s/any-file-name", folder);
    assert_int_equal(plugin_search_default(&search, spec, &error), STATUS_OK);
    scan(FAULTY);
    assert_int_equal(registry_open(&registry, spec, &backend, &error), STATUS_OK);
    assert_non_null(strstr(backend->path, "any-file-name"));
    snprintf(spec, sizeof spec, "mine=%s/any-file-name", folder);
    assert_int_equal(plugin_search_default(&search, spec, &error), STATUS_OK);
    scan(FAULTY);
    assert_int_equal(registry_open(&registry, spec, &backend, &error), STATUS_BACKEND);
    assert_non_null(strstr(error.message, "is the plugin 'faulty-ranked', not 'mine'"));
}

static void an_unknown_name_is_answered_with_the_known_ones(void **state)
{
    const struct backend *backend;
    struct error error = {0};

    (void)state;
    scan(FAULTY "/libllmrun-faulty-plain.so:" FAULTY "/libllmrun-faulty-oversized.so");
    assert_int_equal(registry_open(&registry, "cuda", &backend, &error), STATUS_BACKEND);
    assert_string_equal(error.message,
                        "there is no backend 'cuda'; found: faulty-plain, faulty-oversized (`llmrun backends` "
                        "lists all)");
    scan(FAULTY "/libllmrun-faulty-abi-newer.so");
    assert_int_equal(registry_open(&registry, "faulty-abi-newer", &backend, &error), STATUS_BACKEND);
    assert_non_null(strstr(error.message, "cannot be used: "));
    assert_non_null(strstr(error.message, "update llmrun"));
}

/* Asks a variant for its devices, which must fail with exactly this reason. */
static void assert_probe_refused(const char *variant, int64_t timeout_ns, const char *reason)
{
    struct candidate *candidate = find_faulty(variant);
    static struct plugin_probe probe;
    struct error error = {0};

    assert_int_equal(plugin_probe(candidate, timeout_ns, &probe, &error), STATUS_BACKEND);
    assert_string_equal(error.message, reason);
    assert_string_equal(candidate->reason, reason);
    assert_int_equal(candidate->state, CANDIDATE_REFUSED);
}

static void a_probe_survives_plugins_that_crash_end_or_hang(void **state)
{
    int64_t begin = clock_system.monotonic_ns(&clock_system);

    (void)state;
    scan(FAULTY);
    assert_probe_refused("crash", PROBE_TIMEOUT_NS, "crashed in llmrun_backend_entry (signal 11, Segmentation fault)");
    assert_probe_refused("abort", PROBE_TIMEOUT_NS, "crashed in count (signal 6, Aborted)");
    assert_probe_refused("exit", PROBE_TIMEOUT_NS, "ended its process with code 3 in llmrun_backend_entry");
    assert_probe_refused("hang", INT64_C(300000000), "did not answer within 0.3 s: it hung in llmrun_backend_entry");
    assert_true(clock_system.monotonic_ns(&clock_system) - begin < PROBE_TIMEOUT_NS / 2);
}

static void a_probe_tells_what_the_backend_has(void **state)
{
    static struct plugin_probe probe;
    struct error error;

    (void)state;
    scan(FAULTY);
    assert_int_equal(plugin_probe(find_faulty("ranked-more"), PROBE_TIMEOUT_NS, &probe, &error), STATUS_OK);
    assert_int_equal(find_faulty("ranked-more")->state, CANDIDATE_USABLE); /* not loaded here */
    assert_int_equal(probe.priority, 9);
    assert_int_equal(probe.has_kernel, 1);
    assert_int_equal(probe.has_program, 0);
    assert_string_equal(probe.vendor, "llmrun tests");
    assert_int_equal(probe.device_count, 1);
    assert_string_equal(probe.infos[0].name, "a device of faulty-ranked-more");
    assert_int_equal(plugin_probe(find_faulty("no-device"), PROBE_TIMEOUT_NS, &probe, &error), STATUS_OK);
    assert_int_equal(probe.device_count, 0);
}

static void auto_takes_the_highest_rank_that_has_a_device(void **state)
{
    const struct backend *backend;
    struct error error = {0};

    (void)state;
    scan(FAULTY "/libllmrun-faulty-plain.so:" FAULTY "/libllmrun-faulty-crash.so:" FAULTY
                "/libllmrun-faulty-ranked.so:" FAULTY "/libllmrun-faulty-ranked-more.so:" FAULTY
                "/libllmrun-faulty-no-device.so");
    assert_int_equal(registry_open(&registry, "auto", &backend, &error), STATUS_OK);
    assert_string_equal(backend->name, "faulty-ranked-more");
    assert_reason(find_faulty("crash"), "crashed");
}

static void auto_takes_what_a_bad_one_hid(void **state)
{
    const struct backend *backend;
    struct error error = {0};

    (void)state;
    scan(FAULTY "/libllmrun-faulty-twin-crash.so:" FAULTY "/libllmrun-faulty-ranked.so:" FAULTY
                "/libllmrun-faulty-ranked-more.so");
    assert_int_equal(registry_open(&registry, "auto", &backend, &error), STATUS_OK);
    assert_string_equal(backend->name, "faulty-ranked-more");
    assert_non_null(strstr(backend->path, "faulty-ranked-more.so"));
    assert_non_null(strstr(logged, "backend auto passes over faulty-ranked-more: "));
    assert_non_null(strstr(logged, "twin-crash.so crashed in llmrun_backend_entry"));
}

static void auto_never_takes_rank_0(void **state)
{
    const struct backend *backend;
    struct error error = {0};

    (void)state;
    scan(FAULTY "/libllmrun-faulty-plain.so:" FAULTY "/libllmrun-faulty-oversized.so");
    assert_int_equal(registry_open(&registry, "auto", &backend, &error), STATUS_BACKEND);
    assert_string_equal(error.message,
                        "no backend with a device can be chosen by itself; usable by name: faulty-plain, "
                        "faulty-oversized (`llmrun backends` lists all)");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(the_note_alone_refuses_what_does_not_fit),
        CASE(listing_runs_no_code_of_a_plugin),
        CASE(files_that_are_no_plugins_are_explained),
        CASE(loading_refuses_what_the_tables_lack),
        CASE(a_backend_that_calls_itself_a_collective_is_none),
        CASE(a_refusal_stays_and_the_plugin_is_not_entered_again),
        CASE(a_table_of_a_later_contract_is_used),
        CASE(a_plugin_is_loaded_once_and_can_log),
        CASE(the_first_of_a_name_hides_the_later_ones),
        CASE(a_refused_file_hides_none_of_its_name),
        CASE(a_named_path_comes_first_and_has_no_stand_in),
        CASE(an_unknown_name_is_answered_with_the_known_ones),
        CASE(a_probe_survives_plugins_that_crash_end_or_hang),
        CASE(a_probe_tells_what_the_backend_has),
        CASE(auto_takes_the_highest_rank_that_has_a_device),
        CASE(auto_takes_what_a_bad_one_hid),
        CASE(auto_never_takes_rank_0),
    };

    return cmocka_run_group_tests_name("plugin registry", tests, NULL, NULL);
}
