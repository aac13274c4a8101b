#include "dist/hub_members.h"

#include <stdio.h>

bool member_is_here(const struct member *member)
{
    return member->state == MEMBER_CONNECTED || member->state == MEMBER_JOINED;
}

void hub_send(struct hub *hub, struct member *member, uint32_t type, const struct wire *wire)
{
    const struct frame_part part = {wire != NULL ? wire->data : NULL, wire != NULL ? wire->length : 0};

    (void)hub;
    if (member->connection.socket < 0)
        return;
    if ((wire != NULL && wire->failed) || connection_queue(&member->connection, type, &part, 1, NULL) != STATUS_OK)
        connection_finish(&member->connection);
}

void hub_send_all(struct hub *hub, uint32_t type, const struct wire *wire)
{
    for (int32_t i = 0; i < hub->world; i++)
        if (hub->members[i].state == MEMBER_JOINED)
            hub_send(hub, &hub->members[i], type, wire);
}

void member_describe(const struct hub *hub, int32_t rank, char text[MEMBER_TEXT_BYTES])
{
    const struct member *member = &hub->members[rank];

    if (member->host[0] != '\0')
        snprintf(text, MEMBER_TEXT_BYTES, "rank %d on host %s (process %u)", (int)rank, member->host, member->process);
    else
        snprintf(text, MEMBER_TEXT_BYTES, "rank %d", (int)rank);
}

void member_describe_note(const struct member *member, char text[MEMBER_TEXT_BYTES])
{
    text[0] = '\0';
    if (member->what[0] == '\0')
        return;
    if (member->step > 0)
        snprintf(text, MEMBER_TEXT_BYTES, "; it was at step %lld in %s", (long long)member->step, member->what);
    else
        snprintf(text, MEMBER_TEXT_BYTES, "; it was in %s", member->what);
}
