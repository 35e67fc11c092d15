"""Writes detection_data.json: what pycocotools and torchvision make of random masks.

    python -m pip install torch==2.15.0 torchvision==0.29.2 pycocotools==2.0.11 numpy
    python tests/golden/detection_data.py

Masks are kept as COCO's compressed runs, with the area and the box that pycocotools gives. Cells are those of
torchvision.ops.roi_align(aligned=True, sampling_ratio=-1) in float32 on a random map of zeros and ones.
"""

import json
from pathlib import Path

import numpy as np
import torch
from pycocotools import mask as coco_mask
from torchvision.ops import roi_align

FILE = Path(__file__).resolve().parent / "detection_data.json"


def star(random: np.random.Generator, centre: np.ndarray, radius: float, points: int) -> list[float]:
    """A polygon around a centre whose corners are at random distances: rarely convex, two decimals as in COCO."""
    angles = np.sort(random.uniform(0, 2 * np.pi, points))
    distances = random.uniform(0.2, 1.0, points) * radius
    corners = centre + np.stack([np.cos(angles), np.sin(angles)], axis=1) * distances[:, None]
    return [round(float(value), 2) for value in corners.reshape(-1)]


def described(runs: dict) -> dict:
    return {
        "runs": runs["counts"].decode(),
        "area": int(coco_mask.area(runs)),
        "box": [float(value) for value in coco_mask.toBbox(runs)],
    }


def polygons(random: np.random.Generator) -> list[dict]:
    cases = []
    for index in range(48):
        height, width = (int(side) for side in random.integers(5, 90, 2))
        count = 1 + index % 3
        parts = [
            star(
                random,
                random.uniform([0, 0], [width, height]),
                # Some a few pixels large, some beyond the edges of the image.
                random.uniform(1, 4) if index % 4 == 0 else random.uniform(4, 1.2 * max(height, width)),
                int(random.integers(3, 14)),
            )
            for _ in range(count)
        ]
        if index % 8 == 7:
            # Self-intersecting, and on whole pixels.
            parts[0] = [float(round(value)) for value in random.permutation(parts[0])]
            parts[0] = parts[0][: len(parts[0]) // 2 * 2]
        runs = coco_mask.merge(coco_mask.frPyObjects(parts, height, width))
        cases.append({"size": [height, width], "polygons": parts} | described(runs))
    return cases


def uncompressed(random: np.random.Generator) -> list[dict]:
    cases = []
    for first in [False, True, False, True]:
        height, width = (int(side) for side in random.integers(4, 30, 2))
        # Runs of a few pixels, over the ends of columns; some masks begin with the object.
        bits = np.repeat(random.integers(0, 2, height * width), random.integers(1, 9, height * width))
        bits = bits[: height * width].astype(np.uint8)
        bits[0] = first
        changes = np.flatnonzero(np.diff(bits)) + 1
        lengths = np.diff(np.concatenate([[0], changes, [bits.size]])).tolist()
        counts = [0, *lengths] if first else lengths
        runs = coco_mask.frPyObjects({"size": [height, width], "counts": counts}, height, width)
        assert (coco_mask.decode(runs).flatten(order="F") == bits).all()
        cases.append({"size": [height, width], "counts": counts} | described(runs))
    return cases


def cells(random: np.random.Generator) -> dict:
    height, width = 37, 53
    coarse = random.integers(0, 2, (8, 11))
    bitmap = np.kron(coarse, np.ones((5, 5), dtype=np.int64))[:height, :width]
    # Noise on a third of the pixels, and an empty border, so that the mask is smaller than the image.
    noise = random.integers(0, 2, bitmap.shape)
    bitmap = np.where(random.random(bitmap.shape) < 1 / 3, noise, bitmap).astype(np.uint8)
    bitmap[:2] = 0
    bitmap[:, :3] = 0
    boxes = [
        [3.0, 4.0, 31.0, 32.0],
        [0.0, 0.0, float(width), float(height)],
        [10.3, 7.8, 24.6, 30.1],
        [24.25, 13.5, 25.0, 14.125],
        [5.1, 30.7, 5.3, 36.9],
        [-6.4, -3.2, 18.9, 15.5],
        [41.7, 22.2, 61.3, 44.4],
        [-1.5, 3.0, 0.4, 20.0],
        [52.6, 36.5, 54.9, 38.1],
        [-40.0, -50.0, 90.0, 80.0],
        [60.0, 40.0, 80.0, 50.0],
        [30.0, 20.0, 30.0, 28.0],
    ]
    image = torch.from_numpy(bitmap).float()[None, None]
    cases = []
    for index, box in enumerate(boxes):
        size = [7, 14, 5, 1][index % 4]
        pooled = roi_align(image, [torch.tensor([box])], size, spatial_scale=1.0, sampling_ratio=-1, aligned=True)
        values = [round(float(value), 7) for value in pooled.flatten()]
        cases.append({"box": box, "size": size, "shares": values})
    runs = coco_mask.encode(np.asfortranarray(bitmap))
    return {"size": [height, width], "runs": runs["counts"].decode(), "boxes": cases}


def main() -> None:
    random = np.random.default_rng(20)
    golden = {"polygons": polygons(random), "uncompressed": uncompressed(random), "cells": cells(random)}
    FILE.write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()
