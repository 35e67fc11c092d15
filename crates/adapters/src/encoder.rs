//! A backbone and the module that tunes it.

use burn::module::{AutodiffModule, Module};
use burn::tensor::Tensor;
use gradway_backbone::{AnyBackbone, Backbone, Depths, Description, Phase, Precision};
use gradway_kernels::{Constant, KernelBackend, Same, TrainBackend};

use crate::method::{Method, Misfit, Placement};
use crate::settle::settle;
use crate::table::{MethodConfig, Tuned};
use crate::track::frozen_backbone;

/// The frozen side of a tuned backbone: the backbone of a highway method, or nothing where the
/// method's module holds the backbone itself.
///
/// What is trained ([`Tuned`]) is apart from it because the two live on different backends: the
/// types say that the frozen part cannot record a graph.
#[derive(Debug, Clone)]
pub struct Encoder<B: TrainBackend> {
    frozen: Option<AnyBackbone<B::InnerBackend>>,
    precision: Precision,
    description: Description,
    depths: Depths,
}

impl<B: TrainBackend> Encoder<B> {
    /// Puts a method around a backbone: the frozen side, and what is trained.
    ///
    /// # Errors
    ///
    /// [`Misfit`] where the method cannot tune this backbone.
    pub fn new(
        config: &MethodConfig,
        backbone: AnyBackbone<B::InnerBackend>,
        device: &B::Device,
    ) -> Result<(Self, Tuned<B>), Misfit> {
        let (description, depths) = (backbone.description(), backbone.depths());
        config.check(&description)?;
        let (frozen, tuned) = match config.descriptor().placement {
            Placement::Frozen => {
                let tuned = config.init_beside(&description, device);
                (Some(frozen_backbone(backbone)), tuned)
            }
            Placement::Tracked => {
                let backbone = AnyBackbone::<B>::from_inner(backbone);
                (None, config.init_around(backbone, device))
            }
        };
        let encoder = Self {
            frozen,
            precision: Precision::default(),
            description,
            depths,
        };
        Ok((encoder, tuned))
    }

    /// Parameters of the frozen side; those of a backbone inside the method's module are not among them.
    pub fn frozen_parameters(&self) -> usize {
        self.frozen.as_ref().map_or(0, Module::num_params)
    }

    /// The frozen side rounded, weights and maps; what comes out of it is single precision all the same. A
    /// backbone inside the method's module stays as it is.
    pub fn rounded(self, precision: Precision) -> Self {
        Self {
            frozen: self.frozen.map(|frozen| precision.round(frozen)),
            precision,
            ..self
        }
    }

    /// The frozen side [settled](settle).
    pub fn settled(self) -> Self {
        Self {
            frozen: self.frozen.map(settle),
            ..self
        }
    }

    /// Bytes of the frozen side's parameters.
    pub fn frozen_bytes(&self) -> usize {
        self.precision.bytes() * self.frozen_parameters()
    }

    /// Images as the frozen side takes them.
    fn images(&self, images: Tensor<B::InnerBackend, 4>) -> Tensor<B::InnerBackend, 4> {
        match (&self.frozen, self.precision) {
            (None, _) | (_, Precision::F32) => images,
            (_, precision) => images.cast(precision.dtype()),
        }
    }

    /// Sections, widths and layout of the backbone.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// How deep in the backbone its parameters are.
    pub fn depths(&self) -> &Depths {
        &self.depths
    }

    /// What one pass makes of images, for a training step.
    ///
    /// # Shapes
    ///
    /// - `images`: `[batch, 3, height, width]`, normalised
    pub fn features<'a>(
        &self,
        tuned: &'a Tuned<B>,
        images: Tensor<B::InnerBackend, 4>,
        phase: Phase,
    ) -> Features<'a, B> {
        let frozen = self.frozen.as_ref();
        Features {
            tuned,
            shared: tuned.features::<B::InnerBackend, Constant>(frozen, self.images(images), phase),
        }
    }

    /// The same without a graph, of a module from
    /// [`AutodiffModule::valid`](burn::module::AutodiffModule::valid).
    pub fn features_inference<'a>(
        &self,
        tuned: &'a Tuned<B::InnerBackend>,
        images: Tensor<B::InnerBackend, 4>,
    ) -> Features<'a, B::InnerBackend> {
        let frozen = self.frozen.as_ref();
        Features {
            tuned,
            shared: tuned.features::<B::InnerBackend, Same>(
                frozen,
                self.images(images),
                Phase::Inference,
            ),
        }
    }
}

/// What one pass through a backbone makes of images, for any number of tasks.
#[derive(Debug, Clone)]
pub struct Features<'a, B: KernelBackend> {
    tuned: &'a Tuned<B>,
    shared: Vec<Tensor<B, 4>>,
}

impl<'a, B: KernelBackend> Features<'a, B> {
    /// What a neck receives: every stage, normalised, `[batch, channels, height, width]`, the finest first.
    ///
    /// Whoever knows one task asks for that of task 0.
    pub fn of_task(&self, task: usize) -> Vec<Tensor<B, 4>> {
        self.tuned.of_task(&self.shared, task)
    }

    /// What all tasks are made of.
    pub fn shared(&self) -> &[Tensor<B, 4>] {
        &self.shared
    }

    /// The same of other maps in place of the [shared](Self::shared) ones.
    pub fn with_shared(&self, shared: Vec<Tensor<B, 4>>) -> Self {
        Self {
            tuned: self.tuned,
            shared,
        }
    }

    /// The module that makes a task's features.
    pub fn tuned(&self) -> &'a Tuned<B> {
        self.tuned
    }
}
