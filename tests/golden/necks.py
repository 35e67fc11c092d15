"""Writes the reference values of necks, and of the heads for frozen foundation models, from PyTorch and transformers.

    python -m pip install torch==2.15.0 transformers==5.24.0 safetensors numpy
    python tests/golden/necks.py                # all, or some by name: pyramid simple_pyramid linear dpt

mmsegmentation's `Feature2Pyramid`, detectron2's `SimpleFeaturePyramid` and DINOv2's `BNHead` are stated here from their publications.
DPT is stated here, too, since transformers' does not take odd sides; on even sides the statement must equal transformers' own classes.
Names and layouts are those of this project's modules; everything else is as README.md says of heads.
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F
from transformers import DPTConfig
from transformers.models.dpt.modeling_dpt import DPTNeck, DPTSemanticSegmentationHead

FOLDER = Path(__file__).resolve().parent
CLASSES = 5


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def randomise(module: nn.Module, generator: torch.Generator) -> None:
    with torch.no_grad():
        for parameter in module.parameters():
            scale = 0.3 if parameter.dim() == 1 else parameter[0].numel() ** -0.5
            parameter.copy_(scale * torch.randn(parameter.shape, generator=generator))
        for inner in module.modules():
            if isinstance(inner, (nn.BatchNorm2d, nn.LayerNorm)):
                inner.weight.add_(1.0)
            if isinstance(inner, nn.BatchNorm2d):
                inner.running_mean.copy_(0.3 * torch.randn(inner.running_mean.shape, generator=generator))
                inner.running_var.copy_(0.5 + torch.rand(inner.running_var.shape, generator=generator))


# This project's names of the parameters of layers, and its layouts


def as_is(x: torch.Tensor) -> torch.Tensor:
    return x


def product(x: torch.Tensor) -> torch.Tensor:
    """A 1x1 convolution as a product, [inputs, outputs]."""
    return x[:, :, 0, 0].transpose(0, 1)


def positions(x: torch.Tensor) -> torch.Tensor:
    """A transposed convolution as a product, [inputs, factor * factor * outputs]."""
    return x.permute(0, 2, 3, 1).flatten(1)


def convolution(name: str, layer: nn.Module, layout=as_is) -> dict:
    entries = {f"{name}.weight": (layer.weight, layout)}
    if layer.bias is not None:
        entries[f"{name}.bias"] = (layer.bias, as_is)
    return entries


def norm(name: str, layer: nn.Module) -> dict:
    entries = {f"{name}.gamma": (layer.weight, as_is), f"{name}.beta": (layer.bias, as_is)}
    if isinstance(layer, nn.BatchNorm2d):
        entries |= {f"{name}.{key}": (getattr(layer, key), as_is) for key in ("running_mean", "running_var")}
    return entries


def compute(name: str, module: nn.Module, inputs: list[torch.Tensor], generator: torch.Generator) -> None:
    """Values, gradients and statistics of a module that returns maps, in evaluation and training."""
    module.double()
    entries = module.entries()
    assert {id(value) for value, _ in entries.values()} >= {id(value) for value in module.parameters()}
    tensors = {f"parameter.{key}": layout(value.detach().clone()) for key, (value, layout) in entries.items()}
    tensors |= {f"input.{i}": x for i, x in enumerate(inputs)}
    weights = None
    for mode in ("eval", "train"):
        module.train(mode == "train")
        module.zero_grad()
        leaves = [x.double().requires_grad_() for x in inputs]
        outputs = module(leaves)
        if weights is None:
            weights = [torch.randn(output.shape, generator=generator) for output in outputs]
            tensors |= {f"weight.{i}": weight for i, weight in enumerate(weights)}
        sum((output * weight.double()).sum() for output, weight in zip(outputs, weights)).backward()
        tensors |= {f"{mode}.output.{i}": output for i, output in enumerate(outputs)}
        gradients = {key: layout(value.grad) for key, (value, layout) in entries.items() if value.grad is not None}
        tensors |= {f"{mode}.gradient.parameter.{key}": value for key, value in gradients.items()}
        tensors |= {f"{mode}.gradient.input.{i}": x.grad for i, x in enumerate(leaves) if x.grad is not None}
    tensors |= {f"train.after.{key}": value for key, (value, _) in entries.items() if "running" in key}
    rounded = {key: value.detach().to(torch.float32).contiguous() for key, value in tensors.items()}
    for key, value in rounded.items():
        assert value.isfinite().all(), key
    save_file(rounded, FOLDER / f"{name}.safetensors")


def maps(channels, sizes, generator: torch.Generator, batch: int = 2) -> list[torch.Tensor]:
    return [torch.randn(batch, c, *size, generator=generator) for c, size in zip(channels, sizes)]


# Necks


def halve(x: torch.Tensor) -> torch.Tensor:
    return F.max_pool2d(x, 2, 2, ceil_mode=True)


class Feature2Pyramid(nn.Module):
    """mmsegmentation's, for rescales of 4, 2, 1 and 0.5."""

    def __init__(self, channels: int):
        super().__init__()
        self.first = nn.ConvTranspose2d(channels, channels, 2, 2)
        self.norm = nn.BatchNorm2d(channels)
        self.second = nn.ConvTranspose2d(channels, channels, 2, 2)
        self.twice = nn.ConvTranspose2d(channels, channels, 2, 2)

    def forward(self, inputs: list[torch.Tensor]) -> list[torch.Tensor]:
        a, b, c, d = inputs
        return [self.second(F.gelu(self.norm(self.first(a)))), self.twice(b), c, halve(d)]

    def entries(self) -> dict:
        return (
            convolution("levels.0.enlargings.0", self.first, positions)
            | norm("levels.0.norm", self.norm)
            | convolution("levels.0.enlargings.1", self.second, positions)
            | convolution("levels.1.enlargings.0", self.twice, positions)
        )


