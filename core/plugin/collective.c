#include "plugin/collective.h"

#include <string.h>

#include "plugin/table.h"

#define PLUGIN(entry)                                                                                                  \
    {                                                                                                                  \
        "plugin", #entry, offsetof(struct llmrun_collective, entry), 2                                                 \
    }
#define TABLE(entry)                                                                                                   \
    {                                                                                                                  \
        "collective", #entry, offsetof(struct llmrun_collective_table, entry), 2                                       \
    }

static const struct table_requirement plugin_rows[] = {PLUGIN(name), PLUGIN(version), PLUGIN(domains), PLUGIN(table)};

/* Those of host-driven plugins only stand at the end. */
#define HOST_DRIVEN_ROWS 2
static const struct table_requirement table_rows[] = {
    TABLE(create),     TABLE(split), TABLE(all_reduce), TABLE(reduce_scatter), TABLE(all_gather), TABLE(broadcast),
    TABLE(all_to_all), TABLE(send),  TABLE(receive),    TABLE(group_begin),    TABLE(group_end),  TABLE(barrier),
    TABLE(status),     TABLE(abort), TABLE(destroy),    TABLE(wait),           TABLE(cancel),
};

const char *collective_mode_name(uint32_t mode)
{
    return mode == LLMRUN_COLLECTIVE_STREAM_ORDERED ? "stream-ordered"
           : mode == LLMRUN_COLLECTIVE_HOST_DRIVEN  ? "host-driven"
                                                    : NULL;
}

static int copy_domains(struct collective *to, const char *const *domains, struct error *error)
{
    to->domain_count = 0;
    for (int i = 0; domains[i] != NULL; i++) {
        size_t length;

        if (i == LLMRUN_COLLECTIVE_DOMAINS)
            return error_set(error, STATUS_BACKEND, "names more than %d memory domains", LLMRUN_COLLECTIVE_DOMAINS);
        length = strnlen(domains[i], COLLECTIVE_DOMAIN_BYTES);
        if (length == 0 || length == COLLECTIVE_DOMAIN_BYTES)
            return error_set(error, STATUS_BACKEND, "has a memory domain %d whose name is not 1 to %d bytes", i,
                             COLLECTIVE_DOMAIN_BYTES - 1);
        table_copy_text(to->domains[i], COLLECTIVE_DOMAIN_BYTES, domains[i]);
        to->domain_count++;
    }
    if (to->domain_count == 0)
        return error_set(error, STATUS_BACKEND, "names no memory domain that it reaches");
    return STATUS_OK;
}

int collective_copy(struct collective *to, const struct llmrun_collective *from, const char *note_name, uint32_t major,
                    uint32_t minor, struct error *error)
{
    const struct table_list plugin_list = TABLE_LIST("plugin", plugin_rows);
    struct table_list list = TABLE_LIST("collective", table_rows);
    struct llmrun_collective plugin;
    int result = table_copy(&plugin, sizeof plugin, from, &plugin_list, minor, error);

    if (result == STATUS_OK)
        result = table_check_note(plugin.abi_major, plugin.abi_minor, plugin.name, major, minor, note_name, error);
    if (result != STATUS_OK)
        return result;
    if (collective_mode_name(plugin.mode) == NULL)
        return error_set(error, STATUS_BACKEND, "is a collective of mode %u, which this llmrun does not know",
                         plugin.mode);
    if (plugin.mode != LLMRUN_COLLECTIVE_HOST_DRIVEN)
        list.count -= HOST_DRIVEN_ROWS;
    result = table_copy(&to->table, sizeof to->table, plugin.table, &list, minor, error);
    if (result == STATUS_OK)
        result = copy_domains(to, plugin.domains, error);
    if (result != STATUS_OK)
        return result;
    table_copy_text(to->name, sizeof to->name, plugin.name);
    table_copy_text(to->version, sizeof to->version, plugin.version);
    to->mode = plugin.mode;
    return STATUS_OK;
}
