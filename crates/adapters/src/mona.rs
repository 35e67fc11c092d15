//! Mona: after the residual add of every branch,
//!
//! ```text
//! z = gamma * LN(x) + gamma_x * x;  u = W_D z + b_D
//! v = u + (DW3(u) + DW5(u) + DW7(u)) / 3;  w = v + PW(v)
//! y = x + W_U gelu(w) + b_U
//! ```
//!
//! with depthwise convolutions `DW`, a pointwise convolution `PW`, and initial values of 1e-6 for `gamma` and 1
//! for `gamma_x` (Yin et al. 2024, arXiv 2408.08345; width 64). The public code's dropout before `W_U` is left
//! out.
//!
//! The published counts are 4.16 M on Swin-B and 5.08 M on Swin-L; the equations result in 3.67 M and 5.27 M.
//! No module of this shape matches both: the two models differ by 6,016 channels of blocks times two points, so
//! 0.92 M would be 76 parameters per channel, but two projections of width 64 alone have 128.
//!
//! Memory: gradients pass through the whole backbone; each module also keeps the input of its norm and its
//! narrow maps.

use burn::module::{Module, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{Initializer, LayerNorm, LayerNormConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use gradway_backbone::Tunable;
use gradway_kernels::{
    ChannelAxis, ConvolutionOptions, KernelBackend, add, channels_first, channels_last,
    convolution, gelu, layer_norm, linear, scale_and_shift,
};
use serde::{Deserialize, Serialize};

use crate::count::Group;
use crate::inserted::{Insert, Inserted, InsertionPoints};
use crate::method::{About, Settings, in_range, unmergeable};

pub(crate) const ABOUT: About = About {
    name: "mona",
    summary: "a bottleneck with depthwise convolutions after every residual add, and the output norms",
    source: "Mona, arXiv 2408.08345",
    starts_frozen: false,
    merges: Err(unmergeable::ACTIVATION),
};

/// Sides of the depthwise kernels.
const KERNELS: [usize; 3] = [3, 5, 7];
/// Epsilon of the norm, PyTorch's default.
const EPSILON: f64 = 1e-5;

/// Configuration of [`Mona`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MonaConfig {
    /// Width of the bottleneck.
    pub width: usize,
}

impl Default for MonaConfig {
    fn default() -> Self {
        Self { width: 64 }
    }
}

/// The module of Mona.
pub type Mona<B, N> = Inserted<B, Cognitive<B>, N>;

/// The module of Mona at a point.
#[derive(Module, Debug)]
pub struct Cognitive<B: Backend> {
    /// `[channels]`
    pub norm: LayerNorm<B>,
    /// Factor of the normalised map, `[channels]`, 1e-6 at first.
    pub gamma: Param<Tensor<B, 1>>,
    /// Factor of the map itself, `[channels]`, 1 at first.
    pub gamma_x: Param<Tensor<B, 1>>,
    /// `[channels, width]`
    pub down: Linear<B>,
    /// Depthwise convolutions, `[width, 1, k, k]` each.
    pub filters: Vec<Conv2d<B>>,
    /// `[width, width, 1, 1]`
    pub pointwise: Conv2d<B>,
    /// `[width, channels]`
    pub up: Linear<B>,
}

impl MonaConfig {
    /// Initialises the module around a backbone.
    pub fn init<B: KernelBackend, N: Tunable<B>>(
        &self,
        backbone: N,
        device: &B::Device,
    ) -> Mona<B, N> {
        let width = self.width;
        let convolution = |kernel, groups| {
            Conv2dConfig::new([width, width], [kernel, kernel])
                .with_groups(groups)
                .with_padding(PaddingConfig2d::Same)
                .init(device)
        };
        Inserted::new(backbone, device, |section| {
            let channels = section.channels;
            let factor = |value| Initializer::Constant { value }.init([channels], device);
            Cognitive {
                norm: LayerNormConfig::new(channels)
                    .with_epsilon(EPSILON)
                    .init(device),
                gamma: factor(1e-6),
                gamma_x: factor(1.0),
                down: LinearConfig::new(channels, width).init(device),
                filters: KERNELS.map(|kernel| convolution(kernel, width)).into(),
                pointwise: convolution(1, 1),
                up: LinearConfig::new(width, channels).init(device),
            }
        })
    }
}

impl Settings for MonaConfig {
    fn validate(&self) -> Result<(), String> {
        in_range("width", self.width)
    }

    fn published_groups(&self) -> &'static [Group] {
        &[Group::Adapter]
    }
}

impl<B: KernelBackend> Insert<B> for Cognitive<B> {
    const POINTS: InsertionPoints = InsertionPoints::Residuals;
    const NEEDS_MAP: bool = true;

    fn insert(&self, _: &Tensor<B, 4>, output: Tensor<B, 4>, axis: ChannelAxis) -> Tensor<B, 4> {
        let mut adapted = self.forward(channels_last(output.clone(), axis));
        if axis == ChannelAxis::First {
            adapted = channels_first(adapted, ChannelAxis::Last);
        }
        add(adapted, output)
    }
}

impl<B: KernelBackend> Cognitive<B> {
    /// Returns the residual that is added to `x`, both `[batch, height, width, channels]`.
    fn forward(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        let beta = self.norm.beta.as_ref().map(|beta| beta.val());
        let gamma = self.norm.gamma.val();
        let beta = beta.unwrap_or_else(|| gamma.zeros_like());
        // The factor of the normalised map is one more scale of its norm.
        let factor = self.gamma.val();
        let normed = layer_norm(x.clone(), gamma * factor.clone(), beta * factor, EPSILON);
        let factor = self.gamma_x.val();
        let zero = factor.zeros_like();
        let mixed = add(scale_and_shift(x, factor, zero, ChannelAxis::Last), normed);
        let narrow = channels_first(apply(&self.down, mixed), ChannelAxis::Last);
        let filtered = add(self.filter(narrow.clone()), narrow);
        let [_, _, height, width] = filtered.dims();
        let bias = self.pointwise.bias.as_ref().map(Param::val);
        let options = ConvolutionOptions::same([height, width], 1, 1);
        let weight = self.pointwise.weight.val();
        let mixed = add(
            convolution(filtered.clone(), weight, bias, options),
            filtered,
        );
        apply(&self.up, channels_last(gelu(mixed), ChannelAxis::First))
    }

    /// Applies the mean of the depthwise convolutions, as one convolution with the largest kernel.
    fn filter(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        let side = KERNELS[KERNELS.len() - 1];
        let weights = self.filters.iter().map(|filter| {
            let weight = filter.weight.val();
            let margin = (side - weight.dims()[3]) / 2;
            weight.pad((margin, margin, margin, margin), 0.0)
        });
        let biases = self
            .filters
            .iter()
            .filter_map(|filter| filter.bias.as_ref());
        let weight = Tensor::stack::<5>(weights.collect(), 0)
            .mean_dim(0)
            .squeeze_dim(0);
        let bias = Tensor::stack::<2>(biases.map(Param::val).collect(), 0).mean_dim(0);
        let [_, channels, height, width] = x.dims();
        let options = ConvolutionOptions::same([height, width], side, 1).with_groups(channels);
        convolution(x, weight, Some(bias.squeeze_dim(0)), options)
    }
}

fn apply<B: KernelBackend>(layer: &Linear<B>, x: Tensor<B, 4>) -> Tensor<B, 4> {
    linear(x, layer.weight.val(), layer.bias.as_ref().map(Param::val))
}
