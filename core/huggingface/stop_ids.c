#include "huggingface/stop_ids.h"

#include <limits.h>
#include <stdlib.h>

#include "base/strict_json.h"
#include "huggingface/directory.h"

#define FILE_LIMIT ((int64_t)1 << 20) /* bytes */

static int take_id(const json_t *value, const char *source, int64_t vocabulary, struct hf_stop_ids *ids,
                   struct error *error)
{
    const json_int_t id = json_integer_value(value);

    if (!json_is_integer(value))
        return error_set(error, STATUS_INPUT,
                         "%s: 'eos_token_id' has the wrong type; a token's number, a list of these, or null is wanted",
                         source);
    if (id < 0 || id >= vocabulary)
        return STATUS_OK;
    ids->ids[ids->count++] = (int32_t)id;
    return STATUS_OK;
}

static int take_ids(const json_t *value, const char *source, int64_t vocabulary, struct hf_stop_ids *ids,
                    struct error *error)
{
    const size_t count = json_is_array(value) ? json_array_size(value) : 1;
    int status = STATUS_OK;

    ids->ids = malloc((count + 1) * sizeof *ids->ids);
    if (ids->ids == NULL)
        return error_set(error, STATUS_MEMORY, "%s: no memory for %zu ids", source, count);
    if (!json_is_array(value))
        status = take_id(value, source, vocabulary, ids, error);
    for (size_t i = 0; json_is_array(value) && i < count && status == STATUS_OK; i++)
        status = take_id(json_array_get(value, i), source, vocabulary, ids, error);
    return status;
}

int hf_stop_ids_parse(const char *text, int64_t bytes, const char *source, int64_t vocabulary, struct hf_stop_ids *ids,
                      bool *named, struct error *error)
{
    const json_t *value;
    json_t *root = NULL;
    int status = strict_json_parse(text, bytes, source, &root, error);

    *ids = (struct hf_stop_ids){.count = 0};
    *named = false;
    if (status != STATUS_OK)
        return status;
    value = json_object_get(root, "eos_token_id");
    if (value != NULL && !json_is_null(value)) {
        *named = true;
        status = take_ids(value, source, vocabulary, ids, error);
    }
    json_decref(root);
    if (status != STATUS_OK)
        hf_stop_ids_finish(ids);
    return status;
}

static int read_file(const struct file_system *fs, const char *folder, const char *name, int64_t vocabulary,
                     struct hf_stop_ids *ids, bool *named, struct error *error)
{
    char path[PATH_MAX], *text = NULL;
    int64_t bytes;
    int status;

    if (!hf_has_file(fs, folder, name))
        return STATUS_OK;
    status = hf_read_text(fs, folder, name, FILE_LIMIT, path, &text, &bytes, error);
    if (status == STATUS_OK)
        status = hf_stop_ids_parse(text, bytes, path, vocabulary, ids, named, error);
    free(text);
    return status;
}

int hf_stop_ids_read(const struct file_system *fs, const char *folder, int64_t vocabulary, struct hf_stop_ids *ids,
                     struct error *error)
{
    bool named = false;
    int status;

    *ids = (struct hf_stop_ids){.count = 0};
    status = read_file(fs, folder, HF_GENERATION_NAME, vocabulary, ids, &named, error);
    if (status == STATUS_OK && !named)
        status = read_file(fs, folder, HF_CONFIG_NAME, vocabulary, ids, &named, error);
    return status;
}

void hf_stop_ids_finish(struct hf_stop_ids *ids)
{
    free(ids->ids);
    *ids = (struct hf_stop_ids){.count = 0};
}
