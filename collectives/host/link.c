#include "link.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int link_break(struct link *link, const char *format, ...)
{
    va_list arguments;

    if (link->broken[0] == '\0') {
        va_start(arguments, format);
        vsnprintf(link->broken, sizeof link->broken, format, arguments);
        va_end(arguments);
    }
    return -1;
}

static void close_one(int descriptor)
{
    if (descriptor >= 0)
        close(descriptor);
}

void link_destroy(struct link *link)
{
    if (link == NULL)
        return;
    while (link->arrivals != NULL) {
        struct arrival *arrival = link->arrivals;

        link->arrivals = arrival->next;
        free(arrival);
    }
    while (link->first != NULL) {
        struct outgoing *item = link->first;

        link->first = item->next;
        if (item->step == NULL)
            free(item);
    }
    if (link->shared.segment != NULL)
        munmap(link->shared.segment, (size_t)link->shared.bytes);
    close_one(link->shared.bell);
    close_one(link->socket);
    free(link->stream.input);
    free(link);
}
