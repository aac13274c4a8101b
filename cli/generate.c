#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "command.h"
#include "data/text_stream.h"
#include "engine/generate.h"
#include "engine/request.h"
#include "engine/stored_model.h"
#include "options.h"
#include "train/stop.h"

extern char **environ;

struct printer {
    const struct tokenizer *tokenizer;
    struct text_stream stream;
    struct byte_list token, shown; /* kept from token to token for their memory */
    int64_t tokens;
    struct ranks *ranks; /* of the job; rank 0 shows the text */
    int status;
    struct error *error;
};

static void print_shown(struct printer *printer)
{
    if (printer->shown.count > 0 && ranks_is_first(printer->ranks))
        fwrite(printer->shown.bytes, 1, (size_t)printer->shown.count, stdout);
    fflush(stdout);
    printer->shown.count = 0;
}

/* Each token is shown as soon as it is there, but for what may not be seen yet; a signal ends the text. */
static bool print_token(void *context, int32_t token)
{
    struct printer *printer = context;
    bool goes_on;

    printer->tokens++;
    printer->token.count = 0;
    printer->status = tokenizer_decode(printer->tokenizer, &token, 1, &printer->token, printer->error);
    if (printer->status == STATUS_OK)
        printer->status = text_stream_push(&printer->stream, printer->token.bytes, printer->token.count,
                                           &printer->shown, printer->error);
    print_shown(printer);
    goes_on = printer->status == STATUS_OK && !printer->stream.stopped && stop_requested() == NULL;
    if (ranks_share(printer->ranks, &goes_on, sizeof goes_on, printer->error) != STATUS_OK)
        printer->status = STATUS_PEER;
    return goes_on && printer->status == STATUS_OK;
}

static void printer_end(struct printer *printer)
{
    if (printer->status == STATUS_OK)
        printer->status = text_stream_end(&printer->stream, &printer->shown, printer->error);
    print_shown(printer);
    if (ranks_is_first(printer->ranks))
        putchar('\n');
    fflush(stdout); /* what follows on standard error does not stand inside the text, where both go to one place */
    text_stream_finish(&printer->stream);
    free(printer->token.bytes);
    free(printer->shown.bytes);
}

/* Where rank 0 cannot be asked, the next exchange finds it out. */
static bool ask_stop(void *context)
{
    struct ranks *ranks = context;
    bool asked = stop_asked();
    struct error ignored;

    ranks_share(ranks, &asked, sizeof asked, &ignored);
    return asked;
}

static int print_text(struct stored_model *model, const char *prompt, const struct token_list *tokens,
                      const struct generate_options *options, const struct option_texts *stops, struct ranks *ranks,
                      struct error *error)
{
    struct printer printer = {.tokenizer = model->tokenizer, .ranks = ranks, .error = error};
    const int64_t start = clock_system.monotonic_ns(&clock_system);
    double seconds;
    int status;

    printer.stream.stops = stops->items;
    printer.stream.stop_count = stops->count;
    stop_listen(NULL, 0);
    model->engine.stop = ask_stop;
    model->engine.stop_context = ranks;
    if (ranks_is_first(ranks))
        fputs(prompt, stdout);
    fflush(stdout);
    status = generate(&model->engine, tokens->ids, tokens->count, options, print_token, &printer, error);
    seconds = (double)(clock_system.monotonic_ns(&clock_system) - start) * 1e-9;
    printer_end(&printer);
    if (status == STATUS_OK && printer.status == STATUS_OK && printer.tokens > 0 && ranks_is_first(ranks))
        fprintf(stderr, "%lld tokens in %.2f s: %.1f tokens/s\n", (long long)printer.tokens, seconds,
                (double)printer.tokens / seconds);
    return status != STATUS_OK ? status : printer.status;
}

