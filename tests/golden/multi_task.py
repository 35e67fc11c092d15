"""Writes the reference values of methods for many tasks: VMT-Adapter, its Lite form, the one on a gradient highway, those whose
weights hypernetworks make, and MTLoRA.

    python tests/golden/multi_task.py

Needs what generate.py needs. Tasks are written one by one, block by block, as the equations have them; the code under test folds
them into one product per stage. Parameters have the names and the layout, [inputs, outputs], of the modules under test.
"""

from dataclasses import dataclass

import torch
from torch.nn import functional as F

from generate import SIZE_4, WINDOW_4, below, embed, in_branches, merge, seeded, write
from swin_reference import pad_to_patches, stage_outputs

TASKS, REDUCTION = 2, 2


@dataclass
class Case:
    name: str
    extraction: str = "scale_shift"  # or linear
    place: str = "bottleneck"  # or output
    streams: str = "every_block"  # or stage_end
    merge: str = "sum"  # or concat
    input: str = "post_norm"  # or pre_norm
    learn_scale: bool = False
    scale: float = 1.0
    tied: bool = False
    highway: bool = False

    def extracts(self, block: int, depth: int) -> bool:
        return self.streams == "every_block" or block + 1 == depth


OTHER = {"extraction": "linear", "streams": "stage_end", "merge": "concat"}
CASES = [
    Case("vmt_adapter"),
    Case("vmt_adapter_other", place="output", input="pre_norm", learn_scale=True, **OTHER),
    Case("vmt_adapter_output", place="output", scale=0.5),
    Case("vmt_adapter_lite", tied=True, scale=0.5),
    Case("vmt_highway", highway=True),
    Case("vmt_highway_other", highway=True, **OTHER),
]


def adapter_shapes(case: Case, channels: int, extracts: bool) -> dict[str, tuple[int, ...]]:
    narrow = channels // REDUCTION
    width = narrow if case.place == "bottleneck" else channels
    if case.highway:
        shapes = {
            "bottleneck.down.weight": (channels, narrow),
            "bottleneck.down.bias": (narrow,),
            "bottleneck.up.weight": (narrow, channels),
            "bottleneck.up.bias": (channels,),
        }
    else:
        shapes = {"down.weight": (channels, narrow), "down.bias": (narrow,), "up_bias": (channels,)}
        if not case.tied:
            shapes["up"] = (narrow, channels)
        if case.learn_scale:
            shapes["scale"] = (1,)
    for task in range(TASKS if extracts else 0):
        form = ("mixing", (width, width)) if case.extraction == "linear" else ("scale", (width,))
        shapes |= {f"tasks.{task}.{form[0]}": form[1], f"tasks.{task}.shift": (width,)}
    return shapes


def random_parameters(case: Case) -> dict[str, torch.Tensor]:
    generator = seeded(35)
    parameters = {}
    for stage, depth in enumerate(WINDOW_4.depths):
        channels = WINDOW_4.embed_dim * 2**stage
        for block in range(depth):
            for branch in ("0.", "1.") if case.highway else ("",):
                for name, shape in adapter_shapes(case, channels, case.extracts(block, depth)).items():
                    spread = shape[-2] ** -0.5 if len(shape) == 2 else 0.2
                    offset = 1.0 if name.endswith("scale") else 0.0
                    value = offset + spread * torch.randn(shape, generator=generator)
                    parameters[f"sections.{stage}.{block}.{branch}{name}"] = value
        for name, offset in (("gamma", 1.0), ("beta", 0.0)):
            parameters[f"norms.norms.{stage}.{name}"] = offset + 0.2 * torch.randn(channels, generator=generator)
    return {name: value.double().requires_grad_() for name, value in parameters.items()}


def narrowed(own, z: torch.Tensor) -> torch.Tensor:
    return F.gelu(z @ own["down.weight"] + own["down.bias"])


def extracted(case: Case, own, up: torch.Tensor, bias: torch.Tensor, scale, task: int, u: torch.Tensor) -> torch.Tensor:
    """What a task takes of a narrow map."""
    source = u if case.place == "bottleneck" else scale * (u @ up + bias)
    if case.extraction == "linear":
        source = source @ own[f"tasks.{task}.mixing"]
    else:
        source = source * own[f"tasks.{task}.scale"]
    source = source + own[f"tasks.{task}.shift"]
    return scale * (source @ up) if case.place == "bottleneck" else source


