//! A frozen backbone with bottlenecks whose weights are generated for each task: the common part of
//! hypernetwork methods.
//!
//! Tasks differ inside the backbone, so every task needs its own pass: the time and memory of a step grow with
//! the number of tasks.

use burn::module::{Module, ModuleDisplay, Param};
use burn::nn::Initializer;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_backbone::{Access, Description, OutputNorms, Phase, Site, Tunable};
use gradway_kernels::{Activation, KernelBackend, add};

use crate::bottleneck::{Projection, bottleneck};
use crate::inserted::InsertionPoints;
use crate::method::Method;
use crate::placement::{Around, features_around};
use crate::track::frozen_backbone;

/// The reason why tasks cannot be added to a trained model.
pub(crate) const SHARED_HYPERNETWORKS: &str = "its tasks share the hypernetworks, and their embeddings are one parameter; a new task would have \
     nothing of its own to train";

/// Hypernetworks that generate the bottlenecks of a task.
pub trait Hypernetworks<B: Backend>: Module<B> + ModuleDisplay {
    /// Returns the down and up projections of a task with this embedding, `[1, embedding]`, by section, block
    /// and branch.
    fn projections(&self, embedding: Tensor<B, 2>) -> impl Fn([usize; 3]) -> [Projection<B>; 2];
}

/// A frozen backbone with output norms, the embeddings of the tasks, and the hypernetworks.
#[derive(Module, Debug)]
pub struct Conditioned<B: Backend, H: Module<B>, N: Module<B>> {
    /// The frozen backbone.
    pub backbone: N,
    /// `e_t`, `[tasks, embedding]`, standard normal.
    pub embeddings: Param<Tensor<B, 2>>,
    /// The hypernetworks, shared by the tasks.
    pub hypernetworks: H,
    /// Output norms, trained.
    pub norms: OutputNorms<B>,
}

impl<B: KernelBackend, H: Hypernetworks<B>, N: Tunable<B>> Conditioned<B, H, N> {
    /// Creates the module with embeddings of `[tasks, width]`.
    pub(crate) fn new(
        backbone: N,
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

impl<B: KernelBackend, H: Hypernetworks<B>, N: Tunable<B>> Method<B> for Conditioned<B, H, N> {
    /// The features of every task.
    type Shared = Vec<Vec<Tensor<B, 4>>>;

    fn tasks(&self) -> usize {
        self.embeddings.dims()[0]
    }

    fn of_task(&self, tasks: &Vec<Vec<Tensor<B, 4>>>, task: usize) -> Vec<Tensor<B, 4>> {
        tasks[task].clone()
    }
}

impl<B: KernelBackend, H: Hypernetworks<B>, N: Tunable<B>> Around<B, N> for Conditioned<B, H, N> {
    fn features(&self, images: Tensor<B, 4>, phase: Phase) -> Vec<Vec<Tensor<B, 4>>> {
        let (backbone, norms) = (&self.backbone, &self.norms);
        let passes = (0..self.tasks()).map(|task| {
            let embedding = self.embeddings.val().narrow(0, task, 1);
            let mut access = ConditionedAccess {
                description: &backbone.description(),
                projections: self.hypernetworks.projections(embedding),
            };
            let phase = phase.stream(&format!("task {task}"));
            features_around(backbone, norms, images.clone(), phase, &mut access)
        });
        passes.collect()
    }
}

struct ConditionedAccess<'a, P> {
    description: &'a Description,
    projections: P,
}

impl<B: KernelBackend, P: Fn([usize; 3]) -> [Projection<B>; 2]> Access<B>
    for ConditionedAccess<'_, P>
{
    fn at(&mut self, site: Site, _: &Tensor<B, 4>, output: Tensor<B, 4>) -> Tensor<B, 4> {
        let Some(branch) = InsertionPoints::Branches.index(self.description, site.point) else {
            return output;
        };
        let projections = (self.projections)([site.section, site.block, branch]);
        let axis = self.description.axis;
        let adapted = bottleneck(output.clone(), projections, axis, Activation::Gelu);
        add(adapted, output)
    }
}
