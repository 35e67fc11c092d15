//! Stochastic depth, and the phase of a forward pass.

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use sha2::{Digest, Sha256};

/// Whether a forward pass is for inference or for training, with the seed of its random decisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// No drop path, no dropout.
    Inference,
    /// Random decisions are drawn from `seed`. The same seed makes the same decisions on every backend, so a
    /// resumed run ends with the same weights as an uninterrupted one.
    Training {
        /// Seed of this pass; a trainer derives it from the run's seed and the step.
        seed: u64,
    },
}

impl Phase {
    /// Derives the phase for one use of random decisions, such as `decoder` or `task 2`, with its own random stream.
    ///
    /// Every random component of a pass needs a stream with its own name, since otherwise two would draw the
    /// same numbers. Only the backbone's drop path uses the pass itself.
    #[must_use]
    pub fn stream(self, name: &str) -> Self {
        let Self::Training { seed } = self else {
            return self;
        };
        let digest = Sha256::new()
            .chain_update(seed.to_le_bytes())
            .chain_update(name)
            .finalize();
        let seed = digest
            .iter()
            .take(8)
            .fold(0, |seed, byte| seed << 8 | u64::from(*byte));
        Self::Training { seed }
    }

    /// Returns the source of this pass's drop-path masks.
    pub fn drop_path(self) -> DropPath {
        match self {
            Self::Inference => DropPath { random: None },
            Self::Training { seed } => DropPath {
                random: Some(ChaCha8Rng::seed_from_u64(seed)),
            },
        }
    }
}

/// Drops whole branches per image (stochastic depth, Huang et al. 2016).
#[derive(Debug)]
pub struct DropPath {
    random: Option<ChaCha8Rng>,
}

impl DropPath {
    /// Zeroes the branch of an image with probability `rate`, and scales the others by `1 / (1 - rate)`.
    ///
    /// # Shapes
    ///
    /// - `branch`, output: `[batch, ...]`
    pub fn apply<B: Backend>(&mut self, branch: Tensor<B, 4>, rate: f64) -> Tensor<B, 4> {
        let Some(random) = self.random.as_mut().filter(|_| rate > 0.0) else {
            return branch;
        };
        let [batch, ..] = branch.dims();
        let keep = 1.0 - rate;
        let factors: Vec<f32> = (0..batch)
            .map(|_| {
                // 24 random bits make a float in [0, 1) without rounding.
                let uniform = f64::from(random.next_u32() >> 8) / f64::from(1u32 << 24);
                if uniform < keep {
                    (1.0 / keep) as f32
                } else {
                    0.0
                }
            })
            .collect();
        let factors = TensorData::new(factors, [batch, 1, 1, 1]);
        let device = branch.device();
        branch * Tensor::from_data(factors, &device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_from_each_other_and_from_the_pass_and_are_the_same_again() {
        let pass = Phase::Training { seed: 7 };
        let streams = [
            pass,
            pass.stream("decoder"),
            pass.stream("auxiliary"),
            pass.stream("decoder").stream("auxiliary"),
            Phase::Training { seed: 8 }.stream("decoder"),
        ];
        for (index, one) in streams.iter().enumerate() {
            assert!(!streams[..index].contains(one), "{streams:?}");
        }
        assert_eq!(pass.stream("decoder"), pass.stream("decoder"));
        assert_eq!(Phase::Inference.stream("decoder"), Phase::Inference);
    }
}
