"""Writes golden files of GPT-2 from PyTorch and Hugging Face transformers, in fp32.

    python tests/golden/make_gpt2.py tests/golden/gpt2_tiny.safetensors
    python tests/golden/make_gpt2.py --model gpt2 --batch 4 --length 64 --steps 0 OUT.safetensors

A file holds the initial weights ("weight.<name>"), one batch ("tokens", "targets", "weights"), its loss ("loss"), every gradient
("gradient.<name>") and the losses of `steps` steps of AdamW on that batch ("losses"), with the versions and settings in its
metadata. Names and forms are llmrun's: Q, K and V apart, matrices [out, in], the vocabulary padded with zero rows.
"""
import argparse

import numpy as np
import torch
import transformers
from safetensors.torch import save_file

TINY = dict(n_layer=2, n_embd=64, n_head=4, n_positions=48, vocab_size=500)
OPTIMIZER = dict(lr=1e-3, beta1=0.9, beta2=0.95, eps=1e-8, weight_decay=0.1, clip=1.0)


def ours(name, tensor, config):
    """One tensor of transformers as a list of (name, tensor) of llmrun."""
    name = name.removeprefix("transformer.")
    if name == "wte.weight":
        rows = -(-config.vocab_size // 64) * 64
        return [(name, torch.nn.functional.pad(tensor, (0, 0, 0, rows - tensor.shape[0])))]
    if "c_attn" in name:
        parts = tensor.split(config.n_embd, dim=-1)
        return [(name.replace("c_attn", p + "_proj"), t.T if t.dim() == 2 else t) for p, t in zip("qkv", parts)]
    if tensor.dim() == 2 and name != "wpe.weight":
        tensor = tensor.T
    return [(name, tensor)]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out")
    parser.add_argument("--model", default="tiny", help="tiny or gpt2")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--length", type=int, default=40)
    parser.add_argument("--steps", type=int, default=20)
    options = parser.parse_args()

    torch.manual_seed(20240601)
    shape = TINY if options.model == "tiny" else {}
    config = transformers.GPT2Config(**shape, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0, attn_implementation="eager")
    model = transformers.GPT2LMHeadModel(config).float().train()
    with torch.no_grad():  # biases and norms away from 0 and 1, so that an error in them is seen
        for name, parameter in model.named_parameters():
            if parameter.dim() == 1:
                parameter.add_(torch.randn_like(parameter) * 0.02)

    rows = torch.randint(0, config.vocab_size, (options.batch, options.length + 1))
    tokens, targets = rows[:, :-1].contiguous(), rows[:, 1:].contiguous()
    weights = (torch.rand(tokens.shape) > 0.1).float()

    def loss_of():
        logits = model(tokens).logits
        each = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
        return (each * weights.flatten()).sum() / weights.sum()

    tensors = {"tokens": tokens.int(), "targets": targets.int(), "weights": weights}

    def put(prefix, name, tensor):
        for own, part in ours(name, tensor.detach(), config):
            tensors[prefix + own] = part.contiguous().clone()

    for name, parameter in model.named_parameters():
        put("weight.", name, parameter)
    loss = loss_of()
    loss.backward()
    tensors["loss"] = loss.detach().double().reshape(1)
    for name, parameter in model.named_parameters():
        put("gradient.", name, parameter.grad)

    decay = [p for p in model.parameters() if p.dim() > 1]
    rest = [p for p in model.parameters() if p.dim() == 1]
    adamw = torch.optim.AdamW(
        [{"params": decay, "weight_decay": OPTIMIZER["weight_decay"]}, {"params": rest, "weight_decay": 0.0}],
        lr=OPTIMIZER["lr"], betas=(OPTIMIZER["beta1"], OPTIMIZER["beta2"]), eps=OPTIMIZER["eps"])
    losses, norms = [], []
    for _ in range(options.steps):
        adamw.zero_grad()
        loss = loss_of()
        loss.backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(model.parameters(), OPTIMIZER["clip"])))
        adamw.step()
        losses.append(float(loss.detach()))
    tensors["losses"] = torch.tensor(losses, dtype=torch.float64)
    tensors["norms"] = torch.tensor(norms, dtype=torch.float64)

    metadata = {"torch": torch.__version__, "transformers": transformers.__version__, "numpy": np.__version__,
                "model": options.model, "n_layer": str(config.n_layer), "n_embd": str(config.n_embd),
                "n_head": str(config.n_head), "n_positions": str(config.n_positions), "vocab_size": str(config.vocab_size),
                "batch": str(options.batch), "length": str(options.length)}
    metadata.update({key: repr(value) for key, value in OPTIMIZER.items()})
    save_file(tensors, options.out, metadata=metadata)
    print(f"{options.out}: loss {float(tensors['loss']):.9f}, {len(tensors)} tensors")


if __name__ == "__main__":
    main()
