//! Several dense tasks from one pass through the backbone.

mod config;
mod scoring;

use std::collections::BTreeMap;

use burn::tensor::activation::sigmoid;
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use gradway_adapters::Features;
use gradway_backbone::{Phase, StageShape, task_of};
use gradway_data::{
    AugmentConfig, BatchLabels, DenseBatch, DenseCollection, DenseEvaluation, DenseLoader,
    DensePipeline, DenseTask, IGNORE, Picture, Split,
};
use gradway_heads::StagedLoss;
use gradway_heads::multi_task::MultiTaskHead;
use gradway_heads::multi_task::losses::{
    PositiveWeight, binary_cross_entropy, depth_l1, normals_l1, unit,
};
use gradway_kernels::{KernelBackend, TrainBackend, resize_bilinear};

use super::maps::{class_maps, restored, value_maps};
use super::segmentation::{channels, class_map};
use super::{Labels, Loss, Task, TaskLabels};
use crate::config::RunConfig;
use crate::error::TrainError;

pub use config::{MultiTaskConfig, TasksConfig, Weighting};
pub use scoring::MultiTaskScorer;

/// Several dense tasks.
#[derive(Debug, Clone)]
pub struct MultiTask {
    config: MultiTaskConfig,
    tasks: Vec<TaskLabels>,
}

/// What is predicted of every pixel of an image.
#[derive(Debug, Clone, PartialEq)]
pub struct MultiTaskPrediction {
    /// Identifier of the image in its dataset.
    pub id: String,
    /// Height in pixels.
    pub height: usize,
    /// Width in pixels.
    pub width: usize,
    /// By task.
    pub tasks: BTreeMap<DenseTask, TaskPrediction>,
}

/// What is predicted of a task.
#[derive(Debug, Clone, PartialEq)]
pub enum TaskPrediction {
    /// `[height, width]` classes or parts.
    Classes(Vec<u8>),
    /// `[height, width]` probabilities of being salient or an edge.
    Probabilities(Vec<f32>),
    /// `[3, height, width]` unit normals.
    Normals(Vec<f32>),
    /// `[height, width]` distances.
    Depth(Vec<f32>),
}

impl TaskPrediction {
    /// Values of a task without classes to choose from.
    fn of_values(task: DenseTask, values: Vec<f32>) -> Self {
        match task {
            DenseTask::SurfaceNormals => Self::Normals(values),
            DenseTask::Depth => Self::Depth(values),
            _ => Self::Probabilities(values),
        }
    }
}

impl MultiTask {
    /// Channels of the output of every task's decoder.
    pub fn outputs(&self) -> Vec<usize> {
        let channels = |labels: &TaskLabels| match labels.task {
            DenseTask::SemanticSegmentation | DenseTask::HumanParts => labels.classes.len(),
            DenseTask::Saliency | DenseTask::Depth | DenseTask::Edges => 1,
            DenseTask::SurfaceNormals => 3,
        };
        self.tasks.iter().map(channels).collect()
    }

    /// The weighted loss of one of the tasks, `[1]`.
    ///
    /// # Errors
    ///
    /// [`TrainError::NoLabels`]: a batch without the labels of the task.
    pub fn task_loss<B: KernelBackend>(
        &self,
        index: usize,
        head: &MultiTaskHead<B>,
        features: &Features<'_, B>,
        batch: &DenseBatch,
        phase: Phase,
    ) -> Result<Tensor<B, 1>, TrainError> {
        let task = self.tasks[index].task;
        let output = head.forward(index, &features.of_task(index), phase);
        let device = output.logits.device();
        let size = [batch.height, batch.width];
        let full = |map| resize_bilinear(map, size);
        let missing = || TrainError::NoLabels { task };
        let decoder = &head.decoders[index];
        let loss = match (task, batch.labels(task)?.ok_or_else(missing)?) {
            (
                DenseTask::SemanticSegmentation | DenseTask::HumanParts,
                BatchLabels::Classes(data),
            ) => {
                let labels = class_map(&data, batch.shape(), &device);
                decoder.loss(output, labels, IGNORE, &[])
            }
            (DenseTask::Saliency | DenseTask::Edges, BatchLabels::Classes(data)) => {
                let labels = class_map(&data, batch.shape(), &device);
                let weight = match task {
                    DenseTask::Edges => PositiveWeight::Fixed(self.config.tasks.edge_weight),
                    _ => PositiveWeight::Balanced,
                };
                decoder.supervised(output, |logits| {
                    binary_cross_entropy(full(logits), labels.clone(), IGNORE, weight)
                })
            }
            (DenseTask::SurfaceNormals, BatchLabels::Values { channels, data }) => {
                let normals = values(data, channels, batch, &device);
                decoder.supervised(output, |logits| normals_l1(full(logits), normals.clone()))
            }
            (DenseTask::Depth, BatchLabels::Values { channels, data }) => {
                let depth = values(data, channels, batch, &device);
                let unit = self.config.tasks.depth_unit;
                decoder.supervised(output, |logits| {
                    depth_l1(full(logits) * unit, depth.clone())
                })
            }
            _ => return Err(missing()),
        };
        Ok(head.weighted(index, loss, self.config.tasks.weight(task)))
    }

