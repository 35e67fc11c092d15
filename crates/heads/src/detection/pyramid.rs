//! The feature pyramid (Lin et al. 2017, arXiv 1612.03144) and the coarser levels that detectors add.

use burn::module::Module;
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor, TensorData};
use gradway_backbone::StageShape;
use gradway_kernels::{Activation, KernelBackend, add_nearest};

use crate::convolution::Convolution;

/// Additional levels coarser than those of the backbone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExtraLevels {
    /// One level: every second position of the coarsest, for region proposals.
    Subsampled,
    /// This number of convolutions with stride 2, the first on the backbone's coarsest stage (RetinaNet).
    Convolved(usize),
}

/// A feature pyramid: maps with the same number of channels, the finest first.
#[derive(Module, Debug)]
pub struct FeaturePyramid<B: Backend> {
    /// 1x1 convolutions, one per stage that is used.
    pub laterals: Vec<Convolution<B>>,
    /// 3x3 convolutions, one per sum.
    pub outputs: Vec<Convolution<B>>,
    /// 3x3 convolutions with stride 2; empty if the extra level is subsampled.
    pub extra: Vec<Convolution<B>>,
    first_stage: usize,
    strides: Vec<usize>,
}

impl<B: Backend> FeaturePyramid<B> {
    /// Creates a pyramid on the stages of a backbone from `first_stage` on; `stages` are all stages.
    pub fn new(
        stages: &[StageShape],
        first_stage: usize,
        channels: usize,
        extra: ExtraLevels,
        device: &B::Device,
    ) -> Self {
        let used = &stages[first_stage..];
        let lateral =
            |stage: &StageShape| Convolution::xavier([stage.channels, channels, 1], device);
        let square = |input| Convolution::xavier([input, channels, 3], device);
        let extra = match extra {
            ExtraLevels::Subsampled => 0,
            ExtraLevels::Convolved(levels) => levels,
        };
        let coarsest = stages.last().map_or(channels, |stage| stage.channels);
        let widths = std::iter::once(coarsest).chain(std::iter::repeat(channels));
        let mut strides: Vec<usize> = used.iter().map(|stage| stage.stride).collect();
        // Each level that is added halves the one before it; a subsampled one is no convolution.
        for _ in 0..extra.max(1) {
            strides.extend(strides.last().map(|stride| 2 * stride));
        }
        Self {
            laterals: used.iter().map(lateral).collect(),
            outputs: used.iter().map(|_| square(channels)).collect(),
            extra: widths.take(extra).map(square).collect(),
            first_stage,
            strides,
        }
    }

    /// Returns the number of maps.
    pub fn levels(&self) -> usize {
        self.strides.len()
    }

    /// Returns the stride of every map in pixels.
    pub fn strides(&self) -> Vec<usize> {
        self.strides.clone()
    }
}

impl<B: KernelBackend> FeaturePyramid<B> {
    /// # Shapes
    ///
    /// - `features`: per stage `[batch, channels of the stage, height, width]`, the finest first
    /// - output: per level `[batch, channels, height, width]`
    pub fn forward(&self, features: &[Tensor<B, 4>]) -> Vec<Tensor<B, 4>> {
        let used = features[self.first_stage..].iter().zip(&self.laterals);
        let mut sums: Vec<_> = used
            .map(|(feature, lateral)| lateral.forward(feature.clone(), 1, Activation::Identity))
            .collect();
        for level in (1..sums.len()).rev() {
            sums[level - 1] = add_nearest(sums[level - 1].clone(), sums[level].clone());
        }
        let mut maps: Vec<_> = sums
            .into_iter()
            .zip(&self.outputs)
            .map(|(sum, output)| output.forward(sum, 1, Activation::Identity))
            .collect();
        if self.extra.is_empty() {
            let coarsest = maps.last().cloned();
            maps.extend(coarsest.map(subsample));
            return maps;
        }
        let mut next = features.last().cloned();
        for convolution in &self.extra {
            next = next.map(|x| convolution.forward(x, 2, Activation::Identity));
            maps.extend(next.clone());
        }
        maps
    }
}

/// Takes every second position of both axes.
fn subsample<B: KernelBackend>(x: Tensor<B, 4>) -> Tensor<B, 4> {
    let [_, _, height, width] = x.dims();
    let device = x.device();
    let every_second = |side: usize| {
        let indices: Vec<i32> = (0..side as i32).step_by(2).collect();
        let count = indices.len();
        Tensor::<B, 1, Int>::from_data(TensorData::new(indices, [count]), &device)
    };
    x.select(2, every_second(height))
        .select(3, every_second(width))
}

#[cfg(test)]
mod tests {
    use burn::backend::Flex;

    use super::*;

    #[test]
    fn strides_go_on_from_those_of_the_backbone() {
        let stages = [8, 16, 32].map(|stride| StageShape {
            channels: 4,
            stride,
        });
        let strides = |first_stage, extra| {
            let device = Default::default();
            FeaturePyramid::<Flex>::new(&stages, first_stage, 2, extra, &device).strides()
        };
        assert_eq!(strides(0, ExtraLevels::Subsampled), [8, 16, 32, 64]);
        assert_eq!(strides(1, ExtraLevels::Convolved(2)), [16, 32, 64, 128]);
    }
}
