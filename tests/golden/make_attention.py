"""Writes attention.json: attention and cross-entropy by PyTorch in fp64, from fp32 inputs.

    python tests/golden/make_attention.py > tests/golden/attention.json

Dropout masks come from a Philox4x32-10 of this file's own, after Salmon et al. (SC 2011), so that llmrun/random.h is
checked as well.
"""
import json
import platform

import torch

MASK = 0xFFFFFFFF


def philox(counter, key):
    c, k = list(counter), list(key)
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(p1 >> 32) ^ c[1] ^ k[0], p1 & MASK, (p0 >> 32) ^ c[3] ^ k[1], p0 & MASK]
        k = [(k[0] + 0x9E3779B9) & MASK, (k[1] + 0xBB67AE85) & MASK]
    return c


def random_word(random, element):
    block = element // 4
    return philox([block & MASK, block >> 32, random[2], random[4]], random[:2])[element % 4]


def numbers(tensor):
    return [float(f"{x:.9g}") for x in tensor.detach().double().flatten().tolist()]


def normal(generator, *shape):
    return torch.randn(*shape, generator=generator, dtype=torch.float32).double()


def keep_mask(case, random):
    threshold = int(case["dropout"] * 2**32)
    heads, sequence = case["heads"], case["sequence"]
    mask = torch.ones(case["sequences"], heads, sequence, sequence, dtype=torch.float64)
    for b in range(case["sequences"]):
        for h in range(heads):
            for i in range(sequence):
                token = (random[3] + b) * sequence + i
                for j in range(i + 1):
                    word = random_word(random, (token * heads + h) * sequence + j)
                    mask[b, h, i, j] = 0.0 if word < threshold else 1.0 / (1.0 - case["dropout"])
    return mask


def attention(seed, sequences, sequence, heads, kv_heads, width, starts, dropout):
    generator = torch.Generator().manual_seed(seed)
    case = dict(seed=seed, sequences=sequences, sequence=sequence, heads=heads, kv_heads=kv_heads, width=width,
                scale=0.5, dropout=dropout)
    random = [123456789, 42, 7, 3, 1000 + seed]
    q = normal(generator, sequences, sequence, heads, width).requires_grad_()
    k = normal(generator, sequences, sequence, kv_heads, width).requires_grad_()
    v = normal(generator, sequences, sequence, kv_heads, width).requires_grad_()
    do = normal(generator, sequences, sequence, heads, width)
    group = heads // kv_heads
    scores = 0.5 * torch.einsum("bihd,bjhd->bhij", q, k.repeat_interleave(group, 2))
    position = torch.arange(sequence)
    seen = (position[None, :] <= position[:, None]) & (position[None, :] >= torch.tensor(starts)[:, None])
    scores = scores.masked_fill(~seen, float("-inf"))
    weights = torch.softmax(scores, -1)
    if dropout > 0:
        weights = weights * keep_mask(case, random)
    o = torch.einsum("bhij,bjhd->bihd", weights, v.repeat_interleave(group, 2))
    o.backward(do)
    case.update(random=random, segment_starts=starts * sequences, q=numbers(q), k=numbers(k), v=numbers(v),
                do=numbers(do), o=numbers(o), lse=numbers(torch.logsumexp(scores, -1).transpose(1, 2)),
                dq=numbers(q.grad), dk=numbers(k.grad), dv=numbers(v.grad))
    return case


def loss(seed, sequences, sequence, width, rows, vocabulary):
    generator = torch.Generator().manual_seed(seed)
    x = normal(generator, sequences * sequence, width).requires_grad_()
    w = normal(generator, rows, width).requires_grad_()
    targets = torch.randint(0, vocabulary, (sequences * sequence,), generator=generator)
    weights = torch.rand(sequences * sequence, generator=generator).double()
    weights[1] = 0.0
    scale = 0.125
    each = torch.nn.functional.cross_entropy(x @ w[:vocabulary].T, targets, reduction="none") * weights
    (each.sum() * scale).backward()
    targets[1] = -1  # without weight any target will do
    return dict(seed=seed, sequences=sequences, sequence=sequence, width=width, rows=rows, vocabulary=vocabulary,
                scale=scale, x=numbers(x), w=numbers(w), targets=targets.tolist(), weights=numbers(weights),
                losses=numbers(each.view(sequences, sequence).sum(1)), dx=numbers(x.grad), dw=numbers(w.grad))


print(json.dumps({
    "made_by": "tests/golden/make_attention.py",
    "versions": {"python": platform.python_version(), "torch": torch.__version__},
    "attention": [
        attention(1, 1, 7, 1, 1, 4, [0] * 7, 0.0),
        attention(2, 2, 9, 4, 2, 6, [0, 0, 0, 0, 4, 4, 4, 7, 7], 0.0),
        attention(3, 2, 8, 3, 1, 4, [0, 0, 2, 2, 2, 2, 2, 2], 0.25),
    ],
    "loss": [loss(4, 2, 5, 6, 24, 21), loss(5, 1, 4, 3, 40, 40)],
}))
