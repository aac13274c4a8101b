#include "engine/state_dict.h"

#include <stdlib.h>
#include <string.h>

#include "program/part.h"
#include "tensor/dtype.h"

static int box_of(const struct value *value, struct box *box, struct error *error)
{
    int status = STATUS_OK;

    *box = (struct box){{0}, {0}};
    for (int i = 0; i < value->rank && status == STATUS_OK; i++) {
        status = value_part_begins(value, i, &box->first[i], error);
        box->extent[i] = value->shape[i];
    }
    return status;
}

static int add_value(struct state_dict *list, const struct value *value, int32_t id, struct error *error)
{
    struct checkpoint_slice *slice = &list->slices[list->count];
    int status = box_of(value, &slice->box, error);

    slice->stored = true;
    list->values[list->count] = id;
    list->forms[list->count++] =
        (struct safetensors_form){value->name, value->dtype, shape_of(value->rank, value->full)};
    list->bytes += value_bytes(value);
    return status;
}

int state_dict_make(const struct program *program, struct state_dict *list, struct error *error)
{
    int status = STATUS_OK;

    memset(list, 0, sizeof *list);
    list->values = malloc((size_t)(program->value_count + 1) * sizeof *list->values);
    list->forms = malloc((size_t)(program->value_count + 1) * sizeof *list->forms);
    list->slices = malloc((size_t)(program->value_count + 1) * sizeof *list->slices);
    if (list->values == NULL || list->forms == NULL || list->slices == NULL)
        status = error_set(error, STATUS_MEMORY, "no memory for the list of weights");
    for (int64_t i = 0; i < program->value_count && status == STATUS_OK; i++) {
        const struct value *value = &program->values[i];

        /* A view is of a value that is in the list itself. */
        if ((value->kind == VALUE_PARAMETER || value->kind == VALUE_STATE) && (value->flags & VALUE_VIEW) == 0)
            status = add_value(list, value, (int32_t)i, error);
    }
    if (status != STATUS_OK)
        state_dict_finish(list);
    return status;
}

void state_dict_own(struct state_dict *list, const struct program *program, const struct mesh *mesh)
{
    for (int64_t i = 0; i < list->count; i++) {
        const struct value *value = &program->values[list->values[i]];
        uint32_t divided = 1u << MESH_PP;

        for (int j = 0; j < value->split_count; j++)
            divided |= 1u << mesh_group_of_split(mesh, (enum mesh_axis)value->splits[j].axis, value->splits[j].parts);
        list->slices[i].stored = mesh_is_owner(mesh, divided);
    }
}

int64_t state_dict_box_bytes(const struct state_dict *list, int64_t i)
{
    return box_elements(&list->slices[i].box, list->forms[i].shape.rank) * dtype_bytes(list->forms[i].dtype);
}

int state_dict_of_model(const struct model_config *model, struct program *program, struct state_dict *list,
                        struct error *error)
{
    struct builder builder;

    memset(list, 0, sizeof *list);
    program_init(program);
    builder_init(&builder, program, error);
    builder_section(&builder, SECTION_INIT);
    model_build_init(&builder, model, 0);
    return builder.status == STATUS_OK ? state_dict_make(program, list, error) : builder.status;
}

void state_dict_finish(struct state_dict *list)
{
    free(list->values);
    free(list->forms);
    free(list->slices);
    memset(list, 0, sizeof *list);
}

int state_dict_find(const struct checkpoint *checkpoint, const struct safetensors_form *form,
                    const struct manifest_tensor **tensor, struct error *error)
{
    char found[SHAPE_TEXT_BYTES], wanted[SHAPE_TEXT_BYTES];

    *tensor = checkpoint_tensor_find(checkpoint, form->name);
    if (*tensor == NULL)
        return error_set(error, STATUS_INPUT, "%s has no tensor %s", checkpoint->folder, form->name);
    if ((*tensor)->dtype != form->dtype || !shape_equal(&(*tensor)->shape, &form->shape))
        return error_set(error, STATUS_INPUT, "%s: tensor %s is %s%s, the model wants %s%s", checkpoint->folder,
                         form->name, dtype_name((*tensor)->dtype), shape_print(&(*tensor)->shape, found),
                         dtype_name(form->dtype), shape_print(&form->shape, wanted));
    return STATUS_OK;
}

