#include "program/builder.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "program/axes.h"

void builder_init(struct builder *builder, struct program *program, struct error *error)
{
    *builder = (struct builder){.program = program, .error = error, .layer = -1, .role = ROLE_FORWARD, .next_key = 1};
}

static void builder_fail(struct builder *builder, int status, const char *message)
{
    if (builder->status == STATUS_OK)
        builder->status = error_set(builder->error, status, "%s", message);
}

void builder_section(struct builder *builder, enum section_kind kind)
{
    if (builder->status == STATUS_OK)
        builder->status = program_add_section(builder->program, &(struct section){.kind = (uint8_t)kind, .layer = -1},
                                              builder->error);
    builder->next_key = 1;
    builder->layer = -1;
}

/* The compute type of an op: that of its first compute-class operand that is there. */
static uint32_t compute_dtype(const struct program *program, const struct op_info *info, const int32_t *operands)
{
    for (uint32_t i = 0; info->operands[i].name != NULL; i++)
        if (info->operands[i].class == CLASS_COMPUTE && operands[i] >= 0)
            return program->values[operands[i]].dtype;
    return LLMRUN_F32;
}

/* The main output of an op has its name, others the name of their operand behind it. NO_VALUE when there is no memory.
 */
static int32_t add_output(struct program *program, const struct operand_info *operand, const char *name, uint32_t dtype,
                          uint32_t rank, const int64_t *shape)
{
    bool main = strcmp(operand->name, "y") == 0 || strcmp(operand->name, "o") == 0;
    struct text full = {0};
    int32_t value = NO_VALUE;

    text_add(&full, "%s%s%s", name, main ? "" : ".", main ? "" : operand->name);
    if (!full.failed)
        value = program_add_value(program, full.data, VALUE_ACTIVATION, dtype, rank, shape);
    text_finish(&full);
    return value;
}

static int make_outputs(struct builder *builder, const struct op_info *info, const void *attributes, int32_t *operands,
                        const char *name)
{
    struct axes_binding binding;
    uint32_t compute = compute_dtype(builder->program, info, operands);
    int status = axes_bind(builder->program, info, operands, attributes, &binding, builder->error);

    for (uint32_t i = 0; status == STATUS_OK && info->operands[i].name != NULL; i++) {
        const struct operand_info *operand = &info->operands[i];
        int64_t shape[LLMRUN_MAX_RANK];
        uint32_t rank;

        if (operands[i] != WANTED)
            continue;
        if (!axes_shape(&binding, operand->axes, &rank, shape))
            return error_set(builder->error, STATUS_BUG, "%s: the shape of %s does not follow from its operands",
                             info->name, operand->name);
        operands[i] =
            add_output(builder->program, operand, name, operand_class_dtype(operand->class, compute), rank, shape);
        if (operands[i] == NO_VALUE)
            return error_set(builder->error, STATUS_MEMORY, "no memory for the values of the program");
    }
    return status;
}

void builder_emit(struct builder *builder, uint16_t id, const void *attributes, int32_t *operands, uint32_t accumulate,
                  const char *name)
{
    const struct op_info *info = op_info_find(id);
    struct op op = {.op = id,
                    .version = info->version,
                    .role = (uint8_t)builder->role,
                    .layer = builder->layer,
                    .accumulate = accumulate};

    if (builder->status != STATUS_OK)
        return;
    for (uint32_t i = 0; info->operands[i].name != NULL; i++)
        if (operands[i] == NO_VALUE && !info->operands[i].optional) {
            builder->status =
                error_set(builder->error, STATUS_BUG, "%s: operand %s is missing", info->name, info->operands[i].name);
            return;
        }
    builder->status = make_outputs(builder, info, attributes, operands, name);
    if (builder->status == STATUS_OK && program_add_op(builder->program, &op, operands, attributes) < 0)
        builder_fail(builder, STATUS_MEMORY, "no memory for the ops of the program");
}

/* Two things of one name would share memory. */
static void check_form(struct builder *builder, int32_t id, enum value_kind kind, uint32_t dtype, uint32_t rank,
                       const int64_t *shape)
{
    const struct value *value = &builder->program->values[id];
    bool same = value->kind == kind && value->dtype == dtype && value->rank == rank;

    for (uint32_t i = 0; same && i < rank; i++)
        same = value->shape[i] == shape[i];
    if (!same)
        builder->status = error_set(builder->error, STATUS_BUG, "%s is there already, as a %s of another form",
                                    value->name, value_kind_name(value->kind));
}

