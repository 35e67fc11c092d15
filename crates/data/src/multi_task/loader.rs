//! The loader of several tasks.

use std::sync::Arc;

use image::RgbImage;
use rand::RngCore;

use super::batch::size;
use super::{
    DenseTask, MultiTaskAugmentConfig, MultiTaskBatch, MultiTaskDataset, MultiTaskSample, geometry,
};
use crate::error::DataError;
use crate::loader::{Loader, LoaderConfig, Pipeline};
use crate::normalize::Normalization;
use crate::transform::{EvaluationSize, invalid};

/// What happens to a sample between the dataset and the batch.
#[derive(Debug, Clone, PartialEq)]
enum Preparation {
    /// Augmented, and padded to the crop.
    Training(MultiTaskAugmentConfig),
    /// Resized, and padded to the largest of its batch.
    Evaluation(EvaluationSize),
}

/// From images and the labels of some tasks to batches of them.
pub struct MultiTaskPipeline {
    dataset: Arc<dyn MultiTaskDataset>,
    tasks: Vec<DenseTask>,
    preparation: Preparation,
    normalization: Normalization,
}

/// A loader of [`MultiTaskBatch`]es.
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
        normalization: Normalization,
        config: LoaderConfig,
    ) -> Result<Self, DataError> {
        augment.validate()?;
        normalization.validate()?;
        let pipeline = MultiTaskPipeline {
            tasks: in_order(dataset.as_ref(), tasks)?,
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
    /// Values that make no sense, tasks that the dataset does not offer, and an empty dataset.
    pub fn evaluation(
        dataset: Arc<dyn MultiTaskDataset>,
        tasks: &[DenseTask],
        size: EvaluationSize,
        normalization: Normalization,
        config: LoaderConfig,
    ) -> Result<Self, DataError> {
        size.validate()?;
        normalization.validate()?;
        let pipeline = MultiTaskPipeline {
            tasks: in_order(dataset.as_ref(), tasks)?,
            dataset,
            preparation: Preparation::Evaluation(size),
            normalization,
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

    /// The normalisation in force.
    pub fn normalization(&self) -> &Normalization {
        &self.pipeline().normalization
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
    type Sample = MultiTaskSample;
    type Batch = MultiTaskBatch;

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

    fn prepare(&self, index: usize, rng: &mut impl RngCore) -> Result<MultiTaskSample, DataError> {
        let sample = self.dataset.get(index, &self.tasks)?;
        // What follows relies on it, and a dataset may come from outside of this crate.
        sample.check()?;
        match &self.preparation {
            Preparation::Training(augment) => augment.apply(sample, rng),
            Preparation::Evaluation(size) => {
                let (width, height) = sample.image.dimensions();
                let (width, height) = size.target(width, height);
                geometry::resize(sample, width, height)
            }
        }
    }

    fn assemble(&self, samples: Vec<MultiTaskSample>) -> MultiTaskBatch {
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
        MultiTaskBatch::new(samples, &self.tasks, [height, width], &self.normalization)
    }
}