/* "h.0.ln_1.weight.m": what the optimizer keeps of a parameter, whose name stands before the last dot. */
static bool is_moment(const struct checkpoint *checkpoint, const char *name)
{
    const char *dot = strrchr(name, '.');
    char *parameter;
    bool found;

    if (dot == NULL || (strcmp(dot, ".m") != 0 && strcmp(dot, ".v") != 0))
        return false;
    parameter = strndup(name, (size_t)(dot - name));
    found = parameter == NULL || checkpoint_tensor_find(checkpoint, parameter) != NULL;
    free(parameter);
    return found;
}

int state_dict_check_surplus(const struct checkpoint *checkpoint, const struct model_config *model, struct error *error)
{
    const struct manifest *manifest = &checkpoint->manifest;
    struct program program;
    struct state_dict list;
    int status = state_dict_of_model(model, &program, &list, error);

    for (int64_t i = 0; i < manifest->tensor_count && status == STATUS_OK; i++) {
        const char *name = manifest->tensors[i].name;

        if (program_find(&program, name) == NO_VALUE && !is_moment(checkpoint, name))
            status = error_set(error, STATUS_INPUT,
                               "%s: tensor %.200s is not of the model that its config and model.overrides describe",
                               checkpoint->folder, name);
    }
    state_dict_finish(&list);
    program_finish(&program);
    return status;
}

int state_dict_load(struct executor *executor, const struct state_dict *list, struct checkpoint *checkpoint,
                    struct error *error)
{
    int64_t largest = 1;
    int status = STATUS_OK;
    void *memory;

    for (int64_t i = 0; i < list->count; i++)
        largest = state_dict_box_bytes(list, i) > largest ? state_dict_box_bytes(list, i) : largest;
    memory = malloc((size_t)largest);
    if (memory == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for a tensor of %lld bytes", (long long)largest);
    for (int64_t i = 0; status == STATUS_OK && i < list->count; i++) {
        const struct manifest_tensor *tensor;

        status = state_dict_find(checkpoint, &list->forms[i], &tensor, error);
        if (status == STATUS_OK)
            status = checkpoint_read_box(checkpoint, tensor, &list->slices[i].box, memory, error);
        if (status == STATUS_OK && state_dict_box_bytes(list, i) > 0)
            status = executor_write(executor, list->values[i], memory, error);
    }
    free(memory);
    return status;
}

int state_dict_snapshot(struct executor *executor, const struct state_dict *list, void *memory, struct error *error)
{
    char *at = memory;
    int status = STATUS_OK;

    for (int64_t i = 0; status == STATUS_OK && i < list->count; i++) {
        const int64_t bytes = state_dict_box_bytes(list, i);

        if (bytes > 0)
            status = executor_read(executor, list->values[i], at, error);
        at += bytes;
    }
    return status;
}

/* Exponent bits all ones: infinity or NaN. */
static bool all_finite(const uint32_t *words, int64_t count)
{
    uint32_t bad = 0;

    for (int64_t i = 0; i < count; i++)
        bad |= (words[i] & 0x7f800000u) == 0x7f800000u;
    return bad == 0;
}

int state_dict_check_finite(const struct state_dict *list, const void *memory, struct error *error)
{
    const char *at = memory;

    for (int64_t i = 0; i < list->count; i++) {
        const int64_t bytes = state_dict_box_bytes(list, i);

        if (list->forms[i].dtype == LLMRUN_F32 && !all_finite((const uint32_t *)(const void *)at, bytes / 4))
            return error_set(error, STATUS_NONFINITE,
                             "tensor %s holds a number that is not finite; no checkpoint is saved",
                             list->forms[i].name);
        at += bytes;
    }
    return STATUS_OK;
}
