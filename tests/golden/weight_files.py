"""Writes `weight_files/`: small files of torch.save as people have them, and what PyTorch reads from them.

    python -m pip install torch==2.15.0 safetensors numpy
    python tests/golden/weight_files.py

Beside every NAME.pth there is what PyTorch reads from it, as float32 and contiguous: its tensors in values.safetensors under
`NAME/` and their keys. README.md says what each file holds. The older format names storages by their addresses, so that those
files have other bytes each time, and the same values.
"""

import argparse
import collections
import datetime
import io
import zipfile
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

FOLDER = Path(__file__).resolve().parent / "weight_files"
FORMATS = {"zip": True, "old": False}


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def strided() -> dict:
    """One storage that several tensors are views of, in every layout that PyTorch keeps a tensor in."""
    images = torch.randn(3, 4, 2, 2, generator=seeded(1))
    matrix = torch.randn(5, 6, generator=seeded(2))
    return collections.OrderedDict(
        plain=matrix,
        transposed=matrix.t(),
        columns=matrix[:, 1:4],
        rows=matrix[2:],
        every_other=matrix[::2, 1::3],
        one=matrix[3, 4],
        none=matrix[:0],
        expanded=matrix[1, None, :].expand(3, 6),
        channels_last=images.contiguous(memory_format=torch.channels_last),
        channels_last_inside=images.contiguous(memory_format=torch.channels_last)[1:, 1:3],
        volume=torch.randn(2, 3, 2, 2, 2, generator=seeded(3)).contiguous(memory_format=torch.channels_last_3d),
        permuted=images.permute(2, 0, 3, 1),
        parameter=nn.Parameter(matrix.t()),
    )


def types(is_zip: bool) -> dict:
    values = torch.tensor([[0.0, 1.0, 100.0], [3.0, 2.0, 0.0]])
    kinds = ["float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool"]
    if is_zip:  # PyTorch itself cannot read them from its older format.
        kinds += ["uint64", "uint32", "uint16"]
    tensors = {kind: values.to(getattr(torch, kind)).t() for kind in kinds}
    tensors["fractions"] = torch.randn(4, generator=seeded(4), dtype=torch.float64)
    attributes = nn.Parameter(values)
    attributes.note = "kept beside the tensor"
    return {**tensors, "with_attributes": attributes, "buffer": nn.Buffer(values)}


def beside() -> dict:
    """What training scripts leave beside the weights."""
    model = nn.Linear(3, 2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=seeded(5)))
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    return {
        "state_dict": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "epoch": 7,
        "best": np.float64(0.5),
        "scores": np.arange(4.0),
        "when": datetime.datetime(2024, 2, 29, 12, 30),
        "seen": collections.Counter("gradway"),
        "by_class": collections.defaultdict(list, {"a": [1]}),
        "device": torch.device("cpu"),
        "kind": torch.float16,
        "size": torch.Size([1, 2]),
        "args": argparse.Namespace(rate=1e-3, nested=argparse.Namespace(path=Path("weights"))),
        "names": {"a"},
        "frozen": frozenset({1}),
        "large": 1 << 200,
        "raw": bytearray(b"abc"),
        "complex": torch.tensor([1 + 2j]),
        "negated": torch.imag(torch.tensor([1 + 2j, 3 - 4j]).conj()),
        "sparse": torch.eye(2).to_sparse(),
    }


class UnfoldedMerging(nn.Module):
    """The patch merging of mmdetection, mmsegmentation and mmpretrain: neighbours gathered by nn.Unfold."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm = nn.LayerNorm(4 * channels)
        self.reduction = nn.Linear(4 * channels, 2 * channels, bias=False)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """[batch, channels, height, width] to [batch, positions, 2 * channels]."""
        return self.reduction(self.norm(nn.functional.unfold(maps, 2, stride=2).transpose(1, 2)))


class ConcatenatedMerging(UnfoldedMerging):
    """The published patch merging: neighbours of columns, then of rows, side by side."""

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        neighbours = [maps[..., row::2, column::2] for column in (0, 1) for row in (0, 1)]
        return self.reduction(self.norm(torch.cat(neighbours, dim=1).flatten(2).transpose(1, 2)))


def unfolded(values: torch.Tensor) -> torch.Tensor:
    """The last axis of four neighbours' channels in the order of nn.Unfold."""
    channels = values.shape[-1] // 4
    neighbours = values.unflatten(-1, (4, channels))[..., [0, 2, 1, 3], :]
    return neighbours.transpose(-1, -2).flatten(-2)


def check_unfolding() -> None:
    published, theirs = ConcatenatedMerging(5), UnfoldedMerging(5)
    with torch.no_grad():
        for ours, other in zip(published.parameters(), theirs.parameters()):
            ours.copy_(torch.randn(ours.shape, generator=seeded(len(ours.shape))))
            other.copy_(unfolded(ours))
        maps = torch.randn(2, 5, 6, 4, generator=seeded(6))
        torch.testing.assert_close(theirs(maps), published(maps))


