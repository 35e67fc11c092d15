//! `gradway features`: the stage outputs of a backbone.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use burn::module::AutodiffModule;
use burn::tensor::{Tensor, TensorData};
use clap::Args;
use gradway::adapters::{Base, SavedAdapter};
use gradway::backbone::{
    Backbone, BackboneConfig, Checkpoint, Description, OutputNorms, Phase, Untouched, WeightSource,
    import,
};
use gradway::device::{DeviceName, Job, run_on};
use gradway::fetching;
use gradway::kernels::{TrainBackend, channels_first};
use gradway::report::count;
use gradway::terminal::note;

use crate::output::{require_tensor_file, write_tensors};

/// Write the stage outputs of a backbone for a batch of images.
///
/// The input is float32 in NCHW order, already normalised. The output file holds `stage0`, `stage1`, ... in
/// NCHW order: the raw stage outputs, before the output norms, unless --norm is given.
#[derive(Debug, Args)]
pub struct Features {
    /// Backbone name; see `gradway list backbones`.
    #[arg(long)]
    backbone: String,
    /// Weights: a file (.safetensors, .pth, .pt or .bin), `embedded`, `pretrained`, or a file on the hub:
    /// hf:OWNER/NAME[/FILE][@REVISION]. [default: random weights]
    #[arg(long, value_name = "SOURCE")]
    weights: Option<WeightSource>,
    /// Key of the weights in a file that holds several sets, such as `state_dict_ema`.
    #[arg(long, value_name = "KEY", requires = "weights")]
    weights_key: Option<String>,
    /// Images: a .npy file of float32 with shape [batch, 3, height, width].
    #[arg(long)]
    input: PathBuf,
    /// Output file (.safetensors).
    #[arg(long)]
    output: PathBuf,
    /// Apply output norms with scale 1 and shift 0.
    #[arg(long)]
    norm: bool,
    /// Apply an adapter, a directory that `gradway export` wrote. The features then include the adapter's
    /// output norms, as the head receives them.
    #[arg(long, value_name = "DIR", conflicts_with = "norm")]
    adapter: Option<PathBuf>,
    /// Task whose features are written, counted from 0, for an adapter with several tasks.
    #[arg(long, default_value_t = 0, requires = "adapter")]
    task: usize,
    /// Pad a Swin's feature map before the shift, as mmdetection does, instead of after it, as timm does.
    #[arg(long)]
    pad_first: bool,
    /// Device: cpu, cuda:N, vulkan:N, wgpu:N, metal:N, rocm:N.
    #[arg(long, default_value_t)]
    device: DeviceName,
}

impl Features {
    /// Runs the command.
    pub fn run(self) -> Result<()> {
        require_tensor_file(&self.output)?;
        let device = self.device;
        run_on(device, self)?
    }

    /// The weights, if there are any.
    fn checkpoint(&self) -> Result<Option<Checkpoint>> {
        let Some(source) = &self.weights else {
            return Ok(None);
        };
        let opened = fetching::open(source, &self.backbone);
        let opened = opened.with_context(|| format!("--weights {source}"))?;
        Ok(Some(opened.with_weights_key(self.weights_key.clone())))
    }
}

impl Job for Features {
    type Output = Result<()>;

    fn run<B: TrainBackend>(self, device: B::Device) -> Result<()> {
        let images = read_images(&self.input)?;
        let config = BackboneConfig {
            pad_first: self.pad_first,
            ..BackboneConfig::named(&self.backbone)
        };
        config.descriptor()?;
        let checkpoint = self.checkpoint()?;
        let backbone = config.init::<B::InnerBackend>(&device)?;
        let backbone = match checkpoint {
            Some(checkpoint) => {
                let (backbone, report) = import(backbone, &checkpoint)?;
                note(format_args!(
                    "{}: {} applied, {} skipped, {} resized",
                    checkpoint.origin().display(),
                    count(report.applied.len(), "tensor"),
                    report.skipped.len(),
                    report.resized.len()
                ));
                backbone
            }
            None => backbone,
        };
        let images = Tensor::<B::InnerBackend, 4>::from_data(images, &device);
        let outputs = match &self.adapter {
            Some(folder) => {
                let base = Base::<B>::new(&config, backbone, &device);
                let (encoder, tuned) = base.with(SavedAdapter::load(folder)?, folder)?;
                let tuned = tuned.valid();
                let tasks = tuned.tasks();
                if self.task >= tasks {
                    bail!(
                        "--task {}: the adapter has {}, counted from 0",
                        self.task,
                        count(tasks, "task")
                    );
                }
                let features = encoder.features_inference(&tuned, images);
                features.of_task(self.task)
            }
            None => {
                let Description { axis, .. } = backbone.description();
                let norms = OutputNorms::new(&backbone.description(), &device);
                let outputs = backbone.forward(images, Phase::Inference, &mut Untouched);
                if self.norm {
                    norms.forward_all(outputs, axis)
                } else {
                    let outputs = outputs.into_iter();
                    outputs.map(|output| channels_first(output, axis)).collect()
                }
            }
        };
        let features = outputs.into_iter().enumerate();
        let features =
            features.map(|(stage, output)| (format!("stage{stage}"), output.into_data()));
        write_tensors(&self.output, &features.collect(), None)
    }
}

fn read_images(path: &Path) -> Result<TensorData> {
    let context = || format!("cannot read {}", path.display());
    let file = File::open(path).with_context(context)?;
    let array = npyz::NpyFile::new(BufReader::new(file)).with_context(context)?;
    let shape: Vec<usize> = array.shape().iter().map(|&side| side as usize).collect();
    if array.order() != npyz::Order::C {
        let advice = "it is in Fortran order; save it with numpy.ascontiguousarray";
        bail!("{}: {advice}", context());
    }
    if shape.len() != 4 || shape[1] != 3 || shape.contains(&0) {
        bail!(
            "{}: shape {shape:?}; expected [batch, 3, height, width]",
            context()
        );
    }
    let values = array.into_vec::<f32>().with_context(context)?;
    Ok(TensorData::new(values, shape))
}
