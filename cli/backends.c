#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "command.h"
#include "hal/trial.h"
#include "options.h"
#include "plugin/probe.h"
#include "support.h"

#define ASKED_AT_ONCE 16

static void print_domains(const struct plugin_probe *probe)
{
    printf("    %s, reaches memory of", collective_mode_name(probe->mode));
    for (int32_t i = 0; i < probe->domain_count; i++)
        printf("%s %s", i > 0 ? "," : "", probe->domains[i]);
    puts("");
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

static void print_candidate(const struct candidate *candidate, const struct plugin_probe *probe)
{
    const char *kind = plugin_kind_name(candidate->note.kind);
    char path[4096];

    snprintf(path, sizeof path, "%s", candidate->path);
    text_hide_controls(path);
    printf("%-10s %-9s %-10s %-8s ABI %u.%u  %s\n", candidate->note.name[0] != '\0' ? candidate->note.name : "-",
           candidate_state_name(candidate->state), kind != NULL ? kind : "-",
           candidate->note.version[0] != '\0' ? candidate->note.version : "-", candidate->note.abi_major,
           candidate->note.abi_minor, path);
    if (candidate->reason[0] != '\0')
        printf("    %s\n", candidate->reason);
    if (probe != NULL && probe->mode != 0)
        print_domains(probe);
    else if (probe != NULL)
        print_devices(probe);
}

/* Usable plugins are asked for their devices or domains in child processes, all of a group at once: a plugin that
 * crashes or hangs is a line of the list, and several that hang take the time of one. */
static void print_group(struct candidate *candidates, int count, bool probes)
{
    static struct plugin_probe probe[ASKED_AT_ONCE];
    struct probe_child children[ASKED_AT_ONCE];
    struct error failure;
    bool asked[ASKED_AT_ONCE] = {false}, fatal;

    memset(children, 0, sizeof children);
    for (int i = 0; i < count && probes; i++)
        if (candidates[i].state == CANDIDATE_USABLE) {
            asked[i] = probe_start(&candidates[i], PROBE_TIMEOUT_NS, &children[i], &failure) == STATUS_OK;
            if (!asked[i])
                candidate_refuse(&candidates[i], &failure);
        }
    for (int i = 0; i < count; i++) {
        if (asked[i] && probe_devices(&children[i], &probe[i], &fatal, &failure) != STATUS_OK) {
            candidate_refuse(&candidates[i], &failure);
            asked[i] = false;
        }
        probe_end(&children[i]);
        print_candidate(&candidates[i], asked[i] ? &probe[i] : NULL);
    }
}

static void print_candidates(struct registry *registry, bool probes)
{
    for (int64_t i = 0; i < registry->count; i += ASKED_AT_ONCE)
        print_group(registry->items + i,
                    (int)(registry->count - i < ASKED_AT_ONCE ? registry->count - i : ASKED_AT_ONCE), probes);
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
    const struct usage usage = {"backends", "The backends and collectives found: state, reason, devices",
                                .options = options, .option_count = sizeof options / sizeof options[0]};
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
            status = registry_init(&search, device_trial, &registry, error);
        if (status == STATUS_OK) {
            if (support != NULL)
                status = support_print(&registry, support, error);
            else
                print_candidates(&registry, !quick);
            registry_finish(&registry);
        }
    }
    arguments_finish(&arguments);
    return status;
}
