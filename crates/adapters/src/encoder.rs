//! A backbone and the module that tunes it.

use burn::module::Module;
use burn::tensor::Tensor;
use gradway_backbone::{AnyBackbone, Backbone, Depths, Description, Phase, Precision};
use gradway_kernels::{Constant, KernelBackend, Same, TrainBackend};

use crate::method::Misfit;
use crate::settle::settle;
use crate::table::{MethodConfig, Pass, Tuned};

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
        let (frozen, tuned) = config.place::<B>(backbone, &description, device);
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

    /// The backbone that a method is beside.
    ///
    /// # Panics
    ///
    /// If there is none: the module that asks for it is not the one that was made with this encoder, a mistake of the
    /// programmer.
    fn beside(&self) -> &AnyBackbone<B::InnerBackend> {
        let frozen = self.frozen.as_ref();
        frozen.expect("an encoder and the module that was made with it go together")
    }

    /// What one pass makes of images, for a training step.
    ///
    /// # Shapes
    ///
    /// - `images`: `[batch, 3, height, width]`, normalised
    ///
    /// # Panics
    ///
    /// If `tuned` was made with another encoder, around its backbone and not beside it.
    pub fn features<'a>(
        &self,
        tuned: &'a Tuned<B>,
        images: Tensor<B::InnerBackend, 4>,
        phase: Phase,
    ) -> Features<'a, B> {
        let images = self.images(images);
        Features {
            tuned,
            pass: tuned.pass::<B::InnerBackend, Constant>(|| self.beside(), images, phase),
        }
    }

    /// The same without a graph, of a module from
    /// [`AutodiffModule::valid`](burn::module::AutodiffModule::valid).
    ///
    /// # Panics
    ///
    /// As [`Self::features`].
    pub fn features_inference<'a>(
        &self,
        tuned: &'a Tuned<B::InnerBackend>,
        images: Tensor<B::InnerBackend, 4>,
    ) -> Features<'a, B::InnerBackend> {
        let (images, phase) = (self.images(images), Phase::Inference);
        Features {
            tuned,
            pass: tuned.pass::<B::InnerBackend, Same>(|| self.beside(), images, phase),
        }
    }
}

/// What one pass through a backbone makes of images, for any number of tasks.
#[derive(Debug, Clone)]
pub struct Features<'a, B: KernelBackend> {
    tuned: &'a Tuned<B>,
    pass: Pass<'a, B>,
}

impl<'a, B: KernelBackend> Features<'a, B> {
    /// What a neck receives: every stage, normalised, `[batch, channels, height, width]`, the finest first.
    ///
    /// Whoever knows one task asks for that of task 0.
    pub fn of_task(&self, task: usize) -> Vec<Tensor<B, 4>> {
        self.pass.of_task(task)
    }

    /// The maps that the features of all tasks are made of.
    pub fn shared(&self) -> Vec<Tensor<B, 4>> {
        self.pass.maps()
    }

    /// The same of other maps in place of the [shared](Self::shared) ones, in their order.
    pub fn with_shared(&self, shared: Vec<Tensor<B, 4>>) -> Self {
        Self {
            tuned: self.tuned,
            pass: self.pass.with_maps(shared),
        }
    }

    /// The module that makes a task's features.
    pub fn tuned(&self) -> &'a Tuned<B> {
        self.tuned
    }
}
