/* Files of JSONL and of plain text from any bytes, through tokens to batches. The first byte says which kind, whether
 * prompts are masked, whether samples are packed, and where the validation part begins; the second how long the blocks
 * are in which the text is read, which has to change nothing. */
#include <stdlib.h>
#include <string.h>

#include "../unit/batch_memory.h"
#include "data/encode_pieces.h"

#define SEQ_LEN 7

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void draw_batches(const struct token_set *set, bool pack)
{
    struct sampler_options options = {.seq_len = SEQ_LEN, .pack = pack, .seed = 1};
    struct sampler sampler;
    struct batch batch;
    int64_t sample, index;

    if (sampler_start_evaluation(&sampler, set, &options, 0, NULL) == STATUS_OK && batch_create(&batch, 1, SEQ_LEN)) {
        for (sample = 0; sample <= sampler.samples; sample++) {
            int64_t valid = 0;

            batch_fill(&batch, &sampler, sample, 1);
            for (index = 0; index < SEQ_LEN; index++)
                valid += batch.weights[index] != 0.0f;
            if (valid != batch_valid_tokens(&sampler, sample, 1))
                abort();
        }
        batch_destroy(&batch);
    }
    sampler_finish(&sampler);
}

/* Reads the text in blocks of so many bytes, and gives the hash of both sets; -1 for what is refused. */
static uint64_t read_blocks(const struct tokenizer *tokenizer, const char *text, int64_t bytes, int64_t block,
                            uint8_t mode)
{
    const struct encode_options options = {
        .special = (enum special_tokens)(mode / 16 % 3), .mask_prompt = mode & 2, .threads = 1};
    struct piece_cutter cutter = {
        .tokenizer = tokenizer, .jsonl = !(mode & 1), .cut = pieces_cut_place(bytes, (mode >> 4) / 16.0)};
    struct encode_state states[2] = {{0}};
    struct token_set sets[2];
    int64_t done = 0, length = block, used;
    uint64_t hash = UINT64_MAX;
    int status = STATUS_OK;

    token_set_start(&sets[0], mode & 8 ? 128 : 256);
    token_set_start(&sets[1], mode & 8 ? 128 : 256);
    while (status == STATUS_OK && done < bytes) {
        struct piece_list lists[2] = {{0}};
        bool last = length >= bytes - done;

        status =
            pieces_cut(&cutter, text + done, last ? bytes - done : length, last, &lists[0], &lists[1], &used, NULL);
        for (int i = 0; i < 2 && status == STATUS_OK; i++)
            status = encode_pieces(tokenizer, &lists[i], "file", &options, &states[i], &sets[i], NULL);
        if (status == STATUS_OK && last && used < bytes - done)
            abort();
        length = used > 0 ? block : 2 * length;
        done += used;
        free(lists[0].items);
        free(lists[1].items);
    }
    for (int i = 0; i < 2 && status == STATUS_OK; i++) {
        token_set_close(&sets[i]);
        draw_batches(&sets[i], mode & 4);
        hash = hash * 31 + token_set_hash(&sets[i]);
    }
    token_set_finish(&sets[0]);
    token_set_finish(&sets[1]);
    return hash;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tokenizer *tokenizer = NULL;
    uint64_t whole;

    if (size < 2 || tokenizer_open("bytes", &tokenizer, NULL) != STATUS_OK)
        return 0;
    whole = read_blocks(tokenizer, (const char *)data + 2, (int64_t)size - 2, (int64_t)size, data[0]);
    if (read_blocks(tokenizer, (const char *)data + 2, (int64_t)size - 2, 1 + data[1], data[0]) != whole)
        abort();
    tokenizer_close(tokenizer);
    return 0;
}
