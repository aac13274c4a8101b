#include "program/sharding.h"

#include <stdio.h>
#include <string.h>

#include "program/axes.h"
#include "program/op_table.h"

static const struct split *split_over(const struct value *value, enum mesh_axis axis)
{
    for (int i = 0; i < value->split_count; i++)
        if (value->splits[i].axis == axis)
            return &value->splits[i];
    return NULL;
}

const char *sharding_print(const struct value *value, enum mesh_axis axis, char text[SHARDING_TEXT])
{
    const struct split *split = split_over(value, axis);
    const struct partial *partial = &value->partial[axis];

    if (split != NULL)
        snprintf(text, SHARDING_TEXT, "split %d.%d %d/%d", split->dimension, split->factor, split->index, split->parts);
    else if (partial->reduction != REDUCTION_NONE)
        snprintf(text, SHARDING_TEXT, "partial %s %d:%d", reduction_name(partial->reduction), partial->first,
                 partial->parts);
    else
        snprintf(text, SHARDING_TEXT, "replicated");
    return text;
}

/* What part `index` of an extent has. */
static int64_t part_extent(int64_t extent, const struct split *split)
{
    const int64_t each = (extent + split->parts - 1) / split->parts, rest = extent - split->index * each;

    return rest < 0 ? 0 : rest < each ? rest : each;
}

static int check_split(const struct value *value, const struct split *split, int64_t left[LLMRUN_MAX_RANK],
                       struct error *error)
{
    int64_t *extent = &left[split->dimension];

    if (split->dimension >= value->rank || split->factor >= AXIS_MAX_FACTORS || split->axis >= MESH_PP)
        return error_set(error, STATUS_BUG, "value %s is split where it has no dimension, or over no axis for it",
                         value->name);
    if (split->parts < 2 || split->index < 0 || split->index >= split->parts)
        return error_set(error, STATUS_BUG, "value %s has part %d of %d over %s", value->name, split->index,
                         split->parts, mesh_axis_name(split->axis));
    if (value->partial[split->axis].reduction != REDUCTION_NONE)
        return error_set(error, STATUS_BUG, "value %s is split and partial over %s", value->name,
                         mesh_axis_name(split->axis));
    if (split > value->splits && split[-1].axis >= split->axis)
        return error_set(error, STATUS_BUG, "value %s is split over %s after %s", value->name,
                         mesh_axis_name(split->axis), mesh_axis_name(split[-1].axis));
    if (*extent % split->parts != 0 && split->factor > 0)
        return error_set(error, STATUS_BUG, "value %s: extent %lld does not divide into %d parts of an inner factor",
                         value->name, (long long)*extent, split->parts);
    *extent = part_extent(*extent, split);
    return STATUS_OK;
}

static int check_partial(const struct value *value, enum mesh_axis axis, struct error *error)
{
    const struct partial *partial = &value->partial[axis];
    const bool sum = partial->reduction == REDUCTION_SUM;

    if (partial->reduction >= REDUCTIONS ||
        (sum ? partial->parts < 1 || partial->first < 0 || partial->first % partial->parts != 0
             : partial->parts != 0 || partial->first != 0))
        return error_set(error, STATUS_BUG, "value %s has parts %d:%d of a reduction over %s, which is no subtree",
                         value->name, partial->first, partial->parts, mesh_axis_name(axis));
    return STATUS_OK;
}

int sharding_check_value(const struct value *value, struct error *error)
{
    int64_t left[LLMRUN_MAX_RANK];
    int status = STATUS_OK;

    memcpy(left, value->full, sizeof left);
    if (value->split_count > VALUE_MAX_SPLITS)
        return error_set(error, STATUS_BUG, "value %s has %d splits", value->name, value->split_count);
    for (int i = 0; status == STATUS_OK && i < value->split_count; i++)
        status = check_split(value, &value->splits[i], left, error);
    for (int i = 0; status == STATUS_OK && i < MESH_AXES; i++)
        status = check_partial(value, (enum mesh_axis)i, error);
    for (int i = 0; status == STATUS_OK && i < value->rank; i++)
        if (value->shape[i] != left[i])
            status = error_set(error, STATUS_BUG, "value %s has extent %lld in dimension %d; its splits leave %lld",
                               value->name, (long long)value->shape[i], i, (long long)left[i]);
    return status;
}