int32_t build_value(struct builder *builder, const char *name, enum value_kind kind, uint32_t flags, uint32_t dtype,
                    uint32_t rank, const int64_t *shape)
{
    int32_t value;

    if (builder->status != STATUS_OK)
        return NO_VALUE;
    value = program_find(builder->program, name);
    if (value != NO_VALUE) {
        check_form(builder, value, kind, dtype, rank, shape);
        return value;
    }
    value = program_add_value(builder->program, name, kind, dtype, rank, shape);
    if (value == NO_VALUE)
        builder_fail(builder, STATUS_MEMORY, "no memory for the values of the program");
    else
        builder->program->values[value].flags = (uint8_t)flags;
    return value;
}

/* What has the shape of its source is split as that is. */
static void inherit_splits(struct program *program, int32_t source, int32_t value)
{
    const struct value *from = &program->values[source];
    struct value *to = &program->values[value];

    if (from->rank != to->rank || memcmp(from->shape, to->shape, sizeof to->shape) != 0)
        return;
    memcpy(to->full, from->full, sizeof to->full);
    memcpy(to->splits, from->splits, sizeof to->splits);
    to->split_count = from->split_count;
}

int32_t build_part(struct builder *builder, int32_t source, const char *suffix, enum value_kind kind, uint32_t dtype,
                   uint32_t rank, const int64_t *shape)
{
    struct text name = {0};
    int32_t value = NO_VALUE;

    if (builder->status != STATUS_OK)
        return NO_VALUE;
    text_add(&name, "%s.%s", builder->program->values[source].name, suffix);
    if (name.failed)
        builder_fail(builder, STATUS_MEMORY, "no memory for the values of the program");
    else
        value = build_value(builder, name.data, kind, 0, dtype, rank, shape);
    text_finish(&name);
    if (value != NO_VALUE) {
        builder->program->values[value].source = source;
        inherit_splits(builder->program, source, value);
    }
    return value;
}

int32_t build_view(struct builder *builder, int32_t source, const char *suffix, int64_t offset, uint32_t rank,
                   const int64_t *shape)
{
    const struct value from = builder->status == STATUS_OK ? builder->program->values[source] : (struct value){0};
    int32_t value = build_part(builder, source, suffix, from.kind, from.dtype, rank, shape);

    if (value != NO_VALUE) {
        builder->program->values[value].flags |= VALUE_VIEW;
        builder->program->values[value].view =
            (struct view){offset, value_row_elements(&builder->program->values[value])};
    }
    return value;
}

int32_t build_random(struct builder *builder, uint32_t flags)
{
    return build_value(builder, "random", VALUE_INPUT, flags, LLMRUN_U32, 2, (const int64_t[]){1, RANDOM_ROW});
}

/* The next op's row of `random`. */
static int32_t draw(struct builder *builder, int32_t random)
{
    const int64_t words = RANDOM_WORDS;
    const uint32_t key = builder->next_key++;
    char suffix[16];

    if (builder->status != STATUS_OK || random == NO_VALUE)
        return NO_VALUE;
    if (builder->program->values[random].shape[0] < key)
        program_set_extent(builder->program, random, 0, key);
    snprintf(suffix, sizeof suffix, "%u", key);
    return build_view(builder, random, suffix, RANDOM_ROW * ((int64_t)key - 1), 1, &words);
}

int32_t build_parameter(struct builder *builder, const char *name, uint32_t flags, uint32_t rank, const int64_t *shape)
{
    return build_value(builder, name, VALUE_PARAMETER, flags, LLMRUN_F32, rank, shape);
}

int32_t build_embedding(struct builder *builder, int32_t ids, int32_t table, int32_t addend, const char *name)
{
    int32_t operands[LLMRUN_EMBEDDING_OPERANDS] = {ids, table, addend, WANTED};

    builder_emit(builder, LLMRUN_OP_EMBEDDING, NULL, operands, 0, name);
    return operands[LLMRUN_EMBEDDING_Y];
}

int32_t build_layernorm(struct builder *builder, int32_t x, int32_t residual, int32_t weight, int32_t bias,
                        float epsilon, int32_t *sum, const char *name)
{
    struct llmrun_layernorm_attributes attributes = {epsilon};
    int32_t operands[LLMRUN_LAYERNORM_OPERANDS] = {
        x, residual, weight, bias, WANTED, residual != NO_VALUE ? WANTED : NO_VALUE, WANTED, WANTED};

    builder_emit(builder, LLMRUN_OP_LAYERNORM, &attributes, operands, 0, name);
    if (sum != NULL)
        *sum = residual != NO_VALUE ? operands[LLMRUN_LAYERNORM_RESIDUAL_OUT] : x;
    return operands[LLMRUN_LAYERNORM_Y];
}

