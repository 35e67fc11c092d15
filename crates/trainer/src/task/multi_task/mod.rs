//! Several dense tasks from one pass through the backbone.

mod config;
mod kinds;
mod prediction;
mod scores;
mod scoring;

use std::collections::BTreeMap;

use burn::tensor::Tensor;
use gradway_adapters::Features;
use gradway_backbone::{Phase, StageShape, Tunable, task_of};
use gradway_data::{
    AugmentConfig, DenseBatch, DenseCollection, DenseLoader, DensePipeline, DenseTarget, DenseTask,
    Picture, Split,
};
use gradway_heads::StagedLoss;
use gradway_heads::multi_task::MultiTaskHead;
use gradway_heads::neck::NeckConfig;
use gradway_kernels::{KernelBackend, TrainBackend, resize_bilinear};

use super::maps::restored;
use super::views::{self, Seen, View};
use super::{FeaturesOf, Labels, Loss, Task, TaskLabels};
use crate::config::RunConfig;
use crate::error::TrainError;

use kinds::Kind;

pub use config::{MultiTaskConfig, TasksConfig, Weighting};
pub use kinds::{Decoded, DenseKind, TaskScores};
pub use prediction::{Appearance, MultiTaskPrediction, TaskPrediction};
pub use scores::MultiTaskScores;
pub use scoring::MultiTaskScorer;

/// Several dense tasks.
#[derive(Debug, Clone)]
pub struct MultiTask {
    config: MultiTaskConfig,
    neck: NeckConfig,
    tasks: Vec<TaskLabels>,
    /// One for every task.
    kinds: Vec<Kind>,
}

impl MultiTask {
    /// Channels of the output of every task's decoder.
    pub fn outputs(&self) -> Vec<usize> {
        self.kinds.iter().map(Kind::channels).collect()
    }

    /// The weighted loss of one of the tasks, `[1]`.
    ///
    /// # Errors
    ///
    /// [`TrainError::NoLabels`]: a batch without the labels of the task.
    pub fn task_loss<B: KernelBackend, N: Tunable<B>>(
        &self,
        index: usize,
        head: &MultiTaskHead<B>,
        features: &Features<'_, B, N>,
        batch: &DenseBatch,
        phase: Phase,
    ) -> Result<Tensor<B, 1>, TrainError> {
        let task = self.tasks[index].task;
        let output = head.forward(index, &features.of_task(index), phase);
        let missing = || TrainError::NoLabels { task };
        let labels = batch.labels(task)?.ok_or_else(missing)?;
        let decoded = Decoded {
            decoder: &head.decoders[index],
            output,
            images: batch.shape(),
        };
        let loss = self.kinds[index].loss(decoded, labels);
        let loss = loss.ok_or_else(missing)?;
        Ok(head.weighted(index, loss, self.config.tasks.weight(task)))
    }

    /// The output of a task's decoder at the size of the images, `[batch, channels, height, width]`.
    fn output<B: KernelBackend, N: Tunable<B>>(
        &self,
        index: usize,
        head: &MultiTaskHead<B>,
        features: &Features<'_, B, N>,
        images: &DenseBatch,
    ) -> Tensor<B, 4> {
        let features = features.of_task(index);
        let output = head.forward(index, &features, Phase::Inference).logits;
        resize_bilinear(output, [images.height, images.width])
    }

    /// What an output of a task stands for that was made of a view of an image.
    fn meaning<B: KernelBackend>(
        &self,
        index: usize,
        output: Tensor<B, 4>,
        view: View,
    ) -> Tensor<B, 4> {
        let kind = &self.kinds[index];
        let mut meaning = kind.meaning(output);
        if view.is_flipped {
            meaning = kind.unflip(meaning);
        }
        // A network knows no more of zooming than its training: there, depth follows the random scale, or not.
        if view.scale != 1.0 && self.config.augment.scale_depth {
            meaning = kind.unzoom(meaning, view.scale);
        }
        meaning
    }
}

impl MultiTaskPrediction {
    /// Nothing is predicted of the image yet.
    fn new(image: &DenseTarget) -> Self {
        Self {
            id: image.id.clone(),
            height: image.original[0],
            width: image.original[1],
            tasks: BTreeMap::new(),
        }
    }
}

impl<B: TrainBackend> Task<B> for MultiTask {
    type Pipeline = DensePipeline;
    type Head = MultiTaskHead<B>;
    type Prediction = MultiTaskPrediction;
    type Scorer = MultiTaskScorer;

