#include "data/corpus.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"

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

static bool has_ending(const char *name, const char *ending)
{
    size_t name_length = strlen(name), ending_length = strlen(ending);

    return name_length > ending_length && strcmp(name + name_length - ending_length, ending) == 0;
}

static int add_text(struct loader *loader, const char *name, const char *text, int64_t bytes, double valid_split,
                    struct target *first, struct error *error)
{
    struct piece_list head = {0}, tail = {0};
    int64_t cut = pieces_cut_place(text, bytes, valid_split);
    const struct encode_options options = {loader->options->special, loader->options->mask_prompt,
                                           loader->options->threads};
    int result;

    if (has_ending(name, ".jsonl"))
        result = pieces_cut_jsonl(text, bytes, cut, &head, &tail, error);
    else
        result = pieces_cut_text(loader->tokenizer, text, bytes, cut, &head, &tail, error);
    if (result == STATUS_OK && head.count + tail.count == 0)
        result = error_set(error, STATUS_INPUT, "%s holds no text", name);
    if (result == STATUS_OK)
        result = encode_pieces(loader->tokenizer, &head, name, &options, &first->state, first->set, error);
    if (result == STATUS_OK)
        result =
            encode_pieces(loader->tokenizer, &tail, name, &options, &loader->valid.state, loader->valid.set, error);
    free(head.items);
    free(tail.items);
    return result;
}

static int add_file(struct loader *loader, const char *name, double valid_split, struct target *first,
                    struct error *error)
{
    static const char *const unread[] = {".idx", ".bin", ".parquet", ".gz", ".zst"};
    char *text = NULL;
    int64_t bytes = 0;
    size_t index;
    int result;

    if (strcmp(name, "builtin") == 0) {
        if (loader->options->builtin == NULL)
            return error_set(error, STATUS_USAGE,
                             "this program was built without the built-in text; name a file instead");
        return add_text(loader, name, loader->options->builtin, loader->options->builtin_bytes, valid_split, first,
                        error);
    }
    for (index = 0; index < sizeof unread / sizeof unread[0]; index++)
        if (has_ending(name, unread[index]))
            return error_set(error, STATUS_USAGE,
                             "%s: files of the kind %s are not read by this version; give text or .jsonl", name,
                             unread[index]);
    result = file_read_all(&file_system_real, name, INT64_MAX - 1, &text, &bytes, error);
    if (result == STATUS_OK && bytes == 0)
        result = error_set(error, STATUS_INPUT, "%s is empty", name);
    if (result == STATUS_OK)
        result = add_text(loader, name, text, bytes, valid_split, first, error);
    free(text);
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
    struct loader loader = {options, tokenizer, {train, {false}}, {valid, {false}}};
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
            result = error_set(error, STATUS_INPUT, "the files of data.train hold no text to train on%s",
                               options->valid_split > 0 ? "; valid_split takes it all" : "");
        else if ((options->valid_count > 0 || options->valid_split > 0) && valid->count == 0)
            result = error_set(error, STATUS_INPUT, "the validation part holds no text; raise data.valid_split");
    }
    if (result != STATUS_OK) {
        token_set_finish(train);
        token_set_finish(valid);
    }
    return result;
}
