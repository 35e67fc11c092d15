"""Writes the reference values of gradient highways beside a plain vision transformer: E3VA and the one for many tasks.

    python tests/golden/vit_highway.py

Needs what generate.py needs. The network is `vit_mini`; its weights, the images, the weights of the loss and the parameters of the
methods are those of formula.py. Everything is written out from the equations, token by token and task by task, in double precision.
The backbone is compared with timm's first.
"""

from dataclasses import dataclass, field

import torch
from timm.models.vision_transformer import VisionTransformer
from torch.nn import functional as F

from formula import parameter, scaled, uniform
from generate import write

CHANNELS, HEADS, BLOCKS, PATCH, SIDE, REGISTERS, STAGES = 32, 2, 8, 14, 37, 2, 4
DEPTH = BLOCKS // STAGES
OTHERS = 1 + REGISTERS
TASKS = 2
# A grid of 3 x 5: no side is a multiple of a patch.
IMAGES = [2, 3, 39, 65]

Tensors = dict[str, torch.Tensor]


# The backbone


def backbone_shapes() -> dict[str, tuple[int, ...]]:
    wide = 4 * CHANNELS
    shapes = {
        "cls_token": (1, 1, CHANNELS),
        "reg_token": (1, REGISTERS, CHANNELS),
        "pos_embed": (1, SIDE * SIDE, CHANNELS),
        "patch_embed.proj.weight": (CHANNELS, 3, PATCH, PATCH),
        "patch_embed.proj.bias": (CHANNELS,),
        "norm.weight": (CHANNELS,),
        "norm.bias": (CHANNELS,),
    }
    for block in range(BLOCKS):
        one = {
            "norm1.weight": (CHANNELS,),
            "norm1.bias": (CHANNELS,),
            "attn.qkv.weight": (3 * CHANNELS, CHANNELS),
            "attn.qkv.bias": (3 * CHANNELS,),
            "attn.proj.weight": (CHANNELS, CHANNELS),
            "attn.proj.bias": (CHANNELS,),
            "ls1.gamma": (CHANNELS,),
            "norm2.weight": (CHANNELS,),
            "norm2.bias": (CHANNELS,),
            "mlp.fc1.weight": (wide, CHANNELS),
            "mlp.fc1.bias": (wide,),
            "mlp.fc2.weight": (CHANNELS, wide),
            "mlp.fc2.bias": (CHANNELS,),
            "ls2.gamma": (CHANNELS,),
        }
        shapes |= {f"blocks.{block}.{name}": shape for name, shape in one.items()}
    return shapes


def below(tensors: Tensors, prefix: str) -> Tensors:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def norm(own: Tensors, name: str, x: torch.Tensor) -> torch.Tensor:
    return F.layer_norm(x, x.shape[-1:], own[f"{name}.weight"], own[f"{name}.bias"], eps=1e-6)


def linear(own: Tensors, name: str, x: torch.Tensor) -> torch.Tensor:
    return x @ own[f"{name}.weight"].T + own[f"{name}.bias"]


