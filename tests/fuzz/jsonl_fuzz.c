/* Files of JSONL and of plain text from any bytes, through tokens to batches. The first byte says which kind, whether
 * prompts are masked, whether samples are packed, and where the validation part begins. */
#include <stdlib.h>
#include <string.h>

#include "data/batch.h"
#include "data/encode_pieces.h"

#define SEQ_LEN 7

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void draw_batches(const struct token_set *set, bool pack)
{
    struct sampler_options options = {.seq_len = SEQ_LEN, .pack = pack, .seed = 1};
    struct sampler sampler;
    struct batch batch;
    int64_t sample, index;

    if (sampler_start_evaluation(&sampler, set, &options, 0, NULL) == STATUS_OK &&
        batch_create(&batch, 1, SEQ_LEN, NULL) == STATUS_OK) {
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

static void read_pieces(const struct tokenizer *tokenizer, const struct piece_list *pieces, uint8_t mode)
{
    const struct encode_options options = {
        .special = (enum special_tokens)(mode / 16 % 3), .mask_prompt = mode & 2, .threads = 1};
    struct encode_state state = {0};
    struct token_set set;
    struct error error;

    token_set_start(&set, mode & 8 ? 128 : 256);
    if (encode_pieces(tokenizer, pieces, "file", &options, &state, &set, &error) == STATUS_OK) {
        token_set_close(&set);
        draw_batches(&set, mode & 4);
    }
    token_set_finish(&set);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data + 1;
    int64_t bytes = (int64_t)size - 1, cut;
    struct piece_list train = {0}, valid = {0};
    struct tokenizer *tokenizer = NULL;
    struct error error;
    int result;

    if (size == 0)
        return 0;
    cut = pieces_cut_place(text, bytes, (data[0] >> 4) / 16.0);
    if (tokenizer_open("bytes", &tokenizer, &error) != STATUS_OK)
        return 0;
    result = data[0] & 1 ? pieces_cut_text(tokenizer, text, bytes, cut, &train, &valid, &error)
                         : pieces_cut_jsonl(text, bytes, cut, &train, &valid, &error);
    if (result == STATUS_OK) {
        read_pieces(tokenizer, &train, data[0]);
        read_pieces(tokenizer, &valid, data[0]);
    }
    free(train.items);
    free(valid.items);
    tokenizer_close(tokenizer);
    return 0;
}
