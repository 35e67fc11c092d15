//! Products of matrices small enough for the first cache, where a library's packing would cost more
//! than it saves.

use pulp::{Arch, Simd, WithSimd};

use super::matrix::Matrix;

/// What the columns of a right side must be a multiple of on this processor.
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

/// `c = a b` of `[rows, depth]` and `[depth, columns]`.
///
/// # Panics
///
/// If `columns` is no multiple of [`lanes`], or a side is too short.
pub(super) fn product(a: Matrix<'_>, b: &[f32], c: &mut [f32], sizes: [usize; 3]) {
    let step = sizes[2];
    Arch::new().dispatch(Product::<false> {
        a,
        b,
        c,
        step,
        sizes,
    });
}

/// `c = a b`, or `c += a b`, where the rows of `c` are `step` apart; see [`product`].
pub(super) fn product_into<const ADD: bool>(
    a: Matrix<'_>,
    b: &[f32],
    c: &mut [f32],
    step: usize,
    sizes: [usize; 3],
) {
    Arch::new().dispatch(Product::<ADD> {
        a,
        b,
        c,
        step,
        sizes,
    });
}

/// Written with vectors by name: the compiler takes a tile of sums apart into scalars.
struct Product<'a, const ADD: bool> {
    a: Matrix<'a>,
    b: &'a [f32],
    c: &'a mut [f32],
    step: usize,
    sizes: [usize; 3],
}

impl<const ADD: bool> WithSimd for Product<'_, ADD> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let [rows, depth, columns] = self.sizes;
        assert!(columns.is_multiple_of(S::F32_LANES) && self.step.is_multiple_of(S::F32_LANES));
        assert!(self.b.len() >= depth * columns);
        let (columns, step) = (columns / S::F32_LANES, self.step / S::F32_LANES);
        let (b, _) = S::as_simd_f32s(self.b);
        let (c, _) = S::as_mut_simd_f32s(self.c);
        // Tiles of nearly one height: 49 rows are five of five and four of six.
        let tiles = rows.div_ceil(6);
        for tile in 0..tiles {
            let (first, end) = (tile * rows / tiles, (tile + 1) * rows / tiles);
            let a = Matrix {
                values: &self.a.values[first * self.a.strides[0]..],
                ..self.a
            };
            let c = &mut c[first * step..(end - 1) * step + columns];
            match end - first {
                6 => band::<S, 6, ADD>(simd, a, b, c, [depth, columns, step]),
                5 => band::<S, 5, ADD>(simd, a, b, c, [depth, columns, step]),
                4 => band::<S, 4, ADD>(simd, a, b, c, [depth, columns, step]),
                3 => band::<S, 3, ADD>(simd, a, b, c, [depth, columns, step]),
                2 => band::<S, 2, ADD>(simd, a, b, c, [depth, columns, step]),
                _ => band::<S, 1, ADD>(simd, a, b, c, [depth, columns, step]),
            }
        }
    }
}

/// `R` rows of the product; columns are counted in vectors.
#[inline(always)]
fn band<S: Simd, const R: usize, const ADD: bool>(
    simd: S,
    a: Matrix<'_>,
    b: &[S::f32s],
    c: &mut [S::f32s],
    [depth, columns, step]: [usize; 3],
) {
    let mut column = 0;
    while column + 2 <= columns {
        tile::<S, R, 2, ADD>(simd, a, b, c, [depth, columns, step, column]);
        column += 2;
    }
    if column < columns {
        tile::<S, R, 1, ADD>(simd, a, b, c, [depth, columns, step, column]);
    }
}

/// `R` rows and `V` vectors of columns, whose sums stay in registers.
#[inline(always)]
fn tile<S: Simd, const R: usize, const V: usize, const ADD: bool>(
    simd: S,
    a: Matrix<'_>,
    b: &[S::f32s],
    c: &mut [S::f32s],
    [depth, columns, c_step, column]: [usize; 4],
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
        for r in 0..R {
            // SAFETY: `r < R` and there are at most `depth` steps; the assertion above covers the last
            // of both.
            let a = simd.splat_f32s(unsafe { *a.values.get_unchecked(at + rows[r]) });
            for v in 0..V {
                sums[r][v] = simd.mul_add_e_f32s(a, b[v], sums[r][v]);
            }
        }
        at += step;
    }
    for (c, sums) in c.chunks_mut(c_step).zip(&sums) {
        for (c, sum) in c[column..column + V].iter_mut().zip(sums) {
            *c = if ADD { simd.add_f32s(*c, *sum) } else { *sum };
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
