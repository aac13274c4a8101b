#include <string.h>

#include "model/family.h"

static const struct model_family *const families[] = {&family_gpt2, &family_llama, &family_mistral, &family_qwen2,
                                                      &family_qwen3};

#define FAMILIES (int)(sizeof families / sizeof families[0])

const struct model_family *model_family_at(int i)
{
    return i < FAMILIES ? families[i] : NULL;
}

const struct model_family *model_family_of_type(const char *type)
{
    for (int i = 0; i < FAMILIES; i++)
        if (strcmp(families[i]->type, type) == 0)
            return families[i];
    return NULL;
}
