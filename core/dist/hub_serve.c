#include "dist/hub_serve.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "dist/hub_failure.h"

static void refuse(struct hub *hub, struct connection *connection, const struct error *error)
{
    struct wire wire = {0};
    struct frame_part part;

    (void)hub;
    wire_put_u32(&wire, (uint32_t)error->status);
    wire_put_text(&wire, error->message);
    part = (struct frame_part){wire.data, wire.length};
    /* Nothing of the other side is unread, so that closing loses nothing of what is sent. */
    if (!wire.failed && connection_queue(connection, FRAME_REFUSE, &part, 1, NULL) == STATUS_OK)
        connection_write(connection);
    connection_finish(connection);
    free(wire.data);
    log_line(LOG_WARNING, "control channel: refused a rank: %s", error->message);
}

void hub_admit(struct hub *hub, struct connection *connection, int32_t rank, int32_t world, int64_t now_ns)
{
    struct member *member;
    struct error error;

    if (world != hub->world) {
        error_set(&error, STATUS_USAGE, "rank %d says that there are %d ranks, rank 0 says %d", (int)rank, (int)world,
                  (int)hub->world);
        refuse(hub, connection, &error);
        return;
    }
    if (rank < 0 || rank >= world || hub->members[rank].state != MEMBER_ABSENT) {
        char who[MEMBER_TEXT_BYTES] = "";

        if (rank >= 0 && rank < world)
            member_describe(hub, rank, who);
        error_set(&error, STATUS_USAGE,
                  "rank %d of %d has come twice; %s is here already: do two jobs share an address "
                  "and a secret?",
                  (int)rank, (int)world, who);
        refuse(hub, connection, &error);
        return;
    }
    member = &hub->members[rank];
    *member =
        (struct member){.connection = *connection, .state = MEMBER_CONNECTED, .heard_ns = now_ns, .noted_ns = now_ns};
    hub_send(hub, member, FRAME_WELCOME, NULL);
}

static void start(struct hub *hub)
{
    struct wire wire = {0};

    for (int32_t i = 0; i < hub->world; i++) {
        wire_put_text(&wire, hub->members[i].host);
        wire_put_u32(&wire, hub->members[i].process);
    }
    hub_send_all(hub, FRAME_START, &wire);
    free(wire.data);
    admission_finish(&hub->admission);
    hub->phase = HUB_RUNNING;
}

static void take_join(struct hub *hub, struct member *member, struct wire_reader *reader)
{
    wire_take_text(reader, member->host, sizeof member->host);
    member->process = wire_take_u32(reader);
    member->state = MEMBER_JOINED;
    for (int32_t i = 0; i < hub->world; i++)
        if (hub->members[i].state != MEMBER_JOINED)
            return;
    if (hub->phase == HUB_JOINING)
        start(hub);
}

/* The result of a gather to each of its ranks: the same bytes behind each one's call number. */
static void send_result(struct hub *hub, struct gather *gather)
{
    struct frame_part *parts = calloc((size_t)gather->count + 1, sizeof *parts);
    struct wire head = {0};
    uint8_t call[8];

    wire_put_u64(&head, 0);
    wire_put_u32(&head, (uint32_t)gather->count);
    for (int32_t i = 0; i < gather->count; i++)
        wire_put_u64(&head, (uint64_t)gather->parts[i].bytes);
    for (int32_t i = 0; i < gather->count && parts != NULL; i++)
        parts[i + 1] = (struct frame_part){gather->parts[i].data, gather->parts[i].bytes};
    for (int32_t i = 0; i < gather->count; i++) {
        struct member *member = &hub->members[gather->ranks[i]];

        if (parts == NULL || head.failed) {
            connection_finish(&member->connection);
            continue;
        }
        wire_store_u64(call, gather->parts[i].call);
        for (int b = 0; b < 8; b++)
            head.data[b] = call[b];
        parts[0] = (struct frame_part){head.data, head.length};
        if (member->connection.socket >= 0 &&
            connection_queue(&member->connection, FRAME_RESULT, parts, gather->count + 1, NULL) != STATUS_OK)
            connection_finish(&member->connection);
    }
    free(head.data);
    free(parts);
}

