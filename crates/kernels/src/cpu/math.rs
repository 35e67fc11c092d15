//! Elementary functions without branches, tables or calls, so that loops over them vectorise.

/// `e^x`, relative error below 2e-7 for -87 < x < 88; clamped outside.
///
/// Cephes' reduction to `|r| <= ln(2) / 2` and its polynomial.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    // Added to a number below 2^22, the sum's low bits are the number rounded to an integer.
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 88.0);
    let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUND);
    let whole = shifted - ROUND;
    // ln(2) in two parts, so that the reduction is exact to the last bit.
    let r = whole.mul_add(-0.693_359_4, x);
    let r = whole.mul_add(2.121_944_4e-4, r);
    let p = 1.987_569_2e-4_f32
        .mul_add(r, 1.398_2e-3)
        .mul_add(r, 8.333_452e-3)
        .mul_add(r, 4.166_579_6e-2)
        .mul_add(r, 1.666_666_5e-1)
        .mul_add(r, 0.5);
    let fraction = p.mul_add(r * r, r) + 1.0;
    let exponent = shifted.to_bits().wrapping_sub(ROUND.to_bits()) << 23;
    fraction * f32::from_bits(exponent.wrapping_add(1.0_f32.to_bits()))
}

/// `ln(1 + e^x)`, relative error below 5e-7.
///
/// The logarithm of `1 + y`, `y = e^-|x|`, is `2 artanh(y / (2 + y))`, whose series needs eight terms up to
/// `y = 1`.
#[inline(always)]
pub(super) fn softplus(x: f32) -> f32 {
    let y = exp(-x.abs());
    let z = y / (2.0 + y);
    let square = z * z;
    let series = (1.0_f32 / 15.0)
        .mul_add(square, 1.0 / 13.0)
        .mul_add(square, 1.0 / 11.0)
        .mul_add(square, 1.0 / 9.0)
        .mul_add(square, 1.0 / 7.0)
        .mul_add(square, 1.0 / 5.0)
        .mul_add(square, 1.0 / 3.0)
        .mul_add(square, 1.0);
    x.max(0.0) + 2.0 * z * series
}

/// The standard normal distribution at `x`, and `e^(-x^2 / 2)`, which is its density but for
/// `1 / sqrt(2 pi)`.
///
/// `erfc(z) e^(z^2)` as a polynomial of degree 8 in `t = 1 / (1 + c |x|)` without constant term,
/// fitted for the least relative error over `0 <= z < 9.5` (7.9e-8), so that the tail of the
/// distribution is as exact as its middle.
#[inline(always)]
pub(super) fn normal(x: f32) -> (f32, f32) {
    const C: f32 = 0.329_789_16 * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / x.abs().mul_add(C, 1.0);
    let scaled = (-0.136_653_f32)
        .mul_add(t, 0.466_738_9)
        .mul_add(t, -0.361_692_3)
        .mul_add(t, 0.417_818_77)
        .mul_add(t, 0.042_363_91)
        .mul_add(t, 0.202_566_25)
        .mul_add(t, 0.182_602_74)
        .mul_add(t, 0.186_254_68)
        * t;
    let density = exp(-0.5 * x * x);
    let tail = 0.5 * scaled * density;
    (if x < 0.0 { tail } else { 1.0 - tail }, density)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(low: f32, high: f32) -> impl Iterator<Item = f32> {
        (0..=100_000).map(move |step| low + (high - low) * step as f32 / 100_000.0)
    }

    #[test]
    fn exp_is_exact_to_single_precision() {
        for x in grid(-86.0, 87.0) {
            let exact = f64::from(x).exp();
            let error = (f64::from(exp(x)) - exact).abs() / exact;
            assert!(error < 2e-7, "exp({x}) is off by {error:.1e}");
        }
        assert!(exp(f32::NEG_INFINITY) < 1e-37);
    }

    #[test]
    fn softplus_is_exact_to_single_precision() {
        for x in grid(-80.0, 80.0).chain(grid(-1.0, 1.0)) {
            let exact = f64::from(x).exp().ln_1p();
            let error = (f64::from(softplus(x)) - exact).abs() / exact;
            assert!(error < 5e-7, "softplus({x}) is off by {error:.1e}");
        }
    }

    #[test]
    fn the_normal_distribution_is_exact_in_its_tail_too() {
        for x in grid(-9.0, 9.0) {
            let z = f64::from(x);
            let exact = 0.5 * libm::erfc(-z * std::f64::consts::FRAC_1_SQRT_2);
            let error = (f64::from(normal(x).0) - exact).abs() / exact;
            // The argument of the exponential, x^2 / 2, is itself rounded.
            let allowed = 6e-7 + 1.2e-7 * z * z;
            assert!(error < allowed, "Phi({x}) is off by {error:.1e}");
        }
    }
}
