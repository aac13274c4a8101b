"""Random GPT-2, LLaMA, Mistral, Qwen2 and Qwen3 models of transformers, through llmrun and back.

    python tests/golden/hf_roundtrip.py build/release/bin/llmrun

For each model, in fp32, bf16 and fp16, in one file and in shards: `checkpoint import`, `checkpoint verify`, `checkpoint export`;
the exported tensors have the same names, types, shapes and bytes; AutoModelForCausalLM loads the export and gives the same bits of
logits; `llmrun eval` of the directory and of the checkpoint is within 1e-5 of the loss that transformers computes in fp32.
Two of the models have a head that differs from the embedding to which config.json ties it.
Before that, heads that are equal, of another type, alone, not numbers or of another shape; fields of config.json that change nothing; a
model with a tokenizer.json: eval and train take it, and AutoTokenizer of the export gives the same ids; and the files that
name where generation stops and texts after prompts with special tokens, against generate of transformers.
"""
import argparse
import glob
import json
import math
import os
import subprocess
import tempfile
from unicodedata import normalize

import safetensors
import safetensors.torch
import tokenizers
import torch
import transformers

HERE = os.path.dirname(os.path.abspath(__file__))
GPT2 = dict(n_layer=2, n_embd=48, n_head=4, n_positions=32, vocab_size=259, bos_token_id=0,
            eos_token_id=0, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0)
LLAMA = dict(num_hidden_layers=2, hidden_size=48, num_attention_heads=4, num_key_value_heads=2, intermediate_size=80,
             max_position_embeddings=32, vocab_size=259)
ROPE3 = dict(rope_type="llama3", rope_theta=10000.0, factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0,
             original_max_position_embeddings=16)
MODELS = {
    "gpt2": lambda: transformers.GPT2LMHeadModel(transformers.GPT2Config(**GPT2)),
    "gpt2-inner": lambda: transformers.GPT2LMHeadModel(transformers.GPT2Config(**GPT2, n_inner=80, layer_norm_epsilon=1e-4)),
    "llama": lambda: transformers.LlamaForCausalLM(transformers.LlamaConfig(**LLAMA)),
    "llama-tied": lambda: transformers.LlamaForCausalLM(transformers.LlamaConfig(**LLAMA, tie_word_embeddings=True)),
    "llama-head-dim": lambda: transformers.LlamaForCausalLM(transformers.LlamaConfig(**LLAMA, head_dim=16)),
    "llama-rope3": lambda: transformers.LlamaForCausalLM(transformers.LlamaConfig(**LLAMA, rope_parameters=ROPE3)),
    "llama-linear": lambda: transformers.LlamaForCausalLM(transformers.LlamaConfig(
        **LLAMA, rope_parameters=dict(rope_type="linear", rope_theta=20000.0, factor=2.0))),
    "mistral": lambda: transformers.MistralForCausalLM(transformers.MistralConfig(**LLAMA, head_dim=16)),
    "mistral-window": lambda: transformers.MistralForCausalLM(transformers.MistralConfig(
        **dict(LLAMA, max_position_embeddings=64), head_dim=12, sliding_window=32)),
    "mistral-whole": lambda: transformers.MistralForCausalLM(transformers.MistralConfig(**LLAMA, sliding_window=None)),
    "qwen2": lambda: transformers.Qwen2ForCausalLM(transformers.Qwen2Config(
        **LLAMA, rope_parameters=dict(rope_type="default", rope_theta=1000000.0))),
    "qwen3": lambda: transformers.Qwen3ForCausalLM(transformers.Qwen3Config(**LLAMA, head_dim=16)),
    "qwen3-tied": lambda: transformers.Qwen3ForCausalLM(transformers.Qwen3Config(**LLAMA, head_dim=12, tie_word_embeddings=True)),
    "qwen2-tied": lambda: transformers.Qwen2ForCausalLM(transformers.Qwen2Config(**LLAMA, tie_word_embeddings=True)),
}
# Those that get a head of their own.
HEADS = {"gpt2-head": MODELS["gpt2"], "llama-head": MODELS["llama-tied"]}
# What SmolLM, Unsloth, transformers.js, remote code and full dumps of transformers 2 to 4 write.
FIELDS = dict(
    is_llama_config=True, rope_interleaved=False, unsloth_fixed=True, unsloth_version="2025.1.1", pretraining_tp=4, hidden_dropout=0.1,
    auto_map={"AutoModelForCausalLM": "x.Y"}, quantization_config=None, partial_rotary_factor=1.0, is_causal=True, tf_legacy_loss=False,
    pruned_heads={}, is_decoder=True, tie_encoder_decoder=False, cross_attention_hidden_size=None, torchscript=False, use_bfloat16=True,
    num_beam_groups=1, diversity_penalty=0.0, temperature=0.5, top_k=7, top_p=0.9, typical_p=1.0, do_sample=True, bad_words_ids=None,
    num_return_sequences=1, output_scores=False, return_dict_in_generate=False, remove_invalid_values=False, finetuning_task="x",
    tokenizer_class="GPT2Tokenizer", prefix="x", task_specific_params={"a": {"max_length": 3}}, max_length=9, min_length=1, num_beams=1,
    early_stopping=False, length_penalty=1.0, no_repeat_ngram_size=0, encoder_no_repeat_ngram_size=0, repetition_penalty=1.0,
    summary_last_dropout=0.1, classifier_dropout=0.1, _num_labels=2, predict_special_tokens=True, output_past=True, gradient_checkpointing=True,
    keys_to_ignore_at_inference=["past"], max_sequence_length=7, model_max_length=9, use_sliding_window=False, mask_token_id=3)
