"""Whole networks and training steps: timm's backbones, tuning methods and decoders, by the names of src/steps.rs."""

import os
import re

import timm
import torch
from torch import nn
from torch.nn import functional as F
from torchvision.models.detection import MaskRCNN
from torchvision.ops.feature_pyramid_network import FeaturePyramidNetwork, LastLevelMaxPool

CLASSES = 21
OBJECT_CLASSES = 80
OBJECTS = 12
# Of PASCAL-Context's tasks: outputs, and the weight of the loss.
TASKS = {"classes": (CLASSES, 1.0), "parts": (7, 2.0), "saliency": (1, 5.0), "normals": (3, 10.0)}
# Of a level before suppression, of an image after it.
PROPOSALS = 2000, 1000
CHANNELS = 128
RANK = 16


def swin(name):
    """timm's Swin for any image size, without stochastic depth."""
    options = dict(pretrained=False, num_classes=0, drop_path_rate=0.0, strict_img_size=False, always_partition=True)
    return timm.create_model(f"{name}_patch4_window7_224", **options)


def lite(name):
    return timm.create_model(f"tf_{name}", pretrained=False, num_classes=0)


class SwinEncoder(nn.Module):
    """Stage outputs, [batch, height, width, channels]; what `tap` makes of a branch goes on in its place."""

    widths_of = staticmethod(lambda model: [model.embed_dim << stage for stage in range(4)])

    def __init__(self, name):
        super().__init__()
        self.model = swin(name)
        self.stage_channels = self.widths_of(self.model)
        self.tap_channels = [[width] * 2 * len(layer.blocks) for width, layer in zip(self.stage_channels, self.model.layers)]

    def run(self, images, tap, beside=None):
        """`beside` reads what an MLP reads; what it makes is added to what the MLP makes."""
        x = self.model.patch_embed(images)
        for section, layer in enumerate(self.model.layers):
            x = layer.downsample(x)
            for block in layer.blocks:
                x = x + tap(section, block._attn(block.norm1(x)))
                normed = block.norm2(x)
                x = x + tap(section, block.mlp(normed))
                if beside is not None:
                    x = x + beside(section, normed)
            yield section, x, section

    def transition(self, section, h):
        return self.model.layers[section + 1].downsample(h)

    @staticmethod
    def to_rows(x):
        return x

    @staticmethod
    def to_map(x):
        return x


class LiteEncoder(nn.Module):
    """The same of an EfficientNet-Lite: a tap per block, [batch, channels, height, width]."""

    def __init__(self, name):
        super().__init__()
        self.model = lite(name)
        self.widths = [row[-1].bn3.num_features if hasattr(row[-1], "bn3") else row[-1].bn2.num_features for row in self.model.blocks]
        self.stages = {1: 0, 2: 1, 4: 2, 6: 3}
        self.stage_channels = [self.widths[row] for row in self.stages]
        self.tap_channels = [[width] * len(row) for width, row in zip(self.widths, self.model.blocks)]

    def run(self, images, tap):
        x = self.model.bn1(self.model.conv_stem(images))
        for section, row in enumerate(self.model.blocks):
            for block in row:
                skip, block.has_skip = block.has_skip, False
                branch = block(x)
                block.has_skip = skip
                branch = tap(section, branch)
                x = x + branch if skip else branch
            yield section, x, self.stages.get(section)

    def transition(self, section, h):
        if self.model.blocks[section + 1][0].conv_dw.stride[0] == 2:
            h = F.pad(h, (0, h.shape[3] % 2, 0, h.shape[2] % 2), mode="replicate")
            h = F.avg_pool2d(h, 2)
        missing = self.widths[section + 1] - h.shape[1]
        return F.pad(h, (0, 0, 0, 0, 0, missing))

    @staticmethod
    def to_rows(x):
        return x.permute(0, 2, 3, 1)

    @staticmethod
    def to_map(x):
        return x


