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
