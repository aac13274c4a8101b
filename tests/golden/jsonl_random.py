"""Random lines of JSONL, half of them spoilt by a few bytes, read by llmrun and by Python's json: the same lines are read,
with the same texts.

    python tests/golden/jsonl_random.py build/release/tests/jsonl_check [--lines N] [--seed N]

Lines with the fields `prompt` and `answer`, with `text` twice and with half a surrogate pair in `text` are refused by
llmrun alone (docs/data.md)."""

import argparse
import json
import random
import struct
import subprocess

PARTS = ["a", '"', "\\", "\n", "\0", "é", "文", "😀", "\x7f", "/", "\u2028", "\ud800", " ", "text"]
NUMBERS = [0, -1, 10**30, 1e308, 1.5, -0.0, float("nan"), float("inf"), -float("inf")]
SPOILERS = b'{}[]",:\\u0123456789eE+-. \t\r\n\x00\x01\x80\xc3\xed\xa0\xef\xbb\xbftruefalsn'


def text(draw):
    return "".join(draw.choice(PARTS) for _ in range(draw.randrange(6)))


def value(draw, depth):
    kind = draw.randrange(10 if depth < 4 else 6)
    if kind == 0:
        return draw.choice(NUMBERS)
    if kind == 1:
        return draw.choice([True, False, None])
    if kind < 6:
        return text(draw)
    if kind < 8:
        return [value(draw, depth + 1) for _ in range(draw.randrange(4))]
    return {text(draw): value(draw, depth + 1) for _ in range(draw.randrange(4))}


def line(draw):
    fields = {text(draw): value(draw, 0) for _ in range(draw.randrange(3))}
    fields["text"] = text(draw) if draw.random() < 0.9 else value(draw, 0)
    out = bytearray(json.dumps(fields, ensure_ascii=draw.random() < 0.5).encode("utf-8", "surrogatepass"))
    for _ in range(draw.randrange(4) if draw.random() < 0.6 else 0):
        at, kind = draw.randrange(len(out)), draw.randrange(3)
        if kind == 0:
            del out[at]
        elif kind == 1:
            out.insert(at, draw.choice(SPOILERS))
        else:
            out[at] = draw.choice(SPOILERS)
    return bytes(out)


def expected(raw):
    """The text in hexadecimal, or None for a line that is refused."""
    try:
        decoded = raw.decode("utf-8").removeprefix("\ufeff")
        found = json.loads(decoded, object_pairs_hook=lambda pairs: pairs)
        fields = json.loads(decoded)
        if not isinstance(fields, dict):
            return None
        names = [name for name, _ in found]
        if names.count("text") != 1 or {"prompt", "answer"} & set(names) or not isinstance(fields["text"], str):
            return None
        return fields["text"].encode("utf-8").hex()
    except ValueError:
        return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("check")
    parser.add_argument("--lines", type=int, default=200000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    draw = random.Random(options.seed)
    lines = [line(draw) for _ in range(options.lines)]
    records = b"".join(struct.pack("<I", len(raw)) + raw for raw in lines)
    answers = subprocess.run([options.check], input=records, capture_output=True, check=True).stdout
    read = wrong = 0
    for raw, answer in zip(lines, answers.decode("utf-8", "replace").split("\n"), strict=False):
        wanted = expected(raw)
        read += wanted is not None
        if answer != f"ok {wanted}" and not (wanted is None and answer.startswith("no ")):
            wrong += 1
            print(f"{raw!r}\n  Python: {wanted}\n  llmrun: {answer}")
    print(f"{len(lines)} lines, {read} read by Python, {wrong} differences")
    raise SystemExit(wrong > 0)


main()