    fn new(config: &RunConfig, labels: &Labels) -> Result<Self, TrainError> {
        let neck = config.neck()?;
        let config = config.task.multi_task()?.clone();
        let found: Vec<DenseTask> = labels.tasks.iter().map(|labels| labels.task).collect();
        if found != config.tasks.tasks() {
            let names = |tasks: &[DenseTask]| {
                let names: Vec<&str> = tasks.iter().map(|task| task.name()).collect();
                names.join(", ")
            };
            return Err(TrainError::Config {
                origin: "configuration".to_string(),
                reason: format!(
                    "tasks.names has {}, but the labels are of {}",
                    names(&config.tasks.tasks()),
                    names(&found)
                ),
            });
        }
        let kinds = labels.tasks.iter();
        let kinds = kinds.map(|labels| Kind::new(labels, &config.tasks));
        Ok(Self {
            kinds: kinds.collect(),
            tasks: labels.tasks.clone(),
            neck,
            config,
        })
    }

    fn training_loader(config: &RunConfig) -> Result<DenseLoader, TrainError> {
        let task = config.task.multi_task()?;
        let tasks = task.tasks.trained();
        Ok(DenseLoader::training(
            open(config, Split::Train, &tasks)?,
            augment(&task.augment),
            config.input()?,
            config.loader_of(config.loader.batch_size),
        )?)
    }

    fn validation_loader(config: &RunConfig) -> Result<DenseLoader, TrainError> {
        let task = config.task.multi_task()?;
        let tasks = task.tasks.tasks();
        Ok(DenseLoader::evaluation(
            open(config, Split::Val, &tasks)?,
            task.evaluation.preparation(config.input()?),
            config.loader_of(task.evaluation.batch_size),
        )?)
    }

    fn picture(config: &RunConfig, picture: Picture) -> Result<DenseBatch, TrainError> {
        let evaluation = &config.task.multi_task()?.evaluation;
        Ok(evaluation.preparation(config.input()?).picture(picture)?)
    }

    fn labels(pipeline: &DensePipeline) -> Labels {
        let tasks = pipeline.metadata().tasks.iter();
        let tasks = tasks.map(|(&task, classes)| TaskLabels {
            task,
            classes: classes.names.clone(),
            palette: classes.palette.clone(),
        });
        Labels {
            classes: Vec::new(),
            palette: Vec::new(),
            category_ids: Vec::new(),
            tasks: tasks.collect(),
        }
    }

    fn count(&self) -> usize {
        self.tasks.len()
    }

    fn trains(&self, path: &str) -> bool {
        let trained = self.config.tasks.trained();
        let is_trained = |index: usize| {
            let labels = self.tasks.get(index);
            labels.is_some_and(|labels| trained.contains(&labels.task))
        };
        trained.len() == self.tasks.len()
            || task_of(path).is_some_and(|(_, index)| is_trained(index))
    }

    fn require_tasks_of(&self, base: &Labels) -> Result<(), TrainError> {
        let mut others = self.config.tasks.tasks();
        others.retain(|task| !self.config.tasks.added.contains(task));
        let found: Vec<DenseTask> = base.tasks.iter().map(|labels| labels.task).collect();
        match found == others {
            true => Ok(()),
            false => Err(TrainError::OtherTasks { others, found }),
        }
    }

    fn path_from(&self, path: &str, base: &Labels) -> String {
        let place = task_of(path).and_then(|(range, index)| {
            let task = base.tasks.get(index)?.task;
            let index = self.tasks.iter().position(|labels| labels.task == task)?;
            Some((range, index))
        });
        match place {
            Some((range, index)) => {
                format!("{}{index}{}", &path[..range.start], &path[range.end..])
            }
            None => path.to_string(),
        }
    }

    fn head(&self, stages: &[StageShape], device: &B::Device) -> MultiTaskHead<B> {
        let learns_weights = self.config.tasks.weighting == Weighting::Uncertainty;
        let (head, neck) = (&self.config.head, &self.neck);
        MultiTaskHead::new(head, neck, stages, &self.outputs(), learns_weights, device)
    }

