"""Writes `detection.safetensors`, the reference values of the parts of detectors, from torchvision.

    python -m pip install torch==2.15.0 torchvision==0.29.2 safetensors numpy
    python tests/golden/detection_parts.py

Rectangles are float32 random numbers of fixed seeds, some of them empty, outside of the image or equal; values and gradients are
computed in float64 from them where torchvision can (NMS is by its own float32 kernel).
"""

from pathlib import Path

import torch
from safetensors.torch import save_file
from torchvision.models.detection._utils import BoxCoder, Matcher
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import (
    batched_nms,
    box_iou,
    generalized_box_iou,
    generalized_box_iou_loss,
    nms,
    roi_align,
    sigmoid_focal_loss,
)

FOLDER = Path(__file__).resolve().parent


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def rectangles(count: int, seed: int, side: float = 200.0) -> torch.Tensor:
    """Left, top, right, bottom; the last few: of no area, outside, equal."""
    random = seeded(seed)
    corner = torch.rand(count, 2, generator=random) * side
    sides = torch.rand(count, 2, generator=random).pow(2) * side / 2 + 1
    bounds = torch.cat([corner, corner + sides], 1)
    if count > 20:
        bounds[-1] = torch.tensor([50.0, 60.0, 50.0, 60.0])
        bounds[-2] = torch.tensor([-90.0, -80.0, -20.0, -10.0])
        bounds[-3] = bounds[0]
        bounds[-4] = torch.tensor([30.0, 30.0, 30.0, 90.0])
    return bounds


def overlaps() -> dict[str, torch.Tensor]:
    a, b = rectangles(40, 1), rectangles(30, 2)
    # torchvision divides 0 by 0 for two rectangles of no area; here that overlap is 0.
    iou = box_iou(a.double(), b.double()).nan_to_num(0.0)
    giou = generalized_box_iou(a.double(), b.double()).nan_to_num(0.0)
    return {"overlap.a": a, "overlap.b": b, "overlap.iou": iou, "overlap.giou": giou}


def suppression() -> dict[str, torch.Tensor]:
    bounds = rectangles(2000, 3)
    # Ties: 200 different scores.
    scores = torch.randint(0, 200, (2000,), generator=seeded(4)) / 200.0
    classes = torch.randint(0, 5, (2000,), generator=seeded(5))
    return {
        "nms.bounds": bounds,
        "nms.scores": scores,
        "nms.classes": classes,
        "nms.kept_30": nms(bounds, scores, 0.3),
        "nms.kept_70": nms(bounds, scores, 0.7),
        "nms.kept_by_class": batched_nms(bounds.double(), scores.double(), classes, 0.5),
    }


def coding() -> dict[str, torch.Tensor]:
    bounds, references = rectangles(20, 6), rectangles(20, 7)
    tensors = {"coder.bounds": bounds, "coder.references": references}
    offsets = torch.randn(20, 4, generator=seeded(8)) * 2
    offsets[3, 2] = 60.0
    tensors["coder.offsets"] = offsets
    coder = BoxCoder((10.0, 10.0, 5.0, 5.0))
    tensors["coder.encoded"] = coder.encode_single(bounds.double(), references.double())
    leaf = offsets.double().requires_grad_()
    decoded = coder.decode_single(leaf, references.double())
    weights = torch.randn(20, 4, generator=seeded(9))
    (decoded * weights).sum().backward()
    return tensors | {"coder.decoded": decoded, "coder.weights": weights, "coder.gradient": leaf.grad}


def matching() -> dict[str, torch.Tensor]:
    candidates, objects = rectangles(300, 10), rectangles(12, 11)
    overlap = box_iou(objects.double(), candidates.double())
    found = {
        f"matcher.{name}": Matcher(high, low, allow_low_quality_matches=best)(overlap)
        for name, high, low, best in [("second", 0.5, 0.5, False), ("anchors", 0.5, 0.4, True), ("proposals", 0.7, 0.3, True)]
    }
    return {"matcher.candidates": candidates, "matcher.objects": objects} | found


