/* The model between the values that the host writes and those that it reads, for each kind of use. */
#ifndef LLMRUN_COMPILE_VALUES_H
#define LLMRUN_COMPILE_VALUES_H

#include "compile/compile.h"

void values_build_train(struct builder *builder, const struct compile_request *request);
void values_build_evaluate(struct builder *builder, const struct compile_request *request);
void values_build_generate(struct builder *builder, const struct compile_request *request);

#endif
