"""Compares `gradway features` with timm on random weights, at full size.

    cargo build --release --package gradway
    python -m pip install torch torchvision timm safetensors numpy
    python tests/golden/parity_timm.py --binary target/release/gradway
    python tests/golden/parity_timm.py --binary target/release/gradway --models swin_tiny,efficientnet_lite0 --sizes 224,230x310 --device cuda:0

The relative error of a stage is max|ours - timm's| / max|timm's|; the exit status is 1 if one is over the tolerance. The Swins are
stated as in swin_reference.py. Each weight file is deleted after its model (Swin-L: 790 MB).
"""

import argparse
import copy
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import timm
import torch
from safetensors.torch import load_file, save_file
from timm.models.convnext import ConvNeXt
from timm.models.swin_transformer import SwinTransformer
from torch import nn
from torch.nn import functional as F

from convnext_reference import convnext_outputs
from weight_files import open_mmlab
from swin_reference import randomise, randomise_batch_norms, stage_outputs, use_padded_then_shifted, use_shifted_then_padded

MODELS = {
    "swin_tiny": "swin_tiny_patch4_window7_224",
    "swin_small": "swin_small_patch4_window7_224",
    "swin_base": "swin_base_patch4_window7_224",
    "swin_large": "swin_large_patch4_window7_224",
    "swin_base_w12": "swin_base_patch4_window12_384",
    "efficientnet_lite0": "tf_efficientnet_lite0",
    "efficientnet_lite1": "tf_efficientnet_lite1",
    "efficientnet_lite2": "tf_efficientnet_lite2",
    "dinov2_small": "vit_small_patch14_dinov2",
    "dinov2_base": "vit_base_patch14_dinov2",
    "dinov2_large": "vit_large_patch14_dinov2",
    "dinov2_small_reg": "vit_small_patch14_reg4_dinov2",
    "dinov2_base_reg": "vit_base_patch14_reg4_dinov2",
    "dinov2_large_reg": "vit_large_patch14_reg4_dinov2",
    "dinov3_small": "vit_small_patch16_dinov3",
    "dinov3_small_plus": "vit_small_plus_patch16_dinov3",
    "dinov3_base": "vit_base_patch16_dinov3",
    "dinov3_large": "vit_large_patch16_dinov3",
    "vit_small_16": "vit_small_patch16_224",
    "vit_base_16": "vit_base_patch16_224",
    "vit_large_16": "vit_large_patch16_224",
    "convnext_tiny": "convnext_tiny",
    "convnext_small": "convnext_small",
    "convnext_base": "convnext_base",
    "convnext_large": "convnext_large",
}
VITS = ("dinov2", "dinov3", "vit")
SIZES = "224,384,448,230x310"
# Sizes of a plain vision transformer: that of its pre-training too, and sides that are no multiples of a patch.
VIT_SIZES = {14: "224,518,308x406,230x310", 16: "224,256,308x406,230x310"}
FORMATS = ("safetensors", "pth", "strided", "microsoft", "open_mmlab")
SWIN_FORMATS = ("microsoft", "open_mmlab")
BATCH = 3


def build(name: str, pad_first: bool) -> nn.Module:
    generator = torch.Generator().manual_seed(list(MODELS).index(name))
    if name.startswith("swin"):
        # These two options keep the window and the bias tables as they are at any image size.
        model = timm.create_model(MODELS[name], strict_img_size=False, always_partition=True)
        randomise(model, generator)
        return (use_padded_then_shifted if pad_first else use_shifted_then_padded)(model.eval())
    if name.startswith(VITS):
        model = timm.create_model(MODELS[name], dynamic_img_size=True)
        randomise(model, generator)
        # Of the size of the patches that they are added to or stand beside.
        for name, parameter in model.named_parameters():
            if name in ("pos_embed", "cls_token", "reg_token"):
                parameter.data.copy_(torch.randn(parameter.shape, generator=generator))
        return model.eval()
    model = timm.create_model(MODELS[name])
    randomise(model, generator)
    if name.startswith("convnext"):
        # Scales of norms, whose names do not say so, and of branches, which are then of the size of what they are added to.
        for name, parameter in model.named_parameters():
            if parameter.ndim == 1 and name.endswith((".gamma", ".weight")):
                parameter.data.copy_(0.2 * torch.randn(parameter.shape, generator=generator) + 1.0)
        return model.eval()
    randomise_batch_norms(model, generator)
    return model.eval()


