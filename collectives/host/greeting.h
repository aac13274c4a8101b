/* The first bytes on a connection, and who is let in by them. */
#ifndef LLMRUN_HOST_GREETING_H
#define LLMRUN_HOST_GREETING_H

#include "meeting.h"

struct greeting {
    uint64_t magic;
    int32_t from, to;
    uint8_t token[TOKEN_BYTES]; /* that `to` made for `from` */
};

/* That this rank shows to `rank`. */
struct greeting greeting_to(const struct meeting *meeting, int32_t rank);
/* Is it one that `greeting->from` has shown to this rank? Takes as long for a wrong token as for the right one. */
bool greeting_holds(const struct meeting *meeting, const struct greeting *greeting);

#endif
