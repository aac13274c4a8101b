"""What make_gpt2.py and make_decoders.py share: what a model of transformers computes, as a file for model_check.

A file holds the initial weights ("weight.<name>"), one batch ("tokens", "targets", "weights"), its loss ("loss", and "loss_bf16" with
model and arithmetic in bf16), the logits of its first sequence ("logits"), the greedy tokens after the first PROMPT tokens of that
sequence ("greedy"), every gradient ("gradient.<name>") and the losses and gradient norms of `steps` steps of AdamW on that batch
("losses", "norms"), with versions, settings and the keys of the model's config in its metadata. Names and forms are llmrun's:
matrices [out, in], the vocabulary padded with zero rows."""
import copy

import numpy as np
import torch
import transformers
from safetensors.torch import save_file

OPTIMIZER = dict(lr=1e-3, beta1=0.9, beta2=0.95, eps=1e-8, weight_decay=0.1, clip=1.0)
PROMPT = 8


def padded(tensor):
    """The rows of a vocabulary, up to a multiple of 64."""
    rows = -(-tensor.shape[0] // 64) * 64
    return torch.nn.functional.pad(tensor, (0, 0, 0, rows - tensor.shape[0]))


def shift_vectors(model):
    """Biases and norms away from 0 and 1, so that an error in them is seen."""
    with torch.no_grad():
        for _, parameter in model.named_parameters():
            if parameter.dim() == 1:
                parameter.add_(torch.randn_like(parameter) * 0.02)


def make_batch(vocabulary, batch, length):
    rows = torch.randint(0, vocabulary, (batch, length + 1))
    tokens, targets = rows[:, :-1].contiguous(), rows[:, 1:].contiguous()
    return tokens, targets, (torch.rand(tokens.shape) > 0.1).float()


def loss_of(model, tokens, targets, weights):
    logits = model(tokens).logits.float()
    each = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
    return (each * weights.flatten()).sum() / weights.sum()


def greedy(model, tokens, count):
    """Without a cache, so that nothing but the forward pass decides."""
    for _ in range(count):
        tokens = torch.cat((tokens, model(tokens).logits[:, -1:].argmax(-1)), dim=1)
    return tokens[0, -count:]


def train(model, batch, steps):
    decay = [p for p in model.parameters() if p.dim() > 1]
    rest = [p for p in model.parameters() if p.dim() == 1]
    adamw = torch.optim.AdamW(
        [{"params": decay, "weight_decay": OPTIMIZER["weight_decay"]}, {"params": rest, "weight_decay": 0.0}],
        lr=OPTIMIZER["lr"], betas=(OPTIMIZER["beta1"], OPTIMIZER["beta2"]), eps=OPTIMIZER["eps"])
    losses, norms = [], []
    for _ in range(steps):
        adamw.zero_grad()
        loss = loss_of(model, *batch)
        loss.backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(model.parameters(), OPTIMIZER["clip"])))
        adamw.step()
        losses.append(float(loss.detach()))
    return torch.tensor(losses, dtype=torch.float64), torch.tensor(norms, dtype=torch.float64)


def write(model, keys, ours, out, batch, length, steps):
    """`keys` of the config as text; `ours` gives one tensor of transformers as a list of (name, tensor) of llmrun."""
    batch_tensors = tokens, targets, weights = make_batch(model.config.vocab_size, batch, length)
    tensors = {"tokens": tokens.int(), "targets": targets.int(), "weights": weights}

    def put(prefix, name, tensor):
        for own, part in ours(name, tensor.detach()):
            tensors[prefix + own] = part.contiguous().clone()

    for name, parameter in model.named_parameters():
        put("weight.", name, parameter)
    with torch.no_grad():
        tensors["logits"] = model(tokens[:1]).logits[0].contiguous()
        tensors["greedy"] = greedy(model, tokens[:1, :PROMPT], min(64, length - PROMPT)).int()
        tensors["loss_bf16"] = loss_of(copy.deepcopy(model).bfloat16(), *batch_tensors).double().reshape(1)
    loss = loss_of(model, *batch_tensors)
    loss.backward()
    tensors["loss"] = loss.detach().double().reshape(1)
    for name, parameter in model.named_parameters():
        put("gradient.", name, parameter.grad)
    tensors["losses"], tensors["norms"] = train(model, batch_tensors, steps)

    metadata = {"torch": torch.__version__, "transformers": transformers.__version__, "numpy": np.__version__,
                "model_type": model.config.model_type, "batch": str(batch), "length": str(length), "prompt": str(PROMPT)}
    metadata.update({key: repr(value) for key, value in OPTIMIZER.items()})
    metadata.update(keys)
    save_file(tensors, out, metadata=metadata)
    print(f"{out}: loss {float(loss.detach()):.9f}, {len(tensors)} tensors")
