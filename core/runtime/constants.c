#include "runtime/constants.h"

#include <stdlib.h>

#include "program/part.h"

static int write_one(struct executor *executor, const struct model_config *model, int32_t id, struct error *error)
{
    const struct value *value = &executor_compiled(executor)->program.values[id];
    void *data;
    int status;

    if (value->contents != NULL)
        return executor_write_whole(executor, id, value->contents, error);
    data = malloc((size_t)value_whole_bytes(value));
    if (data == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for %s, %lld bytes", value->name,
                         (long long)value_whole_bytes(value));
    status = model_fill_constant(model, value, data, error);
    if (status == STATUS_OK)
        status = executor_write_whole(executor, id, data, error);
    free(data);
    return status;
}

int constants_write(struct executor *executor, const struct model_config *model, struct error *error)
{
    const struct program *program = &executor_compiled(executor)->program;
    int status = STATUS_OK;

    for (int32_t i = 0; status == STATUS_OK && i < program->value_count; i++)
        if (program->values[i].kind == VALUE_CONSTANT)
            status = write_one(executor, model, i, error);
    return status;
}
