//! Dropout of whole channels.

use burn::tensor::{Tensor, TensorData};
use gradway_backbone::Phase;
use gradway_kernels::KernelBackend;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// Zeroes each channel of each image with probability `rate` in training (Tompson et al. 2015), and
/// scales the others by `1 / (1 - rate)`.
///
/// The random decisions come from the phase's seed: two uses in one pass need different [streams](Phase::stream).
///
/// # Shapes
///
/// - `x`, output: `[batch, channels, height, width]`
pub fn drop_channels<B: KernelBackend>(x: Tensor<B, 4>, rate: f64, phase: Phase) -> Tensor<B, 4> {
    let Phase::Training { seed } = phase else {
        return x;
    };
    if rate == 0.0 {
        return x;
    }
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let shape = x.dims();
    let [batch, channels, height, width] = shape;
    let keep = 1.0 - rate;
    let factors: Vec<f32> = (0..batch * channels)
        .map(|_| {
            let uniform = f64::from(random.next_u32() >> 8) / f64::from(1u32 << 24);
            if uniform < keep {
                (1.0 / keep) as f32
            } else {
                0.0
            }
        })
        .collect();
    let factors = TensorData::new(factors, [batch * channels, 1]);
    let factors = Tensor::<B, 2>::from_data(factors, &x.device());
    // One scalar per contiguous row: the broadcast that is fast everywhere.
    (x.reshape([batch * channels, height * width]) * factors).reshape(shape)
}

#[cfg(test)]
mod tests {
    use burn::backend::Flex;

    use super::*;

    #[test]
    fn a_decoder_does_not_drop_what_drop_path_drops() {
        let ones = || Tensor::<Flex, 4>::ones([64, 1, 1, 1], &Default::default());
        let read = |x: Tensor<Flex, 4>| x.into_data().to_vec::<f32>().unwrap();
        let phase = Phase::Training { seed: 11 };
        let paths = read(phase.drop_path().apply(ones(), 0.5));
        for name in ["decoder", "auxiliary"] {
            let channels = read(drop_channels(ones(), 0.5, phase.stream(name)));
            // Of 64 coins two times about half fall alike; of the same coins all.
            let alike = paths.iter().zip(&channels).filter(|(a, b)| a == b).count();
            assert!((16..48).contains(&alike), "{name}: {alike}");
        }
    }
}
