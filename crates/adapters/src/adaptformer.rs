//! AdaptFormer: bottlenecks parallel to the branches, `y = f(x) + s (W_U relu(W_D x + b_D) + b_U)` with the
//! input `x` of the branch and a scale `s` of 0.1 (Chen et al. 2022, arXiv 2205.13535).
//!
//! The publication has one parallel to the MLP; E3VA's counts (3.11 M on Swin-B) include one parallel to attention.
//!
//! Memory: gradients pass through the whole backbone; each bottleneck also keeps its narrow map.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_backbone::{Description, Tunable};
use gradway_kernels::{Activation, ChannelAxis, KernelBackend, add};
use serde::{Deserialize, Serialize};

use crate::bottleneck::Bottleneck;
use crate::count::Group;
use crate::inserted::{Insert, Inserted};
use crate::method::{About, Settings, finite, in_range, unmergeable};

pub(crate) const ABOUT: About = About {
    name: "adaptformer",
    summary: "a scaled bottleneck beside attention and beside the MLP, and the output norms",
    source: "AdaptFormer, arXiv 2205.13535",
    starts_frozen: true,
    merges: Err(unmergeable::ACTIVATION),
};

/// Configuration of [`Adaptformer`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdaptformerConfig {
    /// Width of the bottleneck.
    pub width: usize,
    /// Scale of a bottleneck's output.
    pub scale: f64,
}

impl Default for AdaptformerConfig {
    fn default() -> Self {
        Self {
            width: 64,
            scale: 0.1,
        }
    }
}

/// The module of AdaptFormer.
pub type Adaptformer<B, N> = Inserted<B, Beside<B>, N>;

/// A bottleneck parallel to a branch.
#[derive(Module, Debug)]
pub struct Beside<B: Backend> {
    /// The bottleneck; its output is zero at first.
    pub bottleneck: Bottleneck<B>,
    /// Scale of its output.
    pub scale: f64,
}

impl AdaptformerConfig {
    /// Initialises the module around a backbone.
    pub fn init<B: KernelBackend, N: Tunable<B>>(
        &self,
        backbone: N,
        device: &B::Device,
    ) -> Adaptformer<B, N> {
        Inserted::new(backbone, device, |section| Beside {
            bottleneck: Bottleneck::new(section.channels, self.width, device),
            scale: self.scale,
        })
    }
}

impl Settings for AdaptformerConfig {
    fn validate(&self) -> Result<(), String> {
        in_range("width", self.width)?;
        finite("scale", self.scale)
    }

    fn published_groups(&self) -> &'static [Group] {
        &[Group::Adapter]
    }

    fn misfit(&self, backbone: &Description) -> Option<&'static str> {
        let reason =
            "a bottleneck beside a branch keeps the shape of the map, but its branches change it";
        (!backbone.has_mlps()).then_some(reason)
    }
}

impl<B: KernelBackend> Insert<B> for Beside<B> {
    fn insert(
        &self,
        input: &Tensor<B, 4>,
        output: Tensor<B, 4>,
        axis: ChannelAxis,
    ) -> Tensor<B, 4> {
        let adapted = self
            .bottleneck
            .forward(input.clone(), axis, Activation::Relu);
        add(adapted.mul_scalar(self.scale), output)
    }
}
