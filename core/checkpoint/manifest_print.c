#include "checkpoint/manifest.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/strict_json.h"
#include "checkpoint/checksum.h"
#include "checkpoint/manifest_seal.h"
#include "checkpoint/shape_json.h"
#include "tensor/dtype.h"

static json_t *print_file(const struct manifest_file *file)
{
    char whole[CHECKSUM_TEXT_BYTES], header[CHECKSUM_TEXT_BYTES];

    checksum_print(file->checksum, whole);
    checksum_print(file->header_checksum, header);
    if (file->header_bytes == 0)
        return json_pack("{s:s, s:I, s:s}", "name", file->name, "bytes", (json_int_t)file->bytes, "checksum", whole);
    return json_pack("{s:s, s:I, s:s, s:I, s:s}", "name", file->name, "bytes", (json_int_t)file->bytes, "checksum",
                     whole, "header_bytes", (json_int_t)file->header_bytes, "header_checksum", header);
}

static json_t *print_tensor(const struct manifest *manifest, const struct manifest_tensor *tensor)
{
    char checksum[CHECKSUM_TEXT_BYTES];
    json_t *shape = shape_to_json(&tensor->shape);

    if (shape == NULL)
        return NULL;
    return json_pack("{s:s, s:s, s:s, s:o, s:I, s:I, s:s}", "name", tensor->name, "file",
                     manifest->files[tensor->file].name, "dtype", dtype_name(tensor->dtype), "shape", shape, "offset",
                     (json_int_t)tensor->offset, "bytes", (json_int_t)tensor->bytes, "checksum",
                     checksum_print(tensor->checksum, checksum));
}

/* NULL when a name is no UTF-8 or there is no memory. */
static json_t *print_object(const struct manifest *manifest)
{
    json_t *files = json_array(), *tensors = json_array(), *state;
    bool ok = true;

    for (int64_t i = 0; i < manifest->file_count; i++)
        ok = json_array_append_new(files, print_file(&manifest->files[i])) == 0 && ok;
    for (int64_t i = 0; i < manifest->tensor_count; i++)
        ok = json_array_append_new(tensors, print_tensor(manifest, &manifest->tensors[i])) == 0 && ok;
    state = manifest->state.object != NULL ? json_incref(manifest->state.object) : json_object();
    if (!ok) {
        json_decref(files);
        json_decref(tensors);
        json_decref(state);
        return NULL;
    }
    return json_pack("{s:i, s:I, s:s, s:o, s:o, s:o}", "format", MANIFEST_FORMAT, "step", (json_int_t)manifest->step,
                     "run", manifest->run_id, "state", state, "files", files, "tensors", tensors);
}

/* jansson leaves out text without a word when memory ends; such a manifest must not be committed. */
static int read_back(const struct manifest *manifest, const char *text, int64_t bytes, struct error *error)
{
    struct manifest back;
    int result = manifest_parse(text, bytes, "the printed manifest", &back, error);

    if (result == STATUS_OK &&
        (back.tensor_count != manifest->tensor_count || back.file_count != manifest->file_count ||
         json_object_size(back.state.object) != json_object_size(manifest->state.object)))
        result = error_set(error, STATUS_MEMORY, "the printed manifest is not whole; there was no memory for it");
    manifest_finish(&back);
    return result;
}

int manifest_print(const struct manifest *manifest, char **text, int64_t *bytes, struct error *error)
{
    json_t *object;
    char *body;
    int result;

    *text = NULL;
    strict_json_watch_memory();
    object = print_object(manifest);
    body = object != NULL ? json_dumps(object, JSON_INDENT(1)) : NULL;
    if (strict_json_lacked_memory())
        result = error_set(error, STATUS_MEMORY, "no memory to print a manifest of %lld tensors",
                           (long long)manifest->tensor_count);
    else if (body == NULL)
        result = error_set(error, STATUS_BUG, "the manifest cannot be printed: a tensor name is no UTF-8 text");
    else
        result = manifest_seal(body, text, bytes, error);
    if (result == STATUS_OK && (result = read_back(manifest, *text, *bytes, error)) != STATUS_OK) {
        free(*text);
        *text = NULL;
    }
    free(body);
    json_decref(object);
    return result;
}