static int run(const struct stored_model_options *source, const char *prompt, struct generate_options *options,
               const struct option_texts *stops, struct error *error)
{
    struct token_list tokens = {0};
    struct ranks *ranks = NULL;
    struct stored_model model;
    int status = stored_model_open(&model, &file_system_real, source, error);

    if (status != STATUS_OK)
        return status;
    options->vocabulary = tokenizer_vocabulary(model.tokenizer);
    status = tokenizer_encode_prompt(model.tokenizer, prompt, (int64_t)strlen(prompt),
                                     request_special_tokens(&model.config) != SPECIAL_NOWHERE, &tokens, error);
    if (status == STATUS_OK && tokens.count == 0)
        status =
            error_set(error, STATUS_USAGE,
                      "--prompt is empty, and the tokenizer has no token that begins a text; at least one is needed "
                      "to go on from");
    if (status == STATUS_OK)
        status = ranks_open(environ, NULL, model.config.parallel.timeout * INT64_C(1000000000), &ranks, error);
    if (status == STATUS_OK) {
        /* The caches have room for the text, not for the whole context. */
        const struct request_work work = {.uses = USE_GENERATE, .text = tokens.count + options->tokens, .ranks = ranks};

        status = stored_model_load(&model, &work, error);
    }
    options->stops = model.stops;
    options->stop_count = model.stop_count;
    if (status == STATUS_OK)
        status = print_text(&model, prompt, &tokens, options, stops, ranks, error);
    free(tokens.ids);
    status = ranks_fail(ranks, status, error);
    stored_model_close(&model);
    ranks_close(ranks);
    return status;
}

static int check_stops(const struct option_texts *stops, struct error *error)
{
    for (int i = 0; i < stops->count; i++)
        if (stops->items[i][0] == '\0')
            return error_set(error, STATUS_USAGE, "--stop is empty; it names a text that ends the output");
    return STATUS_OK;
}

int command_generate(int argc, char **argv, struct error *error)
{
    const char *path = NULL, *prompt = NULL;
    struct generate_options generate_options = {.tokens = 100, .temperature = 1, .top_p = 1};
    struct option_texts stops = {.count = 0};
    int64_t seed = 1337;
    const struct command_option options[] = {
        {"model", OPTION_TEXT, "M", "a run folder, a checkpoint or a Hugging Face directory", .required = true,
         .target = &path},
        {"prompt", OPTION_TEXT, "TEXT", "text to go on from", .required = true, .target = &prompt},
        {"tokens", OPTION_INTEGER, "N", "tokens to make, 100", "[0, 1e9]", .target = &generate_options.tokens},
        {"temperature", OPTION_NUMBER, "T", "0: the most probable token, whatever the next three say; 1", "[0, 100]",
         .target = &generate_options.temperature},
        {"top-k", OPTION_INTEGER, "K", "only the K most probable tokens; 0: all", "[0, 1e9]",
         .target = &generate_options.top_k},
        {"top-p", OPTION_NUMBER, "P", "only the most probable tokens that reach P together; 1: all", "(0, 1]",
         .target = &generate_options.top_p},
        {"seed", OPTION_INTEGER, "S", "of the choice of tokens, 1337", "[0, inf)", .target = &seed},
        {"stop", OPTION_TEXTS, "TEXT", "ends before this text, as at the end of a document; may be repeated",
         .target = &stops},
    };
    const struct usage usage = {"generate",         "Text from a model",
                                .takes_keys = true, .keys_of = CONFIG_COMMAND_GENERATE,
                                .options = options, .option_count = sizeof options / sizeof options[0]};
    struct arguments arguments;
    int status = options_parse(&usage, argc, argv, &arguments, error);

    if (status == STATUS_OK && !arguments.done)
        status = check_stops(&stops, error);
    if (status == STATUS_OK && !arguments.done) {
        const struct stored_model_options source = {path, arguments.flags, arguments.flag_count, environ,
                                                    CONFIG_COMMAND_GENERATE};

        generate_options.seed = (uint64_t)seed;
        status = run(&source, prompt, &generate_options, &stops, error);
    }
    arguments_finish(&arguments);
    return status;
}
