#include "program/axes.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void name_add(struct axis *axis, char c)
{
    size_t length = strlen(axis->name);

    if (length + 1 < sizeof axis->name)
        axis->name[length] = c;
}

/* Takes a letter or a mark of the dimension. */
static void axis_add_char(struct axis *axis, const char *at)
{
    struct factor *factor = &axis->factors[axis->factor_count > 0 ? axis->factor_count - 1 : 0];

    if (*at == '^')
        factor->whole = true;
    else if (*at == '~')
        factor->tied = at[1];
    else if (*at == '/')
        factor->parts = true;
    else if (*at == '?')
        axis->optional = true;
    if (*at == '^' || *at == '~' || *at == '?')
        return;
    if (*at != '/' && *at != ' ' &&
        !(axis->factor_count > 0 && (*at == '.' || isdigit((unsigned char)factor->letter))) &&
        axis->factor_count < AXIS_MAX_FACTORS)
        axis->factors[axis->factor_count++] = (struct factor){.letter = *at, .tied = *at};
    name_add(axis, *at);
}

static const char *parse_axes(const char *text, struct annotation *annotation)
{
    bool inside = false, open = false;

    for (; *text != '\0' && *text != '|'; text++) {
        if (*text == ' ' && !inside) {
            open = false;
            continue;
        }
        if (!open && annotation->count < LLMRUN_MAX_RANK) {
            annotation->count++;
            open = true;
        }
        if (*text == '(' || *text == ')')
            inside = *text == '(';
        else
            axis_add_char(&annotation->axes[annotation->count - 1], text);
        if (*text == '~')
            text++; /* the letter behind it */
    }
    return text;
}

static enum reduction word_reduction(const char *word, size_t length)
{
    for (int i = 1; i < REDUCTIONS; i++)
        if (strlen(reduction_name((enum reduction)i)) == length &&
            strncmp(word, reduction_name((enum reduction)i), length) == 0)
            return (enum reduction)i;
    return REDUCTION_NONE;
}

/* "+ k", "select v", "same v", ...: a word, a blank and a letter each. */
static void parse_removals(const char *text, struct annotation *annotation)
{
    while (*(text += strspn(text, " |")) != '\0' && annotation->removal_count < AXES_MAX_REMOVALS) {
        size_t length = strcspn(text, " ");
        enum reduction reduction = word_reduction(text, length);
        bool same = length == 4 && strncmp(text, "same", length) == 0;

        text += length + strspn(text + length, " ");
        annotation->removals[annotation->removal_count++] = (struct removal){*text, reduction, same};
        text += strcspn(text, " ");
    }
}

void axes_parse(const char *text, struct annotation *annotation)
{
    memset(annotation, 0, sizeof *annotation);
    parse_removals(parse_axes(text, annotation), annotation);
}

/* Removes the factors of a letter, which is 1. */
static void axis_drop(struct axis *axis, char letter)
{
    struct axis left = {.optional = axis->optional};

    for (int i = 0; i < axis->factor_count; i++) {
        if (axis->factors[i].letter == letter)
            continue;
        if (left.factor_count > 0)
            name_add(&left, ' ');
        name_add(&left, axis->factors[i].letter);
        if (axis->factors[i].parts)
            name_add(&left, '/');
        left.factors[left.factor_count++] = axis->factors[i];
    }
    if (left.factor_count < axis->factor_count)
        *axis = left;
}

void axes_parse_op(const struct program *program, const struct op_info *info, const int32_t *operands,
                   struct annotation annotations[LLMRUN_MAX_OPERANDS])
{
    char absent = '\0';

    for (uint32_t i = 0; info->operands[i].name != NULL; i++) {
        struct annotation *annotation = &annotations[i];

        axes_parse(info->operands[i].axes, annotation);
        if (operands[i] < 0 || !annotation->axes[0].optional ||
            program->values[operands[i]].rank + 1 != annotation->count)
            continue;
        absent = annotation->axes[0].factors[0].letter;
        annotation->count--;
        memmove(annotation->axes, annotation->axes + 1, (size_t)annotation->count * sizeof annotation->axes[0]);
    }
    for (uint32_t i = 0; absent != '\0' && info->operands[i].name != NULL; i++)
        for (int d = 0; d < annotations[i].count; d++)
            axis_drop(&annotations[i].axes[d], absent);
}

bool axes_are_open(const struct annotation *annotation)
{
    return annotation->count > 0 && strcmp(annotation->axes[annotation->count - 1].name, "...") == 0;
}

