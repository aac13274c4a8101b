#include "huggingface/dropout.h"

#include <stdlib.h>
#include <string.h>

#include "base/strict_json.h"
#include "huggingface/config.h"
#include "huggingface/directory.h"

int hf_dropout_parse(const json_t *root, const struct model_family *family, const char *source,
                     struct hf_dropout *dropout, struct error *error)
{
    dropout->count = 0;
    for (int i = 0; i < HF_MOST_DROPOUTS && family->dropouts[i] != NULL; i++) {
        const char *field = family->dropouts[i];
        const json_t *value = json_object_get(root, field);
        double number = value == NULL ? family->dropout : json_number_value(value);

        if (value != NULL && !json_is_null(value) && !(json_is_number(value) && number >= 0 && number < 1))
            return error_set(error, STATUS_INPUT,
                             "%s: %s is not a number from 0 to below 1; model.dropout can be set in its place", source,
                             field);
        dropout->fields[i] = field;
        dropout->values[i] = number;
        dropout->count++;
    }
    return STATUS_OK;
}

int hf_dropout_read(const struct file_system *fs, const char *folder, const struct model_family *family,
                    struct hf_dropout *dropout, struct error *error)
{
    char path[PATH_MAX], *text = NULL;
    json_t *root = NULL;
    int64_t bytes;
    int status = hf_read_text(fs, folder, HF_CONFIG_NAME, HF_CONFIG_LIMIT, path, &text, &bytes, error);

    if (status == STATUS_OK)
        status = strict_json_parse(text, bytes, path, &root, error);
    if (status == STATUS_OK)
        status = hf_dropout_parse(root, family, path, dropout, error);
    json_decref(root);
    free(text);
    return status;
}

bool hf_dropout_is_one(const struct hf_dropout *dropout)
{
    for (int i = 1; i < dropout->count; i++)
        if (dropout->values[i] != dropout->values[0])
            return false;
    return true;
}
