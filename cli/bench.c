/* llmrun bench step | generate | gemm: how fast this machine trains, makes text, and computes matrix products. */
#include "bench/bench.h"

#include <string.h>

#include "command.h"
#include "options.h"

int command_bench(int argc, char **argv, struct error *error)
{
    static const struct usage usage = {
        .command = "bench",
        .summary = "Speed of training steps (step), of text (generate) or of matrix products (gemm)",
        .words = "step | generate | gemm",
        .least_words = 1,
        .most_words = 1};
    struct arguments arguments;
    int status;

    if (argc > 1 && strcmp(argv[1], "step") == 0)
        return bench_step(argc - 1, argv + 1, error);
    if (argc > 1 && strcmp(argv[1], "generate") == 0)
        return bench_generate(argc - 1, argv + 1, error);
    if (argc > 1 && strcmp(argv[1], "gemm") == 0)
        return bench_gemm(argc - 1, argv + 1, error);
    status = options_parse(&usage, argc, argv, &arguments, error);
    if (status == STATUS_OK && !arguments.done)
        status = error_set(error, STATUS_USAGE, "bench has no part %.80s; it has step, generate and gemm",
                           arguments.words[0]);
    arguments_finish(&arguments);
    return status;
}
