#include "passes/shard_types.h"

#include <string.h>

#include "base/array.h"
#include "base/text.h"
#include "program/op_table.h"

struct place shard_place(const struct shard *shard, int32_t value)
{
    const int32_t parameter = shard->parameters[value];
    const struct place place = shard->places[parameter != NO_VALUE ? parameter : value];

    switch (shard->program->values[value].kind) {
    case VALUE_INPUT:
    case VALUE_CONSTANT:
    case VALUE_RESULT:
        return (struct place){.kind = PLACE_WHOLE};
    default:
        return place;
    }
}

void shard_set_place(struct shard *shard, int32_t id, struct place place)
{
    struct value *value = &shard->out->values[id];

    if (place.kind == PLACE_SLOTS) {
        /* Slots of other ranks are zero from the start, and stay it. */
        value->kind = VALUE_SCRATCH;
        value->partial[MESH_TP] = (struct partial){.reduction = REDUCTION_SLOT};
    }
    if (place.kind != PLACE_SPLIT)
        return;
    if (value->full[place.dimension] % shard->ranks != 0)
        value->full[place.dimension] *= shard->ranks;
    value->shape[place.dimension] = value->full[place.dimension] / shard->ranks;
    value->splits[0] = (struct split){.dimension = place.dimension,
                                      .factor = place.factor,
                                      .axis = MESH_TP,
                                      .parts = shard->ranks,
                                      .index = shard->index};
    value->split_count = 1;
}

void shard_decide(struct shard *shard, int32_t value, struct place place)
{
    const int32_t parameter = shard->parameters[value];

    shard->places[parameter != NO_VALUE ? parameter : value] = place;
    if (parameter == NO_VALUE)
        shard_set_place(shard, value, place);
    for (int32_t i = 0; parameter != NO_VALUE && i < shard->program->value_count; i++)
        if (shard->parameters[i] == parameter)
            shard_set_place(shard, i, place);
}

int32_t shard_new(struct shard *shard, const char *name, uint32_t dtype, uint32_t rank, const int64_t *full,
                  struct place place)
{
    int32_t id;

    if (shard->builder.status != STATUS_OK)
        return NO_VALUE;
    id = program_add_value(shard->out, name, VALUE_ACTIVATION, dtype, rank, full);
    if (id == NO_VALUE)
        shard->builder.status = error_set(shard->builder.error, STATUS_MEMORY, "no memory for the values of a rank");
    else
        shard_set_place(shard, id, place);
    return id;
}

int32_t shard_add(struct shard *shard, int32_t value, const char *suffix, uint32_t dtype, struct place place)
{
    struct text name = {0};
    int32_t id = NO_VALUE;

    if (shard->builder.status != STATUS_OK)
        return NO_VALUE;
    text_add(&name, "%s.%s", shard->out->values[value].name, suffix);
    if (name.failed)
        shard->builder.status = error_set(shard->builder.error, STATUS_MEMORY, "no memory for the values of a rank");
    else
        id = shard_new(shard, name.data, dtype, shard->out->values[value].rank, shard->out->values[value].full, place);
    text_finish(&name);
    return id;
}

void shard_communicate(struct shard *shard, uint16_t op, int32_t x, int32_t y)
{
    const struct communication_attributes attributes = {.axis = MESH_TP};
    const enum op_role role = shard->builder.role;
    int32_t operands[] = {x, y};

    /* What a weight gradient takes, the gradient of its input takes too, and that may run earlier. */
    shard->builder.role = role == ROLE_BACKWARD_WEIGHT ? ROLE_BACKWARD_INPUT : role;
    builder_emit(&shard->builder, op, &attributes, operands, 0, "communication");
    shard->builder.role = role;
}

/* The op that makes `to` of `from`, and what the value is called then. */
static uint16_t conversion(struct place from, struct place to, const char **suffix)
{
    *suffix = from.kind == PLACE_SLOTS ? "joined" : to.kind == PLACE_WHOLE ? "gathered" : "part";
    if (from.kind == PLACE_SLOTS)
        return OP_ALL_REDUCE;
    if (to.kind == PLACE_WHOLE)
        return OP_ALL_GATHER;
    return from.kind == PLACE_SPLIT ? OP_ALL_TO_ALL : OP_SLICE;
}

static void remember(struct shard *shard, const struct other_type *other)
{
    struct other_type *more =
        array_reserve(shard->more, shard->more_count, 1, &shard->more_capacity, sizeof *shard->more);

    if (more == NULL) {
        if (shard->builder.status == STATUS_OK)
            shard->builder.status =
                error_set(shard->builder.error, STATUS_MEMORY, "no memory for the types of a rank's values");
        return;
    }
    shard->more = more;
    more[shard->more_count++] = *other;
}

int32_t shard_convert(struct shard *shard, int32_t value, struct place place)
{
    const struct place from = shard_place(shard, value);
    const char *suffix;
    uint16_t op;
    int32_t id;

    if (from.kind == PLACE_OPEN) {
        shard_decide(shard, value, place);
        return value;
    }
    if (place_equal(from, place))
        return value;
    for (int64_t i = shard->more_count - 1; i >= 0; i--)
        if (shard->more[i].value == value && place_equal(shard->more[i].place, place))
            return shard->more[i].id;
    op = conversion(from, place, &suffix);
    id = shard_add(shard, value, suffix, shard->out->values[value].dtype, place);
    shard_communicate(shard, op, value, id);
    remember(shard, &(struct other_type){value, place, id});
    return id;
}

void shard_forget(struct shard *shard)
{
    shard->more_count = 0;
}

void shard_refuse(struct shard *shard, const char *thing, int64_t extent, const char *what)
{
    if (shard->builder.status != STATUS_OK)
        return;
    shard->refused = true;
    shard->builder.status = error_set(shard->builder.error, STATUS_USAGE,
                                      "parallel.tp is %d: %s has %lld %s, which %d ranks cannot share equally",
                                      shard->ranks, thing, (long long)extent, what, shard->ranks);
}