    /// The loss of one task after the other, of which one graph is alive at a time.
    fn loss<N: Tunable<B>>(
        &self,
        head: &MultiTaskHead<B>,
        features: &Features<'_, B, N>,
        batch: &DenseBatch,
        phase: Phase,
    ) -> Result<Loss<B>, TrainError> {
        let trained = self.config.tasks.trained();
        let tasks = self.tasks.iter().enumerate();
        let trained: Vec<usize> = tasks
            .filter(|(_, labels)| trained.contains(&labels.task))
            .map(|(index, _)| index)
            .collect();
        if let [index] = trained[..] {
            let loss = self.task_loss(index, head, features, batch, phase)?;
            return Ok(loss.into());
        }
        let mut staged = StagedLoss::new(features.shared());
        let (mut device, mut parts) = (None, Vec::new());
        for index in trained {
            let leaves = staged.leaves();
            let features = features.with_shared(leaves.clone());
            let loss = self.task_loss(index, head, &features, batch, phase)?;
            device = Some(loss.device());
            let name = self.tasks[index].task.name().to_string();
            parts.push((name, loss.clone().inner()));
            let gradients = staged.differentiate(loss, &leaves);
            staged.add_parameters(&gradients, head);
            staged.add_parameters(&gradients, features.tuned());
        }
        Ok(Loss {
            total: staged.loss(&device.unwrap_or_default()),
            parts,
        })
    }

    fn predict<N: Tunable<B::InnerBackend>>(
        &self,
        head: &MultiTaskHead<B::InnerBackend>,
        features: &Features<'_, B::InnerBackend, N>,
        batch: &DenseBatch,
    ) -> Vec<MultiTaskPrediction> {
        let images = batch.items.iter();
        let mut predictions: Vec<MultiTaskPrediction> =
            images.map(MultiTaskPrediction::new).collect();
        for (index, labels) in self.tasks.iter().enumerate() {
            let output = self.output(index, head, features, batch);
            let maps = self.kinds[index].predict_once(restored(output, &batch.items));
            for (prediction, map) in predictions.iter_mut().zip(maps) {
                prediction.tasks.insert(labels.task, map);
            }
        }
        predictions
    }

    /// Over views the mean of what the kinds of the tasks say that outputs stand for.
    fn predict_views<'a, N: Tunable<B::InnerBackend> + 'a>(
        &self,
        head: &MultiTaskHead<B::InnerBackend>,
        batch: &DenseBatch,
        stride: usize,
        features: &FeaturesOf<'_, 'a, B, Self, N>,
    ) -> Option<Vec<MultiTaskPrediction>> {
        let evaluation = &self.config.evaluation;
        if evaluation.is_plain() {
            return None;
        }
        let outputs = |parts: &DenseBatch| {
            let features = features(parts);
            let tasks = 0..self.tasks.len();
            let outputs = tasks.map(|index| self.output(index, head, &features, parts));
            outputs.collect::<Vec<_>>()
        };
        let meaning = |index, output, view| self.meaning(index, output, view);
        let predictions = batch.items.iter().enumerate().map(|(place, image)| {
            let mut prediction = MultiTaskPrediction::new(image);
            let seen = views::see(batch, place, evaluation, stride, outputs, meaning);
            let kinds = self.kinds.iter();
            let maps: Vec<TaskPrediction> = match seen {
                Seen::Once(outputs) => kinds
                    .zip(outputs)
                    .flat_map(|(kind, output)| kind.predict_once(vec![output]))
                    .collect(),
                Seen::Often(means) => kinds
                    .zip(means)
                    .flat_map(|(kind, mean)| kind.predict(vec![mean]))
                    .collect(),
            };
            let tasks = self.tasks.iter().map(|labels| labels.task);
            prediction.tasks = tasks.zip(maps).collect();
            prediction
        });
        Some(predictions.collect())
    }

    fn scorer(&self, _: &DensePipeline) -> Result<MultiTaskScorer, TrainError> {
        let tasks = self.tasks.iter().map(|labels| labels.task);
        MultiTaskScorer::new(tasks.zip(&self.kinds), self.config.tasks.single.clone())
    }
}

fn open(
    config: &RunConfig,
    split: Split,
    tasks: &[DenseTask],
) -> Result<DenseCollection, TrainError> {
    let dataset = config.data.open_multi_task(split, tasks)?;
    Ok(DenseCollection::of(dataset, tasks)?)
}

/// The augmentation of a run of tasks, however few they are: every crop is as good as another, and an angle is
/// drawn whether or not it can be any other than none, so that the draws after it stay the same.
fn augment(configured: &AugmentConfig) -> AugmentConfig {
    AugmentConfig {
        crop_max_class_share: configured.crop_max_class_share.or(Some(1.0)),
        rotation_range: configured.rotation_range.or(Some([0.0, 0.0])),
        ..configured.clone()
    }
}
