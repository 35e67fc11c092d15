"""ConvNeXt by timm, transformers and torchvision: a tiny random one under the names of every publisher, and E3VA beside it.

    python -m pip install torch==2.15.0 torchvision==0.29.2 timm==1.0.31 transformers==5.24.0 safetensors scikit-learn==1.9.1 numpy
    python tests/golden/convnext.py

All files of weights hold one network, and the program checks that the libraries compute the same with it. Images whose sides are no
multiples of the strides are padded as convnext_reference.py says.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from safetensors.torch import load_file
from timm.models.convnext import ConvNeXt, checkpoint_filter_fn
from torch import nn
from torchvision.models.convnext import CNBlockConfig
from torchvision.models.convnext import ConvNeXt as TorchvisionConvNeXt
from transformers import ConvNextConfig, ConvNextModel, DINOv3ConvNextConfig, DINOv3ConvNextModel

from convnext_reference import convnext_outputs, downsample, padded
from generate import Adapter, seeded, write

CHANNELS, DEPTHS = (4, 6, 8, 10), (1, 1, 2, 1)
CLASSES = 3
SIZES = {"own": [64, 96], "other": [43, 58]}

State = dict[str, torch.Tensor]


def randomise(model: nn.Module, generator: torch.Generator) -> None:
    """Weights that keep the signal's size, and everything else far from its default."""
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if parameter.ndim > 1:
            value = noise / parameter[0].numel() ** 0.5
        elif name.endswith(("weight", "gamma")):
            value = 0.2 * noise + 1.0
        else:
            value = 0.2 * noise
        parameter.data.copy_(value)


# Names of timm's parameters with other publishers


def place(key: str) -> tuple[str, ...]:
    """`stem`, `downsample` or `block` with the numbers of stage and block, and the rest of timm's name."""
    parts = key.split(".")
    match parts:
        case ["stem", *rest]:
            return "stem", ".".join(rest)
        case ["stages", stage, "downsample", *rest]:
            return "downsample", stage, ".".join(rest)
        case ["stages", stage, "blocks", block, *rest]:
            return "block", stage, block, ".".join(rest)
    return ("head", key)


def renamed_parts(rest: str, names: dict[str, str]) -> str:
    for timms, theirs in names.items():
        if rest == timms or rest.startswith(f"{timms}."):
            return theirs + rest.removeprefix(timms)
    raise KeyError(rest)


METAS = {"conv_dw": "dwconv", "norm": "norm", "mlp.fc1": "pwconv1", "mlp.fc2": "pwconv2", "gamma": "gamma"}


def metas_name(key: str) -> str:
    match place(key):
        case ("stem", rest):
            return f"downsample_layers.0.{rest}"
        case ("downsample", stage, rest):
            return f"downsample_layers.{stage}.{rest}"
        case ("block", stage, block, rest):
            return f"stages.{stage}.{block}.{renamed_parts(rest, METAS)}"
    return renamed_parts(key, {"head.norm": "norm", "head.fc": "head"})


TRANSFORMERS = METAS | {"norm": "layernorm", "gamma": "layer_scale_parameter"}


def transformers_name(key: str) -> str:
    match place(key):
        case ("stem", rest):
            return "embeddings." + renamed_parts(rest, {"0": "patch_embeddings", "1": "layernorm"})
        case ("downsample", stage, rest):
            return f"encoder.stages.{stage}.downsampling_layer.{rest}"
        case ("block", stage, block, rest):
            return f"encoder.stages.{stage}.layers.{block}.{renamed_parts(rest, TRANSFORMERS)}"
    return renamed_parts(key, {"head.norm": "layernorm"})


DINOV3 = {
    "conv_dw": "depthwise_conv",
    "norm": "layer_norm",
    "mlp.fc1": "pointwise_conv1",
    "mlp.fc2": "pointwise_conv2",
    "gamma": "gamma",
}


def dinov3_name(key: str) -> str:
    """In memory; in files the stages have no `model.` in front."""
    match place(key):
        case ("stem", rest):
            return f"model.stages.0.downsample_layers.{rest}"
        case ("downsample", stage, rest):
            return f"model.stages.{stage}.downsample_layers.{rest}"
        case ("block", stage, block, rest):
            return f"model.stages.{stage}.layers.{block}.{renamed_parts(rest, DINOV3)}"
    return renamed_parts(key, {"head.norm": "layer_norm"})


TORCHVISION = {"conv_dw": "block.0", "norm": "block.2", "mlp.fc1": "block.3", "mlp.fc2": "block.5", "gamma": "layer_scale"}


def torchvision_name(key: str) -> str:
    match place(key):
        case ("stem", rest):
            return f"features.0.{rest}"
        case ("downsample", stage, rest):
            return f"features.{2 * int(stage)}.{rest}"
        case ("block", stage, block, rest):
            return f"features.{2 * int(stage) + 1}.{block}.{renamed_parts(rest, TORCHVISION)}"
    return renamed_parts(key, {"head.norm": "classifier.0", "head.fc": "classifier.2"})


def without_classifier(state: State) -> State:
    return {key: value for key, value in state.items() if not key.startswith("head.fc.")}


def state_of(model: nn.Module) -> State:
    return {key: value.clone() for key, value in model.state_dict().items()}


def saved(model) -> State:
    """As transformers writes it."""
    with TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        return load_file(f"{folder}/model.safetensors")


def assert_same(found: list[torch.Tensor], expected: list[torch.Tensor]) -> None:
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected):
        assert (ours - theirs).abs().max() < 1e-5 * theirs.abs().max()