class ChannelNorm(nn.LayerNorm):
    """detectron2's layer norm over the channels of every position."""

    def __init__(self, channels: int):
        super().__init__(channels, eps=1e-6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class SimpleFeaturePyramid(nn.Module):
    """detectron2's, for scale factors of 4, 2, 1 and 0.5 and norm = "LN"."""

    def __init__(self, channels: int, width: int):
        super().__init__()
        half, quarter = channels // 2, channels // 4
        self.first = nn.ConvTranspose2d(channels, half, 2, 2)
        self.norm = ChannelNorm(half)
        self.second = nn.ConvTranspose2d(half, quarter, 2, 2)
        self.twice = nn.ConvTranspose2d(channels, half, 2, 2)
        widths = (quarter, half, channels, channels)
        self.projections = nn.ModuleList(nn.Conv2d(inputs, width, 1, bias=False) for inputs in widths)
        self.projection_norms = nn.ModuleList(ChannelNorm(width) for _ in widths)
        self.outputs = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1, bias=False) for _ in widths)
        self.output_norms = nn.ModuleList(ChannelNorm(width) for _ in widths)

    def forward(self, inputs: list[torch.Tensor]) -> list[torch.Tensor]:
        x = inputs[-1]
        scaled = [self.second(F.gelu(self.norm(self.first(x)))), self.twice(x), x, halve(x)]
        levels = zip(scaled, self.projections, self.projection_norms, self.outputs, self.output_norms)
        return [norm(output(before(projection(x)))) for x, projection, before, output, norm in levels]

    def entries(self) -> dict:
        entries = (
            convolution("levels.0.enlargings.0", self.first, positions)
            | norm("levels.0.norm", self.norm)
            | convolution("levels.0.enlargings.1", self.second, positions)
            | convolution("levels.1.enlargings.0", self.twice, positions)
        )
        for level in range(4):
            entries |= convolution(f"levels.{level}.projection", self.projections[level])
            entries |= norm(f"levels.{level}.projection.norm", self.projection_norms[level])
            entries |= convolution(f"levels.{level}.output", self.outputs[level])
            entries |= norm(f"levels.{level}.output.norm", self.output_norms[level])
        return entries


def pyramid() -> None:
    generator = seeded(300)
    neck = Feature2Pyramid(6)
    randomise(neck, generator)
    compute("neck.pyramid", neck, maps([6] * 4, [(5, 7)] * 4, generator), generator)


def simple_pyramid() -> None:
    generator = seeded(310)
    neck = SimpleFeaturePyramid(12, 10)
    randomise(neck, generator)
    # Only the last map is read; the others have another width.
    compute("neck.simple_pyramid", neck, maps([3, 3, 3, 12], [(5, 7)] * 4, generator), generator)


# The linear protocol of DINOv2

INPUTS = (8, 12, 16, 20)
SIZES = ((13, 17), (7, 9), (4, 5), (2, 3))


