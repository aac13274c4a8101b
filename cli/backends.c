#include <stdio.h>

#include "command.h"
#include "options.h"
#include "plugin/probe.h"
#include "support.h"

static const char *kind_name(uint32_t kind)
{
    return kind == LLMRUN_PLUGIN_BACKEND ? "backend" : kind == LLMRUN_PLUGIN_COLLECTIVE ? "collective" : "-";
}

static void print_devices(const struct plugin_probe *probe)
{
    if (probe->device_count == 0)
        puts("    no device");
    for (int32_t i = 0; i < probe->info_count; i++) {
        const struct llmrun_device_info *info = &probe->infos[i];

        printf("    device %d: %s, %s, %.1f GB%s\n", i, info->name, info->architecture,
               (double)info->memory_bytes / 1e9, info->exact ? ", exact" : "");
    }
}

/* Usable backends are asked for their devices in a child process, so a plugin that crashes is a line of the list. */
static void print_candidate(struct candidate *candidate, bool probes)
{
    struct plugin_probe probe;
    struct error error;
    bool asked = false;

    if (probes && candidate->state == CANDIDATE_USABLE && candidate->note.kind == LLMRUN_PLUGIN_BACKEND)
        asked = plugin_probe(candidate, PROBE_TIMEOUT_NS, &probe, &error) == STATUS_OK;
    printf("%-10s %-9s %-10s %-8s ABI %u.%u  %s\n", candidate->note.name[0] != '\0' ? candidate->note.name : "-",
           candidate_state_name(candidate->state), kind_name(candidate->note.kind),
           candidate->note.version[0] != '\0' ? candidate->note.version : "-", candidate->note.abi_major,
           candidate->note.abi_minor, candidate->path);
    if (candidate->reason[0] != '\0')
        printf("    %s\n", candidate->reason);
    if (asked)
        print_devices(&probe);
}

static void print_candidates(struct registry *registry, bool probes)
{
    for (int64_t i = 0; i < registry->count; i++)
        print_candidate(&registry->items[i], probes);
    if (registry->count == 0)
        puts("no plugin was found; LLMRUN_BACKEND_PATH names folders to look in");
}

int command_backends(int argc, char **argv, struct error *error)
{
    const char *named = NULL, *support = NULL;
    bool quick = false;
    const struct command_option options[] = {
        {"backend", OPTION_TEXT, "NAME=PATH", "look at this file too, first", .target = &named},
        {"no-probe", OPTION_SWITCH, NULL, "do not run the plugins' code to count devices", .target = &quick},
        {"support", OPTION_TEXT, "NAME,...",
         "print the ops that these backends compute, as Markdown; all: every one with a device", .target = &support},
    };
    const struct usage usage = {"backends", "The backends found: state, reason, devices", .options = options,
                                .option_count = sizeof options / sizeof options[0]};
    struct arguments arguments;
    struct plugin_search search;
    struct registry registry;
    int status = options_parse(&usage, argc, argv, &arguments, error);

    if (status == STATUS_OK && !arguments.done && quick && support != NULL)
        status =
            error_set(error, STATUS_USAGE, "--no-probe has no effect with --support, which runs the plugins' code");
    if (status == STATUS_OK && !arguments.done) {
        status = plugin_search_default(&search, named, error);
        if (status == STATUS_OK)
            status = registry_create(&search, &registry, error);
        if (status == STATUS_OK) {
            if (support != NULL)
                status = support_print(&registry, support, error);
            else
                print_candidates(&registry, !quick);
            registry_destroy(&registry);
        }
    }
    arguments_free(&arguments);
    return status;
}