def anchors() -> dict[str, torch.Tensor]:
    """Sides are chosen such that torchvision's rounding of anchors changes nothing."""
    generator = AnchorGenerator(sizes=((16, 32), (64, 96)), aspect_ratios=((0.25, 1.0, 4.0),) * 2)
    maps = [torch.zeros(1, 1, 5, 7), torch.zeros(1, 1, 3, 4)]
    images = ImageList(torch.zeros(1, 3, 40, 56), [(40, 56)])
    # Its strides are quotients of sizes: 40 / 5 = 8, 40 / 3 = 13 and 56 / 4 = 14.
    return {"anchors.all": generator(images, maps)[0]}


def losses() -> dict[str, torch.Tensor]:
    logits = torch.randn(3, 4, 11, generator=seeded(12)) * 4
    labels = torch.randint(-1, 4, (3, 11), generator=seeded(13))
    targets = torch.nn.functional.one_hot(labels + 1, 5)[..., 1:].transpose(1, 2)
    leaf = logits.double().requires_grad_()
    focal = sigmoid_focal_loss(leaf, targets.double(), alpha=0.25, gamma=2.0, reduction="sum")
    focal.backward()
    predicted, wanted = rectangles(25, 14), rectangles(25, 15)
    # Some overlap much.
    predicted[:10] = wanted[:10] + torch.randn(10, 4, generator=seeded(16))
    boxes = predicted.double().requires_grad_()
    giou = generalized_box_iou_loss(boxes, wanted.double(), reduction="sum", eps=1e-7)
    giou.backward()
    x = torch.randn(25, 4, generator=seeded(17)).double().requires_grad_()
    smooth = torch.nn.functional.smooth_l1_loss(x, torch.zeros_like(x), reduction="sum", beta=1 / 9)
    smooth.backward()
    return {
        "focal.logits": logits,
        "focal.labels": labels,
        "focal.loss": focal,
        "focal.gradient": leaf.grad,
        "giou.predicted": predicted,
        "giou.wanted": wanted,
        "giou.loss": giou,
        "giou.gradient": boxes.grad,
        "smooth.x": x,
        "smooth.loss": smooth,
        "smooth.gradient": x.grad,
    }


def pooling() -> dict[str, torch.Tensor]:
    x = torch.randn(2, 3, 13, 17, generator=seeded(18))
    bounds = rectangles(30, 19, side=80.0)
    bounds[5] = torch.tensor([40.0, 30.0, 20.0, 10.0])
    images = torch.randint(0, 2, (30, 1), generator=seeded(20))
    tensors = {"roi.x": x, "roi.bounds": bounds, "roi.images": images}
    for name, size, sampling, aligned in [("box", 7, 0, True), ("mask", 14, 2, True), ("published", 7, 0, False)]:
        leaf = x.double().requires_grad_()
        rois = torch.cat([images.double(), bounds.double()], 1)
        pooled = roi_align(leaf, rois, size, spatial_scale=0.25, sampling_ratio=sampling, aligned=aligned)
        weights = torch.randn(pooled.shape, generator=seeded(21))
        (pooled * weights).sum().backward()
        # Every third region: the file stays small, the gradient is of all.
        tensors |= {f"roi.{name}": pooled[::3], f"roi.{name}.gradient": leaf.grad}
        if name != "mask":
            tensors["roi.weights"] = weights
        else:
            tensors["roi.mask.weights"] = weights
    return tensors


def main() -> None:
    parts = [overlaps, suppression, coding, matching, anchors, losses, pooling]
    tensors = {key: value for part in parts for key, value in part().items()}
    rounded = {key: value.detach().to(torch.float32).contiguous() for key, value in tensors.items()}
    for key, value in rounded.items():
        assert value.isfinite().all(), key
    path = FOLDER / "detection.safetensors"
    save_file(rounded, path)
    path.chmod(0o644)


if __name__ == "__main__":
    main()
