#include "passes/shard_role.h"

#include <stdio.h>
#include <string.h>

#include "program/axes.h"

struct splitting {
    struct shard *shard;
    const struct op_info *info;
    const int32_t *operands;
    int letter;
    struct axes_binding binding;
    struct annotation annotations[LLMRUN_MAX_OPERANDS];
    char thing[160]; /* in messages */
};

/* "matmul (h.0.attn.c_proj.weight)": the op and a parameter of it, or else its output. */
static void name_thing(struct splitting *splitting)
{
    const struct program *program = splitting->shard->program;
    int32_t output = NO_VALUE;

    for (uint32_t i = 0; splitting->info->operands[i].name != NULL; i++) {
        const int32_t id = splitting->operands[i];

        if (id != NO_VALUE && splitting->shard->parameters[id] != NO_VALUE) {
            snprintf(splitting->thing, sizeof splitting->thing, "%s (%.100s)", splitting->info->name,
                     program->values[splitting->shard->parameters[id]].name);
            return;
        }
        if (id != NO_VALUE && output == NO_VALUE && splitting->info->operands[i].direction != OPERAND_IN)
            output = id;
    }
    snprintf(splitting->thing, sizeof splitting->thing, "%s (%.100s)", splitting->info->name,
             output != NO_VALUE ? program->values[output].name : "nothing");
}

static const char *letter_noun(int letter)
{
    switch (letter) {
    case 's':
        return "positions";
    case 'g':
        return "heads of keys and values";
    case 'h':
        return "heads";
    case 'v':
        return "rows of the vocabulary";
    default:
        return "features";
    }
}

static void refuse(struct splitting *splitting, int64_t extent, const char *what)
{
    name_thing(splitting);
    shard_refuse(splitting->shard, splitting->thing, extent, what);
}

/* All ranks' extent of the letter in one operand that has it, the dimension alone or as a factor. */
static int64_t extent_in(const struct splitting *splitting, uint32_t i, int dimension, int factor)
{
    const struct annotation *annotation = &splitting->annotations[i];
    const int64_t *full = splitting->shard->program->values[splitting->operands[i]].full;
    int64_t shape[LLMRUN_MAX_RANK];
    uint32_t rank;

    if (axes_are_open(annotation) || annotation->axes[dimension].factor_count == 1)
        return full[dimension];
    if (splitting->letter == 's')
        return splitting->shard->sequence;
    return axes_shape(&splitting->binding, (const char[]){annotation->axes[dimension].factors[factor].letter, '\0'},
                      &rank, shape)
               ? shape[0]
               : 0;
}

static bool is_parts(const struct annotation *annotation, int dimension, int factor)
{
    return !axes_are_open(annotation) && annotation->axes[dimension].factors[factor].parts;
}

/* Holds every operand that has the letter to equal parts. Returns the letter's own extent, not of one tied to it. */
static int64_t check_extents(struct splitting *splitting)
{
    int64_t found = 0;

    for (uint32_t i = 0; splitting->info->operands[i].name != NULL; i++) {
        int64_t extent;
        int dimension, factor;

        if (splitting->operands[i] == NO_VALUE ||
            !axes_find_letter(&splitting->annotations[i], splitting->letter, &dimension, &factor) ||
            is_parts(&splitting->annotations[i], dimension, factor))
            continue;
        extent = extent_in(splitting, i, dimension, factor);
        if (extent < 1 || extent % splitting->shard->ranks != 0)
            refuse(splitting, extent, letter_noun(splitting->letter));
        if (found == 0)
            found = extent;
    }
    return found;
}

/* Local parts of a sum over the letter: aligned runs of all, or, where it is one chain in no defined order, a chain a
 * rank. */
static int64_t local_parts(struct splitting *splitting, int64_t parts)
{
    const bool exact = splitting->shard->form->sums->exact;

    if (parts % splitting->shard->ranks == 0)
        return parts / splitting->shard->ranks;
    if (exact || parts != 1)
        refuse(splitting, parts,
               splitting->letter == 's' ? "parts of positions in exact sums (numerics.position_parts)"
                                        : "parts of features in exact sums");
    return 1;
}

/* The number that an attribute of this role has on this rank; false where it stays. */
static bool local_number(struct splitting *splitting, const char *role, int64_t extent, int64_t *number)
{
    const struct shard *shard = splitting->shard;
    const int64_t each = extent / shard->ranks, first = shard->index * each;
    const char *space = strchr(role, ' ');
    char name = (char)splitting->letter;

    if (splitting->letter >= AXES_OPEN_LETTER) {
        const int place = splitting->letter - AXES_OPEN_LETTER;

        name = place % AXIS_MAX_FACTORS == 0 ? (char)('0' + place / AXIS_MAX_FACTORS) : '-';
    }
    if (space == NULL || strchr(space, name) == NULL)
        return false;
    if (strncmp(role, "extent ", 7) == 0)
        *number /= shard->ranks;
    else if (strncmp(role, "parts ", 6) == 0)
        *number = local_parts(splitting, *number);
    else if (strncmp(role, "valid ", 6) == 0)
        *number = *number < first ? 0 : *number - first < each ? *number - first : each;
    else if (strncmp(role, "origin ", 7) == 0)
        *number = first;
    else if (strncmp(role, "full ", 5) == 0)
        *number = extent;
    else
        return false;
    return true;
}

void shard_roles(struct shard *shard, int32_t op, int letter, void *attributes, struct partial *partial)
{
    const struct op *from = &shard->program->ops[op];
    struct splitting splitting = {.shard = shard,
                                  .info = op_info_find(from->op),
                                  .operands = program_operands(shard->program, from),
                                  .letter = letter};
    const char parts_role[] = {'p', 'a', 'r', 't', 's', ' ', (char)letter, '\0'};
    int64_t extent, parts;

    axes_parse_op(shard->program, splitting.info, splitting.operands, splitting.annotations);
    if (axes_bind(shard->program, splitting.info, splitting.operands, program_attributes(shard->program, from),
                  &splitting.binding, shard->builder.error) != STATUS_OK) {
        shard->builder.status = STATUS_BUG;
        return;
    }
    extent = check_extents(&splitting);
    for (uint32_t i = 0; splitting.info->attributes[i].name != NULL; i++) {
        int64_t number = op_attribute_number(splitting.info, i, attributes);

        if (local_number(&splitting, splitting.info->attributes[i].role, extent, &number))
            op_attribute_set(splitting.info, i, attributes, number);
    }
    if (axes_attribute(splitting.info, attributes, parts_role, &parts))
        *partial = (struct partial){REDUCTION_SUM, (int32_t)(shard->index * parts), (int32_t)parts};
}

void shard_roles_unrooted(const struct op_info *info, void *attributes)
{
    for (uint32_t i = 0; info->attributes[i].name != NULL; i++)
        if (strcmp(info->attributes[i].role, "root") == 0)
            op_attribute_set(info, i, attributes, 0);
}
