#include "data/data_file.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/lfs_pointer.h"
#include "base/log.h"
#include "data/jsonl.h"

/* What of a text is looked at before it is read. */
#define HEAD_BYTES ((int64_t)1 << 18)

/* As the file is, or decompressed. */
static int read_content(struct data_file *file, char *out, int64_t bytes, int64_t *got, struct error *error)
{
    int64_t left = file->file_bytes - file->done;
    int status;

    if (file->decompressor != NULL)
        return decompressor_read(file->decompressor, out, bytes, got, error);
    *got = bytes < left ? bytes : left;
    status = file_read_range(&file_system_real, file->handle, file->name, file->done, out, *got, error);
    file->done += *got;
    return status;
}

/* Finds pointers and compression by how the file begins. A name that promises compression has to keep it. */
static int look_at_file(struct data_file *file, enum compression promised, struct error *error)
{
    char head[LFS_POINTER_LIMIT];
    int64_t bytes = file->file_bytes < (int64_t)sizeof head ? file->file_bytes : (int64_t)sizeof head;
    int status = file_read_range(&file_system_real, file->handle, file->name, 0, head, bytes, error);

    if (status == STATUS_OK)
        status = lfs_pointer_refuse(file->name, head, bytes, error);
    if (status != STATUS_OK)
        return status;
    if (bytes == 0)
        return error_set(error, STATUS_INPUT, "%s is empty", file->name);
    file->compression = file_kind_compression(head, bytes);
    if (promised != COMPRESSION_NONE && file->compression == COMPRESSION_NONE)
        return error_set(
            error, STATUS_INPUT,
            "%s: by its ending it is compressed, by its content it is not; get the file again, or rename it",
            file->name);
    if (file->compression == COMPRESSION_NONE)
        return STATUS_OK;
    return decompressor_create(file->compression, file->handle, file->name, file->file_bytes, &file->decompressor,
                               error);
}

/* Whether the first line is an object as JSONL has it. */
static bool looks_like_jsonl(const char *text, int64_t bytes)
{
    const char *newline = memchr(text, '\n', (size_t)bytes);
    struct jsonl_document document = {0};
    bool is_one = text[0] == '{' && (newline != NULL || bytes < HEAD_BYTES) &&
                  jsonl_parse(text, newline != NULL ? newline - text : bytes, &document, NULL) == STATUS_OK;

    jsonl_release(&document);
    return is_one;
}

static const char *past_blanks(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\r' || *at == '\n'))
        at++;
    return at;
}

/* An object with a first name, alone or in an array, over as many lines as it likes. */
static bool looks_like_json(const char *text, int64_t bytes)
{
    const char *end = text + bytes, *at = past_blanks(text, end), *name;

    if (at < end && *at == '[')
        at = past_blanks(at + 1, end);
    if (at == end || *at != '{')
        return false;
    at = past_blanks(at + 1, end);
    if (at == end || *at != '"')
        return false;
    name = ++at;
    while (at < end && at - name < 128 && *at != '"' && *at != '\n')
        at++;
    if (at == end || *at != '"')
        return false;
    at = past_blanks(at + 1, end);
    return at < end && *at == ':';
}

static void warn_of_json(const struct data_file *file)
{
    log_line(LOG_WARNING,
             "%s: it begins as JSON does, and is read as plain text, with braces and names; write one object a line "
             "and name it .jsonl (of an array: jq -c '.[]')",
             file->name);
}

