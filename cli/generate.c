#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "options.h"
#include "train/generate.h"
#include "train/stored_model.h"

extern char **environ;

struct printer {
    const struct tokenizer *tokenizer;
    int status;
    struct error *error;
};

/* Each token is printed as soon as it is there. */
static bool print_token(void *context, int32_t token)
{
    struct printer *printer = context;
    struct byte_list bytes = {0};

    printer->status = tokenizer_decode(printer->tokenizer, &token, 1, &bytes, printer->error);
    if (printer->status == STATUS_OK) {
        fwrite(bytes.bytes, 1, (size_t)bytes.count, stdout);
        fflush(stdout);
    }
    free(bytes.bytes);
    return printer->status == STATUS_OK;
}

static int run(const struct stored_model_options *source, const char *prompt, struct generate_options *options,
               struct error *error)
{
    struct token_list tokens = {0};
    struct stored_model model;
    struct printer printer;
    int32_t end_of_text;
    int status = stored_model_open(&model, &file_system_real, source, error);

    if (status != STATUS_OK)
        return status;
    printer = (struct printer){model.tokenizer, STATUS_OK, error};
    end_of_text = tokenizer_end_of_text(model.tokenizer);
    options->stops = &end_of_text;
    options->stop_count = end_of_text >= 0;
    status = tokenizer_encode(model.tokenizer, prompt, (int64_t)strlen(prompt), &tokens, error);
    if (status == STATUS_OK && tokens.count == 0)
        status = error_set(error, STATUS_USAGE, "--prompt is empty; at least one token is needed to go on from");
    if (status == STATUS_OK) {
        fputs(prompt, stdout);
        status = generate(&model.engine, tokens.ids, tokens.count, options, print_token, &printer, error);
        putchar('\n');
    }
    free(tokens.ids);
    stored_model_close(&model);
    return status != STATUS_OK ? status : printer.status;
}

int command_generate(int argc, char **argv, struct error *error)
{
    const char *path = NULL, *prompt = NULL, *tokenizer = NULL;
    struct generate_options generate_options = {.tokens = 100, .temperature = 1, .top_p = 1};
    int64_t seed = 1337;
    const struct command_option options[] = {
        {"model", OPTION_TEXT, "M", "a run folder, a checkpoint or a Hugging Face directory", .required = true,
         .target = &path},
        {"prompt", OPTION_TEXT, "TEXT", "text to go on from", .required = true, .target = &prompt},
        {"tokens", OPTION_INTEGER, "N", "tokens to make, 100", "[0, 1e9]", .target = &generate_options.tokens},
        {"temperature", OPTION_NUMBER, "T", "0: the most probable token; 1", "[0, 100]",
         .target = &generate_options.temperature},
        {"top-k", OPTION_INTEGER, "K", "only the K most probable tokens; 0: all", "[0, 1e9]",
         .target = &generate_options.top_k},
        {"top-p", OPTION_NUMBER, "P", "only the most probable tokens that reach P together; 1: all", "(0, 1]",
         .target = &generate_options.top_p},
        {"seed", OPTION_INTEGER, "S", "of the choice of tokens, 1337", "[0, inf)", .target = &seed},
        {"tokenizer", OPTION_TEXT, "T", "where the model has none", .target = &tokenizer},
    };
    const struct usage usage = {"generate", "Text from a model", .takes_keys = true, .options = options,
                                .option_count = sizeof options / sizeof options[0]};
    struct arguments arguments;
    int status = options_parse(&usage, argc, argv, &arguments, error);

    if (status == STATUS_OK && !arguments.done) {
        const struct stored_model_options source = {path,    tokenizer,   arguments.flags, arguments.flag_count,
                                                    environ, USE_GENERATE};

        generate_options.seed = (uint64_t)seed;
        status = run(&source, prompt, &generate_options, error);
    }
    arguments_free(&arguments);
    return status;
}