/* A result that is too long for a frame is refused before it is made. */
static int check_bytes(const struct gather *gather, struct error *error)
{
    int64_t bytes = 0;

    for (int32_t i = 0; i < gather->count; i++)
        bytes += gather->parts[i].bytes + 8;
    if (bytes + 64 <= FRAME_BYTES_MOST)
        return STATUS_OK;
    return error_set(error, STATUS_PEER,
                     "%d ranks gather %lld bytes over the control channel; at most %lld are possible",
                     (int)gather->count, (long long)bytes, (long long)FRAME_BYTES_MOST);
}

static void take_gather(struct hub *hub, int32_t rank, struct frame *frame, int64_t now_ns)
{
    struct gather *complete;
    struct error error;
    int status;

    if (hub->phase != HUB_RUNNING) {
        free(frame->data);
        return;
    }
    status = gathering_take(&hub->gathering, rank, frame, now_ns, &complete, &error);
    if (status == STATUS_OK && complete != NULL)
        status = check_bytes(complete, &error);
    if (status != STATUS_OK) {
        hub_rank_failed(hub, -1, &error, now_ns);
        return;
    }
    if (complete == NULL)
        return;
    send_result(hub, complete);
    gathering_drop(&hub->gathering, complete);
}

static void take_beat(struct member *member, struct wire_reader *reader, int64_t now_ns)
{
    const int64_t step = (int64_t)wire_take_u64(reader);
    char what[sizeof member->what];

    wire_take_text(reader, what, sizeof what);
    if (step == member->step && strcmp(what, member->what) == 0)
        return;
    member->step = step;
    memcpy(member->what, what, sizeof what);
    member->noted_ns = now_ns;
}

static void take_leave(struct hub *hub, int32_t rank, int64_t now_ns)
{
    struct member *member = &hub->members[rank];
    struct error error;

    member->state = MEMBER_LEFT;
    hub_send(hub, member, FRAME_BYE, NULL);
    if (hub->phase == HUB_RUNNING && gathering_leave(&hub->gathering, rank, &error) != STATUS_OK)
        hub_rank_failed(hub, -1, &error, now_ns);
}

static void take_frame(struct hub *hub, int32_t rank, struct frame *frame, int64_t now_ns)
{
    struct member *member = &hub->members[rank];
    struct wire_reader reader = wire_read(frame->data, frame->bytes);
    struct error error;

    switch (frame->type) {
    case FRAME_JOIN:
        if (member->state == MEMBER_CONNECTED)
            take_join(hub, member, &reader);
        break;
    case FRAME_GATHER:
        take_gather(hub, rank, frame, now_ns);
        return;
    case FRAME_BEAT:
        take_beat(member, &reader, now_ns);
        break;
    case FRAME_REPORT:
        free(member->report.data);
        member->report = *frame;
        member->reported = true;
        return;
    case FRAME_FAIL:
        error.status = (int)wire_take_u32(&reader);
        wire_take_text(&reader, error.message, sizeof error.message);
        hub_rank_failed(hub, rank, &error, now_ns);
        break;
    case FRAME_BYE:
        take_leave(hub, rank, now_ns);
        break;
    default:
        break;
    }
    free(frame->data);
}

static const char *answer_text(enum connection_answer answer)
{
    return answer == CONNECTION_CLOSED    ? "is gone: its connection was closed without a word"
           : answer == CONNECTION_DAMAGED ? "sent a message that is damaged or forged"
                                          : "sent a message for which rank 0 has no memory";
}

void hub_serve(struct hub *hub, int32_t rank, int64_t now_ns)
{
    struct member *member = &hub->members[rank];
    enum connection_answer answer;
    struct frame frame;

    while (member->connection.socket >= 0) {
        answer = connection_read(&member->connection, &frame);
        if (answer == CONNECTION_NOTHING)
            return;
        if (answer != CONNECTION_FRAME)
            break;
        member->heard_ns = now_ns;
        take_frame(hub, rank, &frame, now_ns);
    }
    if (member->connection.socket >= 0)
        connection_finish(&member->connection);
    else
        answer = CONNECTION_NO_MEMORY;
    if (member->state == MEMBER_LEFT)
        return;
    /* Who goes before all have joined may come again: it lost its place to a flood, or its process is restarted. */
    if (hub->phase == HUB_JOINING && member->state == MEMBER_CONNECTED) {
        member->state = MEMBER_ABSENT;
        return;
    }
    member->state = MEMBER_LOST;
    hub_rank_lost(hub, rank, answer_text(answer), now_ns);
}
