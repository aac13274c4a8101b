#!/usr/bin/env python3
"""Makes tokenizer_side.jsonl, the file of the golden_tokenizer_side test, from AutoTokenizer of Hugging Face transformers:

    make_side_files.py [--cases N] [--seed S]

The first line has the versions and the vocabularies, each a folder's files. Every other line is a folder: a vocabulary and
random files beside it (config.json, tokenizer_config.json, special_tokens_map.json, added_tokens.json), texts, and hashes of
their ids: as data, with special tokens found, and as a prompt, with the token before it. Folders that AutoTokenizer does not
read are left out. What the test reads has to have these ids; it may refuse a folder, naming the file and the member.
"""

import argparse
import json
import os
import random
import tempfile
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
import tokenizers  # noqa: E402
import transformers  # noqa: E402
from transformers import AutoTokenizer  # noqa: E402

from make_tokenizers import LLAMA3, QWEN2, byte_alphabet  # noqa: E402
from tokenizer_golden import fnv_ids  # noqa: E402

HERE = Path(__file__).parent
TOKENS = ["<|endoftext|>", "<|user|>", "<pad>", "<s>", "<|im_end|>", "<e\u0301>", "<|padding|>", "<x>"]
PARTS = TOKENS + [" the", "ab", "12", "345", " ", "\n", "it's", "IT'S", "<\u00e9>", "the", " x ", "  "]
CLASSES = ["GPT2Tokenizer"] * 4 + ["GPT2TokenizerFast", "Qwen2Tokenizer", "Qwen2TokenizerFast", "GPTNeoXTokenizer"]
CLASSES += ["GPTNeoXTokenizerFast", "CodeGenTokenizer", "PreTrainedTokenizerFast", "LlamaTokenizerFast", "RobertaTokenizer"]
CLASSES += ["FooTokenizer", None]
MODELS = ["gpt2"] * 6 + ["qwen2", "gpt_neox", "llama", "phi3", "olmo2", "roberta", "mistral", None]
MERGES = [("t", "h"), ("th", "e"), ("\u0120", "the"), ("a", "b"), ("1", "2"), ("\u0120", "t")]
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}


def vocabulary(more):
    tokens = [*(byte_alphabet()[byte] for byte in range(256)), *("".join(pair) for pair in MERGES), *more]
    return {token: place for place, token in enumerate(tokens)}


def split(pattern):
    parts = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    return {"type": "Sequence", "pretokenizers": [parts, {**BYTE_LEVEL, "use_regex": False}]}


