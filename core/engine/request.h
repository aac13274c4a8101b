/* What the config asks for, in the words of the compiler. */
#ifndef LLMRUN_ENGINE_REQUEST_H
#define LLMRUN_ENGINE_REQUEST_H

#include "base/file.h"
#include "compile/compile.h"
#include "config/config.h"
#include "data/corpus.h"
#include "data/encode_pieces.h"
#include "dist/ranks.h"

enum use { USE_TRAIN = 1, USE_EVALUATE = 2, USE_GENERATE = 4 };

/* model.path or model.preset, and overrides. `vocabulary` is the tokenizer's, 0 where there is none; it decides unless
 * an override or stored weights do. A tokenizer may have more tokens than the model, as long as no text has them. `fs`
 * reads what model.path names. */
int request_model(const struct file_system *fs, const struct config *config, int64_t vocabulary,
                  struct model_config *model, struct error *error);

/* True where token ids mean what they mean in model.path's files: with its weights or its tokenizer. */
bool request_keeps_ids(const struct config *config);

/* data.special */
enum special_tokens request_special_tokens(const struct config *config);

/* What all ranks must have alike beside the config (engine/agreement.h); 0: nothing. */
struct work_hashes {
    uint64_t tokenizer;
    uint64_t train, eval; /* the tokens */
    uint64_t weights;     /* what they are read from */
    int64_t first_step;   /* steps done before */
};

/* What is going to be computed. Where the texts are known, no sequence is longer than they fill and no batch holds more
 * of them than there are: padding costs nothing. */
struct request_work {
    unsigned uses;                 /* enum use, or-ed */
    const struct token_set *train; /* NULL: not known */
    const struct token_set *eval;  /* NULL: not known */
    int64_t eval_tokens;           /* bound of an evaluation, as in sampler_start_evaluation */
    int64_t text;                  /* tokens of a text to generate, its prompt among them; 0: not known */
    struct ranks *ranks;           /* that share the work; NULL: this process is alone */
    struct work_hashes hashes;
    int32_t world, rank; /* of a plan, in place of them; world 0: one rank */
};

/* Everything but `exact` and the device's part. */
int request_make(const struct file_system *fs, const struct config *config, int64_t vocabulary,
                 const struct request_work *work, struct compile_request *request, struct error *error);

/* How files become tokens: all of *options that does not name files. */
void request_corpus(const struct config *config, struct corpus_options *options);

#endif
