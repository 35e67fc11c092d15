//! A model: a frozen encoder, and one module of everything that is trained.

use std::path::Path;

use burn::module::{AutodiffModule, Module, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use gradway_adapters::{
    Encoder, Features, Group, MethodConfig, StateDict, Tuned, adopt, collect, count, freeze,
    freeze_unread, restore,
};
use gradway_backbone::{
    AnyBackbone, Backbone as _, ImportReport, Owner, ParameterPath, ParameterVisitor, Phase,
    ResizedTables, TrainBackbone, Tunable, hash_module, import, visit_parameters,
};
use gradway_data::{Batch, BatchItem};
use gradway_kernels::{KernelBackend, TrainBackend, pad};

use crate::checkpoint::{Checkpoint, TrainingState};
use crate::config::RunConfig;
use crate::error::TrainError;
use crate::identity::name_parameters;
use crate::task::{
    BatchOf, DetectionTask, Labels, Loss, MultiTask, PlainHead, SegmentationTask, Task,
};
use crate::weights;

/// The trained part of a model: the method's module and the head, as one module for one optimiser and one checkpoint.
#[derive(Module, Debug)]
pub struct Trainable<B: Backend, H: Module<B>, N: Module<B> = AnyBackbone<B>> {
    /// The method's module.
    pub method: Tuned<B, N>,
    /// The head.
    pub head: H,
}

/// A backbone `N` with a tuning method, and the head of a task.
#[derive(Debug, Clone)]
pub struct Model<B: TrainBackend, T: Task<B>, N: TrainBackbone<B> = AnyBackbone<B>> {
    /// The frozen part.
    pub encoder: Encoder<B, N>,
    /// The trained part.
    pub trainable: Trainable<B, T::Head, N>,
    method: MethodConfig,
    task: T,
    base: String,
    /// Number of backbone parameters that the method does not train.
    frozen: usize,
    /// Resized bias tables of the backbone.
    resized: Option<ResizedTables>,
    /// Whose names the weight file has.
    origin: Option<&'static str>,
    /// Parameters of the method that the head does not use.
    unread: Vec<String>,
    /// Whether the run adds tasks to those of another run.
    adds: bool,
    /// The weights that the other run trained.
    kept: StateDict,
    /// What the sides of images are padded to a multiple of.
    stride: usize,
}

/// The frozen part, the trained part, and the parameters that the head does not use.
type Sides<B, T, N> = (
    Encoder<B, N>,
    Trainable<B, <T as Task<B>>::Head, N>,
    Vec<String>,
);

/// A model for semantic segmentation.
pub type Segmentation<B, N = AnyBackbone<B>> = Model<B, SegmentationTask, N>;
/// A model for object detection.
pub type Detection<B, N = AnyBackbone<B>> = Model<B, DetectionTask, N>;
/// A model for several dense tasks.
pub type ManyTasks<B, N = AnyBackbone<B>> = Model<B, MultiTask, N>;

impl<B: TrainBackend, T: Task<B>> Model<B, T> {
    /// Builds the model of a configuration, with the backbone's weights if the configuration names any.
    ///
    /// The configuration's seed determines every random weight.
    ///
    /// # Errors
    ///
    /// [`TrainError`] if the backbone is not in the table, weights cannot be read or do not fit, or the
    /// configuration is for another task or other labels.
    pub fn new(
        config: &RunConfig,
        labels: &Labels,
        device: &B::Device,
    ) -> Result<Self, TrainError> {
        let task = T::new(config, labels)?;
        B::seed(device, config.seed);
        let (backbone, imported) = backbone::<B::InnerBackend>(config, device)?;
        let model = Self::of_task(task, config, backbone, device)?;
        Ok(Self {
            resized: imported.resized_tables(),
            origin: imported.origin,
            ..model
        })
    }

    /// Builds the trained part of a configuration's model to count its parameters, without reading or drawing
    /// weights.
    ///
    /// # Errors
    ///
    /// As [`Self::new`], except for the weights.
    pub fn outline(
        config: &RunConfig,
        labels: &Labels,
        device: &B::Device,
    ) -> Result<Trainable<B, T::Head>, TrainError> {
        let task = T::new(config, labels)?;
        let backbone = config.backbone.init::<B::InnerBackend>(device)?;
        let method = config.method.clone().for_tasks(task.count());
        let (_, trainable, _) = Self::around(backbone, config, &method, &task, device)?;
        Ok(trainable)
    }

    /// Loads the model of a run from one of its checkpoints; also returns the state of the run.
    ///
    /// # Errors
    ///
    /// As [`Self::new`] and [`Self::load`]; [`TrainError::OtherSetting`] if the configuration describes another
    /// model than the one that was trained.
    pub fn open(
        config: &RunConfig,
        path: &Path,
        device: &B::Device,
    ) -> Result<(Self, TrainingState), TrainError> {
        let saved = Checkpoint::load(path)?;
        let model = Self::new(config, &saved.state.labels, device)?;
        model.opened(config, saved, path)
    }
}

impl<B: TrainBackend, T: Task<B>, N: TrainBackbone<B>> Model<B, T, N> {
    /// As [`Model::new`], on a backbone that is built: an [`OwnBackbone`](gradway_backbone::OwnBackbone) of another crate.
    ///
    /// The configuration's backbone gives its name and precision; all other keys must be absent. Weights of the backbone
    /// that have not been read yet are drawn with the configuration's seed.
    ///
    /// # Errors
    ///
    /// As [`Model::new`]; [`TrainError::Config`] with a key of the backbone that has no effect on one that is built, or if
    /// its stages are not those of the configuration's [description](gradway_backbone::BackboneDescriptor).
    pub fn with_backbone(
        config: &RunConfig,
        labels: &Labels,
        backbone: N::InnerModule,
        device: &B::Device,
    ) -> Result<Self, TrainError> {
        let task = T::new(config, labels)?;
        let unused = config.backbone.require_built();
        unused.map_err(TrainError::config)?;
        let described = &config.backbone.descriptor()?.stages;
        let description = backbone.description();
        let stages = description.shapes(&description.stage_channels());
        if *described != stages {
            return Err(TrainError::config(format!(
                "backbone.name = \"{}\" is described with the stages {described:?}, but the backbone that is built has \
                 {stages:?}",
                config.backbone.name
            )));
        }
        require_precision::<B::InnerBackend>(config, device)?;
        // Weights that have not been read yet are drawn now.
        B::seed(device, config.seed);
        Self::of_task(task, config, backbone, device)
    }

    /// As [`Model::open`], on a backbone that is built.
    ///
    /// # Errors
    ///
    /// As [`Model::open`] and [`Self::with_backbone`].
    pub fn open_with_backbone(
        config: &RunConfig,
        path: &Path,
        backbone: N::InnerModule,
        device: &B::Device,
    ) -> Result<(Self, TrainingState), TrainError> {
        let saved = Checkpoint::load(path)?;
        let model = Self::with_backbone(config, &saved.state.labels, backbone, device)?;
        model.opened(config, saved, path)
    }

    /// The model with the weights of a checkpoint of a run with this configuration, and the state of the run.
    pub(crate) fn opened(
        self,
        config: &RunConfig,
        saved: Checkpoint,
        path: &Path,
    ) -> Result<(Self, TrainingState), TrainError> {
        let state = saved.state.clone();
        self.require_base(&saved, path)?;
        state.origin.require_model(config, path)?;
        Ok((self.load(saved, path)?, state))
    }

    fn of_task(
        task: T,
        config: &RunConfig,
        backbone: N::InnerModule,
        device: &B::Device,
    ) -> Result<Self, TrainError> {
        let base = hash_module(&backbone);
        let parameters = used_parameters(&backbone);
        let method = config.method.clone().for_tasks(task.count());
        let (encoder, trainable, unread) = Self::around(backbone, config, &method, &task, device)?;
        let changed = count(&trainable.method).of(&[Group::Bias, Group::Other]);
        Ok(Self {
            encoder,
            trainable,
            method,
            task,
            base,
            frozen: parameters.saturating_sub(changed),
            resized: None,
            origin: None,
            unread,
            adds: config.task.base().is_some(),
            kept: StateDict::new(),
            stride: config.input()?.stride,
        })
    }

    /// Builds the frozen and the trained part around a backbone, and lists the parameters that the head does not use.
    fn around(
        backbone: N::InnerModule,
        config: &RunConfig,
        method: &MethodConfig,
        task: &T,
        device: &B::Device,
    ) -> Result<Sides<B, T, N>, TrainError> {
        let (encoder, tuned) = Encoder::<B, N>::new(method, backbone, device)?;
        let encoder = encoder.rounded(config.backbone.precision);
        let channels = method.feature_channels(encoder.description());
        let stages = encoder.description().shapes(&channels);
        let Trainable { method, head } = name_parameters(Trainable {
            method: tuned,
            head: task.head(&stages, device),
        });
        let read = config.stages_read()?;
        let is_read = |stage: usize| read.get(stage).copied().unwrap_or(true);
        let (method, unread) = freeze_unread(&encoder, method, is_read, device);
        let trainable = freeze(Trainable { method, head }, |path| !task.trains(path));
        Ok((encoder, trainable, unread))
    }

    /// Takes over the weights that another run trained for the tasks that both runs have. `present` are the
    /// labels of the data, and `path` names the other run's checkpoint in messages.
    ///
    /// # Errors
    ///
    /// As [`Self::load`]; [`TrainError::OtherTasks`] if the other run has other tasks than those that are not added;
    /// [`TrainError::OtherClasses`] if a task has other classes in the other run.
    pub fn inherit(
        self,
        saved: Checkpoint,
        present: &Labels,
        path: &Path,
    ) -> Result<Self, TrainError> {
        self.require_base(&saved, path)?;
        let labels = &saved.state.labels;
        self.task.require_tasks_of(labels)?;
        labels.require(present, path)?;
        let weights = saved.weights.into_iter();
        // The variances of losses are of the other run's training alone.
        let weights = weights.filter(|(name, _)| !name.ends_with(".log_variances"));
        let weights = weights.map(|(name, value)| (self.task.path_from(&name, labels), value));
        let weights = weights.collect();
        self.put(weights, path)
    }

    /// Returns the weights of a checkpoint: those trained here, and those taken over from another run.
    pub fn weights(&self) -> StateDict {
        let mut weights = self.kept.clone();
        weights.extend(collect(&self.trainable));
        weights
    }

    pub(crate) fn require_base(&self, saved: &Checkpoint, path: &Path) -> Result<(), TrainError> {
        if saved.state.base == self.base {
            return Ok(());
        }
        Err(TrainError::OtherBase {
            path: path.to_path_buf(),
            backbone: saved.state.backbone.clone(),
            trained_on: saved.state.base.clone(),
            present: self.base.clone(),
        })
    }

    /// Loads weights, and keeps those that are not trained here.
    fn put(self, weights: StateDict, path: &Path) -> Result<Self, TrainError> {
        let changing = collect(&self.trainable);
        let is_kept = |(name, _): &(&String, &TensorData)| !changing.contains_key(*name);
        let kept = weights.iter().filter(is_kept);
        let kept = kept
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let trainable = adopt(self.trainable, weights).map_err(|source| TrainError::StateDict {
            path: path.to_path_buf(),
            source,
        })?;
        Ok(Self {
            trainable,
            kept,
            ..self
        })
    }

    /// The task of the model.
    pub(crate) fn task(&self) -> &T {
        &self.task
    }

    /// Returns the number of backbone parameters that the features depend on and the method does not train.
    pub fn frozen(&self) -> usize {
        self.frozen
    }

    /// Returns which relative position bias tables of the weight file were resized, if any.
    pub fn resized(&self) -> Option<ResizedTables> {
        self.resized
    }

    /// Returns whose names the weight file has, such as `timm`, if there is a file and that is known.
    pub fn origin(&self) -> Option<&'static str> {
        self.origin
    }

    /// Returns the parameters of the method that the head does not use: they are frozen.
    pub fn unread(&self) -> &[String] {
        &self.unread
    }

    /// Returns the method's configuration, with the tasks of the model.
    pub fn method(&self) -> &MethodConfig {
        &self.method
    }

    /// Returns the hash of the backbone's weights before training, see
    /// [`hash_module`](gradway_backbone::hash_module).
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Loads the weights of a checkpoint; `path` names it in messages.
    ///
    /// # Errors
    ///
    /// [`TrainError::OtherBase`] if it was trained on other base weights, [`TrainError::StateDict`] if a
    /// parameter does not fit.
    pub fn load(self, saved: Checkpoint, path: &Path) -> Result<Self, TrainError> {
        self.require_base(&saved, path)?;
        if self.adds {
            return self.put(saved.weights, path);
        }
        let trainable =
            restore(self.trainable, saved.weights).map_err(|source| TrainError::StateDict {
                path: path.to_path_buf(),
                source,
            })?;
        Ok(Self { trainable, ..self })
    }

    /// Returns the loss of a batch.
    ///
    /// # Errors
    ///
    /// [`TrainError`] if the batch lacks labels that the head needs.
    pub fn loss(
        &self,
        batch: &BatchOf<B, T>,
        phase: Phase,
        device: &B::Device,
    ) -> Result<Loss<B>, TrainError> {
        let features = self.features(batch, phase, device);
        self.task
            .loss(&self.trainable.head, &features, batch, phase)
    }

    /// Returns the encoder's features of a batch, with their graph.
    pub fn features(
        &self,
        batch: &BatchOf<B, T>,
        phase: Phase,
        device: &B::Device,
    ) -> Features<'_, B, N> {
        let method = &self.trainable.method;
        self.encoder.features(method, images(batch, device), phase)
    }

    /// Returns the model for inference: without a graph and with running statistics.
    pub fn inference(&self) -> Inference<'_, B, T, N> {
        Inference {
            encoder: &self.encoder,
            trainable: self.trainable.valid(),
            task: &self.task,
            stride: self.stride,
        }
    }
}

