//! A block of a plain vision transformer: attention and an MLP, each after a layer norm and with a residual add.

use burn::module::{Module, Param};
use burn::nn::{LayerNorm, Linear};
use burn::tensor::Tensor;
use burn::tensor::activation::silu;
use burn::tensor::backend::Backend;
use gradway_kernels::{KernelBackend, Rotations, add, feed_forward, gelu, layer_norm, linear};

use super::attention::Attention;
use super::{VitConfig, norm};
use crate::access::{Access, BlockAccess, Point};
use crate::drop_path::DropPath;
use crate::layer_scale::LayerScale;
use crate::operation::Operation;
use crate::transformer::{TransformerBlock, linear_layer};

/// The scale of a branch before training, as in DINOv2.
const SCALE: f64 = 1e-5;

/// The MLP of a block.
#[derive(Module, Debug)]
pub struct Mlp<B: Backend> {
    /// The first layer of a SwiGLU's gate, `[channels, hidden]` (Shazeer 2020, arXiv 2002.05202, equation 6); `None`
    /// where GELU follows the first layer.
    pub fc1_g: Option<Linear<B>>,
    /// `[channels, hidden]`
    pub fc1: Linear<B>,
    /// `[hidden, channels]`
    pub fc2: Linear<B>,
}

/// A block of a plain vision transformer.
#[derive(Module, Debug)]
pub struct VitBlock<B: Backend> {
    /// `[channels]`
    pub norm1: LayerNorm<B>,
    /// Attention branch.
    pub attn: Attention<B>,
    /// Scale of the attention branch.
    pub ls1: Option<LayerScale<B>>,
    /// `[channels]`
    pub norm2: LayerNorm<B>,
    /// MLP branch.
    pub mlp: Mlp<B>,
    /// Scale of the MLP branch.
    pub ls2: Option<LayerScale<B>>,
    /// Probability of dropping a branch for an image in training.
    pub drop_path: f64,
    /// Epsilon of the norms.
    pub epsilon: f64,
}

impl<B: Backend> VitBlock<B> {
    pub(super) fn new(config: &VitConfig, position: f64, device: &B::Device) -> Self {
        let channels = config.channels;
        let hidden = 4 * channels;
        let scale = || {
            config
                .layer_scale
                .then(|| LayerScale::new(channels, SCALE, device))
        };
        Self {
            norm1: norm(config, device),
            attn: Attention::new(config, device),
            ls1: scale(),
            norm2: norm(config, device),
            mlp: Mlp {
                fc1_g: config
                    .swiglu
                    .then(|| linear_layer(channels, hidden, device)),
                fc1: linear_layer(channels, hidden, device),
                fc2: linear_layer(hidden, channels, device),
            },
            ls2: scale(),
            drop_path: config.drop_path * position,
            epsilon: config.epsilon,
        }
    }

    pub(super) fn hidden(&self) -> usize {
        self.mlp.fc1.weight.lazy_shape()[1]
    }

    /// Returns the operation whose output is at an access point of the block.
    pub(super) fn operation(&mut self, point: Point) -> Option<Operation<'_, B>> {
        match point {
            Point::AttentionNorm => Some(Operation::Norm(&mut self.norm1)),
            Point::QueryKeyValue => Some(Operation::Linear(&mut self.attn.qkv)),
            Point::Projection => Some(Operation::Linear(&mut self.attn.proj)),
            Point::MlpNorm => Some(Operation::Norm(&mut self.norm2)),
            Point::MlpIn => Some(Operation::Linear(&mut self.mlp.fc1)),
            Point::MlpOut => Some(Operation::Linear(&mut self.mlp.fc2)),
            _ => None,
        }
    }
}

impl<B: KernelBackend> VitBlock<B> {
    fn normalise<const D: usize>(&self, norm: &LayerNorm<B>, x: Tensor<B, D>) -> Tensor<B, D> {
        let gamma = norm.gamma.val();
        let beta = match &norm.beta {
            Some(beta) => beta.val(),
            None => gamma.zeros_like(),
        };
        layer_norm(x, gamma, beta, self.epsilon)
    }

