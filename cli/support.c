#include "support.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "hal/device.h"
#include "op_form.h"

#define MAX_COLUMNS 16

static const uint32_t dtypes[] = {LLMRUN_F32, LLMRUN_BF16};
static const char *const dtype_names[] = {"fp32", "bf16"};
#define DTYPES ((int)(sizeof dtypes / sizeof dtypes[0]))

/* From least to most. */
enum support { SUPPORT_NONE, SUPPORT_PART, SUPPORT_EMULATED, SUPPORT_NATIVE };

static const char *const support_names[] = {"-", "part", "emulated", "yes"};

/* An op and its gradients, or ops that are used together. */
static const struct {
    const char *name;
    uint16_t ops[5]; /* ends with 0 */
} families[] = {
    {"embedding", {LLMRUN_OP_EMBEDDING, LLMRUN_OP_EMBEDDING_GRAD}},
    {"layer norm", {LLMRUN_OP_LAYERNORM, LLMRUN_OP_LAYERNORM_GRAD}},
    {"matmul with bias and GELU", {LLMRUN_OP_MATMUL, LLMRUN_OP_MATMUL_INPUT_GRAD, LLMRUN_OP_MATMUL_WEIGHT_GRAD}},
    {"bias gradient", {LLMRUN_OP_BIAS_GRAD}},
    {"GELU", {LLMRUN_OP_GELU, LLMRUN_OP_GELU_GRAD}},
    {"RMS norm", {LLMRUN_OP_RMSNORM, LLMRUN_OP_RMSNORM_GRAD}},
    {"SwiGLU", {LLMRUN_OP_SWIGLU, LLMRUN_OP_SWIGLU_GRAD}},
    {"rotary positions", {LLMRUN_OP_ROPE}},
    {"attention: causal, packed, grouped queries, dropout", {LLMRUN_OP_ATTENTION, LLMRUN_OP_ATTENTION_GRAD}},
    {"attention with a cache of keys and values", {LLMRUN_OP_ATTENTION_CACHED}},
    {"dropout", {LLMRUN_OP_DROPOUT}},
    {"linear + cross-entropy", {LLMRUN_OP_LINEAR_CROSS_ENTROPY}},
    {"sums and vocabulary in parts", {LLMRUN_OP_FINISH, LLMRUN_OP_LOSS_STATISTICS, LLMRUN_OP_LOSS_GRADIENT}},
    {"add, cast", {LLMRUN_OP_ADD, LLMRUN_OP_CAST}},
    {"initial weights", {LLMRUN_OP_INIT}},
    {"gradient norm, clipping, AdamW", {LLMRUN_OP_SUM_SQUARES, LLMRUN_OP_SLOT_TREE, LLMRUN_OP_CLIP, LLMRUN_OP_ADAMW}},
};

struct columns {
    struct device *devices[MAX_COLUMNS];
    int count;
};

/* Asks for both forms of an op. `reason` is that of the first refusal, "" where there is none. */
static int ask(struct device *device, const struct op_info *info, uint32_t dtype, enum support *support,
               char reason[256], struct error *error)
{
    const uint32_t flags = LLMRUN_OP_DETERMINISTIC | (device->info.exact ? LLMRUN_OP_EXACT : 0);
    bool able[2] = {false, false}, emulated = false;

    reason[0] = '\0';
    for (int whole = 0; whole < 2; whole++) {
        struct llmrun_op_support answer;
        struct op_form form;
        int status;

        if (!op_form_make(info, dtype, whole != 0, flags, &form))
            return error_set(error, STATUS_BUG, "op %s has an axis or attribute without an example in cli/op_form.c",
                             info->name);
        status = capability_query(device, &form.op, &answer, error);
        if (status != STATUS_OK)
            return status;
        able[whole] = answer.support != LLMRUN_SUPPORT_NO;
        emulated |= answer.support == LLMRUN_SUPPORT_EMULATED;
        if (!able[whole] && reason[0] == '\0')
            snprintf(reason, 256, "%s", answer.reason);
    }
    *support = able[0] && able[1]   ? emulated ? SUPPORT_EMULATED : SUPPORT_NATIVE
               : able[0] || able[1] ? SUPPORT_PART
                                    : SUPPORT_NONE;
    return STATUS_OK;
}

static void print_head(const char *first, const struct columns *columns)
{
    printf("| %s |", first);
    for (int i = 0; i < columns->count; i++)
        for (int d = 0; d < DTYPES; d++)
            printf(" %s %s |", columns->devices[i]->backend->name, dtype_names[d]);
    printf("\n|---|");
    for (int i = 0; i < columns->count * DTYPES; i++)
        printf("---|");
    putchar('\n');
}

/* A row for `ops`, which ends with 0: of several answers the least, and "part" where only some are no. */
static int print_row(const char *name, const uint16_t *ops, const struct columns *columns, struct error *error)
{
    printf("| %s |", name);
    for (int i = 0; i < columns->count; i++)
        for (int d = 0; d < DTYPES; d++) {
            enum support least = SUPPORT_NATIVE, most = SUPPORT_NONE;

            for (int o = 0; o < 4 && ops[o] != 0; o++) {
                enum support support;
                char reason[256];
                int status = ask(columns->devices[i], op_info_find(ops[o]), dtypes[d], &support, reason, error);

                if (status != STATUS_OK)
                    return status;
                least = support < least ? support : least;
                most = support > most ? support : most;
            }
            printf(" %s |", support_names[least == SUPPORT_NONE && most != SUPPORT_NONE ? SUPPORT_PART : least]);
        }
    putchar('\n');
    return STATUS_OK;
}