/// A [`Model`] for inference.
#[derive(Debug)]
pub struct Inference<'a, B: TrainBackend, T: Task<B>, N: TrainBackbone<B> = AnyBackbone<B>> {
    encoder: &'a Encoder<B, N>,
    trainable: Trainable<B::InnerBackend, PlainHead<B, T>, N::InnerModule>,
    task: &'a T,
    stride: usize,
}

impl<B: TrainBackend, T: Task<B>, N: TrainBackbone<B>> Inference<'_, B, T, N> {
    /// Returns the task of the model.
    pub fn task(&self) -> &T {
        self.task
    }

    /// Predicts every image at the size in which it was read.
    ///
    /// Only images of one size go through the network together, padded to multiples of the stride of the coarsest
    /// map. The prediction of an image does not depend on the other images of the batch. The images must be prepared as
    /// the model's configuration says, such as by the loader of the [`Task`].
    pub fn predict(&self, batch: &BatchOf<B, T>, device: &B::Device) -> Vec<T::Prediction> {
        let Trainable { method, head } = &self.trainable;
        let stride = self.pad(batch.stride.max(1));
        let features = |parts: &BatchOf<B, T>| {
            let images = images(parts, device);
            self.encoder.features_inference(method, images)
        };
        let predicted = self.task.predict_views(head, batch, stride, &features);
        if let Some(predictions) = predicted {
            return predictions;
        }
        let groups = batch.groups(self.pad(batch.stride.max(1)));
        if let [group] = &groups[..]
            && group.size == [batch.height, batch.width]
        {
            return self.predict_together(batch, device);
        }
        let mut predictions = Vec::with_capacity(batch.count);
        for group in groups {
            let predicted = self.predict_together(&batch.select(&group), device);
            predictions.extend(group.places.into_iter().zip(predicted));
        }
        predictions.sort_by_key(|(place, _)| *place);
        let predictions = predictions.into_iter();
        predictions.map(|(_, prediction)| prediction).collect()
    }

    /// The smallest multiple of the coarsest stride that is at least `length`.
    fn pad(&self, length: usize) -> usize {
        length.next_multiple_of(self.stride)
    }

    /// Predicts images of one size.
    fn predict_together(&self, batch: &BatchOf<B, T>, device: &B::Device) -> Vec<T::Prediction> {
        let Trainable { method, head } = &self.trainable;
        let images = images(batch, device);
        let features = self.encoder.features_inference(method, images);
        self.task.predict(head, &features, batch)
    }
}