/* One op over one axis of the mesh. */
struct check {
    const struct program *program;
    const struct op *op;
    const struct op_info *info;
    const int32_t *operands;
    const void *attributes;
    const struct annotation *annotations;
    enum mesh_axis axis;
    struct error *error;
    /* The first operand that is split, and on which letter (of those tied together, the one that the others name). */
    uint32_t leader;
    int letter;
};

static const struct value *operand_value(const struct check *check, uint32_t i)
{
    return check->operands[i] == NO_VALUE ? NULL : &check->program->values[check->operands[i]];
}

static bool is_output(const struct check *check, uint32_t i)
{
    return check->info->operands[i].direction != OPERAND_IN;
}

/* "operand w (value h.0.w) is replicated over tp: " and what is wrong with it. */
static int refuse(const struct check *check, uint32_t i, const char *problem)
{
    char type[SHARDING_TEXT];
    const struct value *value = operand_value(check, i);

    return error_set(check->error, STATUS_BUG, "operand %s (value %s) is %s over %s: %s", check->info->operands[i].name,
                     value->name, sharding_print(value, check->axis, type), mesh_axis_name(check->axis), problem);
}

/* The same, and what the operand that leads is. */
static int refuse_beside(const struct check *check, uint32_t i)
{
    char type[SHARDING_TEXT], problem[160];

    snprintf(problem, sizeof problem, "operand %s is %s, which splits both", check->info->operands[check->leader].name,
             sharding_print(operand_value(check, check->leader), check->axis, type));
    return refuse(check, i, problem);
}

/* The letter that a split operand is split on; 0, and *status, where its annotation has none for it. */
static int split_letter(const struct check *check, uint32_t i, int *status)
{
    const struct annotation *annotation = &check->annotations[i];
    const struct split *split = split_over(operand_value(check, i), check->axis);
    const int letter = axes_letter(annotation, split->dimension, split->factor);

    if (letter == 0)
        *status = refuse(check, i,
                         split->factor >= annotation->axes[split->dimension].factor_count
                             ? "the op takes the dimension as one factor, whose outermost part alone can be split"
                             : "the op takes a fixed extent there");
    return letter;
}

/* Finds leader and letter, and holds the other operands to them. */
static int check_splits(struct check *check)
{
    const struct split *lead = NULL;
    int status = STATUS_OK;

    for (uint32_t i = 0; check->info->operands[i].name != NULL; i++) {
        const struct value *value = operand_value(check, i);
        const struct split *split = value == NULL ? NULL : split_over(value, check->axis);
        int letter = split == NULL ? 0 : split_letter(check, i, &status);

        if (status != STATUS_OK)
            return status;
        if (split == NULL)
            continue;
        if (lead == NULL) {
            lead = split;
            check->leader = i;
            check->letter = letter;
        }
        if (letter != check->letter || split->parts != lead->parts || split->index != lead->index)
            return refuse_beside(check, i);
    }
    for (uint32_t i = 0; lead != NULL && check->info->operands[i].name != NULL; i++) {
        const struct value *value = operand_value(check, i);

        if (value == NULL || !axes_has_letter(&check->annotations[i], check->letter))
            continue;
        if (split_over(value, check->axis) == NULL)
            return refuse_beside(check, i);
        if (axes_is_whole(&check->annotations[i], check->letter))
            return refuse(check, i, "the op needs it whole");
    }
    return STATUS_OK;
}

static bool has_attribute(const struct check *check, const char *role, int64_t *number)
{
    return axes_attribute(check->info, check->attributes, role, number);
}

