"""Values of the ops by PyTorch (and transformers) in fp64, from fp32 inputs, as tests/golden/ops.txt.

    python tests/golden/make_ops.py > tests/golden/ops.txt

One array a line: name, number of elements, elements as hexadecimal floating-point numbers."""

import platform

import torch
import torch.nn.functional as F
import transformers
from transformers.models.llama.modeling_llama import LlamaConfig, LlamaRotaryEmbedding, apply_rotary_pos_emb

torch.manual_seed(20)


def write(name, values):
    values = torch.as_tensor(values).detach().double().flatten().tolist()
    print(name, len(values), *(v.hex() for v in values))


def random(*shape):
    """fp32 numbers, held in fp64."""
    return torch.randn(*shape).double()


def gelu():
    x = torch.cat([torch.linspace(-12, 12, 97), torch.tensor([1e-30, -1e-30, 1e-3, -0.7524])]).double()
    x.requires_grad_()
    y = F.gelu(x, approximate="tanh")
    dy = random(*x.shape)
    y.backward(dy)
    write("gelu.x", x)
    write("gelu.y", y)
    write("gelu.dy", dy)
    write("gelu.dx", x.grad)


def layernorm():
    tokens, channels = 6, 67
    x, residual, dy, dsum = (random(tokens, channels) for _ in range(4))
    weight, bias = random(channels), random(channels)
    total = (x + residual).float().double().requires_grad_()
    weight.requires_grad_()
    bias.requires_grad_()
    y = F.layer_norm(total, (channels,), weight, bias, eps=1e-5)
    y.backward(dy)
    for name, value in {"x": x, "residual": residual, "weight": weight, "bias": bias, "residual_out": total, "y": y, "dy": dy,
                        "dresidual_out": dsum, "dx": total.grad + dsum, "dweight": weight.grad, "dbias": bias.grad}.items():
        write("layernorm." + name, value)
    write("layernorm.mean", total.mean(1))
    write("layernorm.rstd", (total.var(1, correction=0) + 1e-5).rsqrt())


def embedding():
    ids = torch.randint(0, 11, (23,))
    table, addend, dy = random(11, 19), random(23, 19), random(23, 19)
    table.requires_grad_()
    y = F.embedding(ids, table)
    y.backward(dy)
    for name, value in {"ids": ids, "table": table, "addend": addend, "y": y + addend, "dy": dy,
                        "dtable": table.grad}.items():
        write("embedding." + name, value)


def adamw():
    """Coefficients that fp32 holds exactly, so that both sides compute with the same ones."""
    parameter = torch.nn.Parameter(random(37))
    optimizer = torch.optim.AdamW([parameter], lr=0.0078125, betas=(0.875, 0.96875), eps=2**-20, weight_decay=0.125)
    write("adamw.parameter0", parameter)
    for step in (1, 2, 3):
        parameter.grad = random(37)
        write(f"adamw.gradient{step}", parameter.grad)
        optimizer.step()
        write(f"adamw.parameter{step}", parameter)


def clip():
    gradients = [random(50), random(7, 9)]
    parameters = [torch.nn.Parameter(torch.zeros_like(g)) for g in gradients]
    for parameter, gradient in zip(parameters, gradients):
        parameter.grad = gradient.clone()
    write("clip.a", gradients[0])
    write("clip.b", gradients[1])
    write("clip.norm", torch.nn.utils.clip_grad_norm_(parameters, 1.5))
    write("clip.scaled_a", parameters[0].grad)


def cast():
    bits = torch.tensor([0x3f800000, 0x3f808000, 0x3f818000, 0x3f808001, 0x7f7fffff, 0x00000001, 0x00018000, 0x80008000,
                         0xbf7f7fff, 0x007fffff, 0x7f800000, 0x3effffff])
    x = bits.to(torch.int32).view(torch.float32)
    write("cast.x", x)
    write("cast.bf16", x.bfloat16())


def normal():
    words = torch.cat([torch.tensor([0, 1, 1000, 2**31 - 1, 2**31, 2**32 - 1]), torch.randint(0, 2**32, (60,)),
                       torch.randint(0, 2**20, (30,)), 2**32 - torch.randint(1, 2**20, (30,))])
    write("normal.words", words)
    write("normal.z", torch.special.ndtri((words.double() + 0.5) / 2**32))


