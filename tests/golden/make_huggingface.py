"""Writes small random models of transformers, as save_pretrained stores them, and what they say about a text.

    python tests/golden/make_huggingface.py tests/golden/huggingface

losses.txt has a line for each: the folder and the loss (nats a byte) of the model in fp32 on text.txt, bytes as tokens, in rows of
32 inputs. Two of them have a head of their own beside a config.json that ties it, as peft's merge_and_unload writes them; their numbers are
those of the model that transformers loads from the files. greedy.txt has the tokens that generate() adds to "The" where nothing ends the text. The models are named by what is special
about them; versions stand in versions.txt.
"""
import json
import os
import sys

import safetensors
import safetensors.torch
import torch
import transformers

TEXT = "Weights go in and come out. The bytes are counted one by one, 0123456789.\n" * 9
GPT2 = dict(n_layer=2, n_embd=16, n_head=2, n_positions=32, vocab_size=259, bos_token_id=0,
            eos_token_id=0, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0)
LLAMA = dict(num_hidden_layers=2, hidden_size=16, num_attention_heads=4, num_key_value_heads=2, intermediate_size=24,
             max_position_embeddings=32, vocab_size=259)
ROPE3 = dict(rope_type="llama3", rope_theta=10000.0, factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0,
             original_max_position_embeddings=16)


def gpt2(**more):
    return transformers.GPT2LMHeadModel(transformers.GPT2Config(**GPT2, **more))


def llama(**more):
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(**LLAMA, **more))


MODELS = {
    "gpt2_fp32_shards": (gpt2, {}, torch.float32, "12KB"),
    "gpt2_bf16": (gpt2, dict(n_inner=24), torch.bfloat16, "5GB"),
    "gpt2_fp16": (gpt2, {}, torch.float16, "5GB"),
    "llama_fp32": (llama, dict(rope_parameters=ROPE3), torch.float32, "5GB"),
    "llama_bf16_tied_shards": (llama, dict(tie_word_embeddings=True, head_dim=8), torch.bfloat16, "8KB"),
}
# Those that get a head of their own, and the file that it stands in.
OWN_HEADS = {
    "gpt2_own_head": (gpt2, {}, torch.float32, "model.safetensors"),
    "llama_own_head_shards": (llama, dict(tie_word_embeddings=True), torch.bfloat16, "model-head.safetensors"),
}


def random(make, more, dtype):
    torch.manual_seed(20241120)
    model = make(**more).eval()
    for parameter in model.parameters():
        parameter.add_(torch.randn_like(parameter) * 0.05)
    return model.to(dtype)


def save_with_head(model, folder, file):
    """Not with save_pretrained alone, which leaves the head of a tied model out."""
    model.save_pretrained(folder)
    first = f"{folder}/model.safetensors"
    tensors = safetensors.torch.load_file(first)
    head = {"lm_head.weight": (torch.randn_like(model.lm_head.weight, dtype=torch.float32) * 0.05).to(model.dtype)}
    if file == "model.safetensors":
        safetensors.torch.save_file(tensors | head, first, metadata={"format": "pt"})
        return
    safetensors.torch.save_file(head, f"{folder}/{file}", metadata={"format": "pt"})
    os.rename(first, f"{folder}/model-rest.safetensors")
    places = {name: "model-rest.safetensors" for name in tensors} | {"lm_head.weight": file}
    total = sum(tensor.numel() * tensor.element_size() for tensor in (tensors | head).values())
    with open(f"{folder}/model.safetensors.index.json", "w", encoding="utf-8") as index:
        json.dump({"metadata": {"total_size": total}, "weight_map": places}, index, indent=2)


def loss_of(model):
    ids = torch.tensor(list(TEXT.encode()))
    total = 0.0
    for first in range(0, len(ids) - 1, 32):
        row = ids[first:first + 33]
        logits = model(row[None, :-1]).logits[0]
        total += torch.nn.functional.cross_entropy(logits, row[1:], reduction="sum").double().item()
    return total / (len(ids) - 1)


def greedy(model):
    model.generation_config.eos_token_id = None
    prompt = torch.tensor([list(b"The")])
    made = model.generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=12, do_sample=False)
    return " ".join(str(token) for token in made[0, 3:].tolist())


def main():
    out = sys.argv[1]
    lines, texts = [], []
    with torch.no_grad():
        for name, (make, more, dtype, shard) in MODELS.items():
            model = random(make, more, dtype)
            model.save_pretrained(f"{out}/{name}", max_shard_size=shard)
            lines.append(f"{name} {loss_of(model.float()):.9f}\n")
            texts.append(f"{name} {greedy(model.float())}\n")
        for name, (make, more, dtype, file) in OWN_HEADS.items():
            save_with_head(random(make, more, dtype), f"{out}/{name}", file)
            model = transformers.AutoModelForCausalLM.from_pretrained(f"{out}/{name}", dtype=torch.float32).eval()
            assert model.lm_head.weight is not model.get_input_embeddings().weight
            lines.append(f"{name} {loss_of(model):.9f}\n")
            texts.append(f"{name} {greedy(model)}\n")
    for name, text in (("text.txt", TEXT), ("losses.txt", "".join(lines)), ("greedy.txt", "".join(texts)),
                       ("versions.txt", f"torch {torch.__version__}, transformers {transformers.__version__}, "
                                        f"safetensors {safetensors.__version__}\n")):
        with open(f"{out}/{name}", "w", encoding="utf-8") as file:
            file.write(text)


if __name__ == "__main__":
    main()