/* The local extent of the letter, or of its parts ("v/"); 0 where the op does not say. */
static int64_t local_extent(const struct check *check, const char *name)
{
    struct axes_binding binding;
    struct error ignored;
    int64_t shape[LLMRUN_MAX_RANK];
    uint32_t rank;

    return axes_bind(check->program, check->info, check->operands, check->attributes, &binding, &ignored) ==
                       STATUS_OK &&
                   axes_shape(&binding, name, &rank, shape)
               ? shape[0]
               : 0;
}

static int check_term(const struct check *check, uint32_t i, enum reduction reduction)
{
    const struct value *value = operand_value(check, i), *lead = operand_value(check, check->leader);
    const struct split *split = split_over(lead, check->axis);
    const struct partial *partial = &value->partial[check->axis];
    const int64_t parts = local_extent(check, (const char[]){(char)check->letter, '/', '\0'});
    struct partial wanted = {.reduction = (uint8_t)reduction};
    struct value typed = {0};
    char type[SHARDING_TEXT], problem[160];

    if (reduction == REDUCTION_SUM) {
        if (parts < 1 || lead->shape[split->dimension] % parts != 0)
            return refuse(check, check->leader, "its parts of the sum are not whole");
        if (value->dtype != LLMRUN_F32 && value->dtype != LLMRUN_F64)
            return refuse(check, i, "a term of a sum is not rounded before the sum");
        wanted.first = (int32_t)(split->index * parts);
        wanted.parts = (int32_t)parts;
    }
    if (partial->reduction == wanted.reduction && partial->first == wanted.first && partial->parts == wanted.parts)
        return STATUS_OK;
    typed.partial[check->axis] = wanted;
    snprintf(problem, sizeof problem, "the op makes it %s", sharding_print(&typed, check->axis, type));
    return refuse(check, i, problem);
}

/* A bias, an addend, an activation come after the sum: they would count once a rank. */
static int check_roots(const struct check *check)
{
    int64_t number;

    for (uint32_t i = 0; check->info->operands[i].name != NULL; i++)
        if (check->info->operands[i].root && operand_value(check, i) != NULL)
            return refuse(check, i, "it comes after the reduction, which is not made yet");
    if (has_attribute(check, "root", &number) && number != 0)
        return refuse(check, check->leader, "the op's activation comes after the reduction, which is not made yet");
    return STATUS_OK;
}

/* Where the part of operand `i` begins in its factor, which all ranks have `*full` elements of. */
static int64_t origin_of(const struct check *check, uint32_t i, int64_t *full)
{
    const struct value *value = operand_value(check, i);
    const struct split *mine = split_over(value, check->axis);
    const bool alone =
        check->letter >= AXES_OPEN_LETTER || check->annotations[i].axes[mine->dimension].factor_count == 1;
    int64_t left = value->full[mine->dimension], origin = 0;

    if (!alone) {
        left = local_extent(check, (const char[]){(char)check->letter, '\0'});
        for (int s = 0; s < value->split_count; s++)
            if (value->splits[s].dimension == mine->dimension && value->splits[s].factor == mine->factor)
                left *= value->splits[s].parts;
    }
    *full = left;
    for (int s = 0; s < value->split_count; s++)
        if (value->splits[s].dimension == mine->dimension && value->splits[s].factor == mine->factor) {
            const int64_t each = (left + value->splits[s].parts - 1) / value->splits[s].parts;

            origin += value->splits[s].index * each;
            left = part_extent(left, &value->splits[s]);
        }
    return origin;
}

/* The role of the attribute that tells the origin of the letter, or with "full" its logical extent; "-", which no
 * attribute has, for an inner factor of an open operand. */
