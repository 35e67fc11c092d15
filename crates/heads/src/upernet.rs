//! UPerNet (Xiao et al. 2018, arXiv 1807.10221): pyramid pooling on the coarsest stage and a
//! feature pyramid over the others, with mmsegmentation's conventions.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use burn::tensor::module::adaptive_avg_pool2d;
use gradway_backbone::Phase;
use gradway_kernels::{KernelBackend, add, resize_bilinear};
use serde::{Deserialize, Serialize};

use crate::convolution::{ConvNormRelu, Pointwise};
use crate::decoder::Decoder;
use crate::dropout::drop_channels;
use crate::fcn::FcnConfig;
use crate::head::{Auxiliary, HeadDescriptor, HeadSettings, HeadTask, drop_rate, in_range};
use crate::maps::MapShape;
use crate::neck::NeckConfig;
use crate::neck::pyramid::PyramidConfig;

pub(crate) const DESCRIPTOR: HeadDescriptor = HeadDescriptor {
    name: "upernet",
    task: HeadTask::Segmentation,
    summary: "pyramid pooling and a feature pyramid, with an FCN auxiliary",
    source: "UPerNet, arXiv 1807.10221",
};

/// Sides of the pooled maps.
const POOLS: [usize; 4] = [1, 2, 3, 6];

/// Configuration of a [`UPerNet`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UPerNetConfig {
    /// Number of channels of the pyramid.
    pub channels: usize,
    /// Probability of dropping a channel before the classifier.
    pub dropout: f64,
    /// Weight of the auxiliary loss; 0 for no auxiliary head.
    pub auxiliary_weight: f64,
    /// The auxiliary head.
    pub auxiliary: FcnConfig,
}

impl Default for UPerNetConfig {
    fn default() -> Self {
        Self {
            channels: 512,
            dropout: 0.1,
            auxiliary_weight: 0.4,
            auxiliary: FcnConfig::default(),
        }
    }
}

/// The decoder of UPerNet; its logits have the resolution of the finest stage.
#[derive(Module, Debug)]
pub struct UPerNet<B: Backend> {
    /// 1x1 convolutions, one per pooled map of the coarsest stage.
    pub pools: Vec<ConvNormRelu<B>>,
    /// 3x3 convolution over the coarsest stage and its pooled maps.
    pub bottleneck: ConvNormRelu<B>,
    /// 1x1 convolutions, one per stage but the coarsest.
    pub laterals: Vec<ConvNormRelu<B>>,
    /// 3x3 convolutions, one per level but the coarsest.
    pub pyramid: Vec<ConvNormRelu<B>>,
    /// 3x3 convolution over all levels.
    pub fuse: ConvNormRelu<B>,
    /// `[channels, classes]`
    pub classifier: Pointwise<B>,
    dropout: f64,
}

impl UPerNetConfig {
    /// Initialises a decoder for features with these channels.
    pub fn init<B: Backend>(
        &self,
        inputs: &[MapShape],
        classes: usize,
        device: &B::Device,
    ) -> UPerNet<B> {
        let channels = self.channels;
        let coarsest = inputs[inputs.len() - 1].channels;
        let finer = &inputs[..inputs.len() - 1];
        let stacked = coarsest + POOLS.len() * channels;
        UPerNet {
            pools: POOLS
                .iter()
                .map(|_| ConvNormRelu::new(coarsest, channels, 1, device))
                .collect(),
            bottleneck: ConvNormRelu::new(stacked, channels, 3, device),
            laterals: finer
                .iter()
                .map(|input| ConvNormRelu::new(input.channels, channels, 1, device))
                .collect(),
            pyramid: finer
                .iter()
                .map(|_| ConvNormRelu::new(channels, channels, 3, device))
                .collect(),
            fuse: ConvNormRelu::new(inputs.len() * channels, channels, 3, device),
            classifier: Pointwise::classifier(channels, classes, device),
            dropout: self.dropout,
        }
    }
}

impl HeadSettings for UPerNetConfig {
    fn validate(&self, maps: &[MapShape]) -> Result<(), String> {
        in_range("channels", self.channels)?;
        drop_rate("dropout", self.dropout)?;
        self.auxiliary.validate_as("auxiliary.", maps.len())
    }

    fn neck(&self) -> NeckConfig {
        NeckConfig::Pyramid(PyramidConfig::default())
    }

    fn coarsest_norm(&self, _: &[MapShape]) -> Option<f32> {
        None
    }

    fn auxiliary(&self) -> Option<Auxiliary> {
        let FcnConfig {
            stage,
            channels,
            dropout,
        } = self.auxiliary;
        let weight = self.auxiliary_weight;
        (weight > 0.0).then_some(Auxiliary {
            stage,
            channels,
            dropout,
            weight,
        })
    }
}

impl<B: KernelBackend> UPerNet<B> {
    /// Applies pyramid pooling (PSPNet, Zhao et al. 2017) to the coarsest stage.
    fn pool(&self, x: Tensor<B, 4>, phase: Phase) -> Tensor<B, 4> {
        let [_, _, height, width] = x.dims();
        let pooled = self.pools.iter().zip(POOLS).map(|(convolution, side)| {
            let pooled = adaptive_avg_pool2d(x.clone(), [side, side]);
            resize_bilinear(convolution.forward(pooled, phase), [height, width])
        });
        let stack = std::iter::once(x.clone()).chain(pooled).collect();
        self.bottleneck.forward(Tensor::cat(stack, 1), phase)
    }
}

impl<B: KernelBackend> Decoder<B> for UPerNet<B> {
    fn forward(&self, features: &[Tensor<B, 4>], phase: Phase) -> Tensor<B, 4> {
        let size = |x: &Tensor<B, 4>| [x.dims()[2], x.dims()[3]];
        let Some((coarsest, finer)) = features.split_last() else {
            unreachable!("an encoder has at least one stage")
        };
        // From coarse to fine: each level adds the one above to its lateral.
        let top = self.pool(coarsest.clone(), phase);
        let mut above = top.clone();
        let mut levels = vec![top];
        for ((x, lateral), smooth) in finer.iter().zip(&self.laterals).zip(&self.pyramid).rev() {
            let lateral = lateral.forward(x.clone(), phase);
            above = add(lateral, resize_bilinear(above, size(x)));
            levels.push(smooth.forward(above.clone(), phase));
        }
        levels.reverse();
        let finest = size(&features[0]);
        let stack = levels
            .into_iter()
            .map(|level| resize_bilinear(level, finest))
            .collect();
        let x = self.fuse.forward(Tensor::cat(stack, 1), phase);
        self.classifier
            .forward(drop_channels(x, self.dropout, phase))
    }
}
