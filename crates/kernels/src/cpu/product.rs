//! Products of matrices small enough for the first cache, where a library's packing would cost more
//! than it saves.

/// What the columns of a right side are a multiple of.
pub(super) const LANES: usize = 8;

/// The left side of a product: where its rows and its columns are.
#[derive(Clone, Copy)]
pub(super) struct Left<'a> {
    pub(super) values: &'a [f32],
    /// Steps from row to row and from column to column.
    pub(super) strides: [usize; 2],
}

/// `c = a b` of `[rows, depth]` and `[depth, columns]`.
///
/// # Panics
///
/// If `columns` is no multiple of [`LANES`], or a side is too short.
#[inline(always)]
pub(super) fn product(a: Left<'_>, b: &[f32], c: &mut [f32], [rows, depth, columns]: [usize; 3]) {
    assert_eq!(columns % LANES, 0);
    assert!(c.len() >= rows * columns && b.len() >= depth * columns);
    // Tiles of nearly one height: 49 rows are five of five and four of six.
    let tiles = rows.div_ceil(6);
    for tile in 0..tiles {
        let (first, end) = (tile * rows / tiles, (tile + 1) * rows / tiles);
        let a = Left {
            values: &a.values[first * a.strides[0]..],
            ..a
        };
        let c = &mut c[first * columns..end * columns];
        match end - first {
            6 => band::<6>(a, b, c, depth, columns),
            5 => band::<5>(a, b, c, depth, columns),
            4 => band::<4>(a, b, c, depth, columns),
            3 => band::<3>(a, b, c, depth, columns),
            2 => band::<2>(a, b, c, depth, columns),
            _ => band::<1>(a, b, c, depth, columns),
        }
    }
}

/// `R` rows of the product.
#[inline(always)]
fn band<const R: usize>(a: Left<'_>, b: &[f32], c: &mut [f32], depth: usize, columns: usize) {
    let mut column = 0;
    while column + 2 * LANES <= columns {
        tile::<R, { 2 * LANES }>(a, b, c, [depth, columns, column]);
        column += 2 * LANES;
    }
    if column < columns {
        tile::<R, LANES>(a, b, c, [depth, columns, column]);
    }
}

/// `R` rows and `C` columns, whose sums stay in registers.
#[inline(always)]
fn tile<const R: usize, const C: usize>(
    a: Left<'_>,
    b: &[f32],
    c: &mut [f32],
    [depth, columns, column]: [usize; 3],
) {
    let [row, step] = a.strides;
    assert!(depth > 0 && a.values.len() > (R - 1) * row + (depth - 1) * step);
    let mut sums = [[0.0_f32; C]; R];
    for (k, b) in b.chunks_exact(columns).take(depth).enumerate() {
        let b = &b[column..column + C];
        for (r, sums) in sums.iter_mut().enumerate() {
            // SAFETY: `r < R` and `k < depth`, and the assertion above covers the last of both.
            let a = unsafe { *a.values.get_unchecked(r * row + k * step) };
            for (sum, &b) in sums.iter_mut().zip(b) {
                *sum = a.mul_add(b, *sum);
            }
        }
    }
    for (c, sums) in c.chunks_exact_mut(columns).zip(&sums) {
        c[column..column + C].copy_from_slice(sums);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_of_odd_sizes_from_either_side() {
        for rows in 1..=13 {
            for columns in [8, 16, 24, 40] {
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
                    product(Left { values, strides }, &b, &mut c, [rows, depth, columns]);
                    assert_eq!(c, expected, "{rows} rows, {columns} columns");
                }
            }
        }
    }
}
