#include "passes/shard_op.h"

#include <string.h>

#include "passes/shard_role.h"
#include "program/axes.h"
#include "program/op_table.h"

/* One op on its way into the rank's program. */
struct writing {
    struct shard *shard;
    struct op op;
    const struct op_info *info;
    int letter;
    int32_t operands[LLMRUN_MAX_OPERANDS]; /* those of the program, then of the rank's */
    struct annotation annotations[LLMRUN_MAX_OPERANDS];
    union {
        uint64_t alignment;
        uint8_t bytes[OP_MAX_ATTRIBUTE_BYTES];
    } attributes;
    struct partial partial; /* what an output becomes that loses the letter */
};

struct place shard_between(const struct shard *shard)
{
    return shard->positions ? (struct place){PLACE_SPLIT, 0, 1} : (struct place){.kind = PLACE_WHOLE};
}

static struct place place_of_letter(const struct writing *writing, uint32_t i)
{
    int dimension, factor;

    if (writing->letter == 0 || !axes_find_letter(&writing->annotations[i], writing->letter, &dimension, &factor))
        return (struct place){.kind = PLACE_WHOLE};
    return (struct place){PLACE_SPLIT, (uint8_t)dimension, (uint8_t)factor};
}

static bool is_input(const struct writing *writing, uint32_t i)
{
    return writing->info->operands[i].direction == OPERAND_IN;
}

/* How the output loses the letter: REDUCTION_NONE where it has it, or nothing is split. */
static enum reduction lost(const struct writing *writing, uint32_t i)
{
    if (is_input(writing, i) || writing->operands[i] == NO_VALUE || writing->letter == 0 ||
        axes_has_letter(&writing->annotations[i], writing->letter))
        return REDUCTION_NONE;
    return axes_removal(&writing->annotations[i], writing->letter).reduction;
}

/* The output that is a term of a sum or selection; operand count where there is none. */
static uint32_t term_of(const struct writing *writing)
{
    uint32_t i = 0;

    for (; writing->info->operands[i].name != NULL; i++)
        if (lost(writing, i) == REDUCTION_SUM || lost(writing, i) == REDUCTION_SELECT)
            break;
    return i;
}

/* An output in the type that the op makes; said before, by the parameter it belongs to, it is that one. */
static void place_output(struct writing *writing, uint32_t i)
{
    struct shard *shard = writing->shard;
    const int32_t id = writing->operands[i];
    const struct place place = place_of_letter(writing, i), found = shard_place(shard, id);

    if (lost(writing, i) == REDUCTION_SLOT) {
        if (found.kind != PLACE_SLOTS)
            shard_decide(shard, id, (struct place){.kind = PLACE_SLOTS});
    } else if (found.kind == PLACE_OPEN) {
        shard_decide(shard, id, place);
    } else if (found.kind != PLACE_SLOTS && !place_equal(found, place) && shard->builder.status == STATUS_OK) {
        shard->builder.status = error_set(shard->builder.error, STATUS_BUG, "%s makes %s in another type than before",
                                          writing->info->name, shard->program->values[id].name);
    }
}

/* Takes the operands that come after a sum away from an op that makes a term of it. */
static void take_root(struct writing *writing, uint32_t term, struct shard_root *root)
{
    const uint32_t bias = op_operand_index(writing->info, "bias"), aux = op_operand_index(writing->info, "aux"),
                   addend = op_operand_index(writing->info, "addend"), count = op_operand_count(writing->info);
    int64_t activation = 0;

    *root = (struct shard_root){writing->operands[term], NO_VALUE, NO_VALUE, NO_VALUE, 0};
    root->bias = bias < count ? writing->operands[bias] : NO_VALUE;
    root->aux = aux < count ? writing->operands[aux] : NO_VALUE;
    root->addend = addend < count ? writing->operands[addend] : NO_VALUE;
    axes_attribute(writing->info, writing->attributes.bytes, "root", &activation);
    root->activation = (uint32_t)activation;
    for (uint32_t i = 0; i < count; i++)
        if (writing->info->operands[i].root)
            writing->operands[i] = NO_VALUE;
}

static void put(struct writing *writing)
{
    struct shard *shard = writing->shard;

    if (shard->builder.status == STATUS_OK &&
        program_add_op(shard->out, &writing->op, writing->operands, writing->attributes.bytes) < 0)
        shard->builder.status = error_set(shard->builder.error, STATUS_MEMORY, "no memory for the ops of a rank");
}

/* The term in the element type that it travels in: a sum is not rounded before it is whole. */
static int32_t add_term(struct writing *writing, uint32_t term, enum reduction reduction)
{
    struct shard *shard = writing->shard;
    const int32_t value = writing->operands[term];
    const uint32_t dtype = reduction == REDUCTION_SUM ? LLMRUN_F32 : shard->out->values[value].dtype;
    const int32_t id = shard_add(shard, value, "partial", dtype, (struct place){.kind = PLACE_WHOLE});

    if (id != NO_VALUE)
        shard->out->values[id].partial[MESH_TP] = writing->partial;
    return id;
}

static void place_inputs(struct writing *writing)
{
    for (uint32_t i = 0; writing->info->operands[i].name != NULL; i++)
        if (writing->info->operands[i].direction == OPERAND_IN && writing->operands[i] != NO_VALUE)
            writing->operands[i] = shard_convert(writing->shard, writing->operands[i], place_of_letter(writing, i));
}

