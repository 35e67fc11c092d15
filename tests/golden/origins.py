"""Writes `origins/`: tiny networks in the files of every publisher, and the keys of networks that are taken for them.

    python -m pip install torch==2.15.0 torchvision==0.29.2 timm==1.0.31 transformers==5.24.0 safetensors numpy
    python tests/golden/origins.py

All files of a network have the same weights. Where a publisher's library is at hand, the file is what the library saves, and the
library's own forward pass has to give the stages that are written. OpenMMLab's and Meta's are stated here, from what they publish.
"""

import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import timm
import timm.models.beit as beit
import timm.models.convnext as convnext
import timm.models.deit as deit
import timm.models.eva as eva
import timm.models.hiera as hiera
import timm.models.swin_transformer as swin
import timm.models.swin_transformer_v2 as swin_v2
import timm.models.vision_transformer as vit
import timm.models.vision_transformer_sam as sam
import torch
import torchvision.models as torchvision
import torchvision.models.swin_transformer as torchvision_swin
import transformers
from safetensors.torch import load_file, save_file
from timm.models._features import FeatureListNet
from torch import nn

from swin_reference import pad_to_patches, randomise
from vit import maps
from weight_files import open_mmlab_key, unfolded

FOLDER = Path(__file__).resolve().parent / "origins"
# What a library and another one differ by in double precision.
EQUAL = 1e-12

State = dict[str, torch.Tensor]


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def write(name: str, tensors: State) -> None:
    rounded = {key: value.detach().float().contiguous().clone() for key, value in tensors.items()}
    path = FOLDER / f"{name}.safetensors"
    save_file(rounded, path)
    path.chmod(0o644)


def saved(model: transformers.PreTrainedModel) -> State:
    """What transformers writes, under the names of files."""
    with TemporaryDirectory() as folder:
        model.float().save_pretrained(folder)
        return load_file(f"{folder}/model.safetensors")


def renamed(state: State, *names: tuple[str, str]) -> State:
    found = {}
    for key, value in state.items():
        for ours, theirs in names:
            key = key.replace(ours, theirs, 1)
        found[key] = value
    return found


def apart(state: State) -> State:
    """Queries, keys and values as three projections."""
    found = {}
    for key, value in state.items():
        if ".qkv." in key:
            for name, part in zip("qkv", value.chunk(3)):
                found[key.replace(".qkv.", f".{name}_proj.")] = part
        else:
            found[key] = value
    return found


def check(name: str, found: list[torch.Tensor], expected: list[torch.Tensor]) -> None:
    assert len(found) == len(expected), name
    for ours, theirs in zip(found, expected):
        error = (ours - theirs).abs().max() / theirs.abs().max()
        assert error < EQUAL, f"{name}: {error:.1e}"


def hooked(layers: list[nn.Module], run: Callable) -> list[torch.Tensor]:
    """The outputs of some layers in a forward pass."""
    found = []
    take = lambda _module, _inputs, output: found.append(output[0] if isinstance(output, tuple) else output)
    hooks = [layer.register_forward_hook(take) for layer in layers]
    with torch.no_grad():
        run()
    for hook in hooks:
        hook.remove()
    return found


# Swin: 4 and 8 channels, 2 and 2 blocks, 1 and 2 heads, window 4.

SHAPE = dict(embed_dim=4, depths=[2, 2], num_heads=[1, 2])
# Maps of 9x10 and 5x5: both are padded and shifted.
SIZE = (34, 37)


def timms_swin(**options) -> nn.Module:
    return swin.SwinTransformer(patch_size=4, window_size=4, num_classes=3, **SHAPE, **options)


def at_the_end(state: State) -> State:
    """The down-sampling of a stage at the end of the stage before."""
    found = {}
    for key, value in state.items():
        if ".downsample." in key:
            stage, rest = key.removeprefix("layers.").split(".", 1)
            key = f"layers.{int(stage) - 1}.{rest}"
        found[key] = value
    return found