def leave(case: Case, parameters, stage: int, generic: torch.Tensor, stream: torch.Tensor) -> torch.Tensor:
    gamma, beta = (parameters[f"norms.norms.{stage}.{name}"] for name in ("gamma", "beta"))
    norm = lambda x: F.layer_norm(x, x.shape[-1:], gamma, beta)
    joined = norm(generic + stream) if case.merge == "sum" else torch.cat([norm(generic), stream], -1)
    return joined.permute(0, 3, 1, 2)


def forward(case: Case, model, parameters, images: torch.Tensor) -> list[list[torch.Tensor]]:
    """The features of every task."""
    x = embed(model.patch_embed, {}, pad_to_patches(images))
    h = torch.zeros_like(x)
    features = [[] for _ in range(TASKS)]
    for index, stage in enumerate(model.layers):
        x, h = (merge(stage.downsample, index, {}, y) for y in (x, h))
        streams = [torch.zeros_like(x) for _ in range(TASKS)]
        depth = len(stage.blocks)
        for position, block in enumerate(stage.blocks):
            attention = block._attn(block.norm1(x))
            middle = x + attention
            normed = block.norm2(middle)
            mlp = block.mlp(normed)
            place = f"sections.{index}.{position}."
            if case.highway:
                x = middle + mlp
                taps = [(below(parameters, f"{place}{branch}."), tap) for branch, tap in enumerate((attention, mlp))]
            else:
                taps = [(below(parameters, place), normed if case.input == "post_norm" else middle)]
                x = middle + mlp
            for own, tap in taps:
                scale = own["scale"] if case.learn_scale else case.scale
                if case.highway:
                    u = narrowed(below(own, "bottleneck."), tap)
                    up, bias = own["bottleneck.up.weight"], own["bottleneck.up.bias"]
                    h = h + u @ up + bias
                else:
                    u = narrowed(own, tap)
                    up, bias = own["down.weight"].T if case.tied else own["up"], own["up_bias"]
                    x = x + scale * (u @ up + bias)
                if case.extracts(position, depth):
                    streams = [
                        stream + extracted(case, own, up, bias, scale, task, u) for task, stream in enumerate(streams)
                    ]
        for task, stream in enumerate(streams):
            # Patch merging makes something of a stream of zeros, too.
            features[task].append(leave(case, parameters, index, x + h if case.highway else x, stream))
    return features


# Weights made for a task, a pass for each

EMBEDDING, HYPER_RANK = 3, 2
HYPER = "hypernetworks."


