//! The class of every pixel.

mod config;
mod scores;

use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor, TensorData};
use gradway_adapters::Features;
use gradway_backbone::{Phase, StageShape, Tunable};
use gradway_data::{
    BatchLabels, DenseBatch, DenseCollection, DenseLoader, DensePipeline, DenseTarget, DenseTask,
    IGNORE, Picture, Split,
};
use gradway_heads::SegmentationHead;
use gradway_heads::neck::NeckConfig;
use gradway_kernels::{KernelBackend, TrainBackend, resize_bilinear};
use gradway_metrics::ConfusionMatrix;

use super::maps::{class_maps, probabilities, restored};
use super::views::{self, Seen};
use super::{FeaturesOf, Labels, Loss, Scorer, Scores, Task};
use crate::config::RunConfig;
use crate::error::TrainError;

pub use config::{LossConfig, SegmentationConfig};

const TASK: DenseTask = DenseTask::SemanticSegmentation;

/// Semantic segmentation.
#[derive(Debug, Clone)]
pub struct SegmentationTask {
    config: SegmentationConfig,
    neck: NeckConfig,
    classes: usize,
}

/// The predicted class of every pixel of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentationPrediction {
    /// Identifier of the image in its dataset.
    pub id: String,
    /// Height in pixels.
    pub height: usize,
    /// Width in pixels.
    pub width: usize,
    /// `[height, width]` classes.
    pub labels: Vec<u8>,
}

/// Counts predicted classes by true ones.
#[derive(Debug)]
pub struct SegmentationScorer(ConfusionMatrix);

impl SegmentationTask {
    /// Logits at the size of the images.
    ///
    /// # Shapes
    ///
    /// - `features`: per stage `[batch, channels, height, width]`, the finest first
    /// - output: `[batch, classes, height, width]`
    pub fn logits<B: KernelBackend>(
        &self,
        head: &SegmentationHead<B>,
        features: &[Tensor<B, 4>],
        size: [usize; 2],
    ) -> Tensor<B, 4> {
        resize_bilinear(head.forward(features, Phase::Inference).logits, size)
    }
}

impl SegmentationPrediction {
    fn new(image: &DenseTarget, labels: Vec<u8>) -> Self {
        Self {
            id: image.id.clone(),
            height: image.original[0],
            width: image.original[1],
            labels,
        }
    }
}

impl<B: TrainBackend> Task<B> for SegmentationTask {
    type Pipeline = DensePipeline;
    type Head = SegmentationHead<B>;
    type Prediction = SegmentationPrediction;
    type Scorer = SegmentationScorer;

    fn new(config: &RunConfig, labels: &Labels) -> Result<Self, TrainError> {
        let classes = labels.classes.len();
        let neck = config.neck()?;
        let config = config.task.segmentation()?.clone();
        let weights = config.loss.class_weights.len();
        if weights != 0 && weights != classes {
            return Err(TrainError::Config {
                origin: "configuration".to_string(),
                reason: format!(
                    "loss.class_weights has {weights} weights; the dataset has {classes} classes"
                ),
            });
        }
        Ok(Self {
            config,
            neck,
            classes,
        })
    }

    fn training_loader(config: &RunConfig) -> Result<DenseLoader, TrainError> {
        let task = config.task.segmentation()?;
        Ok(DenseLoader::training(
            open(config, Split::Train)?,
            task.augment.clone(),
            config.input()?,
            config.loader_of(config.loader.batch_size),
        )?)
    }

    fn validation_loader(config: &RunConfig) -> Result<DenseLoader, TrainError> {
        let task = config.task.segmentation()?;
        Ok(DenseLoader::evaluation(
            open(config, Split::Val)?,
            task.evaluation.preparation(config.input()?),
            config.loader_of(task.evaluation.batch_size),
        )?)
    }

    fn picture(config: &RunConfig, picture: Picture) -> Result<DenseBatch, TrainError> {
        let evaluation = &config.task.segmentation()?.evaluation;
        Ok(evaluation.preparation(config.input()?).picture(picture)?)
    }

    fn labels(pipeline: &DensePipeline) -> Labels {
        Labels {
            classes: pipeline.metadata().classes(TASK).to_vec(),
            palette: pipeline.metadata().palette(TASK).to_vec(),
            category_ids: Vec::new(),
            tasks: Vec::new(),
        }
    }

