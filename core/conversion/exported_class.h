/* The class that an exported tokenizer is read with. Without a name of one transformers takes that of config.json's
 * model_type, which puts its own split and normal form in the place of tokenizer.json's. */
#ifndef LLMRUN_CONVERSION_EXPORTED_CLASS_H
#define LLMRUN_CONVERSION_EXPORTED_CLASS_H

#include "engine/model_files.h"

#define EXPORTED_CLASS_FILE "tokenizer_config.json"

/* *text: the tokenizer_config.json with which the tokenizer.json among the files is obeyed as it stands; NULL where
 * there is none or a class is named. The caller frees it. */
int exported_class_print(const struct model_files *files, char **text, struct error *error);

#endif
