//! A segmentation model: the frozen side, and one module of everything that is trained.

use std::path::Path;

use burn::module::{AutodiffModule, Module};
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Int, Tensor, TensorData};
use gradway_adapters::{Encoder, Tuned, restore};
use gradway_backbone::{AnyBackbone, EMBEDDED, Phase, hash_module, import};
use gradway_data::{IGNORE, SegmentationBatch};
use gradway_heads::SegmentationHead;
use gradway_kernels::{KernelBackend, TrainBackend, resize_bilinear};

use crate::checkpoint::{Checkpoint, TrainingState};
use crate::config::RunConfig;
use crate::error::TrainError;
use crate::evaluate::Prediction;
use crate::identity::name_parameters;

/// Everything that training changes: the method's module and the head, as one module for one
/// optimiser and one checkpoint.
#[derive(Module, Debug)]
pub struct Trainable<B: Backend> {
    /// The method's part.
    pub method: Tuned<B>,
    /// The decoder.
    pub head: SegmentationHead<B>,
}

/// A backbone under a method, and a segmentation head.
#[derive(Debug, Clone)]
pub struct Segmentation<B: TrainBackend> {
    /// The frozen side.
    pub encoder: Encoder<B>,
    /// The trained side.
    pub trainable: Trainable<B>,
    class_weights: Vec<f32>,
    base: String,
}

impl<B: TrainBackend> Segmentation<B> {
    /// Builds the model of a configuration, with the backbone's weights if it names some.
    ///
    /// The configuration's seed decides every random weight.
    ///
    /// # Errors
    ///
    /// [`TrainError`]: a backbone that is not in the table, weights that cannot be read or do not
    /// fit; class weights for another number of classes.
    pub fn new(config: &RunConfig, classes: usize, device: &B::Device) -> Result<Self, TrainError> {
        let class_weights = config.loss.class_weights.clone();
        if !class_weights.is_empty() && class_weights.len() != classes {
            return Err(TrainError::Config {
                origin: "configuration".to_string(),
                reason: format!(
                    "loss.class_weights has {} weights; the dataset has {classes} classes",
                    class_weights.len()
                ),
            });
        }
        B::seed(device, config.seed);
        let backbone = backbone::<B::InnerBackend>(config, device)?;
        let base = hash_module(&backbone);
        let (encoder, method) = Encoder::new(&config.method, backbone, device)?;
        let channels = encoder.description().stage_channels();
        let trainable = Trainable {
            method,
            head: config.head.init(&channels, classes, device),
        };
        Ok(Self {
            encoder,
            trainable: name_parameters(trainable),
            class_weights,
            base,
        })
    }

    /// Hash of the backbone's weights before training, see
    /// [`hash_module`](gradway_backbone::hash_module).
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The model of a run as a checkpoint of it left it, and where the run stood.
    ///
    /// # Errors
    ///
    /// As [`Self::new`] and [`Self::load`].
    pub fn open(
        config: &RunConfig,
        path: &Path,
        device: &B::Device,
    ) -> Result<(Self, TrainingState), TrainError> {
        let saved = Checkpoint::load(path)?;
        let state = saved.state.clone();
        let model = Self::new(config, state.classes.len(), device)?.load(saved, path)?;
        Ok((model, state))
    }

    /// Puts what a checkpoint holds into the model; `path` names it in messages.
    ///
    /// # Errors
    ///
    /// [`TrainError::OtherBase`] where it was trained on other weights, [`TrainError::StateDict`]
    /// where a parameter does not fit.
    pub fn load(self, saved: Checkpoint, path: &Path) -> Result<Self, TrainError> {
        if saved.state.base != self.base {
            return Err(TrainError::OtherBase {
                path: path.to_path_buf(),
                backbone: saved.state.backbone,
                trained_on: saved.state.base,
                present: self.base,
            });
        }
        let trainable =
            restore(self.trainable, saved.weights).map_err(|source| TrainError::StateDict {
                path: path.to_path_buf(),
                source,
            })?;
        Ok(Self { trainable, ..self })
    }

