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

    /// Ends a section: returns the map of `h`, with the section's output added if `is_added`, and passes `h` through
    /// the backbone's frozen transition to the next section. `None` while `h` is zero, or if the section ends no stage.
    pub(crate) fn end_section(
        &mut self,
        section: usize,
        output: &Tensor<F, 4>,
        is_added: bool,
    ) -> Option<Tensor<B, 4>> {
        let sections = self.backbone.description().sections;
        let joined = match (&self.stream, sections[section].stage) {
            (Some(stream), Some(_)) => {
                let map = self.map(stream.clone(), output);
                Some(match is_added {
                    true => add(L::lift(output.clone()), map),
                    false => map,
                })
            }
            _ => None,
        };
        if section + 1 < sections.len() {
            let stream = self.stream.take();
            self.stream = stream.map(|stream| self.backbone.transition::<B, L>(section, stream));
        }
        joined
    }

    /// Returns the map of a stream beside the backbone's, for a section with this output.
    pub(crate) fn map(&self, stream: Tensor<B, 4>, output: &Tensor<F, 4>) -> Tensor<B, 4> {
        let axis = self.backbone.description().axis;
        self.backbone.stage_map(stream, axis.size(output.dims()))
    }
}