static const char *letter_role(const struct check *check, const char *word, char role[16])
{
    const bool open = check->letter >= AXES_OPEN_LETTER;
    const int place = check->letter - AXES_OPEN_LETTER;

    snprintf(role, 16, "-");
    if (!open || place % AXIS_MAX_FACTORS == 0)
        snprintf(role, 16, "%s %c", word, open ? '0' + place / AXIS_MAX_FACTORS : check->letter);
    return role;
}

/* Random numbers and selected rows go by the logical place of a part, which the op must be told: by attributes, or, of
 * sequences, by a word of its operand `rng_state`. */
static int check_origin(const struct check *check, uint32_t i)
{
    int64_t told, told_full, origin, full;
    char problem[160], role[16];

    if (check->letter == 'b' && op_operand_index(check->info, "rng_state") < op_operand_count(check->info))
        return STATUS_OK;
    if (!has_attribute(check, letter_role(check, "origin", role), &told))
        return refuse(check, i, "the op has no attribute for the origin of a part");
    origin = origin_of(check, i, &full);
    if (!has_attribute(check, letter_role(check, "full", role), &told_full))
        told_full = full;
    if (told == origin && told_full == full)
        return STATUS_OK;
    snprintf(problem, sizeof problem, "its part begins at %lld of %lld, and the op is told %lld of %lld",
             (long long)origin, (long long)full, (long long)told, (long long)told_full);
    return refuse(check, i, problem);
}

/* Inputs have the letter of a part too, and so say which part it is. */
static bool in_inputs(const struct check *check)
{
    for (uint32_t i = 0; check->info->operands[i].name != NULL; i++)
        if (check->info->operands[i].direction != OPERAND_OUT && operand_value(check, i) != NULL &&
            axes_has_letter(&check->annotations[i], check->letter))
            return true;
    return false;
}

static bool draws(const struct check *check)
{
    const uint32_t random = op_operand_index(check->info, "rng_state");
    int64_t number;

    return has_attribute(check, "draws", &number) &&
           (random == op_operand_count(check->info) || operand_value(check, random) != NULL);
}

/* An op that has an attribute for the origin is told the right one wherever the letter is split. */
static bool needs_origin(const struct check *check)
{
    char role[16];
    int64_t number;

    return draws(check) || !in_inputs(check) || has_attribute(check, letter_role(check, "origin", role), &number);
}

static int check_output(const struct check *check, uint32_t i)
{
    const bool split = check->letter != 0;
    const struct removal removal = axes_removal(&check->annotations[i], check->letter);
    const enum reduction reduction = removal.reduction;
    int status = STATUS_OK;

    /* What one stage alone makes: the ranks of the others hold zeros and have no such op. */
    if (check->axis == MESH_PP && operand_value(check, i)->partial[MESH_PP].reduction == REDUCTION_SLOT)
        return STATUS_OK;
    /* Of an x that all ranks have, one rank writes the slots and the others zeros. */
    if (!split && axes_removal(&check->annotations[i], AXES_OPEN_LETTER).reduction == REDUCTION_SLOT &&
        operand_value(check, i)->partial[check->axis].reduction == REDUCTION_SLOT)
        return STATUS_OK;
    if (!split || axes_has_letter(&check->annotations[i], check->letter) || removal.same)
        return operand_value(check, i)->partial[check->axis].reduction == REDUCTION_NONE
                   ? STATUS_OK
                   : refuse(check, i, "the op makes no term of it, so it would count once a rank");
    if (reduction == REDUCTION_NONE)
        return refuse(check, i, "it cannot lose the factor on which the op is split");
    if (reduction == REDUCTION_SUM || reduction == REDUCTION_SELECT)
        status = check_roots(check);
    if (status == STATUS_OK && reduction == REDUCTION_SELECT)
        status = check_origin(check, check->leader);
    return status == STATUS_OK ? check_term(check, i, reduction) : status;
}

static bool accumulates(const struct value *value)
{
    return value->kind == VALUE_GRADIENT || value->kind == VALUE_PARTIAL_ROWS;
}

