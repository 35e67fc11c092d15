//! What is predicted: the part of a run that knows what labels are.
//!
//! A task is one folder here and one line in the [table of tasks](TaskConfig). It says how samples are
//! read, which head stands on the features, what the loss of a batch is, and how predictions are scored.
//! Models, steps, runs and checkpoints are the same for all of them.

mod census;
mod detection;
mod maps;
mod multi_task;
mod scores;
mod segmentation;
mod table;
mod views;

use std::fmt::Debug;
use std::path::Path;

use burn::module::{AutodiffModule, ModuleDisplay};
use burn::tensor::Tensor;
use burn::tensor::backend::AutodiffBackend;
use gradway_adapters::Features;
use gradway_backbone::{Phase, StageShape, Tunable};
use gradway_data::{Batch, DenseTask, Loader, Picture, Pipeline};
use gradway_heads::neck::NeckConfig;
use gradway_heads::{HeadConfig, MapShape};
use gradway_kernels::TrainBackend;
use serde::{Deserialize, Serialize};

use crate::config::RunConfig;
use crate::error::TrainError;

pub(crate) use census::EpochCensus;
pub use census::Labelled;
pub use detection::{
    DetectionConfig, DetectionEvaluationConfig, DetectionPrediction, DetectionScorer,
    DetectionTask, ObjectScores, PredictedObject, Protocol,
};
pub use multi_task::{
    Appearance, Decoded, DenseKind, MultiTask, MultiTaskConfig, MultiTaskPrediction,
    MultiTaskScorer, MultiTaskScores, TaskPrediction, TaskScores, TasksConfig, Weighting,
};
pub use scores::Headline;
pub use segmentation::{
    LossConfig, SegmentationConfig, SegmentationPrediction, SegmentationScorer, SegmentationTask,
};
pub use table::{Scores, TaskConfig, TaskJob};
pub use views::DenseEvaluationConfig;

/// What a task's batches are.
pub type BatchOf<B, T> = Batch<<<T as Task<B>>::Pipeline as Pipeline>::Item>;
/// A task's head as it predicts.
pub type PlainHead<B, T> = <<T as Task<B>>::Head as AutodiffModule<B>>::InnerModule;
/// A backbone that predicts: the features of a batch of pictures of one size.
pub type FeaturesOf<'f, 'a, B, T, N> =
    dyn Fn(&BatchOf<B, T>) -> Features<'a, <B as AutodiffBackend>::InnerBackend, N> + 'f;

/// What a batch loses.
#[derive(Debug, Clone)]
pub struct Loss<B: TrainBackend> {
    /// The sum, `[1]`, with its graph.
    pub total: Tensor<B, 1>,
    /// What it is the sum of, where that has names: `[1]` each, as weighted.
    pub parts: Vec<(String, Tensor<B::InnerBackend, 1>)>,
}

impl<B: TrainBackend> From<Tensor<B, 1>> for Loss<B> {
    fn from(total: Tensor<B, 1>) -> Self {
        let parts = Vec::new();
        Self { total, parts }
    }
}

/// What is predicted of images, and how that is trained and scored.
pub trait Task<B: TrainBackend>: Sized + Debug {
    /// Reads samples, and puts them together.
    type Pipeline: Pipeline<Item: Labelled>;
    /// Turns features into what the loss and the prediction need.
    type Head: AutodiffModule<B, InnerModule: ModuleDisplay> + ModuleDisplay;
    /// What is predicted of an image.
    type Prediction;
    /// Compares predictions with the truth.
    type Scorer: Scorer<BatchOf<B, Self>, Self::Prediction>;

    /// The task of a configuration.
    ///
    /// # Errors
    ///
    /// [`TrainError::Config`]: a configuration of another task, or one that does not fit the labels.
    fn new(config: &RunConfig, labels: &Labels) -> Result<Self, TrainError>;

    /// The loader of a configuration's training split.
    ///
    /// # Errors
    ///
    /// [`TrainError::Data`]: a split that cannot be opened.
    fn training_loader(config: &RunConfig) -> Result<Loader<Self::Pipeline>, TrainError>;

    /// The loader of a configuration's validation split.
    ///
    /// # Errors
    ///
    /// As [`Self::training_loader`].
    fn validation_loader(config: &RunConfig) -> Result<Loader<Self::Pipeline>, TrainError>;

    /// A picture alone in a batch, prepared as those of the validation split are.
    ///
    /// # Errors
    ///
    /// [`TrainError::Data`]: a picture that cannot be resized.
    fn picture(config: &RunConfig, picture: Picture) -> Result<BatchOf<B, Self>, TrainError>;

    /// What the labels of a dataset mean.
    fn labels(pipeline: &Self::Pipeline) -> Labels;

    /// What of a split is left out by custom, and must not be left out in silence.
    fn left_out(_: &Self::Pipeline) -> Option<String> {
        None
    }

    /// How many tasks the features serve.
    fn count(&self) -> usize {
        1
    }

    /// Whether a parameter of method or head is trained, where the method trains it.
    fn trains(&self, _path: &str) -> bool {
        true
    }

    /// Whether a trained parameter may be without a gradient in a batch, since nothing of its kind is in it.
    fn waits_for_objects(&self, _path: &str) -> bool {
        false
    }

    /// Checks that a run that tasks are added to has exactly the tasks that are not added.
    ///
    /// # Errors
    ///
    /// [`TrainError::OtherTasks`] with the tasks of both.
    fn require_tasks_of(&self, _base: &Labels) -> Result<(), TrainError> {
        Ok(())
    }

    /// The path that a parameter has here which has another one in a run that tasks are added to.
    fn path_from(&self, path: &str, _base: &Labels) -> String {
        path.to_string()
    }

