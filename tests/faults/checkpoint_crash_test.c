/* The power fails after every single call of a series of saves. Whatever subset of the unsynced changes reached the
 * disk: the newest complete checkpoint is the last one that was committed or the one in flight, whole to the last byte,
 * and the next save works. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "checkpoint/find.h"
#include "checkpoint/folder.h"
#include "crash_log.h"
#include "fixture.h"

#define SAVES 5

struct series {
    struct crash_log log;
    int64_t start[SAVES], end[SAVES], step[SAVES]; /* calls logged before and after each save */
};

/* Steps 1, 2, 3 (the first is retired), 3 again by another run, 4. */
static void record(struct series *series, const struct fixture *fixture, bool ignore_syncs)
{
    static const int64_t steps[SAVES] = {1, 2, 3, 3, 4};
    struct checkpoint_snapshot snapshot;
    struct error error = {0};

    crash_log_init(&series->log, fixture->folder);
    series->log.ignore_syncs = ignore_syncs;
    for (int i = 0; i < SAVES; i++) {
        fixture_snapshot(&series->log.fs, fixture->ckpt, steps[i], &snapshot);
        snapshot.target.run_id = i < 3 ? "run-1" : "run-2";
        series->step[i] = steps[i];
        series->start[i] = series->log.count;
        if (checkpoint_save(&snapshot, NULL, &error) != STATUS_OK)
            fail_msg("%s", error.message);
        series->end[i] = series->log.count;
    }
}

/* True when the image keeps the promise. */
static bool image_is_good(const struct series *series, int64_t calls, const char *folder)
{
    char ckpt[PATH_MAX], path[PATH_MAX];
    struct checkpoint_listing listing;
    const struct checkpoint_entry *newest;
    int64_t committed = -1, in_flight = -1;
    bool good;

    for (int i = 0; i < SAVES; i++) {
        if (series->end[i] <= calls)
            committed = series->step[i];
        else if (series->start[i] < calls)
            in_flight = series->step[i];
    }
    assert_true(file_join(ckpt, sizeof ckpt, folder, "ckpt"));
    assert_int_equal(checkpoint_list(&file_system_real, ckpt, &listing, NULL), STATUS_OK);
    newest = checkpoint_newest(&listing);
    if (newest == NULL)
        good = committed < 0;
    else
        good = (newest->step == committed || newest->step == in_flight) &&
               file_join(path, sizeof path, ckpt, newest->name) && fixture_is_step(path, newest->step);
    checkpoint_listing_finish(&listing);
    return good;
}

static void save_on_top(const char *folder)
{
    char ckpt[PATH_MAX], path[PATH_MAX];
    bool found = false;

    assert_true(file_join(ckpt, sizeof ckpt, folder, "ckpt"));
    fixture_save(ckpt, 5);
    assert_int_equal(checkpoint_find_newest(&file_system_real, ckpt, path, &found, NULL), STATUS_OK);
    assert_true(found);
    assert_true(fixture_is_step(path, 5));
}

/* Returns how many of the images are bad. */
static int64_t crash_everywhere(const struct series *series, const char *parent, uint32_t seeds, bool go_on)
{
    char folder[PATH_MAX], name[64];
    int64_t bad = 0;

    for (int64_t calls = 0; calls <= series->log.count; calls++)
        for (uint32_t seed = 0; seed < seeds; seed++) {
            enum crash_kind kind = seed == 0 ? CRASH_KILL : seed == 1 ? CRASH_ONLY_SYNC : CRASH_RANDOM;

            snprintf(name, sizeof name, "image-%lld-%u", (long long)calls, seed);
            strcpy(folder, fixture_path(parent, name));
            crash_image(&series->log, calls, kind, seed, folder);
            if (!image_is_good(series, calls, folder))
                bad++;
            else if (go_on && seed < 4)
                save_on_top(folder);
            fixture_remove(folder);
        }
    return bad;
}

static void no_crash_leaves_a_mix_seeds_0_to_7(void **state)
{
    struct fixture *fixture = *state;
    struct series series;

    record(&series, fixture, false);
    assert_true(series.log.count > 100);
    log_set_level(LOG_ERROR);
    assert_int_equal(crash_everywhere(&series, fixture->folder, 8, true), 0);
    log_set_level(LOG_INFO);
    crash_log_finish(&series.log);
}

static void saves_that_sync_nothing_are_caught_by_the_simulator(void **state)
{
    struct fixture *fixture = *state;
    struct series series;

    record(&series, fixture, true);
    log_set_level(LOG_ERROR);
    assert_true(crash_everywhere(&series, fixture->folder, 4, false) > 0);
    log_set_level(LOG_INFO);
    crash_log_finish(&series.log);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(no_crash_leaves_a_mix_seeds_0_to_7),
        TEST(saves_that_sync_nothing_are_caught_by_the_simulator),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
