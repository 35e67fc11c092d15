"""Writes the reference values ("goldens") of this folder from PyTorch and timm.

    python -m pip install torch==2.15.0 torchvision==0.29.2 timm==1.0.31 safetensors scikit-learn==1.9.1 numpy
    python tests/golden/generate.py                # all
    python tests/golden/generate.py swin e3va      # some: swin e3va methods efficientnet upernet fcn segformer cross_entropy adamw miou bias_table

Parameters and inputs are float32 random numbers of fixed seeds; everything is computed in float64 from them and stored as float32,
so that a difference a test sees is the tested code's own rounding. README.md says what each file holds.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import timm
import torch
from safetensors.torch import save_file
from sklearn.metrics import confusion_matrix, jaccard_score
from timm.layers.pos_embed_rel import resize_rel_pos_bias_table_simple
from timm.models.efficientnet import _gen_efficientnet_lite
from timm.models.swin_transformer import SwinTransformer
from torch import nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import CosineAnnealingLR, PolynomialLR

from swin_reference import (
    pad_to_patches,
    randomise,
    randomise_batch_norms,
    stage_outputs,
    use_padded_then_shifted,
    use_shifted_then_padded,
)

FOLDER = Path(__file__).resolve().parent


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def write(name: str, tensors: dict[str, torch.Tensor]) -> None:
    rounded = {key: value.detach().to(torch.float32).contiguous() for key, value in tensors.items()}
    for key, value in rounded.items():
        assert value.isfinite().all(), key
    path = FOLDER / f"{name}.safetensors"
    save_file(rounded, path)
    path.chmod(0o644)


# Swin


@dataclass
class MiniSwin:
    name: str
    embed_dim: int
    num_heads: tuple[int, ...]
    window: int
    seed: int
    depths: tuple[int, ...]

    def build(self) -> SwinTransformer:
        """The model in the project's convention, float64, random weights."""
        model = self.timm_model(strict_img_size=False, always_partition=True)
        randomise(model, seeded(self.seed))
        return use_padded_then_shifted(model.eval().double())

    def images(self, size: tuple[int, int]) -> torch.Tensor:
        return torch.randn(2, 3, *size, generator=seeded(self.seed + 1))

    def timm_model(self, **options) -> SwinTransformer:
        return SwinTransformer(
            patch_size=4,
            embed_dim=self.embed_dim,
            depths=self.depths,
            num_heads=self.num_heads,
            window_size=self.window,
            num_classes=0,
            **options,
        )


WINDOW_7 = MiniSwin("swin_window7", embed_dim=6, num_heads=(1, 2, 3, 4), window=7, seed=10, depths=(2, 2, 2, 1))
WINDOW_4 = MiniSwin("swin_window4", embed_dim=4, num_heads=(1, 2, 2, 4), window=4, seed=20, depths=(2, 2, 1, 1))


# Maps of 23x16, 12x8, 6x4, 3x2: padding in every stage, shifts in the first two, odd sides merged.
SIZE_7 = (90, 61)
# Maps of 17x7, 9x4, 5x2, 3x1: the second fits in one window on one axis alone, so that it is shifted along the other.
SIZE_4 = (66, 27)


def swin() -> None:
    write_swin(WINDOW_7, SIZE_7)
    write_swin(WINDOW_4, SIZE_4)


    write_shifted_first(WINDOW_7, SIZE_7)


def write_shifted_first(config: MiniSwin, size: tuple[int, int]) -> None:
    """The same weights and images in timm's order."""
    model = config.timm_model(strict_img_size=False, always_partition=True)
    randomise(model, seeded(config.seed))
    model = use_shifted_then_padded(model.eval().double())
    images = config.images(size)
    outputs = stage_outputs(model, images.double())
    write(f"{config.name}_shift_first.io", {"input": images, **{f"stage{i}": output for i, output in enumerate(outputs)}})


def write_swin(config: MiniSwin, size: tuple[int, int]) -> None:
    model = config.build()
    check_against_timm(config, model)
    write(f"{config.name}.weights", model.state_dict())
    images = config.images(size)
    outputs = stage_outputs(model, images.double())
    write(f"{config.name}.io", {"input": images, **{f"stage{i}": output for i, output in enumerate(outputs)}})


def check_against_timm(config: MiniSwin, model: SwinTransformer) -> None:
    """Where timm pads no shifted map, its own attention is the same function."""
    side = 8 * 4 * config.window
    plain = config.timm_model(img_size=side).eval().double()
    plain.load_state_dict(model.state_dict())
    images = torch.randn(1, 3, side, side, generator=seeded(0)).double()
    for ours, theirs in zip(stage_outputs(model, images), stage_outputs(plain, images)):
        assert torch.allclose(ours, theirs, rtol=0, atol=1e-12)


# E3VA


