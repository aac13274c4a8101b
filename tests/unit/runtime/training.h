/* Training of small models in a layout, each rank a thread with a device of its own over the loopback collective, and
 * how what it leaves compares with one rank. What goes wrong fails the test. Not for several threads. */
#ifndef LLMRUN_TEST_RUNTIME_TRAINING_H
#define LLMRUN_TEST_RUNTIME_TRAINING_H

#include "compile/compile.h"
#include "dist/communicator.h"
#include "runtime/executor.h"

#define TRAINING_RANKS    8 /* at most */
#define TRAINING_STEPS    3 /* at most */
#define TRAINING_BATCH    8 /* sequences of a step, and of an evaluation */
#define TRAINING_SEQUENCE 16

struct layout {
    int tp, pp, dp;
    bool sp;
    int zero;
    int shards;      /* ranks of dp that share one optimizer state; 0: all */
    int micro_batch; /* of a rank */
    enum pipeline_kind schedule;
    int chunks;
    enum recompute recompute;
    int loss_chunk;
};

/* Of each family four layers, 32 wide, with 8 heads of keys and values; a vocabulary of 150, stored as 192, which 8
 * ranks do not cut at a token. GPT-2, Qwen2 and Qwen3 tie the head to the embedding. */
enum training_family {
    TRAINING_GPT2,
    TRAINING_LLAMA,
    TRAINING_QWEN3,
    TRAINING_QWEN2,
    TRAINING_MISTRAL,
    TRAINING_FAMILIES
};

/* What all ranks of a run do. */
struct training {
    struct compile_request request; /* each rank takes its own place in the mesh */
    int steps;                      /* 0: only the initial weights are made, and evaluated */
    uint32_t silent;                /* bit r: no token of row r of a batch has a weight */
    bool alike;                     /* all rows of a batch have the same tokens and weights */
};

/* What a run leaves. */
struct outcome {
    double losses[TRAINING_STEPS][TRAINING_BATCH];
    float norms[TRAINING_STEPS];
    double evaluated[TRAINING_BATCH];
    void **values; /* the rank's parts of parameters and state, by id; NULL for other values */
};

struct rank {
    int index, ranks;
    struct training training;
    struct device *device;
    struct communicator communicators[MESH_GROUPS + 1];
    struct communication communication;
    struct compiled compiled;
    struct executor *executor;
    struct outcome outcome;
    int status;
    struct error error;
};

/* Three steps of a model in a layout, with dropout 0.1, AdamW, a norm that is clipped at each of them, and two
 * rows without a weight. */
struct training training_of(enum training_family family, uint32_t dtype, const struct layout *layout);

/* The layout of one rank. */
extern const struct layout training_single;

/* "Qwen3 fp32 tp 2 pp 1 ..." */
void training_describe(const struct layout *layout, const struct training *training, char text[200]);

/* Opens the collective; of a group of tests, with cmocka's types. */
int training_setup(void **state);

/* Runs all ranks to their end; all[i] is rank i of the mesh. End it with training_end. */
void training_run(struct rank *all, const struct training *training);
void training_end(struct rank *all);

/* Losses, norms and evaluation of each rank are those of one rank, and each parameter and moment is its part of one
 * rank's; together they have all of them. */
void training_compare(const struct rank *all, const struct rank *one, const char *layout);

/* A parameter or moment, which is no view. */
bool training_keeps(const struct value *value);

#endif
