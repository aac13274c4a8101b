/* A tiny GPT-2 on a device of this build, with batches that are a function of the step. */
#ifndef LLMRUN_TEST_RUNTIME_TINY_H
#define LLMRUN_TEST_RUNTIME_TINY_H

#include "compile/compile.h"
#include "plugin/registry.h"
#include "runtime/executor.h"

#define TINY_SEQUENCE   16
#define TINY_BATCH      4 /* sequences of a step */
#define TINY_EVAL_BATCH 2
#define TINY_VOCABULARY 50

struct tiny {
    struct compile_request request;
    struct device *device;
    struct compiled compiled;
    struct executor *executor;
    struct error error;
};

/* 2 layers, 16 wide, 2 heads, microbatches of 2 sequences, fp32, exact; train, evaluate and generate. */
struct compile_request tiny_request(void);

/* The same of a LLaMA of 3 layers, 4 heads and 2 of keys and values. */
struct compile_request tiny_llama_request(void);

/* Opens device 0 of `backend` with 2 threads and one more option (NULL: none). Fails the test when it cannot. */
struct device *tiny_device(const char *backend, const char *key, const char *value);

/* Compiles for a device and makes an executor; `compiled` is empty where that fails. */
int tiny_create(struct device *device, const struct compile_request *request, struct compiled *compiled,
                struct executor **executor, struct error *error);

/* Opens the device and an executor, and makes the initial weights. */
void tiny_open(struct tiny *tiny, const char *backend, const char *key, const char *value,
               const struct compile_request *request);
void tiny_close(struct tiny *tiny);

/* Initial weights and state, again. */
void tiny_initialise(struct tiny *tiny);

int32_t tiny_value(const struct tiny *tiny, const char *name);

/* The host's memory of an input that is no microbatch's. */
void *tiny_input(struct tiny *tiny, const char *name);

/* Writes the inputs of step `step`, from 1. Two documents a sequence; some tokens have weight 0. */
void tiny_fill(struct tiny *tiny, int step);
void tiny_submit(struct tiny *tiny);
/* losses[TINY_BATCH] of the oldest submission, which must be finite; may be NULL. */
void tiny_collect(struct tiny *tiny, double *losses);

/* Steps 1 to `steps`, each collected before the next; losses[steps * TINY_BATCH]. */
void tiny_train(struct tiny *tiny, int steps, double *losses);

/* The call must succeed; its sentence fails the test. */
#define tiny_ok(tiny, call) tiny_ok_(call, &(tiny)->error)
void tiny_ok_(int status, const struct error *error);

#endif
