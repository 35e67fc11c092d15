"""The ConvNeXt that this project implements, stated with timm's modules and weights.

Where the side of a map is no multiple of a stride, timm's convolutions leave out what remains; here the input of the convolution is
padded with zeros at the right and bottom. For other sizes the two are the same.
"""

import torch
from timm.models.convnext import ConvNeXt
from torch import nn
from torch.nn import functional as F

PATCH, STRIDE = 4, 2


def padded(x: torch.Tensor, stride: int) -> torch.Tensor:
    height, width = x.shape[2:]
    return F.pad(x, (0, -width % stride, 0, -height % stride))


def downsample(stage: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """The transition to a stage; there is none to the first."""
    if isinstance(stage.downsample, nn.Identity):
        return x
    norm, convolution = stage.downsample
    return convolution(padded(norm(x), STRIDE))


def convnext_outputs(model: ConvNeXt, images: torch.Tensor) -> list[torch.Tensor]:
    """The maps of the stages, [batch, channels, height, width]."""
    x = model.stem(padded(images, PATCH))
    outputs = []
    for stage in model.stages:
        x = stage.blocks(downsample(stage, x))
        outputs.append(x)
    return outputs
