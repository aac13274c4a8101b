#include "kernels/token_sums.h"

static const struct token_sums_operands operands = {.dy = LLMRUN_BIAS_GRAD_DY,
                                                    .value = TOKEN_SUMS_NONE,
                                                    .mean = TOKEN_SUMS_NONE,
                                                    .rstd = TOKEN_SUMS_NONE,
                                                    .dweight = TOKEN_SUMS_NONE,
                                                    .dbias = LLMRUN_BIAS_GRAD_DBIAS};

TOKEN_SUMS_RUN(bias_grad, bias_grad, operands, 1)
TOKEN_SUMS_KERNEL(bias_grad, operands, bias_grad_run)
