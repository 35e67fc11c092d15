//! The gradient highway beside a frozen backbone (E3VA, arXiv 2306.09729).

use std::marker::PhantomData;

use burn::tensor::Tensor;
use gradway_backbone::{Backbone, Description};
use gradway_kernels::{KernelBackend, Lift, add};
use serde::{Deserialize, Serialize};

/// What the class and register tokens of a plain vision transformer do in a highway's output: the read operation of DPT
/// (Ranftl et al. 2021, arXiv 2103.13413, section 3).
///
/// A highway passes every token by itself, so without it nothing of these tokens reaches a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Readout {
    /// They are left out.
    #[default]
    Ignore,
    /// The mean of their highways is added to that of every patch.
    Add,
}

impl Readout {
    /// Returns why it has no effect on a backbone, if it has none.
    pub(crate) fn misfit(self, backbone: &Description) -> Option<&'static str> {
        (self != Self::default() && !backbone.has_tokens).then_some(
            "method.readout = \"add\", but it has no class or register tokens; it must be \"ignore\"",
        )
    }
}

/// The stream `h`: the sum of the adapters so far, on the autodiff backend.
pub(crate) struct Highway<'a, B: KernelBackend, F: KernelBackend, L: Lift<F, B>, N> {
    backbone: &'a N,
    readout: Readout,
    /// `None` while it is zero.
    stream: Option<Tensor<B, 4>>,
    lift: PhantomData<(F, L)>,
}

impl<'a, B, F, L, N> Highway<'a, B, F, L, N>
where
    B: KernelBackend,
    F: KernelBackend,
    L: Lift<F, B>,
    N: Backbone<F>,
{
    pub(crate) fn new(backbone: &'a N, readout: Readout) -> Self {
        Self {
            backbone,
            readout,
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
        let size = axis.size(output.dims());
        match self.readout {
            Readout::Ignore => self.backbone.stage_map(stream, size),
            Readout::Add => {
                let map = self.backbone.stage_map(stream.clone(), size);
                add_mean_of_others(map, stream)
            }
        }
    }
}

/// Adds the mean of the tokens in front of the patches to every patch of a map.
///
/// # Shapes
///
/// - `map`, output: `[batch, height, width, channels]`
/// - `tokens`: `[batch, 1, tokens, channels]`, the patches last
fn add_mean_of_others<B: KernelBackend>(map: Tensor<B, 4>, tokens: Tensor<B, 4>) -> Tensor<B, 4> {
    let [batch, height, width, channels] = map.dims();
    let patches = height * width;
    let others = tokens.dims()[2] - patches;
    let mean = tokens.narrow(2, 0, others).mean_dim(2);
    let mean = mean.repeat_dim(2, patches);
    add(map, mean.reshape([batch, height, width, channels]))
}
