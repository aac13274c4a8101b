"""Writes golden files of GPT-2 from PyTorch and Hugging Face transformers, in fp32 (golden_model.py says what is in them).

    python tests/golden/make_gpt2.py tests/golden/gpt2_tiny.safetensors
    python tests/golden/make_gpt2.py --model gpt2 --batch 4 --length 64 --steps 0 OUT.safetensors
"""
import argparse

import golden_model
import torch
import transformers

TINY = dict(n_layer=2, n_embd=64, n_head=4, n_positions=80, vocab_size=500, initializer_range=0.1)


def ours(config):
    """Q, K and V apart, matrices [out, in]."""

    def convert(name, tensor):
        name = name.removeprefix("transformer.")
        if name == "wte.weight":
            return [(name, golden_model.padded(tensor))]
        if "c_attn" in name:
            parts = tensor.split(config.n_embd, dim=-1)
            return [(name.replace("c_attn", p + "_proj"), t.T if t.dim() == 2 else t) for p, t in zip("qkv", parts)]
        if tensor.dim() == 2 and name != "wpe.weight":
            tensor = tensor.T
        return [(name, tensor)]

    return convert


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out")
    parser.add_argument("--model", default="tiny", help="tiny or gpt2")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--length", type=int, default=72)
    parser.add_argument("--steps", type=int, default=20)
    options = parser.parse_args()

    torch.manual_seed(20240601)
    shape = TINY if options.model == "tiny" else {}
    config = transformers.GPT2Config(**shape, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0, attn_implementation="eager")
    model = transformers.GPT2LMHeadModel(config).float().train()
    golden_model.shift_vectors(model)
    keys = {key: str(getattr(config, key)) for key in ("n_layer", "n_embd", "n_head", "n_positions", "vocab_size")}
    golden_model.write(model, keys, ours(config), options.out, options.batch, options.length, options.steps)


if __name__ == "__main__":
    main()
