"""The operators of Gradway's kernels in PyTorch, by the names and shapes of src/operators.rs."""

import functools

import torch
from torch.nn import functional as F
from torchvision.ops import batched_nms, nms, roi_align, sigmoid_focal_loss


def forward(operator, *shapes):
    """A case that runs an operator on random tensors without a graph."""

    def build():
        inputs = [torch.randn(shape) for shape in shapes]

        def run():
            with torch.no_grad():
                return operator(*inputs)

        return run

    return build


def backward(operator, *shapes):
    """The operator and the gradient of every input for a random gradient of the output."""

    def build():
        inputs = [torch.randn(shape, requires_grad=True) for shape in shapes]
        gradient = torch.randn_like(operator(*inputs))

        def run():
            for tensor in inputs:
                tensor.grad = None
            operator(*inputs).backward(gradient)

        return run

    return build


def both(name, operator, *shapes):
    return {f"{name} forward": forward(operator, *shapes), f"{name} step": backward(operator, *shapes)}


def convolution(stride=1, groups=1):
    return lambda x, weight, bias: F.conv2d(x, weight, bias, stride, weight.shape[-1] // 2, groups=groups)


def depthwise(size):
    """A map with its channels last, in memory too, and one whose channels are first for PyTorch."""
    channels = size[-1]
    name = "depthwise 7x7 [" + ",".join(map(str, size)) + "], PyTorch's channels "
    convolve = convolution(groups=channels)
    kernels = (channels, 1, 7, 7), (channels,)
    batch, height, width, _ = size
    return {
        **both(f"{name}last", lambda x, w, b: convolve(x.permute(0, 3, 1, 2), w, b), size, *kernels),
        **both(f"{name}first", convolve, (batch, channels, height, width), *kernels),
    }


def batch_norm(x, mean, variance, gamma, beta):
    return F.batch_norm(x, mean, variance.abs(), gamma, beta, training=False)


def window_attention(side, shift, heads):
    """timm's window attention: partition, scores with bias and mask, reverse."""

    def run(qkv, table):
        index = relative_position_index(side)
        batch, height, width, triple = qkv.shape
        if shift:
            qkv = torch.roll(qkv, (-shift, -shift), (1, 2))
        rows, columns = height // side, width // side
        windows = qkv.view(batch, rows, side, columns, side, triple).permute(0, 1, 3, 2, 4, 5)
        windows = windows.reshape(-1, side * side, 3, heads, triple // 3 // heads).permute(2, 0, 3, 1, 4)
        query, key, value = windows.unbind(0)
        bias = table[index].view(side**2, side**2, heads).permute(2, 0, 1).unsqueeze(0)
        if shift:
            bias = bias + mask(height, width, side, shift).repeat(batch, 1, 1).unsqueeze(1)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        mixed = mixed.transpose(1, 2).reshape(batch, rows, columns, side, side, triple // 3)
        mixed = mixed.permute(0, 1, 3, 2, 4, 5).reshape(batch, height, width, triple // 3)
        return torch.roll(mixed, (shift, shift), (1, 2)) if shift else mixed

    return run


@functools.cache
def mask(height, width, side, shift):
    regions = torch.zeros(height, width)
    number = 0
    bands = (slice(0, -side), slice(-side, -shift), slice(-shift, None))
    for rows in bands:
        for columns in bands:
            regions[rows, columns] = number
            number += 1
    windows = regions.view(height // side, side, width // side, side).permute(0, 2, 1, 3).reshape(-1, side * side)
    apart = windows.unsqueeze(1) != windows.unsqueeze(2)
    return torch.zeros(apart.shape).masked_fill(apart, -100.0)


# Made by the first call, on the device that is then the default.
@functools.cache
def relative_position_index(side):
    positions = torch.stack(torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")).flatten(1)
    offsets = positions[:, :, None] - positions[:, None, :] + side - 1
    return (offsets[0] * (2 * side - 1) + offsets[1]).flatten()


def upsample(x):
    return F.interpolate(x, scale_factor=4, mode="bilinear", align_corners=False)


def cross_entropy():
    labels = torch.randint(0, 12, (4, 240, 320))
    return lambda logits: F.cross_entropy(logits, labels)


@functools.cache
def rectangles(count):
    """Those of src/detection.rs, in an image of 1344 x 800."""
    i = torch.arange(count)
    x, y = i * 97 % 1100, i * 71 % 560
    return torch.stack([x, y, x + 16 + i * 37 % 225, y + 16 + i * 53 % 225], 1).float()


def suppression():
    def build():
        bounds = rectangles(4000)
        scores = torch.arange(4000) * 7919 % 4001 / 4001
        return lambda: nms(bounds, scores, 0.7)

    return build


def suppression_of_groups(groups, count):
    def build():
        bounds = rectangles(groups * count)
        scores = torch.arange(groups * count, 0, -1).float()
        group = torch.arange(groups * count) // count
        return lambda: batched_nms(bounds, scores, group, 0.7)

    return build


def regions(count, size):
    return lambda x: roi_align(x, [rectangles(count)], size, 1 / 8, 0, aligned=True)


def focal(logits):
    labels = torch.arange(9 * 16800) % 97
    targets = F.one_hot(labels.clamp(max=80), 81)[:, :80].float()
    return sigmoid_focal_loss(logits, targets, 0.25, 2.0, reduction="sum")


MAP = (8, 144, 60, 80)
CASES = {
    "batch norm, evaluation [8,144,60,80] forward": forward(batch_norm, MAP, (144,), (144,), (144,), (144,)),
    **both(
        "batch norm, training [8,144,60,80]",
        lambda x, gamma, beta: F.batch_norm(x, None, None, gamma, beta, training=True),
        MAP,
        (144,),
        (144,),
    ),
    **both("layer norm [6272,384]", lambda x, g, b: F.layer_norm(x, (384,), g, b), (6272, 384), (384,), (384,)),
    **both("GELU [2,3136,384]", F.gelu, (2, 3136, 384)),
    **both("ReLU6 [8,144,60,80]", F.relu6, MAP),
    **both("add [2,3136,384]", torch.add, (2, 3136, 384), (2, 3136, 384)),
    **both("softmax [128,3,49,49]", lambda x: F.softmax(x, -1), (128, 3, 49, 49)),
    **both("linear 6272x96x384", lambda x, w, b: F.linear(x, w, b), (6272, 96), (384, 96), (384,)),
    "product 1024 forward": forward(torch.matmul, (1024, 1024), (1024, 1024)),
    **both("convolution 1x1 [8,24,60,80] to 144", convolution(), (8, 24, 60, 80), (144, 24, 1, 1), (144,)),
    **both("convolution 3x3 [2,64,60,80] to 64", convolution(), (2, 64, 60, 80), (64, 64, 3, 3), (64,)),
    **both("convolution 3x3, stride 2 [8,3,240,320] to 32", convolution(2), (8, 3, 240, 320), (32, 3, 3, 3), (32,)),
    **both("convolution 3x3 [1,256,100,168] to 256", convolution(), (1, 256, 100, 168), (256, 256, 3, 3), (256,)),
    **both("depthwise 3x3 [8,144,60,80]", convolution(groups=144), MAP, (144, 1, 3, 3), (144,)),
    **both("depthwise 5x5 [8,144,60,80]", convolution(groups=144), MAP, (144, 1, 5, 5), (144,)),
    **both("depthwise 5x5, stride 2 [8,144,60,80]", convolution(2, 144), MAP, (144, 1, 5, 5), (144,)),
    **depthwise((4, 91, 119, 96)),
    **depthwise((4, 23, 30, 384)),
    **depthwise((4, 12, 15, 768)),
    **both("bilinear x4 [2,64,60,80]", upsample, (2, 64, 60, 80)),
    "cross entropy [4,12,240,320] step": lambda: backward(cross_entropy(), (4, 12, 240, 320))(),
    "suppression of 4000": suppression(),
    "top 2000 of [2,201600] forward": forward(lambda x: torch.topk(x, 2000), (2, 201600)),
    "suppression of [8,2000] forward": suppression_of_groups(8, 2000),
    **both("RoIAlign [1,256,100,168], 512 regions of 7", regions(512, 7), (1, 256, 100, 168)),
    **both("RoIAlign [1,256,100,168], 128 regions of 14", regions(128, 14), (1, 256, 100, 168)),
    "focal loss [9,80,16800] step": backward(focal, (9 * 16800, 80)),
    **both("window attention [4,56,56,3x96], 3 heads", window_attention(7, 0, 3), (4, 56, 56, 288), (169, 3)),
    **both("window attention, shifted [4,56,56,3x96], 3 heads", window_attention(7, 3, 3), (4, 56, 56, 288), (169, 3)),
    **both("window attention, shifted [4,14,14,3x384], 12 heads", window_attention(7, 3, 12), (4, 14, 14, 1152), (169, 12)),
}
