"""Makes reference.safetensors with the safetensors package, for tests/unit/checkpoint/test_safetensors.c.

Made with safetensors 0.8.0 and torch 2.15.0: python make_safetensors.py
"""

import pathlib

import torch
from safetensors.torch import save_file

tensors = {
    "float": torch.arange(6, dtype=torch.float32).reshape(2, 3) / 4,
    "brain": torch.tensor([1.5, -2.0, 3.0], dtype=torch.bfloat16),
    "half": torch.tensor([[0.5], [65504.0]], dtype=torch.float16),
    "eight": torch.tensor([448.0, -0.5], dtype=torch.float8_e4m3fn),
    "long": torch.tensor([2**40, -1]),
    "truth": torch.tensor([True, False, True]),
    "scalar": torch.tensor(7, dtype=torch.int32),
    "empty": torch.zeros(3, 0, dtype=torch.float64),
    "übung/λ": torch.tensor([255], dtype=torch.uint8),
}
path = pathlib.Path(__file__).with_name("reference.safetensors")
save_file(tensors, path, metadata={"format": "pt", "made_by": "safetensors"})