FIELDS["transformers.js_config"] = {"dtype": "q4"}

TEXT = "Weights go in and come out. The bytes are counted one by one, 0123456789.\n" * 20


def make(name):
    torch.manual_seed(20241120)
    model = (MODELS | HEADS)[name]().eval()
    with torch.no_grad():  # biases and norms away from 0 and 1, so that an error in them is seen
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return model


def add_head(folder, head):
    """Beside the tensors of a tied model, which save_pretrained writes without; in a file of its own where there are several."""
    index, name = folder + "/model.safetensors.index.json", "lm_head.weight"
    if os.path.exists(index):
        safetensors.torch.save_file({name: head}, folder + "/head.safetensors", metadata={"format": "pt"})
        with open(index, encoding="utf-8") as file:
            content = json.load(file)
        content["weight_map"][name] = "head.safetensors"
        with open(index, "w", encoding="utf-8") as file:
            json.dump(content, file)
        return
    path = folder + "/model.safetensors"
    safetensors.torch.save_file(safetensors.torch.load_file(path) | {name: head}, path, metadata={"format": "pt"})


def save(name, model, folder, shard):
    model.save_pretrained(folder, max_shard_size=shard)
    if name in HEADS:
        add_head(folder, (torch.randn(model.lm_head.weight.shape) * 0.05).to(model.dtype))


def tensors_of(folder):
    tensors = {}
    for file in sorted(glob.glob(folder + "/*.safetensors")):
        tensors.update(safetensors.torch.load_file(file))
    return tensors


def compare_tensors(one, other):
    a, b = tensors_of(one), tensors_of(other)
    assert a.keys() == b.keys(), a.keys() ^ b.keys()
    for name in a:
        assert a[name].dtype == b[name].dtype and a[name].shape == b[name].shape, name
        assert torch.equal(a[name].reshape(-1).view(torch.uint8), b[name].reshape(-1).view(torch.uint8)), name


def load(folder):
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype="auto", local_files_only=True).eval()


def loss_of(model):
    """Inputs in rows of 32, as llmrun eval cuts a file of one document."""
    model, ids = model.float(), torch.tensor(list(TEXT.encode()))
    total, count = 0.0, 0
    for first in range(0, len(ids) - 1, 32):
        row = ids[first:first + 33]
        logits = model(row[None, :-1]).logits[0]
        total += torch.nn.functional.cross_entropy(logits, row[1:], reduction="sum").double().item()
        count += len(row) - 1
    return total / count