def swins() -> None:
    model = timms_swin(strict_img_size=False, always_partition=True)
    randomise(model, seeded(50))
    state = {key: value.clone() for key, value in model.state_dict().items()}
    write("swin.timm", state)
    features = FeatureListNet(timms_swin(), out_indices=(0, 1), flatten_sequential=True)
    features.load_state_dict(renamed({key: state[key] for key in state if key.startswith(("patch_embed.", "layers."))}, ("layers.", "layers_")))
    write("swin.timm_features", {f"encoder.model.{key}": value for key, value in features.state_dict().items()})
    own = {key: value for key, value in state.items() if not key.startswith(("norm.", "head."))}

    old = at_the_end(own) | {"norm.weight": state["norm.weight"], "norm.bias": state["norm.bias"]}
    old |= {"head.weight": state["head.fc.weight"], "head.bias": state["head.fc.bias"]}
    for stage in range(2):
        for block in range(2):
            old[f"layers.{stage}.blocks.{block}.attn.relative_position_index"] = torch.zeros(16, 16)
        old[f"layers.{stage}.blocks.1.attn_mask"] = torch.zeros(9, 16, 16)
    write("swin.microsoft", {f"model.{key}": value for key, value in old.items()})

    images = torch.randn(2, 3, *SIZE, generator=seeded(51))
    padded = pad_to_patches(images.double())
    with torch.no_grad():
        timms = model.double().eval().forward_intermediates(padded, intermediates_only=True)
    theirs = torchvisions_swin(own, state, padded)
    transformers_swins(own, state, images, theirs)
    open_mmlabs_swin(own)
    values = {"input": images}
    values |= {f"shift_first.stage{i}": stage for i, stage in enumerate(timms)}
    values |= {f"pad_first.stage{i}": stage for i, stage in enumerate(theirs)}
    write("swin.io", values)


def torchvisions_swin(own: State, state: State, padded: torch.Tensor) -> list[torch.Tensor]:
    model = torchvision_swin.SwinTransformer(patch_size=[4, 4], window_size=[4, 4], num_classes=3, **SHAPE).double().eval()
    found = {key: value for key, value in model.state_dict().items() if key.endswith("relative_position_index")}
    for key, value in own.items():
        if key.startswith("patch_embed."):
            key = key.replace("patch_embed.proj.", "features.0.0.").replace("patch_embed.norm.", "features.0.2.")
        else:
            stage, rest = key.removeprefix("layers.").split(".", 1)
            index = 2 * int(stage) + (0 if rest.startswith("downsample.") else 1)
            rest = rest.removeprefix("downsample.").removeprefix("blocks.")
            key = f"features.{index}.{rest}".replace("mlp.fc1.", "mlp.0.").replace("mlp.fc2.", "mlp.3.")
        found[key] = value
    for name in ("norm.weight", "norm.bias"):
        found[name] = state[name]
    found |= {"head.weight": state["head.fc.weight"], "head.bias": state["head.fc.bias"]}
    model.load_state_dict(found)
    write("swin.torchvision", model.state_dict())
    outputs = hooked([model.features[1], model.features[3]], lambda: model(padded))
    return [output.permute(0, 3, 1, 2) for output in outputs]


def transformers_swins(own: State, state: State, images: torch.Tensor, expected: list[torch.Tensor]) -> None:
    names = [
        ("patch_embed.proj.", "embeddings.patch_embeddings.projection."),
        ("patch_embed.norm.", "embeddings.norm."),
        ("layers.", "encoder.layers."),
        (".norm1.", ".layernorm_before."),
        (".norm2.", ".layernorm_after."),
        (".attn.relative_position_bias_table", ".attention.relative_position_bias.relative_position_bias_table"),
        (".attn.proj.", ".attention.o_proj."),
        (".attn.", ".attention."),
    ]
    found = renamed(apart(at_the_end(own)), *names)
    found |= {"layernorm.weight": state["norm.weight"], "layernorm.bias": state["norm.bias"]}
    shape = dict(SHAPE, image_size=36, patch_size=4, window_size=4)
    config = transformers.SwinConfig(**shape, num_labels=3, out_features=["stage1", "stage2"])

    classifier = transformers.SwinForImageClassification(config)
    classifier.swin.load_state_dict(found)
    write("swin.transformers", saved(classifier))
    write("swin.transformers_in_memory", classifier.swin.state_dict())
    backbone = transformers.SwinBackbone(config)
    backbone.swin.load_state_dict(found)
    write("swin.transformers_backbone", saved(backbone))
    with torch.no_grad():
        outputs = backbone.double().eval()(images.double(), output_hidden_states=True).hidden_states
    check("transformers", list(outputs[1:]), expected)
    heads = dict(hidden_size=4, pool_scales=[1], use_auxiliary_head=False, num_labels=2)
    segmentor = transformers.UperNetForSemanticSegmentation(transformers.UperNetConfig(backbone_config=config, **heads))
    segmentor.backbone.swin.load_state_dict(found)
    write("swin.transformers_upernet", saved(segmentor))


