/* Parameters and optimizer state between a device and a checkpoint. */
#ifndef LLMRUN_TRAIN_WEIGHTS_H
#define LLMRUN_TRAIN_WEIGHTS_H

#include "checkpoint/checkpoint.h"
#include "checkpoint/safetensors.h"
#include "model/model.h"
#include "runtime/executor.h"

/* What is saved of a program: its parameters and its state, in order, each whole, whatever part of it is here. */
struct weight_list {
    int32_t *values;                /* ids */
    struct safetensors_form *forms; /* names live as long as the program */
    int64_t count;
    int64_t bytes; /* of all */
};

int weight_list_make(const struct program *program, struct weight_list *list, struct error *error);
/* The parameters of a model, as every program of it has them, without a device. Names live in *program, which the
 * caller frees with program_free in any case. */
int weight_list_of_model(const struct model_config *model, struct program *program, struct weight_list *list,
                         struct error *error);
void weight_list_free(struct weight_list *list);

/* Reads every value of the list from the checkpoint into the device: shape and type must be the program's. Optimizer
 * state that the program has and the checkpoint lacks is STATUS_INPUT. The caller refreshes afterwards. */
int weights_load(struct executor *executor, const struct weight_list *list, struct checkpoint *checkpoint,
                 struct error *error);

/* The tensor of that name, shape and type; STATUS_INPUT, naming it, when the checkpoint has none such. */
int weights_find(const struct checkpoint *checkpoint, const struct safetensors_form *form,
                 const struct manifest_tensor **tensor, struct error *error);

/* STATUS_INPUT, naming it, when the checkpoint holds a parameter that the model does not have. */
int weights_check_surplus(const struct checkpoint *checkpoint, const struct model_config *model, struct error *error);

/* Copies every value of the list to `memory` (list->bytes), one after the other. STATUS_BUG for one of which other
 * ranks have parts. */
int weights_snapshot(struct executor *executor, const struct weight_list *list, void *memory, struct error *error);

/* STATUS_NONFINITE, naming the tensor, when a snapshot holds a number that is not finite. */
int weights_check_finite(const struct weight_list *list, const void *memory, struct error *error);

#endif
