/* Arrays of tests/golden/ops.txt, which tests/golden/make_ops.py made with PyTorch. */
#ifndef LLMRUN_TEST_GOLDEN_H
#define LLMRUN_TEST_GOLDEN_H

#include <stdint.h>

struct golden {
    int64_t count;
    double *values;
};

/* Fails the test when there is no array of this name. golden_end frees it. */
struct golden golden_read(const char *name);
void golden_end(struct golden *golden);

#endif