def open_mmlabs_swin(own: State) -> None:
    """A whole detector as mmdetection saves it, by its `swin_converter` backwards."""
    found = {f"backbone.{open_mmlab_key(key)}": unfolded(value) if ".downsample." in key else value for key, value in own.items()}
    for stage in range(2):
        for block in range(2):
            found[f"backbone.stages.{stage}.blocks.{block}.attn.w_msa.relative_position_index"] = torch.zeros(16, 16)
        found[f"backbone.norm{stage}.weight"] = found[f"backbone.norm{stage}.bias"] = torch.ones(4 << stage)
    found |= {"neck.lateral_convs.0.conv.weight": torch.ones(2, 4, 1, 1), "rpn_head.rpn_conv.weight": torch.ones(2, 2, 3, 3)}
    found |= {"roi_head.bbox_head.fc_cls.weight": torch.ones(3, 2), "roi_head.mask_head.conv_logits.weight": torch.ones(2, 2, 1, 1)}
    write("swin.open_mmlab", {f"state_dict.{key}": value for key, value in found.items()})


# Plain vision transformers: 8 channels, 4 blocks, 2 heads, patch 4, positions of 3 x 3.

SIDE = 12
VIT = dict(hidden_size=8, num_hidden_layers=4, num_attention_heads=2, image_size=SIDE, patch_size=4)
BLOCK = [
    ("blocks.", "layers."),
    (".attn.proj.", ".attention.o_proj."),
    (".attn.", ".attention."),
]
EMBEDDING = [
    ("patch_embed.proj.", "embeddings.patch_embeddings.projection."),
    ("cls_token", "embeddings.cls_token"),
    ("pos_embed", "embeddings.position_embeddings"),
]


def timms_vit(**options) -> nn.Module:
    shape = dict(img_size=SIDE, patch_size=4, embed_dim=8, depth=4, num_heads=2, num_classes=3)
    model = vit.VisionTransformer(**shape, **options)
    randomise(model, seeded(52))
    for name, parameter in model.named_parameters():
        if "gamma" in name:
            parameter.data += 1.0
    return model


def without_classifier(state: State) -> State:
    return {key: value for key, value in state.items() if not key.startswith("head.")}


def stages(model: nn.Module, layers: list[nn.Module], images: torch.Tensor, **options) -> list[torch.Tensor]:
    images = images.double()
    tokens = hooked(layers, lambda: model.double().eval()(images, **options))
    return list(maps(tokens, 1, 4, images).values())


