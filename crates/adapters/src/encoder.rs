//! A backbone with a tuning method.

use burn::module::Module;
use burn::tensor::Tensor;
use gradway_backbone::{
    AnyBackbone, Backbone as _, Depths, Description, Phase, Precision, TrainBackbone, Tunable,
};
use gradway_kernels::{Constant, KernelBackend, Same, TrainBackend};

use crate::method::Misfit;
use crate::settle::settle;
use crate::table::{MethodConfig, Pass, Tuned};

/// A method applied to a backbone: the frozen and the trained part.
pub type Applied<B, N = AnyBackbone<B>> = (Encoder<B, N>, Tuned<B, N>);

/// The frozen part of a tuned backbone: the backbone of a highway method, or nothing if the method's module
/// holds the backbone.
///
/// The trained part ([`Tuned`]) is separate because the two are on different backends: the types ensure that
/// the frozen part cannot record a graph.
#[derive(Debug, Clone)]
pub struct Encoder<B: TrainBackend, N: TrainBackbone<B> = AnyBackbone<B>> {
    frozen: Option<N::InnerModule>,
    precision: Precision,
    description: Description,
    depths: Depths,
}

impl<B: TrainBackend, N: TrainBackbone<B>> Encoder<B, N> {
    /// Applies a method to a backbone: returns the frozen and the trained part.
    ///
    /// # Errors
    ///
    /// [`Misfit`] if the method cannot tune this backbone.
    pub fn new(
        config: &MethodConfig,
        backbone: N::InnerModule,
        device: &B::Device,
    ) -> Result<Applied<B, N>, Misfit> {
        let (description, depths) = (backbone.description(), backbone.depths());
        config.check(&description)?;
        let (frozen, tuned) = config.place::<B, N>(backbone, &description, device);
        let encoder = Self {
            frozen,
            precision: Precision::default(),
            description,
            depths,
        };
        Ok((encoder, tuned))
    }

    /// Returns the number of parameters of the frozen part, without a backbone inside the method's module.
    pub fn frozen_parameters(&self) -> usize {
        self.frozen.as_ref().map_or(0, Module::num_params)
    }

    /// Rounds the weights and maps of the frozen part; its features are still single precision. A backbone
    /// inside the method's module is not changed.
    pub fn rounded(self, precision: Precision) -> Self {
        Self {
            frozen: self.frozen.map(|frozen| precision.round(frozen)),
            precision,
            ..self
        }
    }

    /// Returns the encoder with its frozen part [settled](settle).
    pub fn settled(self) -> Self {
        Self {
            frozen: self.frozen.map(settle),
            ..self
        }
    }

    /// Returns the size of the frozen part's parameters in bytes.
    pub fn frozen_bytes(&self) -> usize {
        self.precision.bytes() * self.frozen_parameters()
    }

    /// Converts images to the precision of the frozen part.
    fn images(&self, images: Tensor<B::InnerBackend, 4>) -> Tensor<B::InnerBackend, 4> {
        match (&self.frozen, self.precision) {
            (None, _) | (_, Precision::F32) => images,
            (_, precision) => images.cast(precision.dtype()),
        }
    }

    /// Returns the description of the backbone.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// Returns the depths of the backbone's parameters.
    pub fn depths(&self) -> &Depths {
        &self.depths
    }

    /// Returns the frozen backbone of a highway method.
    ///
    /// # Panics
    ///
    /// If there is none: the module was not created with this encoder.
    fn beside(&self) -> &N::InnerModule {
        let frozen = self.frozen.as_ref();
        frozen.expect("an encoder and the module that was made with it go together")
    }

    /// Runs one pass on images, for a training step.
    ///
    /// # Shapes
    ///
    /// - `images`: `[batch, 3, height, width]`, normalised
    ///
    /// # Panics
    ///
    /// If `tuned` was created with another encoder, for a frozen backbone.
    pub fn features<'a>(
        &self,
        tuned: &'a Tuned<B, N>,
        images: Tensor<B::InnerBackend, 4>,
        phase: Phase,
    ) -> Features<'a, B, N> {
        let images = self.images(images);
        Features {
            tuned,
            pass: tuned.pass::<B::InnerBackend, Constant, _>(|| self.beside(), images, phase),
        }
    }

    /// As [`Self::features`], without a graph and for a module from
    /// [`AutodiffModule::valid`](burn::module::AutodiffModule::valid).
    ///
    /// # Panics
    ///
    /// As [`Self::features`].
    pub fn features_inference<'a>(
        &self,
        tuned: &'a Tuned<B::InnerBackend, N::InnerModule>,
        images: Tensor<B::InnerBackend, 4>,
    ) -> Features<'a, B::InnerBackend, N::InnerModule> {
        let (images, phase) = (self.images(images), Phase::Inference);
        Features {
            tuned,
            pass: tuned.pass::<B::InnerBackend, Same, _>(|| self.beside(), images, phase),
        }
    }
}

/// The result of one pass through a backbone, for any number of tasks.
#[derive(Debug, Clone)]
pub struct Features<'a, B: KernelBackend, N: Tunable<B> = AnyBackbone<B>> {
    tuned: &'a Tuned<B, N>,
    pass: Pass<'a, B, N>,
}

impl<'a, B: KernelBackend, N: Tunable<B>> Features<'a, B, N> {
    /// Returns the features of a task for a neck: every stage, normalised, `[batch, channels, height, width]`,
    /// the finest first.
    ///
    /// Single-task callers use task 0.
    pub fn of_task(&self, task: usize) -> Vec<Tensor<B, 4>> {
        self.pass.of_task(task)
    }

    /// Returns the maps that the features of all tasks are computed from.
    pub fn shared(&self) -> Vec<Tensor<B, 4>> {
        self.pass.maps()
    }

    /// Replaces the [shared](Self::shared) maps, in their order.
    pub fn with_shared(&self, shared: Vec<Tensor<B, 4>>) -> Self {
        Self {
            tuned: self.tuned,
            pass: self.pass.with_maps(shared),
        }
    }

    /// Returns the module that computes the features of a task.
    pub fn tuned(&self) -> &'a Tuned<B, N> {
        self.tuned
    }
}
