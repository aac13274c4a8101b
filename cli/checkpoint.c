#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "checkpoint/checksum.h"
#include "checkpoint/content_hash.h"
#include "checkpoint/contents.h"
#include "checkpoint/find.h"
#include "checkpoint/folder.h"
#include "checkpoint/verify.h"
#include "command.h"
#include "conversion/export.h"
#include "conversion/import.h"
#include "llmrun/types.h"
#include "options.h"
#include "tensor/dtype.h"

static const char *condition_name(enum checkpoint_condition condition)
{
    static const char *const names[] = {[CHECKPOINT_COMPLETE] = "complete",
                                        [CHECKPOINT_PARTIAL] = "partial",
                                        [CHECKPOINT_TORN] = "torn",
                                        [CHECKPOINT_FOREIGN] = "foreign",
                                        [CHECKPOINT_UNREADABLE] = "unreadable"};

    return names[condition];
}

static int list(const char *run_folder, struct error *error)
{
    struct checkpoint_listing listing = {0};
    char folder[PATH_MAX];
    bool found;
    int status;

    if (!file_join(folder, sizeof folder, run_folder, "ckpt"))
        return error_set(error, STATUS_USAGE, "the path is too long");
    status = folder_find(run_folder, &found, error);
    if (status == STATUS_OK && !found)
        status = error_set(error, STATUS_INPUT, "%s is no folder; a run folder is wanted", run_folder);
    if (status == STATUS_OK)
        status = folder_find(folder, &found, error);
    if (status == STATUS_OK)
        status = checkpoint_list(&file_system_real, found ? folder : run_folder, &listing, error);
    if (status != STATUS_OK)
        return status;
    for (int64_t i = 0; i < listing.count; i++) {
        const struct checkpoint_entry *entry = &listing.entries[i];

        printf("%-10s %10lld  %10.1f MB  %s%s%s", condition_name(entry->condition), (long long)entry->step,
               (double)entry->bytes / 1e6, entry->name, entry->reason[0] != '\0' ? ": " : "", entry->reason);
        if (entry->branch > 0)
            printf(" (branch %lld)", (long long)entry->branch);
        putchar('\n');
        if (entry->condition == CHECKPOINT_UNREADABLE)
            status = error_set(error, STATUS_STORAGE, "%s", entry->reason);
    }
    if (listing.count == 0)
        printf("no checkpoint in %s\n", folder);
    checkpoint_listing_finish(&listing);
    return status;
}

static void print_problem(void *context, const char *file, const char *tensor, const char *sentence)
{
    (void)context;
    printf("%s%s%s: %s\n", file, tensor != NULL ? ", tensor " : "", tensor != NULL ? tensor : "", sentence);
}

static void add_contents(struct text *line, const struct checkpoint *checkpoint, const uint64_t *contents, uint64_t all)
{
    const struct manifest *manifest = &checkpoint->manifest;
    char content[CONTENT_TEXT_BYTES], sum[CHECKSUM_TEXT_BYTES], shape[SHAPE_TEXT_BYTES];

    text_add(line, ",\"step\":%lld,\"contents\":\"%s\",\"tensors\":{", (long long)manifest->step,
             checksum_print(all, sum));
    for (int64_t i = 0; i < manifest->tensor_count; i++) {
        const struct manifest_tensor *tensor = &manifest->tensors[i];

        text_add(line, "%s", i > 0 ? "," : "");
        text_add_json(line, tensor->name);
        text_add(line, ":{\"dtype\":\"%s\",\"shape\":%s,\"content\":\"%s\"}", dtype_name(tensor->dtype),
                 shape_print(&tensor->shape, shape), content_print(contents[i], content));
    }
    text_add(line, "}}");
}

/* One object, of a checkpoint that was verified. */
static int print_contents(const char *folder, int64_t bytes, struct error *error)
{
    struct checkpoint checkpoint;
    struct text line = {0};
    uint64_t *contents = NULL, all;
    int status = checkpoint_open(&file_system_real, folder, &checkpoint, error);

    if (status == STATUS_OK &&
        (contents = malloc((size_t)(checkpoint.manifest.tensor_count + 1) * sizeof *contents)) == NULL)
        status = error_set(error, STATUS_MEMORY, "no memory for a list of tensors");
    if (status == STATUS_OK)
        status = checkpoint_contents(&checkpoint, contents, &all, error);
    if (status == STATUS_OK) {
        text_add(&line, "{\"checkpoint\":");
        text_add_json(&line, folder);
        text_add(&line, ",\"bytes\":%lld", (long long)bytes);
        add_contents(&line, &checkpoint, contents, all);
        if (line.failed)
            status = error_set(error, STATUS_MEMORY, "no memory for a line of text");
        else
            puts(line.data);
    }
    text_finish(&line);
    free(contents);
    checkpoint_close(&checkpoint);
    return status;
}

static int verify(const char *given, bool json, struct error *error)
{
    char folder[PATH_MAX];
    int64_t bytes;
    int status;

    do {
        status = checkpoint_resolve(&file_system_real, given, folder, error);
        if (status != STATUS_OK)
            return status;
        status = checkpoint_verify(&file_system_real, folder, json ? NULL : print_problem, NULL, &bytes, error);
        if (status == STATUS_OK && json)
            status = print_contents(folder, bytes, error);
    } while (status == STATUS_INPUT && checkpoint_moved_on(&file_system_real, given, folder));
    if (status == STATUS_OK && !json)
        printf("%s: every byte of %.1f MB is as it was saved\n", folder, (double)bytes / 1e6);
    return status;
}

