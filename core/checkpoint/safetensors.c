#include "checkpoint/safetensors.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/hash.h"
#include "base/lfs_pointer.h"
#include "base/strict_json.h"
#include "checkpoint/shape_json.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "stored numbers are little-endian, and so must the host be");

/* Types of the format beside those of the contract, in bits an element. */
static const struct {
    const char *name;
    int bits;
} other_dtypes[] = {
    {"BOOL", 8}, {"I8", 8},      {"I16", 16}, {"U16", 16},    {"I64", 64},    {"U64", 64},
    {"C64", 64}, {"F8_E8M0", 8}, {"F4", 4},   {"F6_E2M3", 6}, {"F6_E3M2", 6},
};

/* Bits an element, 0 for a name that the format does not know. */
static int64_t stored_bits(const char *name)
{
    uint32_t dtype = dtype_from_safetensors_name(name);

    if (dtype != LLMRUN_NONE)
        return 8 * dtype_bytes(dtype);
    for (size_t i = 0; i < sizeof other_dtypes / sizeof other_dtypes[0]; i++)
        if (strcmp(name, other_dtypes[i].name) == 0)
            return other_dtypes[i].bits;
    return 0;
}

static int read_shape(const json_t *array, struct safetensors_tensor *tensor, struct error *error)
{
    int64_t bits = stored_bits(tensor->stored_dtype), elements = 0, total = 0;

    if (bits == 0)
        return error_set(error, STATUS_INPUT, "dtype '%.40s' is not known", tensor->stored_dtype);
    if (shape_from_json(array, &tensor->shape, error) != STATUS_OK ||
        shape_check(&tensor->shape, 1, error) != STATUS_OK)
        return STATUS_INPUT;
    if (!shape_elements_checked(&tensor->shape, &elements) || !checked_mul(elements, bits, &total))
        return error_set(error, STATUS_INPUT, "its size in bits does not fit 63 bits");
    if (total % 8 != 0)
        return error_set(error, STATUS_INPUT, "its %lld bits are no whole bytes", (long long)total);
    tensor->bytes = total / 8;
    return STATUS_OK;
}

/* Fills offset (from the start of the data) and compares the size that the shape gives. */
static int read_offsets(const json_t *array, int64_t data_bytes, struct safetensors_tensor *tensor, struct error *error)
{
    int64_t begin, end;

    if (json_array_size(array) != 2 || !json_is_integer(json_array_get(array, 0)) ||
        !json_is_integer(json_array_get(array, 1)))
        return error_set(error, STATUS_INPUT, "'data_offsets' are not two integers");
    begin = json_integer_value(json_array_get(array, 0));
    end = json_integer_value(json_array_get(array, 1));
    if (begin < 0 || end < begin || end > data_bytes)
        return error_set(error, STATUS_INPUT, "its data [%lld,%lld) are not within the file's %lld bytes of data",
                         (long long)begin, (long long)end, (long long)data_bytes);
    if (end - begin != tensor->bytes)
        return error_set(error, STATUS_INPUT, "it has %lld bytes of data, dtype and shape need %lld",
                         (long long)(end - begin), (long long)tensor->bytes);
    tensor->offset = begin;
    return STATUS_OK;
}

static int read_entry(const char *path, const char *name, const json_t *entry, int64_t data_bytes,
                      struct safetensors_tensor *tensor, struct error *error)
{
    json_t *shape, *offsets;
    int result;

    tensor->name = name;
    if ((result = strict_json_text(entry, "dtype", name, &tensor->stored_dtype, error)) != STATUS_OK ||
        (result = strict_json_array(entry, "shape", name, &shape, error)) != STATUS_OK ||
        (result = strict_json_array(entry, "data_offsets", name, &offsets, error)) != STATUS_OK) {
        error_prefix(error, "%s", path);
        return result;
    }
    tensor->dtype = dtype_from_safetensors_name(tensor->stored_dtype);
    result = read_shape(shape, tensor, error);
    if (result == STATUS_OK)
        result = read_offsets(offsets, data_bytes, tensor, error);
    if (result != STATUS_OK)
        error_prefix(error, "%s: tensor '%.200s'", path, name);
    return result;
}

