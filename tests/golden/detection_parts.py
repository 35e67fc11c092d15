"""Writes `detection`, `retinanet`, `proposals`, `box_head` and `mask_head`: parts of detectors from torchvision, and small networks
made of them.

    python -m pip install torch==2.15.0 torchvision==0.29.2 safetensors numpy
    python tests/golden/detection_parts.py

Rectangles are float32 random numbers of fixed seeds, some of them empty, outside of the image or equal; values and gradients are
computed in float64 from them where torchvision can (NMS is by its own float32 kernel).
"""

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F
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
    # torchvision divides 0 by 0 for two rectangles of no area, whose overlap is 0 here.
    iou = box_iou(a.double(), b.double()).nan_to_num(0.0)
    giou = generalized_box_iou(a.double(), b.double())
    apart = giou.isnan() & (a[:, None] != b[None]).any(2)
    giou = torch.where(apart, -1.0, giou).nan_to_num(0.0)
    return {"overlap.a": a, "overlap.b": b, "overlap.iou": iou, "overlap.giou": giou}


def greedy(bounds: torch.Tensor, scores: torch.Tensor, threshold: float) -> torch.Tensor:
    """Suppression with equal scores in their order, of which torchvision's kernel makes no promise."""
    overlap = box_iou(bounds.double(), bounds.double()).nan_to_num(0.0)
    kept = []
    for index in scores.argsort(descending=True, stable=True).tolist():
        if not kept or (overlap[index, kept] <= threshold).all():
            kept.append(index)
    return torch.tensor(kept)