class VitEncoder(nn.Module):
    """The same of DINOv2: the taps are the scaled branches, [batch, tokens, channels]; a quarter of the blocks is a stage."""

    def __init__(self, name):
        super().__init__()
        # An image has any size; attention is `scaled_dot_product_attention`.
        self.model = timm.create_model(f"{name}_patch14_dinov2", pretrained=False, num_classes=0, dynamic_img_size=True)
        depth = len(self.model.blocks) // 4
        self.sections = [self.model.blocks[depth * stage : depth * (stage + 1)] for stage in range(4)]
        self.stage_channels = [self.model.embed_dim] * 4
        self.tap_channels = [[self.model.embed_dim] * 2 * depth] * 4

    def run(self, images, tap):
        patches = self.model.patch_embed(images)
        self.grid = patches.shape[1:3]
        x = self.model._pos_embed(patches)
        for section, blocks in enumerate(self.sections):
            for block in blocks:
                x = x + tap(section, block.ls1(block.attn(block.norm1(x))))
                x = x + tap(section, block.ls2(block.mlp(block.norm2(x))))
            yield section, x, section

    def transition(self, section, h):
        return h

    @staticmethod
    def to_rows(x):
        return x

    def to_map(self, x):
        """Without the class token."""
        return x[:, 1:].unflatten(1, self.grid)


class ConvNextEncoder(nn.Module):
    """The same of a ConvNeXt: a tap per block, [batch, channels, height, width]."""

    def __init__(self, name):
        super().__init__()
        self.model = timm.create_model(name, pretrained=False, num_classes=0, drop_path_rate=0.0)
        self.stage_channels = [info["num_chs"] for info in self.model.feature_info]
        self.tap_channels = [[width] * len(stage.blocks) for width, stage in zip(self.stage_channels, self.model.stages)]

    def run(self, images, tap):
        x = self.model.stem(images)
        for section, stage in enumerate(self.model.stages):
            x = stage.downsample(x)
            for block in stage.blocks:
                rows = block.mlp(block.norm(block.conv_dw(x).permute(0, 2, 3, 1)))
                x = x + tap(section, rows.permute(0, 3, 1, 2) * block.gamma.reshape(1, -1, 1, 1))
            yield section, x, section

    def transition(self, section, h):
        return self.model.stages[section + 1].downsample(h)

    @staticmethod
    def to_rows(x):
        return x.permute(0, 2, 3, 1)

    @staticmethod
    def to_map(x):
        return x


class Highway(nn.Module):
    """E(z) = W_U gelu(W_D z + b_D) + b_U, both projections of rank 16; as channels last rows."""

    def __init__(self, channels):
        super().__init__()
        middle = channels // 2
        self.down_in = nn.Parameter(torch.randn(channels, RANK) / channels**0.5)
        self.down_out = nn.Parameter(torch.randn(RANK, middle) / RANK**0.5)
        self.down_bias = nn.Parameter(torch.zeros(middle))
        self.up_in = nn.Parameter(torch.randn(middle, RANK) / middle**0.5)
        self.up_out = nn.Parameter(torch.zeros(RANK, channels))
        self.up_bias = nn.Parameter(torch.zeros(channels))

    def forward(self, z):
        hidden = F.gelu(z @ self.down_in @ self.down_out + self.down_bias)
        return hidden @ self.up_in @ self.up_out + self.up_bias


class Adapter(nn.Module):
    """z + W_U gelu(W_D z + b_D) + b_U, 64 wide."""

    def __init__(self, channels):
        super().__init__()
        self.down, self.up = nn.Linear(channels, 64), nn.Linear(64, channels)

    def forward(self, z):
        return z + self.up(F.gelu(self.down(z)))


class VmtAdapter(nn.Module):
    """u = gelu(W_D z + b_D), W_U u + b_U of it goes on; a task takes W_U (gamma * u + beta)."""

    def __init__(self, channels):
        super().__init__()
        narrow = channels // 4
        self.down, self.up = nn.Linear(channels, narrow), nn.Linear(narrow, channels)
        self.scales = nn.ParameterList(torch.ones(narrow) for _ in TASKS)
        self.shifts = nn.ParameterList(torch.zeros(narrow) for _ in TASKS)

    def forward(self, z):
        u = F.gelu(self.down(z))
        return self.up(u), [F.linear(scale * u + shift, self.up.weight) for scale, shift in zip(self.scales, self.shifts)]


class Lora(nn.Module):
    """A frozen projection to queries, keys and values with updates of rank 64 of the first and the last."""

    def __init__(self, projection):
        super().__init__()
        self.projection = projection
        channels = projection.in_features
        self.downs = nn.ParameterList(torch.randn(64, channels) / channels**0.5 for _ in range(2))
        self.ups = nn.ParameterList(torch.zeros(channels, 64) for _ in range(2))

    def forward(self, x):
        query, value = (F.linear(F.linear(x, down), up) for down, up in zip(self.downs, self.ups))
        return self.projection(x) + torch.cat([query, torch.zeros_like(query), value], -1)


