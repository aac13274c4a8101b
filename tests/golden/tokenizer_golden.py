#!/usr/bin/env python3
"""Makes the files of the golden_tokenizer test from Hugging Face `tokenizers`:

    tokenizer_golden.py --tokenizer DIR

- tokenizer_tiny/: a byte-level BPE of 800 tokens, trained on the documents and sources of this project;
- tokenizer_golden.jsonl: first the versions and a hash of the classes of all characters, then strings with the hashes of
  their ids by the tiny tokenizer and by the one in DIR (GPT-2's vocab.json and merges.txt).

Hashes are 64-bit FNV-1a over the ids as 32-bit numbers, or over one byte a character: 0 other, 1 letter, 2 number, 3 space.
"""

import argparse
import json
import random
import struct
from pathlib import Path

import tokenizers
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

from tokenizer_million import random_string, reference

HERE = Path(__file__).parent
STRINGS = 2000


def fnv(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


def fnv_ids(ids):
    return fnv(struct.pack(f"<{len(ids)}i", *ids))


def train_tiny(folder):
    root = HERE.parent.parent
    patterns = ["docs/**/*.md", "core/data/*.[ch]", "core/tokenizer/*.[ch]", "core/base/*.[ch]"]
    files = sorted(file for pattern in patterns for file in root.glob(pattern))
    files = [file for file in files if file.name != "unicode_table.c"]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    rng = random.Random(3)
    texts = [file.read_text("utf-8") for file in files] + [random_string(rng) for _ in range(2000)]
    trainer = trainers.BpeTrainer(
        vocab_size=800,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    folder.mkdir(exist_ok=True)
    tokenizer.model.save(str(folder))


def classes():
    """By the regular expressions themselves, where tools/make_unicode_table.py asks the byte-level splitter."""
    table = bytearray(0x110000)
    text = "".join(chr(code) for code in range(0x110000) if not 0xD800 <= code <= 0xDFFF)
    for number, pattern in enumerate([r"\p{L}", r"\p{N}", r"\s"], 1):
        split = pre_tokenizers.Split(Regex(f"[^{pattern}]"), behavior="removed")
        for piece, _ in split.pre_tokenize_str(text):
            for character in piece:
                table[ord(character)] = number
    return table


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--keep-tiny", action="store_true", help="use the tiny tokenizer that is there")
    arguments = parser.parse_args()
    if not arguments.keep_tiny:
        train_tiny(HERE / "tokenizer_tiny")
    tiny, gpt2 = reference(HERE / "tokenizer_tiny"), reference(Path(arguments.tokenizer))
    rng = random.Random(20)
    with open(HERE / "tokenizer_golden.jsonl", "w", encoding="utf-8") as out:
        head = {"tokenizers": tokenizers.__version__, "strings": STRINGS, "classes": fnv(classes())}
        out.write(json.dumps(head) + "\n")
        for _ in range(STRINGS):
            text = random_string(rng)
            row = {"text": text, "tiny": fnv_ids(tiny.encode(text).ids), "gpt2": fnv_ids(gpt2.encode(text).ids)}
            out.write(json.dumps(row, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
