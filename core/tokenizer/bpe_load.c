/* vocab.json: an object of token text -> id. merges.txt: a line "#version ...", then one "left right" a line, in order
 * of rank; lines end with LF or CR LF. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/strict_json.h"
#include "tokenizer/bpe_vocabulary.h"
#include "tokenizer/end_of_text.h"
#include "tokenizer/side_tokens.h"
#include "tokenizer/tokenizer_file.h"
#include "tokenizer/unicode.h"

/* vocab.json, and what is added to it. */
struct pair {
    struct bpe *bpe;
    json_t *vocabulary;
    struct added_vocabulary added;
    uint64_t side_hash; /* of what the files beside it change; 0: nothing */
};

static int parse_vocabulary(const struct bpe_source *source, json_t **object, struct error *error)
{
    json_error_t where;
    int result = strict_json_check(source->data, source->bytes, source->name, error);

    if (result != STATUS_OK)
        return result;
    strict_json_watch_memory();
    *object = json_loadb(source->data, (size_t)source->bytes, JSON_REJECT_DUPLICATES, &where);
    if (strict_json_lacked_memory())
        return error_set(error, STATUS_MEMORY, "%s: no memory to parse its %lld bytes", source->name,
                         (long long)source->bytes);
    if (*object == NULL)
        return error_set(error, STATUS_INPUT, "%s:%d:%d: %s", source->name, where.line, where.column, where.text);
    if (!json_is_object(*object))
        return error_set(error, STATUS_INPUT, "%s: an object of token texts and ids is wanted", source->name);
    if (json_object_size(*object) > BPE_MOST_TOKENS)
        return error_set(error, STATUS_INPUT, "%s has %zu tokens; at most %d are read", source->name,
                         json_object_size(*object), BPE_MOST_TOKENS);
    return STATUS_OK;
}

static int apply_config(struct pair *pair, const struct tokenizer_config *config, struct error *error)
{
    struct bpe *bpe = pair->bpe;
    enum tokenizer_pipeline pipeline;
    int result = tokenizer_config_apply(config, bpe, &pipeline, error);

    if (result == STATUS_OK)
        result = side_tokens_add(config, pipeline, false, &pair->added, &bpe->base.begin_of_text, error);
    if (result == STATUS_OK) {
        const uint64_t parts[] = {added_vocabulary_hash(&pair->added), (uint64_t)bpe->pattern, bpe->normalize,
                                  bpe->prefix_space, (uint64_t)(bpe->base.begin_of_text + 1)};
        const uint64_t nothing[sizeof parts / sizeof parts[0]] = {0};

        if (memcmp(parts, nothing, sizeof parts) != 0)
            pair->side_hash = hash_bytes(parts, sizeof parts);
    }
    return result;
}

static int take_vocabulary(struct pair *pair, const struct bpe_source *source, const struct tokenizer_config *config,
                           struct error *error)
{
    struct bpe_key *keys = NULL;
    int64_t largest, count;
    int result = parse_vocabulary(source, &pair->vocabulary, error);

    if (result == STATUS_OK)
        result = bpe_largest_id(pair->vocabulary, source->name, &largest, error);
    if (result == STATUS_OK)
        result = added_vocabulary_start(&pair->added, pair->vocabulary, error);
    if (result == STATUS_OK && config != NULL)
        result = apply_config(pair, config, error);
    if (result == STATUS_OK)
        result = added_vocabulary_count(&pair->added, largest, source->name, &count, error);
    if (result != STATUS_OK)
        return result;
    keys = calloc((size_t)count + 1, sizeof *keys);
    if (keys == NULL)
        return error_set(error, STATUS_MEMORY, "%s: no memory for %lld tokens", source->name, (long long)count);
    result = bpe_order_keys(pair->vocabulary, source->name, keys, count, error);
    if (result == STATUS_OK)
        result = added_vocabulary_store(&pair->added, source->name, pair->bpe, keys, count, error);
    if (result == STATUS_OK)
        result = bpe_store_tokens(pair->bpe, source->name, keys, count, error);
    free(keys);
    return result;
}

/* One line "left right". `joined` has room for the line. */
static int parse_merge(json_t *object, const char *line, int64_t bytes, char *joined, struct merge *merge,
                       struct error *error)
{
    const char *space = memchr(line, ' ', (size_t)bytes);
    int64_t left_bytes = space != NULL ? space - line : 0;
    int64_t right_bytes = bytes - left_bytes - 1;
    int64_t at = 0;

    while (at < bytes) {
        uint32_t code;
        int length = utf8_read(line + at, bytes - at, &code);

        if (length == 1 && (unsigned char)line[at] >= 0x80)
            return error_set(error, STATUS_INPUT, "the line is not valid UTF-8");
        at += length;
    }
    if (left_bytes == 0 || right_bytes <= 0 || memchr(space + 1, ' ', (size_t)right_bytes) != NULL)
        return error_set(error, STATUS_INPUT, "the line is not two parts with one space between them");
    return bpe_make_merge(object, line, left_bytes, space + 1, right_bytes, joined, merge, error);
}

static int64_t count_lines(const struct bpe_source *source)
{
    int64_t index, lines = 1;

    for (index = 0; index < source->bytes; index++)
        lines += source->data[index] == '\n';
    return lines;
}