int axes_letter(const struct annotation *annotation, int dimension, int factor)
{
    const struct axis *axis = &annotation->axes[dimension];
    int letter;

    if (axes_are_open(annotation))
        return AXES_OPEN_LETTER + dimension * AXIS_MAX_FACTORS + factor;
    letter = dimension < annotation->count && factor < axis->factor_count ? axis->factors[factor].letter : 0;
    return letter == 0 || isdigit(letter) ? 0 : axis->factors[factor].tied;
}

bool axes_find_letter(const struct annotation *annotation, int letter, int *dimension, int *factor)
{
    if (axes_are_open(annotation)) {
        *dimension = (letter - AXES_OPEN_LETTER) / AXIS_MAX_FACTORS;
        *factor = (letter - AXES_OPEN_LETTER) % AXIS_MAX_FACTORS;
        return letter >= AXES_OPEN_LETTER;
    }
    for (int d = 0; d < annotation->count; d++)
        for (int f = 0; f < annotation->axes[d].factor_count; f++)
            if (annotation->axes[d].factors[f].tied == letter) {
                *dimension = d;
                *factor = f;
                return true;
            }
    return false;
}

bool axes_has_letter(const struct annotation *annotation, int letter)
{
    int dimension, factor;

    return axes_find_letter(annotation, letter, &dimension, &factor);
}

bool axes_is_whole(const struct annotation *annotation, int letter)
{
    if (axes_are_open(annotation))
        return false;
    for (int d = 0; d < annotation->count; d++)
        for (int f = 0; f < annotation->axes[d].factor_count; f++)
            if (annotation->axes[d].factors[f].tied == letter && annotation->axes[d].factors[f].whole)
                return true;
    return false;
}

struct removal axes_removal(const struct annotation *annotation, int letter)
{
    for (int i = 0; i < annotation->removal_count; i++) {
        int removed = annotation->removals[i].letter;

        if (removed == letter || (removed == '.' && letter >= AXES_OPEN_LETTER))
            return annotation->removals[i];
    }
    return (struct removal){0};
}

static const int64_t *binding_find(const struct axes_binding *binding, const char *name)
{
    for (int i = 0; i < binding->count; i++)
        if (strcmp(binding->entries[i].name, name) == 0)
            return &binding->entries[i].extent;
    return NULL;
}

void axes_binding_add(struct axes_binding *binding, const char *name, int64_t extent)
{
    if (binding->count < AXES_MAX && binding_find(binding, name) == NULL) {
        snprintf(binding->entries[binding->count].name, sizeof binding->entries[0].name, "%.11s", name);
        binding->entries[binding->count++].extent = extent;
    }
}

/* The extent of an axis that is fixed, bound, or a product of parts that are; -1 where it is not known. */
static int64_t known_extent(const struct axes_binding *binding, const struct axis *axis)
{
    const int64_t *known = binding_find(binding, axis->name);
    int64_t product = 1;

    if (known != NULL || isdigit((unsigned char)axis->name[0]))
        return known != NULL ? *known : atoll(axis->name);
    for (int i = 0; i < axis->factor_count; i++) {
        const char parts[] = {axis->factors[i].letter, '/', '\0'};

        known = axis->factors[i].parts ? binding_find(binding, parts) : NULL;
        if (known == NULL)
            return -1;
        product *= *known;
    }
    return axis->factor_count > 0 ? product : -1;
}

bool axes_attribute(const struct op_info *info, const void *attributes, const char *role, int64_t *number)
{
    for (uint32_t i = 0; info->attributes[i].name != NULL; i++)
        if (strcmp(info->attributes[i].role, role) == 0) {
            *number = op_attribute_number(info, i, attributes);
            return true;
        }
    return false;
}

/* Of a product of two, "b s", the outer factor follows from the inner one; of one with parts, "p u/", each from the
 * other. False where a product of parts is no multiple of one, or a product is not that of its two factors. */
static bool bind_factors(struct axes_binding *binding)
{
    for (int i = 0; i < binding->count; i++) {
        struct annotation product;
        char text[16], names[2][3] = {{0}};
        const int64_t *known[2];
        bool parts;

        snprintf(text, sizeof text, "(%s)", binding->entries[i].name);
        axes_parse(text, &product);
        if (binding->entries[i].name[0] == '#' || product.count != 1 || product.axes[0].factor_count != 2)
            continue;
        parts = product.axes[0].factors[0].parts || product.axes[0].factors[1].parts;
        for (int f = 0; f < 2; f++) {
            const struct factor *factor = &product.axes[0].factors[f];

            snprintf(names[f], sizeof names[f], "%c%s", factor->letter, factor->parts ? "/" : "");
            known[f] = binding_find(binding, names[f]);
        }
        for (int f = 0; f < 2; f++) {
            const bool divides = known[f] != NULL && *known[f] > 0 && binding->entries[i].extent % *known[f] == 0;

            if (parts && known[f] != NULL && !divides)
                return false;
            if (divides && known[1 - f] == NULL && (parts || f == 1))
                axes_binding_add(binding, names[1 - f], binding->entries[i].extent / *known[f]);
            if (known[f] != NULL && known[1 - f] != NULL &&
                !(divides && binding->entries[i].extent / *known[f] == *known[1 - f]))
                return false;
        }
    }
    return true;
}

