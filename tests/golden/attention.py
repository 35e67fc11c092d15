"""Writes reference values of attention among all tokens and its gradients: six heads of 64 channels, as in ViT-S.

    python -m pip install torch==2.15.0 safetensors numpy
    python tests/golden/attention.py

Queries, keys, values, angles and the gradient of the output are those of formula.py, so that the file holds results alone, and of
these what tells whether they are right: the norm, sums with random signs, and a sample.
"""

from pathlib import Path

import torch
from safetensors.torch import save_file

from formula import scaled, uniform

HEADS, HEAD = 6, 64
CHANNELS = HEADS * HEAD
TOKENS = (50, 257, 1370)
# Class and register tokens are not rotated.
UNROTATED = 5
SUMS, SAMPLES = 8, 512


def turned(x: torch.Tensor, angles: torch.Tensor) -> torch.Tensor:
    """Channels i and i + 32 of a head as one complex number, times a number of length 1."""
    turn = torch.polar(torch.ones_like(angles), angles)
    x = torch.complex(*x.chunk(2, -1)) * turn
    return torch.cat([x.real, x.imag], -1)


def attention(qkv: torch.Tensor, angles: torch.Tensor | None) -> torch.Tensor:
    query, key, value = qkv.unflatten(-1, (3, HEADS, HEAD)).permute(2, 0, 3, 1, 4)
    if angles is not None:
        query, key = turned(query, angles), turned(key, angles)
    scores = query @ key.transpose(-1, -2) / HEAD**0.5
    return (scores.softmax(-1) @ value).transpose(1, 2).flatten(2)


def summary(name: str, values: torch.Tensor) -> dict[str, torch.Tensor]:
    flat = values.detach().flatten()
    step = len(flat) // SAMPLES | 1
    signs = [uniform(f"signs.{index}", [len(flat)]).double().sign() for index in range(SUMS)]
    # A sign of zero would leave a value out.
    sums = torch.stack([(torch.where(sign < 0, -1.0, 1.0) * flat).sum() for sign in signs])
    return {f"{name}.norm": flat.norm().reshape(1), f"{name}.sums": sums, f"{name}.sample": flat[::step]}


def main() -> None:
    found = {}
    for tokens in TOKENS:
        qkv = scaled("qkv", [1, tokens, 3 * CHANNELS], 2.0).double().requires_grad_()
        grad = uniform("grad", [1, tokens, CHANNELS]).double()
        angles = scaled("angles", [tokens, HEAD // 2], 3.0).double()
        angles[:UNROTATED] = 0
        for name, turns in (("plain", None), ("rotary", angles)):
            output = attention(qkv, turns)
            if turns is None:
                # PyTorch's own operator says the same.
                parts = qkv.unflatten(-1, (3, HEADS, HEAD)).permute(2, 0, 3, 1, 4)
                own = torch.nn.functional.scaled_dot_product_attention(*parts).transpose(1, 2).flatten(2)
                torch.testing.assert_close(own, output, rtol=0, atol=1e-12)
            (gradient,) = torch.autograd.grad(output, qkv, grad)
            case = f"{tokens}.{name}"
            found |= summary(f"{case}.output", output)
            for part, values in zip(("query", "key", "value"), gradient.chunk(3, -1)):
                found |= summary(f"{case}.{part}", values)
    path = Path(__file__).parent / "attention.safetensors"
    save_file({key: value.float().contiguous() for key, value in found.items()}, path)
    path.chmod(0o644)


if __name__ == "__main__":
    main()
