//! The stream of a gradient highway beside a frozen backbone (E3VA, arXiv 2306.09729).

use std::marker::PhantomData;

use burn::tensor::Tensor;
use gradway_backbone::{AnyBackbone, Backbone};
use gradway_kernels::{KernelBackend, Lift, add};

/// `h`: what adapters beside the backbone have added up so far, on the backend that differentiates.
pub(crate) struct Highway<'a, B: KernelBackend, F: KernelBackend, L: Lift<F, B>> {
    backbone: &'a AnyBackbone<F>,
    /// Absent while it is zero.
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

    /// `h` at the end of a section, beside the section's output where the two are added up; `h` goes on to
    /// the next section through the backbone's frozen transition.
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