/* Terms of the same rank of dp, of other sequences: a sum that waits, and what comes after it. Of two accumulators one
 * is another use of a parameter, and they meet when the terms of all ranks have. */
static bool waits(const struct check *check, uint32_t a, uint32_t b)
{
    return operand_value(check, b) != NULL && check->axis == MESH_DP &&
           !(accumulates(operand_value(check, a)) && accumulates(operand_value(check, b)));
}

/* y = a + b of two terms: neighbours that make a larger subtree. y = a: the same term. */
static int check_join(const struct check *check, uint32_t a, uint32_t b, uint32_t y)
{
    const struct partial *left = &operand_value(check, a)->partial[check->axis];
    const struct partial *right =
        operand_value(check, b) == NULL ? NULL : &operand_value(check, b)->partial[check->axis];
    const struct partial *joined = &operand_value(check, y)->partial[check->axis];
    const int32_t parts = right == NULL || waits(check, a, b) ? left->parts : 2 * left->parts;

    if (right != NULL && left->reduction == REDUCTION_NONE && right->reduction == REDUCTION_NONE)
        return joined->reduction == REDUCTION_NONE ? STATUS_OK : refuse(check, y, "its terms are none");
    if (right != NULL && waits(check, a, b) && (left->reduction != right->reduction || right->first != left->first))
        return refuse(check, b, "it is not the same rank's term of other microbatches");
    if (right != NULL && !waits(check, a, b) &&
        (left->reduction != REDUCTION_SUM || right->reduction != REDUCTION_SUM || right->parts != left->parts ||
         right->first != left->first + left->parts || left->first % parts != 0))
        return refuse(check, b, "it is not the other half of a subtree of one sum");
    return joined->reduction == left->reduction && joined->first == left->first && joined->parts == parts
               ? STATUS_OK
               : refuse(check, y, "it is not what its terms make");
}

static int check_axis(struct check *check)
{
    const bool joins = (check->info->flags & OP_JOIN) != 0;
    int status;

    check->letter = 0;
    status = check_splits(check);
    for (uint32_t i = 0; status == STATUS_OK && check->info->operands[i].name != NULL; i++) {
        const struct value *value = operand_value(check, i);

        if (value == NULL)
            continue;
        if (check->info->operands[i].direction == OPERAND_IN && !joins &&
            value->partial[check->axis].reduction != REDUCTION_NONE)
            status = refuse(check, i, "the op cannot take a term");
        if (status == STATUS_OK && check->letter != 0 && i == check->leader && needs_origin(check))
            status = check_origin(check, i);
        if (status == STATUS_OK && is_output(check, i) && !joins)
            status = check_output(check, i);
    }
    if (status == STATUS_OK && joins)
        status = check_join(check, op_operand_index(check->info, "a"), op_operand_index(check->info, "b"),
                            op_operand_index(check->info, "y"));
    return status;
}

static bool same_type(const struct value *x, const struct value *y, enum mesh_axis axis)
{
    const struct split *a = split_over(x, axis), *b = split_over(y, axis);

    if (a == NULL || b == NULL)
        return a == b && x->partial[axis].reduction == y->partial[axis].reduction &&
               x->partial[axis].first == y->partial[axis].first && x->partial[axis].parts == y->partial[axis].parts;
    return a->dimension == b->dimension && a->factor == b->factor && a->parts == b->parts && a->index == b->index;
}

enum type { REPLICATED, SPLIT, PARTIAL };

static enum type type_over(const struct value *value, enum mesh_axis axis)
{
    return split_over(value, axis) != NULL                    ? SPLIT
           : value->partial[axis].reduction != REDUCTION_NONE ? PARTIAL
                                                              : REPLICATED;
}

