#include "tokenizer/tokenizer_file.h"

#include <string.h>

#include "base/lfs_pointer.h"

int tokenizer_file_read(const struct file_system *fs, const char *folder, const char *name, int64_t most,
                        struct tokenizer_file *file, struct error *error)
{
    static const char mark[] = "\xEF\xBB\xBF";
    const int64_t mark_bytes = sizeof mark - 1;
    int result;

    file->memory = NULL;
    if (!file_join(file->path, sizeof file->path, folder, name))
        return error_set(error, STATUS_INPUT, "%s: the name is too long", folder);
    result = file_read_all(fs, file->path, most, &file->memory, &file->bytes, error);
    if (result == STATUS_OK)
        result = lfs_pointer_refuse(file->path, file->memory, file->bytes, error);
    if (result != STATUS_OK)
        return result;
    file->text = file->memory;
    if (file->bytes >= mark_bytes && memcmp(file->text, mark, (size_t)mark_bytes) == 0) {
        file->text += mark_bytes;
        file->bytes -= mark_bytes;
    }
    return STATUS_OK;
}
