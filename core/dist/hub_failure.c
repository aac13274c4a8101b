#include "dist/hub_failure.h"

#include <stdio.h>
#include <stdlib.h>

#define COLLECT_NS INT64_C(2000000000)
/* A rank that fails by itself breaks its collectives, and others may be quicker to say so. */
#define SETTLE_NS INT64_C(300000000)

void hub_tell_verdict(struct hub *hub, int status, int32_t rank, const char *sentence, int64_t now_ns)
{
    struct wire wire = {0};

    if (hub->phase == HUB_FAILED)
        return;
    wire_put_u32(&wire, (uint32_t)status);
    wire_put_u32(&wire, rank >= 0 ? (uint32_t)rank : PROTOCOL_NO_RANK);
    wire_put_text(&wire, sentence);
    for (int32_t i = 0; i < hub->world; i++)
        if (member_is_here(&hub->members[i]))
            hub_send(hub, &hub->members[i], FRAME_VERDICT, &wire);
    free(wire.data);
    hub->phase = HUB_FAILED;
    hub->phase_ns = now_ns;
}

/* `more` may be "". */
static void blame(struct hub *hub, int32_t rank, int status, const char *what, const char *more, int64_t now_ns)
{
    char who[MEMBER_TEXT_BYTES], note[MEMBER_TEXT_BYTES];
    struct error error;

    member_describe(hub, rank, who);
    member_describe_note(&hub->members[rank], note);
    error_set(&error, status, "%s %s%s%s%s", who, what, note, more[0] != '\0' ? "; " : "", more);
    hub_tell_verdict(hub, status, rank, error.message, now_ns);
}

static void start_collection(struct hub *hub, int64_t now_ns)
{
    hub->phase = HUB_COLLECTING;
    hub->phase_ns = now_ns;
    hub_send_all(hub, FRAME_COLLECT, NULL);
}

void hub_rank_failed(struct hub *hub, int32_t rank, const struct error *error, int64_t now_ns)
{
    char what[sizeof error->message];

    if (hub->lost >= 0)
        return; /* that is why */
    if (rank >= 0 && error->status != STATUS_PEER) {
        snprintf(what, sizeof what, "failed: %.900s", error->message);
        blame(hub, rank, error->status, what, "", now_ns);
        return;
    }
    if (hub->phase == HUB_COLLECTING || hub->phase == HUB_FAILED)
        return;
    hub->suspect = rank;
    hub->suspicion = *error;
    start_collection(hub, now_ns);
}

void hub_rank_lost(struct hub *hub, int32_t rank, const char *how, int64_t now_ns)
{
    if (hub->lost >= 0 || hub->phase == HUB_FAILED)
        return;
    hub->lost = rank;
    snprintf(hub->how, sizeof hub->how, "%s", how);
    if (hub->phase == HUB_JOINING)
        blame(hub, rank, STATUS_PEER, how, "", now_ns);
    else if (hub->phase == HUB_RUNNING)
        start_collection(hub, now_ns);
}

void hub_rank_silent(struct hub *hub, int32_t rank, int64_t now_ns)
{
    char what[128];

    snprintf(what, sizeof what, "has not been heard for %.1f s (parallel.timeout is %.6g s): it is stopped or cut off",
             1e-9 * (double)(now_ns - hub->members[rank].heard_ns), 1e-9 * (double)hub->options.timeout_ns);
    hub_rank_lost(hub, rank, what, now_ns);
}

static void list_records(struct hub *hub)
{
    for (int32_t i = 0; i < hub->world; i++)
        hub->records[i] = (struct record_bytes){hub->members[i].report.data, hub->members[i].report.bytes};
}

/* The rank itself told last what it did some time ago; those who work with it know better. */
static void tell_lost(struct hub *hub, int64_t now_ns)
{
    char sentence[RECORDS_SENTENCE] = "";

    list_records(hub);
    records_tell_lost(hub->records, hub->world, hub->lost, sentence);
    for (int32_t i = 0; i < hub->world && sentence[0] == '\0'; i++) {
        const struct member *member = &hub->members[i];

        if (i != hub->lost && member->reported && member->what[0] != '\0')
            snprintf(sentence, sizeof sentence, "rank %d is at step %lld in %s", (int)i, (long long)member->step,
                     member->what);
    }
    blame(hub, hub->lost, STATUS_PEER, hub->how, sentence, now_ns);
}

/* From the reports: what differs between the ranks. */
static bool tell_records(struct hub *hub, int64_t now_ns)
{
    char sentence[RECORDS_SENTENCE], who[MEMBER_TEXT_BYTES], note[MEMBER_TEXT_BYTES];
    struct error error;
    int32_t culprit = -1;
    enum records_answer found;

    list_records(hub);
    found = records_compare(hub->records, hub->world, sentence, &culprit);
    if (found == RECORDS_DIFFER) {
        member_describe(hub, culprit, who);
        member_describe_note(&hub->members[culprit], note);
        error_set(&error, STATUS_PEER, "the ranks do not do the same: %s; look at %s%s", sentence, who, note);
        hub_tell_verdict(hub, STATUS_PEER, culprit, error.message, now_ns);
    } else if (found == RECORDS_STUCK) {
        hub_tell_verdict(hub, STATUS_PEER, -1, sentence, now_ns);
    }
    return found != RECORDS_FIT;
}

/* Of the ranks that have not reported the one that was not heard for the longest time; -1: none. */
static int32_t find_silent(const struct hub *hub)
{
    int32_t silent = -1;

    for (int32_t i = 0; i < hub->world; i++)
        if (i != hub->lost && hub->members[i].state == MEMBER_JOINED && !hub->members[i].reported)
            silent = silent < 0 || hub->members[i].heard_ns < hub->members[silent].heard_ns ? i : silent;
    return silent;
}

static void tell_suspicion(struct hub *hub, int64_t now_ns)
{
    char who[MEMBER_TEXT_BYTES];
    struct error error;

    if (hub->suspect < 0) {
        hub_tell_verdict(hub, hub->suspicion.status, -1, hub->suspicion.message, now_ns);
        return;
    }
    member_describe(hub, hub->suspect, who);
    error_set(&error, STATUS_PEER, "%s failed: %.900s", who, hub->suspicion.message);
    hub_tell_verdict(hub, STATUS_PEER, hub->suspect, error.message, now_ns);
}

void hub_collect(struct hub *hub, int64_t now_ns)
{
    const int64_t limit_ns = hub->options.timeout_ns < COLLECT_NS ? hub->options.timeout_ns : COLLECT_NS;
    const int64_t passed_ns = now_ns - hub->phase_ns;
    const int32_t silent = find_silent(hub);

    if (hub->lost >= 0) {
        if (silent < 0 || passed_ns >= SETTLE_NS)
            tell_lost(hub, now_ns);
        return;
    }
    if (passed_ns < (silent >= 0 ? limit_ns : SETTLE_NS))
        return;
    if (silent >= 0)
        blame(hub, silent, STATUS_PEER, "does not answer: it is stopped or cut off", "", now_ns);
    else if (!tell_records(hub, now_ns))
        tell_suspicion(hub, now_ns);
}