    fn head(&self, stages: &[StageShape], device: &B::Device) -> SegmentationHead<B> {
        let (head, neck) = (&self.config.head, &self.neck);
        head.on(neck, stages, self.classes, device)
    }

    fn loss<N: Tunable<B>>(
        &self,
        head: &SegmentationHead<B>,
        features: &Features<'_, B, N>,
        batch: &DenseBatch,
        phase: Phase,
    ) -> Result<Loss<B>, TrainError> {
        let output = head.forward(&features.of_task(0), phase);
        let Some(BatchLabels::Classes(labels)) = batch.labels(TASK)? else {
            return Err(TrainError::NoLabels { task: TASK });
        };
        let labels = class_map::<B>(&labels, batch.shape(), &output.logits.device());
        let weights = &self.config.loss.class_weights;
        Ok(head.loss(output, labels, IGNORE, weights).into())
    }

    fn predict<N: Tunable<B::InnerBackend>>(
        &self,
        head: &SegmentationHead<B::InnerBackend>,
        features: &Features<'_, B::InnerBackend, N>,
        batch: &DenseBatch,
    ) -> Vec<SegmentationPrediction> {
        let logits = self.logits(head, &features.of_task(0), [batch.height, batch.width]);
        let maps = class_maps(restored(logits, &batch.items));
        let images = batch.items.iter().zip(maps);
        images
            .map(|(image, labels)| SegmentationPrediction::new(image, labels))
            .collect()
    }

    /// Over views the mean of probabilities, as in mmsegmentation.
    fn predict_views<'a, N: Tunable<B::InnerBackend> + 'a>(
        &self,
        head: &SegmentationHead<B::InnerBackend>,
        batch: &DenseBatch,
        stride: usize,
        features: &FeaturesOf<'_, 'a, B, Self, N>,
    ) -> Option<Vec<SegmentationPrediction>> {
        let evaluation = &self.config.evaluation;
        if evaluation.is_plain() {
            return None;
        }
        let outputs = |parts: &DenseBatch| {
            let features = features(parts).of_task(0);
            vec![self.logits(head, &features, [parts.height, parts.width])]
        };
        let predictions = batch.items.iter().enumerate().flat_map(|(place, image)| {
            let seen = views::see(batch, place, evaluation, stride, outputs, |_, logits, _| {
                probabilities(logits)
            });
            let (Seen::Once(maps) | Seen::Often(maps)) = seen;
            let maps = class_maps(maps).into_iter();
            maps.map(move |labels| SegmentationPrediction::new(image, labels))
        });
        Some(predictions.collect())
    }

    fn scorer(&self, _: &DensePipeline) -> Result<SegmentationScorer, TrainError> {
        Ok(SegmentationScorer(ConfusionMatrix::new(self.classes)))
    }
}

fn open(config: &RunConfig, split: Split) -> Result<DenseCollection, TrainError> {
    Ok(DenseCollection::of(config.data.open(split)?, &[TASK])?)
}

impl Scorer<DenseBatch, SegmentationPrediction> for SegmentationScorer {
    fn add(
        &mut self,
        batch: &DenseBatch,
        predictions: Vec<SegmentationPrediction>,
    ) -> Result<(), TrainError> {
        for (item, prediction) in batch.items.iter().zip(&predictions) {
            let Some(BatchLabels::Classes(truth)) = item.labels_of(TASK) else {
                return Err(TrainError::NoLabels { task: TASK });
            };
            self.0.add(&prediction.labels, &truth, IGNORE)?;
        }
        Ok(())
    }

    fn scores(self) -> Result<Scores, TrainError> {
        Ok(Scores::Segmentation(self.0.scores()))
    }
}

/// Labels of images of this shape, `[batch, height, width]`.
pub(super) fn class_map<B: Backend>(
    labels: &[u8],
    [batch, _, height, width]: [usize; 4],
    device: &B::Device,
) -> Tensor<B, 3, Int> {
    let values: Vec<i32> = labels.iter().copied().map(i32::from).collect();
    Tensor::from_data(TensorData::new(values, [batch, height, width]), device)
}