impl<B: TrainBackend, N: TrainBackbone<B>> Inference<'_, B, SegmentationTask, N> {
    /// Returns the logits at the size of the images.
    ///
    /// # Shapes
    ///
    /// - `images`: `[batch, 3, height, width]`, normalised
    /// - output: `[batch, classes, height, width]`
    pub fn logits(&self, images: Tensor<B::InnerBackend, 4>) -> Tensor<B::InnerBackend, 4> {
        let [_, _, height, width] = images.dims();
        let padded = [height, width].map(|side| self.pad(side));
        let beyond = [
            (0, 0),
            (0, 0),
            (0, padded[0] - height),
            (0, padded[1] - width),
        ];
        let Trainable { method, head } = &self.trainable;
        let features = self.encoder.features_inference(method, pad(images, beyond));
        let logits = self.task.logits(head, &features.of_task(0), padded);
        if padded == [height, width] {
            return logits;
        }
        logits.narrow(2, 0, height).narrow(3, 0, width)
    }
}

/// Checks that the device supports the precision of the backbone.
fn require_precision<B: KernelBackend>(
    config: &RunConfig,
    device: &B::Device,
) -> Result<(), TrainError> {
    let precision = config.backbone.precision;
    if !B::supports_dtype(device, precision.dtype()) {
        return Err(TrainError::Config {
            origin: "configuration".to_string(),
            reason: format!(
                "backbone.precision = \"{}\", which {} does not support",
                precision.name(),
                B::name(device)
            ),
        });
    }
    Ok(())
}