int32_t build_rmsnorm(struct builder *builder, int32_t x, int32_t residual, int32_t weight, float epsilon, int32_t *sum,
                      const char *name)
{
    struct llmrun_rmsnorm_attributes attributes = {epsilon, 0};
    int32_t operands[LLMRUN_RMSNORM_OPERANDS] = {
        x, residual, weight, WANTED, residual != NO_VALUE ? WANTED : NO_VALUE, WANTED};

    builder_emit(builder, LLMRUN_OP_RMSNORM, &attributes, operands, 0, name);
    if (sum != NULL)
        *sum = residual != NO_VALUE ? operands[LLMRUN_RMSNORM_RESIDUAL_OUT] : x;
    return operands[LLMRUN_RMSNORM_Y];
}

int32_t build_linear(struct builder *builder, int32_t x, int32_t weight, int32_t bias, const char *name)
{
    struct llmrun_matmul_attributes attributes = {LLMRUN_ACTIVATION_NONE, 1};
    int32_t operands[LLMRUN_MATMUL_OPERANDS] = {x, weight, bias, WANTED, NO_VALUE};

    builder_emit(builder, LLMRUN_OP_MATMUL, &attributes, operands, 0, name);
    return operands[LLMRUN_MATMUL_Y];
}

int32_t build_gelu(struct builder *builder, int32_t x, const char *name)
{
    int32_t operands[LLMRUN_GELU_OPERANDS] = {x, WANTED};

    builder_emit(builder, LLMRUN_OP_GELU, NULL, operands, 0, name);
    return operands[LLMRUN_GELU_Y];
}

int32_t build_swiglu(struct builder *builder, int32_t gate, int32_t up, const char *name)
{
    int32_t operands[LLMRUN_SWIGLU_OPERANDS] = {gate, up, WANTED};

    builder_emit(builder, LLMRUN_OP_SWIGLU, NULL, operands, 0, name);
    return operands[LLMRUN_SWIGLU_Y];
}

int32_t build_rope(struct builder *builder, int32_t x, int32_t positions, int32_t cosines, int32_t sines,
                   uint32_t heads, const char *name)
{
    struct llmrun_rope_attributes attributes = {heads, 0};
    int32_t operands[LLMRUN_ROPE_OPERANDS] = {x, positions, cosines, sines, WANTED};

    builder_emit(builder, LLMRUN_OP_ROPE, &attributes, operands, 0, name);
    return operands[LLMRUN_ROPE_Y];
}

int32_t build_attention(struct builder *builder, int32_t q, int32_t k, int32_t v, int32_t segment_starts,
                        int32_t random, const struct attention_form *form, const char *name)
{
    struct llmrun_attention_attributes attributes = {.seq_len = form->sequence,
                                                     .keys = form->sequence,
                                                     .heads = form->heads,
                                                     .kv_heads = form->kv_heads,
                                                     .scale = form->scale,
                                                     .dropout = form->dropout};
    int32_t operands[LLMRUN_ATTENTION_OPERANDS] = {
        q, k, v, segment_starts, NO_VALUE, form->dropout > 0 ? draw(builder, random) : NO_VALUE, WANTED, WANTED};

    builder_emit(builder, LLMRUN_OP_ATTENTION, &attributes, operands, 0, name);
    return operands[LLMRUN_ATTENTION_O];
}

int32_t build_attention_cached(struct builder *builder, int32_t q, int32_t k, int32_t v, int32_t position,
                               int32_t k_cache, int32_t v_cache, const struct attention_form *form, const char *name)
{
    struct llmrun_attention_cached_attributes attributes = {form->heads, form->kv_heads, form->scale};
    int32_t operands[LLMRUN_ATTENTION_CACHED_OPERANDS] = {q, k, v, position, k_cache, v_cache, WANTED};

    builder_emit(builder, LLMRUN_OP_ATTENTION_CACHED, &attributes, operands, 0, name);
    return operands[LLMRUN_ATTENTION_CACHED_O];
}

int32_t build_dropout(struct builder *builder, int32_t x, int32_t random, int64_t sequence, float probability,
                      const char *name)
{
    struct llmrun_dropout_attributes attributes = {.seq_len = sequence, .probability = probability};
    int32_t operands[LLMRUN_DROPOUT_OPERANDS] = {x, NO_VALUE, WANTED};

    if (probability == 0)
        return x;
    operands[LLMRUN_DROPOUT_RNG_STATE] = draw(builder, random);
    builder_emit(builder, LLMRUN_OP_DROPOUT, &attributes, operands, 0, name);
    return operands[LLMRUN_DROPOUT_Y];
}

