//! The names of ConvNeXt's parameters by publisher.

use crate::checkpoint::Checkpoint;
use crate::part::Part;
use crate::relatives::Shapes;

/// Names of the stem's convolution, one of which every file has, and whose they are. In memory transformers' DINOv3 has
/// one more module around the stages, which is not a place in a file: the closing norm is beside it.
const ORIGINS: [(&str, &str); 6] = [
    ("stem.0.weight", "timm"),
    ("downsample_layers.0.0.weight", "Meta, or OpenMMLab"),
    ("embeddings.patch_embeddings.weight", "transformers"),
    ("model.stages.0.downsample_layers.0.weight", "transformers"),
    ("stages.0.downsample_layers.0.weight", "transformers"),
    ("features.0.0.weight", "torchvision"),
];

/// The names of the stem's convolution.
pub(super) fn anchors() -> Vec<&'static str> {
    ORIGINS.iter().map(|(anchor, _)| *anchor).collect()
}

/// Returns whose names a file has.
pub(super) fn origin(file: &Checkpoint) -> Option<&'static str> {
    let found = ORIGINS.iter().find(|(anchor, _)| file.contains(anchor));
    found.map(|(_, origin)| *origin)
}

/// Returns the shapes of a file's tensors by the paths of the parameters.
pub(super) fn shapes(file: &Checkpoint) -> Option<Shapes> {
    let part = Part::find(file, &anchors()).ok()?.file;
    let named = |(key, shape): (String, Vec<usize>)| Some((path(&key)?, shape));
    Some(part.shapes().filter_map(named).collect())
}

/// Starts of keys that are left out, with the reason.
pub(super) const SKIPPED: [(&str, &str); 5] = [
    ("head.", "belongs to the classifier"),
    ("classifier.", "belongs to the classifier"),
    ("norms.", "normalises maps in pre-training"),
    ("projectors.", "belongs to pre-training"),
    (
        "hidden_states_norms.",
        "output norms belong to the method, not to the backbone",
    ),
];

/// Returns the path of a parameter, given its key in a file of any publisher.
pub(super) fn path(key: &str) -> Option<String> {
    let parts: Vec<&str> = key.split('.').collect();
    path_of(&parts)
}

fn path_of(parts: &[&str]) -> Option<String> {
    match *parts {
        // The norm of the pooled map: timm, Meta, transformers' ConvNeXt and DINOv3, torchvision.
        ["head", "norm", name]
        | ["norm_pre" | "norm" | "layernorm" | "layer_norm", name]
        | ["classifier", "0", name] => Some(format!("norm.{}", of_norm(name)?)),
        ["model", ref rest @ ..] if rest.first() == Some(&"stages") => path_of(rest),
        // timm.
        ["stem", layer, name] => stem(layer, name),
        ["stages", stage, "downsample", layer, name] => downsample(stage, layer, name),
        ["stages", stage, "blocks", block, ref rest @ ..] => in_block(stage, block, rest),
        // Meta and OpenMMLab.
        ["downsample_layers", "0", layer, name] => stem(layer, name),
        ["downsample_layers", stage, layer, name] => downsample(stage, layer, name),
        // transformers' DINOv3.
        ["stages", "0", "downsample_layers", layer, name] => stem(layer, name),
        ["stages", stage, "downsample_layers", layer, name] => downsample(stage, layer, name),
        ["stages", stage, "layers", block, ref rest @ ..] => in_block(stage, block, rest),
        // transformers' ConvNeXt.
        ["embeddings", "patch_embeddings", name] => stem("0", name),
        ["embeddings", "layernorm", name] => stem("1", name),
        [
            "encoder",
            "stages",
            stage,
            "downsampling_layer",
            layer,
            name,
        ] => downsample(stage, layer, name),
        ["encoder", "stages", stage, "layers", block, ref rest @ ..] => {
            in_block(stage, block, rest)
        }
        // torchvision counts stages and what is between them through.
        ["features", "0", layer, name] => stem(layer, name),
        ["features", place, block, ref rest @ ..] => {
            let place: usize = place.parse().ok()?;
            let stage = (place / 2).to_string();
            match (place.is_multiple_of(2), rest) {
                (true, &[name]) => downsample(&stage, block, name),
                (true, _) => None,
                (false, rest) => in_block(&stage, block, rest),
            }
        }
        // Meta and OpenMMLab.
        ["stages", stage, block, ref rest @ ..] => in_block(stage, block, rest),
        _ => None,
    }
}

fn stem(layer: &str, name: &str) -> Option<String> {
    match layer {
        "0" => Some(format!("stem.conv.{name}")),
        "1" => Some(format!("stem.norm.{}", of_norm(name)?)),
        _ => None,
    }
}

fn downsample(stage: &str, layer: &str, name: &str) -> Option<String> {
    let stage: usize = stage.parse().ok()?;
    match layer {
        "0" => Some(format!("stages.{stage}.downsample.norm.{}", of_norm(name)?)),
        "1" => Some(format!("stages.{stage}.downsample.conv.{name}")),
        _ => None,
    }
}

fn in_block(stage: &str, block: &str, rest: &[&str]) -> Option<String> {
    let (stage, block): (usize, usize) = (stage.parse().ok()?, block.parse().ok()?);
    let inside = match *rest {
        ["gamma" | "layer_scale_parameter" | "layer_scale"] => "ls.gamma".to_string(),
        ["norm" | "layernorm" | "layer_norm", name] | ["block", "2", name] => {
            format!("norm.{}", of_norm(name)?)
        }
        ["conv_dw" | "dwconv" | "depthwise_conv", name] | ["block", "0", name] => {
            format!("conv_dw.{name}")
        }
        ["mlp", "fc1", name] | ["pwconv1" | "pointwise_conv1", name] | ["block", "3", name] => {
            format!("mlp.fc1.{name}")
        }
        ["mlp", "fc2", name] | ["pwconv2" | "pointwise_conv2", name] | ["block", "5", name] => {
            format!("mlp.fc2.{name}")
        }
        _ => return None,
    };
    Some(format!("stages.{stage}.blocks.{block}.{inside}"))
}

/// Burn's name of a norm's parameter.
fn of_norm(name: &str) -> Option<&'static str> {
    match name {
        "weight" => Some("gamma"),
        "bias" => Some("beta"),
        _ => None,
    }
}

/// Parts of paths, and timm's.
const TIMMS: [(&str, &str); 5] = [
    ("stem.conv.", "stem.0."),
    ("stem.norm.", "stem.1."),
    (".downsample.norm.", ".downsample.0."),
    (".downsample.conv.", ".downsample.1."),
    (".ls.gamma", ".gamma"),
];

/// Returns timm's name of the parameter at a path, whose norms are named as in files.
pub(super) fn timms_name(path: &str) -> String {
    if let Some(name) = path.strip_prefix("norm.") {
        return format!("head.norm.{name}");
    }
    let renamed = TIMMS.iter().find(|(ours, _)| path.contains(ours));
    match renamed {
        Some((ours, timms)) => path.replacen(ours, timms, 1),
        None => path.to_string(),
    }
}
