"""The Swin that this project implements, stated with public code: timm's modules and weights.

A map is not shifted along an axis whose side fits in one window, as in timm and torchvision. Everywhere else timm rolls a map first and
pads it afterwards, which is the project's default. The Swin of the detection and segmentation papers (Microsoft, mmdetection,
torchvision) pads first and rolls afterwards; the two differ wherever a shifted block meets a map that is not a multiple of its
window. For that order (`pad_first`) torchvision's `shifted_window_attention` takes the place of timm's `_attn`.
"""

import types

import torch
from timm.models.swin_transformer import SwinTransformer, SwinTransformerBlock
from torch import nn
from torch.nn import functional as F
from torchvision.models.swin_transformer import shifted_window_attention

PATCH = 4


def attend_padded_then_shifted(block: SwinTransformerBlock, x: torch.Tensor) -> torch.Tensor:
    """Takes the place of timm's `SwinTransformerBlock._attn`; `x` is [batch, height, width, channels]."""
    height, width = x.shape[1:3]
    attention = block.attn
    window = attention.window_size[0]
    shift = [0 if side <= window else shift for side, shift in zip((height, width), block.target_shift_size)]
    return shifted_window_attention(
        x,
        attention.qkv.weight,
        attention.proj.weight,
        attention._get_rel_pos_bias(),
        [window, window],
        attention.num_heads,
        shift,
        qkv_bias=attention.qkv.bias,
        proj_bias=attention.proj.bias,
    )


def attend_shifted_then_padded(block: SwinTransformerBlock, x: torch.Tensor) -> torch.Tensor:
    """timm's own `_attn`, without shift along an axis whose side fits in the window."""
    shift = block.shift_size
    block.shift_size = tuple(0 if side <= window else step for side, window, step in zip(x.shape[1:3], block.window_size, shift))
    try:
        return SwinTransformerBlock._attn(block, x)
    finally:
        block.shift_size = shift


def use_shifted_then_padded(model: SwinTransformer) -> SwinTransformer:
    """Changes the blocks of a model made with `strict_img_size=False, always_partition=True`."""
    for stage in model.layers:
        for block in stage.blocks:
            block._attn = types.MethodType(attend_shifted_then_padded, block)
    return model


def use_padded_then_shifted(model: SwinTransformer) -> SwinTransformer:
    """Changes the attention of every block of a model made with `strict_img_size=False, always_partition=True`."""
    for stage in model.layers:
        for block in stage.blocks:
            block._attn = types.MethodType(attend_padded_then_shifted, block)
    return model


def pad_to_patches(images: torch.Tensor) -> torch.Tensor:
    """Zeros at the right and bottom, to a multiple of the patch."""
    height, width = images.shape[2:]
    return F.pad(images, (0, -width % PATCH, 0, -height % PATCH))


def stage_outputs(model: SwinTransformer, images: torch.Tensor) -> list[torch.Tensor]:
    """The four stage outputs, [batch, channels, height, width], before any output norm."""
    with torch.no_grad():
        return model.forward_intermediates(pad_to_patches(images), intermediates_only=True)


def randomise(model: nn.Module, generator: torch.Generator) -> None:
    """Weights that keep the signal's size, and norms, biases and bias tables far from their defaults."""
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if "norm" in name or ".bn" in name or name.startswith("bn"):
            value = 0.2 * noise + (1.0 if name.endswith("weight") else 0.0)
        elif name.endswith("relative_position_bias_table"):
            value = noise
        elif parameter.ndim == 1:
            value = 0.2 * noise
        else:
            value = noise / parameter[0].numel() ** 0.5
        parameter.data.copy_(value)


def randomise_batch_norms(model: nn.Module, generator: torch.Generator) -> None:
    """Running statistics near those of random images, so that a deep network neither explodes nor vanishes."""
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None  # the plain average over the passes below
        norm.reset_running_stats()
    model.train()
    with torch.no_grad():
        model(torch.randn(4, 3, 96, 96, generator=generator))
    model.eval()
    for norm in norms:
        channels = norm.running_mean.shape
        norm.running_mean += 0.1 * torch.randn(channels, generator=generator)
        norm.running_var *= 0.8 + 0.4 * torch.rand(channels, generator=generator)