    /// The loss of a batch, `[1]`, with its graph.
    pub fn loss(
        &self,
        batch: &SegmentationBatch,
        phase: Phase,
        device: &B::Device,
    ) -> Tensor<B, 1> {
        let features = self
            .encoder
            .features(&self.trainable.method, images(batch, device), phase);
        let output = self.trainable.head.forward(&features, phase);
        let labels = labels::<B>(batch, device);
        self.trainable
            .head
            .loss(output, labels, IGNORE, &self.class_weights)
    }

    /// The model as it predicts: no graph, running statistics.
    pub fn inference(&self) -> Inference<'_, B> {
        Inference {
            encoder: &self.encoder,
            trainable: self.trainable.valid(),
        }
    }
}

/// A [`Segmentation`] that predicts.
#[derive(Debug)]
pub struct Inference<'a, B: TrainBackend> {
    encoder: &'a Encoder<B>,
    trainable: Trainable<B::InnerBackend>,
}

impl<B: TrainBackend> Inference<'_, B> {
    /// Logits at the size of the images.
    ///
    /// # Shapes
    ///
    /// - `images`: `[batch, 3, height, width]`, normalised
    /// - output: `[batch, classes, height, width]`
    pub fn logits(&self, images: Tensor<B::InnerBackend, 4>) -> Tensor<B::InnerBackend, 4> {
        let [_, _, height, width] = images.dims();
        let features = self
            .encoder
            .features_inference(&self.trainable.method, images);
        let output = self.trainable.head.forward(&features, Phase::Inference);
        resize_bilinear(output.logits, [height, width])
    }

    /// The most likely class of every pixel of every image, without the batch's padding.
    pub fn predict(&self, batch: &SegmentationBatch, device: &B::Device) -> Vec<Prediction> {
        let logits = self.logits(images::<B::InnerBackend>(batch, device));
        let classes = logits.dims()[1];
        let values: Vec<f32> = logits.into_data().iter::<f32>().collect();
        let pixels = batch.height * batch.width;
        values
            .chunks_exact(classes * pixels)
            .zip(batch.ids.iter().zip(&batch.sizes))
            .enumerate()
            .map(|(index, (planes, (id, &(height, width))))| Prediction {
                id: id.clone(),
                height,
                width,
                labels: batch.without_padding(index, &most_likely(planes, pixels)),
            })
            .collect()
    }
}

/// The class of the largest logit of every pixel of `[classes, pixels]`, the first of equals.
fn most_likely(planes: &[f32], pixels: usize) -> Vec<u8> {
    let mut best = vec![f32::NEG_INFINITY; pixels];
    let mut labels = vec![0; pixels];
    for (class, plane) in planes.chunks_exact(pixels).enumerate() {
        for ((value, best), label) in plane.iter().zip(&mut best).zip(&mut labels) {
            if value > best {
                *best = *value;
                *label = class as u8;
            }
        }
    }
    labels
}

/// The backbone of a configuration with its weights.
fn backbone<B: KernelBackend>(
    config: &RunConfig,
    device: &B::Device,
) -> Result<AnyBackbone<B>, TrainError> {
    let backbone = config.backbone.init::<B>(device)?;
    use gradway_backbone::Checkpoint;

    let checkpoint = match config.backbone.weights.as_deref() {
        None => return Ok(backbone),
        Some(EMBEDDED) => Checkpoint::embedded(&config.backbone.name)?,
        Some(path) => Checkpoint::open(&gradway_data::paths::expand(path.as_ref())?)?,
    };
    Ok(import(backbone, &checkpoint)?.0)
}

/// `[batch, 3, height, width]`
fn images<B: Backend>(batch: &SegmentationBatch, device: &B::Device) -> Tensor<B, 4> {
    let shape = [batch.count, 3, batch.height, batch.width];
    Tensor::from_data(TensorData::new(batch.images.clone(), shape), device)
}

/// `[batch, height, width]`
fn labels<B: AutodiffBackend>(batch: &SegmentationBatch, device: &B::Device) -> Tensor<B, 3, Int> {
    let shape = [batch.count, batch.height, batch.width];
    let values: Vec<i32> = batch.labels.iter().copied().map(i32::from).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}