static void bind_attributes(const struct op_info *info, const void *attributes, struct axes_binding *binding)
{
    for (uint32_t i = 0; info->attributes[i].name != NULL; i++) {
        const char *role = info->attributes[i].role;

        if (strncmp(role, "extent ", 7) == 0)
            axes_binding_add(binding, role + 7, op_attribute_number(info, i, attributes));
        else if (strncmp(role, "parts ", 6) == 0)
            axes_binding_add(binding, (const char[]){role[6], '/', '\0'}, op_attribute_number(info, i, attributes));
    }
}

/* The rank of the open operands: that of the first one. */
static int64_t bind_rank(struct axes_binding *binding, int64_t rank)
{
    axes_binding_add(binding, "#", rank);
    return *binding_find(binding, "#");
}

/* Binds one operand; the annotation's extents must agree with what is bound. */
static int bind_operand(const struct value *value, const struct op_info *info, const struct operand_info *operand,
                        const struct annotation *annotation, struct axes_binding *binding, struct error *error)
{
    /* Communication changes the local shape and keeps the logical one. */
    const int64_t *shape = (info->flags & OP_COMMUNICATION) != 0 ? value->full : value->shape;
    const bool open = axes_are_open(annotation);

    if (open ? value->rank < annotation->count - 1 : value->rank != annotation->count)
        return error_set(error, STATUS_BUG, "%s: operand %s (value %s) has rank %d, the op table says '%s'", info->name,
                         operand->name, value->name, value->rank, operand->axes);
    if (open && bind_rank(binding, value->rank) != value->rank)
        return error_set(error, STATUS_BUG, "%s: operand %s (value %s) has rank %d, wanted %lld", info->name,
                         operand->name, value->name, value->rank, (long long)bind_rank(binding, value->rank));
    for (int i = 0; i < value->rank; i++) {
        /* Dimensions of an open annotation are named by their place, so that open operands have one shape. */
        const struct axis place = {.name = {'#', (char)('0' + i)}};
        const struct axis *axis = open ? &place : &annotation->axes[i];
        int64_t wanted = known_extent(binding, axis);

        if (wanted >= 0 && shape[i] != wanted)
            return error_set(error, STATUS_BUG, "%s: operand %s (value %s) has extent %lld on axis '%s', wanted %lld",
                             info->name, operand->name, value->name, (long long)shape[i], axis->name,
                             (long long)wanted);
        if (wanted < 0)
            axes_binding_add(binding, axis->name, shape[i]);
    }
    return STATUS_OK;
}

int axes_bind(const struct program *program, const struct op_info *info, const int32_t *operands,
              const void *attributes, struct axes_binding *binding, struct error *error)
{
    struct annotation annotations[LLMRUN_MAX_OPERANDS];
    int status;

    binding->count = 0;
    axes_parse_op(program, info, operands, annotations);
    /* Inputs first: they name the extents that attributes and outputs are checked against. */
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t i = 0; info->operands[i].name != NULL; i++) {
            bool output = info->operands[i].direction == OPERAND_OUT;

            if (operands[i] < 0 || output != (pass == 1))
                continue;
            status =
                bind_operand(&program->values[operands[i]], info, &info->operands[i], &annotations[i], binding, error);
            if (status != STATUS_OK)
                return status;
        }
        bind_attributes(info, attributes, binding);
        if (!bind_factors(binding))
            return error_set(error, STATUS_BUG, "%s: an extent is not the product of its factors", info->name);
    }
    return STATUS_OK;
}

bool axes_shape(const struct axes_binding *binding, const char *text, uint32_t *rank, int64_t shape[LLMRUN_MAX_RANK])
{
    struct annotation annotation;

    axes_parse(text, &annotation);
    *rank = (uint32_t)annotation.count;
    for (int i = 0; i < annotation.count; i++)
        if ((shape[i] = known_extent(binding, &annotation.axes[i])) < 0)
            return false;
    return true;
}
