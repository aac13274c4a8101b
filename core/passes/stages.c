#include "passes/stages.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "passes/flops.h"

/* Cuts of the first layers into stages. Rows have an entry for each number of layers. */
struct balance {
    int32_t layers, count;
    double *before; /* [layers + 1]: FLOPs of the layers before */
    double *best;   /* [count + 1][layers + 1] */
    int32_t *start; /* [count + 1][layers + 1]: where the last stage of the best cut begins */
};

static int64_t cell(const struct balance *balance, int32_t stages, int32_t layers)
{
    return (int64_t)stages * (balance->layers + 1) + layers;
}

/* The FLOPs of the largest stage, as few as can be. */
static double least_largest(struct balance *balance)
{
    for (int32_t s = 1; s <= balance->count; s++)
        for (int32_t end = s; end <= balance->layers; end++) {
            double best = INFINITY;

            for (int32_t start = end - 1; start >= s - 1; start--) {
                const double last = balance->before[end] - balance->before[start];
                const double others = s > 1 ? balance->best[cell(balance, s - 1, start)] : start > 0 ? INFINITY : 0;
                const double largest = last > others ? last : others;

                if (last > best)
                    break;
                best = largest < best ? largest : best;
            }
            balance->best[cell(balance, s, end)] = best;
        }
    return balance->best[cell(balance, balance->count, balance->layers)];
}

/* Fills `start` for the FLOPs of the smallest stage, as many as can be while none has more than `limit`; where several
 * cuts have that, earlier stages, which hold more microbatches, have fewer layers. */
static void greatest_smallest(struct balance *balance, double limit)
{
    for (int32_t s = 1; s <= balance->count; s++)
        for (int32_t end = s; end <= balance->layers; end++) {
            const int64_t at = cell(balance, s, end);

            balance->best[at] = -INFINITY;
            for (int32_t start = end - 1; start >= s - 1; start--) {
                const double last = balance->before[end] - balance->before[start];
                const double others = s > 1 ? balance->best[cell(balance, s - 1, start)] : start > 0 ? -INFINITY : last;
                const double smallest = last < others ? last : others;

                if (last > limit)
                    break;
                if (smallest < balance->best[at] || smallest == -INFINITY)
                    continue;
                balance->best[at] = smallest;
                balance->start[at] = start;
            }
        }
}

int stages_balance(const double *flops, int32_t layers, int32_t count, struct stages *stages, struct error *error)
{
    const size_t cells = ((size_t)count + 1) * ((size_t)layers + 1);
    struct balance balance = {.layers = layers,
                              .count = count,
                              .before = calloc((size_t)layers + 1, sizeof *balance.before),
                              .best = malloc(cells * sizeof *balance.best),
                              .start = calloc(cells, sizeof *balance.start)};
    int status = STATUS_OK;

    *stages =
        (struct stages){.layers = layers, .count = count, .first = malloc(((size_t)count + 1) * sizeof *stages->first)};
    if (balance.before == NULL || balance.best == NULL || balance.start == NULL || stages->first == NULL) {
        stages_finish(stages);
        status = error_set(error, STATUS_MEMORY, "no memory to cut %d layers into %d stages", layers, count);
    } else {
        for (int32_t i = 0; i < layers; i++)
            balance.before[i + 1] = balance.before[i] + flops[i];
        greatest_smallest(&balance, least_largest(&balance));
        stages->first[count] = layers;
        for (int32_t s = count; s > 0; s--)
            stages->first[s - 1] = balance.start[cell(&balance, s, stages->first[s])];
    }
    free(balance.before);
    free(balance.best);
    free(balance.start);
    return status;
}

/* The kinds of sections that are weighed: those of training, else of the first other use that the program has. */
static uint32_t weighed_kinds(const struct program *program)
{
    static const enum section_kind others[] = {SECTION_EVALUATE, SECTION_PREFILL};

    if (program_section(program, SECTION_FORWARD) != NULL)
        return 1u << SECTION_FORWARD | 1u << SECTION_BACKWARD;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (program_section(program, others[i]) != NULL)
            return 1u << others[i];
    return 0;
}

int stages_make(const struct program *program, int32_t layers, int32_t count, struct stages *stages,
                struct error *error)
{
    const uint32_t kinds = weighed_kinds(program);
    double *flops = calloc((size_t)layers, sizeof *flops);
    int status = flops_check(program, error);

    *stages = (struct stages){0};
    if (flops == NULL)
        status = error_set(error, STATUS_MEMORY, "no memory to cut %d layers into %d stages", layers, count);
    for (int64_t s = 0; status == STATUS_OK && s < program->section_count; s++)
        for (int32_t i = 0; kinds >> program->sections[s].kind & 1 && i < program->sections[s].op_count; i++) {
            const struct op *op = &program->ops[program->sections[s].first_op + i];

            flops[op->layer < 0 ? 0 : op->layer >= layers ? layers - 1 : op->layer] += op_flops(program, op);
        }
    if (status == STATUS_OK)
        status = stages_balance(flops, layers, count, stages, error);
    free(flops);
    return status;
}

void stages_finish(struct stages *stages)
{
    free(stages->first);
    memset(stages, 0, sizeof *stages);
}

int32_t stages_of_layer(const struct stages *stages, int32_t layer)
{
    int32_t stage = 0;

    while (stage + 1 < stages->count && layer >= stages->first[stage + 1])
        stage++;
    return stage;
}
