#include "data/corpus.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "data/data_file.h"

/* Bytes of text that are read at once for each thread that tokenizes. */
#define THREAD_BYTES ((int64_t)8 << 20)

/* One set while it is filled, and the state between its files. */
struct target {
    struct token_set *set;
    struct encode_state state;
};

struct loader {
    const struct corpus_options *options;
    const struct tokenizer *tokenizer;
    struct target train;
    struct target valid;
};

/* A block of a file's text, read, cut and tokenized at once. */
struct block {
    char *data;
    int64_t bytes, capacity;
};

static int encode_block(struct loader *loader, struct piece_cutter *cutter, const char *name, const char *text,
                        int64_t bytes, bool last, struct target *first, int64_t *pieces, int64_t *used,
                        struct error *error)
{
    const struct corpus_options *options = loader->options;
    struct piece_list head = {0}, tail = {0};
    const struct encode_options encoding = {options->special, options->mask_prompt, options->threads};
    int result = pieces_cut(cutter, text, bytes, last, &head, &tail, used, error);

    *pieces += head.count + tail.count;
    if (result == STATUS_OK && head.count > 0)
        result = encode_pieces(loader->tokenizer, &head, name, &encoding, &first->state, first->set, error);
    if (result == STATUS_OK && tail.count > 0)
        result =
            encode_pieces(loader->tokenizer, &tail, name, &encoding, &loader->valid.state, loader->valid.set, error);
    free(head.items);
    free(tail.items);
    return result;
}

/* Keeps what was not used, and doubles a block that is too short for a single line or piece. */
static int next_block(struct block *block, int64_t used, const char *name, struct error *error)
{
    char *grown;

    block->bytes -= used;
    memmove(block->data, block->data + used, (size_t)block->bytes);
    if (used > 0 || block->bytes < block->capacity)
        return STATUS_OK;
    grown = block->capacity < memory_available() ? realloc(block->data, (size_t)block->capacity * 2) : NULL;
    if (grown == NULL)
        return error_set(error, STATUS_MEMORY, "%s: no memory for a line or document of more than %lld bytes", name,
                         (long long)block->bytes);
    block->data = grown;
    block->capacity *= 2;
    return STATUS_OK;
}

static int add_blocks(struct loader *loader, struct data_file *file, struct piece_cutter *cutter, struct target *first,
                      int64_t *pieces, struct error *error)
{
    struct block block = {.capacity = loader->options->block_bytes};
    bool last = false;
    int result = STATUS_OK;

    if (block.capacity <= 0)
        block.capacity = (int64_t)(loader->options->threads < 8 ? loader->options->threads : 8) * THREAD_BYTES;
    if (file->compression == COMPRESSION_NONE && file->file_bytes < block.capacity)
        block.capacity = file->file_bytes + 1; /* the byte that is not there shows the end */
    block.data = malloc((size_t)block.capacity);
    if (block.data == NULL)
        result = error_set(error, STATUS_MEMORY, "%s: no memory to read it", file->name);
    while (result == STATUS_OK && !last) {
        int64_t room = block.capacity - block.bytes, got, used = 0;

        result = data_file_read(file, block.data + block.bytes, room, &got, error);
        if (result != STATUS_OK)
            break;
        last = got < room;
        block.bytes += got;
        result = encode_block(loader, cutter, file->name, block.data, block.bytes, last, first, pieces, &used, error);
        if (result == STATUS_OK)
            result = next_block(&block, used, file->name, error);
    }
    free(block.data);
    return result == STATUS_OK ? data_file_check(file, error) : result;
}

static int add_builtin(struct loader *loader, struct piece_cutter *cutter, struct target *first, int64_t *pieces,
                       struct error *error)
{
    int64_t used;

    if (loader->options->builtin == NULL)
        return error_set(error, STATUS_USAGE, "this program was built without the built-in text; name a file instead");
    return encode_block(loader, cutter, "builtin", loader->options->builtin, loader->options->builtin_bytes, true,
                        first, pieces, &used, error);
}

static int add_file(struct loader *loader, const char *name, double valid_split, struct target *first,
                    struct error *error)
{
    struct piece_cutter cutter = {.tokenizer = loader->tokenizer, .cut = INT64_MAX};
    struct data_file file = {.handle = -1};
    bool builtin = strcmp(name, "builtin") == 0;
    int64_t bytes = loader->options->builtin_bytes, pieces = 0;
    int result = builtin ? STATUS_OK : data_file_open(&file, name, error);

    if (result != STATUS_OK)
        return result;
    cutter.jsonl = file.jsonl;
    if (valid_split > 0 && !builtin)
        result = data_file_count(&file, &bytes, error);
    if (valid_split > 0)
        cutter.cut = pieces_cut_place(bytes, valid_split);
    first->state.document = loader->valid.state.document = 0;
    if (result == STATUS_OK)
        result = builtin ? add_builtin(loader, &cutter, first, &pieces, error)
                         : add_blocks(loader, &file, &cutter, first, &pieces, error);
    data_file_close(&file);
    if (result == STATUS_OK && pieces == 0)
        result = error_set(error, STATUS_INPUT, "%s holds no text", name);
    return result;
}

static int add_files(struct loader *loader, struct error *error)
{
    const struct corpus_options *options = loader->options;
    int64_t index;
    int result = STATUS_OK;

    for (index = 0; index < options->train_count && result == STATUS_OK; index++)
        result = add_file(loader, options->train[index], options->valid_split, &loader->train, error);
    for (index = 0; index < options->valid_count && result == STATUS_OK; index++)
        result = add_file(loader, options->valid[index], 0.0, &loader->valid, error);
    return result;
}

int corpus_load(const struct corpus_options *options, const struct tokenizer *tokenizer, struct token_set *train,
                struct token_set *valid, struct error *error)
{
    struct loader loader = {options, tokenizer, {.set = train}, {.set = valid}};
    int32_t vocabulary = options->vocabulary > 0 ? options->vocabulary : tokenizer_vocabulary(tokenizer);
    struct error unread;
    int result;

    if (error == NULL)
        error = &unread;
    token_set_start(train, vocabulary);
    token_set_start(valid, vocabulary);
    result = add_files(&loader, error);
    if (result == STATUS_OK) {
        token_set_close(train);
        token_set_close(valid);
        if (options->train_count > 0 && train->count == 0)
            result = error_set(error, STATUS_INPUT, "%s%s no text but empty ones%s", options->train[0],
                               options->train_count > 1 ? " and the other files of data.train hold" : " holds",
                               options->valid_split > 0 ? ", or data.valid_split takes it all" : "");
        else if ((options->valid_count > 0 || options->valid_split > 0) && valid->count == 0)
            result = error_set(error, STATUS_INPUT, "the validation part holds no text; raise data.valid_split");
    }
    if (result != STATUS_OK) {
        token_set_finish(train);
        token_set_finish(valid);
    }
    return result;
}