def attention(own: Tensors, x: torch.Tensor) -> torch.Tensor:
    query, key, value = linear(own, "attn.qkv", x).unflatten(-1, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
    scores = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
    return linear(own, "attn.proj", (scores.softmax(-1) @ value).transpose(1, 2).flatten(2))


def branches(own: Tensors, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Both branches of a block, each with the stream behind it."""
    first = own["ls1.gamma"] * attention(own, norm(own, "norm1", x))
    middle = x + first
    second = own["ls2.gamma"] * linear(own, "mlp.fc2", F.gelu(linear(own, "mlp.fc1", norm(own, "norm2", middle))))
    return first, middle, second, middle + second


def embed(weights: Tensors, images: torch.Tensor) -> tuple[torch.Tensor, tuple[int, int]]:
    """Class token, registers and patches row by row, and the grid of the patches."""
    height, width = images.shape[2:]
    padded = F.pad(images, (0, -width % PATCH, 0, -height % PATCH))
    patches = F.conv2d(padded, weights["patch_embed.proj.weight"], weights["patch_embed.proj.bias"], stride=PATCH)
    grid = tuple(patches.shape[2:])
    positions = weights["pos_embed"].transpose(1, 2).unflatten(2, (SIDE, SIDE))
    positions = F.interpolate(positions, size=grid, mode="bicubic", antialias=True)
    patches = (patches + positions).flatten(2).transpose(1, 2)
    others = [weights[name].expand(len(images), -1, -1) for name in ("cls_token", "reg_token")]
    return torch.cat([*others, patches], 1), grid


def check_against_timm(weights: Tensors, images: torch.Tensor) -> None:
    options = dict(embed_dim=CHANNELS, depth=BLOCKS, num_heads=HEADS, patch_size=PATCH, img_size=PATCH * SIDE, num_classes=0)
    model = VisionTransformer(**options, reg_tokens=REGISTERS, no_embed_class=True, init_values=1e-5, dynamic_img_size=True)
    model.load_state_dict(weights)
    model = model.double().eval()
    padded = F.pad(images, (0, -images.shape[3] % PATCH, 0, -images.shape[2] % PATCH))
    with torch.no_grad():
        theirs = model.forward_features(padded)
        x, _ = embed(weights, images)
        for block in range(BLOCKS):
            *_, x = branches(below(weights, f"blocks.{block}."), x)
        # timm resamples positions in single precision.
        torch.testing.assert_close(norm(weights, "norm", x), theirs, rtol=0, atol=1e-5)


# The highways


def to_map(case, stream: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
    """A stream's map of the patches, [batch, height, width, channels]."""
    others, patches = stream[:, :OTHERS], stream[:, OTHERS:]
    if case.readout == "add":
        patches = patches + others.mean(1, keepdim=True)
    return patches.unflatten(1, grid)


def output_norm(parameters: Tensors, stage: int, x: torch.Tensor) -> torch.Tensor:
    gamma, beta = (parameters[f"norms.norms.{stage}.{name}"] for name in ("gamma", "beta"))
    return F.layer_norm(x, x.shape[-1:], gamma, beta)


def norm_shapes() -> dict[str, tuple[int, ...]]:
    return {f"norms.norms.{stage}.{name}": (CHANNELS,) for stage in range(STAGES) for name in ("gamma", "beta")}


def places():
    for stage in range(STAGES):
        for block in range(DEPTH):
            for branch in (0, 1):
                yield stage, block, f"sections.{stage}.{block}.{branch}."


@dataclass
class E3va:
    name: str
    terms: int = 0  # of the kernel form; none: the plain one
    tap: str = "residual_branch"  # or post_residual
    skip: str = "none"  # or identity
    start: str = "zero"  # or patch_embed
    fusion: str = "add"  # or highway_only
    readout: str = "ignore"  # or add
    rank: int = 8

    def shapes(self) -> dict[str, tuple[int, ...]]:
        middle = CHANNELS // 2
        one = {
            "down_in": (CHANNELS, self.rank),
            "down_out": (self.rank, middle),
            "down_bias": (middle,),
            "up_in": (middle, self.rank),
            "up_out": (self.rank, CHANNELS),
            "up_bias": (CHANNELS,),
        }
        if self.terms:
            one["kernel"] = (self.terms, self.rank // self.terms, self.rank // self.terms)
        return {place + name: shape for *_, place in places() for name, shape in one.items()} | norm_shapes()

    def product(self, own: Tensors, name: str) -> torch.Tensor:
        left, right = own[f"{name}_in"], own[f"{name}_out"]
        if not self.terms:
            return left @ right
        terms = zip(left.chunk(self.terms, 1), own["kernel"], right.chunk(self.terms, 0))
        return sum(p @ k @ q for p, k, q in terms)

    def adapted(self, own: Tensors, z: torch.Tensor) -> torch.Tensor:
        narrow = F.gelu(z @ self.product(own, "down") + own["down_bias"])
        adapted = narrow @ self.product(own, "up") + own["up_bias"]
        return z + adapted if self.skip == "identity" else adapted

    def features(self, weights: Tensors, parameters: Tensors, images: torch.Tensor) -> list[list[torch.Tensor]]:
        x, grid = embed(weights, images)
        h = x if self.start == "patch_embed" else torch.zeros_like(x)
        stages = []
        for stage in range(STAGES):
            for block in range(DEPTH):
                first, middle, second, x = branches(below(weights, f"blocks.{stage * DEPTH + block}."), x)
                taps = (first, second) if self.tap == "residual_branch" else (middle, x)
                for branch, tap in enumerate(taps):
                    h = h + self.adapted(below(parameters, f"sections.{stage}.{block}.{branch}."), tap)
            joined = to_map(self, h, grid)
            if self.fusion == "add":
                joined = joined + x[:, OTHERS:].unflatten(1, grid)
            stages.append(output_norm(parameters, stage, joined).permute(0, 3, 1, 2))
        return [stages]


@dataclass
class ManyTasks:
    name: str
    extraction: str = "scale_shift"  # or linear
    place: str = "bottleneck"  # or output
    streams: str = "every_block"  # or stage_end
    merge: str = "sum"  # or concat
    readout: str = "ignore"  # or add
    narrow: int = field(default=CHANNELS // 4)

    def extracts(self, block: int) -> bool:
        return self.streams == "every_block" or block + 1 == DEPTH

    def shapes(self) -> dict[str, tuple[int, ...]]:
        width = self.narrow if self.place == "bottleneck" else CHANNELS
        shapes = {}
        for _, block, place in places():
            one = {
                "bottleneck.down.weight": (CHANNELS, self.narrow),
                "bottleneck.down.bias": (self.narrow,),
                "bottleneck.up.weight": (self.narrow, CHANNELS),
                "bottleneck.up.bias": (CHANNELS,),
            }
            for task in range(TASKS if self.extracts(block) else 0):
                form = {"mixing": (width, width)} if self.extraction == "linear" else {"scale": (width,)}
                one |= {f"tasks.{task}.{name}": shape for name, shape in form.items()} | {f"tasks.{task}.shift": (width,)}
            shapes |= {place + name: shape for name, shape in one.items()}
        return shapes | norm_shapes()

    def extracted(self, own: Tensors, task: int, narrow: torch.Tensor) -> torch.Tensor:
        up = own["bottleneck.up.weight"]
        source = narrow if self.place == "bottleneck" else narrow @ up + own["bottleneck.up.bias"]
        mixing, scale = own.get(f"tasks.{task}.mixing"), own.get(f"tasks.{task}.scale")
        source = (source @ mixing if scale is None else source * scale) + own[f"tasks.{task}.shift"]
        return source @ up if self.place == "bottleneck" else source

    def features(self, weights: Tensors, parameters: Tensors, images: torch.Tensor) -> list[list[torch.Tensor]]:
        x, grid = embed(weights, images)
        h = torch.zeros_like(x)
        features = [[] for _ in range(TASKS)]
        for stage in range(STAGES):
            streams = [0 for _ in range(TASKS)]
            for block in range(DEPTH):
                first, _, second, x = branches(below(weights, f"blocks.{stage * DEPTH + block}."), x)
                for branch, tap in enumerate((first, second)):
                    own = below(parameters, f"sections.{stage}.{block}.{branch}.")
                    narrow = F.gelu(tap @ own["bottleneck.down.weight"] + own["bottleneck.down.bias"])
                    h = h + narrow @ own["bottleneck.up.weight"] + own["bottleneck.up.bias"]
                    if self.extracts(block):
                        streams = [
                            stream + self.extracted(own, task, to_map(self, narrow, grid)) for task, stream in enumerate(streams)
                        ]
            generic = x[:, OTHERS:].unflatten(1, grid) + to_map(self, h, grid)
            for task, stream in enumerate(streams):
                if self.merge == "sum":
                    joined = output_norm(parameters, stage, generic + stream)
                else:
                    joined = torch.cat([output_norm(parameters, stage, generic), stream], -1)
                features[task].append(joined.permute(0, 3, 1, 2))
        return features


OTHER = dict(tap="post_residual", skip="identity", start="patch_embed", fusion="highway_only")
CASES = [
    E3va("e3va_plain"),
    E3va("e3va_plain_readout", readout="add"),
    E3va("e3va_kernel", terms=2),
    E3va("e3va_kernel_readout", terms=2, readout="add"),
    E3va("e3va_kernel_other", terms=2, **OTHER),
    E3va("e3va_kernel_other_readout", terms=2, readout="add", **OTHER),
    ManyTasks("vmt_highway"),
    ManyTasks("vmt_highway_readout", readout="add"),
    ManyTasks("vmt_highway_output", place="output"),
    ManyTasks("vmt_highway_other", extraction="linear", streams="stage_end", merge="concat"),
    ManyTasks("vmt_highway_other_readout", extraction="linear", streams="stage_end", merge="concat", readout="add"),
]


def main() -> None:
    weights = {name: parameter(name, shape).double() for name, shape in backbone_shapes().items()}
    images = scaled("images", IMAGES, 3**0.5).double()
    check_against_timm(weights, images)
    for case in CASES:
        parameters = {name: parameter(name, shape).double().requires_grad_() for name, shape in case.shapes().items()}
        features = case.features(weights, parameters, images)
        named = {f"task{task}.stage{stage}": x for task, stages in enumerate(features) for stage, x in enumerate(stages)}
        loss = sum((uniform(name, x.shape).double() * x).sum() for name, x in named.items())
        loss.backward()
        gradients = {f"grad.{name}": value.grad for name, value in parameters.items()}
        write(f"vit_highway.{case.name}", named | gradients)


if __name__ == "__main__":
    main()