def normal(shapes: dict[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    """Parameters below the output norms, which follow."""
    generator = seeded(36)
    spread = lambda shape: shape[-2] ** -0.5 if len(shape) == 2 else 0.2
    parameters = {name: spread(shape) * torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    for stage in range(len(WINDOW_4.depths)):
        for name, offset in (("gamma", 1.0), ("beta", 0.0)):
            value = offset + 0.2 * torch.randn(WINDOW_4.embed_dim * 2**stage, generator=generator)
            parameters[f"norms.norms.{stage}.{name}"] = value
    return {name: value.double().requires_grad_() for name, value in parameters.items()}


def places():
    for stage, depth in enumerate(WINDOW_4.depths):
        for block in range(depth):
            for branch in (0, 1):
                yield f"{stage}.{block}.{branch}.", WINDOW_4.embed_dim * 2**stage


def hyperformer_shapes() -> dict[str, tuple[int, ...]]:
    shapes = {"embeddings": (TASKS, EMBEDDING)}
    for place, channels in places():
        narrow = channels // REDUCTION
        widths = {"down": channels * narrow, "down_bias": narrow, "up": narrow * channels, "up_bias": channels}
        shapes |= {f"{HYPER}{place}{name}": (EMBEDDING, width) for name, width in widths.items()}
    return shapes


def hyperformer_weights(parameters, own, task: int, channels: int) -> list[torch.Tensor]:
    embedding, narrow = parameters["embeddings"][task], channels // REDUCTION
    down, up = (embedding @ own[name] for name in ("down", "up"))
    biases = (embedding @ own[name] for name in ("down_bias", "up_bias"))
    return [down.view(channels, narrow), up.view(narrow, channels), *biases]


def polyhistor_shapes() -> dict[str, tuple[int, ...]]:
    wide = WINDOW_4.embed_dim
    shapes = {"embeddings": (TASKS, EMBEDDING)}
    for network in ("down", "up"):
        shapes |= {
            f"{HYPER}{network}.first": (EMBEDDING, HYPER_RANK),
            f"{HYPER}{network}.second": (HYPER_RANK, wide * wide // REDUCTION),
        }
    for place, channels in places():
        ratio = channels // wide
        kernels = f"{HYPER}kernels.{place}"
        shapes |= {kernels + name: (ratio, ratio) for name in ("down", "up")}
        shapes |= {f"{kernels}down_bias": (channels // REDUCTION,), f"{kernels}up_bias": (channels,)}
    return shapes


def polyhistor_weights(parameters, own, task: int, channels: int) -> list[torch.Tensor]:
    wide, narrow = WINDOW_4.embed_dim, WINDOW_4.embed_dim // REDUCTION
    embedding = parameters["embeddings"][task]
    networks = (below(parameters, f"{HYPER}{name}.") for name in ("down", "up"))
    templates = [embedding @ network["first"] @ network["second"] for network in networks]
    return [
        torch.kron(own["down"], templates[0].view(wide, narrow)),
        torch.kron(own["up"], templates[1].view(narrow, wide)),
        own["down_bias"],
        own["up_bias"],
    ]


def thin_shapes() -> dict[str, tuple[int, ...]]:
    shapes = {"embeddings": (TASKS, EMBEDDING)}
    for place, channels in places():
        narrow = channels // REDUCTION
        for network in ("down", "up"):
            shapes |= {
                f"{HYPER}{place}{network}.first": (EMBEDDING, HYPER_RANK),
                f"{HYPER}{place}{network}.second": (HYPER_RANK, channels * narrow),
            }
        shapes |= {f"{HYPER}{place}down_bias": (narrow,), f"{HYPER}{place}up_bias": (channels,)}
    return shapes


def thin_weights(parameters, own, task: int, channels: int) -> list[torch.Tensor]:
    embedding, narrow = parameters["embeddings"][task], channels // REDUCTION
    down, up = (embedding @ own[f"{name}.first"] @ own[f"{name}.second"] for name in ("down", "up"))
    return [down.view(channels, narrow), up.view(narrow, channels), own["down_bias"], own["up_bias"]]


def forward_made(model, parameters, where: str, weights, images: torch.Tensor) -> list[list[torch.Tensor]]:
    features = []
    for task in range(TASKS):
        x = embed(model.patch_embed, {}, pad_to_patches(images))
        stages = []
        for index, stage in enumerate(model.layers):
            x = merge(stage.downsample, index, {}, x)
            for position, block in enumerate(stage.blocks):

                def adapt(branch: int, y: torch.Tensor) -> torch.Tensor:
                    own = below(parameters, f"{where}{index}.{position}.{branch}.")
                    down, up, down_bias, up_bias = weights(parameters, own, task, y.shape[-1])
                    return y + F.gelu(y @ down + down_bias) @ up + up_bias

                x = in_branches(block, x, adapt)
            gamma, beta = (parameters[f"norms.norms.{index}.{name}"] for name in ("gamma", "beta"))
            stages.append(F.layer_norm(x, x.shape[-1:], gamma, beta).permute(0, 3, 1, 2))
        features.append(stages)
    return features


# Low-rank updates of projections, a task's own in the last block of a stage

RANK, TASK_RANK, SCALE, TASK_SCALE = 3, 2, 0.75, 1.5


def mtlora_shapes() -> dict[str, tuple[int, ...]]:
    def factors(place: str, rank: int, **sizes) -> dict[str, tuple[int, ...]]:
        downs = {f"{place}.{name}.down": (inputs, rank) for name, (inputs, _) in sizes.items()}
        return downs | {f"{place}.{name}.up": (rank, outputs) for name, (_, outputs) in sizes.items()}

    shapes = {}
    for stage, depth in enumerate(WINDOW_4.depths):
        channels = WINDOW_4.embed_dim * 2**stage
        sizes = {"proj": (channels, channels), "fc1": (channels, 4 * channels), "fc2": (4 * channels, channels)}
        for block in range(depth):
            shapes |= factors(f"sections.{stage}.{block}", RANK, qkv=(channels, 3 * channels))
            if (stage, block + 1) != (len(WINDOW_4.depths) - 1, depth):
                shapes |= factors(f"sections.{stage}.{block}.rest", RANK, **sizes)
        for task in range(TASKS):
            shapes |= factors(f"ends.{stage}.tasks.{task}", TASK_RANK, **sizes)
    return shapes


class Updated(torch.nn.Module):
    """A projection with an update; it remembers what it made without."""

    def __init__(self, layer, own, scale: float):
        super().__init__()
        self.layer, self.own, self.scale = layer, own, scale

    @property
    def weight(self) -> torch.Tensor:
        update = self.scale * (self.own["down"] @ self.own["up"]).T if self.own else 0
        return self.layer.weight + update

    @property
    def bias(self) -> torch.Tensor:
        return self.layer.bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.bare = self.layer(x)
        return self.bare + (self.update(x) if self.own else 0)

    def update(self, x: torch.Tensor) -> torch.Tensor:
        return self.scale * (x @ self.own["down"] @ self.own["up"])


def forward_mtlora(model, parameters, images: torch.Tensor) -> list[list[torch.Tensor]]:
    """A task's attention is that of all with another projection at its end, so that it is simply run again."""
    updated = lambda layer, place, scale: Updated(layer, below(parameters, f"{place}."), scale)
    x = embed(model.patch_embed, {}, pad_to_patches(images))
    features = [[] for _ in range(TASKS)]
    for index, stage in enumerate(model.layers):
        x = merge(stage.downsample, index, {}, x)
        for position, block in enumerate(stage.blocks):
            place = f"sections.{index}.{position}"
            attention, mlp, projection = block.attn, block.mlp, block.attn.proj
            attention.qkv = updated(attention.qkv, f"{place}.qkv", SCALE)
            attention.proj = updated(projection, f"{place}.rest.proj", SCALE)
            mlp.fc1, mlp.fc2 = (updated(getattr(mlp, name), f"{place}.rest.{name}", SCALE) for name in ("fc1", "fc2"))
            before = x
            x = x + block._attn(block.norm1(x))
            x = x + mlp(block.norm2(x))
        for task, stages in enumerate(features):
            place = f"ends.{index}.tasks.{task}"
            first, second = (updated(None, f"{place}.{name}", TASK_SCALE) for name in ("fc1", "fc2"))
            attention.proj = updated(projection, f"{place}.proj", TASK_SCALE)
            middle = before + block._attn(block.norm1(before))
            wide = F.gelu(mlp.fc1.bare + first.update(block.norm2(middle)))
            y = middle + mlp.fc2.bare + second.update(wide)
            gamma, beta = (parameters[f"norms.norms.{index}.{name}"] for name in ("gamma", "beta"))
            stages.append(F.layer_norm(y, y.shape[-1:], gamma, beta).permute(0, 3, 1, 2))
    return features


def main() -> None:
    frozen = WINDOW_4.build().requires_grad_(False)
    images = WINDOW_4.images(SIZE_4).double()
    generator = seeded(31)
    weights = [torch.randn(output.shape, generator=generator).double() for output in stage_outputs(frozen, images)]
    cases = []
    for case in CASES:
        parameters = random_parameters(case)
        cases.append((case.name, parameters, forward(case, frozen, parameters, images)))
    for name, shapes, where, made in (
        ("hyperformer", hyperformer_shapes, HYPER, hyperformer_weights),
        ("polyhistor", thin_shapes, HYPER, thin_weights),
        ("polyhistor_lite", polyhistor_shapes, f"{HYPER}kernels.", polyhistor_weights),
    ):
        parameters = normal(shapes())
        cases.append((name, parameters, forward_made(frozen, parameters, where, made, images)))
    # Parts of the backbone are trained: the gradients of all of it, under its own names.
    trained = WINDOW_4.build().double()
    own = dict(trained.named_parameters())
    parameters = normal(mtlora_shapes())
    cases.append(("mtlora", parameters, forward_mtlora(trained, parameters, images)))
    for name, parameters, features in cases:
        # The weights are those of one task's channels; side by side, both halves have them.
        loss = sum(
            (task + 1) * (feature * torch.cat([weight] * (feature.shape[1] // weight.shape[1]), 1)).sum()
            for task, stages in enumerate(features)
            for feature, weight in zip(stages, weights)
        )
        loss.backward()
        write(
            f"method.{name}",
            {
                "loss": loss.reshape(1),
                **{f"task{t}.stage{s}": feature for t, stages in enumerate(features) for s, feature in enumerate(stages)},
                **{f"param.{key}": value for key, value in parameters.items()},
                **{f"grad.{key}": value.grad for key, value in parameters.items()},
            },
        )
    gradients = {name: torch.zeros_like(value) if value.grad is None else value.grad for name, value in own.items()}
    write("method.mtlora.gradients", gradients)


if __name__ == "__main__":
    main()
