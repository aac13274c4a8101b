/* The parts of `llmrun bench`, each like a command (command.h). */
#ifndef LLMRUN_BENCH_H
#define LLMRUN_BENCH_H

#include "base/status.h"

int bench_step(int argc, char **argv, struct error *error);
int bench_generate(int argc, char **argv, struct error *error);
int bench_gemm(int argc, char **argv, struct error *error);

#endif
