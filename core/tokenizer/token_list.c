#include "tokenizer/token_list.h"

#include "base/array.h"

int token_list_reserve(struct token_list *list, int64_t extra, struct error *error)
{
    int32_t *ids = array_reserve(list->ids, list->count, extra, &list->capacity, sizeof *ids);

    if (ids == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for %lld tokens", (long long)(list->count + extra));
    list->ids = ids;
    return STATUS_OK;
}
