/* One matrix product of a linear layer on a device, by the ops of the contract: forward, gradient of the input,
 * gradient of the weight; in the exact order, or in the device's own. Its operands are made from their indices, so that
 * a second device can compute chosen elements alone. */
#ifndef LLMRUN_BENCH_PRODUCT_H
#define LLMRUN_BENCH_PRODUCT_H

#include "hal/stream.h"

enum product_kind {
    PRODUCT_FORWARD,     /* y [rows, outputs] = x [rows, inputs] w [outputs, inputs]^T */
    PRODUCT_INPUT_GRAD,  /* dx [rows, inputs] = dy [rows, outputs] w [outputs, inputs] */
    PRODUCT_WEIGHT_GRAD, /* dw [outputs, inputs] += dy [rows, outputs]^T x [rows, inputs]; dw is fp32 */
    PRODUCT_KINDS
};

const char *product_kind_name(enum product_kind kind); /* "forward", "dX", "dW" */

struct product {
    enum product_kind kind;
    uint32_t dtype;          /* LLMRUN_F32 or LLMRUN_BF16 */
    int64_t rows;            /* tokens */
    int64_t outputs, inputs; /* of the layer */
};

double product_flops(const struct product *product);

/* Elements of the result: at the crossings of some rows and columns. */
#define PRODUCT_SAMPLES 8

struct product_choice {
    int64_t rows[PRODUCT_SAMPLES], columns[PRODUCT_SAMPLES];
};

struct product_choice product_choose(const struct product *product, uint32_t seed);

enum product_order { PRODUCT_EXACT, PRODUCT_FREE, PRODUCT_ORDERS };

struct product_run {
    struct device *device;
    struct product product; /* as asked for; the operands may be parts of it */
    int64_t extents[3][2];  /* of the operands: left, right, result */
    uint32_t dtypes[3];
    struct buffer operands[3], workspace;
    struct host_buffer staging;
    struct stream stream;
    struct event start, end;
    struct device_kernel kernels[PRODUCT_ORDERS];
};

/* Allocates, makes the operands, and prepares the kernels of both orders, or of `exact_only`. With `choice` the product
 * is cut down to what its elements need. Blocks. */
int product_open(struct product_run *run, struct device *device, const struct product *product,
                 const struct product_choice *choice, bool exact_only, struct error *error);
void product_close(struct product_run *run); /* accepts a zeroed struct */

/* Runs it once and waits. *ns is the device's time. */
int product_launch(struct product_run *run, enum product_order order, int64_t *ns, struct error *error);

/* Runs it once on a zeroed result and reads the chosen elements as bits, [row][column]: elements of the whole result,
 * or of the one that was cut down to `choice`. bf16 in the low half. */
int product_sample(struct product_run *run, enum product_order order, const struct product_choice *choice,
                   bool cut_down, uint32_t bits[PRODUCT_SAMPLES][PRODUCT_SAMPLES], struct error *error);

#endif
