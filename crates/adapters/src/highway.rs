//! The gradient highway beside a frozen backbone (E3VA, arXiv 2306.09729).

use std::marker::PhantomData;

use burn::tensor::Tensor;
use gradway_backbone::{AnyBackbone, Backbone};
use gradway_kernels::{KernelBackend, Lift, add};

/// The stream `h`: the sum of the adapters so far, on the autodiff backend.
pub(crate) struct Highway<'a, B: KernelBackend, F: KernelBackend, L: Lift<F, B>> {
    backbone: &'a AnyBackbone<F>,
    /// `None` while it is zero.
    stream: Option<Tensor<B, 4>>,
    lift: PhantomData<L>,
}

impl<'a, B: KernelBackend, F: KernelBackend, L: Lift<F, B>> Highway<'a, B, F, L> {
    pub(crate) fn new(backbone: &'a AnyBackbone<F>) -> Self {
        Self {
            backbone,
            stream: None,
            lift: PhantomData,
        }
    }

    /// `h <- h + x`
    pub(crate) fn add(&mut self, x: Tensor<B, 4>) {
        self.stream = Some(match self.stream.take() {
            Some(stream) => add(stream, x),
            None => x,
        });
    }

    /// Ends a section: records `h`, with the section's output if the two are added, and passes `h` through the
    /// backbone's frozen transition to the next section.
    pub(crate) fn end_section(
        &mut self,
        section: usize,
        output: Option<&Tensor<F, 4>>,
    ) -> Option<Tensor<B, 4>> {
        let sections = self.backbone.description().sections;
        let joined = match (&self.stream, sections[section].stage) {
            (Some(stream), Some(_)) => Some(match output {
                Some(output) => add(L::lift(output.clone()), stream.clone()),
                None => stream.clone(),
            }),
            _ => None,
        };
        if section + 1 < sections.len() {
            let stream = self.stream.take();
            self.stream = stream.map(|stream| self.backbone.transition::<B, L>(section, stream));
        }
        joined
    }
}