static int check_metadata(const char *path, json_t *metadata, struct error *error)
{
    const char *key;
    json_t *value;

    if (!json_is_object(metadata))
        return error_set(error, STATUS_INPUT, "%s: '__metadata__' is no object", path);
    json_object_foreach(metadata, key, value) if (!json_is_string(value)) return error_set(
        error, STATUS_INPUT, "%s: the metadata '%.100s' is no text", path, key);
    return STATUS_OK;
}

static int compare_places(const void *a, const void *b)
{
    const struct safetensors_tensor *x = a, *y = b;

    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    return (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

/* Data must tile [0, data_bytes): no byte without an owner, none with two. Then offsets count from the file's start. */
static int check_tiling(struct safetensors *file, struct error *error)
{
    int64_t next = 0, data_bytes = file->file_bytes - file->header_bytes;

    qsort(file->tensors, (size_t)file->count, sizeof *file->tensors, compare_places);
    for (int64_t i = 0; i < file->count; i++) {
        struct safetensors_tensor *tensor = &file->tensors[i];

        if (tensor->offset != next)
            return error_set(error, STATUS_INPUT,
                             "%s: tensor '%.200s' starts at byte %lld of the data, the one before it ends at %lld",
                             file->path, tensor->name, (long long)tensor->offset, (long long)next);
        next += tensor->bytes;
        tensor->offset += file->header_bytes;
    }
    if (next != data_bytes)
        return error_set(error, STATUS_INPUT, "%s: the tensors have %lld bytes of data, the file has %lld", file->path,
                         (long long)next, (long long)data_bytes);
    return name_index_make(file->tensors, file->count, sizeof *file->tensors, &file->names, error);
}

static int read_tensors(struct safetensors *file, struct error *error)
{
    size_t members = json_object_size(file->header);
    const char *name;
    json_t *entry;
    int result;

    file->tensors = calloc(members + 1, sizeof *file->tensors);
    if (file->tensors == NULL)
        return error_set(error, STATUS_MEMORY, "%s: no memory for %zu tensors", file->path, members);
    json_object_foreach(file->header, name, entry)
    {
        if (strcmp(name, "__metadata__") == 0)
            result = check_metadata(file->path, entry, error);
        else
            result = read_entry(file->path, name, entry, file->file_bytes - file->header_bytes,
                                &file->tensors[file->count++], error);
        if (result != STATUS_OK)
            return result;
    }
    return check_tiling(file, error);
}

static int refuse_pointer(const struct safetensors *file, struct error *error)
{
    char text[LFS_POINTER_LIMIT];
    int status;

    if (file->file_bytes >= LFS_POINTER_LIMIT)
        return STATUS_OK;
    status = file_read_range(file->fs, file->handle, file->path, 0, text, file->file_bytes, error);
    return status == STATUS_OK ? lfs_pointer_refuse(file->path, text, file->file_bytes, error) : status;
}

static int read_header(struct safetensors *file, struct error *error)
{
    uint64_t json_bytes;
    char *text = NULL;
    int result;

    result = refuse_pointer(file, error);
    if (result != STATUS_OK)
        return result;
    if (file->file_bytes < 8)
        return error_set(error, STATUS_INPUT,
                         "%s has %lld bytes; a safetensors file starts with 8 bytes of header length", file->path,
                         (long long)file->file_bytes);
    result = file_read_range(file->fs, file->handle, file->path, 0, &json_bytes, 8, error);
    if (result != STATUS_OK)
        return result;
    if (json_bytes > SAFETENSORS_HEADER_LIMIT || (int64_t)json_bytes > file->file_bytes - 8)
        return error_set(error, STATUS_INPUT,
                         "%s: the header claims %llu bytes; the file has %lld and the format's limit is %d", file->path,
                         (unsigned long long)json_bytes, (long long)file->file_bytes, SAFETENSORS_HEADER_LIMIT);
    file->header_bytes = 8 + (int64_t)json_bytes;
    text = malloc((size_t)file->header_bytes);
    if (text == NULL)
        return error_set(error, STATUS_MEMORY, "%s: no memory for a header of %lld bytes", file->path,
                         (long long)file->header_bytes);
    result = file_read_range(file->fs, file->handle, file->path, 0, text, file->header_bytes, error);
    if (result == STATUS_OK && (json_bytes == 0 || text[8] != '{'))
        result = error_set(error, STATUS_INPUT, "%s: the header does not start with '{'", file->path);
    if (result == STATUS_OK)
        result = strict_json_parse(text + 8, (int64_t)json_bytes, file->path, &file->header, error);
    if (result == STATUS_OK)
        file->header_checksum = hash_bytes(text, (size_t)file->header_bytes);
    free(text);
    return result;
}

int safetensors_open_handle(const struct file_system *fs, int handle, const char *path, struct safetensors *file,
                            struct error *error)
{
    int result = STATUS_OK;

    *file = (struct safetensors){.fs = fs, .handle = handle, .borrowed = true, .path = strdup(path)};
    if (file->path == NULL)
        result = error_set(error, STATUS_MEMORY, "no memory to open %s", path);
    if (result == STATUS_OK && (file->file_bytes = fs->size(fs, handle)) < 0)
        result = error_set(error, STATUS_STORAGE, "%s: %s", path, strerror((int)-file->file_bytes));
    if (result == STATUS_OK)
        result = read_header(file, error);
    if (result == STATUS_OK)
        result = read_tensors(file, error);
    if (result != STATUS_OK)
        safetensors_close(file);
    return result;
}

int safetensors_open(const struct file_system *fs, const char *path, struct safetensors *file, struct error *error)
{
    int handle, result;

    *file = (struct safetensors){.handle = -1};
    handle = fs->open(fs, path, FILE_READ);
    if (handle < 0)
        return error_set(error, file_problem_status(-handle), "%s: %s", path, file_problem_text(-handle));
    result = safetensors_open_handle(fs, handle, path, file, error);
    if (result == STATUS_OK)
        file->borrowed = false;
    else
        fs->close(fs, handle);
    return result;
}

void safetensors_close(struct safetensors *file)
{
    if (file->fs != NULL && file->handle >= 0 && !file->borrowed)
        file->fs->close(file->fs, file->handle);
    json_decref(file->header);
    free(file->tensors);
    name_index_finish(&file->names);
    free(file->path);
    *file = (struct safetensors){.handle = -1};
}

const struct safetensors_tensor *safetensors_find(const struct safetensors *file, const char *name)
{
    int64_t position = name_index_find(&file->names, name);

    return position >= 0 ? &file->tensors[position] : NULL;
}

const char *safetensors_metadata(const struct safetensors *file, const char *key)
{
    return json_string_value(json_object_get(json_object_get(file->header, "__metadata__"), key));
}

int safetensors_read(const struct safetensors *file, const struct safetensors_tensor *tensor, int64_t offset,
                     void *memory, int64_t bytes, struct error *error)
{
    int result;

    if (offset < 0 || bytes < 0 || offset > tensor->bytes || bytes > tensor->bytes - offset)
        return error_set(error, STATUS_BUG,
                         "%s: %lld bytes from byte %lld of tensor '%.200s' were asked for; it has %lld", file->path,
                         (long long)bytes, (long long)offset, tensor->name, (long long)tensor->bytes);
    result = file_read_range(file->fs, file->handle, file->path, tensor->offset + offset, memory, bytes, error);
    if (result != STATUS_OK)
        error_prefix(error, "tensor '%.200s'", tensor->name);
    return result;
}
