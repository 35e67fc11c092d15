//! The only source of randomness: a ChaCha stream per scene, and an integer hash for textures.
//!
//! Integers are converted to floats here and not by a library, so that no release of a library can change a scene.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// Separates the random stream of scenes from other uses of the same seed.
const DOMAIN: [u8; 16] = *b"synthetic scenes";

/// The largest float below 1 has 24 bits.
const UNIT: f32 = 1.0 / 16_777_216.0;

/// The random choices of one scene.
pub(super) struct Random(ChaCha8Rng);

impl Random {
    /// The stream of scene `index` under `seed`.
    pub(super) fn new(seed: u64, index: u64) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].copy_from_slice(&index.to_le_bytes());
        key[16..].copy_from_slice(&DOMAIN);
        Self(ChaCha8Rng::from_seed(key))
    }

    /// Uniform 32 bits.
    pub(super) fn bits(&mut self) -> u32 {
        self.0.next_u32()
    }

    /// Uniform in `[0, 1)`.
    pub(super) fn unit(&mut self) -> f32 {
        (self.bits() >> 8) as f32 * UNIT
    }

    /// Uniform in `[low, high)`.
    pub(super) fn range(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// Uniform in `[-size, size)`.
    pub(super) fn around(&mut self, size: f32) -> f32 {
        self.range(-size, size)
    }

    /// Whether an event of this probability happens.
    pub(super) fn chance(&mut self, probability: f32) -> bool {
        self.unit() < probability
    }

    /// -1 or 1.
    pub(super) fn sign(&mut self) -> f32 {
        if self.chance(0.5) { -1.0 } else { 1.0 }
    }

    /// Uniform in `0..count`; 0 if `count` is 0.
    pub(super) fn below(&mut self, count: usize) -> usize {
        ((u64::from(self.bits()) * count as u64) >> 32) as usize
    }

    /// Uniform in `low..=high`.
    pub(super) fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high - low + 1)
    }

    /// One of `choices`, all equally likely.
    pub(super) fn pick<T: Copy, const COUNT: usize>(&mut self, choices: &[T; COUNT]) -> T {
        choices[self.below(COUNT)]
    }

    /// An index into `weights`, drawn in proportion to them.
    pub(super) fn weighted(&mut self, weights: &[f32]) -> usize {
        let total = weights.iter().fold(0.0, |sum, weight| sum + weight);
        let mut left = self.unit() * total;
        for (index, weight) in weights.iter().enumerate() {
            left -= weight;
            if left < 0.0 {
                return index;
            }
        }
        weights.len().saturating_sub(1)
    }
}

/// Mixes three coordinates and a seed into 32 bits (the finalizer of MurmurHash3).
pub(super) fn hash(x: i32, y: i32, z: i32, seed: u32) -> u32 {
    let mut bits = seed
        ^ (x as u32).wrapping_mul(0x9E37_79B1)
        ^ (y as u32).wrapping_mul(0x85EB_CA77)
        ^ (z as u32).wrapping_mul(0xC2B2_AE3D);
    bits ^= bits >> 16;
    bits = bits.wrapping_mul(0x85EB_CA6B);
    bits ^= bits >> 13;
    bits = bits.wrapping_mul(0xC2B2_AE35);
    bits ^ (bits >> 16)
}

/// [`hash`] as a float in `[0, 1)`.
pub(super) fn hash_unit(x: i32, y: i32, z: i32, seed: u32) -> f32 {
    (hash(x, y, z, seed) >> 8) as f32 * UNIT
}
