/* bench_matmul [threads [samples [tokens [vocabulary]]]] */
#include <stdlib.h>

#include "matmul/bench.h"

int main(int argc, char **argv)
{
    struct gemm_bench_options options = {.threads = 2, .repeat = 9, .tokens = 1024, .vocabulary = 50304};
    if (argc > 1)
        options.threads = atoi(argv[1]);
    if (argc > 2)
        options.repeat = atoi(argv[2]);
    if (argc > 3)
        options.tokens = atoll(argv[3]);
    if (argc > 4)
        options.vocabulary = atoll(argv[4]);
    if (options.threads < 1 || options.repeat < 1 || options.tokens < 1 || options.vocabulary < 0) {
        fprintf(stderr, "usage: %s [threads [samples [tokens [vocabulary]]]]\n", argv[0]);
        return 2;
    }
    return gemm_bench(stdout, &options) == 0 ? 0 : 1;
}
