//! The loader of dense tasks; segmentation is the case of one.

use image::RgbImage;
use rand::RngCore;

use super::augment::AugmentConfig;
use super::batch::{DenseBatch, DenseTarget};
use super::collection::{DenseCollection, DenseMetadata};
use super::evaluation::DenseEvaluation;
use crate::batch::Prepared;
use crate::error::DataError;
use crate::input::NetworkInput;
use crate::labels::DenseTask;
use crate::loader::{Loader, LoaderConfig, Pipeline};

/// The preparation of a sample for a batch.
#[derive(Debug, Clone, PartialEq)]
enum Preparation {
    /// Augmented, and padded to the crop.
    Training(AugmentConfig, NetworkInput),
    /// Resized, and padded to the largest of its batch.
    Evaluation(DenseEvaluation),
}

/// From images and their labels to batches of them.
pub struct DensePipeline {
    samples: DenseCollection,
    preparation: Preparation,
}

/// A loader of batches with the labels of some tasks.
pub type DenseLoader = Loader<DensePipeline>;

impl DenseLoader {
    /// Creates a training loader, which augments, and by default shuffles and drops an incomplete last batch.
    ///
    /// # Errors
    /// Values that make no sense, samples without a task, and too few of them to fill a single batch.
    pub fn training(
        samples: DenseCollection,
        augment: AugmentConfig,
        input: NetworkInput,
        config: LoaderConfig,
    ) -> Result<Self, DataError> {
        augment.validate()?;
        samples.metadata().require_tasks()?;
        augment.require_classes(&tasks_of(samples.metadata()))?;
        input.validate()?;
        let pipeline = DensePipeline {
            samples,
            preparation: Preparation::Training(augment, input),
        };
        Self::new(pipeline, config)
    }

    /// Creates an evaluation loader of the images in the order of the dataset, each exactly once.
    ///
    /// `shuffle` and `drop_last` of the configuration do not apply.
    ///
    /// # Errors
    /// Values that make no sense, samples without a task, and none at all.
    pub fn evaluation(
        samples: DenseCollection,
        evaluation: DenseEvaluation,
        config: LoaderConfig,
    ) -> Result<Self, DataError> {
        samples.metadata().require_tasks()?;
        evaluation.validate()?;
        let pipeline = DensePipeline {
            samples,
            preparation: Preparation::Evaluation(evaluation),
        };
        Self::new(pipeline, config.for_evaluation())
    }

    /// The tasks whose labels are read, in order.
    pub fn tasks(&self) -> Vec<DenseTask> {
        tasks_of(self.pipeline().metadata())
    }
}

impl DensePipeline {
    /// What the samples have in common.
    pub fn metadata(&self) -> &DenseMetadata {
        self.samples.metadata()
    }
}

fn tasks_of(metadata: &DenseMetadata) -> Vec<DenseTask> {
    metadata.tasks.keys().copied().collect()
}

impl Pipeline for DensePipeline {
    /// One in training, one for every scale in evaluation.
    type Sample = Vec<Prepared<DenseTarget>>;
    type Item = DenseTarget;

    fn name(&self) -> &str {
        &self.metadata().name
    }

    fn len(&self) -> usize {
        self.samples.len()
    }

    fn id(&self, index: usize) -> String {
        self.samples.id(index)
    }

    fn image(&self, index: usize) -> Result<RgbImage, DataError> {
        Ok(self.samples.read(index)?.image)
    }

    fn prepare(
        &self,
        index: usize,
        rng: &mut impl RngCore,
    ) -> Result<Vec<Prepared<DenseTarget>>, DataError> {
        let sample = self.samples.read(index)?;
        // What follows relies on it, and samples may come from outside of this crate.
        self.metadata().check(&sample)?;
        match &self.preparation {
            Preparation::Training(augment, _) => {
                let (width, height) = sample.image.dimensions();
                let sample = augment.apply(sample, rng)?;
                Ok(vec![sample.prepared([height as usize, width as usize])])
            }
            Preparation::Evaluation(evaluation) => {
                evaluation.prepare(sample.id, sample.image, sample.labels)
            }
        }
    }

    fn assemble(&self, pictures: Vec<Vec<Prepared<DenseTarget>>>) -> DenseBatch {
        match &self.preparation {
            // Always the crop, so that every training step has the same shape.
            Preparation::Training(augment, input) => {
                let size = augment.crop_size.map(|side| side as usize);
                DenseBatch::of_size(pictures.into_iter().flatten().collect(), size, input)
            }
            Preparation::Evaluation(evaluation) => evaluation.batch(pictures),
        }
    }
}
