//! A frozen backbone with bottlenecks whose weights are made for a task: what hypernetwork methods share.
//!
//! Tasks differ inside the backbone, so that every task needs a pass of its own: time and memory of a step
//! grow with their number.

use burn::module::{Module, ModuleDisplay, Param};
use burn::nn::Initializer;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_backbone::{Access, AnyBackbone, Backbone, Description, OutputNorms, Phase, Site};
use gradway_kernels::{Activation, KernelBackend, Lift, add};

use crate::bottleneck::{Projection, bottleneck};
use crate::inserted::Places;
use crate::method::{Method, features_around, of_task};
use crate::track::frozen_backbone;

/// What makes the bottlenecks of a task.
pub trait Hypernetworks<B: Backend>: Module<B> + ModuleDisplay {
    /// The projections, down and up, that a task with this embedding, `[1, embedding]`, has at a section,
    /// block and branch.
    fn projections(&self, embedding: Tensor<B, 2>) -> impl Fn([usize; 3]) -> [Projection<B>; 2];
}

/// A frozen backbone, the embeddings of tasks and what makes bottlenecks of them, and its output norms.
#[derive(Module, Debug)]
pub struct Conditioned<B: Backend, H: Module<B>> {
    /// Frozen.
    pub backbone: AnyBackbone<B>,
    /// `e_t`, `[tasks, embedding]`, standard normal.
    pub embeddings: Param<Tensor<B, 2>>,
    /// Shared by the tasks.
    pub hypernetworks: H,
    /// Trained.
    pub norms: OutputNorms<B>,
}

impl<B: KernelBackend, H: Hypernetworks<B>> Conditioned<B, H> {
    /// With embeddings of `[tasks, width]`.
    pub(crate) fn new(
        backbone: AnyBackbone<B>,
        embeddings: [usize; 2],
        hypernetworks: H,
        device: &B::Device,
    ) -> Self {
        let normal = Initializer::Normal {
            mean: 0.0,
            std: 1.0,
        };
        Self {
            embeddings: normal.init(embeddings, device),
            hypernetworks,
            norms: OutputNorms::new(&backbone.description(), device),
            backbone: frozen_backbone(backbone),
        }
    }
}

impl<B: KernelBackend, H: Hypernetworks<B>> Method<B> for Conditioned<B, H> {
    fn features<F: KernelBackend, L: Lift<F, B>>(
        &self,
        _frozen: Option<&AnyBackbone<F>>,
        images: Tensor<F, 4>,
        phase: Phase,
    ) -> Vec<Tensor<B, 4>> {
        let (backbone, norms) = (&self.backbone, &self.norms);
        let passes = (0..self.tasks()).flat_map(|task| {
            let embedding = self.embeddings.val().narrow(0, task, 1);
            let mut inside = Inside {
                description: &backbone.description(),
                projections: self.hypernetworks.projections(embedding),
            };
            features_around::<B, F, L>(backbone, norms, images.clone(), phase, &mut inside)
        });
        passes.collect()
    }

    fn tasks(&self) -> usize {
        self.embeddings.dims()[0]
    }

    fn of_task(&self, features: &[Tensor<B, 4>], task: usize) -> Vec<Tensor<B, 4>> {
        of_task(features, task, self.tasks())
    }
}

struct Inside<'a, P> {
    description: &'a Description,
    projections: P,
}

impl<B: KernelBackend, P: Fn([usize; 3]) -> [Projection<B>; 2]> Access<B> for Inside<'_, P> {
    fn at(&mut self, site: Site, _: &Tensor<B, 4>, output: Tensor<B, 4>) -> Tensor<B, 4> {
        let Some(branch) = Places::Branches.index(self.description, site.point) else {
            return output;
        };
        let projections = (self.projections)([site.section, site.block, branch]);
        let axis = self.description.axis;
        let adapted = bottleneck(output.clone(), projections, axis, Activation::Gelu);
        add(adapted, output)
    }
}
