//! The loader of segmentation.

use std::collections::BTreeMap;
use std::sync::Arc;

use image::RgbImage;
use rand::RngCore;

use super::{Loader, LoaderConfig, Pipeline};
use crate::batch::Prepared;
use crate::dataset::SegmentationDataset;
use crate::dense::{DenseBatch, DenseEvaluation, DenseTarget};
use crate::error::DataError;
use crate::input::NetworkInput;
use crate::labels::{DenseLabels, DenseTask};
use crate::transform::{AugmentConfig, EvaluationSize};

/// What happens to a sample between the dataset and the batch.
#[derive(Debug, Clone, PartialEq)]
enum Preparation {
    /// Augmented, and padded to the crop.
    Training(AugmentConfig, NetworkInput),
    /// Resized, and padded to the largest of its batch.
    Evaluation(DenseEvaluation),
}

/// From images and masks to batches of labels.
pub struct SegmentationPipeline {
    dataset: Arc<dyn SegmentationDataset>,
    preparation: Preparation,
}

/// A loader of batches with the classes of every pixel.
pub type SegmentationLoader = Loader<SegmentationPipeline>;

impl SegmentationLoader {
    /// A loader that augments, and by default shuffles and drops an incomplete last batch.
    ///
    /// # Errors
    /// Values that make no sense, and a dataset that does not fill a single batch.
    pub fn training(
        dataset: Arc<dyn SegmentationDataset>,
        augment: AugmentConfig,
        input: NetworkInput,
        config: LoaderConfig,
    ) -> Result<Self, DataError> {
        augment.validate()?;
        input.validate()?;
        let pipeline = SegmentationPipeline {
            dataset,
            preparation: Preparation::Training(augment, input),
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
        input: NetworkInput,
        config: LoaderConfig,
    ) -> Result<Self, DataError> {
        let evaluation = DenseEvaluation { size, input };
        evaluation.validate()?;
        let pipeline = SegmentationPipeline {
            dataset,
            preparation: Preparation::Evaluation(evaluation),
        };
        Self::new(pipeline, config.for_evaluation())
    }

    /// The dataset the batches come from.
    pub fn dataset(&self) -> &Arc<dyn SegmentationDataset> {
        self.pipeline().dataset()
    }
}

impl SegmentationPipeline {
    /// The dataset the samples come from.
    pub fn dataset(&self) -> &Arc<dyn SegmentationDataset> {
        &self.dataset
    }
}

impl Pipeline for SegmentationPipeline {
    type Sample = Prepared<DenseTarget>;
    type Item = DenseTarget;

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
    ) -> Result<Prepared<DenseTarget>, DataError> {
        let sample = self.dataset.get(index)?;
        // What follows relies on it, and a dataset may come from outside of this crate.
        sample.check()?;
        let labelled = |labels| {
            let labels = DenseLabels::Classes(labels);
            BTreeMap::from([(DenseTask::SemanticSegmentation, labels)])
        };
        match &self.preparation {
            Preparation::Training(augment, _) => {
                let (width, height) = sample.image.dimensions();
                let sample = augment.apply(sample, rng)?;
                let item = DenseTarget {
                    id: sample.id,
                    size: [sample.labels.height as usize, sample.labels.width as usize],
                    original: [height as usize, width as usize],
                    labels: labelled(sample.labels),
                };
                Ok(Prepared {
                    image: sample.image,
                    item,
                })
            }
            Preparation::Evaluation(evaluation) => {
                evaluation.prepare(sample.id, sample.image, labelled(sample.labels))
            }
        }
    }

    fn assemble(&self, pictures: Vec<Prepared<DenseTarget>>) -> DenseBatch {
        match &self.preparation {
            // Always the crop, so that every training step has the same shape.
            Preparation::Training(augment, input) => {
                let size = augment.crop_size.map(|side| side as usize);
                DenseBatch::of_size(pictures, size, input)
            }
            Preparation::Evaluation(evaluation) => evaluation.batch(pictures),
        }
    }
}
