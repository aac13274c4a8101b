/* Where rank 0 is met, from environment variables. */
#ifndef LLMRUN_DIST_RENDEZVOUS_H
#define LLMRUN_DIST_RENDEZVOUS_H

#include "dist/environment.h"

/* Fills host and port of `environment`, whose other members are set. STATUS_USAGE where there are several ranks and no
 * variable says it, or where one is malformed. */
int rendezvous_read(char *const *variables, struct rank_environment *environment, struct error *error);

/* Splits "host:port", "[v6 address]:port"; `variable` is named in the sentence of a refusal. */
int rendezvous_parse(const char *text, const char *variable, char host[RENDEZVOUS_HOST_BYTES], int32_t *port,
                     struct error *error);

/* The first name of a list as Slurm writes it: node[01-03,7],other gives node01. STATUS_USAGE for another text. */
int node_list_first(const char *list, char name[RENDEZVOUS_HOST_BYTES], struct error *error);

#endif
