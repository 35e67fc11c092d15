//! Products of matrices small enough for the first-level cache, where a library's packing costs more than it saves.

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};

use super::matrix::Matrix;

/// The number of columns of a right side must be a multiple of this on this processor.
pub(super) fn lanes() -> usize {
    struct Lanes;

    impl WithSimd for Lanes {
        type Output = usize;

        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> usize {
            S::F32_LANES
        }
    }

    Arch::new().dispatch(Lanes)
}

/// The rows of a product in tiles of nearly equal height: 49 rows are five tiles of 5 and four of 6.
#[inline(always)]
pub(super) fn bands(rows: usize) -> impl Iterator<Item = Range<usize>> {
    let count = rows.div_ceil(6);
    (0..count).map(
        #[inline(always)]
        move |band| band * rows / count..(band + 1) * rows / count,
    )
}

/// Computes `c = a b` for `[rows, depth]` and `[depth, columns]`.
///
/// # Panics
///
/// If `columns` is not a multiple of [`lanes`], or a side is too short.
pub(super) fn product(a: Matrix<'_>, b: &[f32], c: &mut [f32], sizes: [usize; 3]) {
    Arch::new().dispatch(Product { a, b, c, sizes });
}

struct Product<'a> {
    a: Matrix<'a>,
    b: &'a [f32],
    c: &'a mut [f32],
    sizes: [usize; 3],
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let [rows, depth, columns] = self.sizes;
        assert!(columns.is_multiple_of(S::F32_LANES));
        assert!(self.b.len() >= depth * columns);
        let columns = columns / S::F32_LANES;
        let (b, _) = S::as_simd_f32s(self.b);
        let (c, _) = S::as_mut_simd_f32s(self.c);
        for rows in bands(rows) {
            let a = self.a.after(rows.start);
            let c = &mut c[rows.start * columns..rows.end * columns];
            match rows.len() {
                6 => band::<S, 6>(simd, a, b, c, [depth, columns]),
                5 => band::<S, 5>(simd, a, b, c, [depth, columns]),
                4 => band::<S, 4>(simd, a, b, c, [depth, columns]),
                3 => band::<S, 3>(simd, a, b, c, [depth, columns]),
                2 => band::<S, 2>(simd, a, b, c, [depth, columns]),
                _ => band::<S, 1>(simd, a, b, c, [depth, columns]),
            }
        }
    }
}

/// `R` rows of the product; columns are counted in vectors.
#[inline(always)]
fn band<S: Simd, const R: usize>(
    simd: S,
    a: Matrix<'_>,
    b: &[S::f32s],
    c: &mut [S::f32s],
    [depth, columns]: [usize; 2],
) {
    let mut column = 0;
    while column + 2 <= columns {
        tile::<S, R, 2>(simd, a, b, c, [depth, columns, column]);
        column += 2;
    }
    if column < columns {
        tile::<S, R, 1>(simd, a, b, c, [depth, columns, column]);
    }
}

/// `R` rows and `V` vectors of columns.
#[inline(always)]
fn tile<S: Simd, const R: usize, const V: usize>(
    simd: S,
    a: Matrix<'_>,
    b: &[S::f32s],
    c: &mut [S::f32s],
    [depth, columns, column]: [usize; 3],
) {
    let [row, step] = a.strides;
    assert!(depth > 0 && a.values.len() > (R - 1) * row + (depth - 1) * step);
    let mut sums = [[simd.splat_f32s(0.0); V]; R];
    // Where the rows begin, so that a step costs one addition and no multiplication.
    let rows: [usize; R] = std::array::from_fn(
        #[inline(always)]
        |r| r * row,
    );
    let mut at = 0;
    for b in b.chunks_exact(columns).take(depth) {
        let b: [S::f32s; V] = std::array::from_fn(
            #[inline(always)]
            |v| b[column + v],
        );
        let a: [f32; R] = std::array::from_fn(
            #[inline(always)]
            // SAFETY: `r < R` and there are at most `depth` steps; the assertion above covers the
            // last of both.
            |r| unsafe { *a.values.get_unchecked(at + rows[r]) },
        );
        add_step(simd, &mut sums, &a, &b);
        at += step;
    }
    for (c, sums) in c.chunks_exact_mut(columns).zip(&sums) {
        c[column..column + V].copy_from_slice(sums);
    }
}

/// Adds one step of the depth to a tile of sums, which stays in registers. It uses explicit vectors, since the
/// compiler would split a tile into scalars.
#[inline(always)]
pub(super) fn add_step<S: Simd, const R: usize, const V: usize>(
    simd: S,
    sums: &mut [[S::f32s; V]; R],
    left: &[f32; R],
    right: &[S::f32s; V],
) {
    for row in 0..R {
        let left = simd.splat_f32s(left[row]);
        for vector in 0..V {
            sums[row][vector] = simd.mul_add_e_f32s(left, right[vector], sums[row][vector]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_of_odd_sizes_from_either_side() {
        for rows in 1..=13 {
            for vectors in 1..=5 {
                let columns = vectors * lanes();
                let depth = 7;
                let a: Vec<f32> = (0..rows * depth).map(|i| (i % 11) as f32 - 5.0).collect();
                let b: Vec<f32> = (0..depth * columns).map(|i| (i % 7) as f32 - 3.0).collect();
                let mut transposed = vec![0.0; rows * depth];
                for row in 0..rows {
                    for k in 0..depth {
                        transposed[k * rows + row] = a[row * depth + k];
                    }
                }
                // Small integers: exact in whatever order.
                let expected: Vec<f32> = (0..rows * columns)
                    .map(|i| {
                        let (row, column) = (i / columns, i % columns);
                        (0..depth)
                            .map(|k| a[row * depth + k] * b[k * columns + column])
                            .sum()
                    })
                    .collect();
                for (values, strides) in [(&a, [depth, 1]), (&transposed, [1, rows])] {
                    let mut c = vec![f32::NAN; rows * columns];
                    product(
                        Matrix { values, strides },
                        &b,
                        &mut c,
                        [rows, depth, columns],
                    );
                    assert_eq!(c, expected, "{rows} rows, {columns} columns");
                }
            }
        }
    }
}
