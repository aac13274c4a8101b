#include "engine/state_dict.h"

#include <stdlib.h>
#include <string.h>

#include "program/part.h"
#include "tensor/dtype.h"

int state_dict_make(const struct program *program, struct state_dict *list, struct error *error)
{
    memset(list, 0, sizeof *list);
    list->values = malloc((size_t)(program->value_count + 1) * sizeof *list->values);
    list->forms = malloc((size_t)(program->value_count + 1) * sizeof *list->forms);
    if (list->values == NULL || list->forms == NULL) {
        state_dict_finish(list);
        return error_set(error, STATUS_MEMORY, "no memory for the list of weights");
    }
    for (int64_t i = 0; i < program->value_count; i++) {
        const struct value *value = &program->values[i];

        if (value->kind != VALUE_PARAMETER && value->kind != VALUE_STATE)
            continue;
        list->values[list->count] = (int32_t)i;
        list->forms[list->count++] =
            (struct safetensors_form){value->name, value->dtype, shape_of(value->rank, value->full)};
        list->bytes += value_whole_bytes(value);
    }
    return STATUS_OK;
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

static int load_one(struct executor *executor, int32_t value, const struct safetensors_form *form,
                    struct checkpoint *checkpoint, void *memory, struct error *error)
{
    const struct manifest_tensor *tensor;
    int status = state_dict_find(checkpoint, form, &tensor, error);

    if (status == STATUS_OK)
        status = checkpoint_read(checkpoint, tensor, memory, tensor->bytes, error);
    return status == STATUS_OK ? executor_write_whole(executor, value, memory, error) : status;
}

int state_dict_load(struct executor *executor, const struct state_dict *list, struct checkpoint *checkpoint,
                    struct error *error)
{
    int64_t largest = 1;
    int status = STATUS_OK;
    void *memory;

    for (int64_t i = 0; i < list->count; i++)
        largest = safetensors_form_bytes(&list->forms[i]) > largest ? safetensors_form_bytes(&list->forms[i]) : largest;
    memory = malloc((size_t)largest);
    if (memory == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for a tensor of %lld bytes", (long long)largest);
    for (int64_t i = 0; status == STATUS_OK && i < list->count; i++)
        status = load_one(executor, list->values[i], &list->forms[i], checkpoint, memory, error);
    free(memory);
    return status;
}

int state_dict_snapshot(struct executor *executor, const struct state_dict *list, void *memory, struct error *error)
{
    const struct program *program = &executor_compiled(executor)->program;
    char *at = memory;
    int status = STATUS_OK;

    for (int64_t i = 0; status == STATUS_OK && i < list->count; i++) {
        if (value_is_split(&program->values[list->values[i]]))
            status = error_set(error, STATUS_BUG, "other ranks have parts of %s", list->forms[i].name);
        else
            status = executor_read(executor, list->values[i], at, error);
        at += safetensors_form_bytes(&list->forms[i]);
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
        int64_t bytes = safetensors_form_bytes(&list->forms[i]);

        if (list->forms[i].dtype == LLMRUN_F32 && !all_finite((const uint32_t *)(const void *)at, bytes / 4))
            return error_set(error, STATUS_NONFINITE,
                             "tensor %s holds a number that is not finite; no checkpoint is saved",
                             list->forms[i].name);
        at += bytes;
    }
    return STATUS_OK;
}