def rmsnorm():
    tokens, channels = 6, 67
    x, residual, dy, dsum = (random(tokens, channels) for _ in range(4))
    weight = random(channels).requires_grad_()
    total = (x + residual).float().double().requires_grad_()
    y = F.rms_norm(total, (channels,), weight, eps=1e-5)
    y.backward(dy)
    for name, value in {"x": x, "residual": residual, "weight": weight, "residual_out": total, "y": y, "dy": dy, "dresidual_out": dsum,
                        "dx": total.grad + dsum, "dweight": weight.grad}.items():
        write("rmsnorm." + name, value)
    write("rmsnorm.rstd", (total.square().mean(1) + 1e-5).rsqrt())


def swiglu():
    gate = torch.cat([torch.linspace(-40, 40, 97), torch.tensor([1e-30, -1e-30, 1e-3, -1.2784645])]).double()
    gate.requires_grad_()
    up, dy = random(*gate.shape).requires_grad_(), random(*gate.shape)
    y = F.silu(gate) * up
    y.backward(dy)
    for name, value in {"gate": gate, "up": up, "y": y, "dy": dy, "dgate": gate.grad, "dup": up.grad}.items():
        write("swiglu." + name, value)


def rope():
    """apply_rotary_pos_emb of transformers, for one sequence of 2 heads of width 6."""
    tokens, heads, width, rows = 7, 2, 6, 11
    x = random(tokens, heads * width).requires_grad_()
    dy = random(tokens, heads * width)
    positions = torch.tensor([0, 1, 2, 10, 5, 5, 7])
    angles = torch.outer(torch.arange(rows).double(), 100.0 ** (-torch.arange(0, width, 2).double() / width))
    cosines, sines = angles.cos().float().double(), angles.sin().float().double()
    full = [torch.cat((table[positions], table[positions]), dim=-1)[None] for table in (cosines, sines)]
    heads_first = x.view(1, tokens, heads, width).transpose(1, 2)
    y, _ = apply_rotary_pos_emb(heads_first, heads_first, *full)
    y = y.transpose(1, 2).reshape(tokens, heads * width)
    y.backward(dy)
    for name, value in {"x": x, "positions": positions, "cosines": cosines, "sines": sines, "y": y, "dy": dy,
                        "dx": x.grad}.items():
        write("rope." + name, value)


def rope_tables():
    """Frequencies, and cosines and sines at some positions, of LlamaRotaryEmbedding in fp32."""
    scalings = {"default": {"rope_type": "default"}, "linear": {"rope_type": "linear", "factor": 2.5},
                "llama3": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                           "original_max_position_embeddings": 8192}}
    positions = torch.tensor([[0, 1, 100, 2047]])
    write("rope_tables.positions", positions)
    for name, scaling in scalings.items():
        config = LlamaConfig(hidden_size=512, num_attention_heads=4, head_dim=128, max_position_embeddings=16384,
                             rope_parameters={"rope_theta": 500000.0, **scaling})
        embedding = LlamaRotaryEmbedding(config)
        cosines, sines = embedding(torch.zeros(1), positions)
        write(f"rope_tables.{name}.frequencies", embedding.inv_freq)
        write(f"rope_tables.{name}.cosines", cosines[..., :64])
        write(f"rope_tables.{name}.sines", sines[..., :64])


def functions():
    x = torch.cat([torch.linspace(-103, 88, 201), torch.tensor([1e-10, -1e-10, 0.34, -0.35])])
    write("exp.x", x)
    write("exp.y", x.double().exp())
    x = torch.cat([torch.logspace(-44, 38, 201), torch.linspace(0.3, 3, 100)])
    write("log.x", x)
    write("log.y", x.double().log())


if __name__ == "__main__":
    print(f"# make_ops.py: PyTorch {torch.__version__}, transformers {transformers.__version__}, Python {platform.python_version()}")
    for make in (gelu, layernorm, embedding, adamw, clip, cast, normal, functions, rmsnorm, swiglu, rope, rope_tables):
        make()
