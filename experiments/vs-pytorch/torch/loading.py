"""Reading and augmenting photos with torchvision, by the names of src/loading.rs."""

import os
from pathlib import Path

import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import tv_tensors
from torchvision.transforms import v2

FOLDER = Path(os.environ.get("GRADWAY_PHOTOS", "."))
BATCH = 8
PHOTOS = 64


class Photos(Dataset):
    def __init__(self):
        self.names = sorted(path.stem for path in (FOLDER / "images/train").iterdir())
        self.transform = v2.Compose(
            [
                v2.ToImage(),
                v2.ScaleJitter((480, 640), scale_range=(0.5, 2.0), antialias=True),
                v2.RandomCrop((360, 480), pad_if_needed=True, fill={tv_tensors.Image: 0, tv_tensors.Mask: 255}),
                v2.RandomHorizontalFlip(),
                v2.RandomPhotometricDistort(),
                v2.ToDtype({tv_tensors.Image: torch.float32, tv_tensors.Mask: torch.int64}, scale=True),
                v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
            ]
        )

    def __len__(self):
        return len(self.names)

    def __getitem__(self, index):
        name = self.names[index]
        image = Image.open(FOLDER / "images/train" / f"{name}.jpg").convert("RGB")
        mask = tv_tensors.Mask(v2.functional.pil_to_tensor(Image.open(FOLDER / "masks/train" / f"{name}.png")))
        return self.transform(image, mask)


def epoch(workers):
    def build():
        loader = DataLoader(Photos(), BATCH, shuffle=True, drop_last=True, num_workers=workers, persistent_workers=True)

        def run():
            for _ in loader:
                pass

        return run

    return build


CASES = {f"load {PHOTOS} photos 640x480, {workers} workers": epoch(workers) for workers in (1, 2)}
