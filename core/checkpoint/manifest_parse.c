#include <string.h>

#include "base/checked.h"
#include "base/strict_json.h"
#include "checkpoint/checksum.h"
#include "checkpoint/manifest.h"
#include "checkpoint/manifest_seal.h"
#include "checkpoint/name_index.h"
#include "checkpoint/shape_json.h"
#include "tensor/dtype.h"

static int read_checksum(const json_t *object, const char *key, const char *source, uint64_t *value,
                         struct error *error)
{
    const char *text;
    int result = strict_json_text(object, key, source, &text, error);

    if (result == STATUS_OK && !checksum_parse(text, value))
        return error_set(error, STATUS_INPUT, "%s: '%s' is no checksum", source, key);
    return result;
}

static int read_file(const json_t *object, const char *source, struct manifest *manifest, struct error *error)
{
    struct manifest_file file = {0};
    const char *name;
    int result;

    if ((result = strict_json_text(object, "name", source, &name, error)) != STATUS_OK)
        return result;
    if (!manifest_plain_name(name, MANIFEST_NAME_LIMIT) || strcmp(name, MANIFEST_NAME) == 0)
        return error_set(error, STATUS_INPUT, "%s: '%.140s' is no name of a file beside the manifest", source, name);
    file.name = (char *)name;
    if ((result = strict_json_integer(object, "bytes", source, 0, &file.bytes, error)) != STATUS_OK ||
        (result = read_checksum(object, "checksum", source, &file.checksum, error)) != STATUS_OK)
        return result;
    if (json_object_get(object, "header_bytes") != NULL &&
        ((result = strict_json_integer(object, "header_bytes", source, 8, &file.header_bytes, error)) != STATUS_OK ||
         (result = read_checksum(object, "header_checksum", source, &file.header_checksum, error)) != STATUS_OK))
        return result;
    if (file.header_bytes > file.bytes)
        return error_set(error, STATUS_INPUT, "%s: file %s has a header of %lld bytes and %lld bytes in all", source,
                         name, (long long)file.header_bytes, (long long)file.bytes);
    return manifest_add_file(manifest, &file, error);
}

static int read_shape(const json_t *array, const char *source, struct manifest_tensor *tensor, struct error *error)
{
    int64_t elements;

    if (shape_from_json(array, &tensor->shape, error) != STATUS_OK)
        return error_prefix(error, "%s: tensor '%.200s'", source, tensor->name);
    if (!shape_elements_checked(&tensor->shape, &elements) ||
        !checked_mul(elements, dtype_bytes(tensor->dtype), &tensor->bytes))
        return error_set(error, STATUS_INPUT, "%s: tensor '%.200s' has more bytes than can be counted", source,
                         tensor->name);
    return STATUS_OK;
}

/* Format 1: the tensor is one part, and its checksum that of one block. */
static int read_whole(const json_t *object, const char *source, const struct name_index *files,
                      const struct manifest *manifest, struct manifest_tensor *tensor, struct error *error)
{
    uint64_t checksum = 0;
    struct manifest_part part = {.box = box_whole(&tensor->shape), .blocks = &checksum};
    const char *file;
    int result;

    if ((result = strict_json_text(object, "file", source, &file, error)) != STATUS_OK ||
        (result = strict_json_integer(object, "offset", source, 0, &part.offset, error)) != STATUS_OK ||
        (result = strict_json_integer(object, "bytes", source, 0, &part.bytes, error)) != STATUS_OK ||
        (result = read_checksum(object, "checksum", source, &checksum, error)) != STATUS_OK)
        return result;
    part.file = name_index_find(files, file);
    part.block_bytes = part.bytes;
    if (part.file < 0)
        return error_set(error, STATUS_INPUT, "%s: tensor '%.200s' is in the file '%.140s', which is not listed",
                         source, tensor->name, file);
    if (part.bytes != tensor->bytes)
        return error_set(error, STATUS_INPUT, "%s: tensor '%.200s' has %lld bytes, which dtype and shape do not give",
                         source, tensor->name, (long long)part.bytes);
    if (!manifest_part_is_in_file(manifest, &part))
        return error_set(error, STATUS_INPUT, "%s: tensor '%.200s' is not within the data of file %s", source,
                         tensor->name, manifest->files[part.file].name);
    return manifest_add_part(tensor, &part, error);
}

static int read_tensor(const json_t *object, const char *source, const struct name_index *files,
                       struct manifest *manifest, struct error *error)
{
    struct manifest_tensor tensor = {0}, *added;
    const char *name, *dtype;
    json_t *shape;
    int result;