static void place_outputs(struct writing *writing, uint32_t term)
{
    for (uint32_t i = 0; writing->info->operands[i].name != NULL; i++)
        if (writing->info->operands[i].direction != OPERAND_IN && writing->operands[i] != NO_VALUE && i != term)
            place_output(writing, i);
}

/* sum_squares: the slots of this rank's part among those of the whole, or zeros for what the first rank counts. */
static void place_slots(struct writing *writing)
{
    struct llmrun_sum_squares_attributes squares;
    struct shard *shard = writing->shard;
    const int32_t x = program_operands(shard->program, &writing->op)[LLMRUN_SUM_SQUARES_X];
    const struct place place = shard_place(shard, x);
    const bool columns = place.dimension + 1 == shard->program->values[x].rank;
    uint32_t *parts = columns ? &squares.column_parts : &squares.row_parts;

    memcpy(&squares, writing->attributes.bytes, sizeof squares);
    if (place.kind != PLACE_SPLIT) {
        squares.replica = shard->index != 0;
        if (shard_place(shard, writing->operands[LLMRUN_SUM_SQUARES_SUMS]).kind == PLACE_OPEN)
            shard_decide(shard, writing->operands[LLMRUN_SUM_SQUARES_SUMS], (struct place){.kind = PLACE_SLOTS});
    } else if (*parts % (uint32_t)shard->ranks != 0) {
        shard_refuse(shard, shard->program->values[x].name, *parts, "parts of its norm");
    } else {
        squares.slot_stride = squares.column_parts;
        *parts /= (uint32_t)shard->ranks;
        squares.slot += (int64_t)shard->index * *parts * (columns ? 1 : squares.slot_stride);
    }
    memcpy(writing->attributes.bytes, &squares, sizeof squares);
}

static void begin(struct writing *writing, struct shard *shard, int32_t op, int letter)
{
    writing->shard = shard;
    writing->op = shard->program->ops[op];
    writing->info = op_info_find(writing->op.op);
    writing->letter = letter;
    writing->partial = (struct partial){0};
    memcpy(writing->operands, program_operands(shard->program, &writing->op),
           op_operand_count(writing->info) * sizeof writing->operands[0]);
    memset(&writing->attributes, 0, sizeof writing->attributes);
    memcpy(&writing->attributes, program_attributes(shard->program, &writing->op), op_attribute_bytes(writing->info));
    axes_parse_op(shard->program, writing->info, writing->operands, writing->annotations);
    shard->builder.layer = writing->op.layer;
    shard->builder.role = (enum op_role)writing->op.role;
}

void shard_op(struct shard *shard, int32_t op, int letter)
{
    struct writing writing;
    struct shard_root root;
    uint32_t term;

    begin(&writing, shard, op, letter);
    term = term_of(&writing);
    if (writing.op.op == LLMRUN_OP_SUM_SQUARES)
        place_slots(&writing);
    if (letter != 0)
        shard_roles(shard, op, letter, writing.attributes.bytes, &writing.partial);
    if (shard->builder.status != STATUS_OK)
        return;
    if (writing.info->operands[term].name == NULL) {
        place_inputs(&writing);
        place_outputs(&writing, term);
        put(&writing);
        return;
    }
    if (lost(&writing, term) == REDUCTION_SELECT)
        writing.partial = (struct partial){.reduction = REDUCTION_SELECT};
    take_root(&writing, term, &root);
    shard_roles_unrooted(writing.info, writing.attributes.bytes);
    place_inputs(&writing);
    writing.operands[term] = add_term(&writing, term, (enum reduction)writing.partial.reduction);
    put(&writing);
    shard_finish(shard, writing.operands[term], &root);
}

static void emit_finish(struct shard *shard, int32_t reduced, const struct shard_root *root)
{
    const struct llmrun_finish_attributes attributes = {root->activation, 0};
    const struct place whole = {.kind = PLACE_WHOLE};
    int32_t operands[LLMRUN_FINISH_OPERANDS];

    operands[LLMRUN_FINISH_PARTIAL] = reduced;
    operands[LLMRUN_FINISH_BIAS] = root->bias != NO_VALUE ? shard_convert(shard, root->bias, whole) : NO_VALUE;
    operands[LLMRUN_FINISH_Y] = root->value;
    operands[LLMRUN_FINISH_AUX] = root->aux;
    builder_emit(&shard->builder, LLMRUN_OP_FINISH, &attributes, operands, 0, "finish");
}

void shard_finish(struct shard *shard, int32_t partial, const struct shard_root *root)
{
    const struct place place = shard_between(shard);
    const uint16_t op = place.kind == PLACE_SPLIT ? OP_REDUCE_SCATTER : OP_ALL_REDUCE;
    int32_t reduced = root->value;
    bool finishes;

    if (shard->builder.status != STATUS_OK)
        return;
    shard_decide(shard, root->value, place);
    if (root->aux != NO_VALUE)
        shard_decide(shard, root->aux, place);
    finishes = shard->out->values[partial].dtype != shard->out->values[root->value].dtype || root->bias != NO_VALUE ||
               root->aux != NO_VALUE || root->activation != 0;
    if (finishes || root->addend != NO_VALUE)
        reduced = shard_add(shard, root->value, "reduced", shard->out->values[partial].dtype, place);
    shard_communicate(shard, op, partial, reduced);
    if (finishes)
        emit_finish(shard, reduced, root);
    if (root->addend != NO_VALUE) {
        int32_t operands[LLMRUN_ADD_OPERANDS] = {reduced, shard_convert(shard, root->addend, place), root->value};

        builder_emit(&shard->builder, LLMRUN_OP_ADD, NULL, operands, 0, "add");
    }
}