class BNHead(nn.Module):
    """DINOv2's, with `resize_concat` of the last `count` maps."""

    def __init__(self, count: int):
        super().__init__()
        channels = sum(INPUTS[-count:])
        self.count = count
        self.bn = nn.BatchNorm2d(channels)
        self.conv_seg = nn.Conv2d(channels, CLASSES, 1)

    def forward(self, inputs: list[torch.Tensor]) -> list[torch.Tensor]:
        read = inputs[-self.count :]
        size = read[0].shape[2:]
        read = [F.interpolate(x, size=size, mode="bilinear", align_corners=False) for x in read]
        return [self.conv_seg(self.bn(torch.cat(read, 1)))]

    def entries(self) -> dict:
        return norm("norm", self.bn) | convolution("classifier", self.conv_seg, product)


def linear() -> None:
    for count in (1, 4):
        generator = seeded(320 + count)
        head = BNHead(count)
        randomise(head, generator)
        compute(f"linear_{count}", head, maps(INPUTS, SIZES, generator, batch=3), generator)


# DPT


class Unit(nn.Module):
    """A pre-activation residual unit."""

    def __init__(self, channels: int, has_norm: bool):
        super().__init__()
        step = lambda: nn.Conv2d(channels, channels, 3, padding=1, bias=not has_norm)
        self.convolutions = nn.ModuleList([step(), step()])
        self.norms = nn.ModuleList([nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)] if has_norm else [])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        change = x
        for index, convolution in enumerate(self.convolutions):
            change = convolution(F.relu(change))
            change = self.norms[index](change) if self.norms else change
        return change + x

    def entries(self, name: str) -> dict:
        entries = {}
        for index, layer in enumerate(self.convolutions):
            entries |= convolution(f"{name}.steps.{index}", layer)
        for index, layer in enumerate(self.norms):
            entries |= norm(f"{name}.steps.{index}.norm", layer)
        return entries


class Dpt(nn.Module):
    """DPT without a readout; a block enlarges its output to the size of the next map, as MiDaS's does."""

    def __init__(self, inputs, widths, channels: int, has_norm: bool):
        super().__init__()
        self.is_reassembled = widths is not None
        self.projections, self.resizes = nn.ModuleList(), nn.ModuleList()
        if self.is_reassembled:
            self.projections.extend(nn.Conv2d(a, b, 1) for a, b in zip(inputs, widths))
            first, second, third, fourth = widths
            self.resizes.append(nn.ConvTranspose2d(first, first, 4, 4))
            self.resizes.append(nn.ConvTranspose2d(second, second, 2, 2))
            self.resizes.append(nn.Identity())
            self.resizes.append(nn.Conv2d(fourth, fourth, 3, stride=2, padding=1))
        widths = widths or inputs
        self.narrowing = nn.ModuleList(nn.Conv2d(width, channels, 3, padding=1, bias=False) for width in widths)
        self.laterals = nn.ModuleList(Unit(channels, has_norm) for _ in widths[:-1])
        self.fused = nn.ModuleList(Unit(channels, has_norm) for _ in widths)
        self.outputs = nn.ModuleList(nn.Conv2d(channels, channels, 1) for _ in widths)
        self.hidden = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.hidden_norm = nn.BatchNorm2d(channels)
        self.classifier = nn.Conv2d(channels, CLASSES, 1)

    def forward(self, inputs: list[torch.Tensor]) -> list[torch.Tensor]:
        if self.is_reassembled:
            inputs = [resize(projection(x)) for x, projection, resize in zip(inputs, self.projections, self.resizes)]
        inputs = [narrowing(x) for narrowing, x in zip(self.narrowing, inputs)]
        x = None
        for level in reversed(range(len(inputs))):
            x = inputs[level] if x is None else x + self.laterals[level](inputs[level])
            x = self.fused[level](x)
            size = inputs[level - 1].shape[2:] if level else [2 * side for side in inputs[0].shape[2:]]
            x = self.outputs[level](F.interpolate(x, size=size, mode="bilinear", align_corners=True))
        return [self.classifier(F.relu(self.hidden_norm(self.hidden(x))))]

    def entries(self) -> dict:
        entries = {}
        for index, layer in enumerate(self.projections):
            entries |= convolution(f"reassembled.{index}.projection", layer, product)
        if self.is_reassembled:
            entries |= convolution("reassembled.0.enlarging", self.resizes[0], positions)
            entries |= convolution("reassembled.1.enlarging", self.resizes[1], positions)
            entries |= convolution("reassembled.3.shrinking", self.resizes[3])
        for index, layer in enumerate(self.narrowing):
            entries |= {f"narrowing.{index}": (layer.weight, as_is)}
        for index, unit in enumerate(self.laterals):
            entries |= unit.entries(f"blocks.{index}.lateral")
        for index, unit in enumerate(self.fused):
            entries |= unit.entries(f"blocks.{index}.fused")
        for index, layer in enumerate(self.outputs):
            entries |= convolution(f"blocks.{index}.output", layer, product)
        entries |= convolution("hidden", self.hidden) | norm("hidden.norm", self.hidden_norm)
        return entries | convolution("classifier", self.classifier, product)


