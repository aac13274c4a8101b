/* Names of classes and model types of Hugging Face transformers by what they make of a tokenizer's files. The table is
 * written by tools/make_tokenizer_classes.py, which asks the library. */
#ifndef LLMRUN_TOKENIZER_TOKENIZER_CLASS_TABLE_H
#define LLMRUN_TOKENIZER_TOKENIZER_CLASS_TABLE_H

#include "tokenizer/tokenizer_classes.h"

/* Words with a blank before and behind each. The last entry of a list has no words (NULL). */
struct pipeline_words {
    enum tokenizer_pipeline pipeline;
    const char *words;
};

extern const struct pipeline_words tokenizer_class_words[]; /* without "Fast" at their ends */
extern const struct pipeline_words tokenizer_model_words[];
extern const char tokenizer_overruling_models[]; /* whatever class the other files name */

#endif
