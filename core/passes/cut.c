#include "passes/cut.h"

#include <stdlib.h>

struct cut {
    const struct program *program;
    struct program *out;
    const struct cut_form *form;
    struct error *error;
    int16_t *layers; /* of the section's ops */
    int status;
};

/* Layers of forward ascend, those of backward descend. What is recomputed counts to the op that it is made for. */
static void find_layers(struct cut *cut, const struct section *section, bool descend)
{
    const struct op *ops = &cut->program->ops[section->first_op];
    int16_t layer = descend ? INT16_MAX : -1;

    for (int32_t i = section->op_count - 1; i >= 0; i--)
        cut->layers[i] = ops[i].recomputed && i + 1 < section->op_count ? cut->layers[i + 1] : ops[i].layer;
    for (int32_t i = 0; i < section->op_count; i++) {
        if (descend ? cut->layers[i] < layer : cut->layers[i] > layer)
            layer = cut->layers[i];
        cut->layers[i] = layer;
    }
}

static void begin(struct cut *cut, enum section_kind kind, int32_t chunk, int16_t layer)
{
    const struct section key = {.kind = (uint8_t)kind, .chunk = chunk, .layer = layer};

    if (cut->status == STATUS_OK)
        cut->status = program_add_section(cut->out, &key, cut->error);
}

static void copy_op(struct cut *cut, const struct op *op)
{
    if (cut->status == STATUS_OK &&
        program_add_op(cut->out, op, program_operands(cut->program, op), program_attributes(cut->program, op)) < 0)
        cut->status = error_set(cut->error, STATUS_MEMORY, "no memory for the sections of the program");
}

/* The ops of `section` whose role is among `roles` (bits), as sections of `kind`, stage by stage. */
static void cut_section(struct cut *cut, const struct section *section, enum section_kind kind, uint32_t roles,
                        const struct stages *stages, bool descend)
{
    const int32_t chunks = stages->count;
    int32_t at = 0;

    find_layers(cut, section, descend);
    for (int32_t n = 0; n < chunks; n++) {
        const int32_t chunk = descend ? chunks - 1 - n : n;
        bool begun = false;
        int16_t layer = -1;

        for (; at < section->op_count && stages_of_layer(stages, cut->layers[at]) == chunk; at++) {
            const struct op *op = &cut->program->ops[section->first_op + at];

            if (!(roles >> op->role & 1))
                continue;
            if (!begun || cut->layers[at] != layer)
                begin(cut, kind, chunk, cut->layers[at]);
            begun = true;
            layer = cut->layers[at];
            copy_op(cut, op);
        }
        if (!begun)
            begin(cut, kind, chunk, -1);
    }
}

static void copy_section(struct cut *cut, const struct section *section)
{
    if (cut->status == STATUS_OK)
        cut->status = program_add_section(cut->out, section, cut->error);
    for (int32_t i = 0; i < section->op_count; i++)
        copy_op(cut, &cut->program->ops[section->first_op + i]);
}

static void cut_one(struct cut *cut, const struct section *section)
{
    const struct cut_form *form = cut->form;
    const struct stages whole = {.layers = form->stages->layers, .count = 1};
    const uint32_t weight = 1u << ROLE_BACKWARD_WEIGHT;

    switch (section->kind) {
    case SECTION_FORWARD:
        cut_section(cut, section, SECTION_FORWARD, ~0u, form->stages, false);
        break;
    case SECTION_BACKWARD:
        cut_section(cut, section, form->split ? SECTION_BACKWARD_INPUT : SECTION_BACKWARD, form->split ? ~weight : ~0u,
                    form->stages, true);
        if (form->split)
            cut_section(cut, section, SECTION_BACKWARD_WEIGHT, weight, form->stages, true);
        break;
    case SECTION_EVALUATE:
    case SECTION_PREFILL:
    case SECTION_DECODE:
        cut_section(cut, section, (enum section_kind)section->kind, ~0u, form->pipeline ? form->stages : &whole, false);
        break;
    default:
        copy_section(cut, section);
    }
}

int pass_cut(struct program *program, const struct cut_form *form, struct error *error)
{
    struct program out;
    struct cut cut = {.program = program, .out = &out, .form = form, .error = error};

    program_init(&out);
    cut.layers = malloc(((size_t)program->op_count + 1) * sizeof *cut.layers);
    if (cut.layers == NULL)
        cut.status = error_set(error, STATUS_MEMORY, "no memory for the sections of the program");
    else
        cut.status = program_copy_values(&out, program, error);
    for (int64_t s = 0; cut.status == STATUS_OK && s < program->section_count; s++)
        cut_one(&cut, &program->sections[s]);
    free(cut.layers);
    if (cut.status == STATUS_OK) {
        program_finish(program);
        *program = out;
    } else {
        program_finish(&out);
    }
    return cut.status;
}
