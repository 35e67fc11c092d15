//! What a kind of dense task says of itself.

use std::fmt::Debug;

use burn::tensor::{Int, Tensor, TensorData};
use gradway_data::BatchLabels;
use gradway_heads::{SegmentationHead, SegmentationOutput};
use gradway_kernels::{KernelBackend, resize_bilinear};
use gradway_metrics::MetricDescriptor;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::TrainError;
use crate::task::TaskLabels;
use crate::task::maps::value_maps;
use crate::task::multi_task::{Appearance, TaskPrediction, TasksConfig};
use crate::task::segmentation::class_map;

/// A kind of dense task with the settings of a run: what a decoder's output means, how it is trained and scored.
pub trait DenseKind: Sized + Debug + Clone {
    /// What is counted of predictions and labels.
    type Counts: Debug;
    /// What comes of the counts.
    type Scores: Debug + Clone + PartialEq + Serialize + DeserializeOwned;

    /// The kind of a task, from what its labels mean and the configuration of the tasks.
    fn new(labels: &TaskLabels, config: &TasksConfig) -> Self;

    /// Channels of the decoder's output.
    fn channels(&self) -> usize;

    /// The loss of a batch, `[1]`; none where the labels are of another kind.
    fn loss<B: KernelBackend>(
        &self,
        decoded: Decoded<'_, B>,
        labels: BatchLabels,
    ) -> Option<Tensor<B, 1>>;

    /// What an output stands for, such as probabilities, directions or metres. Where an image is seen more than
    /// once (`evaluation.flip`, `evaluation.scales`), the mean of this is predicted.
    ///
    /// # Shapes
    ///
    /// - `output`, output: `[images, channels, height, width]`
    fn meaning<B: KernelBackend>(&self, output: Tensor<B, 4>) -> Tensor<B, 4>;

    /// What is said of a mirrored image, of the image itself: backwards what becomes of labels that are mirrored in
    /// training. The pixels are in their places already. By default it stays: what has no direction has no side.
    ///
    /// # Shapes
    ///
    /// - `meaning`, output: `[images, channels, height, width]`
    fn unflip<B: KernelBackend>(&self, meaning: Tensor<B, 4>) -> Tensor<B, 4> {
        meaning
    }

    /// What is said of an image `factor` times as large, of the image itself: backwards what becomes of labels
    /// that are zoomed in training (`augment.scale_depth`). By default it stays.
    ///
    /// # Shapes
    ///
    /// - `meaning`, output: `[images, channels, height, width]`
    fn unzoom<B: KernelBackend>(&self, meaning: Tensor<B, 4>, _factor: f64) -> Tensor<B, 4> {
        meaning
    }

    /// What is predicted, image by image, by what outputs [stand for](Self::meaning) or the mean of that.
    ///
    /// # Shapes
    ///
    /// - `means`: `[images, channels, height, width]` each, at the size of the images
    fn predict<B: KernelBackend>(&self, means: Vec<Tensor<B, 4>>) -> Vec<TaskPrediction>;

    /// What is predicted, image by image, by outputs of images that are seen once. A kind that need not know what
    /// they stand for can save the work.
    ///
    /// # Shapes
    ///
    /// - `outputs`: `[images, channels, height, width]` each, at the size of the images
    fn predict_once<B: KernelBackend>(&self, outputs: Vec<Tensor<B, 4>>) -> Vec<TaskPrediction> {
        let meanings = outputs.into_iter().map(|output| self.meaning(output));
        self.predict(meanings.collect())
    }

    /// Nothing is counted yet.
    ///
    /// # Errors
    ///
    /// [`TrainError`]: settings that cannot be scored with.
    fn counts(&self) -> Result<Self::Counts, TrainError>;

    /// Counts an image of `width` pixels a row; none where labels or prediction are of another kind.
    fn add(
        counts: &mut Self::Counts,
        predicted: &TaskPrediction,
        truth: &BatchLabels,
        width: usize,
    ) -> Option<Result<(), TrainError>>;

    /// The scores of all that was counted.
    fn scores(counts: Self::Counts) -> Self::Scores;

    /// The score that publications print, and its value; none where it is not defined.
    fn main(scores: &Self::Scores) -> (MetricDescriptor, Option<f64>);
}

/// The output of a task's decoder for a batch, to be compared with labels.
#[derive(Debug)]
pub struct Decoded<'a, B: KernelBackend> {
    /// The decoder.
    pub decoder: &'a SegmentationHead<B>,
    /// Its output, at the decoder's own size.
    pub output: SegmentationOutput<B>,
    /// Batch, channels, height and width of the images.
    pub images: [usize; 4],
}

impl<B: KernelBackend> Decoded<'_, B> {
    /// Classes as a tensor, `[batch, height, width]`; none where the labels are values.
    pub fn classes(&self, labels: BatchLabels) -> Option<Tensor<B, 3, Int>> {
        match labels {
            BatchLabels::Classes(classes) => {
                let device = self.output.logits.device();
                Some(class_map(&classes, self.images, &device))
            }
            BatchLabels::Values { .. } => None,
        }
    }

    /// Values as a tensor, `[batch, channels, height, width]`; none where the labels are classes.
    pub fn values(&self, labels: BatchLabels) -> Option<Tensor<B, 4>> {
        match labels {
            BatchLabels::Values { channels, data } => {
                let [batch, _, height, width] = self.images;
                let data = TensorData::new(data, [batch, channels, height, width]);
                Some(Tensor::from_data(data, &self.output.logits.device()))
            }
            BatchLabels::Classes(_) => None,
        }
    }

    /// A loss of the output at the size of the images, and of the auxiliary output where there is one.
    ///
    /// # Shapes
    ///
    /// - what `loss` is given: `[batch, channels, height, width]`
    pub fn supervised(self, loss: impl Fn(Tensor<B, 4>) -> Tensor<B, 1>) -> Tensor<B, 1> {
        let [_, _, height, width] = self.images;
        let full = |output| resize_bilinear(output, [height, width]);
        let loss = |output| loss(full(output));
        self.decoder.supervised(self.output, loss)
    }
}

/// Predictions that are values, image by image.
///
/// # Shapes
///
/// - `maps`: `[images, channels, height, width]` each
pub(super) fn predicted_values<B: KernelBackend>(
    maps: Vec<Tensor<B, 4>>,
    appearance: Appearance,
) -> Vec<TaskPrediction> {
    let channels = maps.first().map_or(0, |map| map.dims()[1]);
    let values = |data| TaskPrediction::Values {
        channels,
        appearance,
        data,
    };
    value_maps(maps).into_iter().map(values).collect()
}