/// The backbone of a configuration with its weights, and the report of their import.
fn backbone<B: KernelBackend>(
    config: &RunConfig,
    device: &B::Device,
) -> Result<(AnyBackbone<B>, ImportReport), TrainError> {
    require_precision::<B>(config, device)?;
    let backbone = config.backbone.init::<B>(device)?;
    let Some(checkpoint) = weights::open(&config.backbone)? else {
        return Ok((backbone, ImportReport::default()));
    };
    Ok(import(backbone, &checkpoint)?)
}

/// The number of parameters of a backbone that its features depend on.
fn used_parameters<B: KernelBackend>(backbone: &impl Tunable<B>) -> usize {
    struct Counter(usize);

    impl<B: Backend> ParameterVisitor<B> for Counter {
        fn visit<const D: usize>(&mut self, path: &ParameterPath, parameter: &Param<Tensor<B, D>>) {
            if path.role().owner != Owner::AfterStages {
                self.0 += parameter.shape().num_elements();
            }
        }
    }

    let mut counter = Counter(0);
    visit_parameters(backbone, &mut counter);
    counter.0
}

/// `[batch, 3, height, width]`
fn images<B: Backend, I: BatchItem>(batch: &Batch<I>, device: &B::Device) -> Tensor<B, 4> {
    let mut data = TensorData::new(batch.images.clone(), batch.shape());
    // In memory that a graphics card reads by itself, while the host goes on.
    B::staging(std::iter::once(&mut data), device);
    Tensor::from_data(data, device)
}
