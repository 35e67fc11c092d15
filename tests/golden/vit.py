"""Plain vision transformers by timm and transformers: tiny random ones, and learnt positions of another grid.

    python -m pip install torch==2.15.0 timm==1.0.31 transformers==5.24.0 safetensors numpy
    python tests/golden/vit.py

Stages are the outputs of a quarter, a half, three quarters and all of the blocks without class and register tokens, before the final
norm. Images whose sides are no multiples of a patch are padded with zeros at the right and bottom.
"""

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import timm.models.eva as eva
import timm.models.vision_transformer as vit
import torch
from safetensors.torch import load_file, save_file
from timm.layers import resample_abs_pos_embed
from torch import nn
from torch.nn import functional as F
from transformers import (
    Dinov2Config,
    Dinov2Model,
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersModel,
    DINOv3ViTConfig,
    DINOv3ViTModel,
    ViTConfig,
    ViTModel,
)

HERE = Path(__file__).parent
CHANNELS, HEADS, BLOCKS, PATCH, SIDE = 16, 2, 4, 6, 5
SIZE = PATCH * SIDE


def randomise(model: nn.Module, generator: torch.Generator) -> None:
    """Weights that keep the signal's size, and everything else far from its default."""
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        is_scale = ("norm" in name and name.endswith("weight")) or "gamma" in name or "lambda1" in name
        if is_scale:
            value = 0.2 * noise + 1.0
        elif parameter.ndim == 1:
            value = 0.2 * noise
        elif parameter.ndim == 3:
            value = noise
        else:
            value = noise / parameter[0].numel() ** 0.5
        parameter.data.copy_(value)


def padded(images: torch.Tensor, patch: int) -> torch.Tensor:
    height, width = images.shape[2:]
    return F.pad(images, (0, -width % patch, 0, -height % patch))


def write(name: str, tensors: dict[str, torch.Tensor]) -> None:
    save_file({key: value.float().contiguous() for key, value in tensors.items()}, HERE / f"{name}.safetensors")


