/* Parameters and optimizer state between a device and a checkpoint. */
#ifndef LLMRUN_ENGINE_STATE_DICT_H
#define LLMRUN_ENGINE_STATE_DICT_H

#include "checkpoint/checkpoint.h"
#include "checkpoint/writer.h"
#include "model/model.h"
#include "program/mesh.h"
#include "runtime/executor.h"

/* What is saved of a program: its parameters and its state, in order: each as a whole, and the box of it that is here.
 */
struct state_dict {
    int32_t *values;                 /* ids */
    struct safetensors_form *forms;  /* of the wholes; names live as long as the program */
    struct checkpoint_slice *slices; /* what this rank has, and writes until state_dict_own says otherwise */
    int64_t count;
    int64_t bytes; /* of all boxes */
};

/* STATUS_BUG for a value whose part is no box (program/part.h). */
int state_dict_make(const struct program *program, struct state_dict *list, struct error *error);

/* Of ranks that have the same box one writes it: the first along each axis that does not divide the value. Stages of a
 * pipeline have parameters of their own; where two have the same one, as with a tied head, both have it to write, and
 * saving chooses the first (checkpoint/save.h). */
void state_dict_own(struct state_dict *list, const struct program *program, const struct mesh *mesh);

/* Bytes of a value's box. */
int64_t state_dict_box_bytes(const struct state_dict *list, int64_t i);

/* The parameters of a model, as every program of it has them, without a device. Names live in *program, which the
 * caller frees with program_finish in any case. */
int state_dict_of_model(const struct model_config *model, struct program *program, struct state_dict *list,
                        struct error *error);
void state_dict_finish(struct state_dict *list);

/* Reads this rank's box of every value of the list from the checkpoint into the device, whatever boxes it was written
 * in: shape and type of the whole must be the program's. Optimizer
 * state that the program has and the checkpoint lacks is STATUS_INPUT. The caller casts weights afterwards. */
int state_dict_load(struct executor *executor, const struct state_dict *list, struct checkpoint *checkpoint,
                    struct error *error);

/* The tensor of that name, shape and type; STATUS_INPUT, naming it, when the checkpoint has none such. */
int state_dict_find(const struct checkpoint *checkpoint, const struct safetensors_form *form,
                    const struct manifest_tensor **tensor, struct error *error);

/* STATUS_INPUT, naming it, when the checkpoint holds a parameter that the model does not have. */
int state_dict_check_surplus(const struct checkpoint *checkpoint, const struct model_config *model,
                             struct error *error);

/* Copies this rank's box of every value of the list to `memory` (list->bytes), one after the other. */
int state_dict_snapshot(struct executor *executor, const struct state_dict *list, void *memory, struct error *error);

/* STATUS_NONFINITE, naming the tensor, when a snapshot holds a number that is not finite. */
int state_dict_check_finite(const struct state_dict *list, const void *memory, struct error *error);

#endif