    /// # Shapes
    ///
    /// - `x`, output: `[batch, 1, tokens, channels]`
    pub(super) fn forward(
        &self,
        x: Tensor<B, 4>,
        rotations: Option<&Rotations<B>>,
        drop_path: &mut DropPath,
        access: &mut BlockAccess<'_, impl Access<B>>,
    ) -> Tensor<B, 4> {
        let input = x.clone();
        let normed = access.at(
            Point::AttentionNorm,
            &x,
            self.normalise(&self.norm1, x.clone()),
        );
        let branch = scaled(
            self.ls1.as_ref(),
            self.attn.forward(normed, rotations, access),
        );
        let branch = access.at(Point::Attention, &x, branch);
        let x = add(drop_path.apply(branch, self.drop_path), x);
        let x = access.at(Point::AttentionResidual, &input, x);

        let normed = access.at(Point::MlpNorm, &x, self.normalise(&self.norm2, x.clone()));
        let branch = scaled(self.ls2.as_ref(), self.mlp.forward(normed, access));
        let branch = access.at(Point::Mlp, &x, branch);
        let x = add(drop_path.apply(branch, self.drop_path), x);
        access.at(Point::Block, &input, x)
    }
}

impl<B: KernelBackend> TransformerBlock<B> for VitBlock<B> {
    fn before_mlp(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        self.normalise(&self.norm2, x)
    }

    fn tokens_query_key_value(&self, tokens: Tensor<B, 3>) -> Tensor<B, 3> {
        apply(&self.attn.qkv, self.normalise(&self.norm1, tokens))
    }

    fn tokens_after_attention(&self, tokens: Tensor<B, 3>, mixed: Tensor<B, 3>) -> Tensor<B, 3> {
        let branch = apply(&self.attn.proj, mixed).unsqueeze_dim(1);
        let tokens = add(scaled(self.ls1.as_ref(), branch), tokens.unsqueeze_dim(1));
        let normed = self.normalise(&self.norm2, tokens.clone());
        let branch = scaled(self.ls2.as_ref(), self.mlp.together(normed));
        add(branch, tokens).squeeze_dim(1)
    }
}

fn scaled<B: KernelBackend>(scale: Option<&LayerScale<B>>, x: Tensor<B, 4>) -> Tensor<B, 4> {
    match scale {
        Some(scale) => scale.forward(x),
        None => x,
    }
}

fn apply<B: KernelBackend, const D: usize>(layer: &Linear<B>, x: Tensor<B, D>) -> Tensor<B, D> {
    linear(x, layer.weight.val(), layer.bias.as_ref().map(Param::val))
}

impl<B: KernelBackend> Mlp<B> {
    /// All layers as one operator where there is one.
    fn together(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        if self.fc1_g.is_some() {
            let wide = self.activated(apply(&self.fc1, x.clone()), x);
            return apply(&self.fc2, wide);
        }
        let layers = [&self.fc1, &self.fc2].map(|layer| {
            let bias = layer.bias.as_ref().map(Param::val);
            (layer.weight.val(), bias)
        });
        feed_forward(x, layers)
    }

    /// What follows the first layer.
    fn activated(&self, wide: Tensor<B, 4>, x: Tensor<B, 4>) -> Tensor<B, 4> {
        match &self.fc1_g {
            Some(gate) => silu(apply(gate, x)) * wide,
            None => gelu(wide),
        }
    }

    fn forward(
        &self,
        x: Tensor<B, 4>,
        access: &mut BlockAccess<'_, impl Access<B>>,
    ) -> Tensor<B, 4> {
        if !access.reads_mlp() {
            return self.together(x);
        }
        let wide = access.at(Point::MlpIn, &x, apply(&self.fc1, x.clone()));
        let wide = self.activated(wide, x);
        let output = apply(&self.fc2, wide.clone());
        access.at(Point::MlpOut, &wide, output)
    }
}