def tokenizer_json(stages, added, template):
    """`added`: ids, texts and flags; the first of them stands before a text with `template`."""
    keys = ("id", "content", "special", "lstrip", "rstrip", "single_word", "normalized")
    post = None
    if template:
        name = added[0][1]
        single = [{"SpecialToken": {"id": name, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
        pair = [{"Sequence": {"id": which, "type_id": place}} for place, which in enumerate("AB")]
        special = {name: {"id": name, "ids": [added[0][0]], "tokens": [name]}}
        post = {"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": special}
    model = {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None}
    model |= {"end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False}
    model |= {"vocab": vocabulary(TOKENS[:1]), "merges": [list(pair) for pair in MERGES]}
    root = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [dict(zip(keys, row)) for row in added]}
    return root | {"normalizer": stages[0], "pre_tokenizer": stages[1], "post_processor": post, "decoder": BYTE_LEVEL, "model": model}


def bases():
    flags = (True, False, False, False, False)
    two = [(262, "<|endoftext|>", *flags), (263, "<|user|>", False, True, False, True, True)]
    marked = [(263, "<s>", True, False, True, False, False), (264, "<e\u0301>", False, False, False, False, True)]
    nfc = {"type": "NFC"}
    files = {
        "gpt2": tokenizer_json((None, BYTE_LEVEL), two, False),
        "prefix": tokenizer_json((None, {**BYTE_LEVEL, "add_prefix_space": True}), two, False),
        "neox": tokenizer_json((nfc, BYTE_LEVEL), marked, False),
        "qwen2": tokenizer_json((nfc, split(QWEN2)), two, False),
        "llama3": tokenizer_json((None, split(LLAMA3)), marked, True),
        "bare": tokenizer_json((None, BYTE_LEVEL), [], False),
    }
    merges = "#version: 0.2\n" + "".join(f"{left} {right}\n" for left, right in MERGES)
    pairs = {"pair": TOKENS[:1], "pair_more": TOKENS[:3], "pair_less": []}
    result = {name: {"vocab.json": vocabulary(more), "merges.txt": merges} for name, more in pairs.items()}
    gap = vocabulary(TOKENS[:3])
    gap[TOKENS[2]] += 20
    result["pair_gap"] = {"vocab.json": gap, "merges.txt": merges}
    return result | {name: {"tokenizer.json": root} for name, root in files.items()}


def flags_of(rng, text, **more):
    chances = {"lstrip": 0.2, "rstrip": 0.2, "single_word": 0.2, "normalized": 0.4}
    return {"content": text, **{flag: rng.random() < chance for flag, chance in chances.items()}, **more}


def named(rng, text):
    return text if rng.random() < 0.6 else flags_of(rng, text, __type="AddedToken")


def listed(rng, files):
    """Tokens and the ids that they get, but for a mistake now and then."""
    root = files.get("tokenizer.json")
    known = root["model"]["vocab"] if root else files["vocab.json"]
    ids = {token["content"]: token["id"] for token in root["added_tokens"]} if root else {}
    following = max([len(known) - 1, *ids.values()]) + 1
    for text in rng.sample(TOKENS, rng.randrange(0, 4)):
        if text in known:
            ids[text] = known[text]
        elif text not in ids:
            ids[text] = following
            following += 1
    if ids and rng.random() < 0.05:
        ids[rng.choice(list(ids))] += 1
    return ids


def tokenizer_config(rng, ids):
    config = {}
    if rng.random() < 0.8 and (name := rng.choice(CLASSES)):
        config["tokenizer_class"] = name
    for key, chance in {"add_prefix_space": 0.25, "add_bos_token": 0.25, "add_eos_token": 0.1}.items():
        if rng.random() < chance:
            config[key] = rng.random() < 0.6
    for key in ("bos_token", "eos_token", "unk_token", "pad_token", "mask_token", "image_token"):
        if rng.random() < 0.18:
            config[key] = named(rng, rng.choice(TOKENS))
        elif rng.random() < 0.05 and key != "image_token":
            config[key] = None
    for key in ("additional_special_tokens", "extra_special_tokens"):
        if rng.random() < 0.2:
            config[key] = [named(rng, text) for text in rng.sample(TOKENS, rng.randrange(0, 3))]
    if rng.random() < 0.06:
        config["extra_special_tokens"] = {"video_token": rng.choice(TOKENS)}
    if ids and rng.random() < 0.5:
        decoder = {str(number): flags_of(rng, text, special=rng.random() < 0.5) for text, number in ids.items()}
        config["added_tokens_decoder"] = decoder
    if rng.random() < 0.3:
        config |= {"clean_up_tokenization_spaces": True, "model_max_length": 1e30, "errors": "replace"}
    return config


def special_tokens_map(rng):
    result = {}
    for key in ("bos_token", "eos_token", "pad_token", "unk_token"):
        if rng.random() < 0.3:
            text = rng.choice(TOKENS)
            result[key] = text if rng.random() < 0.6 else flags_of(rng, text)
    if rng.random() < 0.3:
        result["additional_special_tokens"] = rng.sample(TOKENS, 2)
    return result


def side_files(rng, files):
    ids = listed(rng, files)
    result = {}
    if model := rng.choice(MODELS):
        result["config.json"] = {"model_type": model}
    if rng.random() < 0.9:
        result["tokenizer_config.json"] = tokenizer_config(rng, ids)
    if ids and rng.random() < 0.5:
        result["added_tokens.json"] = {text: number for text, number in ids.items() if rng.random() < 0.9}
    if rng.random() < 0.35:
        result["special_tokens_map.json"] = special_tokens_map(rng)
    # With config.json alone a vocabulary does not get the tokens of the class here (docs/data.md).
    if not result.keys() - {"config.json"} and not {"<|endoftext|>", "<|padding|>"} <= files.get("vocab.json", {}).keys():
        result["tokenizer_config.json"] = {}
    return result


def write(folder, files):
    for name, content in files.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (Path(folder) / name).write_text(text, "utf-8")


def ids_of(tokenizer, texts):
    forms = {
        "data": {"add_special_tokens": False, "split_special_tokens": True},
        "special": {"add_special_tokens": False, "split_special_tokens": False},
        "prompt": {"split_special_tokens": False},
    }
    result = {}
    for form, options in forms.items():
        rows = [tokenizer(text, **options)["input_ids"] for text in texts]
        if form == "prompt":  # a prompt that begins with the token's own text does not get it twice here
            pairs = zip(rows, result["rows"])
            rows = [plain if len(row) == len(plain) + 1 and plain[:1] == row[:1] else row for row, plain in pairs]
        result[form] = fnv_ids([number for row in rows for number in [*row, -1]])
        result["rows"] = rows
    del result["rows"]
    return result


def make(rng, base, files):
    side = side_files(rng, files)
    texts = ["".join(rng.choice(PARTS) for _ in range(rng.randrange(1, 9))) for _ in range(5)]
    with tempfile.TemporaryDirectory() as folder:
        write(folder, files | side)
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder)
        except Exception:  # whatever it is, it gives no ids
            return None
    return {"base": base, "files": side, "texts": texts, "vocabulary": max(tokenizer.get_vocab().values()) + 1} | ids_of(tokenizer, texts)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=300)
    parser.add_argument("--seed", type=int, default=31)
    parser.add_argument("--out", default=str(HERE / "tokenizer_side.jsonl"))
    arguments = parser.parse_args()
    transformers.logging.set_verbosity(transformers.logging.CRITICAL)
    rng = random.Random(arguments.seed)
    everything = bases()
    with open(arguments.out, "w", encoding="utf-8") as out:
        head = {"transformers": transformers.__version__, "tokenizers": tokenizers.__version__, "bases": everything}
        out.write(json.dumps(head, ensure_ascii=False, separators=(",", ":")) + "\n")
        written = 0
        while written < arguments.cases:
            base = rng.choice(list(everything))
            if row := make(rng, base, everything[base]):
                out.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n")
                written += 1


if __name__ == "__main__":
    main()
