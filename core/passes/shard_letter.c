#include "passes/shard_letter.h"

#include <string.h>

#include "program/axes.h"
#include "program/op_table.h"

/* One op and what its row says. */
struct row {
    const struct op_info *info;
    const int32_t *operands;
    const void *attributes;
    struct annotation annotations[LLMRUN_MAX_OPERANDS];
};

static void row_of(const struct shard *shard, int32_t op, struct row *row)
{
    row->info = op_info_find(shard->program->ops[op].op);
    row->operands = program_operands(shard->program, &shard->program->ops[op]);
    row->attributes = program_attributes(shard->program, &shard->program->ops[op]);
    axes_parse_op(shard->program, row->info, row->operands, row->annotations);
}

void shard_letter_begin(struct shard *shard, const struct section *section)
{
    for (int32_t i = 0; i < section->op_count; i++) {
        const struct op *op = &shard->program->ops[section->first_op + i];
        const struct op_info *info = op_info_find(op->op);
        const int32_t *operands = program_operands(shard->program, op);

        for (uint32_t k = 0; info->operands[k].name != NULL; k++)
            if (operands[k] != NO_VALUE && info->operands[k].direction != OPERAND_OUT)
                shard->last_uses[operands[k]] = section->first_op + i;
    }
}

static bool is_output(const struct row *row, uint32_t i)
{
    return row->info->operands[i].direction != OPERAND_IN;
}

/* The host reads it, so each rank has all of it. */
static bool is_result(const struct shard *shard, int32_t value)
{
    return shard->program->values[value].kind == VALUE_RESULT || shard->program->values[value].kind == VALUE_SCRATCH;
}

/* A factor of a product that is 1: a norm over all features has one head. */
static bool is_one(const struct shard *shard, const struct row *row, uint32_t i, int letter)
{
    const char name[] = {(char)letter, '\0'};
    struct axes_binding binding;
    struct error ignored;
    int64_t shape[LLMRUN_MAX_RANK];
    int dimension, factor;
    uint32_t rank;

    if (letter == 's' || letter >= AXES_OPEN_LETTER ||
        !axes_find_letter(&row->annotations[i], letter, &dimension, &factor) ||
        row->annotations[i].axes[dimension].factor_count == 1)
        return false;
    return axes_bind(shard->program, row->info, row->operands, row->attributes, &binding, &ignored) == STATUS_OK &&
           axes_shape(&binding, name, &rank, shape) && shape[0] == 1;
}

/* Whether the row lets ranks split the letter: nothing needs it whole, and each output has it or can lose it. */
static bool takes(const struct shard *shard, const struct row *row, int letter)
{
    for (uint32_t i = 0; row->info->operands[i].name != NULL; i++) {
        const struct annotation *annotation = &row->annotations[i];
        struct removal removal;

        if (row->operands[i] == NO_VALUE)
            continue;
        if (axes_is_whole(annotation, letter) || (!is_output(row, i) && is_one(shard, row, i, letter)))
            return false;
        if (!is_output(row, i))
            continue;
        removal = axes_removal(annotation, letter);
        if (axes_has_letter(annotation, letter) ? is_result(shard, row->operands[i])
                                                : removal.reduction == REDUCTION_NONE && !removal.same)
            return false;
    }
    return true;
}

/* The letter on which an op's inputs are split that are marked; 0 where none is. */
static int marked_letter(const struct shard *shard, const struct row *row)
{
    for (uint32_t i = 0; row->info->operands[i].name != NULL; i++) {
        const int32_t id = row->operands[i];

        if (id != NO_VALUE && !is_output(row, i) && shard->marks[id] == shard->mark)
            return axes_letter(&row->annotations[i], shard->marked[id].dimension, shard->marked[id].factor);
    }
    return 0;
}

/* Marks what the op makes of marked inputs; *summed where an output has lost the letter. Returns the last use. */
static int32_t mark_outputs(struct shard *shard, const struct row *row, int letter, bool *summed)
{
    int32_t last = 0;
    int dimension, factor;

    for (uint32_t i = 0; row->info->operands[i].name != NULL; i++) {
        const int32_t id = row->operands[i];

        if (id == NO_VALUE || !is_output(row, i))
            continue;
        if (!axes_find_letter(&row->annotations[i], letter, &dimension, &factor)) {
            *summed = true;
            continue;
        }
        shard->marks[id] = shard->mark;
        shard->marked[id] = (struct place){PLACE_SPLIT, (uint8_t)dimension, (uint8_t)factor};
        last = shard->last_uses[id] > last ? shard->last_uses[id] : last;
    }
    return last;
}

/* The host reads an output that has the letter: it is gathered before, of all that was computed apart. */
static bool leaves(const struct shard *shard, const struct row *row, int letter)
{
    for (uint32_t i = 0; row->info->operands[i].name != NULL; i++)
        if (row->operands[i] != NO_VALUE && is_output(row, i) && is_result(shard, row->operands[i]) &&
            axes_has_letter(&row->annotations[i], letter))
            return true;
    return false;
}