class Adapter(nn.Module):
    """E(z) = W_U gelu(W_D z + b_D) + b_U; row vectors multiply from the left, so W_D is [d, d/2] and W_U [d/2, d]."""

    def __init__(self, channels: int, kernel_form: bool, rank: int = 16, terms: int = 2):
        super().__init__()
        middle = channels // 2
        self.down_in = nn.Parameter(torch.empty(channels, rank))  # P, or the P_i side by side
        self.down_out = nn.Parameter(torch.empty(rank, middle))  # Q, or the Q_i one below the other
        self.down_bias = nn.Parameter(torch.empty(middle))
        self.up_in = nn.Parameter(torch.empty(middle, rank))
        self.up_out = nn.Parameter(torch.empty(rank, channels))
        self.up_bias = nn.Parameter(torch.empty(channels))
        if kernel_form:
            self.kernel = nn.Parameter(torch.empty(terms, rank // terms, rank // terms))
        else:
            self.register_parameter("kernel", None)

    def projection(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        if self.kernel is None:
            return left @ right
        terms = len(self.kernel)
        parts = zip(left.chunk(terms, dim=1), self.kernel, right.chunk(terms, dim=0))
        return sum(p @ k @ q for p, k, q in parts)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        down = self.projection(self.down_in, self.down_out)
        up = self.projection(self.up_in, self.up_out)
        return F.gelu(z @ down + self.down_bias) @ up + self.up_bias


class Highway(nn.Module):
    """Two adapters per block and four output norms; names as in the files."""

    def __init__(self, channels: int, depths: tuple[int, ...], kernel_form: bool):
        super().__init__()
        widths = [channels << stage for stage in range(len(depths))]
        self.blocks = nn.ModuleList(
            nn.ModuleList(
                nn.ModuleDict({tap: Adapter(width, kernel_form) for tap in ("attention", "mlp")}) for _ in range(depth)
            )
            for width, depth in zip(widths, depths)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for width in widths)


@dataclass
class E3va:
    name: str
    kernel_form: bool = False
    tap: str = "residual_branch"  # or post_residual
    skip: str = "none"  # or identity
    start: str = "zero"  # or patch_embed
    fusion: str = "add"  # or highway_only


E3VA_CASES = [
    E3va("plain"),
    E3va("kernel", kernel_form=True),
    E3va("plain_post_residual", tap="post_residual"),
    E3va("plain_identity", skip="identity"),
    E3va("plain_patch_embed", start="patch_embed"),
    E3va("plain_highway_only", fusion="highway_only"),
    E3va(
        "kernel_all_other",
        kernel_form=True,
        tap="post_residual",
        skip="identity",
        start="patch_embed",
        fusion="highway_only",
    ),
]


def e3va() -> None:
    check_published_counts()
    frozen = WINDOW_4.build().requires_grad_(False)
    images = WINDOW_4.images(SIZE_4)
    shapes = [output.shape for output in stage_outputs(frozen, images.double())]
    generator = seeded(31)
    weights = [torch.randn(shape, generator=generator) for shape in shapes]
    write("e3va.loss", {f"weight{i}": weight for i, weight in enumerate(weights)})

    for kernel_form, name in ((False, "plain"), (True, "kernel")):
        write(f"e3va.{name}.weights", dict(random_highway(kernel_form).named_parameters()))
    for case in E3VA_CASES:
        highway = random_highway(case.kernel_form)
        outputs = e3va_forward(case, frozen, highway, images.double())
        loss = sum((output * weight.double()).sum() for output, weight in zip(outputs, weights))
        loss.backward()
        assert all(parameter.grad is None for parameter in frozen.parameters())
        write(
            f"e3va.{case.name}",
            {
                "loss": loss.reshape(1),
                **{f"stage{i}": output for i, output in enumerate(outputs)},
                **{f"grad.{name}": parameter.grad for name, parameter in highway.named_parameters()},
            },
        )


def random_highway(kernel_form: bool) -> Highway:
    highway = Highway(WINDOW_4.embed_dim, WINDOW_4.depths, kernel_form)
    generator = seeded(32)
    for name, parameter in highway.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if name.startswith("norms."):
            value = 0.2 * noise + (1.0 if name.endswith("weight") else 0.0)
        elif name.endswith("_bias"):
            value = 0.2 * noise
        else:
            # A factor of a projection: [summed over, kept].
            value = noise / parameter.shape[-2] ** 0.5
        parameter.data.copy_(value)
    return highway.double()


def e3va_forward(case: E3va, frozen: SwinTransformer, highway: Highway, images: torch.Tensor) -> list[torch.Tensor]:
    """Stage outputs norm_s(x_s + h_s), [batch, channels, height, width]."""
    x = frozen.patch_embed(pad_to_patches(images))
    h = x if case.start == "patch_embed" else torch.zeros_like(x)
    outputs = []
    for stage, adapters, norm in zip(frozen.layers, highway.blocks, highway.norms):
        # The merging at the start of a stage in timm is the one at the end of the stage before; the first has none.
        x = stage.downsample(x)
        h = stage.downsample(h)
        for block, taps in zip(stage.blocks, adapters):
            attention = block._attn(block.norm1(x))
            middle = x + attention
            mlp = block.mlp(block.norm2(middle))
            x = middle + mlp
            first, second = (attention, mlp) if case.tap == "residual_branch" else (middle, x)
            for adapter, tap in ((taps["attention"], first), (taps["mlp"], second)):
                h = h + adapter(tap) + (tap if case.skip == "identity" else 0)
        joined = x + h if case.fusion == "add" else h
        outputs.append(norm(joined).permute(0, 3, 1, 2))
    return outputs


def check_published_counts() -> None:
    """The paper prints 1.20 M (Swin-B) and 1.79 M (Swin-L); the norms are counted in the plain form alone."""
    for channels, plain, kernel in ((128, 1_195_008, 1_197_312), (192, 1_792_512, 1_792_896)):
        for kernel_form, expected in ((False, plain), (True, kernel)):
            highway = Highway(channels, (2, 2, 18, 2), kernel_form)
            counted = highway.blocks if kernel_form else highway
            assert sum(parameter.numel() for parameter in counted.parameters()) == expected


# Methods inside the backbone

WIDTH, RANK, LORA_SCALE, TOKENS = 3, 2, 1.5, 3


def methods() -> None:
    """Methods that change what passes through a frozen backbone. Parameters have the names and the layout, [inputs, outputs], of the
    modules under test; images and loss are those of e3va."""
    frozen = WINDOW_4.build().requires_grad_(False)
    images = WINDOW_4.images(SIZE_4).double()
    generator = seeded(31)
    weights = [torch.randn(output.shape, generator=generator) for output in stage_outputs(frozen, images)]
    for name, shapes, shared, forward in (
        ("adapter", bottleneck_shapes, {}, adapter_block),
        ("adaptformer", bottleneck_shapes, {}, adaptformer_block),
        ("lora", lora_shapes, {}, lora_block),
        ("lorand", lorand_shapes, {}, lorand_block),
        ("low_rank_adapter", low_rank_shapes, {}, low_rank_block),
        ("phm_adapter", phm_shapes, {}, phm_block),
        ("compacter", compacter_shapes, {"rules": (2, 2, 2)}, compacter_block),
        ("compacter_plus_plus", compacter_plus_plus_shapes, {"rules": (2, 2, 2)}, compacter_plus_plus_block),
        ("mona", mona_shapes, {}, mona_block),
        ("ssf", ssf_shapes, ssf_shared(), ssf_block),
        ("vpt_deep", lambda channels: {"": (TOKENS, channels)}, {}, vpt_deep_block),
        ("vpt_shallow", lambda channels: {}, {"prompts": (TOKENS, WINDOW_4.embed_dim)}, VptShallow),
    ):
        parameters = random_parameters(shapes, shared)
        if isinstance(forward, type):
            forward = forward()
        outputs = forward_blocks(frozen, parameters, forward, images)
        loss = sum((output * weight.double()).sum() for output, weight in zip(outputs, weights))
        loss.backward()
        write_method(name, loss, outputs, parameters)
    # Of methods that train parts of the backbone: all its gradients, under timm's names.
    full = WINDOW_4.build()
    with torch.no_grad():
        block, x = full.layers[0].blocks[1], torch.randn(2, 7, 10, WINDOW_4.embed_dim, dtype=torch.float64)
        torch.testing.assert_close(window_attention(block, None, x)[0], block._attn(x))
    parameters = random_parameters(lambda channels: {}, {})
    outputs = forward_blocks(full, parameters, lambda block, own, parameters, x: block(x), images)
    loss = sum((output * weight.double()).sum() for output, weight in zip(outputs, weights))
    loss.backward()
    write_method("full", loss, outputs, parameters)
    write("method.full.gradients", {name: value.grad for name, value in full.named_parameters() if value.grad is not None})


def write_method(name: str, loss: torch.Tensor, outputs, parameters) -> None:
    write(
        f"method.{name}",
        {
            "loss": loss.reshape(1),
            **{f"stage{i}": output for i, output in enumerate(outputs)},
            **{f"param.{key}": value for key, value in parameters.items()},
            **{f"grad.{key}": value.grad for key, value in parameters.items()},
        },
    )


def twice(one: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    return {f"{branch}.{name}": shape for branch in (0, 1) for name, shape in one.items()}


def bottleneck_shapes(channels: int) -> dict[str, tuple[int, ...]]:
    return twice(
        {
            "bottleneck.down.weight": (channels, WIDTH),
            "bottleneck.down.bias": (WIDTH,),
            "bottleneck.up.weight": (WIDTH, channels),
            "bottleneck.up.bias": (channels,),
        }
    )


def lora_shapes(channels: int) -> dict[str, tuple[int, ...]]:
    wide = 4 * channels
    sizes = {key: (channels, channels) for key in ("q", "k", "v", "proj")} | {"fc1": (channels, wide), "fc2": (wide, channels)}
    downs = {f"{key}.down": (inputs, RANK) for key, (inputs, _) in sizes.items()}
    return downs | {f"{key}.up": (RANK, outputs) for key, (_, outputs) in sizes.items()}


def lorand_shapes(channels: int) -> dict[str, tuple[int, ...]]:
    """Two terms of side 3; the terms lie side by side in P and one below the other in Q."""
    middle = channels // 2
    return twice(
        {
            "adapter.down_in": (channels, 6),
            "adapter.down_out": (6, middle),
            "adapter.down_bias": (middle,),
            "adapter.up_in": (middle, 6),
            "adapter.up_out": (6, channels),
            "adapter.up_bias": (channels,),
            "adapter.kernel": (2, 3, 3),
        }
    )


def low_rank_shapes(channels: int) -> dict[str, tuple[int, ...]]:
    return twice(
        {
            "down_in": (channels, RANK),
            "down_out": (RANK, WIDTH),
            "down_bias": (WIDTH,),
            "up_in": (WIDTH, RANK),
            "up_out": (RANK, channels),
            "up_bias": (channels,),
        }
    )


def phm_shapes(channels: int) -> dict[str, tuple[int, ...]]:
    return twice(
        {
            "down_rules": (2, 2, 2),
            "down.weight": (2, channels // 2, 3),
            "down_bias": (6,),
            "up_rules": (2, 2, 2),
            "up.weight": (2, 3, channels // 2),
            "up_bias": (channels,),
        }
    )


def thin_shapes(channels: int) -> dict[str, tuple[int, ...]]:
    return {
        "down.left": (2, channels // 2, 1),
        "down.right": (2, 1, 3),
        "down_bias": (6,),
        "up.left": (2, 3, 1),
        "up.right": (2, 1, channels // 2),
        "up_bias": (channels,),
    }


def compacter_shapes(channels: int) -> dict[str, tuple[int, ...]]:
    return twice(thin_shapes(channels))


def compacter_plus_plus_shapes(channels: int) -> dict[str, tuple[int, ...]]:
    return {f"0.{name}": shape for name, shape in thin_shapes(channels).items()}


def mona_shapes(channels: int) -> dict[str, tuple[int, ...]]:
    filters = {f"filters.{index}.weight": (WIDTH, 1, side, side) for index, side in enumerate((3, 5, 7))}
    biases = {f"filters.{index}.bias": (WIDTH,) for index in range(3)}
    return twice(
        {
            "norm.gamma": (channels,),
            "norm.beta": (channels,),
            "gamma": (channels,),
            "gamma_x": (channels,),
            "down.weight": (channels, WIDTH),
            "down.bias": (WIDTH,),
            **filters,
            **biases,
            "pointwise.weight": (WIDTH, WIDTH, 1, 1),
            "pointwise.bias": (WIDTH,),
            "up.weight": (WIDTH, channels),
            "up.bias": (channels,),
        }
    )


def scales(prefix: str, widths) -> dict[str, tuple[int, ...]]:
    return {f"{prefix}{index}.{name}": (width,) for index, width in enumerate(widths) for name in ("scale", "shift")}


def ssf_shapes(channels: int) -> dict[str, tuple[int, ...]]:
    return scales("", (channels, 3 * channels, channels, channels, 4 * channels, channels))


def ssf_shared() -> dict[str, tuple[int, ...]]:
    channels = WINDOW_4.embed_dim
    shared = scales("embedding.", (channels, channels))
    for index in range(len(WINDOW_4.depths) - 1):
        shared |= scales(f"transitions.{index}.", (4 * channels << index, 2 * channels << index))
    return shared


def random_parameters(shapes, shared) -> dict[str, torch.Tensor]:
    generator = seeded(33)
    parameters = {}

    def add(name: str, shape: tuple[int, ...]) -> None:
        # Of a product's factors by their inputs.
        scale = shape[-2] ** -0.5 if len(shape) in (2, 3) else 0.2
        offset = 1.0 if name.endswith(("scale", "norm.gamma", "gamma_x")) else 0.0
        parameters[name] = offset + scale * torch.randn(shape, generator=generator)

    for name, shape in shared.items():
        add(name, shape)
    for stage, depth in enumerate(WINDOW_4.depths):
        channels = WINDOW_4.embed_dim * 2**stage
        for block in range(depth):
            for name, shape in shapes(channels).items():
                add(f"sections.{stage}.{block}.{name}".removesuffix("."), shape)
        for name, offset in (("gamma", 1.0), ("beta", 0.0)):
            parameters[f"norms.norms.{stage}.{name}"] = offset + 0.2 * torch.randn(channels, generator=generator)
    return {name: value.double().requires_grad_() for name, value in parameters.items()}


def below(parameters, prefix: str) -> dict[str, torch.Tensor]:
    return {key.removeprefix(prefix): value for key, value in parameters.items() if key.startswith(prefix)}


def forward_blocks(model: SwinTransformer, parameters, forward, images: torch.Tensor) -> list[torch.Tensor]:
    x = embed(model.patch_embed, parameters, pad_to_patches(images))
    outputs = []
    for index, stage in enumerate(model.layers):
        x = merge(stage.downsample, index, parameters, x)
        if isinstance(forward, VptShallow) and index > 0:
            forward.merge(stage.downsample)
        for position, block in enumerate(stage.blocks):
            own = below(parameters, f"sections.{index}.{position}")
            own = {key.removeprefix("."): value for key, value in own.items()}
            x = forward(block, own, parameters, x)
        gamma, beta = (parameters[f"norms.norms.{index}.{name}"] for name in ("gamma", "beta"))
        outputs.append(F.layer_norm(x, x.shape[-1:], gamma, beta).permute(0, 3, 1, 2))
    return outputs


def scaled(parameters, name: str, x: torch.Tensor) -> torch.Tensor:
    """SSF's scale and shift where it has one."""
    if f"{name}.scale" not in parameters:
        return x
    return x * parameters[f"{name}.scale"] + parameters[f"{name}.shift"]


def embed(patches, parameters, images: torch.Tensor) -> torch.Tensor:
    x = scaled(parameters, "embedding.0", patches.proj(images).permute(0, 2, 3, 1))
    return scaled(parameters, "embedding.1", patches.norm(x))


def merge(merging, index: int, parameters, x: torch.Tensor) -> torch.Tensor:
    if index == 0:
        return x
    height, width = x.shape[1:3]
    x = F.pad(x, (0, 0, 0, width % 2, 0, height % 2))
    # Top left, bottom left, top right, bottom right.
    x = torch.cat([x[:, row::2, column::2] for column in (0, 1) for row in (0, 1)], -1)
    x = scaled(parameters, f"transitions.{index - 1}.0", merging.norm(x))
    return scaled(parameters, f"transitions.{index - 1}.1", merging.reduction(x))


def bottleneck(own, branch: int, activation, x: torch.Tensor) -> torch.Tensor:
    own = below(own, f"{branch}.bottleneck.")
    down = activation(x @ own["down.weight"] + own["down.bias"])
    return down @ own["up.weight"] + own["up.bias"]


def in_branches(block, x: torch.Tensor, adapt) -> torch.Tensor:
    """A block whose branches pass `adapt(branch, output)`."""
    x = x + adapt(0, block._attn(block.norm1(x)))
    return x + adapt(1, block.mlp(block.norm2(x)))


def adapter_block(block, own, _, x: torch.Tensor) -> torch.Tensor:
    return in_branches(block, x, lambda branch, y: y + bottleneck(own, branch, F.gelu, y))


def adaptformer_block(block, own, _, x: torch.Tensor) -> torch.Tensor:
    x = x + block._attn(block.norm1(x)) + 0.1 * bottleneck(own, 0, F.relu, x)
    return x + block.mlp(block.norm2(x)) + 0.1 * bottleneck(own, 1, F.relu, x)


def lora_block(block, own, _, x: torch.Tensor) -> torch.Tensor:
    layers = (
        (block.attn.qkv, ("q", "k", "v")),
        (block.attn.proj, ("proj",)),
        (block.mlp.fc1, ("fc1",)),
        (block.mlp.fc2, ("fc2",)),
    )
    kept = [layer._parameters.pop("weight") for layer, _ in layers]
    for (layer, keys), weight in zip(layers, kept):
        # Rows are outputs here.
        updates = [(own[f"{key}.down"] @ own[f"{key}.up"]).T for key in keys]
        layer.weight = weight + LORA_SCALE * torch.cat(updates)
    x = x + block._attn(block.norm1(x))
    x = x + block.mlp(block.norm2(x))
    for (layer, _), weight in zip(layers, kept):
        del layer.weight
        layer.weight = weight
    return x


def narrowed(x: torch.Tensor, down: torch.Tensor, up: torch.Tensor, own) -> torch.Tensor:
    """A residual bottleneck of these projections."""
    return x + F.gelu(x @ down + own["down_bias"]) @ up + own["up_bias"]


def lorand_block(block, own, _, x: torch.Tensor) -> torch.Tensor:
    def adapt(branch: int, y: torch.Tensor) -> torch.Tensor:
        factors = below(own, f"{branch}.adapter.")
        down, up = (
            sum(
                factors[f"{name}_in"][:, 3 * term : 3 * term + 3]
                @ factors["kernel"][term]
                @ factors[f"{name}_out"][3 * term : 3 * term + 3]
                for term in (0, 1)
            )
            for name in ("down", "up")
        )
        return narrowed(y, down, up, factors)

    return in_branches(block, x, adapt)


def low_rank_block(block, own, _, x: torch.Tensor) -> torch.Tensor:
    def adapt(branch: int, y: torch.Tensor) -> torch.Tensor:
        factors = below(own, f"{branch}.")
        return narrowed(y, factors["down_in"] @ factors["down_out"], factors["up_in"] @ factors["up_out"], factors)

    return in_branches(block, x, adapt)


def kronecker(rules: torch.Tensor, blocks: torch.Tensor) -> torch.Tensor:
    return sum(torch.kron(rule, block) for rule, block in zip(rules, blocks))


def phm_block(block, own, _, x: torch.Tensor) -> torch.Tensor:
    def adapt(branch: int, y: torch.Tensor) -> torch.Tensor:
        factors = below(own, f"{branch}.")
        down, up = (kronecker(factors[f"{name}_rules"], factors[f"{name}.weight"]) for name in ("down", "up"))
        return narrowed(y, down, up, factors)

    return in_branches(block, x, adapt)


def thin(factors, parameters, y: torch.Tensor) -> torch.Tensor:
    down, up = (kronecker(parameters["rules"], factors[f"{name}.left"] @ factors[f"{name}.right"]) for name in ("down", "up"))
    return narrowed(y, down, up, factors)


def compacter_block(block, own, parameters, x: torch.Tensor) -> torch.Tensor:
    return in_branches(block, x, lambda branch, y: thin(below(own, f"{branch}."), parameters, y))


def compacter_plus_plus_block(block, own, parameters, x: torch.Tensor) -> torch.Tensor:
    return in_branches(block, x, lambda branch, y: y if branch == 0 else thin(below(own, "0."), parameters, y))


def mona_block(block, own, _, x: torch.Tensor) -> torch.Tensor:
    def adapt(branch: int, y: torch.Tensor) -> torch.Tensor:
        part = below(own, f"{branch}.")
        norm = F.layer_norm(y, y.shape[-1:], part["norm.gamma"], part["norm.beta"])
        narrow = (part["gamma"] * norm + part["gamma_x"] * y) @ part["down.weight"] + part["down.bias"]
        narrow = narrow.permute(0, 3, 1, 2)
        filtered = [
            F.conv2d(narrow, part[f"filters.{index}.weight"], part[f"filters.{index}.bias"], padding=side // 2, groups=WIDTH)
            for index, side in enumerate((3, 5, 7))
        ]
        narrow = narrow + sum(filtered) / 3
        narrow = narrow + F.conv2d(narrow, part["pointwise.weight"], part["pointwise.bias"])
        return y + F.gelu(narrow.permute(0, 2, 3, 1)) @ part["up.weight"] + part["up.bias"]

    x = adapt(0, x + block._attn(block.norm1(x)))
    return adapt(1, x + block.mlp(block.norm2(x)))


def ssf_block(block, own, _, x: torch.Tensor) -> torch.Tensor:
    normed = scaled(own, "0", block.norm1(x))
    mixed, _ = window_attention(block, None, normed, lambda qkv: scaled(own, "1", qkv), lambda mixed: scaled(own, "2", mixed))
    x = x + mixed
    wide = F.gelu(scaled(own, "4", block.mlp.fc1(scaled(own, "3", block.norm2(x)))))
    return x + scaled(own, "5", block.mlp.fc2(wide))


def window_attention(block, prompts, x: torch.Tensor, after_qkv=lambda qkv: qkv, after_proj=lambda mixed: mixed):
    """Attention of a padded, then shifted map, with prompts [batch, tokens, channels] in every window; what comes of both."""
    attention = block.attn
    window = attention.window_size[0]
    batch, height, width, channels = x.shape
    tokens = 0 if prompts is None else prompts.shape[1]
    shift = tuple(0 if side <= window else step for side, step in zip((height, width), block.target_shift_size))
    back = tuple(-step for step in shift)
    x = F.pad(x, (0, 0, 0, -width % window, 0, -height % window))
    rows, columns = x.shape[1] // window, x.shape[2] // window

    def cut(x: torch.Tensor) -> torch.Tensor:
        x = torch.roll(x, back, (1, 2))
        x = x.reshape(x.shape[0], rows, window, columns, window, -1).transpose(2, 3)
        return x.reshape(x.shape[0], rows * columns, window * window, -1)

    regions = torch.zeros(1, rows * window, columns * window, 1)
    # Along an axis without a shift the last slice is everything.
    bands = [(slice(0, -window), slice(-window, -step), slice(-step, None)) for step in shift]
    for row, lines in enumerate(bands[0]):
        for column, places in enumerate(bands[1]):
            regions[:, lines, places] = 3 * row + column
    regions = cut(torch.roll(regions, shift, (1, 2)))[..., 0]
    regions = regions if any(shift) else 0 * regions
    mask = -100.0 * (regions.unsqueeze(-1) != regions.unsqueeze(-2))[:, :, None].double()
    bias = attention._get_rel_pos_bias() + mask
    windows = cut(x)
    if tokens:
        windows = torch.cat([prompts.unsqueeze(1).expand(-1, windows.shape[1], -1, -1), windows], 2)
    qkv = after_qkv(attention.qkv(windows))
    qkv = qkv.reshape(batch, rows * columns, -1, 3, attention.num_heads, channels // attention.num_heads)
    query, key, value = qkv.permute(3, 0, 1, 4, 2, 5)
    scores = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5 + F.pad(bias, (tokens, 0, tokens, 0))
    mixed = (scores.softmax(-1) @ value).transpose(2, 3).flatten(3)
    mixed = after_proj(attention.proj(mixed))
    prompts, windows = mixed[:, :, :tokens].mean(1), mixed[:, :, tokens:]
    x = windows.reshape(batch, rows, columns, window, window, channels).transpose(2, 3)
    x = torch.roll(x.reshape(batch, rows * window, columns * window, channels), shift, (1, 2))
    x = x[:, :height, :width]
    return x, prompts


def prompted_block(block, prompts: torch.Tensor, x: torch.Tensor):
    mixed, of_prompts = window_attention(block, block.norm1(prompts), block.norm1(x))
    x, prompts = x + mixed, prompts + of_prompts
    return x + block.mlp(block.norm2(x)), prompts + block.mlp(block.norm2(prompts))


def vpt_deep_block(block, own, _, x: torch.Tensor) -> torch.Tensor:
    return prompted_block(block, own[""].expand(x.shape[0], -1, -1), x)[0]


class VptShallow:
    """Prompts that pass on from block to block."""

    prompts = None

    def __call__(self, block, own, parameters, x: torch.Tensor) -> torch.Tensor:
        if self.prompts is None:
            self.prompts = parameters["prompts"].expand(x.shape[0], -1, -1)
        x, self.prompts = prompted_block(block, self.prompts, x)
        return x

    def merge(self, merging) -> None:
        self.prompts = merging.reduction(merging.norm(torch.cat([self.prompts] * 4, -1)))


# EfficientNet-Lite


def efficientnet() -> None:
    """timm's tf_efficientnet_lite at width 0.08 and depth 0.5: rows of 8, 8, 8, 8, 16, 16, 24 channels and 1, 1, 1, 2, 2, 2, 1
    blocks; the stem keeps 32 channels and the head 1280."""
    generator = seeded(40)
    options = dict(channel_multiplier=0.08, depth_multiplier=0.5, num_classes=5, pad_type="same", bn_eps=1e-3)
    model = _gen_efficientnet_lite("tf_efficientnet_lite0", **options)
    randomise(model, generator)
    randomise_batch_norms(model, generator)
    model = model.eval().double()
    images = torch.randn(2, 3, 59, 43, generator=generator)
    with torch.no_grad():
        logits = model(images.double())
        features = model.forward_intermediates(images.double(), intermediates_only=True)
    # Outputs of rows 1, 2, 4 and 6: strides 4, 8, 16, 32.
    features = features[-4:]
    assert [tuple(feature.shape[2:]) for feature in features] == [(15, 11), (8, 6), (4, 3), (2, 2)]
    state = {key: value for key, value in model.state_dict().items() if not key.endswith("num_batches_tracked")}
    write("efficientnet_lite.weights", state)
    write(
        "efficientnet_lite.io",
        {"input": images, "logits": logits, **{f"stage{i}": feature for i, feature in enumerate(features)}},
    )


# Heads, with mmsegmentation's conventions


HEAD_INPUTS = (8, 12, 16, 20)
HEAD_SIZES = ((13, 17), (7, 9), (4, 5), (2, 3))
HEAD_CHANNELS = 10
CLASSES = 5


def resize(x: torch.Tensor, size) -> torch.Tensor:
    return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=False)


class ConvModule(nn.Module):
    """Convolution without bias, batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.bn(self.conv(x)))


class UPerHead(nn.Module):
    """mmsegmentation's UPerHead without dropout."""

    def __init__(self, bins=(1, 2, 3, 6)):
        super().__init__()
        *finer, coarsest = HEAD_INPUTS
        width = HEAD_CHANNELS
        self.psp_modules = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(side), ConvModule(coarsest, width, 1)) for side in bins
        )
        self.bottleneck = ConvModule(coarsest + len(bins) * width, width, 3)
        self.lateral_convs = nn.ModuleList(ConvModule(inputs, width, 1) for inputs in finer)
        self.fpn_convs = nn.ModuleList(ConvModule(width, width, 3) for _ in finer)
        self.fpn_bottleneck = ConvModule(len(HEAD_INPUTS) * width, width, 3)
        self.conv_seg = nn.Conv2d(width, CLASSES, 1)

    def forward(self, inputs: list[torch.Tensor]) -> torch.Tensor:
        coarsest = inputs[-1]
        pooled = [resize(module(coarsest), coarsest.shape[2:]) for module in self.psp_modules]
        laterals = [lateral(x) for lateral, x in zip(self.lateral_convs, inputs)]
        laterals.append(self.bottleneck(torch.cat([coarsest, *pooled], dim=1)))
        for level in range(len(laterals) - 1, 0, -1):
            finer = laterals[level - 1]
            laterals[level - 1] = finer + resize(laterals[level], finer.shape[2:])
        levels = [convolution(lateral) for convolution, lateral in zip(self.fpn_convs, laterals)]
        levels.append(laterals[-1])
        levels = [resize(level, inputs[0].shape[2:]) for level in levels]
        return self.conv_seg(self.fpn_bottleneck(torch.cat(levels, dim=1)))


class FCNHead(nn.Module):
    """mmsegmentation's FCNHead with one convolution, on one stage, without dropout."""

    def __init__(self, stage: int = 2):
        super().__init__()
        self.stage = stage
        self.convs = nn.Sequential(ConvModule(HEAD_INPUTS[stage], HEAD_CHANNELS, 3))
        self.conv_seg = nn.Conv2d(HEAD_CHANNELS, CLASSES, 1)

    def forward(self, inputs: list[torch.Tensor]) -> torch.Tensor:
        return self.conv_seg(self.convs(inputs[self.stage]))


class LinearProjection(nn.Module):
    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.proj = nn.Linear(inputs, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.proj(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class SegFormerHead(nn.Module):
    """SegFormer's All-MLP decoder: linear projections as published (with bias, no norm, no ReLU: NVlabs' `linear_c1`..`linear_c4`),
    concatenated from the finest to the coarsest as mmsegmentation does (NVlabs concatenates in the reverse order)."""

    def __init__(self):
        super().__init__()
        for stage, inputs in enumerate(HEAD_INPUTS):
            self.add_module(f"linear_c{stage + 1}", LinearProjection(inputs, HEAD_CHANNELS))
        self.fusion_conv = ConvModule(len(HEAD_INPUTS) * HEAD_CHANNELS, HEAD_CHANNELS, 1)
        self.conv_seg = nn.Conv2d(HEAD_CHANNELS, CLASSES, 1)

    def forward(self, inputs: list[torch.Tensor]) -> torch.Tensor:
        projections = [self.linear_c1, self.linear_c2, self.linear_c3, self.linear_c4]
        size = inputs[0].shape[2:]
        projected = [resize(projection(x), size) for projection, x in zip(projections, inputs)]
        return self.conv_seg(self.fusion_conv(torch.cat(projected, dim=1)))


def upernet() -> None:
    # Three images: the 1x1 pooled map has one position per image, and the batch norm of two numbers is a sign function.
    write_head("upernet", UPerHead(), batch=3, seed=50)


def fcn() -> None:
    write_head("fcn", FCNHead(), batch=2, seed=60, used=[2])


def segformer() -> None:
    write_head("segformer", SegFormerHead(), batch=2, seed=70)


def write_head(name: str, head: nn.Module, batch: int, seed: int, used=range(4)) -> None:
    generator = seeded(seed)
    randomise(head, generator)
    for key, buffer in head.named_buffers():
        if key.endswith("running_mean"):
            buffer.copy_(0.3 * torch.randn(buffer.shape, generator=generator))
        elif key.endswith("running_var"):
            buffer.copy_(0.5 + torch.rand(buffer.shape, generator=generator))
    features = [torch.randn(batch, c, *size, generator=generator) for c, size in zip(HEAD_INPUTS, HEAD_SIZES)]
    state = {key: value.clone() for key, value in head.state_dict().items() if not key.endswith("num_batches_tracked")}
    tensors = {f"param.{key}": value for key, value in state.items()}
    tensors |= {f"input.{i}": feature for i, feature in enumerate(features) if i in used}
    head.double()

    weight = None
    for mode in ("eval", "train"):
        head.train(mode == "train")
        head.zero_grad()
        inputs = [feature.double().requires_grad_() for feature in features]
        output = head(inputs)
        if weight is None:
            weight = torch.randn(output.shape, generator=generator)
            tensors["output_weight"] = weight
        (output * weight.double()).sum().backward()
        tensors[f"{mode}.output"] = output
        tensors |= {f"{mode}.grad.param.{key}": parameter.grad for key, parameter in head.named_parameters()}
        tensors |= {f"{mode}.grad.input.{i}": x.grad for i, x in enumerate(inputs) if i in used}
    statistics = {key: value for key, value in head.state_dict().items() if "running" in key}
    tensors |= {f"train.after.{key}": value for key, value in statistics.items()}
    write(name, tensors)


def cross_entropy() -> None:
    """Logits upsampled to the labels, ignore 255, mean over the pixels that are not ignored; the same with class weights."""
    generator = seeded(80)
    logits = 3 * torch.randn(2, CLASSES, 7, 9, generator=generator)
    labels = torch.randint(0, CLASSES, (2, 26, 33), generator=generator)
    labels[torch.rand(labels.shape, generator=generator) < 0.2] = 255
    labels[1, :8] = 255
    x = logits.double().requires_grad_()
    loss = F.cross_entropy(resize(x, labels.shape[1:]), labels, ignore_index=255)
    loss.backward()
    tensors = {"logits": logits, "labels": labels, "loss": loss.reshape(1), "grad": x.grad}
    weights = 0.1 + 5 * torch.rand(CLASSES, generator=generator)
    x = logits.double().requires_grad_()
    loss = F.cross_entropy(resize(x, labels.shape[1:]), labels, weight=weights.double(), ignore_index=255)
    loss.backward()
    tensors |= {"weights": weights, "weighted.loss": loss.reshape(1), "weighted.grad": x.grad}
    write("cross_entropy", tensors)


# Optimisation


def adamw() -> None:
    """torch's AdamW on given gradients, clipped to a global norm of 1, under a warm-up times a polynomial decay (mmcv)."""
    generator = seeded(90)
    peak, decay, total, warmup, ratio = 0.02, 0.05, 20, 4, 0.01
    shapes = {"decay.matrix": (4, 3), "decay.convolution": (2, 2, 3, 1), "no_decay.bias": (5,), "no_decay.small": (3, 2)}
    start = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    parameters = {name: value.double().requires_grad_() for name, value in start.items()}
    decayed = [value for name, value in parameters.items() if name.startswith("decay.")]
    undecayed = [value for name, value in parameters.items() if name.startswith("no_decay.")]
    groups = [{"params": decayed, "weight_decay": decay}, {"params": undecayed, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=peak)
    warm = (peak, total, warmup, ratio)
    rates = schedule(PolynomialLR, dict(total_iters=total, power=1.0), *warm)
    poly = schedule(PolynomialLR, dict(total_iters=total, power=0.9), *warm)
    cosine = schedule(CosineAnnealingLR, dict(T_max=total), *warm)
    tensors = {f"start.{name}": value for name, value in start.items()}
    tensors |= {
        "config": torch.tensor([peak, decay, 0.9, 0.999, 1e-8, 1.0, total, warmup, ratio], dtype=torch.float64),
        "rate.poly": torch.tensor(rates, dtype=torch.float64),
        "rate.poly_power_0.9": torch.tensor(poly, dtype=torch.float64),
        "rate.cosine": torch.tensor(cosine, dtype=torch.float64),
    }
    norms = []
    for step in range(12):
        # Every third step stays below the limit, so that clipping must leave it as it is.
        scale = 0.05 if step % 3 == 2 else 1.0
        for name, parameter in parameters.items():
            # Gradients near epsilon: where it is added shows.
            small = 1e-7 if name == "no_decay.small" else 1.0
            gradient = scale * small * torch.randn(parameter.shape, generator=generator)
            tensors[f"step{step}.grad.{name}"] = gradient
            parameter.grad = gradient.double()
        norms.append(nn.utils.clip_grad_norm_(parameters.values(), max_norm=1.0))
        for group in optimizer.param_groups:
            group["lr"] = rates[step]
        optimizer.step()
        tensors |= {f"step{step}.after.{name}": value.clone() for name, value in parameters.items()}
    assert min(norms) < 1.0 < max(norms)
    tensors["norms"] = torch.stack(norms)
    tensors |= {f"sgd.{name}": value for name, value in sgd(tensors, start, decay, rates).items()}
    write("adamw", tensors)


def sgd(tensors, start, decay: float, rates) -> dict[str, torch.Tensor]:
    """The parameters after the same gradients, unclipped, under torch's SGD with a momentum of 0.9."""
    parameters = {name: value.double().requires_grad_() for name, value in start.items()}
    groups = [
        {"params": [value], "weight_decay": decay if name.startswith("decay.") else 0.0} for name, value in parameters.items()
    ]
    optimizer = torch.optim.SGD(groups, lr=rates[0], momentum=0.9)
    after = {}
    for step in range(12):
        for name, parameter in parameters.items():
            parameter.grad = tensors[f"step{step}.grad.{name}"].double()
        for group in optimizer.param_groups:
            group["lr"] = rates[step]
        optimizer.step()
        after |= {f"step{step}.{name}": value.detach().clone() for name, value in parameters.items()}
    return after


def schedule(decay, options: dict, peak: float, total: int, warmup: int, ratio: float) -> list[float]:
    """The rate of every step from 0; the decay runs over the whole run and the warm-up scales its beginning, as in mmcv 1.x."""
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=peak)
    scheduler = decay(optimizer, **options)
    rates = []
    for step in range(total):
        factor = 1 - (1 - step / warmup) * (1 - ratio) if step < warmup else 1.0
        rates.append(scheduler.get_last_lr()[0] * factor)
        optimizer.step()
        scheduler.step()
    return rates


# Metrics


def miou() -> None:
    """scikit-learn on the pixels that are not ignored. Class 5 occurs nowhere: it has no IoU and does not enter the mean (as in
    mmsegmentation). Class 4 is predicted but never labelled: its IoU is 0 and enters the mean."""
    numbers = np.random.default_rng(100)
    classes, ignore = 6, 255
    labels = numbers.integers(0, 4, (2, 12, 17))
    predictions = np.where(numbers.random(labels.shape) < 0.6, labels, numbers.integers(0, 5, labels.shape))
    labels[numbers.random(labels.shape) < 0.15] = ignore
    valid = labels != ignore
    confusion = confusion_matrix(labels[valid], predictions[valid], labels=range(classes))
    scores = jaccard_score(labels[valid], predictions[valid], labels=range(classes), average=None, zero_division=0)
    occurs = confusion.sum(axis=0) + confusion.sum(axis=1) > 0
    iou = [float(score) if present else None for score, present in zip(scores, occurs)]
    defined = [value for value in iou if value is not None]
    assert iou[5] is None and iou[4] == 0 and len(defined) == classes - 1
    golden = {
        "classes": classes,
        "ignore": ignore,
        "labels": labels.tolist(),
        "predictions": predictions.tolist(),
        "confusion_rows_are_labels": confusion.tolist(),
        "iou": iou,
        "mean_iou": float(np.mean(defined)),
        "pixel_accuracy": float(np.trace(confusion) / confusion.sum()),
    }
    lines = ",\n".join(f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in golden.items())
    (FOLDER / "miou.json").write_text("{\n" + lines + "\n}\n")


# Import


def bias_table() -> None:
    """Relative position bias tables for another window: bicubic without antialiasing, as Microsoft's Swin loads them."""
    generator = seeded(110)
    tensors = {}
    for old, new in ((7, 12), (12, 7)):
        table = torch.randn((2 * old - 1) ** 2, 3, generator=generator)
        resized = resize_rel_pos_bias_table_simple(table.double(), (new, new), ((2 * new - 1) ** 2, 3))
        tensors |= {f"{old}_to_{new}.input": table, f"{old}_to_{new}.output": resized}
    write("bias_table", tensors)


GOLDENS = [swin, e3va, methods, efficientnet, upernet, fcn, segformer, cross_entropy, adamw, miou, bias_table]


def main() -> None:
    torch.set_num_threads(2)
    known = {golden.__name__: golden for golden in GOLDENS}
    names = sys.argv[1:] or list(known)
    if unknown := [name for name in names if name not in known]:
        sys.exit(f"unknown: {', '.join(unknown)}; known: {', '.join(known)}")
    print(f"torch {torch.__version__}, timm {timm.__version__}, numpy {np.__version__}")
    for name in names:
        print(name)
        known[name]()


if __name__ == "__main__":
    main()
