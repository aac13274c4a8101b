#!/usr/bin/env python3
"""Compares our GPT-2 tokenizer with Hugging Face `tokenizers`, id by id, on random Unicode strings and on files of text.

    tokenizer_million.py --check build/release/tests/tokenizer_check --tokenizer DIR [--strings N] [--seed S] [FILE...]

DIR holds vocab.json and merges.txt. Each FILE is encoded whole. Exits with 1 if a single id differs. docs/testing.md says
which versions it was run with.
"""

import argparse
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy
import tokenizers
from tokenizers import Tokenizer, models, pre_tokenizers

SPACES = [
    chr(code)
    for code in [9, 10, 11, 12, 13, 32, 0x85, 0xA0, 0x1680, 0x180E, *range(0x2000, 0x200C), 0x2028, 0x2029, 0x202F, 0x205F]
    + [0x3000, 0xFEFF, 28, 29, 30, 31]
]
CONTRACTIONS = [mark + tail for mark in "'\u2019`" for tail in "s t re ve m ll d S T RE LL D r v l x".split()] + ["'"]
NUMBERS = list("0123456789\u0663\u0967\u00bd\u2167\u2460\u3007\U0001d7d9\U0001fbf5\u00b2")
JOINED = ["\U0001f468\u200d\U0001f469\u200d\U0001f467", "e\u0301", "\U0001f1e9\U0001f1ea", "\u0e01\u0e33", "\r\n"]
WORDS = "the quick brown Fox don't Hello world transformer x86 <|endoftext|> http://a.b/c?d=1 int main(void)".split()


def scalar(rng, low, high):
    while True:
        code = rng.randrange(low, high)
        if not 0xD800 <= code <= 0xDFFF:
            return chr(code)


def part(rng):
    kind = rng.randrange(12)
    if kind == 0:
        return scalar(rng, 0, 0x110000)
    if kind == 1:
        return scalar(rng, 0, 0x10000)
    if kind == 2:
        return scalar(rng, 0x10000, 0x20000)
    if kind == 3:
        return scalar(rng, 0x80, 0x800)
    if kind in (4, 5):
        return scalar(rng, 0x20, 0x7F)
    if kind == 6:
        return "".join(rng.choice(SPACES) for _ in range(rng.randrange(1, 5)))
    if kind == 7:
        return rng.choice(CONTRACTIONS)
    if kind == 8:
        return "".join(rng.choice(NUMBERS) for _ in range(rng.randrange(1, 5)))
    if kind == 9:
        return rng.choice(JOINED)
    if kind == 10:
        return " "
    return rng.choice(WORDS)


def random_string(rng):
    return "".join(part(rng) for _ in range(rng.randrange(1, 16)))


def reference(folder):
    tokenizer = Tokenizer(models.BPE.from_file(str(folder / "vocab.json"), str(folder / "merges.txt")))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return tokenizer


def encode_ours(arguments, texts, folder):
    source, target = Path(folder) / "records", Path(folder) / "ids"
    with open(source, "wb") as out:
        for text in texts:
            data = text.encode("utf-8")
            out.write(len(data).to_bytes(4, sys.byteorder) + data)
    done = subprocess.run([arguments.check, arguments.tokenizer, source, target], stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{arguments.check} ended with {done.returncode}")
    print("  ours:", done.stdout.strip())
    return numpy.fromfile(target, dtype=numpy.int32)


def compare(arguments, tokenizer, texts, folder):
    """The number of texts whose ids differ."""
    ids = encode_ours(arguments, texts, folder)
    begin = time.monotonic()
    wanted = tokenizer.encode_batch(texts)
    seconds = time.monotonic() - begin
    size = sum(len(text.encode("utf-8")) for text in texts)
    print(f"  theirs: {size / seconds / 1e6:.1f} MB/s on all cores")
    place = mismatches = 0
    for text, encoding in zip(texts, wanted):
        count = int(ids[place])
        if ids[place + 1 : place + 1 + count].tolist() != encoding.ids:
            mismatches += 1
            if mismatches <= 5:
                print(f"  differs: {text[:200]!r}\n    theirs {encoding.ids[:40]}\n    ours   {ids[place + 1:place + 41]}")
        place += 1 + count
    return mismatches


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", required=True)
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--strings", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("files", nargs="*")
    arguments = parser.parse_args()
    tokenizer = reference(Path(arguments.tokenizer))
    rng = random.Random(arguments.seed)
    mismatches = 0
    print(f"tokenizers {tokenizers.__version__}, seed {arguments.seed}")
    with tempfile.TemporaryDirectory() as folder:
        for start in range(0, arguments.strings, 100_000):
            texts = [random_string(rng) for _ in range(min(100_000, arguments.strings - start))]
            print(f"random strings {start + 1} to {start + len(texts)}")
            mismatches += compare(arguments, tokenizer, texts, folder)
        for name in arguments.files:
            print(name)
            mismatches += compare(arguments, tokenizer, [Path(name).read_bytes().decode("utf-8")], folder)
    print(f"{arguments.strings} strings and {len(arguments.files)} files: {mismatches} mismatches")
    return 1 if mismatches else 0


if __name__ == "__main__":
    sys.exit(main())
