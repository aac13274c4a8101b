#include "data/encode_pieces.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "data/jsonl.h"

/* Bytes of text that a thread takes at once. */
#define CHUNK_BYTES  (1 << 20)
#define MOST_THREADS 256

/* Tokens of one piece within its chunk. */
struct encoded_piece {
    int64_t first;
    int64_t prompt_tokens;
    int64_t tokens;
    int64_t outside; /* the first that the model does not know, from `first`; `tokens` when there is none */
    int32_t outside_id, first_id, last_id;
};

struct chunk {
    int64_t first; /* pieces first..first+count-1 */
    int64_t count;
    void *packed; /* its tokens, as the set stores them */
    int status;
    struct error error;
};

struct work {
    const struct tokenizer *tokenizer;
    const struct piece_list *pieces;
    const struct token_set *set;   /* for the form of its tokens */
    struct encoded_piece *encoded; /* [pieces->count] */
    struct chunk *chunks;
    int64_t chunk_count;
    const struct encode_options *options;
    const char *file;
    bool zero_ends;      /* the token of byte 0 is the one that ends a text */
    atomic_llong next;   /* chunk that no thread has taken yet */
    atomic_bool give_up; /* a chunk has failed: later ones need not be made */
};

/* What a thread needs for one chunk after the other. */
struct workplace {
    struct token_list list;
    struct jsonl_document document;
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

static int encode_piece(const struct work *work, const struct piece *piece, struct encoded_piece *encoded,
                        struct workplace *place, struct error *error)
{
    struct token_list *list = &place->list;
    int result;

    encoded->first = list->count;
    encoded->prompt_tokens = 0;
    if (piece->line > 0)
        result = encode_line(work, piece, encoded, &place->document, list, error);
    else
        result = encode_text(work, false, piece->text, piece->bytes, list, error);
    if (result != STATUS_OK && piece->line > 0)
        error_prefix(error, "%s:%lld", work->file, (long long)piece->line);
    else if (result != STATUS_OK)
        error_prefix(error, "%s", work->file);
    if (result != STATUS_OK)
        return result;
    encoded->tokens = list->count - encoded->first;
    encoded->outside = token_set_find_outside(work->set, list->ids + encoded->first, encoded->tokens);
    if (encoded->outside < encoded->tokens)
        encoded->outside_id = list->ids[encoded->first + encoded->outside];
    if (encoded->tokens > 0) {
        encoded->first_id = list->ids[encoded->first];
        encoded->last_id = list->ids[list->count - 1];
    }
    return STATUS_OK;
}

static int encode_chunk(struct work *work, struct chunk *chunk, struct workplace *place)
{
    int64_t index, count;
    int result = STATUS_OK;

    place->list.count = 0;
    for (index = chunk->first; index < chunk->first + chunk->count && result == STATUS_OK; index++)
        result = encode_piece(work, &work->pieces->items[index], &work->encoded[index], place, &chunk->error);
    if (result != STATUS_OK)
        return result;
    count = place->list.count;
    chunk->packed = malloc((size_t)(count * work->set->width) + 1);
    if (chunk->packed == NULL)
        return error_set(&chunk->error, STATUS_MEMORY, "%s: no memory for %lld tokens", work->file, (long long)count);
    token_set_pack(work->set, place->list.ids, count, chunk->packed);
    return STATUS_OK;
}

static void *encode_chunks(void *argument)
{
    struct work *work = argument;
    struct workplace place = {.list = {0}};

    for (;;) {
        int64_t number = atomic_fetch_add(&work->next, 1);

        /* Chunks are taken in order, so every chunk before a failed one has been taken and will be finished. */
        if (number >= work->chunk_count || atomic_load(&work->give_up))
            break;
        work->chunks[number].status = encode_chunk(work, &work->chunks[number], &place);
        if (work->chunks[number].status != STATUS_OK)
            atomic_store(&work->give_up, true);
    }
    free(place.list.ids);
    jsonl_release(&place.document);
    return NULL;
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

static int append_tokens(const struct work *work, const struct encoded_piece *encoded, const char *packed,
                         struct token_set *set, struct error *error)
{
    int64_t given = encoded->prompt_tokens;
    int result;

    if (encoded->outside < encoded->tokens)
        return token_set_refuse(set, encoded->outside, encoded->outside_id, error);
    packed += encoded->first * work->set->width;
    result = token_set_append_packed(set, packed, given, error);
    if (result == STATUS_OK && work->options->mask_prompt && given > 0)
        token_set_mask_so_far(set);
    if (result == STATUS_OK)
        result = token_set_append_packed(set, packed + given * work->set->width, encoded->tokens - given, error);
    return result;
}

static int append_piece(const struct work *work, const struct chunk *chunk, int64_t index, struct encode_state *state,
                        struct token_set *set, struct error *error)
{
    const struct piece *piece = &work->pieces->items[index];
    const struct encoded_piece *encoded = &work->encoded[index];
    const int32_t begin_of_text = tokenizer_begin_of_text(work->tokenizer);
    const int32_t end_of_text = tokenizer_end_of_text(work->tokenizer);
    int result = STATUS_OK;

    state->document += piece->begins;
    if (encoded->tokens == 0 && (piece->line > 0 || (piece->begins && piece->ends)))
        return STATUS_OK;
    if (piece->begins)
        result = begin_document(work->tokenizer,
                                !piece->headless && (encoded->tokens == 0 || encoded->first_id != begin_of_text), state,
                                set, error);
    if (result == STATUS_OK)
        result = append_tokens(work, encoded, chunk->packed, set, error);
    if (piece->line == 0)
        state->text_ended = piece->ends && (encoded->tokens == 0 || encoded->last_id != end_of_text);
    if (result == STATUS_OK)
        return result;
    if (piece->line > 0)
        return error_prefix(error, "%s:%lld", work->file, (long long)piece->line);
    return error_prefix(error, "%s: document %lld", work->file, (long long)state->document);
}

static int append_all(const struct work *work, struct encode_state *state, struct token_set *set, struct error *error)
{
    for (int64_t number = 0; number < work->chunk_count; number++) {
        const struct chunk *chunk = &work->chunks[number];

        if (chunk->status != STATUS_OK)
            return error_set(error, chunk->status, "%s", chunk->error.message);
        for (int64_t index = chunk->first; index < chunk->first + chunk->count; index++) {
            int result = append_piece(work, chunk, index, state, set, error);

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
    struct work work = {.tokenizer = tokenizer,
                        .pieces = pieces,
                        .set = set,
                        .options = options,
                        .file = file,
                        .zero_ends = zero_ends(tokenizer)};
    int64_t index;
    int result = make_chunks(&work, error);

    if (result != STATUS_OK)
        goto out;
    run_threads(&work, options->threads);
    result = append_all(&work, state, set, error);
out:
    for (index = 0; index < work.chunk_count; index++)
        free(work.chunks[index].packed);
    free(work.chunks);
    free(work.encoded);
    return result;
}