static int import(const struct arguments *arguments, struct error *error)
{
    int64_t parameters;
    int status = import_directory(&file_system_real, arguments->words[0], arguments->words[1], arguments->flags,
                                  arguments->flag_count, &parameters, error);

    if (status == STATUS_OK)
        printf("%s: a checkpoint of %lld parameters\n", arguments->words[1], (long long)parameters);
    return status;
}

static int read_dtype(const char *text, uint32_t *dtype, struct error *error)
{
    static const struct {
        const char *name;
        uint32_t dtype;
    } names[] = {{"fp32", LLMRUN_F32}, {"bf16", LLMRUN_BF16}, {"fp16", LLMRUN_F16}};

    *dtype = LLMRUN_NONE;
    for (int i = 0; i < 3 && text != NULL; i++)
        if (strcmp(names[i].name, text) == 0)
            *dtype = names[i].dtype;
    if (text != NULL && *dtype == LLMRUN_NONE)
        return error_set(error, STATUS_USAGE, "--dtype is '%.40s'; it can be fp32, bf16 or fp16", text);
    return STATUS_OK;
}

/* "5GB", "300 MB", "1GiB", "4096". */
static int read_size(const char *text, int64_t *bytes, struct error *error)
{
    static const struct {
        const char *name;
        double bytes;
    } units[] = {{"", 1},     {"B", 1},         {"KB", 1e3},      {"MB", 1e6},
                 {"GB", 1e9}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}};
    char *end;
    double number = strtod(text, &end);

    if (end != text)
        while (*end == ' ')
            end++;
    for (size_t i = 0; i < sizeof units / sizeof units[0] && end != text; i++)
        if (strcmp(units[i].name, end) == 0 && number * units[i].bytes >= 1 && number * units[i].bytes < 9e18) {
            *bytes = (int64_t)(number * units[i].bytes);
            return STATUS_OK;
        }
    return error_set(error, STATUS_USAGE, "--shard-size is '%.40s'; a size such as 5GB or 300MB is wanted", text);
}

static int export(const struct arguments *arguments, const char *dtype, const char *size, struct error *error)
{
    struct export_options options = {
        .fs = &file_system_real, .source = arguments->words[0], .target = arguments->words[1]};
    struct export_report report;
    int status = read_dtype(dtype, &options.dtype, error);

    if (status == STATUS_OK)
        status = read_size(size, &options.shard_bytes, error);
    if (status == STATUS_OK)
        status = export_checkpoint(&options, &report, error);
    if (status == STATUS_OK)
        printf("%s: %lld tensors, %.1f MB in %lld file%s\n", options.target, (long long)report.tensors,
               (double)report.bytes / 1e6, (long long)report.files, report.files == 1 ? "" : "s");
    return status;
}

int command_checkpoint(int argc, char **argv, struct error *error)
{
    const char *dtype = NULL, *size = "5GB";
    bool json = false;
    const struct command_option verify_options[] = {
        {"json", OPTION_SWITCH, NULL, "print one JSON object, with a content hash of each tensor", .target = &json}};
    const struct command_option options[] = {
        {"dtype", OPTION_TEXT, "D", "fp32, bf16 or fp16; else as imported", .target = &dtype},
        {"shard-size", OPTION_TEXT, "SIZE", "largest file of tensors, 5GB", .target = &size},
    };
    const struct usage usages[] = {
        {"checkpoint list", "The checkpoints of a run", .words = "RUN_DIR", .least_words = 1, .most_words = 1},
        {"checkpoint verify", "Checks every byte of a checkpoint", .words = "CKPT", .least_words = 1, .most_words = 1,
         .options = verify_options, .option_count = 1},
        {"checkpoint import", "Makes a checkpoint of a Hugging Face directory", .words = "HF_DIR CKPT_DIR",
         .least_words = 2, .most_words = 2, .takes_keys = true, .keys_of = CONFIG_COMMAND_IMPORT},
        {"checkpoint export", "Makes a Hugging Face directory of a checkpoint", .words = "CKPT HF_DIR",
         .least_words = 2, .most_words = 2, .options = options, .option_count = 2},
    };
    struct arguments arguments;
    int chosen = -1, status;

    for (int i = 0; argc > 1 && i < 4; i++)
        if (strcmp(argv[1], strchr(usages[i].command, ' ') + 1) == 0)
            chosen = i;
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        puts("usage: llmrun checkpoint list RUN_DIR\n       llmrun checkpoint verify CKPT [--json]\n"
             "       llmrun checkpoint import HF_DIR CKPT_DIR [--model.ignore FIELD]\n"
             "       llmrun checkpoint export CKPT HF_DIR [--dtype D] [--shard-size 5GB]");
        return STATUS_OK;
    }
    if (chosen < 0)
        return error_set(error, STATUS_USAGE, "checkpoint wants list, verify, import or export%s%.40s",
                         argc > 1 ? ", not " : "", argc > 1 ? argv[1] : "");
    status = options_parse(&usages[chosen], argc - 1, argv + 1, &arguments, error);
    if (status == STATUS_OK && !arguments.done) {
        if (chosen == 0)
            status = list(arguments.words[0], error);
        else if (chosen == 1)
            status = verify(arguments.words[0], json, error);
        else if (chosen == 2)
            status = import(&arguments, error);
        else
            status = export(&arguments, dtype, size, error);
    }
    arguments_finish(&arguments);
    return status;
}
