#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "command.h"
#include "data/corpus.h"
#include "engine/request.h"
#include "engine/stored_model.h"
#include "options.h"

extern char **environ;

static void print_sentence(const struct stored_model *model, const char *data, double loss, int64_t tokens)
{
    printf("%s at step %lld on %s: loss %.4f, perplexity %.3f over %lld tokens\n", model->folder,
           (long long)model->step, data, loss, exp(loss), (long long)tokens);
}

/* The perplexity is null where it is more than a double holds. */
static int print_json(const struct stored_model *model, const char *data, double loss, int64_t tokens,
                      struct error *error)
{
    struct text line = {0};
    int status = STATUS_OK;
    uint64_t bits;

    text_add(&line, "{\"model\":");
    text_add_json(&line, model->folder);
    text_add(&line, ",\"step\":%lld,\"data\":", (long long)model->step);
    text_add_json(&line, data);
    memcpy(&bits, &loss, sizeof bits);
    text_add(&line, ",\"tokens\":%lld,\"loss\":%.9g,\"loss_bits\":\"0x%016llx\",\"perplexity\":", (long long)tokens,
             loss, (unsigned long long)bits);
    if (isfinite(exp(loss)))
        text_add(&line, "%.9g}", exp(loss));
    else
        text_add(&line, "null}");
    if (line.failed)
        status = error_set(error, STATUS_MEMORY, "no memory for a line of text");
    else
        puts(line.data);
    text_finish(&line);
    return status;
}

/* The whole text, unless the command line says otherwise: what a run takes of its validation text is another matter. */
static int64_t token_limit(const struct config *config)
{
    return config_is_given(config, CONFIG_KEY_train_eval_tokens) ? config->train.eval_tokens : 0;
}

/* The weights are loaded once the text is known: no window is longer than it. */
static int measure(struct stored_model *model, const struct token_set *set, struct ranks *ranks, double *loss,
                   int64_t *tokens, struct error *error)
{
    const struct request_work work = {
        .uses = USE_EVALUATE, .eval = set, .eval_tokens = token_limit(&model->config), .ranks = ranks};
    struct sampler_options sampling = {.pack = model->config.data.pack};
    struct sampler sampler;
    int status = stored_model_load(model, &work, error);

    if (status != STATUS_OK)
        return status;
    sampling.seq_len = compile_eval_sequence(&model->engine.request);
    status = sampler_start_evaluation(&sampler, set, &sampling, work.eval_tokens, error);
    if (status != STATUS_OK)
        return status;
    status = engine_evaluate(&model->engine, &sampler, loss, tokens, error);
    sampler_finish(&sampler);
    return status;
}

static int evaluate(struct stored_model *model, const char *data, bool json, struct ranks *ranks, struct error *error)
{
    struct corpus_options corpus = {.train = &data, .train_count = 1, .vocabulary = (int32_t)model->extents.vocab_size};
    struct token_set set, none;
    double loss;
    int64_t tokens;
    int status;

    request_corpus(&model->config, &corpus);
    status = corpus_load(&corpus, model->tokenizer, &set, &none, error);
    if (status != STATUS_OK)
        return status;
    status = measure(model, &set, ranks, &loss, &tokens, error);
    if (status == STATUS_OK && tokens == 0)
        status =
            error_set(error, STATUS_INPUT, "%s: there is no token to predict in %s of it%s", data,
                      token_limit(&model->config) > 0 ? "the first train.eval_tokens" : "all",
                      model->config.data.mask == CONFIG_MASK_PROMPT ? "; data.mask prompt leaves prompts out" : "");
    if (status == STATUS_OK && !isfinite(loss))
        status = error_set(error, STATUS_NONFINITE, "the loss of %s on %s is not finite", model->folder, data);
    if (status == STATUS_OK && json && ranks_is_first(ranks))
        status = print_json(model, data, loss, tokens, error);
    else if (status == STATUS_OK && ranks_is_first(ranks))
        print_sentence(model, data, loss, tokens);
    token_set_finish(&set);
    token_set_finish(&none);
    return status;
}

int command_eval(int argc, char **argv, struct error *error)
{
    const char *path = NULL, *data = NULL;
    bool json = false;
    const struct command_option options[] = {
        {"model", OPTION_TEXT, "M", "a run folder, a checkpoint or a Hugging Face directory", .required = true,
         .target = &path},
        {"data", OPTION_TEXT, "FILE", "text to measure on (.txt, .jsonl)", .required = true, .target = &data},
        {"json", OPTION_SWITCH, NULL, "print one JSON object", .target = &json},
    };
    const struct usage usage = {"eval",
                                "Perplexity of a model on a text",
                                .takes_keys = true,
                                .keys_of = CONFIG_COMMAND_EVAL,
                                .options = options,
                                .option_count = sizeof options / sizeof options[0]};
    struct arguments arguments;
    struct stored_model model;
    int status = options_parse(&usage, argc, argv, &arguments, error);

    if (status == STATUS_OK && !arguments.done) {
        const struct stored_model_options source = {path, arguments.flags, arguments.flag_count, environ,
                                                    CONFIG_COMMAND_EVAL};

        status = stored_model_open(&model, &file_system_real, &source, error);
        if (status == STATUS_OK) {
            struct ranks *ranks = NULL;

            status = ranks_open(environ, NULL, model.config.parallel.timeout * INT64_C(1000000000), &ranks, error);
            if (status == STATUS_OK)
                status = evaluate(&model, data, json, ranks, error);
            status = ranks_fail(ranks, status, error);
            stored_model_close(&model);
            ranks_close(ranks);
        }
    }
    arguments_finish(&arguments);
    return status;
}