/* How many ops the device does in some form; -1 where it could not be asked. */
static int count_able(struct device *device, struct error *error)
{
    int able = 0;

    for (uint16_t id = 1; id < LLMRUN_OPS; id++)
        for (int d = 0; d < DTYPES && op_info_find(id) != NULL; d++) {
            enum support support;
            char reason[256];

            if (ask(device, op_info_find(id), dtypes[d], &support, reason, error) != STATUS_OK)
                return -1;
            able += support != SUPPORT_NONE;
        }
    return able;
}

static int print_reasons(struct device *device, struct error *error)
{
    int able = count_able(device, error);

    if (able == 0)
        printf("- %s: it computes no op at all.\n", device->backend->name);
    for (uint16_t id = 1; able > 0 && id < LLMRUN_OPS; id++)
        for (int d = 0; d < DTYPES && op_info_find(id) != NULL; d++) {
            enum support support;
            char reason[256];
            int status = ask(device, op_info_find(id), dtypes[d], &support, reason, error);

            if (status != STATUS_OK)
                return status;
            if (reason[0] != '\0')
                printf("- %s, %s in %s: %s\n", device->backend->name, op_info_find(id)->name, dtype_names[d], reason);
        }
    return able < 0 ? error->status : STATUS_OK;
}

static int print_tables(const char *names, const struct columns *columns, struct error *error)
{
    int status = STATUS_OK;

    printf("# What each backend computes\n\n"
           "Printed by `llmrun backends --support %s`: do not edit. Each backend was asked for every op of\n"
           "[ops.md](ops.md), with all of its optional operands and with none, under the numerics that it has by "
           "default.\n\n"
           "yes: both forms; emulated: both, by a detour; part: some forms only; -: none.\n\n## By family\n\n",
           names);
    print_head("ops, with their gradients", columns);
    for (size_t i = 0; status == STATUS_OK && i < sizeof families / sizeof families[0]; i++)
        status = print_row(families[i].name, families[i].ops, columns, error);
    if (status != STATUS_OK)
        return status;
    puts("\n## Op by op\n");
    print_head("op", columns);
    for (uint16_t id = 1; status == STATUS_OK && id < LLMRUN_OPS; id++) {
        const uint16_t ops[2] = {id, 0};

        if (op_info_find(id) != NULL)
            status = print_row(op_info_find(id)->name, ops, columns, error);
    }
    if (status == STATUS_OK)
        puts("\n## Why not\n");
    for (int i = 0; status == STATUS_OK && i < columns->count; i++)
        status = print_reasons(columns->devices[i], error);
    return status;
}

/* Opens device 0 of a candidate as the next column. */
static int add_column(struct registry *registry, struct candidate *candidate, struct columns *columns,
                      struct error *error)
{
    int status = registry_load(registry, candidate, error);

    if (status == STATUS_OK)
        status = device_open(candidate->plugin.backend, 0, NULL, 0, &columns->devices[columns->count], error);
    if (status == STATUS_OK)
        columns->count++;
    return status;
}

static struct candidate *find_candidate(struct registry *registry, const char *name, size_t length)
{
    for (int64_t i = 0; i < registry->count; i++) {
        struct candidate *candidate = &registry->items[i];

        if (strlen(candidate->note.name) == length && memcmp(candidate->note.name, name, length) == 0 &&
            candidate->note.kind == LLMRUN_PLUGIN_BACKEND && candidate->state != CANDIDATE_SHADOWED)
            return candidate;
    }
    return NULL;
}

static int open_columns(struct registry *registry, const char *names, struct columns *columns, struct error *error)
{
    int status = STATUS_OK;

    if (strcmp(names, "all") == 0) {
        for (int64_t i = 0; i < registry->count && columns->count < MAX_COLUMNS; i++)
            if (registry->items[i].state == CANDIDATE_USABLE && registry->items[i].note.kind == LLMRUN_PLUGIN_BACKEND &&
                add_column(registry, &registry->items[i], columns, error) != STATUS_OK)
                log_line(LOG_WARNING, "%s", error->message);
        return columns->count > 0 ? STATUS_OK : error_set(error, STATUS_BACKEND, "no backend with a device was found");
    }
    while (status == STATUS_OK && *names != '\0') {
        size_t length = strcspn(names, ",");
        struct candidate *candidate = find_candidate(registry, names, length);

        if (columns->count == MAX_COLUMNS)
            status = error_set(error, STATUS_USAGE, "--support takes at most %d backends", MAX_COLUMNS);
        else if (candidate == NULL)
            status = error_set(error, STATUS_USAGE, "--support: no backend is called '%.*s'", (int)length, names);
        else
            status = add_column(registry, candidate, columns, error);
        names += length + (names[length] == ',');
    }
    return status;
}

int support_print(struct registry *registry, const char *names, struct error *error)
{
    struct columns columns = {.count = 0};
    int status = open_columns(registry, names, &columns, error);

    if (status == STATUS_OK)
        status = print_tables(names, &columns, error);
    while (columns.count > 0)
        device_close(columns.devices[--columns.count]);
    return status;
}
