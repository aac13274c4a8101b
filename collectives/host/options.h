/* What a user may choose: options of a communicator, and for each a variable of the environment, which counts where the
 * option is not given. docs/collectives.md lists them. */
#ifndef LLMRUN_HOST_OPTIONS_H
#define LLMRUN_HOST_OPTIONS_H

#include <stdbool.h>

#include <llmrun/collective.h>

enum transport { TRANSPORT_AUTO, TRANSPORT_SHM, TRANSPORT_TCP };

struct options {
    enum transport transport;
    bool direct;           /* read the memory of other processes where that works */
    int64_t spin_us;       /* a wait polls that long before it sleeps; -1: chosen from the processors at hand */
    int64_t throttle_mbps; /* million bits a second from one rank to another; 0: no limit */
    int64_t latency_us;    /* of each message, on top of what the link has */
    bool count;            /* log operations and bytes at destroy */
    char count_file[256];  /* and append them to this file; "": none */
    char address[64];      /* where other machines reach this one; "": all addresses of its interfaces */
};

/* LLMRUN_ERROR_ARGUMENT, with key and value, for a value that cannot be. */
int32_t options_read(const struct llmrun_communicator_desc *desc, struct options *options, struct llmrun_error *error);

#endif