/* Whether a later op sums over what the value is split on, before one needs it whole; or it leaves the program. Follows
 * the split from op to op. */
static bool is_taken_on(struct shard *shard, const struct section *section, int32_t op, int32_t value,
                        struct place place)
{
    const int32_t end = section->first_op + section->op_count;
    int32_t last = shard->last_uses[value];
    bool summed = false;

    shard->marks[value] = ++shard->mark;
    shard->marked[value] = place;
    for (int32_t n = op + 1; n <= last && n < end; n++) {
        struct row row;
        int32_t later;
        int letter;

        row_of(shard, n, &row);
        letter = marked_letter(shard, &row);
        if (letter == 0)
            continue;
        if (leaves(shard, &row, letter)) {
            summed = true;
            continue;
        }
        if (!takes(shard, &row, letter))
            return false;
        later = mark_outputs(shard, &row, letter, &summed);
        last = later > last ? later : last;
    }
    return summed;
}

/* What an earlier op said of a parameter, or of a cache, that this op uses. */
static int letter_of_parameters(const struct shard *shard, const struct row *row)
{
    for (uint32_t i = 0; row->info->operands[i].name != NULL; i++) {
        const int32_t id = row->operands[i];
        struct place place;
        int letter;

        if (id == NO_VALUE || (shard->parameters[id] == NO_VALUE && shard->program->values[id].kind != VALUE_CACHE))
            continue;
        place = shard_place(shard, id);
        letter = place.kind == PLACE_SPLIT ? axes_letter(&row->annotations[i], place.dimension, place.factor) : 0;
        if (letter != 0 && takes(shard, row, letter))
            return letter;
    }
    return 0;
}

/* What an input is split on: a feature, or positions. */
static int letter_of_inputs(const struct shard *shard, const struct row *row, bool positions)
{
    for (uint32_t i = 0; row->info->operands[i].name != NULL; i++) {
        const int32_t id = row->operands[i];
        struct place place;
        int letter;

        if (id == NO_VALUE || is_output(row, i))
            continue;
        place = shard_place(shard, id);
        letter = place.kind == PLACE_SPLIT ? axes_letter(&row->annotations[i], place.dimension, place.factor) : 0;
        if (letter != 0 && (letter == 's') == positions && takes(shard, row, letter))
            return letter;
    }
    return 0;
}

static bool has_root(const struct row *row)
{
    for (uint32_t i = 0; row->info->operands[i].name != NULL; i++)
        if (row->info->operands[i].root && row->operands[i] != NO_VALUE)
            return true;
    return false;
}

/* A matrix of parameters that nothing has split yet: its outputs (column parallel) where a later op sums over them;
 * else the rows of a table that each rank can look up by itself. */
static int letter_of_matrix(struct shard *shard, const struct section *section, int32_t op, const struct row *row)
{
    uint32_t matrix = 0, out = 0;

    for (; row->info->operands[matrix].name != NULL; matrix++) {
        const int32_t id = row->operands[matrix];

        if (id != NO_VALUE && !is_output(row, matrix) && shard->parameters[id] != NO_VALUE &&
            shard->program->values[id].rank > 1 && shard_place(shard, id).kind == PLACE_OPEN)
            break;
    }
    while (row->info->operands[out].name != NULL && !is_output(row, out))
        out++;
    if (row->info->operands[matrix].name == NULL || row->info->operands[out].name == NULL)
        return 0;
    for (int d = 0; d < row->annotations[matrix].count; d++) {
        const int letter = axes_letter(&row->annotations[matrix], d, 0);
        int dimension, factor;

        if (letter != 0 && takes(shard, row, letter) &&
            axes_find_letter(&row->annotations[out], letter, &dimension, &factor) &&
            is_taken_on(shard, section, op, row->operands[out],
                        (struct place){PLACE_SPLIT, (uint8_t)dimension, (uint8_t)factor}))
            return letter;
    }
    for (int d = 0; !has_root(row) && d < row->annotations[matrix].count; d++) {
        const int letter = axes_letter(&row->annotations[matrix], d, 0);

        if (axes_removal(&row->annotations[out], letter).reduction == REDUCTION_SELECT)
            return letter;
    }
    return 0;
}

int shard_letter(struct shard *shard, const struct section *section, int32_t op)
{
    struct row row;
    int letter;

    row_of(shard, op, &row);
    letter = letter_of_parameters(shard, &row);
    if (letter == 0)
        letter = letter_of_inputs(shard, &row, false);
    if (letter == 0 && shard->forward)
        letter = letter_of_matrix(shard, section, op, &row);
    if (letter == 0 && shard->positions)
        letter = letter_of_inputs(shard, &row, true);
    return letter;
}
