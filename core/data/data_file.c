#include "data/data_file.h"

#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "base/lfs_pointer.h"

#define BYTE_ORDER_MARK "\xEF\xBB\xBF"

static bool has_ending(const char *name, const char *ending)
{
    size_t name_length = strlen(name), ending_length = strlen(ending);

    return name_length > ending_length && strcasecmp(name + name_length - ending_length, ending) == 0;
}

static int check_name(const char *name, struct error *error)
{
    static const char *const unread[] = {".idx", ".bin", ".parquet", ".gz", ".zst"};

    for (size_t i = 0; i < sizeof unread / sizeof unread[0]; i++)
        if (has_ending(name, unread[i]))
            return error_set(error, STATUS_USAGE,
                             "%s: files of the kind %s are not read by this version; give text or .jsonl", name,
                             unread[i]);
    return STATUS_OK;
}

/* Looks at the beginning of the file. */
static int look(struct data_file *file, struct error *error)
{
    char head[LFS_POINTER_LIMIT];
    int64_t bytes = file->bytes < (int64_t)sizeof head ? file->bytes : (int64_t)sizeof head;
    int status = file_read_range(&file_system_real, file->handle, file->name, 0, head, bytes, error);

    if (status == STATUS_OK)
        status = lfs_pointer_refuse(file->name, head, bytes, error);
    if (status == STATUS_OK && bytes >= 3 && memcmp(head, BYTE_ORDER_MARK, 3) == 0)
        file->begin = 3;
    file->bytes -= file->begin;
    if (status == STATUS_OK && file->bytes == 0)
        status = error_set(error, STATUS_INPUT, "%s is empty", file->name);
    return status;
}

int data_file_open(struct data_file *file, const char *name, struct error *error)
{
    int status = check_name(name, error);

    *file = (struct data_file){.name = name, .handle = -1, .jsonl = has_ending(name, ".jsonl")};
    if (status == STATUS_OK)
        status = file_open_regular(&file_system_real, name, &file->handle, &file->bytes, error);
    if (status == STATUS_OK)
        status = look(file, error);
    if (status != STATUS_OK)
        data_file_close(file);
    return status;
}

int data_file_read(struct data_file *file, char *out, int64_t bytes, int64_t *got, struct error *error)
{
    int64_t left = file->bytes - file->done;
    int status;

    *got = bytes < left ? bytes : left;
    status = file_read_range(&file_system_real, file->handle, file->name, file->begin + file->done, out, *got, error);
    file->done += *got;
    return status;
}

void data_file_close(struct data_file *file)
{
    if (file->handle >= 0)
        file_system_real.close(&file_system_real, file->handle);
    file->handle = -1;
}