    /// A head for the features of these stages, the finest first.
    fn head(&self, stages: &[StageShape], device: &B::Device) -> Self::Head;

    /// The loss of a batch.
    ///
    /// # Errors
    ///
    /// [`TrainError`] if the batch lacks labels that the head needs.
    fn loss<N: Tunable<B>>(
        &self,
        head: &Self::Head,
        features: &Features<'_, B, N>,
        batch: &BatchOf<B, Self>,
        phase: Phase,
    ) -> Result<Loss<B>, TrainError>;

    /// What is predicted of every image of a batch.
    fn predict<N: Tunable<B::InnerBackend>>(
        &self,
        head: &PlainHead<B, Self>,
        features: &Features<'_, B::InnerBackend, N>,
        batch: &BatchOf<B, Self>,
    ) -> Vec<Self::Prediction>;

    /// What is predicted of every image of a batch where each is seen more than once, or in windows; none where
    /// each is seen once and whole.
    ///
    /// The sides of what `features` is given must be multiples of `stride`.
    fn predict_views<'a, N: Tunable<B::InnerBackend> + 'a>(
        &self,
        _head: &PlainHead<B, Self>,
        _batch: &BatchOf<B, Self>,
        _stride: usize,
        _features: &FeaturesOf<'_, 'a, B, Self, N>,
    ) -> Option<Vec<Self::Prediction>> {
        None
    }

    /// A scorer of a whole dataset.
    ///
    /// # Errors
    ///
    /// [`TrainError`]: a truth that cannot be read.
    fn scorer(&self, pipeline: &Self::Pipeline) -> Result<Self::Scorer, TrainError>;
}

/// The part of a configuration that belongs to a task: head, loss, augmentation, evaluation.
pub trait TaskSettings {
    /// Whether the head reads a map of so many, counted from the finest.
    fn reads(&self, map: usize, maps: usize) -> bool;

    /// The neck that the head stands on if all stages of the backbone have one stride.
    fn neck(&self) -> NeckConfig;

    /// The stride of the coarsest map that the head reads or makes.
    fn coarsest_stride(&self, maps: &[MapShape]) -> f32 {
        MapShape::coarsest_stride(maps)
    }

    /// Images per forward pass of the evaluation.
    fn evaluation_batch(&self) -> usize;

    /// The evaluation of dense tasks.
    fn dense_evaluation(&self) -> Option<&DenseEvaluationConfig> {
        None
    }

    /// Height and width of training images; of the largest where they differ.
    fn resolution(&self) -> [u32; 2];

    /// How many tasks the features serve.
    fn tasks(&self) -> usize {
        1
    }

    /// The decoder of dense tasks.
    fn dense_head(&self) -> Option<&HeadConfig> {
        None
    }

    /// The run that tasks are added to, where some are.
    fn base(&self) -> Option<&Path> {
        None
    }

    /// Checks what the types cannot, for maps of these shapes.
    ///
    /// # Errors
    ///
    /// [`TrainError`] with the key and its value.
    fn validate(&self, maps: &[MapShape]) -> Result<(), TrainError>;
}

/// Compares predictions with the truth, batch by batch.
pub trait Scorer<Batch, Prediction> {
    /// Takes in the predictions of a batch.
    ///
    /// # Errors
    ///
    /// [`TrainError`]: predictions that do not belong to the batch.
    fn add(&mut self, batch: &Batch, predictions: Vec<Prediction>) -> Result<(), TrainError>;

    /// The scores of all that was taken in.
    ///
    /// # Errors
    ///
    /// [`TrainError`]: predictions that cannot be scored.
    fn scores(self) -> Result<Scores, TrainError>;
}

/// What the labels of a dataset mean.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Labels {
    /// Names of the classes, in label order.
    pub classes: Vec<String>,
    /// One colour per class.
    pub palette: Vec<[u8; 3]>,
    /// The classes' identifiers in the dataset's files, where it has such.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub category_ids: Vec<u64>,
    /// Of every task, where there are several; [`Self::classes`] is empty then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<TaskLabels>,
}

/// What the labels of one of several tasks mean.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskLabels {
    /// The task.
    pub task: DenseTask,
    /// Names of the classes, in label order; none of a task without classes.
    pub classes: Vec<String>,
    /// One colour per class.
    pub palette: Vec<[u8; 3]>,
}

impl Labels {
    /// So many classes, each with its number for a name.
    pub fn unnamed(classes: usize) -> Self {
        Self {
            classes: (0..classes).map(|class| class.to_string()).collect(),
            palette: vec![[0; 3]; classes],
            category_ids: Vec::new(),
            tasks: Vec::new(),
        }
    }

    /// Refuses data whose classes are others, or in another order, than those that a checkpoint was trained on;
    /// `path` names it. Of several tasks, those that both have are compared.
    ///
    /// # Errors
    ///
    /// [`TrainError::OtherClasses`] with both lists.
    pub fn require(&self, present: &Self, path: &Path) -> Result<(), TrainError> {
        let shared = self.tasks.iter().filter_map(|labels| {
            let same = present
                .tasks
                .iter()
                .find(|other| other.task == labels.task)?;
            Some((&labels.classes, &same.classes))
        });
        let lists = std::iter::once((&self.classes, &present.classes)).chain(shared);
        match lists.into_iter().find(|(old, new)| old != new) {
            None => Ok(()),
            Some((trained_on, present)) => Err(TrainError::OtherClasses {
                path: path.to_path_buf(),
                trained_on: trained_on.clone(),
                present: present.clone(),
            }),
        }
    }
}