def maps(tokens: list[torch.Tensor], prefix: int, patch: int, images: torch.Tensor) -> dict[str, torch.Tensor]:
    """The tokens after every block, as the maps of four stages."""
    size = [-(-side // patch) for side in images.shape[2:]]
    chosen = [tokens[len(tokens) * (stage + 1) // 4 - 1] for stage in range(4)]
    return {f"stage{i}": x[:, prefix:].transpose(1, 2).unflatten(2, size) for i, x in enumerate(chosen)}


def run(model: nn.Module, layers: nn.ModuleList, prefix: int, patch: int, sizes: dict[str, list[int]], generator) -> dict[str, torch.Tensor]:
    """Inputs of these sizes and the stages of a model in double precision."""
    found = {}
    tokens = []
    hooks = [layer.register_forward_hook(lambda _m, _i, out: tokens.append(out[0] if isinstance(out, tuple) else out)) for layer in layers]
    model = model.double().eval()
    for name, size in sizes.items():
        images = torch.randn([2, 3, *size], generator=generator)
        tokens.clear()
        with torch.no_grad():
            model(padded(images.double(), patch))
        found[f"{name}.input"] = images
        found |= {f"{name}.{key}": value for key, value in maps(tokens, prefix, patch, images).items()}
    for hook in hooks:
        hook.remove()
    return found


def timms(name: str, model: nn.Module, prefix: int, patch: int, sizes, generator) -> None:
    randomise(model, generator)
    state = {key: value.clone() for key, value in model.state_dict().items()}
    write(f"vit.{name}.weights", state)
    write(f"vit.{name}.io", run(model, model.blocks, prefix, patch, sizes, generator))


def from_transformers(name: str, model: nn.Module, layers, prefix: int, patch: int, sizes, generator) -> None:
    """Weights under the names of files, and under those in memory where the two differ."""
    randomise(model, generator)
    with TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        file = load_file(f"{folder}/model.safetensors")
    write(f"vit.{name}.weights", file)
    state = {key: value.clone() for key, value in model.state_dict().items()}
    if set(state) != set(file):
        write(f"vit.{name}_in_memory.weights", state)
    write(f"vit.{name}.io", run(model, layers, prefix, patch, sizes, generator))


def positions(generator: torch.Generator) -> None:
    """A grid of 5 x 5 in grids that are larger and smaller, by three publishers."""
    grid = torch.randn([SIDE, SIDE, 3], generator=generator)
    found = {"grid": grid}
    as_map = grid.double().permute(2, 0, 1)[None]
    for height, width in [(5, 5), (5, 8), (3, 7), (11, 2), (9, 9), (1, 4)]:
        name = f"{height}x{width}"
        flat = resample_abs_pos_embed(grid.double().reshape(1, SIDE * SIDE, 3).float(), [height, width], num_prefix_tokens=0)
        found[f"antialiased.{name}"] = flat.reshape(height, width, 3)
        if (height, width) == (SIDE, SIDE):
            plain = offset = as_map
        else:
            plain = F.interpolate(as_map, size=(height, width), mode="bicubic", align_corners=False)
            # As `interpolate_pos_encoding` of Meta's DINOv2.
            factor = ((height + 0.1) / SIDE, (width + 0.1) / SIDE)
            offset = F.interpolate(as_map, scale_factor=factor, mode="bicubic")
        found[f"plain.{name}"] = plain[0].permute(1, 2, 0)
        found[f"offset.{name}"] = offset[0].permute(1, 2, 0)
    write("vit.positions", found)


def main() -> None:
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    sizes = {"own": [SIZE, SIZE], "other": [23, 39]}
    common = dict(embed_dim=CHANNELS, depth=BLOCKS, num_heads=HEADS, num_classes=0)
    learnt = dict(common, img_size=SIZE, patch_size=PATCH, dynamic_img_size=True)
    timms("timm", vit.VisionTransformer(**learnt, init_values=1e-5), 1, PATCH, sizes, generator)
    registers = dict(learnt, init_values=1e-5, reg_tokens=3, no_embed_class=True)
    timms("timm_registers", vit.VisionTransformer(**registers), 4, PATCH, sizes, generator)
    timms("timm_plain", vit.VisionTransformer(**learnt), 1, PATCH, sizes, generator)
    rotary = dict(
        common,
        patch_size=PATCH,
        img_size=SIZE,
        dynamic_img_size=True,
        qkv_bias=False,
        init_values=1e-5,
        rope_type="dinov3",
        rope_temperature=100,
        rope_rotate_half=True,
        use_rot_pos_emb=True,
        use_abs_pos_emb=False,
        num_reg_tokens=2,
        use_fc_norm=False,
        norm_layer=partial(nn.LayerNorm, eps=1e-5),
    )
    timms("timm_rotary", eva.Eva(**rotary), 3, PATCH, sizes, generator)
    timms("timm_swiglu", eva.Eva(**rotary, swiglu_mlp=True, swiglu_align_to=8), 3, PATCH, sizes, generator)

    shape = dict(hidden_size=CHANNELS, num_hidden_layers=BLOCKS, num_attention_heads=HEADS, image_size=SIZE, patch_size=PATCH)
    model = Dinov2Model(Dinov2Config(**shape))
    from_transformers("dinov2", model, model.encoder.layer, 1, PATCH, sizes, generator)
    model = Dinov2WithRegistersModel(Dinov2WithRegistersConfig(**shape, num_register_tokens=3))
    from_transformers("dinov2_registers", model, model.encoder.layer, 4, PATCH, sizes, generator)
    model = ViTModel(ViTConfig(**shape, intermediate_size=4 * CHANNELS, layer_norm_eps=1e-6))
    layers = model.encoder.layer if hasattr(model, "encoder") else model.layers
    from_transformers("augreg", model, layers, 1, PATCH, {"own": [SIZE, SIZE]}, generator)
    shape3 = dict(shape, patch_size=PATCH, intermediate_size=4 * CHANNELS, num_register_tokens=2)
    model = DINOv3ViTModel(DINOv3ViTConfig(**shape3))
    from_transformers("dinov3", model, model.model.layer, 3, PATCH, sizes, generator)
    model = DINOv3ViTModel(DINOv3ViTConfig(**shape3, use_gated_mlp=True, hidden_act="silu"))
    from_transformers("dinov3_gated", model, model.model.layer, 3, PATCH, sizes, generator)
    positions(generator)


if __name__ == "__main__":
    main()
