"""Writes greedy texts of a small GPT-2 by Hugging Face transformers, in fp32.

    python tests/golden/make_generate.py tests/golden/generate_tiny.safetensors

The file holds the weights ("weight.<name>", as make_gpt2.py names them), prompts ("prompt.<i>") and the 64 most probable tokens after
each ("made.<i>"), with the versions in its metadata. The weights are large enough that the texts do not repeat themselves at once.
Of the two most probable tokens the first leads by at least "margin": less would be for the order of additions to decide.
"""
import sys

import torch
import transformers
from safetensors.torch import save_file

from make_gpt2 import ours

SHAPE = dict(n_layer=2, n_embd=32, n_head=2, n_positions=160, vocab_size=100)
PROMPTS = (1, 7, 63, 64, 65, 90)
TOKENS = 64


def main():
    torch.manual_seed(20240603)
    config = transformers.GPT2Config(**SHAPE, initializer_range=0.4, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0,
                                     bos_token_id=0, eos_token_id=None)
    model = transformers.GPT2LMHeadModel(config).float().eval()
    tensors, margin = {}, float("inf")
    for name, parameter in model.named_parameters():
        for own, part in ours(config)(name, parameter.detach()):
            tensors["weight." + own] = part.contiguous().clone()
    for index, length in enumerate(PROMPTS):
        prompt = torch.randint(0, config.vocab_size, (1, length))
        made = model.generate(prompt, attention_mask=torch.ones_like(prompt), do_sample=False, max_new_tokens=TOKENS,
                              min_new_tokens=TOKENS, pad_token_id=0)
        with torch.no_grad():
            top = model(made).logits[0, length - 1:-1].topk(2).values
        margin = min(margin, float((top[:, 0] - top[:, 1]).min()))
        assert made.shape[1] == length + TOKENS
        tensors[f"prompt.{index}"] = prompt[0].int()
        tensors[f"made.{index}"] = made[0, length:].int().contiguous()
        print(length, len(set(made[0, length:].tolist())), "different tokens", made[0, length:length + 12].tolist())
    assert margin > 3e-4, margin
    metadata = {"torch": torch.__version__, "transformers": transformers.__version__, "margin": repr(margin),
                "prompts": str(len(PROMPTS))}
    metadata.update({key: str(value) for key, value in SHAPE.items()})
    save_file(tensors, sys.argv[1], metadata=metadata)


if __name__ == "__main__":
    main()
