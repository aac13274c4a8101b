"""Training steps of GPT-2 in PyTorch, timed as `llmrun bench step` times its own.

A plain GPT-2 (Radford et al. 2019) with what is fast in PyTorch on a CPU: one matrix product for Q, K and V, fused causal
attention, fused AdamW, gradients set to None, vocabulary padded to a multiple of 64. Forward, loss, backward, clipping to norm 1
and the update are in the time. Prints one JSON object.
"""
import argparse
import json
import os
import resource
import time

import torch
from torch import nn
from torch.nn import functional

WARM_UP = 2
LIMIT = 0.05  # share of its time that a clean step may wait for processors
LEAST = 3
VOCABULARY, PADDED = 50257, 50304


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        batch, length, width = x.shape
        q, k, v = (part.view(batch, length, self.heads, width // self.heads).transpose(1, 2)
                   for part in self.qkv(self.norm1(x)).split(width, dim=2))
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(batch, length, width))
        return x + self.down(functional.gelu(self.up(self.norm2(x)), approximate="tanh"))


class Gpt2(nn.Module):
    def __init__(self, layers=12, width=768, heads=12, context=1024):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(PADDED, width), nn.Embedding(context, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, PADDED, bias=False)
        self.head.weight = self.tokens.weight
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                nn.init.normal_(weight, std=0.02)

    def forward(self, ids, targets):
        x = self.tokens(ids) + self.positions(torch.arange(ids.shape[1]))
        for block in self.blocks:
            x = block(x)
        logits = self.head(self.norm(x))
        return functional.cross_entropy(logits.view(-1, PADDED), targets.view(-1))


def waited_ns():
    total = 0
    for task in os.listdir("/proc/self/task"):
        try:
            with open(f"/proc/self/task/{task}/schedstat") as file:
                total += int(file.read().split()[1])
        except (FileNotFoundError, ProcessLookupError):
            pass
    return total


def make_step(model, options):
    # As in GPT-2's recipe: weight decay on matrices only.
    decayed = [w for w in model.parameters() if w.dim() == 2]
    others = [w for w in model.parameters() if w.dim() != 2]
    optimizer = torch.optim.AdamW([{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}],
                                  lr=6e-4, betas=(0.9, 0.95), **{options.adamw: True})
    run = torch.compile(model) if options.compile else model

    def step(ids, targets):
        with torch.autocast("cpu", torch.bfloat16, enabled=options.dtype == "bf16-autocast"):
            loss = run(ids, targets)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0, foreach=True)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss

    return step


def measure(step, options):
    samples, clean = [], 0
    generator = torch.Generator().manual_seed(1)
    while clean < options.repeat and len(samples) < options.patience * options.repeat + WARM_UP:
        ids, targets = torch.randint(VOCABULARY, (2, options.batch, options.length), generator=generator)
        waited, start = waited_ns(), time.monotonic_ns()
        loss = step(ids, targets).item()
        sample = {"ms": (time.monotonic_ns() - start) * 1e-6, "waited_ms": (waited_ns() - waited) * 1e-6, "loss": loss}
        samples.append(sample)
        clean += len(samples) > WARM_UP and sample["waited_ms"] <= LIMIT * sample["ms"]
    return samples[WARM_UP:]


def summarise(samples, options):
    ordered = sorted(samples, key=lambda s: s["waited_ms"] / s["ms"])
    kept = [s for i, s in enumerate(ordered) if i < LEAST or s["waited_ms"] <= LIMIT * s["ms"]]
    times = sorted(s["ms"] for s in kept)
    middle = len(times) // 2
    median = times[middle] if len(times) % 2 else (times[middle - 1] + times[middle]) / 2
    return {"bench": "torch step", "torch": torch.__version__, "dtype": options.dtype, "compile": options.compile,
            "threads": torch.get_num_threads(), "step_ms": median, "least_ms": times[0], "most_ms": times[-1], "kept": len(kept),
            "rejected": len(samples) - len(kept), "tokens_per_s": options.batch * options.length / median * 1e3,
            "rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, "loss": samples[-1]["loss"],
            "samples": samples}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--length", type=int, default=64)
    parser.add_argument("--dtype", choices=["fp32", "bf16-autocast", "bf16-pure"], default="fp32")
    parser.add_argument("--adamw", choices=["fused", "foreach"], default="fused")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--repeat", type=int, default=10)
    parser.add_argument("--patience", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(1337)
    model = Gpt2()
    if options.dtype == "bf16-pure":
        model = model.to(torch.bfloat16)
    print(json.dumps(summarise(measure(make_step(model, options), options), options)))


if __name__ == "__main__":
    main()
