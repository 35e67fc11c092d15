//! The feature pyramid (Lin et al. 2017, arXiv 1612.03144) and the coarser levels that detectors add.

use burn::module::Module;
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor, TensorData};
use gradway_kernels::{Activation, KernelBackend, add_nearest};

use crate::convolution::Convolution;
use crate::maps::{MapShape, listed};

/// Additional levels coarser than those of the backbone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExtraLevels {
    /// One level: every second position of the coarsest, for region proposals.
    Subsampled,
    /// This number of convolutions with stride 2, the first on the backbone's coarsest stage (RetinaNet).
    Convolved(usize),
}

/// A feature pyramid: maps with the same number of channels, the finest first. Where a neck makes a pyramid already,
/// only the coarser levels are added.
#[derive(Module, Debug)]
pub struct FeaturePyramid<B: Backend> {
    /// 1x1 convolutions, one per map that is used; none on a pyramid.
    pub laterals: Vec<Convolution<B>>,
    /// 3x3 convolutions, one per sum; none on a pyramid.
    pub outputs: Vec<Convolution<B>>,
    /// 3x3 convolutions with stride 2; empty if the extra level is subsampled.
    pub extra: Vec<Convolution<B>>,
    first_map: usize,
    #[module(skip)]
    strides: Vec<f32>,
}

impl<B: Backend> FeaturePyramid<B> {
    /// Creates a pyramid on maps from `first_map` on; `maps` are all maps.
    pub fn new(
        maps: &[MapShape],
        first_map: usize,
        channels: usize,
        extra: ExtraLevels,
        device: &B::Device,
    ) -> Self {
        let used = &maps[first_map..];
        let fused: &[MapShape] = if is_pyramid(used) { &[] } else { used };
        let lateral = |map: &MapShape| Convolution::xavier([map.channels, channels, 1], device);
        let square = |input| Convolution::xavier([input, channels, 3], device);
        let extra = match extra {
            ExtraLevels::Subsampled => 0,
            ExtraLevels::Convolved(levels) => levels,
        };
        let coarsest = maps.last().map_or(channels, |map| map.channels);
        let widths = std::iter::once(coarsest).chain(std::iter::repeat(channels));
        let mut strides: Vec<f32> = used.iter().map(|map| map.stride).collect();
        // Each level that is added halves the one before it; a subsampled one is no convolution.
        for _ in 0..extra.max(1) {
            strides.extend(strides.last().map(|stride| 2.0 * stride));
        }
        Self {
            laterals: fused.iter().map(lateral).collect(),
            outputs: fused.iter().map(|_| square(channels)).collect(),
            extra: widths.take(extra).map(square).collect(),
            first_map,
            strides,
        }
    }

    /// Returns the number of maps.
    pub fn levels(&self) -> usize {
        self.strides.len()
    }

    /// Returns the stride of every map in pixels.
    pub fn strides(&self) -> Vec<f32> {
        self.strides.clone()
    }
}

impl<B: KernelBackend> FeaturePyramid<B> {
    /// # Shapes
    ///
    /// - `features`: per map `[batch, channels of the map, height, width]`, the finest first
    /// - output: per level `[batch, channels, height, width]`
    pub fn forward(&self, features: &[Tensor<B, 4>]) -> Vec<Tensor<B, 4>> {
        let used = &features[self.first_map..];
        let mut maps = match self.laterals.is_empty() {
            true => used.to_vec(),
            false => self.fused(used),
        };
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

impl<B: KernelBackend> FeaturePyramid<B> {
    /// Adds to every map the coarser ones, and convolves the sums.
    fn fused(&self, used: &[Tensor<B, 4>]) -> Vec<Tensor<B, 4>> {
        let used = used.iter().zip(&self.laterals);
        let mut sums: Vec<_> = used
            .map(|(feature, lateral)| lateral.forward(feature.clone(), 1, Activation::Identity))
            .collect();
        for level in (1..sums.len()).rev() {
            sums[level - 1] = add_nearest(sums[level - 1].clone(), sums[level].clone());
        }
        let sums = sums.into_iter().zip(&self.outputs);
        sums.map(|(sum, output)| output.forward(sum, 1, Activation::Identity))
            .collect()
    }
}

/// Whether maps are the levels of a pyramid already.
fn is_pyramid(maps: &[MapShape]) -> bool {
    maps.iter().all(|map| map.is_pyramid)
}

/// Checks that a pyramid of this width can stand on maps: their strides double, and where they are a pyramid
/// already, it has this width. `head` names the detector.
pub(crate) fn require_pyramid(
    head: &str,
    maps: &[MapShape],
    channels: usize,
) -> Result<(), String> {
    if maps
        .windows(2)
        .any(|pair| pair[1].stride != 2.0 * pair[0].stride)
    {
        let strides = listed(maps.iter().map(|map| map.stride));
        return Err(format!(
            "head.name = \"{head}\" needs maps whose strides double; here they are {strides}. On a plain vision transformer \
             neck.name must be \"simple_pyramid\" or \"pyramid\""
        ));
    }
    let width = maps.first().map_or(channels, |map| map.channels);
    match is_pyramid(maps) && width != channels {
        true => Err(format!(
            "neck.channels = {width}, but head.channels = {channels}: the neck's pyramid is the detector's, so they \
             must be equal"
        )),
        false => Ok(()),
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
    use burn::tensor::Distribution;

    use super::*;

    #[test]
    fn strides_go_on_from_those_of_the_backbone() {
        let strides = |first_map, extra| {
            let (maps, device) = (maps([3.5, 7.0, 14.0], false), Default::default());
            FeaturePyramid::<Flex>::new(&maps, first_map, 2, extra, &device).strides()
        };
        assert_eq!(strides(0, ExtraLevels::Subsampled), [3.5, 7.0, 14.0, 28.0]);
        let convolved = strides(1, ExtraLevels::Convolved(2));
        assert_eq!(convolved, [7.0, 14.0, 28.0, 56.0]);
    }

    fn maps(strides: [f32; 3], is_pyramid: bool) -> [MapShape; 3] {
        strides.map(|stride| MapShape {
            channels: 4,
            stride,
            is_pyramid,
        })
    }

    #[test]
    fn a_pyramid_is_not_made_twice() {
        let device = Default::default();
        let ready = maps([8.0, 16.0, 32.0], true);
        let extra = ExtraLevels::Subsampled;
        let pyramid = FeaturePyramid::<Flex>::new(&ready, 0, 4, extra, &device);
        assert_eq!(pyramid.num_params(), 0);
        let map = |side| {
            let random = Distribution::Normal(0.0, 1.0);
            Tensor::<Flex, 4>::random([2, 4, side, side], random, &device)
        };
        let features = [map(8), map(4), map(2)];
        let levels = pyramid.forward(&features);
        assert_eq!(levels.len(), 4);
        for (level, feature) in levels.iter().zip(&features) {
            level.to_data().assert_eq(&feature.to_data(), true);
        }
        assert_eq!(require_pyramid("ssd", &ready, 4), Ok(()));
        let refused = require_pyramid("ssd", &ready, 8).unwrap_err();
        assert!(refused.starts_with("neck.channels = 4, but head.channels = 8"));
        // Other maps may have any width.
        assert_eq!(
            require_pyramid("ssd", &maps([8.0, 16.0, 32.0], false), 8),
            Ok(())
        );
        let refused = require_pyramid("ssd", &maps([14.0; 3], false), 8).unwrap_err();
        assert!(refused.contains("here they are 14, 14, 14"), "{refused}");
    }
}