def write_publishers(model: ConvNeXt, images: torch.Tensor) -> None:
    state = state_of(model)
    write("convnext.timm.weights", state)
    with torch.no_grad():
        expected = convnext_outputs(model, images)
        # timm's own forward pass, at a size without remainders.
        assert_same(model.forward_intermediates(images, intermediates_only=True), expected)

    metas = {metas_name(key): value for key, value in state.items()}
    back = checkpoint_filter_fn(dict(metas), model)
    assert back.keys() == state.keys() and all(back[key].equal(state[key]) for key in state)
    write("convnext.meta.weights", metas)

    shape = dict(hidden_sizes=list(CHANNELS), depths=list(DEPTHS))
    theirs = ConvNextModel(ConvNextConfig(**shape)).eval()
    theirs.load_state_dict({transformers_name(key): value for key, value in without_classifier(state).items()})
    with torch.no_grad():
        assert_same(list(theirs(images, output_hidden_states=True).hidden_states[-4:]), expected)
    write("convnext.transformers.weights", saved(theirs))

    theirs = DINOv3ConvNextModel(DINOv3ConvNextConfig(**shape)).eval()
    theirs.load_state_dict({dinov3_name(key): value for key, value in without_classifier(state).items()})
    with torch.no_grad():
        assert_same(list(theirs(images, output_hidden_states=True).hidden_states[-4:]), expected)
    write("convnext.dinov3.weights", saved(theirs))
    write("convnext.dinov3_in_memory.weights", state_of(theirs))

    widths = (*CHANNELS[1:], None)
    blocks = [CNBlockConfig(*sizes) for sizes in zip(CHANNELS, widths, DEPTHS)]
    theirs = TorchvisionConvNeXt(blocks, num_classes=CLASSES).eval()
    shapes = {key: value.shape for key, value in theirs.state_dict().items()}
    renamed = {torchvision_name(key): value for key, value in state.items()}
    theirs.load_state_dict({key: value.reshape(shapes[key]) for key, value in renamed.items()})
    maps, x = [], images
    with torch.no_grad():
        for layer in theirs.features:
            x = layer(x)
            maps.append(x)
    assert_same(maps[1::2], expected)
    write("convnext.torchvision.weights", state_of(theirs))


class Highway(nn.Module):
    """An adapter per block and four output norms, under the paths of the module under test."""

    def __init__(self) -> None:
        super().__init__()
        widths = list(zip(CHANNELS, DEPTHS))
        self.sections = nn.ModuleList(
            nn.ModuleList(nn.ModuleList([Adapter(width, False)]) for _ in range(depth)) for width, depth in widths
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for width, _ in widths)

    def paths(self) -> dict[str, nn.Parameter]:
        def path(name: str) -> str:
            if name.startswith("norms."):
                name = f"norms.{name}".replace("weight", "gamma").replace("bias", "beta")
            return name

        return {path(name): parameter for name, parameter in self.named_parameters()}


def random_highway(generator: torch.Generator) -> Highway:
    highway = Highway()
    for path, parameter in highway.paths().items():
        noise = torch.randn(parameter.shape, generator=generator)
        if path.startswith("norms."):
            value = 0.2 * noise + (1.0 if path.endswith("gamma") else 0.0)
        elif path.endswith("_bias"):
            value = 0.2 * noise
        else:
            # A factor of a projection: [summed over, kept].
            value = noise / parameter.shape[-2] ** 0.5
        parameter.data.copy_(value)
    return highway


def last(x: torch.Tensor) -> torch.Tensor:
    return x.permute(0, 2, 3, 1)


def first(x: torch.Tensor) -> torch.Tensor:
    return x.permute(0, 3, 1, 2)


def highway_outputs(model: ConvNeXt, highway: Highway, images: torch.Tensor) -> list[torch.Tensor]:
    """norm_s(x_s + h_s), [batch, channels, height, width]."""
    x = model.stem(padded(images, 4))
    h = torch.zeros_like(x)
    outputs = []
    for stage, adapters, norm in zip(model.stages, highway.sections, highway.norms):
        x, h = downsample(stage, x), downsample(stage, h)
        for block, (adapter,) in zip(stage.blocks, adapters):
            # With LayerScale, before the residual add.
            branch = block(x) - x
            h = h + first(adapter(last(branch)))
            x = x + branch
        outputs.append(first(norm(last(x + h))))
    return outputs


def write_highway(model: ConvNeXt, images: torch.Tensor) -> None:
    generator = seeded(3)
    highway = random_highway(generator)
    parameters = {f"param.{path}": parameter.clone() for path, parameter in highway.paths().items()}
    highway = highway.double()
    outputs = highway_outputs(model.double().requires_grad_(False), highway, images.double())
    weights = [torch.randn(output.shape, generator=generator) for output in outputs]
    loss = sum((output * weight.double()).sum() for output, weight in zip(outputs, weights))
    loss.backward()
    write(
        "convnext.e3va",
        {
            "input": images,
            "loss": loss.reshape(1),
            **parameters,
            **{f"weight{i}": weight for i, weight in enumerate(weights)},
            **{f"stage{i}": output for i, output in enumerate(outputs)},
            **{f"grad.{path}": parameter.grad for path, parameter in highway.paths().items()},
        },
    )


def main() -> None:
    generator = seeded(0)
    model = ConvNeXt(dims=CHANNELS, depths=DEPTHS, num_classes=CLASSES, norm_eps=1e-6).eval()
    randomise(model, generator)
    images = {name: torch.randn([2, 3, *size], generator=generator) for name, size in SIZES.items()}
    write_publishers(model, images["own"])

    exact = {}
    model = model.double()
    with torch.no_grad():
        for name, batch in images.items():
            exact[f"{name}.input"] = batch
            outputs = convnext_outputs(model, batch.double())
            exact |= {f"{name}.stage{i}": output for i, output in enumerate(outputs)}
    write("convnext.io", exact)
    write_highway(model, images["other"])


if __name__ == "__main__":
    main()