def compare_heads(run, evaluate):
    """A head beside the embedding of a model that is tied, in every relation to it."""
    count = 0
    for name, embedding in (("gpt2", "transformer.wte.weight"), ("llama-tied", "model.embed_tokens.weight")):
        model = make(name)
        weight = model.get_input_embeddings().weight.data
        weight.copy_(weight.to(torch.bfloat16))  # the same number in both types
        weight[0, 0] = 0
        minus, single = weight.clone(), weight.clone()
        minus[0, 0], single[-1, -1] = -0.0, single[-1, -1] + 0.25
        for kind, head in dict(equal=weight.clone(), type=weight.to(torch.bfloat16), zero=minus, one=single, rounded=(weight + 1e-3).to(
                torch.bfloat16), alone=weight.clone()).items():
            case = f"{name}-head-{kind}"
            model.save_pretrained(case)
            add_head(case, head)
            if kind == "alone":
                tensors = tensors_of(case)
                del tensors[embedding]
                safetensors.torch.save_file(tensors, case + "/model.safetensors", metadata={"format": "pt"})
            original = transformers.AutoModelForCausalLM.from_pretrained(case, dtype=torch.float32, local_files_only=True).eval()
            run("checkpoint", "import", case, case + ".ckpt")
            run("checkpoint", "export", case + ".ckpt", case + ".back")
            back = transformers.AutoModelForCausalLM.from_pretrained(case + ".back", dtype=torch.float32, local_files_only=True).eval()
            ids = torch.randint(0, 259, (2, 32))
            assert torch.equal(original(ids).logits, back(ids).logits), case
            wanted, found = loss_of(original), [evaluate(case + end) for end in ("", ".ckpt", ".back")]
            assert all(math.isclose(loss, wanted, rel_tol=1e-5) for loss in found), (case, wanted, found)
            count += 1
        for kind, head in dict(shape=weight[1:].clone(), kind=weight.to(torch.int32)).items():
            case = f"{name}-head-{kind}"
            model.save_pretrained(case)
            add_head(case, head)
            refused = subprocess.run([*run.words, "checkpoint", "import", case, case + ".ckpt"], capture_output=True, text=True)
            assert refused.returncode == 3 and "lm_head.weight" in refused.stderr, (case, refused)
            count += 1
    print(f"{count} heads beside a tied embedding: the same logits and losses, or a refusal that names the head")


def compare_fields(evaluate):
    """One at a time, in a model that transformers loads to the same logits; and other names of the activations."""
    ids = torch.randint(0, 259, (2, 32))
    for name in ("gpt2", "llama"):
        make(name).save_pretrained("fields")
        with open("fields/config.json", encoding="utf-8") as file:
            config = json.load(file)
        logits, loss = load("fields")(ids).logits, evaluate("fields")
        for key, value in FIELDS.items():
            with open("fields/config.json", "w", encoding="utf-8") as file:
                json.dump(config | {key: value}, file)
            if not (name == "gpt2" and key in ("pretraining_tp",)):
                assert torch.equal(load("fields")(ids).logits, logits), (name, key)
                assert evaluate("fields") == loss, (name, key)
        for value in ("gelu_pytorch_tanh", "gelu_fast") if name == "gpt2" else ("swish",):
            with open("fields/config.json", "w", encoding="utf-8") as file:
                json.dump(config | {"activation_function" if name == "gpt2" else "hidden_act": value}, file)
            assert math.isclose(loss_of(load("fields")), evaluate("fields"), rel_tol=1e-5), (name, value)
    print(f"{len(FIELDS)} fields of config.json, in GPT-2 and LLaMA: the same logits and losses")


def make_tokenizer(folder):
    """A byte-level BPE of 320 tokens, as GPT-2's, with the last one to end texts."""
    tokenizer = tokenizers.ByteLevelBPETokenizer()
    tokenizer.train_from_iterator([TEXT], vocab_size=320, special_tokens=["<|endoftext|>"], show_progress=False)
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer._tokenizer, eos_token="<|endoftext|>")
    fast.save_pretrained(folder)
    return fast


