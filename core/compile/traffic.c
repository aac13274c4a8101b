#include "compile/traffic.h"

#include <string.h>

void traffic_count(const struct compiled *compiled, enum job job, struct traffic *traffic)
{
    const struct command_list *list = &compiled->commands.jobs[job];

    memset(traffic, 0, sizeof *traffic);
    for (int64_t i = 0; i < list->count; i++) {
        const struct exchange *exchange =
            list->commands[i].kind == COMMAND_COLLECTIVE ? &compiled->exchanges[list->commands[i].what] : NULL;

        for (int s = 0; exchange != NULL && s < exchange->count; s++)
            if (exchange->steps[s].kind < EXCHANGE_COPY) {
                traffic->calls[exchange->axis][exchange->steps[s].kind]++;
                traffic->bytes[exchange->axis][exchange->steps[s].kind] += exchange->steps[s].sent_bytes;
            }
    }
}
