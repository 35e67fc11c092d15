//! Bottlenecks whose weights are made for a task: what hypernetwork methods share.
//!
//! Tasks differ inside the backbone, so that every task needs a pass of its own: time and memory of a step
//! grow with their number.

use burn::tensor::Tensor;
use gradway_backbone::{Access, AnyBackbone, Backbone, Description, OutputNorms, Phase, Site};
use gradway_kernels::{Activation, KernelBackend, Lift, add};

use crate::bottleneck::{Projection, bottleneck};
use crate::inserted::Places;

/// The features of all tasks, one after the other, each by a pass with the projections that `weights` has
/// for the task, the section, the block and the branch.
pub(crate) fn a_pass_for_each_task<B: KernelBackend, F: KernelBackend, L: Lift<F, B>>(
    backbone: &AnyBackbone<B>,
    norms: &OutputNorms<B>,
    images: Tensor<F, 4>,
    phase: Phase,
    tasks: usize,
    weights: impl Fn(usize, [usize; 3]) -> [Projection<B>; 2],
) -> Vec<Tensor<B, 4>> {
    let description = backbone.description();
    let passes = (0..tasks).flat_map(|task| {
        let mut inside = Inside {
            description: &description,
            weights: |place| weights(task, place),
        };
        let outputs = backbone.forward(L::lift(images.clone()), phase, &mut inside);
        norms.forward_all(outputs, description.axis)
    });
    passes.collect()
}

/// Those of a task among the features of so many.
pub(crate) fn of_task<B: KernelBackend>(
    features: &[Tensor<B, 4>],
    task: usize,
    tasks: usize,
) -> Vec<Tensor<B, 4>> {
    let stages = features.len() / tasks;
    features[task * stages..(task + 1) * stages].to_vec()
}

struct Inside<'a, W> {
    description: &'a Description,
    weights: W,
}

impl<B: KernelBackend, W: Fn([usize; 3]) -> [Projection<B>; 2]> Access<B> for Inside<'_, W> {
    fn at(&mut self, site: Site, _: &Tensor<B, 4>, output: Tensor<B, 4>) -> Tensor<B, 4> {
        let Some(branch) = Places::Branches.index(self.description, site.point) else {
            return output;
        };
        let projections = (self.weights)([site.section, site.block, branch]);
        let axis = self.description.axis;
        let adapted = bottleneck(output.clone(), projections, axis, Activation::Gelu);
        add(adapted, output)
    }
}
