/* The classes of Hugging Face transformers that make a tokenizer. A class that builds its own stages overrules those of
 * a tokenizer.json, and says how vocab.json and merges.txt are read. As version 5.24.0 has them
 * (models/auto/tokenization_auto.py and the classes' __init__). */
#ifndef LLMRUN_TOKENIZER_TOKENIZER_CLASSES_H
#define LLMRUN_TOKENIZER_TOKENIZER_CLASSES_H

#include <stdbool.h>

enum tokenizer_pipeline {
    PIPELINE_UNKNOWN, /* no class of that name, none for the model type */
    PIPELINE_FILE,    /* what tokenizer.json says */
    PIPELINE_GPT2,    /* GPT-2's split */
    PIPELINE_NEOX,    /* the same in normal form C */
    PIPELINE_QWEN2,   /* Qwen2's split in normal form C */
    PIPELINE_OTHER    /* of a class that is not understood here */
};

/* "GPT2TokenizerFast" is "GPT2Tokenizer". */
enum tokenizer_pipeline tokenizer_class_pipeline(const char *name);

/* What a config.json's model_type stands for. *overrules: whatever class the other files name. */
enum tokenizer_pipeline tokenizer_model_pipeline(const char *model_type, bool *overrules);

#endif