def reference(model: nn.Module, images: torch.Tensor) -> list[torch.Tensor]:
    if isinstance(model, SwinTransformer):
        return stage_outputs(model, images)
    # In float64, since rounding grows tenfold over the deep stacks of convolutions. timm counts the output at stride 2 as well.
    exact = copy.deepcopy(model).double()
    with torch.no_grad():
        if isinstance(model, ConvNeXt):
            return [output.float() for output in convnext_outputs(exact, images.double())]
        if hasattr(model, "blocks") and hasattr(model, "cls_token"):
            # The map of the patches after every quarter of the blocks, before the last norm.
            blocks = len(model.blocks)
            indices = [blocks * (stage + 1) // 4 - 1 for stage in range(4)]
            patch = model.patch_embed.patch_size[0]
            padded = F.pad(images, (0, -images.shape[3] % patch, 0, -images.shape[2] % patch))
            outputs = exact.forward_intermediates(padded.double(), indices=indices, norm=False, intermediates_only=True)
            return [output.float() for output in outputs]
        outputs = exact.forward_intermediates(images.double(), intermediates_only=True)[-4:]
    return [output.float() for output in outputs]


def save(model: nn.Module, form: str, path: Path) -> None:
    state = model.state_dict()
    if form == "safetensors":
        save_file(state, path)
    elif form == "pth":
        torch.save(state, path)
    elif form == "strided":
        torch.save({key: other_strides(value) for key, value in state.items()}, path)
    elif form == "open_mmlab":
        torch.save(open_mmlab({key: value for key, value in state.items() if not key.startswith(("head.", "norm."))}), path)
    else:
        torch.save({"model": microsoft_layout(model)}, path)


def other_strides(value: torch.Tensor) -> torch.Tensor:
    """The same values, kept in another order."""
    if value.dim() == 4:
        return value.contiguous(memory_format=torch.channels_last)
    return value.t().contiguous().t() if value.dim() == 2 else value


def microsoft_layout(model: SwinTransformer) -> dict[str, torch.Tensor]:
    """The checkpoints of Microsoft's repository: merging at the end of a stage, buffers, another name for the classifier."""
    state = {}
    for key, value in model.state_dict().items():
        if ".downsample." in key:
            _, stage, rest = key.split(".", 2)
            key = f"layers.{int(stage) - 1}.{rest}"
        state[key.replace("head.fc.", "head.")] = value
    for stage_index, stage in enumerate(model.layers):
        for index, block in enumerate(stage.blocks):
            prefix = f"layers.{stage_index}.blocks.{index}"
            state[f"{prefix}.attn.relative_position_index"] = block.attn.relative_position_index
            if index % 2 == 1:
                # Right in name alone: its values depend on the image size and nobody may read them.
                area = block.attn.window_area
                state[f"{prefix}.attn_mask"] = torch.zeros(4, area, area)
    return state


def run(arguments: argparse.Namespace, name: str, weights: Path, images: Path, outputs: Path) -> dict[str, torch.Tensor]:
    command = [arguments.binary, "features", "--backbone", name, "--weights", weights, "--input", images, "--output", outputs]
    if arguments.pad_first:
        command += ["--pad-first"]
    if arguments.device:
        command += ["--device", arguments.device]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(str(part) for part in command)}\nexit status {done.returncode}\n{done.stderr}")
    try:
        return load_file(outputs)
    finally:
        outputs.unlink()


