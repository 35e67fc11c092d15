"""Writes the reference values of full fine-tuning of a network with batch norms, by PyTorch and timm.

    python -m pip install torch==2.15.0 timm==1.0.31 safetensors numpy
    python tests/golden/full_tuning.py

The network, its weights and its input are those of `efficientnet_lite`; behind its four outputs are layer norms over the channels, as
the project has them between a backbone and a neck. Everything is computed in float64 and stored as float32.
"""

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from timm.models.efficientnet import _gen_efficientnet_lite
from torch import nn
from torch.nn import functional as F

FOLDER = Path(__file__).resolve().parent
STEPS = 3
# Small where a batch of eight positions is normalised by itself: rounding is amplified there.
RATES = {"frozen": 0.002, "trained": 0.0002}
MOMENTUM = 0.9
WEIGHT_DECAY = 0.05
# What a batch's statistics count in the running ones: TensorFlow's decay of 0.99.
BATCH_SHARE = 0.01
# The four stages' rows of blocks.
STAGES = (1, 2, 4, 6)


def network() -> nn.Module:
    options = dict(channel_multiplier=0.08, depth_multiplier=0.5, num_classes=5, pad_type="same", bn_eps=1e-3)
    model = _gen_efficientnet_lite("tf_efficientnet_lite0", **options)
    state = load_file(FOLDER / "efficientnet_lite.weights.safetensors")
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected and all(name.endswith("num_batches_tracked") for name in missing)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = BATCH_SHARE
    return model.double()


class Tuned(nn.Module):
    """A network and the norms of its outputs."""

    def __init__(self):
        super().__init__()
        self.backbone = network()
        widths = [self.backbone.blocks[row][-1].conv_pwl.out_channels for row in STAGES]
        self.norms = nn.ModuleList([nn.LayerNorm(width, eps=1e-5) for width in widths]).double()

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        x = self.backbone.bn1(self.backbone.conv_stem(images))
        outputs = []
        for index, row in enumerate(self.backbone.blocks):
            x = row(x)
            if index in STAGES:
                outputs.append(x)
        return [norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2) for norm, x in zip(self.norms, outputs)]


def own_names(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A state under the names of the project's files; the classifier is left out."""
    first = {"conv_dw": "depthwise", "bn1": "depthwise.norm", "conv_pw": "project", "bn2": "project.norm"}
    others = {
        "conv_pw": "expand",
        "bn1": "expand.norm",
        "conv_dw": "depthwise",
        "bn2": "depthwise.norm",
        "conv_pwl": "project",
        "bn3": "project.norm",
    }
    renamed = {}
    for key, value in state.items():
        parts = key.split(".")
        match parts:
            case [*_, "num_batches_tracked"] | ["backbone", "conv_head" | "bn2" | "classifier", *_]:
                continue
            case ["norms", index, parameter]:
                renamed[f"norm{index}.{parameter}"] = value
            case ["backbone", "conv_stem", parameter]:
                renamed[f"stem.{parameter}"] = value
            case ["backbone", "bn1", parameter]:
                renamed[f"stem.norm.{parameter}"] = value
            case ["backbone", "blocks", row, block, part, parameter]:
                part = (first if row == "0" else others)[part]
                renamed[f"rows.{row}.{block}.{part}.{parameter}"] = value
            case _:
                raise AssertionError(key)
    return renamed


def run(case: str, images: torch.Tensor, weights: list[torch.Tensor]) -> dict[str, torch.Tensor]:
    model = Tuned()
    # Frozen statistics are those of evaluation.
    model.train(case == "trained")
    trained = [(name, value) for name, value in model.named_parameters() if not is_classifier(name)]
    # No norm decays.
    decayed = [value for _, value in trained if value.ndim > 1]
    undecayed = [value for _, value in trained if value.ndim == 1]
    groups = [{"params": decayed, "weight_decay": WEIGHT_DECAY}, {"params": undecayed, "weight_decay": 0.0}]
    optimizer = torch.optim.SGD(groups, lr=RATES[case], momentum=MOMENTUM)
    tensors = {}
    for step in range(STEPS):
        outputs = model(images)
        loss = sum((output * weight).mean() for output, weight in zip(outputs, weights))
        optimizer.zero_grad()
        loss.backward()
        tensors[f"step{step}.loss"] = loss.detach().reshape(1)
        optimizer.step()
    tensors |= {f"after.{name}": value for name, value in own_names(model.state_dict()).items()}
    with torch.no_grad():
        tensors |= {f"stage{index}": output for index, output in enumerate(model.eval()(images))}
    return tensors


def is_classifier(name: str) -> bool:
    return name.startswith(("backbone.conv_head", "backbone.bn2", "backbone.classifier"))


def main() -> None:
    torch.set_num_threads(2)
    images = load_file(FOLDER / "efficientnet_lite.io.safetensors")["input"].double()
    with torch.no_grad():
        shapes = [output.shape for output in Tuned().eval()(images)]
    generator = torch.Generator().manual_seed(60)
    weights = [torch.randn(shape, generator=generator) for shape in shapes]
    tensors = {f"weight{index}": weight for index, weight in enumerate(weights)}
    for name in RATES:
        case = run(name, images, [weight.double() for weight in weights])
        losses = [case[f"step{step}.loss"].item() for step in range(STEPS)]
        print(name, losses)
        # Far enough from one another that a step too many or too few shows.
        assert min(abs(losses[0] - losses[1]), abs(losses[1] - losses[2])) > 0.001
        tensors |= {f"{name}.{key}": value for key, value in case.items()}
    rounded = {key: value.detach().to(torch.float32).contiguous() for key, value in tensors.items()}
    for key, value in rounded.items():
        assert value.isfinite().all(), key
    path = FOLDER / "method.full_batch_norms.safetensors"
    save_file(rounded, path)
    path.chmod(0o644)


if __name__ == "__main__":
    main()