def vits() -> None:
    """Without a scale of the branches: AugReg, MAE, and DPT on AugReg."""
    model = timms_vit()
    state = {key: value.clone() for key, value in model.state_dict().items()}
    own = without_classifier(state)
    write("vit.timm", state)
    images = torch.randn(2, 3, SIDE, SIDE, generator=seeded(53))
    expected = stages(model, list(model.blocks), images)
    write("vit.io", {"input": images} | {f"stage{i}": stage for i, stage in enumerate(expected)})

    norms = [(".norm1.", ".layernorm_before."), (".norm2.", ".layernorm_after."), ("norm.", "layernorm.")]
    found = {}
    for key, value in apart(own).items():
        names = norms[:2] if key.startswith("blocks.") else norms[2:]
        found |= renamed({key: value}, *names, *BLOCK, *EMBEDDING)
    shape = dict(VIT, intermediate_size=32, layer_norm_eps=1e-6)

    classifier = transformers.ViTForImageClassification(transformers.ViTConfig(**shape, num_labels=3))
    classifier.vit.load_state_dict(found)
    write("vit.transformers", saved(classifier))
    write("vit.transformers_in_memory", classifier.vit.state_dict())
    check("ViT", stages(classifier.vit, list(classifier.vit.layers), images), expected)

    decoder = dict(decoder_hidden_size=4, decoder_num_hidden_layers=1, decoder_num_attention_heads=1, decoder_intermediate_size=4)
    mae = transformers.ViTMAEForPreTraining(transformers.ViTMAEConfig(**shape, **decoder, mask_ratio=0.0))
    mae.vit.load_state_dict(found)
    write("vit.transformers_mae", saved(mae))
    noise = torch.arange(9.0).repeat(2, 1)
    check("MAE", stages(mae.vit, list(mae.vit.layers), images, noise=noise), expected)

    heads = dict(neck_hidden_sizes=[2, 2, 2, 2], fusion_hidden_size=2, backbone_out_indices=[0, 1, 2, 3])
    dpt = transformers.DPTForDepthEstimation(transformers.DPTConfig(**shape, **heads))
    layers = {f"dpt.{key}": value for key, value in transformers_4(found).items()}
    missing, unexpected = dpt.load_state_dict(layers, strict=False)
    assert not unexpected and not [key for key in missing if key.startswith("dpt.")], (missing, unexpected)
    write("vit.transformers_dpt", saved(dpt))
    check("DPT", stages(dpt.dpt, list(dpt.dpt.encoder.layer), images), expected)

    torchvisions_vit(state, images, expected)
    decoder = {"mask_token": torch.ones(1, 1, 4), "decoder_pos_embed": torch.ones(1, 10, 4), "decoder_embed.weight": torch.ones(4, 8)}
    write("vit.meta_mae", {f"model.{key}": value for key, value in (own | decoder).items()})


def transformers_4(state: State) -> State:
    """The names that transformers had in memory before version 5, and has in files."""
    names = [
        ("layers.", "encoder.layer."),
        (".attention.q_proj.", ".attention.attention.query."),
        (".attention.k_proj.", ".attention.attention.key."),
        (".attention.v_proj.", ".attention.attention.value."),
        (".attention.o_proj.", ".attention.output.dense."),
        (".mlp.fc1.", ".intermediate.dense."),
        (".mlp.fc2.", ".output.dense."),
    ]
    return renamed(state, *names)


def torchvisions_vit(state: State, images: torch.Tensor, expected: list[torch.Tensor]) -> None:
    shape = dict(image_size=SIDE, patch_size=4, num_layers=4, num_heads=2, hidden_dim=8, mlp_dim=32, num_classes=3)
    model = torchvision.VisionTransformer(**shape)
    names = [
        ("blocks.", "encoder.layers.encoder_layer_"),
        (".norm1.", ".ln_1."),
        (".norm2.", ".ln_2."),
        (".attn.qkv.", ".self_attention.in_proj_"),
        (".attn.proj.", ".self_attention.out_proj."),
        (".mlp.fc1.", ".mlp.0."),
        (".mlp.fc2.", ".mlp.3."),
        ("patch_embed.proj.", "conv_proj."),
        ("cls_token", "class_token"),
        ("pos_embed", "encoder.pos_embedding"),
        ("head.", "heads.head."),
    ]
    found = renamed(state, *names)
    found = {key.replace("norm.", "encoder.ln.") if key.startswith("norm.") else key: value for key, value in found.items()}
    model.load_state_dict(found)
    write("vit.torchvision", model.state_dict())
    # The names of its published files.
    write("vit.torchvision_published", renamed(model.state_dict(), (".mlp.0.", ".mlp.linear_1."), (".mlp.3.", ".mlp.linear_2.")))
    check("torchvision", stages(model, list(model.encoder.layers), images), expected)


