#include "dist/rendezvous.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "dist/variables.h"

/* Below the ports that systems give to connections (32768 on), above those of most services. */
#define FIRST_PORT 10000
#define PORTS      20000

static int read_port(const char *text, int32_t *port)
{
    char *end;
    const long value = strtol(text, &end, 10);

    *port = (int32_t)value;
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && value >= 1 && value <= 65535;
}

int rendezvous_parse(const char *text, const char *variable, char host[RENDEZVOUS_HOST_BYTES], int32_t *port,
                     struct error *error)
{
    const char *colon = strrchr(text, ':');
    const char *first = text, *last = colon;

    if (colon != NULL && text[0] == '[' && colon > text + 1 && colon[-1] == ']') {
        first++;
        last--;
    } else if (colon != NULL && memchr(text, ':', (size_t)(colon - text)) != NULL) {
        colon = NULL; /* an address of version 6 needs its brackets, else its end looks like a port */
    }
    if (colon == NULL || last == first || last - first >= RENDEZVOUS_HOST_BYTES || !read_port(colon + 1, port))
        return error_set(error, STATUS_USAGE, "%s is '%.120s'; expected host:port, e.g. node1:29500 or [fd00::1]:29500",
                         variable, text);
    snprintf(host, RENDEZVOUS_HOST_BYTES, "%.*s", (int)(last - first), first);
    return STATUS_OK;
}

int node_list_first(const char *list, char name[RENDEZVOUS_HOST_BYTES], struct error *error)
{
    int length = 0;
    const char *at = list;

    while (*at != '\0' && *at != ',' && length < RENDEZVOUS_HOST_BYTES - 1) {
        if (*at != '[') {
            name[length++] = *at++;
            continue;
        }
        /* Of a list of ranges the first number; the name may go on behind the bracket. */
        for (at++; *at >= '0' && *at <= '9' && length < RENDEZVOUS_HOST_BYTES - 1;)
            name[length++] = *at++;
        at = strchr(at, ']');
        if (at == NULL)
            break;
        at++;
    }
    if (at == NULL || length == 0 || length == RENDEZVOUS_HOST_BYTES - 1)
        return error_set(error, STATUS_USAGE, "SLURM_STEP_NODELIST is '%.120s'; expected names like node[01-03,7]",
                         list);
    name[length] = '\0';
    return STATUS_OK;
}

static int32_t port_of_id(const char *id)
{
    return FIRST_PORT + (int32_t)(hash_text(id) % PORTS);
}

static int read_master(char *const *variables, struct rank_environment *environment, struct error *error)
{
    const char *address = variable_find(variables, "MASTER_ADDR");
    const char *port = variable_find(variables, "MASTER_PORT");
    const char *store = variable_find(variables, "TORCHELASTIC_USE_AGENT_STORE");

    if (address == NULL || port == NULL)
        return error_set(error, STATUS_USAGE, "%s is set and %s is not; set both, or LLMRUN_RENDEZVOUS=host:port",
                         address != NULL ? "MASTER_ADDR" : "MASTER_PORT",
                         address != NULL ? "MASTER_PORT" : "MASTER_ADDR");
    if (!read_port(port, &environment->port))
        return error_set(error, STATUS_USAGE, "MASTER_PORT is '%.80s'; expected a number from 1 to 65535", port);
    if (strlen(address) >= sizeof environment->host)
        return error_set(error, STATUS_USAGE, "MASTER_ADDR has %zu characters; at most %zu are possible",
                         strlen(address), sizeof environment->host - 1);
    snprintf(environment->host, sizeof environment->host, "%s", address);
    if (store != NULL && strcmp(store, "True") == 0)
        environment->port = environment->port < 65535 ? environment->port + 1 : environment->port - 1;
    return STATUS_OK;
}

static int read_slurm(char *const *variables, struct rank_environment *environment, struct error *error)
{
    const char *job = variable_find(variables, "SLURM_JOB_ID");
    const char *step = variable_find(variables, "SLURM_STEP_ID");
    const char *nodes = variable_find(variables, "SLURM_STEP_NODELIST");
    char id[128];

    if (job == NULL || step == NULL || nodes == NULL)
        return error_set(error, STATUS_USAGE,
                         "%s is not set, so nothing says where rank 0 is; set LLMRUN_RENDEZVOUS=host:port",
                         job == NULL    ? "SLURM_JOB_ID"
                         : step == NULL ? "SLURM_STEP_ID"
                                        : "SLURM_STEP_NODELIST");
    snprintf(id, sizeof id, "%.60s.%.60s", job, step);
    environment->port = port_of_id(id);
    return node_list_first(nodes, environment->host, error);
}

int rendezvous_read(char *const *variables, struct rank_environment *environment, struct error *error)
{
    const char *given = variable_find(variables, "LLMRUN_RENDEZVOUS");
    const char *job = variable_find(variables, "PMIX_NAMESPACE");

    if (given != NULL)
        return rendezvous_parse(given, "LLMRUN_RENDEZVOUS", environment->host, &environment->port, error);
    if (environment->world == 1)
        return STATUS_OK;
    if (variable_find(variables, "MASTER_ADDR") != NULL || variable_find(variables, "MASTER_PORT") != NULL)
        return read_master(variables, environment, error);
    if (strcmp(environment->source, "Slurm") == 0)
        return read_slurm(variables, environment, error);
    if (job != NULL && environment->local_world == environment->world) {
        snprintf(environment->host, sizeof environment->host, "127.0.0.1");
        environment->port = port_of_id(job);
        return STATUS_OK;
    }
    return error_set(error, STATUS_USAGE,
                     "there are %d ranks (%s) and nothing says where rank 0 is: set LLMRUN_RENDEZVOUS=host:port, the "
                     "same for all, with the host of rank 0 and a free port of it",
                     (int)environment->world, environment->source);
}