    if ((result = strict_json_text(object, "name", source, &name, error)) != STATUS_OK ||
        (result = strict_json_text(object, "dtype", source, &dtype, error)) != STATUS_OK ||
        (result = strict_json_array(object, "shape", source, &shape, error)) != STATUS_OK)
        return result;
    tensor.name = (char *)name;
    tensor.dtype = dtype_from_name(dtype);
    if (tensor.dtype == LLMRUN_NONE)
        return error_set(error, STATUS_INPUT, "%s: tensor '%.200s' has the dtype '%.40s', which is not known", source,
                         name, dtype);
    if ((result = read_shape(shape, source, &tensor, error)) != STATUS_OK ||
        (result = manifest_add_tensor(manifest, &tensor, error)) != STATUS_OK)
        return result;
    added = &manifest->tensors[manifest->tensor_count - 1];
    return manifest->format == 1 ? read_whole(object, source, files, manifest, added, error)
                                 : manifest_read_parts(object, source, files, manifest, added, error);
}

static int read_state(json_t *object, const char *source, struct manifest *manifest, struct error *error)
{
    const char *key;
    json_t *value;

    json_object_foreach(object, key, value) if (!json_is_string(value) && !json_is_number(value)) return error_set(
        error, STATUS_INPUT, "%s: the state '%.100s' is neither text nor number", source, key);
    manifest->state.object = json_incref(object);
    return STATUS_OK;
}

static int read_head(const json_t *root, const char *source, struct manifest *manifest, struct error *error)
{
    const char *run_id;
    json_t *state;
    int result;

    if ((result = strict_json_integer(root, "format", source, 0, &manifest->format, error)) != STATUS_OK)
        return result;
    if (manifest->format < 1 || manifest->format > MANIFEST_FORMAT)
        return error_set(error, STATUS_INPUT, "%s has format %lld; this llmrun reads 1 to %d", source,
                         (long long)manifest->format, MANIFEST_FORMAT);
    if ((result = strict_json_integer(root, "step", source, 0, &manifest->step, error)) != STATUS_OK ||
        (result = strict_json_text(root, "run", source, &run_id, error)) != STATUS_OK ||
        (result = strict_json_object(root, "state", source, &state, error)) != STATUS_OK)
        return result;
    if (!manifest_plain_name(run_id, MANIFEST_RUN_ID_BYTES - 1))
        return error_set(error, STATUS_INPUT, "%s: '%.80s' is no run id", source, run_id);
    memcpy(manifest->run_id, run_id, strlen(run_id) + 1);
    return read_state(state, source, manifest, error);
}

static int read_tables(const json_t *root, const char *source, struct name_index *names, struct manifest *manifest,
                       struct error *error)
{
    json_t *files, *tensors, *element;
    const char *twice;
    size_t i;
    int result;

    if ((result = strict_json_array(root, "files", source, &files, error)) != STATUS_OK ||
        (result = strict_json_array(root, "tensors", source, &tensors, error)) != STATUS_OK)
        return result;
    json_array_foreach(files, i,
                       element) if ((result = read_file(element, source, manifest, error)) != STATUS_OK) return result;
    result = name_index_make(manifest->files, manifest->file_count, sizeof *manifest->files, names, error);
    if (result != STATUS_OK)
        return result;
    if ((twice = name_index_repeated(names)) != NULL)
        return error_set(error, STATUS_INPUT, "%s lists the file %s twice", source, twice);
    json_array_foreach(tensors, i, element) if ((result = read_tensor(element, source, names, manifest, error)) !=
                                                STATUS_OK) return result;
    name_index_finish(names);
    result = name_index_make(manifest->tensors, manifest->tensor_count, sizeof *manifest->tensors, names, error);
    if (result == STATUS_OK && (twice = name_index_repeated(names)) != NULL)
        return error_set(error, STATUS_INPUT, "%s lists the tensor '%.200s' twice", source, twice);
    return result;
}

static int parse(const char *text, int64_t bytes, const char *source, bool is_list, struct manifest *manifest,
                 struct error *error)
{
    struct name_index names = {0};
    json_t *root = NULL;
    int result;

    *manifest = (struct manifest){.is_list = is_list};
    if ((result = manifest_check_seal(text, bytes, source, &manifest->checksum, error)) != STATUS_OK ||
        (result = strict_json_parse(text, bytes, source, &root, error)) != STATUS_OK ||
        (result = read_head(root, source, manifest, error)) != STATUS_OK)
        goto out;
    result = read_tables(root, source, &names, manifest, error);
out:
    name_index_finish(&names);
    json_decref(root);
    if (result != STATUS_OK)
        manifest_finish(manifest);
    return result;
}

int manifest_parse(const char *text, int64_t bytes, const char *source, struct manifest *manifest, struct error *error)
{
    return parse(text, bytes, source, false, manifest, error);
}

int manifest_parse_list(const char *text, int64_t bytes, const char *source, struct manifest *manifest,
                        struct error *error)
{
    return parse(text, bytes, source, true, manifest, error);
}