def compare_tokenizers(run):
    """The tokenizer of a directory decides without a word, and comes out with the model."""
    fast = make_tokenizer("with-tokenizer")
    torch.manual_seed(1)
    config = transformers.GPT2Config(**dict(GPT2, vocab_size=len(fast), eos_token_id=fast.eos_token_id))
    transformers.GPT2LMHeadModel(config).save_pretrained("with-tokenizer")
    run("checkpoint", "import", "with-tokenizer", "with-tokenizer.ckpt")
    run("checkpoint", "export", "with-tokenizer.ckpt", "with-tokenizer.back")
    back = transformers.AutoTokenizer.from_pretrained("with-tokenizer.back", local_files_only=True)
    ids = fast(TEXT)["input_ids"]
    assert back(TEXT)["input_ids"] == ids and back.eos_token_id == fast.eos_token_id
    for folder in ("with-tokenizer", "with-tokenizer.ckpt", "with-tokenizer.back"):
        found = json.loads(run("eval", "--model", folder, "--data", "text.txt", "--json"))
        assert found["tokens"] == len(ids) - 1, (folder, found, len(ids))
    run("train", "--model.path", "with-tokenizer", "--model.init", "weights", "--data.train", "text.txt", "--steps", "2",
        "--train.global_batch", "2", "--run.dir", "tuned")
    run("checkpoint", "export", "tuned", "tuned.back", "--dtype", "bf16")
    back = transformers.AutoTokenizer.from_pretrained("tuned.back", local_files_only=True)
    assert back(TEXT)["input_ids"] == ids and load("tuned.back").dtype == torch.bfloat16
    print(f"tokenizer of {len(fast)} tokens: the same {len(ids)} ids of the text")


def compare_stops(llmrun):
    """Greedy texts of one model, whose files name where they end in different ways."""
    torch.manual_seed(20241120)
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**dict(LLAMA, vocab_size=256)))
    for parameter in model.parameters():
        parameter.add_(torch.randn_like(parameter) * 0.3)
    model.save_pretrained("stops")
    with open("stops/config.json", encoding="utf-8") as file:
        config = {key: value for key, value in json.load(file).items() if key != "eos_token_id"}
    prompt = torch.tensor([list(b"The")])
    words = [llmrun, "generate", "--model", "stops", "--tokenizer", "bytes", "--prompt", "The", "--tokens", "20",
             "--temperature", "0"]

    def made_with(generation, fields):
        with open("stops/config.json", "w", encoding="utf-8") as file:
            json.dump(config | fields, file)
        if os.path.exists("stops/generation_config.json"):
            os.remove("stops/generation_config.json")
        if generation is not None:
            with open("stops/generation_config.json", "w", encoding="utf-8") as file:
                json.dump(generation, file)
        made = load("stops").generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=20, do_sample=False)
        return made[0, 3:].tolist()

    whole = made_with(None, {})
    assert len(whole) == 20 and 0 not in whole, whole  # 0 is the end of text of bytes
    first, second = whole[4], next(token for token in whole[5:] if token not in whole[:5])
    cases = [(None, {}), ({}, {}), ({"eos_token_id": first}, {"eos_token_id": second}),
             ({"eos_token_id": second}, {"eos_token_id": first}), ({"eos_token_id": [second, first]}, {}),
             (None, {"eos_token_id": second}), (None, {"eos_token_id": [first, second]})]
    for generation, fields in cases:
        made = made_with(generation, fields)
        ended = len(made) < 20  # llmrun does not show the token that ends a text
        found = subprocess.run(words, capture_output=True, check=True).stdout
        wanted = "The" + bytes(made[:-1] if ended else made).decode(errors="replace") + "\n"
        assert found.decode() == wanted, (generation, fields, made, found)
    print(f"{len(cases)} ways to name where texts end: the same texts of up to {len(whole)} tokens")


