//! Pooling of regions from a feature pyramid.

use std::sync::Arc;

use burn::tensor::Tensor;
use gradway_kernels::{KernelBackend, Roi, RoiAlign, roi_align};

use super::bounds::{Bounds, area};

/// Side of a region in positions of the finest level's map; regions of twice this side use the second level.
const POSITIONS: f32 = 14.0;

/// Pools every region from the level of a pyramid that matches its size (Lin et al. 2017, arXiv 1612.03144,
/// equation 1).
#[derive(Debug, Clone, PartialEq)]
pub struct Pooler {
    /// Strides of the levels that are used, in pixels.
    pub strides: Vec<f32>,
    /// Side of the pooled regions.
    pub size: usize,
}

/// Regions in the order of their levels, as pooling requires.
#[derive(Debug, Clone, PartialEq)]
pub struct Regions {
    rois: Vec<Roi>,
    /// End of every level's regions.
    ends: Vec<usize>,
}

impl Pooler {
    /// Returns the level of a region. If the finest level has a stride of 4, it is used for sides of less than
    /// 112 pixels.
    pub fn level(&self, bounds: Bounds) -> usize {
        let finest = self
            .strides
            .first()
            .map_or(1.0, |stride| POSITIONS * stride);
        let octaves = (area(bounds).sqrt() / finest + 1e-6).log2().floor();
        octaves.clamp(0.0, (self.strides.len() - 1) as f32) as usize
    }

    /// Returns the indices of regions sorted by level; regions of a level keep their order.
    pub fn order(&self, bounds: &[Bounds]) -> Vec<usize> {
        let mut order: Vec<usize> = (0..bounds.len()).collect();
        order.sort_by_key(|index| self.level(bounds[*index]));
        order
    }

    /// Creates regions that are already in the [`order`](Self::order) of their levels.
    ///
    /// # Panics
    ///
    /// If they are not in this order.
    pub fn regions(&self, rois: Vec<Roi>) -> Regions {
        let levels: Vec<usize> = rois.iter().map(|roi| self.level(roi.bounds)).collect();
        assert!(levels.is_sorted(), "regions are in the order of levels");
        let ends = (0..self.strides.len()).map(|level| levels.partition_point(|l| *l <= level));
        Regions {
            ends: ends.collect(),
            rois,
        }
    }

    /// # Shapes
    ///
    /// - `maps`: per level `[batch, channels, height, width]`, the finest first; further maps are not used
    /// - output: `[regions, channels, size, size]`
    pub fn pool<B: KernelBackend>(&self, maps: &[Tensor<B, 4>], regions: &Regions) -> Tensor<B, 4> {
        let mut first = 0;
        let mut parts = Vec::new();
        for ((map, stride), end) in maps.iter().zip(&self.strides).zip(&regions.ends) {
            let rois: Arc<[Roi]> = regions.rois[first..*end].into();
            first = *end;
            if rois.is_empty() {
                continue;
            }
            let options = RoiAlign {
                size: self.size,
                scale: 1.0 / *stride,
                sampling: 0,
                aligned: true,
            };
            parts.push(roi_align(map.clone(), rois, options));
        }
        if parts.is_empty() {
            let channels = maps[0].dims()[1];
            return Tensor::zeros([0, channels, self.size, self.size], &maps[0].device());
        }
        Tensor::cat(parts, 0)
    }
}

impl Regions {
    /// Returns the regions.
    pub fn rois(&self) -> &[Roi] {
        &self.rois
    }

    /// Returns the number of regions.
    pub fn len(&self) -> usize {
        self.rois.len()
    }

    /// Whether there are no regions.
    pub fn is_empty(&self) -> bool {
        self.rois.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pooler() -> Pooler {
        Pooler {
            strides: vec![4.0, 8.0, 16.0, 32.0],
            size: 7,
        }
    }

    #[test]
    fn levels_by_size() {
        let level = |side: f32| pooler().level([10.0, 10.0, 10.0 + side, 10.0 + side]);
        assert_eq!([3.0, 100.0, 111.0].map(level), [0; 3]);
        assert_eq!([112.0, 223.0].map(level), [1; 2]);
        assert_eq!([224.0, 447.0].map(level), [2; 2]);
        assert_eq!([448.0, 5000.0].map(level), [3; 2]);
        assert_eq!(pooler().level([5.0, 5.0, 5.0, 5.0]), 0);
        // Of patches of 14 pixels.
        let pooler = Pooler {
            strides: vec![3.5, 7.0, 14.0, 28.0],
            size: 7,
        };
        let level = |side: f32| pooler.level([10.0, 10.0, 10.0 + side, 10.0 + side]);
        assert_eq!(
            [97.0, 98.0, 195.0, 196.0, 392.0].map(level),
            [0, 1, 1, 2, 3]
        );
    }

    #[test]
    fn regions_know_their_levels() {
        let square = |side: f32| [0.0, 0.0, side, side];
        let bounds = [square(500.0), square(20.0), square(130.0), square(30.0)];
        let order = pooler().order(&bounds);
        assert_eq!(order, [1, 3, 2, 0]);
        let roi = |index: usize| Roi {
            image: 0,
            bounds: bounds[index],
        };
        let regions = pooler().regions(order.into_iter().map(roi).collect());
        assert_eq!(regions.ends, [2, 3, 3, 4]);
    }
}
