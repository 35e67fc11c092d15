//! A backbone and the module that tunes it.

use burn::module::{AutodiffModule, Module};
use burn::tensor::Tensor;
use gradway_backbone::{AnyBackbone, Backbone, Description, Phase};
use gradway_kernels::{Constant, Same, TrainBackend};

use crate::method::{Method, Misfit, Placement};
use crate::table::{MethodConfig, Tuned};

/// The frozen side of a tuned backbone: the backbone of a highway method, or nothing where the
/// method's module holds the backbone itself.
///
/// What is trained ([`Tuned`]) is apart from it because the two live on different backends: the
/// types say that the frozen part cannot record a graph.
#[derive(Debug, Clone)]
pub struct Encoder<B: TrainBackend> {
    frozen: Option<AnyBackbone<B::InnerBackend>>,
    description: Description,
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
        let description = backbone.description();
        config.check(&description)?;
        let (frozen, tuned) = match config.descriptor().placement {
            Placement::Frozen => {
                let tuned = config.init_beside(&description, device);
                (Some(backbone), tuned)
            }
            Placement::Tracked => {
                let backbone = AnyBackbone::<B>::from_inner(backbone);
                (None, config.init_around(backbone, device))
            }
        };
        let encoder = Self {
            frozen,
            description,
        };
        Ok((encoder, tuned))
    }

    /// Parameters of the frozen side; those of a backbone inside the method's module are not among them.
    pub fn frozen_parameters(&self) -> usize {
        self.frozen.as_ref().map_or(0, Module::num_params)
    }

    /// Sections, widths and layout of the backbone.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// Features for a training step: `[batch, channels, height, width]` per stage.
    ///
    /// # Shapes
    ///
    /// - `images`: `[batch, 3, height, width]`, normalised
    pub fn features(
        &self,
        tuned: &Tuned<B>,
        images: Tensor<B::InnerBackend, 4>,
        phase: Phase,
    ) -> Vec<Tensor<B, 4>> {
        tuned.features::<B::InnerBackend, Constant>(self.frozen.as_ref(), images, phase)
    }

    /// Features without a graph, of a module from
    /// [`AutodiffModule::valid`](burn::module::AutodiffModule::valid).
    pub fn features_inference(
        &self,
        tuned: &Tuned<B::InnerBackend>,
        images: Tensor<B::InnerBackend, 4>,
    ) -> Vec<Tensor<B::InnerBackend, 4>> {
        tuned.features::<B::InnerBackend, Same>(self.frozen.as_ref(), images, Phase::Inference)
    }
}