def compare_texts(run):
    """Greedy texts after prompts with special tokens in them, with the template's token before them."""
    folders = sorted(glob.glob(os.path.join(HERE, "tokenizers", "*")))
    prompts = ["The run", "<left>The run <right> goes", "a  <mask>\n", "\u00e9t\u00e9"]
    for folder in folders:
        torch.manual_seed(7)
        model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**dict(LLAMA, vocab_size=356, eos_token_id=None)))
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
        name = "texts-" + os.path.basename(folder)
        model.eval().save_pretrained(name)
        fast = transformers.PreTrainedTokenizerFast(tokenizer_file=os.path.join(folder, "tokenizer.json"))
        fast.save_pretrained(name)
        ends = fast.convert_tokens_to_ids([text for text in ("<|endoftext|>", "<|end_of_text|>", "</s>") if text in fast.get_vocab()])
        textless = sorted(set(range(356)) - set(fast.get_vocab().values()))  # llmrun never picks them
        for prompt in prompts:
            ids = torch.tensor([fast(prompt)["input_ids"]])
            made = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=16, do_sample=False,
                                  eos_token_id=ends[:1] or None, suppress_tokens=textless or None)[0, ids.shape[1]:].tolist()
            made = made[:-1] if made[-1:] == ends[:1] else made  # llmrun does not show the token that ends a text
            wanted = prompt + fast.decode(made, clean_up_tokenization_spaces=False) + "\n"
            words = [*run.words, "generate", "--model", name, "--prompt", prompt, "--tokens", "16", "--temperature", "0"]
            found = subprocess.run(words, capture_output=True, check=True).stdout.decode()  # carriage returns as they are
            # An added token comes out as its file has it; tokenizers 0.23 gives some of them in form C.
            assert normalize("NFC", found) == normalize("NFC", wanted), (name, prompt, ids, ascii(found), ascii(wanted))
    print(f"{len(folders)} tokenizers, {len(prompts)} prompts: the same greedy texts of 16 tokens")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("llmrun")
    parser.add_argument("--models", nargs="*", default=list(MODELS | HEADS))
    options = parser.parse_args()
    llmrun = os.path.abspath(options.llmrun)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()

    def run(*words):
        done = subprocess.run([llmrun, *words], capture_output=True, text=True)
        assert done.returncode == 0, (words, done.stderr)
        return done.stdout

    run.words = [llmrun]

    def evaluate(folder):
        return json.loads(run("eval", "--model", folder, "--data", "text.txt", "--tokenizer", "bytes", "--json"))["loss"]

    with tempfile.TemporaryDirectory() as scratch, torch.no_grad():
        os.chdir(scratch)
        with open("text.txt", "w", encoding="utf-8") as file:
            file.write(TEXT)
        compare_heads(run, evaluate)
        compare_fields(evaluate)
        compare_tokenizers(run)
        compare_stops(llmrun)
        compare_texts(run)
        ids = torch.randint(0, 259, (2, 32))
        for name in options.models:
            for dtype in (torch.float32, torch.bfloat16, torch.float16):
                for shard in ("5GB", "40KB"):
                    case = f"{name}-{str(dtype)[6:]}-{shard}"
                    save(name, make(name).to(dtype), case, shard)
                    run("checkpoint", "import", case, case + ".ckpt")
                    run("checkpoint", "verify", case + ".ckpt")
                    run("checkpoint", "export", case + ".ckpt", case + ".back", "--shard-size", shard)
                    compare_tensors(case, case + ".back")
                    original, back = load(case), load(case + ".back")
                    assert back.dtype == dtype, back.dtype
                    logits = original(ids).logits
                    assert torch.equal(logits, back(ids).logits), case
                    wanted, found = loss_of(original), (evaluate(case), evaluate(case + ".ckpt"))
                    assert found[0] == found[1] and math.isclose(found[0], wanted, rel_tol=1e-5), (case, wanted, found)
                    print(f"{case}: {len(glob.glob(case + '/*.safetensors'))} files in, "
                          f"{len(glob.glob(case + '.back/*.safetensors'))} out, loss {found[0]:.6f}, transformers {wanted:.6f}")
    print(f"torch {torch.__version__}, transformers {transformers.__version__}, safetensors {safetensors.__version__}, "
          f"tokenizers {tokenizers.__version__}")


if __name__ == "__main__":
    main()
