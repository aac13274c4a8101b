/* A model on a device: what training, evaluation and generation share. */
#ifndef LLMRUN_ENGINE_ENGINE_H
#define LLMRUN_ENGINE_ENGINE_H

#include "compile/compile.h"
#include "config/config.h"
#include "data/batch.h"
#include "data/sampler.h"
#include "engine/chosen_device.h"
#include "engine/request.h"
#include "runtime/executor.h"
#include "tokenizer/tokenizer.h"

struct engine {
    struct chosen_device chosen;
    struct executor *executor;
    struct compile_request request;
    struct compiled compiled;            /* from the request, for the device */
    int64_t cached;                      /* tokens in the caches */
    struct ranks *ranks;                 /* of the job, borrowed; NULL: this process is alone */
    const struct collective *collective; /* between them; NULL: none */
    void *spare;                         /* for inputs that this rank does not have; owned */
    /* Asked between the batches of an evaluation and the parts of a prefill; NULL: nobody is. Once it says true, these
     * end with STATUS_STOPPED. */
    bool (*stop)(void *context);
    void *stop_context;
};

/* Opens the backend that the config names, compiles for `work` and allocates. `vocabulary` as in request_model. */
int engine_open(struct engine *engine, const struct file_system *fs, const struct config *config, int64_t vocabulary,
                const struct request_work *work, struct error *error);
void engine_close(struct engine *engine); /* accepts a zeroed struct */

/* Initial weights and optimizer state, from the seed. */
int engine_initialise(struct engine *engine, struct error *error);

/* After parameters were written: makes what is derived from them and marks the run as finite. */
int engine_cast_weights(struct engine *engine, struct error *error);

/* The host's memory of an input, as executor_input gives it; for one that this rank does not have (another stage of the
 * pipeline does) memory that nobody reads. */
void *engine_input(struct engine *engine, int32_t value, int32_t microbatch);

/* The host's memory of a microbatch of a training step, in the submission to come. */
struct batch engine_batch(struct engine *engine, int32_t microbatch);

/* Where the sequences of this rank begin in those of a global batch. */
int64_t engine_first_sequence(const struct engine *engine);

/* Fills the inputs of a training step, in the submission to come: what this rank has of the rows of the global batch
 * from `first` on, and how many tokens of all of it count, which it returns. */
int64_t engine_fill_step(struct engine *engine, const struct sampler *sampler, int64_t first);

/* Mean loss and count over all samples of `sampler`; -log likelihood in nats a token. */
int engine_evaluate(struct engine *engine, const struct sampler *sampler, double *loss, int64_t *tokens,
                    struct error *error);

/* Logits [vocab_size] of the token after tokens[0 .. count-1], at most `sequence` of them, which then are what the
 * caches hold. The result lives until the next call. */
int engine_prefill(struct engine *engine, const int32_t *tokens, int64_t count, const float **logits,
                   struct error *error);

/* The same after one token more. The caches hold 1 to `sequence` - 1 tokens. The logits have the bits of a prefill with
 * all tokens. */
int engine_decode(struct engine *engine, int32_t token, const float **logits, struct error *error);

#endif
