//! The loader of segmentation.

use std::sync::Arc;

use image::RgbImage;
use rand::RngCore;

use super::batch::{SegmentationBatch, size};
use super::{Loader, LoaderConfig, Pipeline};
use crate::dataset::{SegmentationDataset, SegmentationSample};
use crate::error::DataError;
use crate::normalize::Normalization;
use crate::transform::{AugmentConfig, EvaluationSize};

/// What happens to a sample between the dataset and the batch.
#[derive(Debug, Clone, PartialEq)]
enum Preparation {
    /// Augmented, and padded to the crop.
    Training(AugmentConfig),
    /// Resized, and padded to the largest of its batch.
    Evaluation(EvaluationSize),
}

/// From images and masks to batches of labels.
pub struct SegmentationPipeline {
    dataset: Arc<dyn SegmentationDataset>,
    preparation: Preparation,
    normalization: Normalization,
}

/// A loader of [`SegmentationBatch`]es.
pub type SegmentationLoader = Loader<SegmentationPipeline>;

impl SegmentationLoader {
    /// A loader that augments, and by default shuffles and drops an incomplete last batch.
    ///
    /// # Errors
    /// Values that make no sense, and a dataset that does not fill a single batch.
    pub fn training(
        dataset: Arc<dyn SegmentationDataset>,
        augment: AugmentConfig,
        normalization: Normalization,
        config: LoaderConfig,
    ) -> Result<Self, DataError> {
        augment.validate()?;
        normalization.validate()?;
        let pipeline = SegmentationPipeline {
            dataset,
            preparation: Preparation::Training(augment),
            normalization,
        };
        Self::new(pipeline, config)
    }

    /// A loader of whole images in the order of the dataset, each exactly once.
    ///
    /// `shuffle` and `drop_last` of the configuration do not apply.
    ///
    /// # Errors
    /// Values that make no sense, and an empty dataset.
    pub fn evaluation(
        dataset: Arc<dyn SegmentationDataset>,
        size: EvaluationSize,
        normalization: Normalization,
        config: LoaderConfig,
    ) -> Result<Self, DataError> {
        size.validate()?;
        normalization.validate()?;
        let pipeline = SegmentationPipeline {
            dataset,
            preparation: Preparation::Evaluation(size),
            normalization,
        };
        Self::new(pipeline, config.for_evaluation())
    }

    /// The dataset the batches come from.
    pub fn dataset(&self) -> &Arc<dyn SegmentationDataset> {
        self.pipeline().dataset()
    }

    /// The normalisation in force.
    pub fn normalization(&self) -> &Normalization {
        &self.pipeline().normalization
    }
}

impl SegmentationPipeline {
    /// The dataset the samples come from.
    pub fn dataset(&self) -> &Arc<dyn SegmentationDataset> {
        &self.dataset
    }
}

impl Pipeline for SegmentationPipeline {
    type Sample = SegmentationSample;
    type Batch = SegmentationBatch;

    fn name(&self) -> &str {
        self.dataset.name()
    }

    fn len(&self) -> usize {
        self.dataset.len()
    }

    fn id(&self, index: usize) -> String {
        self.dataset.id(index)
    }

    fn image(&self, index: usize) -> Result<RgbImage, DataError> {
        Ok(self.dataset.get(index)?.image)
    }

    fn prepare(
        &self,
        index: usize,
        rng: &mut impl RngCore,
    ) -> Result<SegmentationSample, DataError> {
        let sample = self.dataset.get(index)?;
        // What follows relies on it, and a dataset may come from outside of this crate.
        sample.check()?;
        match &self.preparation {
            Preparation::Training(augment) => augment.apply(sample, rng),
            Preparation::Evaluation(size) => size.apply(sample),
        }
    }

    fn assemble(&self, samples: Vec<SegmentationSample>) -> SegmentationBatch {
        let (height, width) = match &self.preparation {
            // Always the crop, so that every training step has the same shape.
            Preparation::Training(augment) => {
                let [height, width] = augment.crop_size;
                (height as usize, width as usize)
            }
            Preparation::Evaluation(_) => samples
                .iter()
                .map(size)
                .fold((0, 0), |(h, w), size| (h.max(size.0), w.max(size.1))),
        };
        SegmentationBatch::new(samples, [height, width], &self.normalization)
    }
}
