"""Writes the golden files of small LLaMAs, Qwens and Mistrals from PyTorch and Hugging Face transformers, in fp32 (golden_model.py says what is in
them): tests/golden/<family>_<shape>.safetensors.

    python tests/golden/make_decoders.py tests/golden
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
    "llama_mha": dict(num_key_value_heads=4),
    "llama_gqa": dict(),
    "llama_mqa": dict(num_key_value_heads=1, head_dim=16),
    "llama_tied": dict(tie_word_embeddings=True),
    "llama_linear": dict(rope_parameters=dict(rope_type="linear", factor=2.5, rope_theta=10000.0)),
    "llama_llama3": dict(rope_parameters=dict(**LLAMA3, rope_theta=10000.0)),
    "qwen2_gqa": dict(rope_parameters=dict(rope_type="default", rope_theta=1000000.0)),
    "qwen2_tied": dict(tie_word_embeddings=True),
    "qwen3_gqa": dict(head_dim=16),
    "qwen3_tied": dict(num_attention_heads=8, num_key_value_heads=4, head_dim=8, tie_word_embeddings=True),
    "mistral_gqa": dict(head_dim=16, sliding_window=72),
}
FAMILIES = {
    "llama": (transformers.LlamaConfig, transformers.LlamaForCausalLM),
    "qwen2": (transformers.Qwen2Config, transformers.Qwen2ForCausalLM),
    "qwen3": (transformers.Qwen3Config, transformers.Qwen3ForCausalLM),
    "mistral": (transformers.MistralConfig, transformers.MistralForCausalLM),
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
        make_config, make_model = FAMILIES[shape.split("_")[0]]
        model = make_model(make_config(**settings, attn_implementation="eager")).float().train()
        golden_model.shift_vectors(model)
        golden_model.write(model, {key: text(value) for key, value in settings.items()}, ours,
                           os.path.join(options.folder, f"{shape}.safetensors"), 2, 72, 20)


if __name__ == "__main__":
    main()