def as_it_is(_, z):
    return z


def resize(x, size):
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)


def cross_entropy(logits, labels):
    return F.cross_entropy(resize(logits, labels.shape[1:]), labels, ignore_index=255)


class SegFormer(nn.Module):
    """The light decoder as published."""

    def __init__(self, widths, outputs):
        super().__init__()
        self.projections = nn.ModuleList(nn.Conv2d(width, CHANNELS, 1) for width in widths)
        self.fuse = nn.Sequential(nn.Conv2d(4 * CHANNELS, CHANNELS, 1, bias=False), nn.BatchNorm2d(CHANNELS), nn.ReLU())
        self.classifier = nn.Sequential(nn.Dropout2d(0.1), nn.Conv2d(CHANNELS, outputs, 1))

    def forward(self, features):
        size = features[0].shape[2:]
        projected = [resize(projection(x), size) for projection, x in zip(self.projections, features)]
        return self.classifier(self.fuse(torch.cat(projected, 1)))


class Segmentation(nn.Module):
    """A backbone under a method, output norms and SegFormer's decoder as published."""

    def __init__(self, encoder, method):
        super().__init__()
        self.encoder, self.method = encoder, method
        self.norms = nn.ModuleList(nn.LayerNorm(width) for width in encoder.stage_channels)
        if method != "full":
            encoder.requires_grad_(False)
        if method == "fixed":
            self.norms.requires_grad_(False)
        if method == "bitfit":
            for name, parameter in [*encoder.named_parameters(), *self.norms.named_parameters()]:
                parameter.requires_grad_(name.endswith(("bias", "bias_table")))
        if method == "lora":
            for layer in encoder.model.layers:
                for block in layer.blocks:
                    block.attn.qkv = Lora(block.attn.qkv)
        if method == "adapter":
            self.adapters = nn.ModuleList(nn.ModuleList(map(Adapter, widths)) for widths in encoder.tap_channels)
        if method == "e3va":
            self.adapters = nn.ModuleList(nn.ModuleList(map(Highway, widths)) for widths in encoder.tap_channels)
        self.decoder = SegFormer(encoder.stage_channels, CLASSES)

    def train(self, mode=True):
        super().train(mode)
        # Batch norms of a backbone keep their ImageNet statistics, as Gradway folds them.
        self.encoder.eval()
        return self

    def normalised(self, stage, x):
        rows = self.encoder.to_rows(self.encoder.to_map(x))
        return self.norms[stage](rows).permute(0, 3, 1, 2)

    def features(self, images):
        if self.method == "e3va":
            return list(self.highway(images))
        tap = self.adapted() if self.method == "adapter" else as_it_is
        with torch.set_grad_enabled(self.method != "fixed"):
            return [self.normalised(stage, x) for _, x, stage in self.encoder.run(images, tap) if stage is not None]

    def adapted(self):
        adapters = [iter(section) for section in self.adapters]
        return lambda section, z: next(adapters[section])(z)

    def highway(self, images):
        h, count = None, 0
        last = len(self.adapters) - 1

        def tap(section, z):
            nonlocal h, count
            with torch.enable_grad():
                rows = self.encoder.to_rows(z)
                adapted = self.adapters[section][count](rows)
                if rows is not z:
                    adapted = adapted.permute(0, 3, 1, 2)
                h = adapted if h is None else h + adapted
            count += 1
            return z

        walk = self.encoder.run(images, tap)
        for _ in range(last + 1):
            with torch.no_grad():
                section, x, stage = next(walk)
            if stage is not None:
                yield self.normalised(stage, x + h)
            if section < last:
                h = self.encoder.transition(section, h)
            count = 0

    def forward(self, images):
        return self.decode(self.features(images))

    def loss(self, images, labels):
        return cross_entropy(self(images), labels)

    def decode(self, features):
        return self.decoder(features)


def convolution(inputs, outputs, kernel):
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False), nn.BatchNorm2d(outputs), nn.ReLU())


def classifier(channels):
    return nn.Sequential(nn.Dropout2d(0.1), nn.Conv2d(channels, CLASSES, 1))


