#include <stdio.h>
#include <string.h>

#include "checkpoint/find.h"
#include "checkpoint/folder.h"
#include "checkpoint/verify.h"
#include "command.h"
#include "options.h"

static const char *condition_name(enum checkpoint_condition condition)
{
    static const char *const names[] = {[CHECKPOINT_COMPLETE] = "complete",
                                        [CHECKPOINT_PARTIAL] = "partial",
                                        [CHECKPOINT_TORN] = "torn",
                                        [CHECKPOINT_FOREIGN] = "foreign"};

    return names[condition];
}

static int list(const char *run_folder, struct error *error)
{
    struct checkpoint_listing listing = {0};
    char folder[PATH_MAX];
    int status;

    if (!file_join(folder, sizeof folder, run_folder, "ckpt"))
        return error_set(error, STATUS_USAGE, "the path is too long");
    if (!folder_exists(run_folder))
        return error_set(error, STATUS_INPUT, "%s is no folder; a run folder is wanted", run_folder);
    status = checkpoint_list(&file_system_real, folder_exists(folder) ? folder : run_folder, &listing, error);
    if (status != STATUS_OK)
        return status;
    for (int64_t i = 0; i < listing.count; i++) {
        const struct checkpoint_entry *entry = &listing.entries[i];

        printf("%-9s %10lld  %10.1f MB  %s%s%s\n", condition_name(entry->condition), (long long)entry->step,
               (double)entry->bytes / 1e6, entry->name, entry->reason[0] != '\0' ? ": " : "", entry->reason);
    }
    if (listing.count == 0)
        printf("no checkpoint in %s\n", folder);
    checkpoint_listing_finish(&listing);
    return STATUS_OK;
}

static void print_problem(void *context, const char *file, const char *tensor, const char *sentence)
{
    (void)context;
    printf("%s%s%s: %s\n", file, tensor != NULL ? ", tensor " : "", tensor != NULL ? tensor : "", sentence);
}

static int verify(const char *given, struct error *error)
{
    char folder[PATH_MAX];
    int64_t bytes;
    int status = checkpoint_resolve(&file_system_real, given, folder, error);

    if (status != STATUS_OK)
        return status;
    status = checkpoint_verify(&file_system_real, folder, print_problem, NULL, &bytes, error);
    if (status == STATUS_OK)
        printf("%s: every byte of %.1f MB is as it was saved\n", folder, (double)bytes / 1e6);
    return status;
}

int command_checkpoint(int argc, char **argv, struct error *error)
{
    const struct usage usages[] = {
        {"checkpoint list", "The checkpoints of a run", .words = "RUN_DIR", .least_words = 1, .most_words = 1},
        {"checkpoint verify", "Checks every byte of a checkpoint", .words = "CKPT", .least_words = 1, .most_words = 1},
    };
    struct arguments arguments;
    int chosen = -1, status;

    for (int i = 0; argc > 1 && i < 2; i++)
        if (strcmp(argv[1], strchr(usages[i].command, ' ') + 1) == 0)
            chosen = i;
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        puts("usage: llmrun checkpoint list RUN_DIR\n       llmrun checkpoint verify CKPT");
        return STATUS_OK;
    }
    if (chosen < 0)
        return error_set(error, STATUS_USAGE, "checkpoint wants list or verify%s%.40s", argc > 1 ? ", not " : "",
                         argc > 1 ? argv[1] : "");
    status = options_parse(&usages[chosen], argc - 1, argv + 1, &arguments, error);
    if (status == STATUS_OK && !arguments.done)
        status = chosen == 0 ? list(arguments.words[0], error) : verify(arguments.words[0], error);
    arguments_free(&arguments);
    return status;
}
