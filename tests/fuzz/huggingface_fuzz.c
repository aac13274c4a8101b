/* A Hugging Face directory of any bytes: an index and the shards that it names, or one file. Opened, compared with
 * two small models, and read as far as they agree.
 *
 * Input: parts that end with a byte 0xFF. The first is the index (empty: there is none), the others are the headers of
 * the files in the order in which they are opened for the first time; each has as many bytes of data as its header's
 * last offset says, up to 4 KiB. */
#include <stdlib.h>
#include <string.h>

#include "huggingface/weights.h"
#include "model/family.h"

#define MOST_FILES 8
#define DATA_BYTES 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct part {
    const uint8_t *data;
    int64_t bytes;
};

struct memory_files {
    struct file_system fs; /* first: the functions get this pointer */
    struct part index, parts[MOST_FILES];
    char names[MOST_FILES][200];
    int64_t data_bytes[MOST_FILES];
    int count;
};

static struct memory_files files;

/* The largest number behind a comma of a header's data_offsets, as a reader that believes it would take it. */
static int64_t last_offset(const struct part *part)
{
    int64_t largest = 0, number = 0;

    for (int64_t i = 0; i < part->bytes; i++) {
        if (part->data[i] >= '0' && part->data[i] <= '9')
            number = number < DATA_BYTES ? 10 * number + part->data[i] - '0' : number;
        else {
            if (part->data[i] == ']' && number > largest)
                largest = number;
            number = 0;
        }
    }
    return largest < DATA_BYTES ? largest : DATA_BYTES;
}

static int memory_open(const struct file_system *fs, const char *path, enum file_mode mode)
{
    (void)fs;
    if (mode != FILE_READ || strncmp(path, "fuzz/", 5) != 0 || strchr(path + 5, '/') != NULL)
        abort();
    if (strcmp(path, "fuzz/" HF_INDEX_NAME) == 0)
        return files.index.bytes > 0 ? MOST_FILES : -2;
    if (strcmp(path, "fuzz/" HF_MODEL_NAME) == 0 && files.index.bytes > 0)
        return -2;
    for (int i = 0; i < files.count; i++)
        if (strcmp(files.names[i], path) == 0)
            return i;
    if (files.count == MOST_FILES || strlen(path) >= sizeof files.names[0] || files.parts[files.count].data == NULL)
        return -2;
    strcpy(files.names[files.count], path);
    files.data_bytes[files.count] = last_offset(&files.parts[files.count]);
    return files.count++;
}

static int64_t memory_size(const struct file_system *fs, int handle)
{
    (void)fs;
    return handle == MOST_FILES ? files.index.bytes : 8 + files.parts[handle].bytes + files.data_bytes[handle];
}

static int64_t memory_read(const struct file_system *fs, int handle, void *out, size_t bytes, int64_t offset)
{
    uint8_t *to = out;
    size_t done = 0;

    for (int64_t at = offset; done < bytes && at < memory_size(fs, handle); at++, done++) {
        const struct part *part = handle == MOST_FILES ? &files.index : &files.parts[handle];
        uint64_t length = (uint64_t)part->bytes;

        if (handle == MOST_FILES)
            to[done] = part->data[at];
        else if (at < 8)
            to[done] = (uint8_t)(length >> 8 * at);
        else
            to[done] = at < 8 + part->bytes ? part->data[at - 8] : 0x3C;
    }
    return (int64_t)done;
}

static int memory_close(const struct file_system *fs, int handle)
{
    (void)fs;
    (void)handle;
    return 0;
}

/* A few tensors of a family: read as they are, cut at the vocabulary, turned, in three parts. */
static const struct model {
    struct model_config config;
    struct safetensors_form forms[6];
    int count;
} models[] = {
    {{.family = &family_llama,
      .n_layer = 1,
      .n_embd = 2,
      .n_head = 1,
      .n_inner = 3,
      .n_positions = 2,
      .vocab_size = 3,
      .tie_word_embeddings = true},
     {{"model.embed_tokens.weight", LLMRUN_F32, {2, {64, 2}}}, {"model.norm.weight", LLMRUN_F32, {1, {2}}}},
     2},
    {{.family = &family_gpt2,
      .n_layer = 1,
      .n_embd = 2,
      .n_head = 1,
      .n_inner = 3,
      .n_positions = 2,
      .vocab_size = 3,
      .tie_word_embeddings = true},
     {{"wte.weight", LLMRUN_F32, {2, {64, 2}}},
      {"h.0.attn.q_proj.weight", LLMRUN_F32, {2, {2, 2}}},
      {"h.0.attn.k_proj.weight", LLMRUN_F32, {2, {2, 2}}},
      {"h.0.attn.v_proj.weight", LLMRUN_F32, {2, {2, 2}}},
      {"h.0.mlp.c_fc.weight", LLMRUN_F32, {2, {3, 2}}},
      {"h.0.mlp.c_fc.bias", LLMRUN_F32, {1, {3}}}},
     6},
};

static void use(const struct hf_directory *directory, const struct model *model)
{
    struct error error = {0};
    float memory[128];
    bool own;
    int status;

    if (hf_weights_own_head(directory, &model->config, &own, &error) != STATUS_OK &&
        (error.status != STATUS_INPUT || error.message[0] == '\0'))
        abort();
    if (hf_weights_check_layers(directory, &model->config, &error) != STATUS_OK)
        return;
    status = hf_weights_check(directory, &model->config, model->forms, model->count, &error);
    if (status == STATUS_OK)
        for (int i = 0; i < model->count; i++)
            if (hf_weights_read(directory, &model->config, &model->forms[i], memory, &error) != STATUS_OK)
                abort();
    if (status != STATUS_OK && (error.status != STATUS_INPUT || error.message[0] == '\0'))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hf_directory directory;
    struct error error = {0};
    size_t begin = 0;
    int part = -1;

    files = (struct memory_files){
        .fs = {.open = memory_open, .read = memory_read, .size = memory_size, .close = memory_close}};
    for (size_t i = 0; i <= size && part < MOST_FILES; i++) {
        if (i < size && data[i] != 0xFF)
            continue;
        if (part < 0)
            files.index = (struct part){data, (int64_t)i};
        else
            files.parts[part] = (struct part){data + begin, (int64_t)(i - begin)};
        begin = i + 1;
        part++;
    }
    if (hf_directory_open(&files.fs, "fuzz", &directory, &error) == STATUS_OK) {
        use(&directory, &models[0]);
        use(&directory, &models[1]);
        hf_directory_close(&directory);
    } else if (error.message[0] == '\0') {
        abort();
    }
    return 0;
}