class UPerNet(Segmentation):
    """The same under UPerNet with mmsegmentation's widths and its auxiliary FCN."""

    channels, auxiliary_channels, pools = 512, 256, (1, 2, 3, 6)

    def __init__(self, encoder, method):
        super().__init__(encoder, method)
        del self.decoder
        *finer, coarsest = encoder.stage_channels
        width = self.channels
        self.pooled = nn.ModuleList(convolution(coarsest, width, 1) for _ in self.pools)
        self.bottleneck = convolution(coarsest + len(self.pools) * width, width, 3)
        self.laterals = nn.ModuleList(convolution(channels, width, 1) for channels in finer)
        self.smooth = nn.ModuleList(convolution(width, width, 3) for _ in finer)
        self.fuse = convolution(4 * width, width, 3)
        self.classifier = classifier(width)
        auxiliary = self.auxiliary_channels
        self.auxiliary = nn.Sequential(convolution(finer[-1], auxiliary, 3), classifier(auxiliary))

    def decode(self, features):
        *finer, coarsest = features
        size = coarsest.shape[2:]
        pools = zip(self.pools, self.pooled)
        pooled = [resize(module(F.adaptive_avg_pool2d(coarsest, side)), size) for side, module in pools]
        above = self.bottleneck(torch.cat([coarsest, *pooled], 1))
        levels = [above]
        for x, lateral, smooth in zip(reversed(finer), reversed(self.laterals), reversed(self.smooth)):
            above = lateral(x) + resize(above, x.shape[2:])
            levels.insert(0, smooth(above))
        size = features[0].shape[2:]
        return self.classifier(self.fuse(torch.cat([resize(level, size) for level in levels], 1)))

    def loss(self, images, labels):
        features = self.features(images)
        auxiliary = cross_entropy(self.auxiliary(features[-2]), labels)
        return cross_entropy(self.decode(features), labels) + 0.4 * auxiliary


def frozen_forward(encoder, batch, height, width):
    def build():
        model = laid_out(encoder().eval())
        images = laid_out(torch.randn(batch, 3, height, width))
        forward = compiled(lambda images: [x for _, x, stage in model.run(images, as_it_is) if stage is not None])

        def run():
            with torch.inference_mode():
                return forward(images)

        return run

    return build


def compiled(model):
    """As it is, unless networks are to be compiled."""
    return torch.compile(model) if os.environ.get("GRADWAY_COMPILE") else model


def laid_out(thing):
    """A module or images with channels first, unless they are to be last."""
    return thing.to(memory_format=torch.channels_last) if os.environ.get("GRADWAY_CHANNELS_LAST") else thing


def adamw(model):
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": 0.05},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=1e-6)


class FourTasks(nn.Module):
    """A backbone and SegFormer's decoder as published for each task; vmt_adapter has one pass for all of them."""

    def __init__(self, encoder, method):
        super().__init__()
        self.shared = Segmentation(encoder, method)
        del self.shared.decoder
        if method == "vmt_adapter":
            depths = [len(layer.blocks) for layer in encoder.model.layers]
            self.adapters = nn.ModuleList(
                nn.ModuleList(VmtAdapter(width) for _ in range(depth)) for width, depth in zip(encoder.stage_channels, depths)
            )
        self.decoders = nn.ModuleList(SegFormer(encoder.stage_channels, outputs) for outputs, _ in TASKS.values())

    def features(self, images):
        """By task, those of every stage."""
        encoder = self.shared.encoder
        if not hasattr(self, "adapters"):
            return [self.shared.features(images)] * len(TASKS)
        adapters = [iter(section) for section in self.adapters]
        streams = None

        def beside(section, z):
            nonlocal streams
            generic, of_tasks = next(adapters[section])(z)
            streams = of_tasks if streams is None else [stream + one for stream, one in zip(streams, of_tasks)]
            return generic

        stages = []
        for section, x, stage in encoder.run(images, as_it_is, beside):
            stages.append([self.shared.normalised(stage, x + stream) for stream in streams])
            streams = None
        return list(zip(*stages))

    def loss(self, images, labels):
        outputs = zip(self.decoders, self.features(images), TASKS.items(), labels)
        return sum(weight * task_loss(task, decoder(x), y) for decoder, x, (task, (_, weight)), y in outputs)


def task_loss(task, logits, labels):
    if task in ("classes", "parts"):
        return cross_entropy(logits, labels)
    logits = resize(logits, labels.shape[-2:])
    if task == "normals":
        counted = (labels != 0).any(1, keepdim=True)
        difference = (F.normalize(logits, dim=1) - labels).abs() * counted
        return difference.sum() / (3 * counted.sum())
    counted, positive = labels != 255, labels == 1
    share = (counted & ~positive).sum() / counted.sum()
    weights = torch.where(positive, share, 1 - share) * counted
    target = positive.float()
    return F.binary_cross_entropy_with_logits(logits[:, 0], target, weights, reduction="sum") / counted.sum()


