"""Writes what `llmrun train` is held to: models and texts, and what PyTorch says of each step of a run over them.

    python tests/golden/make_train.py tests/golden/train

For each run of RUNS a folder with the model's first weights (as save_pretrained stores them), the data, `flags` (of `llmrun train`, one
a line) and `expected.jsonl`: a line for each step with loss, gradient norm, learning rate and the count of targets so far, and one for
each evaluation. The arithmetic is in float64, so that what differs is llmrun's rounding. Which tokens make which sample is written here
once more from docs/data.md ("Documents", "Samples"), with Philox4x32-10 from its paper, and the learning rates from docs/config.md:
nothing comes from llmrun itself.
"""
import json
import math
import os
import sys

import torch
import transformers

SEED = 20261129
WORDS = "the loop adds one token and then the next until a window is full of words that nobody has read before now".split()
GPT2 = dict(n_layer=2, n_embd=32, n_head=4, n_positions=32, vocab_size=256, bos_token_id=None, eos_token_id=None,
            resid_pdrop=0, embd_pdrop=0, attn_pdrop=0)
LLAMA = dict(num_hidden_layers=2, hidden_size=32, num_attention_heads=4, num_key_value_heads=2, intermediate_size=48,
             max_position_embeddings=32, vocab_size=256, bos_token_id=None, eos_token_id=None)


def text(count, start):
    return " ".join(WORDS[(start + i * i) % len(WORDS)] for i in range(count))


def philox(counter, key):
    """Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011, table 2 and section 4.3."""
    c, k = list(counter), list(key)
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(p1 >> 32) ^ c[1] ^ k[0], p1 & 0xFFFFFFFF, (p0 >> 32) ^ c[3] ^ k[1], p0 & 0xFFFFFFFF]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


# Known answers of the authors' Random123 library.
assert philox([0] * 4, [0] * 2) == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]


def place_in_order(seed, epoch, count, place):
    key = [seed & 0xFFFFFFFF, seed >> 32]
    half = (((count - 1).bit_length() if count > 1 else 1) + 1) // 2
    mask = (1 << half) - 1
    while True:
        left, right = place >> half & mask, place & mask
        for turn in range(6):
            left, right = right, left ^ (philox([right, turn, epoch, 0x6F726465], key)[0] & mask)
        place = left << half | right
        if place < count:
            return place


def offset_of(seed, epoch, most):
    words = philox([0, 0, epoch, 0x6F666673], [seed & 0xFFFFFFFF, seed >> 32])
    return (words[1] << 32 | words[0]) % (most + 1)


class Tokens:
    """All documents in a row: each a list of (byte, whether its prediction counts)."""

    def __init__(self, documents):
        self.ids, self.learn, self.document, self.starts = [], [], [], []
        for number, (ids, given) in enumerate(documents):
            self.starts.append(len(self.ids))
            self.ids += ids
            self.learn += [0 < i and i >= given for i in range(len(ids))]
            self.document += [number] * len(ids)
        self.documents = documents