int32_t build_add(struct builder *builder, int32_t a, int32_t b, const char *name)
{
    int32_t operands[LLMRUN_ADD_OPERANDS] = {a, b, WANTED};

    builder_emit(builder, LLMRUN_OP_ADD, NULL, operands, 0, name);
    return operands[LLMRUN_ADD_Y];
}

/* An activation of the shape of `like` and of a type that the op does not tell. */
static int32_t typed_output(struct builder *builder, int32_t like, uint32_t dtype, const char *name, const char *suffix)
{
    const struct value *value;
    struct text full = {0};
    int32_t id = NO_VALUE;

    if (builder->status != STATUS_OK)
        return NO_VALUE;
    value = &builder->program->values[like];
    text_add(&full, "%s%s", name, suffix);
    if (!full.failed)
        id = program_add_value(builder->program, full.data, VALUE_ACTIVATION, dtype, value->rank, value->shape);
    text_finish(&full);
    if (id == NO_VALUE)
        builder_fail(builder, STATUS_MEMORY, "no memory for the values of the program");
    return id;
}

int32_t build_cast(struct builder *builder, int32_t x, uint32_t dtype, const char *name)
{
    int32_t operands[LLMRUN_CAST_OPERANDS] = {x, typed_output(builder, x, dtype, name, "")};

    builder_emit(builder, LLMRUN_OP_CAST, NULL, operands, 0, name);
    return operands[LLMRUN_CAST_Y];
}

void build_linear_cross_entropy(struct builder *builder, int32_t x, int32_t weight, int32_t targets, int32_t weights,
                                int32_t scale, int32_t losses, int64_t sequence, int64_t vocabulary)
{
    struct llmrun_linear_cross_entropy_attributes attributes = {sequence, vocabulary, 1, 1, 1, 0};
    int32_t operands[LLMRUN_LINEAR_CROSS_ENTROPY_OPERANDS] = {x,     weight, targets,  weights,
                                                              scale, losses, NO_VALUE, NO_VALUE};

    builder_emit(builder, LLMRUN_OP_LINEAR_CROSS_ENTROPY, &attributes, operands, 0, "loss");
}

int32_t build_finish(struct builder *builder, int32_t partial, int32_t bias, uint32_t activation, uint32_t dtype,
                     int32_t *aux, const char *name)
{
    struct llmrun_finish_attributes attributes = {activation, 0};
    int32_t operands[LLMRUN_FINISH_OPERANDS] = {partial, bias, typed_output(builder, partial, dtype, name, ""),
                                                NO_VALUE};

    if (aux != NULL)
        *aux = operands[LLMRUN_FINISH_AUX] = typed_output(builder, partial, dtype, name, ".aux");
    builder_emit(builder, LLMRUN_OP_FINISH, &attributes, operands, 0, name);
    return operands[LLMRUN_FINISH_Y];
}

int32_t build_loss_statistics(struct builder *builder, int32_t logits, int32_t targets,
                              const struct vocabulary_form *form, const char *name)
{
    struct llmrun_loss_statistics_attributes attributes = {form->sequence, form->first, form->vocabulary,
                                                           form->full,     form->parts, 0};
    int32_t operands[LLMRUN_LOSS_STATISTICS_OPERANDS] = {logits, targets, WANTED};

    builder_emit(builder, LLMRUN_OP_LOSS_STATISTICS, &attributes, operands, 0, name);
    return operands[LLMRUN_LOSS_STATISTICS_STATISTICS];
}

int32_t build_loss_gradient(struct builder *builder, int32_t logits, int32_t statistics, int32_t targets,
                            int32_t weights, int32_t scale, int32_t losses, bool added,
                            const struct vocabulary_form *form, uint32_t dtype, const char *name)
{
    struct llmrun_loss_gradient_attributes attributes = {form->sequence, form->first, form->vocabulary, form->parts, 0};
    int32_t operands[LLMRUN_LOSS_GRADIENT_OPERANDS] = {
        logits, statistics, targets, weights, scale, losses, typed_output(builder, logits, dtype, name, ".dlogits")};

    builder_emit(builder, LLMRUN_OP_LOSS_GRADIENT, &attributes, operands,
                 (uint32_t)added << LLMRUN_LOSS_GRADIENT_LOSSES, name);
    return operands[LLMRUN_LOSS_GRADIENT_DLOGITS];
}
