#include "bench/step_profile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "passes/flops.h"
#include "program/op_table.h"

static int append_shape(char *label, int used, const struct value *value)
{
    for (uint32_t i = 0; i < value->rank && used < PROFILE_LABEL_BYTES; i++)
        used += snprintf(label + used, (size_t)(PROFILE_LABEL_BYTES - used), "%s%lld", i == 0 ? " " : "x",
                         (long long)value->shape[i]);
    return used;
}

/* The op's name, and with shapes those of its first operands: by them matmuls differ. */
static void label_op(const struct program *program, const struct op *op, bool by_shape, char *label)
{
    const int32_t *operands = program_operands(program, op);
    int used = snprintf(label, PROFILE_LABEL_BYTES, "%s%s", op_info_find(op->op)->name, op->recomputed ? " again" : "");

    for (int i = 0, shown = 0; by_shape && shown < 2 && i < (int)op_operand_count(op_info_find(op->op)); i++)
        if (operands[i] != NO_VALUE && program->values[operands[i]].rank > 0) {
            used = append_shape(label, used, &program->values[operands[i]]);
            shown++;
        }
}

static double op_bytes(const struct program *program, const struct op *op)
{
    const struct op_info *info = op_info_find(op->op);
    const int32_t *operands = program_operands(program, op);
    double bytes = 0;

    for (uint32_t i = 0; i < op_operand_count(info); i++) {
        bool twice = info->operands[i].direction == OPERAND_INOUT || (op->accumulate >> i & 1) != 0;

        if (operands[i] != NO_VALUE)
            bytes += (double)value_bytes(&program->values[operands[i]]) * (twice ? 2 : 1);
    }
    return bytes;
}

static struct profile_row *find_row(struct step_profile *profile, const char *label)
{
    struct profile_row *row;

    for (int64_t i = 0; i < profile->row_count; i++)
        if (strcmp(profile->rows[i].label, label) == 0)
            return &profile->rows[i];
    row = array_reserve(profile->rows, profile->row_count, 1, &profile->row_capacity, sizeof *row);
    if (row == NULL)
        return NULL;
    profile->rows = row;
    row += profile->row_count++;
    memset(row, 0, sizeof *row);
    snprintf(row->label, sizeof row->label, "%s", label);
    return row;
}

static struct profile_row *row_of_mark(struct step_profile *profile, const struct program *program,
                                       const struct timeline_mark *mark)
{
    char label[PROFILE_LABEL_BYTES];

    if (mark->op >= 0)
        label_op(program, &program->ops[mark->op], profile->by_shape, label);
    else
        snprintf(label, sizeof label, "(%s)", mark->what);
    return find_row(profile, label);
}

int step_profile_check(const struct step_profile *profile, bool profiled, struct error *error)
{
    if (profile->by_shape && !profiled)
        return error_set(error, STATUS_USAGE, "--shapes is about the profile; it goes with --profile");
    return STATUS_OK;
}

void step_profile_watch(struct step_profile *profile, struct executor *executor)
{
    profile->executor = executor;
    executor_observe(executor, &profile->timeline);
}

int step_profile_add(struct step_profile *profile, struct error *error)
{
    const struct program *program = &executor_compiled(profile->executor)->program;
    const struct timeline *timeline = &profile->timeline;

    if (profile->steps == PROFILE_STEPS)
        return STATUS_OK;
    for (int64_t i = 0; i + 1 < timeline->count; i++) {
        const struct timeline_mark *mark = &timeline->marks[i];
        struct profile_row *row = row_of_mark(profile, program, mark);
        int64_t ns;
        int status;

        if (row == NULL)
            return error_set(error, STATUS_MEMORY, "no memory for a profile");
        status = timeline_elapsed(timeline, i, &ns, error);
        if (status != STATUS_OK)
            return status;
        row->ns[profile->steps] += ns;
        if (profile->steps > 0)
            continue;
        row->launches++;
        row->flops += mark->op >= 0 ? op_flops(program, &program->ops[mark->op]) : 0;
        row->bytes += mark->op >= 0 ? op_bytes(program, &program->ops[mark->op]) : 0;
    }
    profile->steps++;
    return STATUS_OK;
}

static int by_time(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;

    return (a > b) - (a < b);
}

static int slowest_first(const void *left, const void *right)
{
    double a = ((const struct profile_row *)left)->median_ns, b = ((const struct profile_row *)right)->median_ns;

    return (a < b) - (a > b);
}

void step_profile_collect(struct step_profile *profile)
{
    const int64_t steps = profile->steps;

    for (int64_t i = 0; steps > 0 && i < profile->row_count; i++) {
        int64_t *ns = profile->rows[i].ns;

        qsort(ns, (size_t)steps, sizeof *ns, by_time);
        profile->rows[i].median_ns = (double)(ns[steps / 2] + ns[(steps - 1) / 2]) / 2;
    }
    if (profile->row_count > 0)
        qsort(profile->rows, (size_t)profile->row_count, sizeof *profile->rows, slowest_first);
}

void step_profile_print(const struct step_profile *profile)
{
    double sum = 0;

    for (int64_t i = 0; i < profile->row_count; i++)
        sum += profile->rows[i].median_ns;
    printf("%-*s %9s %10s %6s %9s %7s\n", profile->by_shape ? 50 : 24, "op", "launches", "ms", "%", "GFLOP/s", "GB/s");
    for (int64_t i = 0; i < profile->row_count; i++) {
        const struct profile_row *row = &profile->rows[i];

        printf("%-*s %9lld %10.3f %6.2f", profile->by_shape ? 50 : 24, row->label, (long long)row->launches,
               row->median_ns * 1e-6, sum > 0 ? 100 * row->median_ns / sum : 0);
        if (row->flops > 0 && row->median_ns > 0)
            printf(" %9.1f", row->flops / row->median_ns);
        else
            printf(" %9s", "");
        if (row->bytes > 0 && row->median_ns > 0)
            printf(" %7.1f", row->bytes / row->median_ns);
        putchar('\n');
    }
    printf("%-*s %9s %10.3f\n", profile->by_shape ? 50 : 24, "sum", "", sum * 1e-6);
}

void step_profile_print_json(const struct step_profile *profile)
{
    for (int64_t i = 0; i < profile->row_count; i++) {
        const struct profile_row *row = &profile->rows[i];

        printf("%s{\"op\":\"%s\",\"launches\":%lld,\"ms\":%.6f,\"flops\":%.0f,\"bytes\":%.0f}", i > 0 ? "," : "",
               row->label, (long long)row->launches, row->median_ns * 1e-6, row->flops, row->bytes);
    }
}

void step_profile_finish(struct step_profile *profile)
{
    if (profile->executor != NULL)
        executor_observe(profile->executor, NULL);
    timeline_destroy(&profile->timeline);
    free(profile->rows);
    *profile = (struct step_profile){0};
}
