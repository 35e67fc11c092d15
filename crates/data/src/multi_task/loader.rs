//! The loader of several tasks.

use std::sync::Arc;

use image::RgbImage;
use rand::RngCore;

use super::{MultiTaskAugmentConfig, MultiTaskDataset};
use crate::batch::Prepared;
use crate::dense::{DenseBatch, DenseEvaluation, DenseTarget};
use crate::error::DataError;
use crate::input::NetworkInput;
use crate::labels::DenseTask;
use crate::loader::{Loader, LoaderConfig, Pipeline};
use crate::transform::{EvaluationSize, invalid};

/// What happens to a sample between the dataset and the batch.
#[derive(Debug, Clone, PartialEq)]
enum Preparation {
    /// Augmented, and padded to the crop.
    Training(MultiTaskAugmentConfig, NetworkInput),
    /// Resized, and padded to the largest of its batch.
    Evaluation(DenseEvaluation),
}

/// From images and the labels of some tasks to batches of them.
pub struct MultiTaskPipeline {
    dataset: Arc<dyn MultiTaskDataset>,
    tasks: Vec<DenseTask>,
    preparation: Preparation,
}

/// A loader of batches with the labels of several tasks.
pub type MultiTaskLoader = Loader<MultiTaskPipeline>;

impl MultiTaskLoader {
    /// A loader that augments, and by default shuffles and drops an incomplete last batch.
    ///
    /// # Errors
    /// Values that make no sense, tasks that the dataset does not offer, and a dataset that does not
    /// fill a single batch.
    pub fn training(
        dataset: Arc<dyn MultiTaskDataset>,
        tasks: &[DenseTask],
        augment: MultiTaskAugmentConfig,
        input: NetworkInput,
        config: LoaderConfig,
    ) -> Result<Self, DataError> {
        augment.validate()?;
        input.validate()?;
        let pipeline = MultiTaskPipeline {
            tasks: in_order(dataset.as_ref(), tasks)?,
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
    /// Values that make no sense, tasks that the dataset does not offer, and an empty dataset.
    pub fn evaluation(
        dataset: Arc<dyn MultiTaskDataset>,
        tasks: &[DenseTask],
        size: EvaluationSize,
        input: NetworkInput,
        config: LoaderConfig,
    ) -> Result<Self, DataError> {
        let evaluation = DenseEvaluation { size, input };
        evaluation.validate()?;
        let pipeline = MultiTaskPipeline {
            tasks: in_order(dataset.as_ref(), tasks)?,
            dataset,
            preparation: Preparation::Evaluation(evaluation),
        };
        Self::new(pipeline, config.for_evaluation())
    }

    /// The dataset the batches come from.
    pub fn dataset(&self) -> &Arc<dyn MultiTaskDataset> {
        self.pipeline().dataset()
    }

    /// The tasks whose labels are read, in order.
    pub fn tasks(&self) -> &[DenseTask] {
        &self.pipeline().tasks
    }
}

impl MultiTaskPipeline {
    /// The dataset the samples come from.
    pub fn dataset(&self) -> &Arc<dyn MultiTaskDataset> {
        &self.dataset
    }

    /// The tasks whose labels are read, in order.
    pub fn tasks(&self) -> &[DenseTask] {
        &self.tasks
    }
}

/// The tasks asked for, each once, in the order of tasks.
fn in_order(
    dataset: &dyn MultiTaskDataset,
    tasks: &[DenseTask],
) -> Result<Vec<DenseTask>, DataError> {
    dataset.require_offered(tasks)?;
    let mut sorted = tasks.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    if sorted.len() != tasks.len() || sorted.is_empty() {
        let names: Vec<&str> = tasks.iter().map(|task| task.name()).collect();
        return Err(invalid(
            "tasks",
            names,
            "at least one task, and none of them twice",
        ));
    }
    Ok(sorted)
}

impl Pipeline for MultiTaskPipeline {
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
        Ok(self.dataset.get(index, &self.tasks)?.image)
    }

    fn prepare(
        &self,
        index: usize,
        rng: &mut impl RngCore,
    ) -> Result<Prepared<DenseTarget>, DataError> {
        let sample = self.dataset.get(index, &self.tasks)?;
        // What follows relies on it, and a dataset may come from outside of this crate.
        sample.check()?;
        match &self.preparation {
            Preparation::Training(augment, _) => {
                let (width, height) = sample.image.dimensions();
                Ok(augment
                    .apply(sample, rng)?
                    .prepared([height as usize, width as usize]))
            }
            Preparation::Evaluation(evaluation) => {
                evaluation.prepare(sample.id, sample.image, sample.labels)
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