def dinov2s() -> None:
    model = timms_vit(init_values=1e-5)
    state = {key: value.clone() for key, value in model.state_dict().items()}
    own = without_classifier(state)
    write("dinov2.timm", state)
    images = torch.randn(2, 3, SIDE, SIDE, generator=seeded(54))
    expected = stages(model, list(model.blocks), images)
    write("dinov2.io", {"input": images} | {f"stage{i}": stage for i, stage in enumerate(expected)})
    # A whole teacher with the head of its pre-training, as the training code saves it.
    teacher = {f"teacher.backbone.{key}": value for key, value in (own | {"mask_token": torch.ones(1, 8)}).items()}
    write("dinov2.meta", teacher | {"teacher.dino_head.last_layer.weight_v": torch.ones(2, 3)})

    found = {}
    for key, value in apart(own).items():
        names = [("blocks.", "encoder.layer.")] if key.startswith("blocks.") else [("norm.", "layernorm.")]
        scales = [(".ls1.gamma", ".layer_scale1.lambda1"), (".ls2.gamma", ".layer_scale2.lambda1")]
        found |= renamed({key: value}, *names, *scales, *BLOCK, *EMBEDDING)
    found["embeddings.mask_token"] = torch.ones(1, 8)
    plain = transformers.Dinov2Model(transformers.Dinov2Config(**VIT))
    plain.load_state_dict(found)
    write("dinov2.transformers", saved(plain))
    write("dinov2.transformers_in_memory", plain.state_dict())
    check("DINOv2", stages(plain, list(plain.encoder.layer), images), expected)
    outputs = dict(out_indices=[1, 2, 3, 4], reshape_hidden_states=False)
    heads = dict(reassemble_hidden_size=8, neck_hidden_sizes=[2, 2, 2, 2], fusion_hidden_size=2, head_hidden_size=2, patch_size=4)
    config = transformers.DepthAnythingConfig(backbone_config=transformers.Dinov2Config(**VIT, **outputs), **heads)
    depth = transformers.DepthAnythingForDepthEstimation(config)
    depth.backbone.load_state_dict(found)
    write("dinov2.transformers_depth_anything", saved(depth))


def dinov3s() -> None:
    """Meta's file has the biases of keys, and masks that clear them."""
    shape = dict(VIT, intermediate_size=32, num_register_tokens=2, use_gated_mlp=True, hidden_act="silu")
    model = transformers.DINOv3ViTModel(transformers.DINOv3ViTConfig(**shape))
    randomise(model, seeded(55))
    state = {key: value.clone() for key, value in model.state_dict().items()}
    write("dinov3.transformers", saved(model))
    names = [
        ("embeddings.patch_embeddings.", "patch_embed.proj."),
        ("embeddings.register_tokens", "storage_tokens"),
        ("embeddings.", ""),
        ("model.layer.", "blocks."),
        (".attention.o_proj.", ".attn.proj."),
        (".layer_scale1.lambda1", ".ls1.gamma"),
        (".layer_scale2.lambda1", ".ls2.gamma"),
        (".mlp.gate_proj.", ".mlp.w1."),
        (".mlp.up_proj.", ".mlp.w2."),
        (".mlp.down_proj.", ".mlp.w3."),
    ]
    found = {key: value for key, value in renamed(state, *names).items() if ".attention." not in key}
    for block in range(4):
        for part in ("weight", "bias"):
            front = f"model.layer.{block}.attention."
            parts = [state.get(f"{front}{name}_proj.{part}", torch.full([8], 3.0)) for name in "qkv"]
            found[f"blocks.{block}.attn.qkv.{part}"] = torch.cat(parts)
        found[f"blocks.{block}.attn.qkv.bias_mask"] = torch.cat([torch.ones(8), torch.zeros(8), torch.ones(8)])
    found |= {"rope_embed.periods": torch.ones(2), "local_cls_norm.weight": torch.ones(8), "local_cls_norm.bias": torch.ones(8)}
    write("dinov3.meta", found)


# Networks that are taken for others: the keys of small ones, by what a refusal calls them.