static int take_merges(struct bpe *bpe, const struct bpe_source *source, json_t *object, struct error *error)
{
    int64_t done = 0, line = 0, lines = count_lines(source);
    char *joined = malloc((size_t)source->bytes + 1);
    struct merge merge = {0};
    int result = STATUS_OK;

    if (joined == NULL || lines > BPE_MOST_TOKENS) {
        result = joined == NULL ? error_set(error, STATUS_MEMORY, "%s: no memory to read it", source->name)
                                : error_set(error, STATUS_INPUT, "%s has %lld lines; at most %d are read", source->name,
                                            (long long)lines, BPE_MOST_TOKENS);
        goto out;
    }
    result = merge_table_start(&bpe->merges, lines, error);
    while (done < source->bytes && result == STATUS_OK) {
        const char *text = source->data + done;
        const char *newline = memchr(text, '\n', (size_t)(source->bytes - done));
        const char *end = newline != NULL ? newline : source->data + source->bytes;
        int64_t bytes;

        line++;
        done = end - source->data + 1;
        bytes = end - text - (end > text && end[-1] == '\r');
        if (bytes >= 8 && memcmp(text, "#version", 8) == 0)
            continue;
        result = parse_merge(object, text, bytes, joined, &merge, error);
        if (result == STATUS_OK && !merge_table_add(&bpe->merges, merge))
            result = error_set(error, STATUS_INPUT, "the same merge stands on an earlier line");
        if (result != STATUS_OK)
            error_prefix(error, "%s:%lld", source->name, (long long)line);
        merge.rank++;
    }
out:
    free(joined);
    return result;
}

int bpe_parse(const struct bpe_source *vocabulary, const struct bpe_source *merges,
              const struct tokenizer_config *config, struct tokenizer **out, struct error *error)
{
    struct pair pair = {.bpe = bpe_create()};
    struct bpe *bpe = pair.bpe;
    uint64_t hashes[4];
    int result;

    if (bpe == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for a tokenizer");
    result = take_vocabulary(&pair, vocabulary, config, error);
    if (result == STATUS_OK)
        result = take_merges(bpe, merges, pair.vocabulary, error);
    added_vocabulary_finish(&pair.added);
    json_decref(pair.vocabulary);
    if (result != STATUS_OK) {
        tokenizer_close(&bpe->base);
        return result;
    }
    hashes[0] = hash_bytes(bpe->text, (size_t)bpe->offsets[bpe->base.vocabulary]);
    hashes[1] = hash_bytes(bpe->offsets, (size_t)(bpe->base.vocabulary + 1) * sizeof *bpe->offsets);
    hashes[2] = hash_bytes(merges->data, (size_t)merges->bytes);
    hashes[3] = pair.side_hash;
    bpe->base.hash = hash_bytes(hashes, (pair.side_hash != 0 ? 4 : 3) * sizeof hashes[0]);
    bpe->base.end_of_text = end_of_text_by_name(bpe);
    *out = &bpe->base;
    return STATUS_OK;
}

static int read_source(const struct file_system *fs, const char *folder, const char *name, struct tokenizer_file *file,
                       struct bpe_source *source, struct error *error)
{
    int result = tokenizer_file_read(fs, folder, name, BPE_MOST_FILE_BYTES, file, error);

    if (result != STATUS_OK)
        return error_prefix(error, "tokenizer");
    *source = (struct bpe_source){file->path, file->text, file->bytes};
    return STATUS_OK;
}

static int open_pair(const struct file_system *fs, const char *folder, const struct tokenizer_config *config,
                     struct tokenizer **out, struct error *error)
{
    struct tokenizer_file vocabulary_file = {.memory = NULL}, merges_file = {.memory = NULL};
    struct bpe_source vocabulary, merges;
    int result = read_source(fs, folder, "vocab.json", &vocabulary_file, &vocabulary, error);

    if (result == STATUS_OK)
        result = read_source(fs, folder, "merges.txt", &merges_file, &merges, error);
    if (result == STATUS_OK)
        result = bpe_parse(&vocabulary, &merges, config, out, error);
    free(vocabulary_file.memory);
    free(merges_file.memory);
    return result;
}

static int open_tokenizer_json(const struct file_system *fs, const char *folder, const struct tokenizer_config *config,
                               struct tokenizer **out, struct error *error)
{
    struct tokenizer_file file = {.memory = NULL};
    struct bpe_source source;
    int result = read_source(fs, folder, "tokenizer.json", &file, &source, error);

    if (result == STATUS_OK)
        result = bpe_parse_tokenizer_json(&source, config, out, error);
    free(file.memory);
    return result;
}

int tokenizer_open_bpe(const struct file_system *fs, const char *folder, struct tokenizer **out, struct error *error)
{
    struct tokenizer_config config;
    char path[4096];
    bool joined = file_join(path, sizeof path, folder, "tokenizer.json");
    int result = tokenizer_config_read(fs, folder, &config, error);

    if (result == STATUS_OK)
        result = joined && file_is_there(fs, path) ? open_tokenizer_json(fs, folder, &config, out, error)
                                                   : open_pair(fs, folder, &config, out, error);
    if (result == STATUS_OK && (result = end_of_text_set(&config, (struct bpe *)*out, error)) != STATUS_OK) {
        tokenizer_close(*out);
        *out = NULL;
    }
    tokenizer_config_finish(&config);
    return result;
}
