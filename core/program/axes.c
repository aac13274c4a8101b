#include "program/axes.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void axis_add_char(struct axis *axis, char c)
{
    size_t length = strlen(axis->name);

    if (c == '+')
        axis->summed = true;
    else if (c == '^')
        axis->whole = true;
    else if (length + 1 < sizeof axis->name)
        axis->name[length] = c;
}

int axes_parse(const char *text, struct axis axes[LLMRUN_MAX_RANK])
{
    int count = 0;
    bool inside = false, open = false;

    for (; *text != '\0'; text++) {
        if (*text == ' ' && !inside) {
            open = false;
            continue;
        }
        if (!open && count < LLMRUN_MAX_RANK) {
            memset(&axes[count++], 0, sizeof axes[0]);
            open = true;
        }
        if (*text == '(' || *text == ')')
            inside = *text == '(';
        else
            axis_add_char(&axes[count - 1], *text);
    }
    return count;
}

static int64_t *binding_find(struct axes_binding *binding, const char *name)
{
    for (int i = 0; i < binding->count; i++)
        if (strcmp(binding->entries[i].name, name) == 0)
            return &binding->entries[i].extent;
    return NULL;
}

static void binding_add(struct axes_binding *binding, const char *name, int64_t extent)
{
    if (binding->count < AXES_MAX && binding_find(binding, name) == NULL) {
        snprintf(binding->entries[binding->count].name, sizeof binding->entries[0].name, "%.11s", name);
        binding->entries[binding->count++].extent = extent;
    }
}

static bool attribute_number(const struct op_info *info, const void *attributes, const char *name, int64_t *out)
{
    for (uint32_t i = 0; info->attributes[i].name != NULL; i++) {
        const uint8_t *at = (const uint8_t *)attributes + op_attribute_offset(info, i);
        uint32_t narrow;

        if (strcmp(info->attributes[i].name, name) != 0)
            continue;
        if (attribute_type_bytes(info->attributes[i].type) == 8)
            memcpy(out, at, 8);
        else {
            memcpy(&narrow, at, 4);
            *out = narrow;
        }
        return true;
    }
    return false;
}

static void bind_attributes(const struct op_info *info, const void *attributes, struct axes_binding *binding)
{
    int64_t number, lanes;
    int64_t *rows = binding_find(binding, "b s");

    if (attribute_number(info, attributes, "heads", &number))
        binding_add(binding, "h", number);
    if (attribute_number(info, attributes, "kv_heads", &number))
        binding_add(binding, "g", number);
    if (attribute_number(info, attributes, "lanes", &lanes) && attribute_number(info, attributes, "chunks", &number))
        binding_add(binding, "u", lanes * number);
    if (rows != NULL && attribute_number(info, attributes, "sequence", &number) && number > 0 && *rows % number == 0)
        binding_add(binding, "b", *rows / number);
}

/* The rank of the open operands: that of the first one. */
static int64_t bind_rank(struct axes_binding *binding, int64_t rank)
{
    binding_add(binding, "#", rank);
    return *binding_find(binding, "#");
}

/* Binds one operand; the annotation's extents must agree with what is bound. */
static int bind_operand(const struct value *value, const struct op_info *info, const struct operand_info *operand,
                        struct axes_binding *binding, struct error *error)
{
    struct axis axes[LLMRUN_MAX_RANK];
    int count = axes_parse(operand->axes, axes);
    bool open = count > 0 && strcmp(axes[count - 1].name, "...") == 0;

    if (open ? value->rank < count - 1 : value->rank != count)
        return error_set(error, STATUS_BUG, "%s: operand %s (value %s) has rank %d, the op table says '%s'", info->name,
                         operand->name, value->name, value->rank, operand->axes);
    if (open && bind_rank(binding, value->rank) != value->rank)
        return error_set(error, STATUS_BUG, "%s: operand %s (value %s) has rank %d, wanted %lld", info->name,
                         operand->name, value->name, value->rank, (long long)bind_rank(binding, value->rank));
    for (int i = 0; i < value->rank; i++) {
        /* Dimensions of an open annotation are named by their place, so that open operands have one shape. */
        const char place[] = {'#', (char)('0' + i), '\0'};
        const char *name = open ? place : axes[i].name;
        int64_t *known = binding_find(binding, name);
        int64_t fixed = isdigit((unsigned char)name[0]) ? atoll(name) : -1;
        int64_t wanted = fixed >= 0 ? fixed : known != NULL ? *known : value->shape[i];

        if (value->shape[i] != wanted)
            return error_set(error, STATUS_BUG, "%s: operand %s (value %s) has extent %lld on axis '%s', wanted %lld",
                             info->name, operand->name, value->name, (long long)value->shape[i], name,
                             (long long)wanted);
        if (fixed < 0)
            binding_add(binding, name, value->shape[i]);
    }
    return STATUS_OK;
}

int axes_bind(const struct program *program, const struct op_info *info, const int32_t *operands,
              const void *attributes, struct axes_binding *binding, struct error *error)
{
    int status;

    binding->count = 0;
    /* Inputs first: they name the extents that attributes and outputs are checked against. */
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t i = 0; info->operands[i].name != NULL; i++) {
            bool output = info->operands[i].direction == OPERAND_OUT;

            if (operands[i] < 0 || output != (pass == 1))
                continue;
            status = bind_operand(&program->values[operands[i]], info, &info->operands[i], binding, error);
            if (status != STATUS_OK)
                return status;
        }
        bind_attributes(info, attributes, binding);
    }
    return STATUS_OK;
}

bool axes_shape(const struct axes_binding *binding, const char *text, uint32_t *rank, int64_t shape[LLMRUN_MAX_RANK])
{
    struct axis axes[LLMRUN_MAX_RANK];
    int count = axes_parse(text, axes);

    *rank = (uint32_t)count;
    for (int i = 0; i < count; i++) {
        const int64_t *known = binding_find((struct axes_binding *)(uintptr_t)binding, axes[i].name);

        if (isdigit((unsigned char)axes[i].name[0]))
            shape[i] = atoll(axes[i].name);
        else if (known != NULL)
            shape[i] = *known;
        else
            return false;
    }
    return true;
}
