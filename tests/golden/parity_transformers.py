"""Compares `gradway features` with transformers on real weights of DINOv2.

    cargo build --release --package gradway
    python -m pip install torch transformers safetensors numpy
    python tests/golden/parity_transformers.py --binary target/release/gradway --weights $GRADWAY_DATA/weights/dinov2_small.safetensors

The weights are a file of transformers' `Dinov2Model`. transformers runs in double precision, on images that are padded with zeros to a
multiple of the patch. The relative error of a stage is max|ours - theirs| / max|theirs|; the exit status is 1 if one is over the
tolerance.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch.nn import functional as F
from transformers import Dinov2Config, Dinov2Model

PATCH = 14
BATCH = 2
# Hidden size, blocks and heads.
MODELS = {"dinov2_small": (384, 12, 6), "dinov2_base": (768, 12, 12), "dinov2_large": (1024, 24, 16)}
SIZES = "224,364x476,518,308x406,300x231"


def build(name: str, weights: Path, folder: Path) -> Dinov2Model:
    hidden, blocks, heads = MODELS[name]
    shape = dict(hidden_size=hidden, num_hidden_layers=blocks, num_attention_heads=heads, image_size=518, patch_size=PATCH)
    Dinov2Config(**shape).save_pretrained(folder)
    shutil.copy(weights, folder / "model.safetensors")
    model, info = Dinov2Model.from_pretrained(folder, output_loading_info=True, dtype=torch.float32)
    # The token of masked patches belongs to pre-training.
    if missing := set(info["missing_keys"]) - {"embeddings.mask_token"}:
        sys.exit(f"{weights} lacks {', '.join(sorted(missing))}")
    return model.double().eval()


def stages(model: Dinov2Model, images: torch.Tensor) -> list[torch.Tensor]:
    """The maps of the patches after every quarter of the blocks."""
    padded = F.pad(images, (0, -images.shape[3] % PATCH, 0, -images.shape[2] % PATCH)).double()
    size = [side // PATCH for side in padded.shape[2:]]
    with torch.no_grad():
        states = model(padded, output_hidden_states=True).hidden_states
    blocks = len(states) - 1
    return [states[blocks * (stage + 1) // 4][:, 1:].transpose(1, 2).unflatten(2, size) for stage in range(4)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True, type=Path, help="the gradway binary")
    parser.add_argument("--weights", required=True, type=Path)
    parser.add_argument("--model", default="dinov2_small", choices=MODELS)
    parser.add_argument("--sizes", default=SIZES, help=f"side or HEIGHTxWIDTH (default {SIZES})")
    parser.add_argument("--tolerance", default=1e-4, type=float, help="largest relative error (default 1e-4)")
    arguments = parser.parse_args()

    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        model = build(arguments.model, arguments.weights, folder)
        for text in arguments.sizes.split(","):
            height, _, width = text.partition("x")
            size = (int(height), int(width or height))
            images = torch.randn(BATCH, 3, *size, generator=torch.Generator().manual_seed(sum(size)))
            np.save(folder / "input.npy", images.numpy())
            command = [arguments.binary, "features", "--backbone", arguments.model, "--weights", arguments.weights]
            command += ["--input", folder / "input.npy", "--output", folder / "output.safetensors"]
            subprocess.run([str(part) for part in command], check=True, capture_output=True)
            found = load_file(folder / "output.safetensors")
            errors = []
            for stage, expected in enumerate(stages(model, images)):
                error = ((found[f"stage{stage}"] - expected).abs().max() / expected.abs().max()).item()
                errors.append(error if error == error else float("inf"))  # not a number: fails
            worst = max(worst, *errors)
            print(f"{text:<10}" + "  ".join(f"{error:.1e}" for error in errors), flush=True)
    print(f"largest {worst:.1e}, tolerance {arguments.tolerance:.0e}")
    sys.exit(0 if worst <= arguments.tolerance else 1)


if __name__ == "__main__":
    main()
