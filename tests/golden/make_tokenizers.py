#!/usr/bin/env python3
"""Trains a byte-level BPE for each split pattern that we understand, with Hugging Face `tokenizers`, and writes each as
NAME/tokenizer.json, with added tokens of every flag:

    make_tokenizers.py FOLDER FILE...   vocabularies of 8,000, trained on the files: for tokenizer_million.py
    make_tokenizers.py --golden         tiny ones, and tokenizers_golden.jsonl: the files of the golden_tokenizer_json test
    make_tokenizers.py --golden --keep  the trained ones stay; those that lack bytes and the hashes are made again

tokenizers_golden.jsonl: first the version, then strings with one hash a tokenizer, 64-bit FNV-1a over the ids as 32-bit
numbers: those of the text as data, -1, and those with special tokens found.
"""

import argparse
import itertools
import json
import random
from pathlib import Path

import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from tokenizer_golden import fnv_ids
from tokenizer_million import random_string

HERE = Path(__file__).parent
STRINGS = 400
CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|"
SPACES = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = CONTRACTIONS + r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|" + SPACES
QWEN2 = CONTRACTIONS + r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|" + SPACES
TRAINED = ["gpt2", "gpt2_prefix", "gpt2_split", "llama3", "qwen2"]
# Made from a trained one by taking out bytes: name -> (trained, unknown token, whether several become one).
GAPS = {"gaps": ("qwen2", None, False), "gaps_unknown": ("gpt2", "?", False), "gaps_fused": ("gpt2", "?", True)}
NAMES = TRAINED + list(GAPS)
# Those that no UTF-8 text holds, and some that come often: a letter, a control character, parts of longer characters.
GAP_BYTES = {0xC0, 0xC1, *range(0xF5, 0x100)} | {ord("o"), ord("\r"), 0xCC, 0x81, 0x80, 0xE2, 0xF0}

ADDED = [
    AddedToken("<|endoftext|>", special=True, normalized=False),
    AddedToken("<|begin|>", special=True, normalized=False),
    AddedToken("<mask>", special=True, normalized=False, lstrip=True),
    AddedToken("<both>", special=True, normalized=False, lstrip=True, rstrip=True),
    AddedToken("<word>", single_word=True, normalized=False),
    AddedToken("<left>", lstrip=True, normalized=False),
    AddedToken("<right>", rstrip=True, normalized=False),
    AddedToken("token", single_word=True, lstrip=True, rstrip=True),
    AddedToken("<a", normalized=False),
    AddedToken("<ab", special=True, normalized=False),
    AddedToken("ab>", normalized=False),
    AddedToken("b>c", normalized=True),
    AddedToken("  \t", normalized=False),
    AddedToken("\u00e9", normalized=True),
    AddedToken("\u212bng", normalized=True),
    AddedToken("A\u030a", normalized=False),
    AddedToken("\u1100\u1161\u11a8", normalized=True, single_word=True),
]


def byte_level(**options):
    return pre_tokenizers.ByteLevel(**{"add_prefix_space": False, "use_regex": False, **options})


def pre_tokenizer(name):
    if name in ("gpt2", "gpt2_prefix"):
        return byte_level(use_regex=True, add_prefix_space=name == "gpt2_prefix")
    pattern = {"gpt2_split": GPT2, "llama3": LLAMA3, "qwen2": QWEN2}[name]
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), behavior="isolated"), byte_level()])


def train(name, texts, vocabulary):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer(name)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    if name == "qwen2":
        tokenizer.normalizer = normalizers.NFC()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_tokens(ADDED)
    if name == "llama3":
        begin = ("<|begin|>", tokenizer.token_to_id("<|begin|>"))
        template = processors.TemplateProcessing(single="<|begin|> $A", pair="<|begin|> $A $B:1", special_tokens=[begin])
        tokenizer.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), template])
    return json.loads(tokenizer.to_str())


def without_some_merges(root):
    """Takes out every fifth merge of long words: their tokens come from `ignore_merges` alone."""
    model = root["model"]
    model["ignore_merges"] = True
    model["merges"] = [pair for index, pair in enumerate(model["merges"]) if index % 5 or len("".join(pair)) < 3]


def save(name, root, folder):
    if name == "llama3":
        without_some_merges(root)
    if name in ("gpt2", "qwen2"):
        root["model"]["merges"] = [" ".join(pair) for pair in root["model"]["merges"]]
    (folder / name).mkdir(parents=True, exist_ok=True)
    text = json.dumps(root, ensure_ascii=False, separators=(",", ":"))
    (folder / name / "tokenizer.json").write_text(text.replace('"model"', '\n"model"') + "\n", "utf-8")


def byte_alphabet():
    """The character that stands for each byte (GPT-2's encoder.py)."""
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in visible]
    return {byte: chr(byte) for byte in visible} | {byte: chr(256 + place) for place, byte in enumerate(hidden)}


def without_bytes(root, unknown, fused):
    """Takes out the tokens that hold one of GAP_BYTES, and the merges that make them; the others move up."""
    model, alphabet = root["model"], byte_alphabet()
    out = {alphabet[byte] for byte in GAP_BYTES}
    pairs = [merge.split(" ") if isinstance(merge, str) else merge for merge in model["merges"]]
    model["merges"] = [pair for pair in pairs if not out & set("".join(pair))]
    kept = [token for token in sorted(model["vocab"], key=model["vocab"].get) if not out & set(token)]
    model["vocab"] = {token: place for place, token in enumerate(kept)}
    new_ids = itertools.count(len(kept))
    for token in sorted(root["added_tokens"], key=lambda token: token["id"]):
        known = model["vocab"].get(token["content"])
        token["id"] = next(new_ids) if known is None else known
    model["unk_token"], model["fuse_unk"] = unknown, fused
    return root


def save_gaps(folder):
    for name, (trained, unknown, fused) in GAPS.items():
        root = json.loads((folder / trained / "tokenizer.json").read_text("utf-8"))
        save(name, without_bytes(root, unknown, fused), folder)


def write_golden(folder):
    loaded = {name: Tokenizer.from_file(str(folder / name / "tokenizer.json")) for name in NAMES}
    more = [token.content for token in ADDED]
    rng = random.Random(21)
    with open(HERE / "tokenizers_golden.jsonl", "w", encoding="utf-8") as out:
        out.write(json.dumps({"tokenizers": tokenizers.__version__, "strings": STRINGS}) + "\n")
        for _ in range(STRINGS):
            row = {"text": random_string(rng, more)}
            for name, tokenizer in loaded.items():
                tokenizer.encode_special_tokens = True
                ids = tokenizer.encode(row["text"], add_special_tokens=False).ids + [-1]
                tokenizer.encode_special_tokens = False
                row[name] = fnv_ids(ids + tokenizer.encode(row["text"], add_special_tokens=False).ids)
            out.write(json.dumps(row, ensure_ascii=False) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--golden", action="store_true")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("folder", nargs="?", default=str(HERE / "tokenizers"))
    parser.add_argument("files", nargs="*")
    arguments = parser.parse_args()
    rng = random.Random(4)
    texts = [random_string(rng) for _ in range(3000)]
    if arguments.golden:
        texts += [file.read_text("utf-8") for file in sorted((HERE.parent.parent / "docs").glob("*.md"))]
    texts += [Path(name).read_text("utf-8") for name in arguments.files]
    for name in [] if arguments.keep else TRAINED:
        save(name, train(name, texts, 340 if arguments.golden else 8000), Path(arguments.folder))
    save_gaps(Path(arguments.folder))
    if arguments.golden:
        write_golden(Path(arguments.folder))


if __name__ == "__main__":
    main()