def require_transformers(inputs: int, widths, channels: int, has_norm: bool) -> None:
    """Asserts that transformers' DPT computes the same on sides of which every map is twice the next."""
    config = DPTConfig(
        hidden_size=inputs,
        num_attention_heads=1,
        neck_hidden_sizes=list(widths),
        fusion_hidden_size=channels,
        readout_type="ignore",
        reassemble_factors=[4, 2, 1, 0.5],
        use_batch_norm_in_fusion_residual=has_norm,
        use_bias_in_fusion_residual=not has_norm,
        is_hybrid=False,
        num_labels=CLASSES,
        semantic_classifier_dropout=0.0,
    )
    generator = seeded(340)
    neck, head = DPTNeck(config), DPTSemanticSegmentationHead(config)
    randomise(neck, generator)
    randomise(head, generator)
    ours = Dpt([inputs] * 4, widths, channels, has_norm)
    with torch.no_grad():
        pairs = []
        for layer, projection, resize in zip(neck.reassemble_stage.layers, ours.projections, ours.resizes):
            pairs += [(layer.projection, projection), (layer.resize, resize)]
        pairs += list(zip(neck.convs, ours.narrowing))
        for level, layer in enumerate(reversed(neck.fusion_stage.layers)):
            units = [(layer.residual_layer2, ours.fused[level])]
            units += [(layer.residual_layer1, ours.laterals[level])] if level < 3 else []
            for theirs, unit in units:
                pairs += [(theirs.convolution1, unit.convolutions[0]), (theirs.convolution2, unit.convolutions[1])]
                if has_norm:
                    pairs += [(theirs.batch_norm1, unit.norms[0]), (theirs.batch_norm2, unit.norms[1])]
            pairs.append((layer.projection, ours.outputs[level]))
        pairs += [(head.head[0], ours.hidden), (head.head[1], ours.hidden_norm), (head.head[4], ours.classifier)]
        for theirs, own in pairs:
            own.load_state_dict(theirs.state_dict())
    neck, head, ours = neck.double().eval(), head.double().eval(), ours.double().eval()
    features = maps([inputs] * 4, [(6, 8)] * 4, generator)
    tokens = [torch.cat([torch.randn(2, 1, inputs, generator=generator), x.flatten(2).transpose(1, 2)], 1) for x in features]
    with torch.no_grad():
        theirs = head(neck([x.double() for x in tokens], 6, 8))
        own = ours([x.double() for x in features])[0]
        own = F.interpolate(own, scale_factor=2, mode="bilinear", align_corners=True)
    error = (own - theirs).abs().max() / theirs.abs().max()
    assert error < 1e-12, error


def dpt() -> None:
    widths = (4, 5, 6, 7)
    for has_norm in (True, False):
        require_transformers(9, widths, 6, has_norm)
    generator = seeded(350)
    head = Dpt([9] * 4, widths, 6, has_norm=True)
    randomise(head, generator)
    compute("dpt", head, maps([9] * 4, [(5, 7)] * 4, generator), generator)
    # Maps whose strides grow, and no norms in the units.
    generator = seeded(360)
    head = Dpt(list(INPUTS), None, 6, has_norm=False)
    randomise(head, generator)
    compute("dpt_growing", head, maps(INPUTS, SIZES, generator), generator)


ALL = {"pyramid": pyramid, "simple_pyramid": simple_pyramid, "linear": linear, "dpt": dpt}

if __name__ == "__main__":
    for name in sys.argv[1:] or ALL:
        ALL[name]()