def compare(ours: dict[str, torch.Tensor], theirs: list[torch.Tensor]) -> list[float]:
    errors = []
    for stage, expected in enumerate(theirs):
        found = ours[f"stage{stage}"]
        if found.shape != expected.shape:
            sys.exit(f"stage{stage} has shape {tuple(found.shape)}; timm's is {tuple(expected.shape)}")
        error = ((found - expected).abs().max() / expected.abs().max()).item()
        errors.append(error if error == error else float("inf"))  # not a number: fails
    return errors


def check_model(arguments: argparse.Namespace, name: str, folder: Path) -> float:
    model = build(name, arguments.pad_first)
    cases = []
    for size in arguments.sizes or sizes(default_sizes(model)):
        generator = torch.Generator().manual_seed(sum(size))
        images = torch.randn(BATCH, 3, *size, generator=generator)
        cases.append((size, images, reference(model, images)))

    worst = 0.0
    for form in arguments.formats:
        if form in SWIN_FORMATS and not name.startswith("swin"):
            continue
        weights = folder / ("weights.safetensors" if form == "safetensors" else "weights.pth")
        save(model, form, weights)
        for (height, width), images, theirs in cases:
            input_path = folder / "input.npy"
            np.save(input_path, images.numpy())
            begin = time.monotonic()
            ours = run(arguments, name, weights, input_path, folder / "output.safetensors")
            seconds = time.monotonic() - begin
            input_path.unlink()
            errors = compare(ours, theirs)
            worst = max(worst, *errors)
            verdict = "" if max(errors) <= arguments.tolerance else "  OVER"
            columns = "  ".join(f"{error:.1e}" for error in errors)
            print(f"{name:<20}{form:<12}{height}x{width:<6}{columns}  {seconds:6.1f} s{verdict}", flush=True)
        weights.unlink()
    return worst


def choices(known):
    def parse(text: str) -> list[str]:
        chosen = text.split(",")
        if unknown := [name for name in chosen if name not in known]:
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; known: {', '.join(known)}")
        return chosen

    return parse


def default_sizes(model: nn.Module) -> str:
    return VIT_SIZES[model.patch_embed.patch_size[0]] if hasattr(model, "cls_token") else SIZES


def sizes(text: str) -> list[tuple[int, int]]:
    parsed = []
    for size in text.split(","):
        height, _, width = size.partition("x")
        parsed.append((int(height), int(width or height)))
    return parsed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True, type=Path, help="the gradway binary")
    parser.add_argument("--models", default=list(MODELS), type=choices(MODELS), help=f"of {','.join(MODELS)}")
    parser.add_argument(
        "--sizes", type=sizes, help=f"side or HEIGHTxWIDTH (default {SIZES}; of a vision transformer by its patch: {VIT_SIZES})"
    )
    parser.add_argument(
        "--formats", default=["safetensors", "pth"], type=choices(FORMATS), help=f"of {','.join(FORMATS)} (default the first two)"
    )
    parser.add_argument("--pad-first", action="store_true", help="compare the order of mmdetection and torchvision")
    parser.add_argument("--device", help="device of gradway; timm runs on the CPU")
    parser.add_argument("--tolerance", default=1e-4, type=float, help="largest relative error (default 1e-4)")
    parser.add_argument("--threads", default=torch.get_num_threads(), type=int, help="threads of timm")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)

    print(f"{'model':<20}{'format':<12}{'size':<10}{'stage0':<9}{'stage1':<9}{'stage2':<9}{'stage3':<9}")
    with tempfile.TemporaryDirectory() as folder:
        worst = max(check_model(arguments, name, Path(folder)) for name in arguments.models)
    print(f"largest {worst:.1e}, tolerance {arguments.tolerance:.0e}")
    sys.exit(0 if worst <= arguments.tolerance else 1)


if __name__ == "__main__":
    main()
