//! Compiling a loop for the processor's best instructions.

use pulp::{Arch, Simd, WithSimd};

/// Runs `f` as it is compiled for the best vector instructions of this processor.
///
/// That reaches only what is inlined here, and a fused multiply-add that is not becomes a call: every
/// closure on the way needs `#[inline(always)]`. `f` is a `FnMut` since calling a closure as `FnOnce`
/// goes through a shim that has no such mark.
#[inline(always)]
pub(super) fn vectorised<R>(f: impl FnMut() -> R) -> R {
    struct Call<F>(F);

    impl<R, F: FnMut() -> R> WithSimd for Call<F> {
        type Output = R;

        #[inline(always)]
        fn with_simd<S: Simd>(mut self, _: S) -> R {
            (self.0)()
        }
    }

    Arch::new().dispatch(Call(f))
}

/// Accumulators of a sum, so that it vectorises and its error grows slowly.
const LANES: usize = 32;

/// The sum of `f` over the elements of slices of one length.
#[inline(always)]
pub(super) fn sum<const N: usize>(slices: [&[f32]; N], f: impl Fn([f32; N]) -> f32) -> f32 {
    let length = slices[0].len();
    let whole = length / LANES;
    let slices = slices.map(
        #[inline(always)]
        |slice| slice[..length].as_chunks::<LANES>(),
    );
    let mut lanes = [0.0_f32; LANES];
    for chunk in 0..whole {
        for (lane, sum) in lanes.iter_mut().enumerate() {
            *sum += f(slices.map(
                #[inline(always)]
                |(chunks, _)| chunks[chunk][lane],
            ));
        }
    }
    let rest = (0..length - whole * LANES).map(
        #[inline(always)]
        |index| {
            f(slices.map(
                #[inline(always)]
                |(_, rest)| rest[index],
            ))
        },
    );
    let rest: f32 = rest.sum();
    lanes.iter().sum::<f32>() + rest
}
