"""Numbers that programs here and the Rust tests compute alike, so that no file has to hold them.

`tests/src/formula.rs` says the same. A number is a hash of a name and an index, in -1..1 and exact in single precision.
"""

from math import prod

import numpy as np
import torch

WORD = 0xFFFF_FFFF


def seed(name: str) -> int:
    """FNV-1a of 32 bits."""
    state = 0x811C_9DC5
    for byte in name.encode():
        state = ((state ^ byte) * 0x0100_0193) & WORD
    return state


def uniform(name: str, shape) -> torch.Tensor:
    """Numbers in -1..1, float32."""
    word = np.uint64(WORD)
    x = (np.arange(prod(shape), dtype=np.uint64) * np.uint64(0x9E37_79B1) + np.uint64(seed(name))) & word
    # The last steps of MurmurHash3.
    for shift, factor in ((16, 0x85EB_CA6B), (13, 0xC2B2_AE35)):
        x ^= x >> np.uint64(shift)
        x = (x * np.uint64(factor)) & word
    x ^= x >> np.uint64(16)
    values = (x >> np.uint64(8)).astype(np.float32) / np.float32(1 << 23) - np.float32(1)
    return torch.from_numpy(values.reshape(shape))


def scaled(name: str, shape, spread: float, offset: float = 0.0) -> torch.Tensor:
    """Uniform numbers times `spread`, then plus `offset`, each rounded to single precision."""
    return uniform(name, shape) * torch.tensor(spread, dtype=torch.float32) + torch.tensor(offset, dtype=torch.float32)


def parameter(name: str, shape) -> torch.Tensor:
    """A parameter that keeps the size of a signal: scales near 1, shifts near 0, products by the number of their inputs.

    Names and layouts are timm's ([outputs, ...]) of a backbone, and the modules' own ([inputs, outputs]) of a method.
    """
    last = name.rsplit(".", 1)[-1]
    is_norm = "norm" in name and last == "weight"
    if is_norm or last in ("gamma", "scale"):
        return scaled(name, shape, 0.2, 1.0)
    if len(shape) == 1:
        return scaled(name, shape, 0.2)
    if name in ("cls_token", "reg_token", "pos_embed"):
        return uniform(name, shape)
    is_method = name.startswith("sections.")
    inputs = shape[-2] if is_method else prod(shape[1:])
    return scaled(name, shape, (3 / inputs) ** 0.5)
