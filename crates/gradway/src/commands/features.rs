//! `gradway features`: the stage outputs of a backbone.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use burn::tensor::{Tensor, TensorData};
use clap::Args;
use gradway::backbone::{
    Backbone, BackboneConfig, Checkpoint, OutputNorms, Phase, Untouched, import, to_channels_first,
};
use gradway::device::{DeviceName, Job, run_on};
use gradway::kernels::TrainBackend;
use safetensors::Dtype;
use safetensors::tensor::TensorView;

use super::Outcome;

/// Write the four stage outputs of a backbone for a batch of images.
///
/// Input is float32 NCHW, already normalised; output is `stage0`..`stage3`, NCHW, raw (before the
/// output norms) unless --norm is given.
#[derive(Debug, Args)]
pub struct Features {
    /// Backbone; see `gradway list backbones`.
    #[arg(long)]
    backbone: String,
    /// Weights: .safetensors, .pth, .pt or .bin. Random ones without it.
    #[arg(long)]
    weights: Option<PathBuf>,
    /// Images: a .npy file of float32 [batch, 3, height, width].
    #[arg(long)]
    input: PathBuf,
    /// Where to write the features (.safetensors).
    #[arg(long)]
    output: PathBuf,
    /// Pass the outputs through output norms of scale 1 and shift 0.
    #[arg(long)]
    norm: bool,
    /// Device: cpu, cuda:N, vulkan:N, wgpu:N, metal:N, rocm:N.
    #[arg(long, default_value_t)]
    device: DeviceName,
}

impl Features {
    /// Runs the command.
    pub fn run(self) -> Outcome {
        let device = self.device;
        run_on(device, self)?
    }
}

impl Job for Features {
    type Output = Outcome;

    fn run<B: TrainBackend>(self, device: B::Device) -> Outcome {
        let images = read_images(&self.input)?;
        let backbone = BackboneConfig::named(&self.backbone).init::<B::InnerBackend>(&device)?;
        let backbone = match &self.weights {
            Some(path) => {
                let (backbone, report) = import(backbone, &Checkpoint::open(path)?)?;
                eprintln!(
                    "{}: {} tensors applied, {} skipped, {} resized",
                    path.display(),
                    report.applied.len(),
                    report.skipped.len(),
                    report.resized.len()
                );
                backbone
            }
            None => backbone,
        };
        let images = Tensor::<B::InnerBackend, 4>::from_data(images, &device);
        let description = backbone.description();
        let norms = OutputNorms::new(&description, &device);
        let outputs = backbone.forward(images, Phase::Inference, &mut Untouched);
        let mut features = Vec::new();
        for (stage, output) in outputs.into_iter().enumerate() {
            let output = if self.norm {
                norms.forward(stage, output, description.axis)
            } else {
                to_channels_first(output, description.axis)
            };
            features.push((format!("stage{stage}"), output.into_data()));
        }
        write_features(&self.output, &features)
    }
}

fn read_images(path: &Path) -> Result<TensorData, Box<dyn std::error::Error>> {
    let context = |error: &dyn std::fmt::Display| format!("cannot read {}: {error}", path.display());
    let file = File::open(path).map_err(|error| context(&error))?;
    let array = npyz::NpyFile::new(BufReader::new(file)).map_err(|error| context(&error))?;
    let shape: Vec<usize> = array.shape().iter().map(|&side| side as usize).collect();
    if array.order() != npyz::Order::C {
        return Err(context(&"the array is in Fortran order; save it with numpy.ascontiguousarray").into());
    }
    if shape.len() != 4 || shape[1] != 3 {
        return Err(context(&format!("shape {shape:?}; expected [batch, 3, height, width]")).into());
    }
    if shape.contains(&0) {
        return Err(context(&format!("shape {shape:?} is empty")).into());
    }
    let values = array.into_vec::<f32>().map_err(|error| context(&error))?;
    Ok(TensorData::new(values, shape))
}

fn write_features(path: &Path, features: &[(String, TensorData)]) -> Outcome {
    let mut views = Vec::new();
    for (name, data) in features {
        let view = TensorView::new(Dtype::F32, data.shape.to_vec(), data.as_bytes())?;
        views.push((name.as_str(), view));
    }
    safetensors::serialize_to_file(views, None, path)
        .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    Ok(())
}
