"""Writes the golden files of small LLaMAs from PyTorch and Hugging Face transformers, in fp32 (golden_model.py says what is in
them): tests/golden/llama_<shape>.safetensors.

    python tests/golden/make_llama.py tests/golden
"""
import argparse
import json
import os

import golden_model
import torch
import transformers

BASE = dict(vocab_size=100, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
            max_position_embeddings=80, rms_norm_eps=1e-5, initializer_range=0.1)
LLAMA3 = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=64)
SHAPES = {
    "mha": dict(num_key_value_heads=4),
    "gqa": dict(),
    "mqa": dict(num_key_value_heads=1, head_dim=16),
    "tied": dict(tie_word_embeddings=True),
    "linear": dict(rope_parameters=dict(rope_type="linear", factor=2.5, rope_theta=10000.0)),
    "llama3": dict(rope_parameters=dict(**LLAMA3, rope_theta=10000.0)),
}


def ours(name, tensor):
    return [(name, golden_model.padded(tensor) if "embed_tokens" in name or "lm_head" in name else tensor)]


def text(value):
    return value if isinstance(value, str) else json.dumps(value)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    options = parser.parse_args()

    for shape, keys in SHAPES.items():
        torch.manual_seed(20240602)
        settings = {**BASE, **keys}
        config = transformers.LlamaConfig(**settings, attn_implementation="eager")
        model = transformers.LlamaForCausalLM(config).float().train()
        golden_model.shift_vectors(model)
        golden_model.write(model, {key: text(value) for key, value in settings.items()}, ours,
                           os.path.join(options.folder, f"llama_{shape}.safetensors"), 2, 72, 20)


if __name__ == "__main__":
    main()
