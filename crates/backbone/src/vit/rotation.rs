//! The rotations of queries and keys by position.

use std::f64::consts::TAU;

use burn::tensor::{Tensor, TensorData};
use gradway_kernels::{KernelBackend, Rotations};

use super::Vit;

/// The base of the periods of DINOv3's rotations.
const BASE: f64 = 100.0;

impl<B: KernelBackend> Vit<B> {
    /// The rotations of DINOv3 (Siméoni et al. 2025, arXiv 2508.10104): centres of patches in -1..1 along each axis,
    /// one turn per period. `None` for a network with learnt positions.
    ///
    /// Periods are exact, as in timm; Meta's are rounded to bfloat16, which differs in the fourth digit.
    pub(super) fn rotations(
        &self,
        [height, width]: [usize; 2],
        device: &B::Device,
    ) -> Option<Rotations<B>> {
        if self.pos_embed.is_some() {
            return None;
        }
        let head = self.norm.gamma.lazy_shape()[0] / self.blocks[0].attn.heads;
        let (half, quarter) = (head / 2, head / 4);
        let (prefix, count) = (self.prefix(), height * width);
        let tokens = prefix + count;
        // A token that is no patch is not rotated.
        let mut angles = vec![0.0; prefix * half];
        let centre = |place: usize, size: usize| 2.0 * (place as f64 + 0.5) / size as f64 - 1.0;
        for patch in 0..count {
            let centres = [centre(patch / width, height), centre(patch % width, width)];
            for centre in centres {
                let periods = (0..quarter).map(|index| BASE.powf(index as f64 / quarter as f64));
                angles.extend(periods.map(|period| TAU * centre / period));
            }
        }
        let table = |function: fn(f64) -> f64| {
            let values: Vec<f32> = angles.iter().map(|&angle| function(angle) as f32).collect();
            Tensor::from_data(TensorData::new(values, [tokens, half]), device)
        };
        Some(Rotations {
            cosines: table(f64::cos),
            sines: table(f64::sin),
        })
    }
}