def suppression() -> dict[str, torch.Tensor]:
    bounds = rectangles(2000, 3)
    scores = torch.randperm(2000, generator=seeded(4)) / 2000.0
    classes = torch.randint(0, 5, (2000,), generator=seeded(5))
    ties = torch.randint(0, 200, (2000,), generator=seeded(22)) / 200.0
    return {
        "nms.bounds": bounds,
        "nms.scores": scores,
        "nms.classes": classes,
        "nms.kept_30": nms(bounds, scores, 0.3),
        "nms.kept_70": nms(bounds, scores, 0.7),
        "nms.kept_by_class": batched_nms(bounds.double(), scores.double(), classes, 0.5),
        "nms.ties": ties,
        "nms.kept_of_ties": greedy(bounds, ties, 0.5),
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
    # Objects have an area.
    predicted, wanted = rectangles(25, 14), rectangles(20, 15).repeat(2, 1)[:25]
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


# RetinaNet, with mmdetection's conventions and our names


def pasting() -> dict[str, torch.Tensor]:
    """Shares of masks at the centres of an image's pixels: detectron2's `_do_paste_mask`, on torch's `grid_sample`."""
    height, width, side = 40, 52, 28
    noise = torch.randn(7, 1, 7, 7, generator=seeded(31), dtype=torch.float64)
    masks = F.interpolate(noise, size=side, mode="bicubic").sigmoid()
    bounds = torch.tensor(
        [
            [3.2, 4.7, 40.1, 30.3],
            [-9.5, -4.0, 20.0, 61.0],
            [30.0, 20.0, 70.0, 39.5],
            [10.0, 10.0, 11.5, 12.5],
            [5.5, 0.0, 9.0, 40.0],
            [60.0, 50.0, 80.0, 90.0],
            [0.0, 0.0, 52.0, 40.0],
        ],
        dtype=torch.float64,
    )
    left, top, right, bottom = bounds[:, :, None].unbind(1)
    across = (torch.arange(width, dtype=torch.float64) + 0.5 - left) / (right - left) * 2 - 1
    down = (torch.arange(height, dtype=torch.float64) + 0.5 - top) / (bottom - top) * 2 - 1
    grid = torch.stack([across[:, None, :].expand(-1, height, -1), down[:, :, None].expand(-1, -1, width)], 3)
    shares = F.grid_sample(masks, grid, align_corners=False)
    return {"paste.masks": masks[:, 0], "paste.bounds": bounds, "paste.shares": shares[:, 0]}


def square(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1)


class Pyramid(nn.Module):
    """Stages 1 to 3, and two more by convolutions of stride 2 from the coarsest stage on."""

    def __init__(self, inputs: list[int], channels: int) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(nn.Conv2d(width, channels, 1) for width in inputs[1:])
        self.outputs = nn.ModuleList(square(channels, channels) for _ in inputs[1:])
        self.extra = nn.ModuleList(nn.Conv2d(width, channels, 3, 2, 1) for width in (inputs[-1], channels))

    def forward(self, features: list[torch.Tensor]) -> list[torch.Tensor]:
        sums = [lateral(feature) for lateral, feature in zip(self.laterals, features[1:])]
        for level in (1, 0):
            sums[level] = sums[level] + F.interpolate(sums[level + 1], size=sums[level].shape[2:], mode="nearest")
        maps = [output(x) for output, x in zip(self.outputs, sums)]
        x = features[-1]
        for convolution in self.extra:
            x = convolution(x)
            maps.append(x)
        return maps


class RetinaNet(nn.Module):
    def __init__(self, inputs: list[int], channels: int, classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.pyramid = Pyramid(inputs, channels)
        self.class_tower = nn.ModuleList(square(channels, channels) for _ in range(2))
        self.box_tower = nn.ModuleList(square(channels, channels) for _ in range(2))
        self.class_output = square(channels, 9 * classes)
        self.box_output = square(channels, 36)

    def forward(self, features: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor, list]:
        """Logits [batch, anchors of all levels, classes], offsets [..., 4], sizes of the maps."""
        logits, offsets, sizes = [], [], []
        for x in self.pyramid(features):
            sizes.append(tuple(x.shape[2:]))
            for tower, output, width, all in (
                (self.class_tower, self.class_output, self.classes, logits),
                (self.box_tower, self.box_output, 4, offsets),
            ):
                y = x
                for convolution in tower:
                    y = convolution(y).relu()
                y = output(y)
                y = y.view(y.shape[0], 9, width, *y.shape[2:]).permute(0, 3, 4, 1, 2)
                all.append(y.reshape(y.shape[0], -1, width))
        return torch.cat(logits, 1), torch.cat(offsets, 1), sizes


def grid_anchors(
    sizes: list, strides: list[int], scales: torch.Tensor, image: tuple[int, int]
) -> tuple[torch.Tensor, torch.Tensor, list[int]]:
    """The anchors of all levels in the precision of the scales, whether they are inside the image, and how many a level has."""
    anchors, inside = [], []
    for (height, width), stride in zip(sizes, strides):
        ratios = torch.tensor([0.5, 1.0, 2.0], dtype=scales.dtype).sqrt()
        high = (stride * ratios[:, None] * scales).flatten()
        wide = (stride / ratios[:, None] * scales).flatten()
        base = torch.stack([-wide, -high, wide, high], 1) / 2
        y, x = torch.meshgrid(torch.arange(height) * stride, torch.arange(width) * stride, indexing="ij")
        corner = torch.stack([x, y, x, y], -1).view(-1, 1, 4)
        anchors.append((corner + base).view(-1, 4))
        valid = (y // stride < -(-image[0] // stride)) & (x // stride < -(-image[1] // stride))
        inside.append(valid.view(-1, 1).expand(-1, len(base)).reshape(-1))
    return torch.cat(anchors), torch.cat(inside), [len(level) for level in anchors]


def retinanet() -> None:
    torch.manual_seed(30)
    inputs, channels, classes, images = [4, 5, 6, 7], 6, 3, [(96, 128), (80, 70)]
    model = RetinaNet(inputs, channels, classes).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter.float())
        model.class_output.bias.fill_(-2.0)
    # Of images of 96 by 128 pixels and of odd sizes in between.
    shapes = [(24, 32), (12, 16), (6, 8), (3, 4)]
    features = [torch.randn(2, width, *shape, generator=seeded(31 + i)) for i, (width, shape) in enumerate(zip(inputs, shapes))]
    # Large ones: a small object fits whole into several anchors, which then differ by rounding alone.
    objects = [
        torch.tensor([[10.3, 12.1, 58.7, 50.2], [60.2, 20.7, 120.9, 88.4], [5.5, 60.3, 44.1, 93.8], [70.1, 2.2, 110.7, 40.9]]),
        torch.tensor([[3.3, 4.4, 40.1, 61.2], [20.2, 30.3, 66.6, 77.7], [31.0, 5.5, 68.1, 30.1]]),
    ]
    labels = [torch.tensor([0, 2, 1, 1]), torch.tensor([2, 0, 0])]
    leaves = [feature.double().requires_grad_() for feature in features]
    logits, offsets, sizes = model(leaves)
    coder, found = BoxCoder((1.0, 1.0, 1.0, 1.0)), []
    class_loss, box_loss, giou_loss, count = 0.0, 0.0, 0.0, 0
    tensors = {}
    for index, image in enumerate(images):
        scales = 4 * 2 ** (torch.arange(3, dtype=torch.float64) / 3)
        anchors, inside, per_level = grid_anchors(sizes, [8, 16, 32, 64, 128], scales, image)
        overlap = box_iou(objects[index].double(), anchors)
        overlap[:, ~inside] = 0.0
        # An object whose best overlap is 0 has no anchor.
        match = Matcher(0.5, 0.4, allow_low_quality_matches=True)(overlap)
        targets = torch.zeros(len(anchors), classes, dtype=torch.float64)
        positive = match >= 0
        targets[positive, labels[index][match[positive]]] = 1.0
        counted = inside & (match != -2)
        class_loss = class_loss + sigmoid_focal_loss(logits[index][counted], targets[counted], 0.25, 2.0, "sum")
        wanted = objects[index].double()[match[positive]]
        encoded = coder.encode_single(wanted, anchors[positive])
        box_loss = box_loss + (offsets[index][positive] - encoded).abs().sum()
        decoded = coder.decode_single(offsets[index][positive], anchors[positive])
        giou_loss = giou_loss + generalized_box_iou_loss(decoded, wanted, reduction="sum")
        count += int(positive.sum())

        scores = logits[index].detach().sigmoid()
        boxes, values, kinds = [], [], []
        for level, (score, offset, anchor, valid) in enumerate(
            zip(*(x.split(per_level) for x in (scores, offsets[index].detach(), anchors, inside)))
        ):
            score = score.masked_fill(~valid[:, None], -1.0)
            places = (score.flatten() > 0.05).nonzero()[:, 0]
            best = score.flatten()[places].sort(descending=True, stable=True)[1][:20]
            places = places[best]
            decoded = coder.decode_single(offset[places // classes], anchor[places // classes])
            decoded[:, 0::2] = decoded[:, 0::2].clamp(0, image[1])
            decoded[:, 1::2] = decoded[:, 1::2].clamp(0, image[0])
            boxes.append(decoded)
            values.append(score.flatten()[places])
            kinds.append(places % classes)
        boxes, values, kinds = torch.cat(boxes), torch.cat(values), torch.cat(kinds)
        kept = batched_nms(boxes, values, kinds, 0.5)[:10]
        tensors |= {
            f"objects.{index}": objects[index],
            f"labels.{index}": labels[index],
            f"detected.{index}.bounds": boxes[kept],
            f"detected.{index}.scores": values[kept],
            f"detected.{index}.classes": kinds[kept],
        }
    assert count > 10
    class_loss, box_loss, giou_loss = class_loss / count, box_loss / count, giou_loss / count
    (class_loss + box_loss).backward()
    tensors |= {"loss.classes": class_loss, "loss.boxes": box_loss, "loss.giou": giou_loss}
    for index, (feature, leaf) in enumerate(zip(features, leaves)):
        tensors[f"feature.{index}"] = feature
        if leaf.grad is not None:
            tensors[f"gradient.feature.{index}"] = leaf.grad
    for name, parameter in model.named_parameters():
        tensors[f"parameter.{name}"] = parameter
        tensors[f"gradient.{name}"] = parameter.grad
    write("retinanet", tensors)


# Region proposals


class ProposalNetwork(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convolution = square(channels, channels)
        self.objectness = nn.Conv2d(channels, 3, 1)
        self.offsets = nn.Conv2d(channels, 12, 1)

    def forward(self, maps: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        logits, offsets = [], []
        for x in maps:
            x = self.convolution(x).relu()
            y = self.offsets(x)
            y = y.view(y.shape[0], 3, 4, *y.shape[2:]).permute(0, 3, 4, 1, 2)
            logits.append(self.objectness(x).permute(0, 2, 3, 1).flatten(1))
            offsets.append(y.reshape(y.shape[0], -1, 4))
        return torch.cat(logits, 1), torch.cat(offsets, 1)


def proposals() -> None:
    """With so few anchors that all are sampled."""
    torch.manual_seed(50)
    channels, sizes, strides, images = 5, [(6, 8), (3, 4)], [8, 16], [(48, 64), (40, 44)]
    model = ProposalNetwork(channels).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter.float())
    maps = [torch.randn(2, channels, *size, generator=seeded(51 + i)) for i, size in enumerate(sizes)]
    objects = [torch.tensor([[3.2, 1.1, 62.3, 46.0], [20.4, 8.8, 63.1, 47.5]]), torch.tensor([[1.5, 2.5, 41.7, 39.2]])]
    leaves = [x.double().requires_grad_() for x in maps]
    logits, offsets = model(leaves)
    coder = BoxCoder((1.0, 1.0, 1.0, 1.0))
    class_loss, box_loss, count, tensors = 0.0, 0.0, 0, {}
    for index, image in enumerate(images):
        anchors, inside, per_level = grid_anchors(sizes, strides, torch.tensor([8.0]), image)
        # In single precision, as anchors that hold an object whole differ by rounding alone.
        overlap = box_iou(objects[index], anchors)
        overlap[:, ~inside] = 0.0
        assert (overlap.max(1)[0] > 0.3).all()
        match = Matcher(0.7, 0.3, allow_low_quality_matches=True)(overlap)
        anchors = anchors.double()
        positive, counted = match >= 0, inside & (match != -2)
        assert counted.sum() <= 256
        target = positive[counted].double()
        class_loss = class_loss + F.binary_cross_entropy_with_logits(logits[index][counted], target, reduction="sum")
        encoded = coder.encode_single(objects[index].double()[match[positive]], anchors[positive])
        box_loss = box_loss + (offsets[index][positive] - encoded).abs().sum()
        count += int(counted.sum())

        scores = logits[index].detach().sigmoid().masked_fill(~inside, -1.0)
        boxes, values, levels = [], [], []
        for level, (score, offset, anchor) in enumerate(
            zip(*(x.split(per_level) for x in (scores, offsets[index].detach(), anchors)))
        ):
            best = score.sort(descending=True, stable=True)[1][:20]
            best = best[score[best] >= 0]
            decoded = coder.decode_single(offset[best], anchor[best])
            decoded[:, 0::2] = decoded[:, 0::2].clamp(0, image[1])
            decoded[:, 1::2] = decoded[:, 1::2].clamp(0, image[0])
            large = (decoded[:, 2] > decoded[:, 0]) & (decoded[:, 3] > decoded[:, 1])
            boxes.append(decoded[large])
            values.append(score[best][large])
            levels.append(torch.full((int(large.sum()),), level))
        boxes, values, levels = torch.cat(boxes), torch.cat(values), torch.cat(levels)
        kept = batched_nms(boxes, values, levels, 0.7)[:12]
        tensors |= {
            f"objects.{index}": objects[index],
            f"proposed.{index}.bounds": boxes[kept],
            f"proposed.{index}.scores": values[kept],
        }
    class_loss, box_loss = class_loss / count, box_loss / count
    (class_loss + box_loss).backward()
    tensors |= {"loss.objectness": class_loss, "loss.boxes": box_loss}
    for index, (x, leaf) in enumerate(zip(maps, leaves)):
        tensors |= {f"map.{index}": x, f"gradient.map.{index}": leaf.grad}
    for name, parameter in model.named_parameters():
        tensors |= {f"parameter.{name}": parameter, f"gradient.{name}": parameter.grad}
    write("proposals", tensors)


# Heads of regions


def box_head() -> None:
    """Two classes and background; offsets for all classes together and for each."""
    torch.manual_seed(60)
    regions = rectangles(9, 61)
    objects = regions + torch.randn(9, 4, generator=seeded(62)) * 4
    labels = torch.tensor([0, 2, 1, 2, 2, 0, 1, 2, 2])
    x = torch.randn(9, 3, 4, 4, generator=seeded(63))
    coder = BoxCoder((10.0, 10.0, 5.0, 5.0))
    encoded = coder.encode_single(objects.double(), regions.double())
    tensors = {"x": x, "regions": regions, "objects": objects, "labels": labels}
    for name, width in [("agnostic", 4), ("by_class", 8)]:
        layers = {"hidden.0": nn.Linear(48, 10), "hidden.1": nn.Linear(10, 10), "class_output": nn.Linear(10, 3)}
        layers["box_output"] = nn.Linear(10, width)
        for layer in layers.values():
            layer.double()
            for parameter in layer.parameters():
                parameter.data.copy_(parameter.data.float())
        leaf = x.double().requires_grad_()
        hidden = layers["hidden.1"](layers["hidden.0"](leaf.flatten(1)).relu()).relu()
        logits, offsets = layers["class_output"](hidden), layers["box_output"](hidden)
        class_loss = F.cross_entropy(logits, labels)
        positive = labels < 2
        chosen = offsets[positive] if width == 4 else offsets.view(9, 2, 4)[positive, labels[positive]]
        box_loss = F.smooth_l1_loss(chosen, encoded[positive], beta=1.0, reduction="sum") / 9
        (class_loss + box_loss).backward()
        tensors |= {f"{name}.loss.classes": class_loss, f"{name}.loss.boxes": box_loss, f"{name}.gradient.x": leaf.grad}
        for key, layer in layers.items():
            # Ours are [inputs, outputs].
            tensors |= {
                f"{name}.parameter.{key}.weight": layer.weight.T,
                f"{name}.parameter.{key}.bias": layer.bias,
                f"{name}.gradient.{key}.weight": layer.weight.grad.T,
                f"{name}.gradient.{key}.bias": layer.bias.grad,
            }
    write("box_head", tensors)


def mask_head() -> None:
    torch.manual_seed(70)
    channels, classes = 5, 3
    convolutions = [square(channels, channels) for _ in range(2)]
    enlarging, output = nn.ConvTranspose2d(channels, channels, 2, 2), nn.Conv2d(channels, classes, 1)
    for layer in [*convolutions, enlarging, output]:
        layer.double()
        for parameter in layer.parameters():
            parameter.data.copy_(parameter.data.float())
    x = torch.randn(4, channels, 5, 5, generator=seeded(71))
    labels = torch.tensor([0, 2, 2, 1])
    masks = torch.rand(4, 10, 10, generator=seeded(72)) < 0.4
    leaf = x.double().requires_grad_()
    y = leaf
    for convolution in convolutions:
        y = convolution(y).relu()
    logits = output(enlarging(y).relu())[torch.arange(4), labels]
    loss = F.binary_cross_entropy_with_logits(logits, masks.double())
    loss.backward()

    def taps(weight: torch.Tensor) -> torch.Tensor:
        """[inputs, outputs, 2, 2] as [inputs, 4 * outputs], position by position."""
        return weight.permute(0, 2, 3, 1).flatten(1)

    tensors = {"x": x, "labels": labels, "masks": masks, "loss": loss, "predicted": logits.sigmoid(), "gradient.x": leaf.grad}
    layers = {f"convolutions.{index}": layer for index, layer in enumerate(convolutions)} | {"enlarging": enlarging, "output": output}
    for key, layer in layers.items():
        change = {"enlarging": taps, "output": lambda weight: weight.flatten(1).T}.get(key, lambda weight: weight)
        tensors |= {
            f"parameter.{key}.weight": change(layer.weight),
            f"parameter.{key}.bias": layer.bias,
            f"gradient.{key}.weight": change(layer.weight.grad),
            f"gradient.{key}.bias": layer.bias.grad,
        }
    write("mask_head", tensors)


def write(name: str, tensors: dict[str, torch.Tensor]) -> None:
    rounded = {key: value.detach().to(torch.float32).contiguous() for key, value in tensors.items()}
    for key, value in rounded.items():
        assert value.isfinite().all(), key
    path = FOLDER / f"{name}.safetensors"
    save_file(rounded, path)
    path.chmod(0o644)


def main() -> None:
    parts = [overlaps, suppression, coding, matching, anchors, losses, pooling, pasting]
    write("detection", {key: value for part in parts for key, value in part().items()})
    retinanet()
    proposals()
    box_head()
    mask_head()


if __name__ == "__main__":
    main()
