#include "data/encode_pieces.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "data/jsonl.h"

/* Bytes of text that a thread takes at once. */
#define CHUNK_BYTES  (1 << 20)
#define MOST_THREADS 256

/* Tokens of one piece within its chunk's list. */
struct encoded_piece {
    int64_t first;
    int64_t prompt_tokens;
    int64_t tokens;
};

struct chunk {
    int64_t first; /* pieces first..first+count-1 */
    int64_t count;
    struct token_list list;
    int status;
    struct error error;
};

struct work {
    const struct tokenizer *tokenizer;
    const struct piece_list *pieces;
    struct encoded_piece *encoded; /* [pieces->count] */
    struct chunk *chunks;
    int64_t chunk_count;
    const struct encode_options *options;
    const char *file;
    bool zero_ends;      /* the token of byte 0 is the one that ends a text */
    atomic_llong next;   /* chunk that no thread has taken yet */
    atomic_bool give_up; /* a chunk has failed: later ones need not be made */
};

/* Byte 0 is a character as any other, but where its token is the one that ends a text (data.tokenizer bytes). */
static int check_zero(const struct work *work, const struct jsonl_document *document, struct error *error)
{
    if (work->zero_ends &&
        (memchr(document->answer, 0, (size_t)document->answer_bytes) != NULL ||
         (document->prompt != NULL && memchr(document->prompt, 0, (size_t)document->prompt_bytes) != NULL)))
        return error_set(
            error, STATUS_INPUT,
            "the text holds \\u0000, which is the token that ends a text with this tokenizer; leave it out");
    return STATUS_OK;
}

static int encode_text(const struct work *work, bool of_prompt, const char *text, int64_t bytes,
                       struct token_list *list, struct error *error)
{
    enum special_tokens special = work->options->special;

    return special == SPECIAL_EVERYWHERE || (of_prompt && special == SPECIAL_IN_PROMPTS)
               ? tokenizer_encode_special(work->tokenizer, text, bytes, list, error)
               : tokenizer_encode(work->tokenizer, text, bytes, list, error);
}

static int encode_line(const struct work *work, const struct piece *piece, struct encoded_piece *encoded,
                       struct jsonl_document *document, struct token_list *list, struct error *error)
{
    const int32_t end_of_text = tokenizer_end_of_text(work->tokenizer);
    int result = jsonl_parse(piece->text, piece->bytes, document, error);

    if (result == STATUS_OK)
        result = check_zero(work, document, error);
    if (result != STATUS_OK)
        return result;
    if (document->prompt != NULL)
        result = encode_text(work, true, document->prompt, document->prompt_bytes, list, error);
    encoded->prompt_tokens = list->count - encoded->first;
    if (result == STATUS_OK)
        result = encode_text(work, document->prompt != NULL, document->answer, document->answer_bytes, list, error);
    if (result == STATUS_OK && list->count > encoded->first && end_of_text >= 0 &&
        list->ids[list->count - 1] != end_of_text) {
        result = token_list_reserve(list, 1, error);
        if (result == STATUS_OK)
            list->ids[list->count++] = end_of_text;
    }
    return result;
}

static int encode_chunk(struct work *work, struct chunk *chunk)
{
    struct jsonl_document document = {0};
    int64_t index;
    int result = STATUS_OK;

    for (index = chunk->first; index < chunk->first + chunk->count && result == STATUS_OK; index++) {
        const struct piece *piece = &work->pieces->items[index];
        struct encoded_piece *encoded = &work->encoded[index];

        encoded->first = chunk->list.count;
        encoded->prompt_tokens = 0;
        if (piece->line > 0)
            result = encode_line(work, piece, encoded, &document, &chunk->list, &chunk->error);
        else
            result = encode_text(work, false, piece->text, piece->bytes, &chunk->list, &chunk->error);
        encoded->tokens = chunk->list.count - encoded->first;
        if (result != STATUS_OK && piece->line > 0)
            error_prefix(&chunk->error, "%s:%lld", work->file, (long long)piece->line);
        else if (result != STATUS_OK)
            error_prefix(&chunk->error, "%s", work->file);
    }
    jsonl_release(&document);
    return result;
}

static void *encode_chunks(void *argument)
{
    struct work *work = argument;

    for (;;) {
        int64_t number = atomic_fetch_add(&work->next, 1);

        /* Chunks are taken in order, so every chunk before a failed one has been taken and will be finished. */
        if (number >= work->chunk_count || atomic_load(&work->give_up))
            return NULL;
        work->chunks[number].status = encode_chunk(work, &work->chunks[number]);
        if (work->chunks[number].status != STATUS_OK)
            atomic_store(&work->give_up, true);
    }
}

static int make_chunks(struct work *work, struct error *error)
{
    const struct piece_list *pieces = work->pieces;
    int64_t index, filled = 0;

    work->encoded = calloc((size_t)pieces->count + 1, sizeof *work->encoded);
    work->chunks = calloc((size_t)pieces->count + 1, sizeof *work->chunks);
    if (work->encoded == NULL || work->chunks == NULL)
        return error_set(error, STATUS_MEMORY, "no memory for %lld documents", (long long)pieces->count);
    for (index = 0; index < pieces->count; index++) {
        if (index == 0 || filled >= CHUNK_BYTES) {
            work->chunks[work->chunk_count++].first = index;
            filled = 0;
        }
        work->chunks[work->chunk_count - 1].count++;
        filled += pieces->items[index].bytes;
    }
    return STATUS_OK;
}

