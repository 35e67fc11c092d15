//! Adapters in the branches: `y = f(x) + W_U gelu(W_D f(x) + b_D) + b_U` after attention and after the MLP,
//! before the residual add (Houlsby et al. 2019, arXiv 1902.00751; bottleneck width 64, as in E3VA's tables).
//!
//! Memory: gradients pass through the whole backbone; each adapter also keeps its narrow map.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_backbone::Tunable;
use gradway_kernels::{Activation, ChannelAxis, KernelBackend, add};
use serde::{Deserialize, Serialize};

use crate::bottleneck::Bottleneck;
use crate::count::Group;
use crate::inserted::{Insert, Inserted};
use crate::method::{About, Settings, in_range, unmergeable};

pub(crate) const ABOUT: About = About {
    name: "adapter",
    summary: "a bottleneck after attention and after the MLP, and the output norms",
    source: "Adapter, arXiv 1902.00751",
    starts_frozen: true,
    merges: Err(unmergeable::ACTIVATION),
};

/// Configuration of [`Adapter`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdapterConfig {
    /// Width of the bottleneck.
    pub width: usize,
}

impl Default for AdapterConfig {
    fn default() -> Self {
        Self { width: 64 }
    }
}

/// The module of adapters.
pub type Adapter<B, N> = Inserted<B, Residual<B>, N>;

/// A bottleneck that is added to its input.
#[derive(Module, Debug)]
pub struct Residual<B: Backend> {
    /// The bottleneck; its output is zero at first.
    pub bottleneck: Bottleneck<B>,
}

impl AdapterConfig {
    /// Initialises the module around a backbone.
    pub fn init<B: KernelBackend, N: Tunable<B>>(
        &self,
        backbone: N,
        device: &B::Device,
    ) -> Adapter<B, N> {
        Inserted::new(backbone, device, |section| Residual {
            bottleneck: Bottleneck::new(section.channels, self.width, device),
        })
    }
}

impl Settings for AdapterConfig {
    fn validate(&self) -> Result<(), String> {
        in_range("width", self.width)
    }

    fn published_groups(&self) -> &'static [Group] {
        &[Group::Adapter]
    }
}

impl<B: KernelBackend> Insert<B> for Residual<B> {
    fn insert(&self, _: &Tensor<B, 4>, output: Tensor<B, 4>, axis: ChannelAxis) -> Tensor<B, 4> {
        let adapted = self
            .bottleneck
            .forward(output.clone(), axis, Activation::Gelu);
        add(adapted, output)
    }
}
