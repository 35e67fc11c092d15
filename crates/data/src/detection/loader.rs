//! The detection loader.

use image::RgbImage;
use rand::RngCore;

use super::batch::{DetectionBatch, DetectionTarget};
use super::collection::{DetectionCollection, DetectionMetadata};
use super::evaluation::DetectionEvaluation;
use super::transform::{DetectionAugmentConfig, DetectionSizeConfig, PreparedSample};
use crate::error::DataError;
use crate::input::NetworkInput;
use crate::loader::{Loader, LoaderConfig, Pipeline};

/// The preparation of a sample for a batch.
#[derive(Debug, Clone, PartialEq)]
enum Preparation {
    Training(DetectionAugmentConfig, NetworkInput),
    Evaluation(DetectionEvaluation),
}

/// The pipeline from images and annotations to batches.
pub struct DetectionPipeline {
    samples: DetectionCollection,
    preparation: Preparation,
}

/// A loader of [`DetectionBatch`]es.
pub type DetectionLoader = Loader<DetectionPipeline>;

impl DetectionLoader {
    /// Creates a training loader, which augments, and by default shuffles and drops an incomplete last batch.
    ///
    /// # Errors
    /// If a value is invalid, or the dataset does not fill a single batch.
    pub fn training(
        samples: DetectionCollection,
        augment: DetectionAugmentConfig,
        input: NetworkInput,
        config: LoaderConfig,
    ) -> Result<Self, DataError> {
        augment.validate()?;
        let input = augment.padded(input)?;
        let pipeline = DetectionPipeline {
            samples,
            preparation: Preparation::Training(augment, input),
        };
        Self::new(pipeline, config)
    }

    /// Creates an evaluation loader of whole images in the order of the dataset, each exactly once.
    ///
    /// `shuffle` and `drop_last` of the configuration do not apply.
    ///
    /// # Errors
    /// If a value is invalid, or the dataset is empty.
    pub fn evaluation(
        samples: DetectionCollection,
        size: DetectionSizeConfig,
        input: NetworkInput,
        config: LoaderConfig,
    ) -> Result<Self, DataError> {
        let evaluation = DetectionEvaluation::new(size, input)?;
        let pipeline = DetectionPipeline {
            samples,
            preparation: Preparation::Evaluation(evaluation),
        };
        Self::new(pipeline, config.for_evaluation())
    }
}

impl DetectionPipeline {
    /// Returns the metadata of the samples.
    pub fn metadata(&self) -> &DetectionMetadata {
        self.samples.metadata()
    }
}

impl Pipeline for DetectionPipeline {
    type Sample = PreparedSample;
    type Item = DetectionTarget;

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

    fn prepare(&self, index: usize, rng: &mut impl RngCore) -> Result<PreparedSample, DataError> {
        let sample = self.samples.read(index)?;
        // What follows relies on it, and samples may come from outside of this crate.
        sample.check(self.metadata().classes.len())?;
        match &self.preparation {
            Preparation::Training(augment, _) => augment.apply(sample, rng),
            Preparation::Evaluation(evaluation) => evaluation.prepare(sample),
        }
    }

    fn assemble(&self, samples: Vec<PreparedSample>) -> DetectionBatch {
        match &self.preparation {
            Preparation::Training(_, input) => DetectionBatch::new(samples, input),
            Preparation::Evaluation(evaluation) => evaluation.batch(samples),
        }
    }
}
