//! The loader of detection.

use std::sync::Arc;

use image::RgbImage;
use rand::RngCore;

use super::batch::{DetectionBatch, DetectionTarget};
use super::evaluation::DetectionEvaluation;
use super::sample::DetectionDataset;
use super::transform::{DetectionAugmentConfig, DetectionSizeConfig, PreparedSample};
use crate::error::DataError;
use crate::input::NetworkInput;
use crate::loader::{Loader, LoaderConfig, Pipeline};

/// What happens to a sample between the dataset and the batch.
#[derive(Debug, Clone, PartialEq)]
enum Preparation {
    Training(DetectionAugmentConfig, NetworkInput),
    Evaluation(DetectionEvaluation),
}

/// From images and annotations to batches of objects.
pub struct DetectionPipeline {
    dataset: Arc<dyn DetectionDataset>,
    preparation: Preparation,
}

/// A loader of [`DetectionBatch`]es.
pub type DetectionLoader = Loader<DetectionPipeline>;

impl DetectionLoader {
    /// A loader that augments, and by default shuffles and drops an incomplete last batch.
    ///
    /// # Errors
    /// Values that make no sense, and a dataset that does not fill a single batch.
    pub fn training(
        dataset: Arc<dyn DetectionDataset>,
        augment: DetectionAugmentConfig,
        input: NetworkInput,
        config: LoaderConfig,
    ) -> Result<Self, DataError> {
        augment.validate()?;
        let input = augment.padded(input)?;
        let pipeline = DetectionPipeline {
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
        dataset: Arc<dyn DetectionDataset>,
        size: DetectionSizeConfig,
        input: NetworkInput,
        config: LoaderConfig,
    ) -> Result<Self, DataError> {
        let evaluation = DetectionEvaluation::new(size, input)?;
        let pipeline = DetectionPipeline {
            dataset,
            preparation: Preparation::Evaluation(evaluation),
        };
        Self::new(pipeline, config.for_evaluation())
    }

    /// The dataset the batches come from.
    pub fn dataset(&self) -> &Arc<dyn DetectionDataset> {
        self.pipeline().dataset()
    }
}

impl DetectionPipeline {
    /// The dataset the samples come from.
    pub fn dataset(&self) -> &Arc<dyn DetectionDataset> {
        &self.dataset
    }
}

impl Pipeline for DetectionPipeline {
    type Sample = PreparedSample;
    type Item = DetectionTarget;

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

    fn prepare(&self, index: usize, rng: &mut impl RngCore) -> Result<PreparedSample, DataError> {
        let sample = self.dataset.get(index)?;
        // What follows relies on it, and a dataset may come from outside of this crate.
        sample.check(self.dataset.classes().len())?;
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
