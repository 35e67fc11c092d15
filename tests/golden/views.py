"""Writes what comes of images that are seen in windows, mirrored and at several scales.

    python -m pip install torch==2.15.0
    python tests/golden/views.py

mmsegmentation's rules, stated here in PyTorch: the positions of the windows of its slide inference, the mean of the logits of overlapping
windows, and over scales and flips the mean of the probabilities at the size of the image as it was read. The network is one convolution
with zeros around the image, so that a window knows where it ends. README.md says what the file holds.
"""

import json
from pathlib import Path

import torch
from torch.nn.functional import conv2d, interpolate, pad

FILE = Path(__file__).resolve().parent / "views.json"
CLASSES = 4


def windows(size, crop, stride):
    """Top, left, bottom, right of every window."""
    rows, columns = (max(side - length + step - 1, 0) // step + 1 for side, length, step in zip(size, crop, stride))
    found = []
    for row in range(rows):
        for column in range(columns):
            bottom = min(row * stride[0] + crop[0], size[0])
            right = min(column * stride[1] + crop[1], size[1])
            found.append([max(bottom - crop[0], 0), max(right - crop[1], 0), bottom, right])
    return found


def network(parameters, images, multiple):
    """Logits of images, which are padded to a multiple below and to the right."""
    height, width = images.shape[-2:]
    beyond = [-side % multiple for side in (height, width)]
    logits = conv2d(pad(images, (0, beyond[1], 0, beyond[0])), *parameters, padding=1)
    return logits[..., :height, :width]


def slide(parameters, image, crop, stride, multiple):
    sum_of_logits = torch.zeros(1, CLASSES, *image.shape[-2:], dtype=torch.float64)
    count = torch.zeros(1, 1, *image.shape[-2:], dtype=torch.float64)
    for top, left, bottom, right in windows(image.shape[-2:], crop, stride):
        here = (..., slice(top, bottom), slice(left, right))
        sum_of_logits[here] += network(parameters, image[here], multiple)
        count[here] += 1
    return sum_of_logits / count


def resized(maps, size):
    return interpolate(maps, size=size, mode="bilinear", align_corners=False)


def numbers(tensor):
    """Rounded to single precision, once; nine digits tell one such number from the next."""
    return [float(f"{value:.9g}") for value in tensor.to(torch.float32).flatten()]


def main() -> None:
    generator = torch.Generator().manual_seed(0)

    def random(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float32).double()

    parameters = random(CLASSES, 3, 3, 3), random(CLASSES)
    sizes = [
        [[512, 683], [512, 512], [341, 341]],
        [[383, 255], [512, 512], [341, 341]],
        [[255, 1000], [512, 512], [341, 341]],
        [[1024, 2048], [512, 1024], [341, 768]],
        [[97, 113], [32, 48], [32, 31]],
        [[11, 13], [5, 6], [3, 4]],
    ]
    golden = {
        "windows": [
            {"size": size, "crop": crop, "stride": stride, "windows": windows(size, crop, stride)} for size, crop, stride in sizes
        ],
        "weight": numbers(parameters[0]),
        "bias": numbers(parameters[1]),
        "slide": [],
        "views": [],
    }
    for size, crop, stride, multiple, original in [
        ([11, 13], [5, 6], [3, 4], 1, [11, 13]),
        ([11, 13], [5, 6], [3, 4], 4, [17, 9]),
        ([4, 13], [5, 6], [5, 2], 4, [4, 13]),
    ]:
        image = random(1, 3, *size)
        logits = resized(slide(parameters, image, crop, stride, multiple), original)
        golden["slide"].append(
            {
                "size": size,
                "crop": crop,
                "stride": stride,
                "multiple": multiple,
                "original": original,
                "image": numbers(image),
                "logits": numbers(logits),
            }
        )
    for flips, crop, stride, multiple in [
        ([False, True], [5, 6], [3, 4], 4),
        ([False, True], [64, 64], [64, 64], 1),
        ([False], [5, 7], [5, 4], 1),
    ]:
        images = [random(1, 3, *size) for size in ([7, 9], [8, 11], [5, 6])]
        original = [9, 8]
        probabilities = []
        for image in images:
            for is_flipped in flips:
                seen = image.flip(-1) if is_flipped else image
                logits = slide(parameters, seen, crop, stride, multiple)
                logits = logits.flip(-1) if is_flipped else logits
                probabilities.append(resized(logits, original).softmax(1))
        golden["views"].append(
            {
                "flip": True in flips,
                "crop": crop,
                "stride": stride,
                "multiple": multiple,
                "original": original,
                "sizes": [list(image.shape[-2:]) for image in images],
                "images": [numbers(image) for image in images],
                "probabilities": numbers(torch.stack(probabilities).mean(0)),
            }
        )
    FILE.write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()