/* A tokenizer may have no token for it. */
static bool zero_ends(const struct tokenizer *tokenizer)
{
    struct token_list zero = {0};
    bool ends = tokenizer_encode(tokenizer, "", 1, &zero, NULL) == STATUS_OK && zero.count == 1 &&
                zero.ids[0] == tokenizer_end_of_text(tokenizer);

    free(zero.ids);
    return ends;
}

/* The calling thread works too, so a thread that cannot be made only costs time. */
static void run_threads(struct work *work, int threads)
{
    pthread_t made[MOST_THREADS];
    int count = 0;

    while (count < threads - 1 && count < MOST_THREADS && count < work->chunk_count - 1 &&
           pthread_create(&made[count], NULL, encode_chunks, work) == 0)
        count++;
    encode_chunks(work);
    while (count > 0)
        pthread_join(made[--count], NULL);
}

/* `with_begin`: the document begins with the begin-of-text token, and its own tokens lack it. */
static int begin_document(const struct tokenizer *tokenizer, bool with_begin, struct encode_state *state,
                          struct token_set *set, struct error *error)
{
    int32_t begin_of_text = tokenizer_begin_of_text(tokenizer), end_of_text = tokenizer_end_of_text(tokenizer);
    int result = STATUS_OK;

    if (state->text_ended && end_of_text >= 0)
        result = token_set_append(set, &end_of_text, 1, error);
    state->text_ended = false;
    if (result == STATUS_OK)
        result = token_set_open_document(set, error);
    if (result == STATUS_OK && begin_of_text >= 0 && with_begin)
        result = token_set_append(set, &begin_of_text, 1, error);
    return result;
}

static int append_piece(const struct work *work, const struct chunk *chunk, int64_t index, struct encode_state *state,
                        struct token_set *set, struct error *error)
{
    const struct piece *piece = &work->pieces->items[index];
    const struct encoded_piece *encoded = &work->encoded[index];
    const int32_t *ids = chunk->list.ids + encoded->first;
    int result = STATUS_OK;

    if (encoded->tokens == 0 && (piece->line > 0 || (piece->begins && piece->ends)))
        return STATUS_OK;
    if (piece->begins)
        result = begin_document(work->tokenizer,
                                !piece->headless &&
                                    (encoded->tokens == 0 || ids[0] != tokenizer_begin_of_text(work->tokenizer)),
                                state, set, error);
    if (result == STATUS_OK)
        result = token_set_append(set, ids, encoded->prompt_tokens, error);
    if (result == STATUS_OK && work->options->mask_prompt && encoded->prompt_tokens > 0)
        token_set_mask_so_far(set);
    if (result == STATUS_OK)
        result = token_set_append(set, ids + encoded->prompt_tokens, encoded->tokens - encoded->prompt_tokens, error);
    if (piece->line == 0)
        state->text_ended =
            piece->ends && (encoded->tokens == 0 || ids[encoded->tokens - 1] != tokenizer_end_of_text(work->tokenizer));
    if (result != STATUS_OK && piece->line > 0)
        error_prefix(error, "%s:%lld", work->file, (long long)piece->line);
    return result;
}

static int append_all(const struct work *work, struct encode_state *state, struct token_set *set, struct error *error)
{
    int64_t chunk_number, index, document = 0;

    for (chunk_number = 0; chunk_number < work->chunk_count; chunk_number++) {
        const struct chunk *chunk = &work->chunks[chunk_number];

        if (chunk->status != STATUS_OK)
            return error_set(error, chunk->status, "%s", chunk->error.message);
        for (index = chunk->first; index < chunk->first + chunk->count; index++) {
            const struct piece *piece = &work->pieces->items[index];
            int result = append_piece(work, chunk, index, state, set, error);

            document += piece->begins;
            if (result != STATUS_OK && piece->line == 0)
                error_prefix(error, "%s: document %lld", work->file, (long long)document);
            if (result != STATUS_OK)
                return result;
        }
    }
    return STATUS_OK;
}

int encode_pieces(const struct tokenizer *tokenizer, const struct piece_list *pieces, const char *file,
                  const struct encode_options *options, struct encode_state *state, struct token_set *set,
                  struct error *error)
{
    struct work work = {
        .tokenizer = tokenizer, .pieces = pieces, .options = options, .file = file, .zero_ends = zero_ends(tokenizer)};
    int64_t index;
    int result = make_chunks(&work, error);

    if (result != STATUS_OK)
        goto out;
    run_threads(&work, options->threads);
    result = append_all(&work, state, set, error);
out:
    for (index = 0; index < work.chunk_count; index++)
        free(work.chunks[index].list.ids);
    free(work.chunks);
    free(work.encoded);
    return result;
}
