/* Collective plugins: which tables are taken, and the way from files to them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "hal/trial.h"
#include "plugin/collective.h"
#include "plugin/registry.h"

#define TEST_PLUGINS LLMRUN_BUILD_DIR "/lib/llmrun-test"
#define LOOPBACK     TEST_PLUGINS "/libllmrun-loopback.so"

/* The entries of the table in its order, by hand. */
static const char *const entries[] = {"create",     "split",  "all_reduce", "reduce_scatter", "all_gather", "broadcast",
                                      "all_to_all", "send",   "receive",    "group_begin",    "group_end",  "barrier",
                                      "wait",       "cancel", "status",     "abort",          "destroy"};
#define ENTRIES ((int)(sizeof entries / sizeof entries[0]))

/* Something in every entry; none is ever called. */
static struct llmrun_collective_table table;
static const char *domains[LLMRUN_COLLECTIVE_DOMAINS + 2];
static struct llmrun_collective plugin;
static struct collective copied;

static int set_up(void **state)
{
    (void)state;
    memset(&table, 0x11, sizeof table);
    table.size = sizeof table;
    memset(domains, 0, sizeof domains);
    domains[0] = "host";
    domains[1] = "cuda";
    plugin = (struct llmrun_collective){.size = sizeof plugin,
                                        .abi_minor = 2,
                                        .mode = LLMRUN_COLLECTIVE_HOST_DRIVEN,
                                        .name = "mine",
                                        .version = "1.2",
                                        .domains = domains,
                                        .table = &table};
    memset(&copied, 0xff, sizeof copied);
    return 0;
}

static int copy(struct error *error)
{
    return collective_copy(&copied, &plugin, "mine", 0, 2, error);
}

static void assert_refused(const char *reason)
{
    struct error error = {0};

    assert_int_equal(copy(&error), STATUS_BACKEND);
    assert_string_equal(error.message, reason);
}

static void a_whole_table_is_copied(void **state)
{
    struct error error;

    (void)state;
    assert_int_equal(copy(&error), STATUS_OK);
    assert_string_equal(copied.name, "mine");
    assert_string_equal(copied.version, "1.2");
    assert_int_equal(copied.mode, LLMRUN_COLLECTIVE_HOST_DRIVEN);
    assert_string_equal(collective_mode_name(copied.mode), "host-driven");
    assert_int_equal(copied.domain_count, 2);
    assert_string_equal(copied.domains[0], "host");
    assert_string_equal(copied.domains[1], "cuda");
    assert_memory_equal(&copied.table, &table, sizeof table);
}

static void every_entry_is_missed_by_name(void **state)
{
    assert_int_equal(sizeof table, 8 + ENTRIES * sizeof(void *));
    for (int i = 0; i < ENTRIES; i++) {
        char reason[256];

        set_up(state);
        memset((char *)&table + 8 + (size_t)i * sizeof(void *), 0, sizeof(void *));
        snprintf(reason, sizeof reason,
                 "lacks the entry %s of its collective table, required since version 0.2 of the contract", entries[i]);
        assert_refused(reason);
    }
    set_up(state);
    plugin.domains = NULL;
    assert_refused("lacks the entry domains of its plugin table, required since version 0.2 of the contract");
}

static void a_stream_ordered_plugin_has_nothing_to_wait_for(void **state)
{
    struct error error;

    (void)state;
    plugin.mode = LLMRUN_COLLECTIVE_STREAM_ORDERED;
    table.wait = NULL;
    table.cancel = NULL;
    assert_int_equal(copy(&error), STATUS_OK);
    assert_string_equal(collective_mode_name(copied.mode), "stream-ordered");
    table.status = NULL;
    assert_refused("lacks the entry status of its collective table, required since version 0.2 of the contract");
}

static void a_table_cut_at_any_length_is_refused(void **state)
{
    (void)state;
    for (uint32_t size = 0; size < sizeof table; size++) {
        struct error error = {0};
        int named = 0;

        table.size = size;
        assert_int_equal(copy(&error), STATUS_BACKEND);
        if (size < 8 || size % 8 != 0) {
            assert_non_null(strstr(error.message, "which cannot be"));
            continue;
        }
        for (char text[128]; named < ENTRIES; named++) {
            snprintf(text, sizeof text, "lacks the entry %s of", entries[named]);
            if (strncmp(error.message, text, strlen(text)) == 0)
                break;
        }
        assert_in_range(named, (size - 8) / sizeof(void *), ENTRIES - 1); /* one that was cut off */
    }
    table.size = sizeof table;
    for (uint32_t size = 0; size < sizeof plugin; size++) {
        struct error error = {0};

        plugin.size = size;
        assert_int_equal(copy(&error), STATUS_BACKEND);
        assert_non_null(strstr(error.message, size < 8 || size % 8 != 0 ? "which cannot be" : "lacks the entry "));
    }
}