    /// What the output of a task's decoder says.
    fn task_prediction<B: KernelBackend>(
        &self,
        task: DenseTask,
        output: Tensor<B, 4>,
    ) -> Tensor<B, 4> {
        match task {
            DenseTask::Saliency | DenseTask::Edges => sigmoid(output),
            DenseTask::SurfaceNormals => unit(output),
            DenseTask::Depth => output * self.config.tasks.depth_unit,
            DenseTask::SemanticSegmentation | DenseTask::HumanParts => output,
        }
    }
}

impl<B: TrainBackend> Task<B> for MultiTask {
    type Pipeline = DensePipeline;
    type Head = MultiTaskHead<B>;
    type Prediction = MultiTaskPrediction;
    type Scorer = MultiTaskScorer;

    fn new(config: &RunConfig, labels: &Labels) -> Result<Self, TrainError> {
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
        Ok(Self {
            config,
            tasks: labels.tasks.clone(),
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
            task.evaluation.size,
            config.input()?,
            config.loader_of(task.evaluation.batch_size),
        )?)
    }

    fn picture(config: &RunConfig, picture: Picture) -> Result<DenseBatch, TrainError> {
        let evaluation = DenseEvaluation {
            size: config.task.multi_task()?.evaluation.size,
            input: config.input()?,
        };
        Ok(evaluation.picture(picture)?)
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
        let (head, inputs) = (&self.config.head, channels(stages));
        MultiTaskHead::new(head, &inputs, &self.outputs(), learns_weights, device)
    }

    /// The loss of one task after the other, of which one graph is alive at a time.
    fn loss(
        &self,
        head: &MultiTaskHead<B>,
        features: &Features<'_, B>,
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

    fn predict(
        &self,
        head: &MultiTaskHead<B::InnerBackend>,
        features: &Features<'_, B::InnerBackend>,
        batch: &DenseBatch,
    ) -> Vec<MultiTaskPrediction> {
        let images = batch.items.iter();
        let mut predictions: Vec<MultiTaskPrediction> = images
            .map(|item| MultiTaskPrediction {
                id: item.id.clone(),
                height: item.original[0],
                width: item.original[1],
                tasks: BTreeMap::new(),
            })
            .collect();
        for (index, labels) in self.tasks.iter().enumerate() {
            let task = labels.task;
            let features = features.of_task(index);
            let output = head.forward(index, &features, Phase::Inference).logits;
            let output = resize_bilinear(output, [batch.height, batch.width]);
            let output = restored(output, &batch.items).into_iter();
            let output = output.map(|output| self.task_prediction(task, output));
            let maps: Vec<TaskPrediction> = match task {
                DenseTask::SemanticSegmentation | DenseTask::HumanParts => {
                    let maps = class_maps(output.collect()).into_iter();
                    maps.map(TaskPrediction::Classes).collect()
                }
                _ => {
                    let maps = value_maps(output.collect()).into_iter();
                    maps.map(|map| TaskPrediction::of_values(task, map))
                        .collect()
                }
            };
            for (prediction, map) in predictions.iter_mut().zip(maps) {
                prediction.tasks.insert(task, map);
            }
        }
        predictions
    }

    fn scorer(&self, _: &DensePipeline) -> Result<MultiTaskScorer, TrainError> {
        MultiTaskScorer::new(&self.tasks, &self.config.tasks)
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

/// `[batch, channels, height, width]`
fn values<B: Backend>(
    data: Vec<f32>,
    channels: usize,
    batch: &DenseBatch,
    device: &B::Device,
) -> Tensor<B, 4> {
    let shape = [batch.count, channels, batch.height, batch.width];
    Tensor::from_data(TensorData::new(data, shape), device)
}