def training_window(tokens, length, pack, seed, sample):
    if not pack:
        rows = [d for d, (ids, given) in enumerate(tokens.documents) if any(
            i >= max(1, given) for i in range(min(len(ids), length + 1)))]
        epoch, place = divmod(sample, len(rows))
        row = rows[place_in_order(seed, epoch, len(rows), place)]
        start = tokens.starts[row]
        return start, min(len(tokens.documents[row][0]), length + 1)
    windows = max(1, len(tokens.ids) // length - 1)
    epoch, place = divmod(sample, windows)
    start = place_in_order(seed, epoch, windows, place) * length
    start += offset_of(seed, epoch, len(tokens.ids) - 1 - windows * length)
    return start, min(length + 1, len(tokens.ids) - start)


def evaluation_windows(tokens, length, pack, limit):
    if not pack:
        assert limit == 0
        return [(start, min(len(ids), length + 1)) for start, (ids, _) in zip(tokens.starts, tokens.documents)]
    count = -(-(len(tokens.ids) - 1) // length)
    count = min(count, max(1, limit // length)) if limit else count
    return [(i * length, min(length + 1, len(tokens.ids) - i * length)) for i in range(count)]


def window_loss(model, tokens, start, count):
    """Sum of the losses and number of targets of a window: its documents do not see each other, so each is a row of its own."""
    total, targets, first = torch.zeros((), dtype=torch.float64), 0, start
    while first < start + count:
        last = first
        while last < start + count and tokens.document[last] == tokens.document[first]:
            last += 1
        learned = [i - first for i in range(first + 1, last) if tokens.learn[i]]
        if learned:
            ids = torch.tensor(tokens.ids[first:last])
            logits = model(ids[None, :-1]).logits[0]
            each = torch.nn.functional.cross_entropy(logits, ids[1:], reduction="none")
            total = total + each[torch.tensor(learned) - 1].sum()
            targets += len(learned)
        first = last
    return total, targets


def learning_rate(step, steps, lr, min_lr, warmup, decay, decay_steps):
    if step <= warmup:
        return lr * step / warmup
    end = decay_steps or steps
    done = min(1, (step - warmup) / (end - warmup))
    if decay == "cosine":
        return min_lr + (lr - min_lr) * (1 + math.cos(math.pi * done)) / 2
    if decay == "linear":
        return lr + (min_lr - lr) * done
    if decay == "wsd":
        return lr + (min_lr - lr) * max(0, (step - (steps - decay_steps)) / decay_steps)
    return lr


def read_documents(folder, name, mask):
    with open(f"{folder}/{name}", encoding="utf-8") as file:
        if name.endswith(".txt"):
            return [(list(file.read().encode()), 0)]
        documents = []
        for line in file:
            fields = json.loads(line)
            prompt, rest = fields.get("prompt", "").encode(), fields.get("answer", fields.get("text", "")).encode()
            documents.append((list(prompt + rest) + [0], len(prompt) if mask == "prompt" else 0))
        return documents


def train(model, folder, run):
    tokens, held_out = (Tokens(read_documents(folder, run[name], run.get("mask"))) for name in ("train", "valid"))
    model = model.double().train()
    decay = [p for p in model.parameters() if p.dim() > 1]
    rest = [p for p in model.parameters() if p.dim() == 1]
    adamw = torch.optim.AdamW([{"params": decay, "weight_decay": run["weight_decay"]}, {"params": rest, "weight_decay": 0.0}],
                              betas=(run["beta1"], run["beta2"]), eps=run["eps"])
    lines, seen = [], 0
    for step in range(1, run["steps"] + 1):
        rate = learning_rate(step, run["steps"], run["lr"], run["min_lr"], run["warmup"], run["decay"], run["decay_steps"])
        for group in adamw.param_groups:
            group["lr"] = rate
        adamw.zero_grad()
        total, targets = 0, 0
        for sample in range((step - 1) * run["batch"], step * run["batch"]):
            window = training_window(tokens, run["length"], run["pack"], SEED, sample)
            loss, count = window_loss(model, tokens, *window)
            total, targets = total + loss, targets + count
        loss = total / targets
        loss.backward()
        norm = float(torch.nn.utils.clip_grad_norm_(model.parameters(), run["clip"] or math.inf))
        adamw.step()
        seen += targets
        lines.append(dict(event="step", step=step, loss=loss.item(), grad_norm=norm, lr=rate, tokens=seen))
        if step % run["eval_every"] == 0 or step == run["steps"]:
            with torch.no_grad():
                parts = [window_loss(model, tokens=held_out, start=s, count=c)
                         for s, c in evaluation_windows(held_out, run["length"], run["pack"], run["eval_tokens"])]
            targets_of = sum(count for _, count in parts)
            lines.append(dict(event="eval", step=step, loss=sum(float(loss) for loss, _ in parts) / targets_of, tokens=targets_of))
    return lines


COMMON = dict(steps=20, eval_every=7, beta1=0.9, beta2=0.95, eps=1e-8, decay_steps=20)
RUNS = {
    # More than two epochs of windows of one text; clipping at work in the first steps.
    "gpt2_packed": dict(COMMON, family="gpt2", train="text.txt", valid="valid.txt", length=16, pack=True, batch=4, micro=2,
                        lr=3e-3, min_lr=3e-4, warmup=4, decay="cosine", weight_decay=0.2, clip=1.5, eval_tokens=64),
    # Prompts that are given, one document a row, a third epoch, microbatches of one row.
    "llama_prompts": dict(COMMON, family="llama", train="lines.jsonl", valid="valid.txt", length=24, pack=False, batch=3, micro=1,
                          lr=2e-3, min_lr=0.0, warmup=3, decay="linear", weight_decay=0.0, clip=0.0, eval_tokens=0, mask="prompt"),
    # Several documents in a window, rows of a batch that 2 does not divide, the end of the rate's way in the last steps.
    "gpt2_documents": dict(COMMON, family="gpt2", train="lines.jsonl", valid="valid.txt", length=20, pack=True, batch=6, micro=3,
                           lr=1e-3, min_lr=1e-4, warmup=0, decay="wsd", decay_steps=5, weight_decay=0.1, clip=0.75, eval_tokens=40),
}


def flags(run):
    pairs = dict([
        ("data.pack", str(run["pack"]).lower()), ("data.mask", run.get("mask", "none")), ("data.seq_len", run["length"]),
        ("data.tokenizer", "bytes"), ("train.global_batch", run["batch"]), ("train.micro_batch", run["micro"]),
        ("train.eval_every", run["eval_every"]), ("train.eval_tokens", run["eval_tokens"]), ("optim.lr", run["lr"]),
        ("optim.min_lr", run["min_lr"]), ("optim.warmup", run["warmup"]), ("optim.decay", run["decay"]),
        ("optim.decay_steps", run["decay_steps"]), ("optim.beta1", run["beta1"]), ("optim.beta2", run["beta2"]),
        ("optim.eps", run["eps"]), ("optim.weight_decay", run["weight_decay"]), ("optim.clip", run["clip"]),
        ("run.seed", SEED), ("model.init", "weights"), ("model.dropout", 0)])
    return "".join(f"--{key}={value}\n" for key, value in pairs.items())


def write_data(folder):
    with open(f"{folder}/text.txt", "w", encoding="utf-8") as file:
        file.write(text(130, 3) + ".\n")
    with open(f"{folder}/valid.txt", "w", encoding="utf-8") as file:
        file.write(text(21, 8) + "\n")
    with open(f"{folder}/lines.jsonl", "w", encoding="utf-8") as file:
        for number in range(27):
            if number % 5 == 4:
                line = dict(text=text(number % 4 + 2, number))
            else:
                line = dict(prompt=text(number % 3 + 1, number) + ": ", answer=text(number % 2 + 1, number * 7))
            file.write(json.dumps(line) + "\n")


def main():
    out = sys.argv[1]
    os.makedirs(out, exist_ok=True)
    write_data(out)
    for name, run in RUNS.items():
        folder = f"{out}/{name}"
        os.makedirs(folder, exist_ok=True)
        torch.manual_seed(SEED)
        if run["family"] == "gpt2":
            model = transformers.GPT2LMHeadModel(transformers.GPT2Config(**GPT2, attn_implementation="eager"))
        else:
            model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**LLAMA, attn_implementation="eager"))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.05)
        model.save_pretrained(folder)
        os.path.exists(f"{folder}/generation_config.json") and os.remove(f"{folder}/generation_config.json")
        with open(f"{folder}/flags", "w", encoding="utf-8") as file:
            file.write(flags(run) + f"--data.train={run['train']}\n--data.valid={run['valid']}\n")
        lines = train(model, out, run)
        with open(f"{folder}/expected.jsonl", "w", encoding="utf-8") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)
        print(f"{name}: loss {lines[0]['loss']:.6f} to {lines[-2]['loss']:.6f}")
    with open(f"{out}/versions.txt", "w", encoding="utf-8") as file:
        file.write(f"torch {torch.__version__}, transformers {transformers.__version__}\n")


if __name__ == "__main__":
    main()