def tiny_swin() -> dict:
    """Random weights of two stages of one block, 4 and 8 channels, 1 and 2 heads, window 4, MLP ratio 4, under timm's names."""
    shapes = {"patch_embed.proj.weight": (4, 3, 4, 4), "patch_embed.proj.bias": (4,)}
    shapes |= {"patch_embed.norm.weight": (4,), "patch_embed.norm.bias": (4,)}
    for stage, (channels, heads) in enumerate([(4, 1), (8, 2)]):
        block = f"layers.{stage}.blocks.0"
        linears = {"attn.qkv": (3, 1), "attn.proj": (1, 1), "mlp.fc1": (4, 1), "mlp.fc2": (1, 4)}
        for name, (outputs, inputs) in linears.items():
            shapes[f"{block}.{name}.weight"] = (outputs * channels, inputs * channels)
            shapes[f"{block}.{name}.bias"] = (outputs * channels,)
        for norm in ("norm1", "norm2"):
            shapes[f"{block}.{norm}.weight"] = shapes[f"{block}.{norm}.bias"] = (channels,)
        shapes[f"{block}.attn.relative_position_bias_table"] = (49, heads)
    shapes["layers.1.downsample.norm.weight"] = shapes["layers.1.downsample.norm.bias"] = (16,)
    shapes["layers.1.downsample.reduction.weight"] = (8, 16)
    generator = seeded(7)
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def open_mmlab_key(key: str) -> str:
    """A name of timm's as mmdetection has it; a stage's down-sampling is at the end of the stage before."""
    if key.startswith("patch_embed.proj."):
        return key.replace("proj.", "projection.")
    if ".downsample." in key:
        stage, rest = key.removeprefix("layers.").split(".", 1)
        return f"stages.{int(stage) - 1}.{rest}"
    key = key.replace("layers.", "stages.", 1).replace("attn.", "attn.w_msa.")
    return key.replace("mlp.fc1.", "ffn.layers.0.0.").replace("mlp.fc2.", "ffn.layers.1.")


def open_mmlab(swin: dict) -> dict:
    """A whole segmentor with its optimiser, as mmengine saves it."""
    state = collections.OrderedDict()
    for key, value in swin.items():
        state[f"backbone.{open_mmlab_key(key)}"] = unfolded(value) if ".downsample." in key else value
    index = torch.zeros(16, 16, dtype=torch.int64)
    for stage in range(2):
        state[f"backbone.stages.{stage}.blocks.0.attn.w_msa.relative_position_index"] = index
        state[f"backbone.norm{stage}.weight"] = state[f"backbone.norm{stage}.bias"] = torch.ones(4 << stage)
    state["decode_head.conv_seg.weight"] = torch.ones(2, 8, 1, 1)
    state["decode_head.conv_seg.bias"] = torch.ones(2)
    state["auxiliary_head.conv_seg.weight"] = torch.ones(2, 4, 1, 1)
    return {
        "meta": {"epoch": 3, "time": datetime.datetime(2024, 2, 29), "dataset_meta": {"palette": [[0, 0, 0]]}},
        "state_dict": state,
        "message_hub": {"log_scalars": {"loss": np.float32(0.1)}},
        "optimizer": {"state": {0: {"step": 3, "exp_avg": torch.ones(4)}}, "param_groups": [{"lr": 1e-4}]},
        "param_schedulers": [{"last_step": 3}],
    }


def write(name: str, saved: object, **options) -> Path:
    path = FOLDER / f"{name}.pth"
    torch.save(saved, path, **options)
    path.chmod(0o644)
    return path


def is_plain(value: object) -> bool:
    if not isinstance(value, torch.Tensor):
        return False
    return not value.is_sparse and not value.is_complex() and not value.is_neg()


def tensors(value: object, path: str) -> dict[str, torch.Tensor]:
    """The tensors of nested dictionaries."""
    if isinstance(value, dict):
        found = [tensors(part, f"{path}.{key}" if path else str(key)) for key, part in value.items()]
        return {name: tensor for part in found for name, tensor in part.items()}
    return {path: value.detach().to(torch.float32).contiguous()} if is_plain(value) else {}


def without_checksums(path: Path, saved: object) -> None:
    torch.serialization.set_crc32_options(False)
    try:
        write(path, saved)
    finally:
        torch.serialization.set_crc32_options(True)


def deflated(source: Path, target: Path) -> None:
    """As a file that was unpacked and packed again by another program."""
    packed = io.BytesIO()
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(zipfile.ZipInfo(name), old.read(name), zipfile.ZIP_DEFLATED)
    target.write_bytes(packed.getvalue())


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    check_unfolding()
    for form, is_zip in FORMATS.items():
        write(f"strided_{form}", strided(), _use_new_zipfile_serialization=is_zip)
        write(f"types_{form}", types(is_zip), _use_new_zipfile_serialization=is_zip)
        for protocol in (2, 3, 4, 5):
            options = {"pickle_protocol": protocol, "_use_new_zipfile_serialization": is_zip}
            write(f"beside_{form}_{protocol}", beside(), **options)
    without_checksums("strided_unchecked", strided())
    deflated(FOLDER / "strided_zip.pth", FOLDER / "strided_deflated.pth")
    write("unreadable", {"model": {"patch_embed.proj.weight": np.zeros((4, 3, 4, 4), np.float32)}, "epoch": 3})
    swin = tiny_swin()
    write("open_mmlab", open_mmlab(swin))

    values = {f"timm/{key}": value for key, value in swin.items()}
    for path in sorted(FOLDER.glob("*.pth")):
        if path.stem in ("open_mmlab", "unreadable"):
            continue
        read = torch.load(path, weights_only=False)
        values |= {f"{path.stem}/{key}": value.clone() for key, value in tensors(read, "").items()}
    save_file(values, FOLDER / "values.safetensors")
    (FOLDER / "values.safetensors").chmod(0o644)


if __name__ == "__main__":
    main()
