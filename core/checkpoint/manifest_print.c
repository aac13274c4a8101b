#include "checkpoint/manifest.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/strict_json.h"
#include "checkpoint/blocks.h"
#include "checkpoint/checksum.h"
#include "checkpoint/content_hash.h"
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

static json_t *print_numbers(const int64_t *numbers, int32_t rank)
{
    const struct shape as_shape = shape_of(rank, numbers);

    return shape_to_json(&as_shape);
}

/* 16 digits each, one after the other. *lacked: there is no memory that jansson did not ask for. */
static json_t *print_blocks(const struct manifest_part *part, bool *lacked)
{
    const int64_t count = blocks_count(part->bytes, part->block_bytes);
    char *text = malloc((size_t)count * 16 + 1);
    json_t *printed;

    *lacked |= text == NULL;
    if (text == NULL)
        return NULL;
    text[0] = '\0';
    for (int64_t i = 0; i < count; i++)
        snprintf(text + i * 16, 17, "%016" PRIx64, part->blocks[i]);
    printed = json_string(text);
    free(text);
    return printed;
}

static json_t *print_part(const struct manifest *manifest, const struct manifest_tensor *tensor,
                          const struct manifest_part *part, bool *lacked)
{
    char content[CONTENT_TEXT_BYTES];
    json_t *object = json_pack("{s:o, s:o, s:I, s:s}", "first", print_numbers(part->box.first, tensor->shape.rank),
                               "extent", print_numbers(part->box.extent, tensor->shape.rank), "bytes",
                               (json_int_t)part->bytes, "content", content_print(part->content, content));

    if (object == NULL || part->file < 0)
        return object;
    if (json_object_set_new(object, "file", json_string(manifest->files[part->file].name)) == 0 &&
        json_object_set_new(object, "offset", json_integer(part->offset)) == 0 &&
        json_object_set_new(object, "block_bytes", json_integer(part->block_bytes)) == 0 &&
        json_object_set_new(object, "blocks", print_blocks(part, lacked)) == 0)
        return object;
    json_decref(object);
    return NULL;
}

static json_t *print_tensor(const struct manifest *manifest, const struct manifest_tensor *tensor, bool *lacked)
{
    char content[CONTENT_TEXT_BYTES];
    json_t *shape = shape_to_json(&tensor->shape), *parts = json_array();

    for (int64_t i = 0; i < tensor->part_count; i++)
        if (json_array_append_new(parts, print_part(manifest, tensor, &tensor->parts[i], lacked)) != 0) {
            json_decref(shape);
            json_decref(parts);
            return NULL;
        }
    return json_pack("{s:s, s:s, s:o, s:s, s:o}", "name", tensor->name, "dtype", dtype_name(tensor->dtype), "shape",
                     shape, "content", content_print(tensor->content, content), "parts", parts);
}

/* NULL when a name is no UTF-8 or there is no memory. */
static json_t *print_object(const struct manifest *manifest, bool *lacked)
{
    json_t *files = json_array(), *tensors = json_array(), *state;
    bool ok = true;

    for (int64_t i = 0; i < manifest->file_count; i++)
        ok = json_array_append_new(files, print_file(&manifest->files[i])) == 0 && ok;
    for (int64_t i = 0; i < manifest->tensor_count; i++)
        ok = json_array_append_new(tensors, print_tensor(manifest, &manifest->tensors[i], lacked)) == 0 && ok;
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
    int result =
        (manifest->is_list ? manifest_parse_list : manifest_parse)(text, bytes, "the printed manifest", &back, error);

    if (result == STATUS_OK &&
        (back.tensor_count != manifest->tensor_count || back.file_count != manifest->file_count ||
         json_object_size(back.state.object) != json_object_size(manifest->state.object)))
        result = error_set(error, STATUS_MEMORY, "the printed manifest is not whole; there was no memory for it");
    manifest_finish(&back);
    return result;
}

int manifest_print(const struct manifest *manifest, char **text, int64_t *bytes, struct error *error)
{
    bool lacked = false;
    json_t *object;
    char *body;
    int result;

    *text = NULL;
    strict_json_watch_memory();
    object = print_object(manifest, &lacked);
    body = object != NULL ? json_dumps(object, JSON_INDENT(1)) : NULL;
    if (lacked || strict_json_lacked_memory())
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
