//! E3VA: adapters on a gradient highway beside a frozen backbone (arXiv 2306.09729).
//!
//! ```text
//! frozen, untracked:  a_l = (S)W-MSA(LN1(x_l));  x'_l = x_l + a_l;  m_l = MLP(LN2(x'_l));  x_{l+1} = x'_l + m_l
//! adapter:            E(z) = W_U gelu(W_D z + b_D) + b_U,  W_D = P_D Q_D,  W_U = P_U Q_U
//! highway:            h_{l+1} = h_l + E_msa(a_l) + E_mlp(m_l)
//! stage boundary:     h <- PatchMerging_frozen(h)
//! output of stage s:  norm_s(x_s + h_s), norm_s trainable
//! ```
//!
//! Memory: the backbone keeps nothing. Each adapter keeps its input, which the backbone computes anyway, and
//! recomputes its bottleneck in the backward pass; each stage boundary and output norm keeps one map. No
//! gradient passes through the backbone.
//!
//! On a convolutional backbone there is one tap per block, the block's branch, and the highway crosses section boundaries
//! through the backbone's [transition](gradway_backbone::Backbone::transition): the frozen norm and convolution of a
//! ConvNeXt, and none with parameters in an EfficientNet-Lite. This is an extension of ours, since the paper defines E3VA on a
//! Swin.
//!
//! In a plain vision transformer a stage is a quarter of the blocks, the taps are the branches after LayerScale, and the
//! highway passes every token on its own from end to end. An output has the patches `p` alone; what the other tokens, class
//! and registers, do in it is [`Readout`]:
//!
//! ```text
//! ignore:  norm_s(x_p + h_p)
//! add:     norm_s(x_p + h_p + mean over others o of h_o)
//! ```

mod config;
mod module;
mod taps;

use burn::tensor::Tensor;
use gradway_backbone::{Backbone, Phase};
use gradway_kernels::{KernelBackend, Lift};

use crate::method::{About, unmergeable};
use crate::placement::Beside;
use taps::Taps;

pub use crate::dual_low_rank::{DualLowRankAdapter, UpInit};
pub use crate::highway::Readout;
pub use config::{E3vaConfig, Factorization, Fusion, OutputNorm, Skip, Start, Tap};
pub use module::E3va;

pub(crate) const ABOUT: About = About {
    name: "e3va",
    summary: "dual low-rank adapters on a highway beside the backbone, and the output norms",
    source: "E3VA, arXiv 2306.09729",
    starts_frozen: false,
    merges: Err(unmergeable::HIGHWAY),
};

impl<B: KernelBackend> Beside<B> for E3va<B> {
    fn features<F: KernelBackend, L: Lift<F, B>>(
        &self,
        frozen: &impl Backbone<F>,
        images: Tensor<F, 4>,
        _phase: Phase,
    ) -> Vec<Tensor<B, 4>> {
        let mut taps = Taps::<B, F, L, _>::new(self, frozen);
        // The stage outputs are read at their access points; what the backbone returns is dropped.
        frozen.forward(images, Phase::Inference, &mut taps);
        taps.into_features()
    }
}