def random_labels(batch, height, width):
    for task, (outputs, _) in TASKS.items():
        if task == "normals":
            yield F.one_hot(torch.randint(0, 3, (batch, height, width)), 3).permute(0, 3, 1, 2).float()
        else:
            yield torch.randint(0, max(outputs, 2), (batch, height, width))


class Pyramid(Segmentation):
    """The features of a method under a feature pyramid, for torchvision's detectors."""

    out_channels = 256

    def __init__(self, encoder, method):
        super().__init__(encoder, method)
        del self.decoder
        self.pyramid = FeaturePyramidNetwork(encoder.stage_channels, self.out_channels, LastLevelMaxPool())

    def forward(self, images):
        return self.pyramid({str(stage): x for stage, x in enumerate(self.features(images))})


def objects(height, width):
    """Rectangles with full masks, as in src/steps.rs; the classes of torchvision begin with the background."""
    boxes, masks = [], torch.zeros(OBJECTS, height, width, dtype=torch.uint8)
    for index in range(OBJECTS):
        x, y = index * 97 % (width - 160), index * 71 % (height - 160)
        right, bottom = x + 32 + index * 37 % 128, y + 32 + index * 53 % 128
        boxes.append([x, y, right, bottom])
        masks[index, y:bottom, x:right] = 1
    labels = torch.arange(OBJECTS) % OBJECT_CLASSES + 1
    return {"boxes": torch.tensor(boxes, dtype=torch.float32), "labels": labels, "masks": masks}


def detection_step(encoder, method, batch, height, width):
    def build():
        # As many proposals as Gradway takes; everything else is as published on both sides.
        limits = dict(rpn_pre_nms_top_n_train=PROPOSALS[0], rpn_post_nms_top_n_train=PROPOSALS[1])
        sizes = dict(min_size=min(height, width), max_size=max(height, width))
        model = MaskRCNN(Pyramid(encoder(), method), OBJECT_CLASSES + 1, **sizes, **limits).train()
        optimizer = adamw(model)
        images = [torch.rand(3, height, width) for _ in range(batch)]
        targets = [objects(height, width) for _ in range(batch)]

        def run():
            optimizer.zero_grad()
            loss = sum(model(images, targets).values())
            loss.item()
            loss.backward()
            optimizer.step()

        return run

    return build


def training_step(network, encoder, method, batch, height, width):
    def build():
        model = laid_out(network(encoder(), method).train())
        optimizer = adamw(model)
        images = laid_out(torch.randn(batch, 3, height, width))
        if network is FourTasks:
            labels = list(random_labels(batch, height, width))
        else:
            labels = torch.randint(0, CLASSES, (batch, height, width))
        loss_of = compiled(lambda: model.loss(images, labels))

        def run():
            optimizer.zero_grad()
            loss = loss_of()
            loss.item()
            loss.backward()
            optimizer.step()

        return run

    return build


ENCODERS = {
    "swin_tiny": lambda: SwinEncoder("swin_tiny"),
    "swin_base": lambda: SwinEncoder("swin_base"),
    "swin_large": lambda: SwinEncoder("swin_large"),
    "efficientnet_lite0": lambda: LiteEncoder("efficientnet_lite0"),
    "dinov2_small": lambda: VitEncoder("vit_small"),
    "convnext_tiny": lambda: ConvNextEncoder("convnext_tiny"),
}


def find(name):
    """The case of a name such as "e3va step swin_tiny 224x224 batch 4" or "frozen forward ...", if it is one."""
    match = re.fullmatch(r"(frozen forward|(\w+)( Mask R-CNN| UPerNet| four tasks)? step) (\w+) (\d+)x(\d+) batch (\d+)", name)
    if match is None:
        return None
    _, method, network, backbone, height, width, batch = match.groups()
    sizes = int(batch), int(height), int(width)
    if method is None:
        return frozen_forward(ENCODERS[backbone], *sizes)
    if network == " Mask R-CNN":
        return detection_step(ENCODERS[backbone], method, *sizes)
    networks = {None: Segmentation, " UPerNet": UPerNet, " four tasks": FourTasks}
    return training_step(networks[network], ENCODERS[backbone], method, *sizes)