static void modes_and_domains_that_cannot_be_are_refused(void **state)
{
    (void)state;
    plugin.mode = 3;
    assert_refused("is a collective of mode 3, which this llmrun does not know");
    set_up(state);
    domains[0] = NULL;
    assert_refused("names no memory domain that it reaches");
    domains[0] = "sixteen-letters-";
    assert_refused("has a memory domain 0 whose name is not 1 to 15 bytes");
    domains[0] = "host";
    domains[1] = "";
    assert_refused("has a memory domain 1 whose name is not 1 to 15 bytes");
    for (int i = 0; i <= LLMRUN_COLLECTIVE_DOMAINS; i++)
        domains[i] = "host";
    assert_refused("names more than 8 memory domains");
    set_up(state);
    plugin.abi_minor = 1;
    assert_refused("contradicts itself: contract 0.1 in its table, 0.2 in its note");
    plugin.abi_minor = 2;
    plugin.name = "other";
    assert_refused("contradicts itself: it is named 'other' in its table, 'mine' in its note");
}

/* Opens `value` after a search for it and through `list`; the sentence of a refusal is in *error. */
static int open_collective(const char *value, const char *list, const struct collective **out, struct error *error)
{
    struct plugin_search search = {.listed = list};
    struct registry registry;
    int status = plugin_search_name(&search, LLMRUN_PLUGIN_COLLECTIVE, value, error);

    assert_int_equal(status, STATUS_OK);
    assert_int_equal(registry_init(&search, device_trial, &registry, error), STATUS_OK);
    status = registry_open_collective(&registry, value, out, error);
    registry_finish(&registry);
    return status;
}

static void one_is_opened_by_name_or_by_path_and_loaded_once(void **state)
{
    const struct collective *first, *second;
    struct error error;

    (void)state;
    assert_int_equal(open_collective("loopback", LOOPBACK, &first, &error), STATUS_OK);
    assert_string_equal(first->name, "loopback");
    assert_string_equal(first->path, LOOPBACK);
    assert_int_equal(first->mode, LLMRUN_COLLECTIVE_HOST_DRIVEN);
    assert_int_equal(first->domain_count, 1);
    assert_int_equal(open_collective("loopback=" LOOPBACK, NULL, &second, &error), STATUS_OK);
    assert_ptr_equal(first, second);
}

static void assert_not_opened(const char *value, const char *list, const char *part)
{
    const struct collective *out = (const struct collective *)&copied;
    struct error error = {0};

    assert_int_equal(open_collective(value, list, &out, &error), STATUS_BACKEND);
    assert_null(out);
    if (strstr(error.message, part) == NULL)
        fail_msg("\"%s\", not \"%s\"", error.message, part);
}

static void what_is_no_collective_is_refused(void **state)
{
    const struct plugin_search search = {.listed = LOOPBACK};
    const struct backend *backend;
    struct registry registry;
    struct error error = {0};

    (void)state;
    assert_not_opened("ring", LOOPBACK, "there is no collective 'ring'; found: loopback (`llmrun backends` lists all)");
    assert_not_opened("ring=" LOOPBACK, NULL, "is the plugin 'loopback', not 'ring'");
    assert_not_opened("counting=" TEST_PLUGINS "/libllmrun-counting.so", NULL, "is a backend, not a collective");
    assert_not_opened("counting", TEST_PLUGINS, "there is no collective 'counting'");
    for (int i = 0; i < 2; i++) /* the refusal is the same the second time */
        assert_not_opened("faulty-collective", TEST_PLUGINS "/faulty",
                          "does not export the symbol llmrun_collective_entry");
    assert_int_equal(registry_init(&search, device_trial, &registry, &error), STATUS_OK);
    assert_int_equal(registry_open(&registry, "loopback", &backend, &error), STATUS_BACKEND);
    assert_non_null(strstr(error.message, "there is no backend 'loopback'; found: none"));
    assert_int_equal(registry_open(&registry, "auto", &backend, &error), STATUS_BACKEND);
    registry_finish(&registry);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_whole_table_is_copied, set_up),
        cmocka_unit_test_setup(every_entry_is_missed_by_name, set_up),
        cmocka_unit_test_setup(a_stream_ordered_plugin_has_nothing_to_wait_for, set_up),
        cmocka_unit_test_setup(a_table_cut_at_any_length_is_refused, set_up),
        cmocka_unit_test_setup(modes_and_domains_that_cannot_be_are_refused, set_up),
        cmocka_unit_test(one_is_opened_by_name_or_by_path_and_loaded_once),
        cmocka_unit_test(what_is_no_collective_is_refused),
    };

    return cmocka_run_group_tests_name("plugin collective", tests, NULL, NULL);
}
