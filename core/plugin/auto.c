#include "plugin/auto.h"

#include <string.h>

#include "base/log.h"
#include "plugin/probe.h"

#define ASKED_AT_ONCE 16 /* child processes */

/* The candidate that auto takes, so far, and the child process that has it loaded; none where it is loaded here. */
struct choice {
    struct candidate *candidate;
    struct probe_child child;
    uint32_t priority;
    struct error failure; /* the first that was no refusal, STATUS_OK: none */
    bool refused;         /* somebody was, in this round */
};

static void choose_none(struct choice *choice)
{
    probe_end(&choice->child);
    choice->candidate = NULL;
    choice->priority = 0;
}

/* Takes a candidate of no further use out, and says so: it is not what the user looks for, and may be. */
static void pass_over(struct choice *choice, struct candidate *candidate, const struct error *failure, bool by_path)
{
    candidate_refuse(candidate, failure);
    choice->refused = true;
    if (choice->failure.status == STATUS_OK)
        choice->failure = *failure;
    log_line(LOG_WARNING, "backend auto passes over %s: %s%s%s", candidate->note.name, by_path ? candidate->path : "",
             by_path ? " " : "", candidate->reason);
}

/* Takes `candidate`, with the child that answered `probe`, where it is better; ends the child where not. */
static void weigh(struct choice *choice, struct candidate *candidate, struct probe_child *child,
                  const struct plugin_probe *probe)
{
    if (probe->device_count == 0 || probe->priority <= choice->priority) {
        probe_end(child);
        return;
    }
    choose_none(choice);
    choice->candidate = candidate;
    choice->child = *child;
    choice->priority = probe->priority;
}

/* Asks `count` candidates at once. */
static void ask_some(struct choice *choice, int64_t timeout_ns, struct candidate **some, int count)
{
    struct probe_child children[ASKED_AT_ONCE];
    struct error failure;
    int started[ASKED_AT_ONCE];

    memset(children, 0, sizeof children);
    for (int i = 0; i < count; i++)
        started[i] =
            some[i]->state == CANDIDATE_LOADED ? STATUS_OK : probe_start(some[i], timeout_ns, &children[i], &failure);
    for (int i = 0; i < count; i++) {
        static struct plugin_probe probe;
        bool fatal = true;
        int result = started[i];

        if (some[i]->state == CANDIDATE_LOADED)
            result = plugin_probe(some[i], timeout_ns, &probe, NULL);
        else if (result == STATUS_OK)
            result = probe_devices(&children[i], &probe, &fatal, &failure);
        if (result == STATUS_OK) {
            weigh(choice, some[i], &children[i], &probe);
            continue;
        }
        probe_end(&children[i]);
        if (some[i]->state == CANDIDATE_LOADED)
            continue;
        if (fatal || result == STATUS_MEMORY)
            pass_over(choice, some[i], &failure, true);
        else
            candidate_refuse(some[i], &failure);
        choice->refused = true;
    }
}

static void choose(struct registry *registry, struct choice *choice)
{
    struct candidate *some[ASKED_AT_ONCE];
    int count = 0;

    for (int64_t i = 0; i < registry->count; i++) {
        struct candidate *candidate = &registry->items[i];

        if (candidate->state <= CANDIDATE_LOADED && candidate->note.kind == LLMRUN_PLUGIN_BACKEND)
            some[count++] = candidate;
        if (count == ASKED_AT_ONCE || (count > 0 && i == registry->count - 1)) {
            ask_some(choice, registry->probe_timeout_ns, some, count);
            count = 0;
        }
    }
}

struct candidate *auto_choose(struct registry *registry, int *status)
{
    struct choice choice;
    struct candidate *best;

    memset(&choice, 0, sizeof choice);
    for (;;) {
        struct error failure;
        bool fatal;

        choice.refused = false;
        choose(registry, &choice);
        best = choice.candidate;
        if (!choice.refused && best != NULL && best->state == CANDIDATE_USABLE &&
            probe_trial(&choice.child, &fatal, &failure) != STATUS_OK)
            pass_over(&choice, best, &failure, fatal);
        choose_none(&choice);
        if (!choice.refused)
            break;
        candidates_unshadow(registry->items, registry->count); /* and once more: what they hid counts now */
    }
    *status = choice.failure.status == STATUS_MEMORY ? STATUS_MEMORY : STATUS_BACKEND;
    return best;
}
