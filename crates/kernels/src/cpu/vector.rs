//! Compiling a loop for the processor's best vector instructions.

use pulp::{Arch, Simd, WithSimd};

/// Runs `f` compiled for the best vector instructions of this processor.
///
/// This affects only code that is inlined here, and a fused multiply-add elsewhere becomes a function call:
/// every closure on the way needs `#[inline(always)]`. `f` is a `FnMut` since calling a closure as `FnOnce`
/// goes through a shim without that attribute.
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

/// Copies every `stride`-th value; `from` ends at the last one or later.
#[inline(always)]
pub(super) fn copy_strided(to: &mut [f32], from: &[f32], stride: usize) {
    match stride {
        1 => copy(to, from),
        2 => every_second(to, from),
        _ => {
            for (to, from) in to.iter_mut().zip(from.iter().step_by(stride)) {
                *to = *from;
            }
        }
    }
}

/// Copies a few values without the function call of a `copy_from_slice` of unknown length.
#[inline(always)]
fn copy(to: &mut [f32], from: &[f32]) {
    let from = &from[..to.len()];
    let (to_blocks, to) = to.as_chunks_mut::<16>();
    let (from_blocks, from) = from.as_chunks::<16>();
    for (to, from) in to_blocks.iter_mut().zip(from_blocks) {
        *to = *from;
    }
    if to.len() < 8 {
        for (to, from) in to.iter_mut().zip(from) {
            *to = *from;
        }
        return;
    }
    // Two vectors that overlap.
    for start in [0, to.len() - 8] {
        to[start..start + 8].copy_from_slice(&from[start..start + 8]);
    }
}

/// Copies every second value, up to the end of either slice.
#[inline(always)]
pub(super) fn every_second(to: &mut [f32], from: &[f32]) {
    let count = to.len().min(from.len().div_ceil(2));
    let to = &mut to[..count];
    let whole = from.len() / 16;
    if count < 8 || from.len() < 2 * count {
        let (blocks, rest) = to.as_chunks_mut::<8>();
        let blocks = blocks.split_at_mut(whole.min(blocks.len()));
        for (to, from) in blocks.0.iter_mut().zip(from.as_chunks::<16>().0) {
            *to = second(from);
        }
        let from = from[16 * blocks.0.len()..].iter().step_by(2);
        for (to, from) in blocks.1.as_flattened_mut().iter_mut().chain(rest).zip(from) {
            *to = *from;
        }
        return;
    }
    let (blocks, _) = to.as_chunks_mut::<8>();
    for (to, from) in blocks.iter_mut().zip(from.as_chunks::<16>().0) {
        *to = second(from);
    }
    // The last few once more, with some before them.
    let last = count - 8;
    if let Some(from) = from[2 * last..].first_chunk::<16>() {
        to[last..].copy_from_slice(&second(from));
    }
}

#[inline(always)]
fn second(from: &[f32; 16]) -> [f32; 8] {
    std::array::from_fn(
        #[inline(always)]
        |lane| from[2 * lane],
    )
}

/// Number of accumulators of a sum, so that it vectorises and its error grows slowly.
const LANES: usize = 16;

/// The sum of `f` over the elements of slices of the same length.
///
/// One sum at a time: the compiler does not vectorise several sums in one loop.
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
        for (lane, total) in lanes.iter_mut().enumerate() {
            *total += f(slices.map(
                #[inline(always)]
                |(chunks, _)| chunks[chunk][lane],
            ));
        }
    }
    let mut total = lanes.iter().sum();
    for index in 0..length - whole * LANES {
        total += f(slices.map(
            #[inline(always)]
            |(_, rest)| rest[index],
        ));
    }
    total
}

/// The sum of vectors of the same length, in their order.
pub(super) fn total<'a>(length: usize, parts: impl IntoIterator<Item = &'a Vec<f32>>) -> Vec<f32> {
    let mut total = vec![0.0; length];
    for part in parts {
        for (total, value) in total.iter_mut().zip(part) {
            *total += value;
        }
    }
    total
}
