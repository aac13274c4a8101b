#!/usr/bin/env python3
"""Compares our byte-level BPE with Hugging Face `tokenizers`, id by id, on random Unicode strings and on files of text.

    tokenizer_million.py --check build/release/tests/tokenizer_check --tokenizer DIR [--strings N] [--seed S] [FILE...]

DIR holds tokenizer.json (make_tokenizers.py makes some), or vocab.json and merges.txt. With a tokenizer.json, every second
hundred thousand strings are encoded with their special tokens found, the others, and the files, as text that is data (what
`encode_special_tokens` asks of the library). Each FILE is encoded whole. Exits with 1 if a single id differs. docs/testing.md
says which versions it was run with.
"""

import argparse
import json
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
# Ranges in which characters compose: Latin, marks, Greek, Hebrew, Arabic, India, Hangul, kana, compatibility, newer scripts.
COMPOSING = [(0x41, 0x7B), (0xC0, 0x250), (0x300, 0x370), (0x300, 0x370), (0x370, 0x400), (0x591, 0x5D0), (0x610, 0x700)]
COMPOSING += [(0x7EB, 0x8FF), (0x900, 0xE00), (0x1100, 0x1200), (0x1AB0, 0x1B80), (0x1DC0, 0x2000), (0x20D0, 0x2130)]
COMPOSING += [(0x3041, 0x3100), (0xAC00, 0xAC80), (0xF900, 0xFB50), (0x11080, 0x11A9A), (0x1D15E, 0x1D1C0), (0x1E000, 0x1E950)]
WORDS = "the quick brown Fox don't Hello world transformer x86 <|endoftext|> http://a.b/c?d=1 int main(void)".split()


def scalar(rng, low, high):
    while True:
        code = rng.randrange(low, high)
        if not 0xD800 <= code <= 0xDFFF:
            return chr(code)


def part(rng, more):
    kind = rng.randrange(14 if more else 12)
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
    if kind == 13:
        return "".join(scalar(rng, *rng.choice(COMPOSING)) for _ in range(rng.randrange(1, 6)))
    return rng.choice(more if kind == 12 else WORDS)


def random_string(rng, more=()):
    """`more`: texts that come about as often as words do; with them come characters that normal forms change."""
    return "".join(part(rng, more) for _ in range(rng.randrange(1, 16)))


def reference(folder):
    if (folder / "tokenizer.json").exists():
        return Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer = Tokenizer(models.BPE.from_file(str(folder / "vocab.json"), str(folder / "merges.txt")))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return tokenizer


def marks(folder):
    """Texts of the added tokens, and whether the tokenizer changes text, so that it need not come back from its ids."""
    if not (folder / "tokenizer.json").exists():
        return [], False
    root = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    tokens = root["added_tokens"]
    prefix = "add_prefix_space\": true" in json.dumps(root["pre_tokenizer"])
    lacks_bytes = sum(len(token) == 1 for token in root["model"]["vocab"]) < 256
    return [token["content"] for token in tokens], bool(
        root["normalizer"] or prefix or lacks_bytes or any(token["lstrip"] or token["rstrip"] for token in tokens)
    )


def encode_ours(arguments, texts, folder, flags):
    source, target = Path(folder) / "records", Path(folder) / "ids"
    with open(source, "wb") as out:
        for text in texts:
            data = text.encode("utf-8")
            out.write(len(data).to_bytes(4, sys.byteorder) + data)
    done = subprocess.run([arguments.check, *flags, arguments.tokenizer, source, target], stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{arguments.check} ended with {done.returncode}")
    print("  ours:", done.stdout.strip())
    return numpy.fromfile(target, dtype=numpy.int32)


def compare(arguments, tokenizer, texts, folder, flags):
    """The number of texts whose ids differ."""
    ids = encode_ours(arguments, texts, folder, flags)
    tokenizer.encode_special_tokens = "--special" not in flags
    begin = time.monotonic()
    wanted = tokenizer.encode_batch(texts, add_special_tokens=False)
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
    more, changes = marks(Path(arguments.tokenizer))
    flags = ["--changes"] if changes else []
    mismatches = 0
    print(f"tokenizers {tokenizers.__version__}, seed {arguments.seed}")
    with tempfile.TemporaryDirectory() as folder:
        for start in range(0, arguments.strings, 100_000):
            found = ["--special"] if more and start // 100_000 % 2 else []
            texts = [random_string(rng, more) for _ in range(min(100_000, arguments.strings - start))]
            print(f"random strings {start + 1} to {start + len(texts)}", *found)
            mismatches += compare(arguments, tokenizer, texts, folder, flags + found)
        for name in arguments.files:
            print(name)
            mismatches += compare(arguments, tokenizer, [Path(name).read_bytes().decode("utf-8")], folder, flags)
    print(f"{arguments.strings} strings and {len(arguments.files)} files: {mismatches} mismatches")
    return 1 if mismatches else 0


if __name__ == "__main__":
    sys.exit(main())
