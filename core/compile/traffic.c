#include "compile/traffic.h"

#include <string.h>

void traffic_add(const struct compiled *compiled, const struct command *command, struct traffic *traffic)
{
    const struct exchange *exchange = &compiled->exchanges[command->what];

    for (int s = 0; s < exchange->count; s++)
        if (exchange->steps[s].kind < EXCHANGE_COPY) {
            traffic->calls[exchange->axis][exchange->steps[s].kind]++;
            traffic->bytes[exchange->axis][exchange->steps[s].kind] += exchange->steps[s].sent_bytes;
        }
}

void traffic_count(const struct compiled *compiled, enum job job, struct traffic *traffic)
{
    const struct command_list *list = &compiled->commands.jobs[job];

    memset(traffic, 0, sizeof *traffic);
    for (int64_t i = 0; i < list->count; i++)
        if (list->commands[i].kind == COMMAND_COLLECTIVE)
            traffic_add(compiled, &list->commands[i], traffic);
}