static int look_at_text(struct data_file *file, const struct file_name_kind *kind, struct error *error)
{
    const char *text;
    int status = STATUS_MEMORY;

    file->head = malloc((size_t)HEAD_BYTES);
    if (file->head == NULL)
        return error_set(error, STATUS_MEMORY, "%s: no memory to read it", file->name);
    status = read_content(file, file->head, HEAD_BYTES, &file->head_bytes, error);
    if (status == STATUS_OK && file->head_bytes >= 3 && memcmp(file->head, "\xEF\xBB\xBF", 3) == 0)
        file->mark_bytes = file->head_done = 3;
    if (status == STATUS_OK && file->head_done == file->head_bytes)
        status = error_set(error, STATUS_INPUT, "%s is empty", file->name);
    if (status != STATUS_OK)
        return status;
    text = file->head + file->head_done;
    file->jsonl = kind->jsonl;
    status = file_kind_check(file->name, file->head, file->head_bytes, file->jsonl, error);
    if (status != STATUS_OK || file->jsonl)
        return status;
    if (!looks_like_jsonl(text, file->head_bytes - file->head_done)) {
        if (looks_like_json(text, file->head_bytes - file->head_done))
            warn_of_json(file);
        return STATUS_OK;
    }
    file->jsonl = kind->open;
    if (!file->jsonl)
        log_line(LOG_WARNING,
                 "%s: its first line is an object of JSONL, but by its ending it is plain text, and read as that; name "
                 "it .jsonl to read its fields",
                 file->name);
    return status;
}

int data_file_open(struct data_file *file, const char *name, struct error *error)
{
    struct file_name_kind kind;
    int status = file_kind_of_name(name, &kind, error);

    *file = (struct data_file){.name = name, .handle = -1};
    if (status == STATUS_OK)
        status = file_open_regular(&file_system_real, name, &file->handle, &file->file_bytes, error);
    if (status == STATUS_OK)
        status = look_at_file(file, kind.compression, error);
    if (status == STATUS_OK)
        status = look_at_text(file, &kind, error);
    if (status != STATUS_OK)
        data_file_close(file);
    return status;
}

int data_file_count(const struct data_file *file, int64_t *bytes, struct error *error)
{
    struct decompressor *decompressor = NULL;
    int64_t got = HEAD_BYTES;
    char *ignored;
    int status;

    *bytes = file->file_bytes - file->mark_bytes;
    if (file->compression == COMPRESSION_NONE)
        return STATUS_OK;
    *bytes = -file->mark_bytes;
    ignored = malloc((size_t)HEAD_BYTES);
    status = ignored == NULL ? error_set(error, STATUS_MEMORY, "%s: no memory to read it", file->name)
                             : decompressor_create(file->compression, file->handle, file->name, file->file_bytes,
                                                   &decompressor, error);
    while (status == STATUS_OK && got == HEAD_BYTES) {
        status = decompressor_read(decompressor, ignored, HEAD_BYTES, &got, error);
        *bytes += got;
    }
    decompressor_destroy(decompressor);
    free(ignored);
    return status;
}

int data_file_read(struct data_file *file, char *out, int64_t bytes, int64_t *got, struct error *error)
{
    int64_t ready = file->head_bytes - file->head_done, rest = 0;
    int status = STATUS_OK;

    ready = bytes < ready ? bytes : ready;
    memcpy(out, file->head + file->head_done, (size_t)ready);
    file->head_done += ready;
    if (ready < bytes)
        status = read_content(file, out + ready, bytes - ready, &rest, error);
    *got = ready + rest;
    if (status == STATUS_OK && !file->jsonl)
        utf8_count_add(&file->count, out, *got);
    return status;
}

int data_file_check(struct data_file *file, struct error *error)
{
    int status;

    utf8_count_end(&file->count);
    status = utf8_count_check(&file->count, file->name, error);
    if (status == STATUS_OK && file->count.wrong > 0)
        log_line(
            LOG_WARNING, "%s: %lld of %lld bytes are not UTF-8, the first at byte %lld; they are learned as they are",
            file->name, (long long)file->count.wrong, (long long)file->count.bytes, (long long)file->count.first_wrong);
    return status;
}

void data_file_close(struct data_file *file)
{
    decompressor_destroy(file->decompressor);
    free(file->head);
    if (file->handle >= 0)
        file_system_real.close(&file_system_real, file->handle);
    *file = (struct data_file){.handle = -1};
}
