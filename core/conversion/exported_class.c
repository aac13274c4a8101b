#include "conversion/exported_class.h"

#include "base/strict_json.h"

int exported_class_print(const struct model_files *files, char **text, struct error *error)
{
    const struct checkpoint_blob *beside = model_files_find(files, EXPORTED_CLASS_FILE);
    json_t *root = NULL, *class;
    int status = STATUS_OK;

    *text = NULL;
    if (model_files_find(files, "tokenizer.json") == NULL)
        return STATUS_OK;
    if (beside != NULL)
        status = strict_json_parse_reals(beside->data, beside->bytes, EXPORTED_CLASS_FILE, &root, error);
    else
        root = json_object();
    if (status != STATUS_OK)
        return status;
    class = json_object_get(root, "tokenizer_class");
    if (class == NULL || json_is_null(class)) {
        if (json_object_set_new(root, "tokenizer_class", json_string("PreTrainedTokenizerFast")) == 0)
            *text = json_dumps(root, JSON_INDENT(2));
        if (*text == NULL)
            status = error_set(error, STATUS_MEMORY, "no memory for %s", EXPORTED_CLASS_FILE);
    }
    json_decref(root);
    return status;
}