/* Over pp, x and buffer are on one rank, or buffer and y. */
static int check_transfer(struct check *check)
{
    const struct transfer_attributes *attributes = check->attributes;
    const struct value *a = operand_value(check, 0), *b = operand_value(check, 1);

    if (attributes->axis != MESH_PP)
        return error_set(check->error, STATUS_BUG, "axis %u has no neighbours that send and receive, pp has",
                         attributes->axis);
    if (a == NULL || b == NULL)
        return STATUS_OK;
    if (a->dtype != b->dtype)
        return error_set(check->error, STATUS_BUG, "the buffer has another element type");
    for (int i = 0; i < MESH_AXES; i++) {
        check->axis = (enum mesh_axis)i;
        if (!same_type(a, b, check->axis))
            return refuse(check, 1, "the op changes no type");
    }
    return STATUS_OK;
}

/* What one stage alone makes: the ranks of the others hold zeros and have no such op. */
static bool is_slot_of_stage(const struct value *value, enum mesh_axis axis)
{
    return axis == MESH_PP && value->partial[MESH_PP].reduction == REDUCTION_SLOT;
}

static int check_communication(struct check *check)
{
    static const enum type types[][2] = {[OP_ALL_GATHER - OP_ALL_GATHER] = {SPLIT, REPLICATED},
                                         [OP_REDUCE_SCATTER - OP_ALL_GATHER] = {PARTIAL, SPLIT},
                                         [OP_ALL_REDUCE - OP_ALL_GATHER] = {PARTIAL, REPLICATED},
                                         [OP_ALL_TO_ALL - OP_ALL_GATHER] = {SPLIT, SPLIT},
                                         [OP_SLICE - OP_ALL_GATHER] = {REPLICATED, SPLIT}};
    const struct communication_attributes *attributes = check->attributes;
    const struct value *x = operand_value(check, 0), *y = operand_value(check, 1);

    if (attributes->axis >= MESH_AXES)
        return error_set(check->error, STATUS_BUG, "%u is no axis of the mesh", attributes->axis);
    if (x->dtype != y->dtype)
        return error_set(check->error, STATUS_BUG, "x and y differ in their element type");
    for (int i = 0; i < MESH_AXES; i++) {
        check->axis = (enum mesh_axis)i;
        if (check->axis != attributes->axis && !same_type(x, y, check->axis) && !is_slot_of_stage(y, check->axis))
            return refuse(check, 1, "the op changes the type over another axis");
    }
    check->axis = (enum mesh_axis)attributes->axis;
    for (uint32_t i = 0; i < 2; i++)
        if (type_over(operand_value(check, i), check->axis) != types[check->op->op - OP_ALL_GATHER][i])
            return refuse(check, i, "the op takes and makes other types");
    return STATUS_OK;
}

static bool is_sharded(const struct value *value)
{
    bool sharded = value->split_count > 0;

    for (int i = 0; i < MESH_AXES; i++)
        sharded = sharded || value->partial[i].reduction != REDUCTION_NONE;
    return sharded;
}

int sharding_check_op(const struct program *program, const struct op *op, struct error *error)
{
    struct annotation annotations[LLMRUN_MAX_OPERANDS];
    struct check check = {.program = program,
                          .op = op,
                          .info = op_info_find(op->op),
                          .operands = program_operands(program, op),
                          .attributes = program_attributes(program, op),
                          .annotations = annotations,
                          .error = error};
    bool sharded = false;
    int status = STATUS_OK;

    if (op->op == OP_SEND || op->op == OP_RECEIVE)
        return check_transfer(&check);
    if ((check.info->flags & OP_COMMUNICATION) != 0)
        return check_communication(&check);
    for (uint32_t i = 0; check.info->operands[i].name != NULL; i++)
        sharded = sharded || (check.operands[i] != NO_VALUE && is_sharded(operand_value(&check, i)));
    if (!sharded)
        return STATUS_OK;
    axes_parse_op(program, check.info, check.operands, annotations);
    for (int i = 0; status == STATUS_OK && i < MESH_AXES; i++) {
        check.axis = (enum mesh_axis)i;
        status = check_axis(&check);
    }
    return status;
}