def relatives() -> None:
    patches = dict(img_size=32, patch_size=16, embed_dim=8, depth=1, num_heads=2, num_classes=2)
    windows = dict(img_size=64, window_size=4, embed_dim=8, depths=(1, 1), num_heads=(1, 2))
    small = dict(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, image_size=32, patch_size=16, intermediate_size=8)
    stages = dict(embed_dim=8, depths=[1, 1], num_heads=[1, 2])
    block = dict(block=torchvision_swin.SwinTransformerBlockV2, downsample_layer=torchvision_swin.PatchMergingV2)
    sizes = dict(num_channels=3, hidden_sizes=[4, 4, 4, 4], depths=[1, 1, 1, 1])
    rotary = dict(use_rot_pos_emb=True, swiglu_mlp=True)
    networks = {
        "a Swin V2": [
            swin_v2.SwinTransformerV2(**windows),
            torchvision_swin.SwinTransformer(patch_size=[4, 4], window_size=[4, 4], num_classes=3, **stages, **block),
            transformers.Swinv2Model(transformers.Swinv2Config(image_size=64, window_size=4, **stages)),
        ],
        "a BEiT": [
            beit.Beit(**patches, init_values=0.1, use_abs_pos_emb=False, use_rel_pos_bias=True),
            transformers.BeitModel(transformers.BeitConfig(**small, use_relative_position_bias=True)),
        ],
        "an EVA": [
            eva.Eva(**patches, qkv_fused=True, **rotary),
            eva.Eva(**patches, qkv_fused=False, **rotary),
        ],
        "the visual tower of a CLIP": [
            vit.VisionTransformer(**patches, pre_norm=True),
            transformers.CLIPVisionModel(transformers.CLIPVisionConfig(**small)),
        ],
        "the visual tower of a SigLIP or a BLIP": [
            vit.VisionTransformer(**patches, class_token=False, global_pool="map"),
            transformers.SiglipVisionModel(transformers.SiglipVisionConfig(**small)),
        ],
        "the image encoder of a SAM, or a ViTDet": [
            sam.VisionTransformerSAM(**patches, use_rel_pos=True),
            transformers.SamVisionModel(transformers.SamVisionConfig(**small, mlp_dim=8, output_channels=4, global_attn_indexes=[0])),
        ],
        "a Hiera, such as the image encoder of a SAM 2": [
            hiera.Hiera(img_size=64, embed_dim=8, stages=(1, 1), q_pool=1, abs_win_pos_embed=True),
        ],
        "a DeiT with a distillation token": [
            deit.VisionTransformerDistilled(**patches),
            transformers.DeiTModel(transformers.DeiTConfig(**small)),
        ],
        "a DINOv2 ViT-g, whose SwiGLU is one matrix": [
            transformers.Dinov2Model(transformers.Dinov2Config(**{**small, "patch_size": 8}, use_swiglu_ffn=True)),
        ],
        "the encoder of a SegFormer": [
            transformers.SegformerModel(transformers.SegformerConfig(depths=[1, 1, 1, 1], hidden_sizes=[4, 4, 4, 4], num_attention_heads=[1, 1, 1, 1])),
        ],
        "a ConvNeXt V2": [
            convnext.ConvNeXt(depths=(1, 1, 1, 1), dims=(4, 4, 4, 4), use_grn=True),
            transformers.ConvNextV2Model(transformers.ConvNextV2Config(**sizes)),
        ],
        "a ConvNeXt": [
            convnext.ConvNeXt(depths=(1, 1, 1, 1), dims=(4, 4, 4, 4)),
            torchvision.ConvNeXt([torchvision.convnext.CNBlockConfig(4, 4, 1), torchvision.convnext.CNBlockConfig(4, None, 1)]),
            transformers.ConvNextModel(transformers.ConvNextConfig(**sizes)),
        ],
        "a ResNet": [
            torchvision.ResNet(torchvision.resnet.BasicBlock, [1, 1, 1, 1]),
            transformers.ResNetForImageClassification(transformers.ResNetConfig(embedding_size=4, hidden_sizes=[4, 4], depths=[1, 1])),
        ],
        "an EfficientNet or a MobileNet with squeeze-and-excitation": [
            timm.create_model("efficientnet_b0", pretrained=False),
        ],
    }
    names = {}
    for what, models in networks.items():
        for model in models:
            state = saved(model) if isinstance(model, transformers.PreTrainedModel) else model.state_dict()
            # The keys say it; later stages say the same again.
            names.setdefault(what, []).append(sorted(state)[:60])
    path = FOLDER / "relatives.json"
    path.write_text(json.dumps(names, indent=1) + "\n")
    path.chmod(0o644)


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    torch.manual_seed(0)
    swins()
    vits()
    dinov2s()
    dinov3s()
    relatives()


if __name__ == "__main__":
    main()
