#include "tokenizer/tokenizer_classes.h"

#include <string.h>

#include "tokenizer/tokenizer_class_table.h"

static bool holds_word(const char *words, const char *word, size_t length)
{
    const char *place = words;

    while (length > 0 && (place = strstr(place, word)) != NULL) {
        if (place[-1] == ' ' && place[length] == ' ')
            return true;
        place++;
    }
    return false;
}

static enum tokenizer_pipeline find(const struct pipeline_words *list, const char *word)
{
    while (list->words != NULL && !holds_word(list->words, word, strlen(word)))
        list++;
    return list->pipeline;
}

enum tokenizer_pipeline tokenizer_class_pipeline(const char *name)
{
    const size_t length = strlen(name);
    char stem[128];

    if (length >= sizeof stem || strchr(name, ' ') != NULL)
        return PIPELINE_UNKNOWN;
    memcpy(stem, name, length + 1);
    if (length > 4 && strcmp(stem + length - 4, "Fast") == 0)
        stem[length - 4] = '\0';
    return find(tokenizer_class_words, stem);
}

enum tokenizer_pipeline tokenizer_model_pipeline(const char *model_type, bool *overrules)
{
    *overrules = false;
    if (strchr(model_type, ' ') != NULL)
        return PIPELINE_UNKNOWN;
    *overrules = holds_word(tokenizer_overruling_models, model_type, strlen(model_type));
    return find(tokenizer_model_words, model_type);
}
