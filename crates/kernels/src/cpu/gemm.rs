//! Products of matrices of any size.
//!
//! Both sides are packed, the left by bands of at most six rows and the right by panels of two
//! vectors of columns, so that a tile of the result reads both from end to end and keeps its sums in
//! registers (Goto and van de Geijn 2008). A task holds one panel of its result in the first cache
//! and gives it away, finished, to be written once.

use std::mem::MaybeUninit;
use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::activation::Finish;
use super::matrix::Matrix;
use super::product::{add_step, bands, lanes};
use super::storage::{Elements, refill, split_columns, write_copy, written};
use super::vector::vectorised;

/// Most of the depth that a tile takes at once: a panel's part stays in the first cache.
const DEPTH: usize = 384;
/// Elements of a task's packed rows, about: half of a usual second-level cache of 512 KiB.
const PACKED: usize = 1 << 16;
/// Fewest and most rows of a task: fewer read the right side too often.
const ROWS: [usize; 2] = [48, 96];
/// With fewer rows the tasks are columns, and no side is packed twice.
const FEW: usize = 512;
/// Rows of a panel that are more than enough to be written.
const EMITTED: usize = 18;
/// Panels of a task that takes columns.
const PANELS: usize = 4;

/// Rows of a left side, packed: `[depth, rows]` of every band.
#[derive(Default)]
pub(super) struct Left {
    values: Vec<f32>,
    rows: usize,
    depth: usize,
}

impl Left {
    pub(super) fn new(matrix: Matrix<'_>, sizes: [usize; 2]) -> Self {
        let mut left = Self::default();
        left.pack(matrix, sizes);
        left
    }

    #[inline(always)]
    fn pack(&mut self, matrix: Matrix<'_>, [rows, depth]: [usize; 2]) {
        (self.rows, self.depth) = (rows, depth);
        // SAFETY: the bands cover all rows, and each is written whole.
        unsafe {
            refill(
                &mut self.values,
                rows * depth,
                #[inline(always)]
                |places| {
                    for band in bands(rows) {
                        let places = &mut places[band.start * depth..band.end * depth];
                        interleave(matrix, band.clone(), band.len(), places);
                    }
                },
            );
        }
    }
}

/// Columns of a right side, packed: `[depth, width]` of every panel; the last is filled up by zeros.
pub(super) struct Right {
    values: Vec<f32>,
    depth: usize,
    columns: usize,
}

impl Right {
    /// By all threads.
    pub(super) fn new(matrix: Matrix<'_>, [depth, columns]: [usize; 2]) -> Self {
        let width = width();
        let write = |places: &mut [MaybeUninit<f32>]| {
            let panels = places.par_chunks_mut(depth * width).enumerate();
            panels.for_each(|(panel, places)| {
                pack_panel(matrix, panel_columns(panel, columns), places);
            });
        };
        // SAFETY: the panels cover all places, and each is written whole.
        let values = unsafe { written(columns.div_ceil(width) * width * depth, write) };
        Self {
            values,
            depth,
            columns,
        }
    }
}

/// Columns of a panel.
pub(super) fn width() -> usize {
    2 * lanes()
}

fn panel_columns(panel: usize, columns: usize) -> Range<usize> {
    let first = panel * width();
    first..(first + width()).min(columns)
}

/// A panel of a right side.
fn pack_panel(matrix: Matrix<'_>, columns: Range<usize>, places: &mut [MaybeUninit<f32>]) {
    let width = width();
    let matrix = matrix.transposed();
    vectorised(
        #[inline(always)]
        || interleave(matrix, columns.clone(), width, places),
    );
}

/// Rows of a matrix side by side, `[columns, width]`, filled up by zeros.
#[inline(always)]
fn interleave(
    matrix: Matrix<'_>,
    rows: Range<usize>,
    width: usize,
    places: &mut [MaybeUninit<f32>],
) {
    let [row, step] = matrix.strides;
    let values = &matrix.values[rows.start * row..];
    let count = rows.len();
    if row == 1 {
        for (index, places) in places.chunks_exact_mut(width).enumerate() {
            write_copy(&mut places[..count], &values[index * step..][..count]);
            places[count..].fill(MaybeUninit::new(0.0));
        }
        return;
    }
    match (count, width, step) {
        (6, 6, 1) => interleave_lines::<6>(values, row, places),
        (5, 5, 1) => interleave_lines::<5>(values, row, places),
        (4, 4, 1) => interleave_lines::<4>(values, row, places),
        _ => {
            for line in 0..count {
                let values = values[line * row..].iter().step_by(step);
                for (places, value) in places.chunks_exact_mut(width).zip(values) {
                    places[line].write(*value);
                }
            }
            for places in places.chunks_exact_mut(width) {
                places[count..].fill(MaybeUninit::new(0.0));
            }
        }
    }
}

/// `R` lines that are `row` apart.
#[inline(always)]
fn interleave_lines<const R: usize>(values: &[f32], row: usize, places: &mut [MaybeUninit<f32>]) {
    let (places, _) = places.as_chunks_mut::<R>();
    let lines: [&[f32]; R] = std::array::from_fn(
        #[inline(always)]
        |line| &values[line * row..][..places.len()],
    );
    for (index, places) in places.iter_mut().enumerate() {
        for line in 0..R {
            places[line].write(lines[line][index]);
        }
    }
}

/// A panel of a product of packed rows and a packed panel; `result` holds it, `[rows, width]`, and
/// `emit` is given some rows at a time as soon as they are ready, so that what it writes goes to
/// memory beside the arithmetic.
///
/// # Panics
///
/// If `panel` is not as deep as the rows, that is not at all, or `result` is too short.
pub(super) fn product_panel(
    left: &Left,
    panel: &[f32],
    result: &mut [f32],
    mut emit: impl FnMut(Range<usize>, &[f32]),
) {
    struct Product<'a> {
        left: &'a Left,
        panel: &'a [f32],
        result: &'a mut [f32],
        // Not a parameter of the type: the tiles are compiled once.
        emit: &'a mut dyn FnMut(Range<usize>, &[f32]),
    }

    impl WithSimd for Product<'_> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            let depth = self.left.depth;
            let (panel, _) = S::as_simd_f32s(self.panel);
            let (panel, _) = panel.as_chunks::<2>();
            let width = 2 * S::F32_LANES;
            assert_eq!(panel.len(), depth);
            let part = depth.div_ceil(depth.div_ceil(DEPTH));
            for start in (0..depth).step_by(part) {
                let panel = &panel[start..(start + part).min(depth)];
                let mut emitted = 0;
                for rows in bands(self.left.rows) {
                    let values = &self.left.values[rows.start * depth + start * rows.len()..];
                    let band = &mut self.result[rows.start * width..rows.end * width];
                    let (result, _) = S::as_mut_simd_f32s(band);
                    let (result, _) = result.as_chunks_mut::<2>();
                    let is_sum = start > 0;
                    match result.len() {
                        6 => tile::<S, 6>(simd, values, panel, result, is_sum),
                        5 => tile::<S, 5>(simd, values, panel, result, is_sum),
                        4 => tile::<S, 4>(simd, values, panel, result, is_sum),
                        3 => tile::<S, 3>(simd, values, panel, result, is_sum),
                        2 => tile::<S, 2>(simd, values, panel, result, is_sum),
                        _ => tile::<S, 1>(simd, values, panel, result, is_sum),
                    }
                    let is_ready = rows.end - emitted > EMITTED || rows.end == self.left.rows;
                    if start + part >= depth && is_ready {
                        let sums = &self.result[emitted * width..rows.end * width];
                        (self.emit)(emitted..rows.end, sums);
                        emitted = rows.end;
                    }
                }
            }
        }
    }

    Arch::new().dispatch(Product {
        left,
        panel,
        result,
        emit: &mut emit,
    });
}

/// `R` rows of a panel.
#[inline(always)]
fn tile<S: Simd, const R: usize>(
    simd: S,
    left: &[f32],
    panel: &[[S::f32s; 2]],
    result: &mut [[S::f32s; 2]],
    is_sum: bool,
) {
    let (left, _) = left.as_chunks::<R>();
    let left = &left[..panel.len()];
    let mut sums = [[simd.splat_f32s(0.0); 2]; R];
    // Four steps to a turn, so that counting costs little beside the arithmetic.
    let (left_turns, left) = left.as_chunks::<4>();
    let (panel_turns, panel) = panel.as_chunks::<4>();
    for (left, panel) in left_turns.iter().zip(panel_turns) {
        for step in 0..4 {
            add_step(simd, &mut sums, &left[step], &panel[step]);
        }
    }
    for (left, panel) in left.iter().zip(panel) {
        add_step(simd, &mut sums, left, panel);
    }
    for (result, sums) in result.iter_mut().zip(sums) {
        for (result, sum) in result.iter_mut().zip(sums) {
            *result = if is_sum {
                simd.add_f32s(*result, sum)
            } else {
                sum
            };
        }
    }
}

/// What a thread needs for a product, kept for the next.
#[derive(Default)]
pub(super) struct Scratch {
    left: Left,
    panel: Vec<f32>,
    result: Vec<f32>,
}

impl Scratch {
    /// The product of these rows and a packed right side: `emit` is given some rows and columns at a
    /// time, `[rows, width]`.
    pub(super) fn rows(
        &mut self,
        a: Matrix<'_>,
        rows: usize,
        b: &Right,
        mut emit: impl FnMut(Range<usize>, Range<usize>, &[f32]),
    ) {
        let width = width();
        self.result.resize(rows * width, 0.0);
        vectorised(
            #[inline(always)]
            || self.left.pack(a, [rows, b.depth]),
        );
        for (index, panel) in b.values.chunks_exact(b.depth * width).enumerate() {
            let columns = panel_columns(index, b.columns);
            product_panel(&self.left, panel, &mut self.result, |rows, sums| {
                emit(rows, columns.clone(), sums);
            });
        }
    }

    /// The product of packed rows and some panels of a right side with this many columns; see
    /// [`Scratch::rows`].
    fn panels(
        &mut self,
        left: &Left,
        b: Matrix<'_>,
        panels: Range<usize>,
        columns: usize,
        mut emit: impl FnMut(Range<usize>, Range<usize>, &[f32]),
    ) {
        let width = width();
        self.result.resize(left.rows * width, 0.0);
        for index in panels {
            let range = panel_columns(index, columns);
            let write = |places: &mut [MaybeUninit<f32>]| pack_panel(b, range.clone(), places);
            // SAFETY: a panel is written whole.
            unsafe { refill(&mut self.panel, left.depth * width, write) };
            product_panel(left, &self.panel, &mut self.result, |rows, sums| {
                emit(rows, range.clone(), sums);
            });
        }
    }

    /// `a b` by this thread, panel by panel; see [`Scratch::rows`].
    fn product(
        &mut self,
        a: Matrix<'_>,
        b: Matrix<'_>,
        [rows, depth, columns]: [usize; 3],
        emit: impl FnMut(Range<usize>, Range<usize>, &[f32]),
    ) {
        assert!(a.holds([rows, depth]) && b.holds([depth, columns]));
        let mut left = std::mem::take(&mut self.left);
        vectorised(
            #[inline(always)]
            || left.pack(a, [rows, depth]),
        );
        self.panels(&left, b, 0..columns.div_ceil(width()), columns, emit);
        self.left = left;
    }

    /// `c = a b` by this thread.
    pub(super) fn multiply(
        &mut self,
        a: Matrix<'_>,
        b: Matrix<'_>,
        c: &mut [f32],
        sizes: [usize; 3],
    ) {
        self.combine(a, b, c, sizes, |_, sum| sum);
    }

    /// `c += a b` by this thread.
    pub(super) fn multiply_add(
        &mut self,
        a: Matrix<'_>,
        b: Matrix<'_>,
        c: &mut [f32],
        sizes: [usize; 3],
    ) {
        self.combine(a, b, c, sizes, |value, sum| value + sum);
    }

    /// `c = f(c, a b)` by this thread.
    fn combine(
        &mut self,
        a: Matrix<'_>,
        b: Matrix<'_>,
        c: &mut [f32],
        sizes: [usize; 3],
        f: impl Fn(f32, f32) -> f32,
    ) {
        let width = width();
        let count = sizes[2];
        self.product(a, b, sizes, |rows, columns, sums| {
            let c = &mut c[rows.start * count..rows.end * count];
            vectorised(
                #[inline(always)]
                || {
                    let rows = c.chunks_exact_mut(count);
                    for (row, sums) in rows.zip(sums.chunks_exact(width)) {
                        let elements = Elements::InPlace(&mut row[columns.clone()]);
                        let _written = elements.combine_few(sums, &f);
                    }
                },
            );
        });
    }
}

/// Rows of a task of a product of this depth.
pub(super) fn task_rows(depth: usize) -> usize {
    (PACKED / depth.max(1)).clamp(ROWS[0], ROWS[1])
}

/// Whether tasks of a product are columns.
pub(super) fn is_by_columns(rows: usize, columns: usize) -> bool {
    rows < FEW && rows < columns
}

/// `a b`, finished, by all threads.
///
/// # Panics
///
/// If a matrix is too short.
pub(super) fn multiply(
    a: Matrix<'_>,
    b: Matrix<'_>,
    [rows, depth, columns]: [usize; 3],
    finish: Finish<'_>,
) -> Vec<f32> {
    assert!(a.holds([rows, depth]) && b.holds([depth, columns]));
    let width = width();
    let by_columns = |places: &mut [MaybeUninit<f32>]| {
        let left = Left::new(a, [rows, depth]);
        let tasks = split_columns(places, columns, PANELS * width).into_par_iter();
        tasks
            .enumerate()
            .for_each_init(Scratch::default, |scratch, (task, mut parts)| {
                let panels = task * PANELS..((task + 1) * PANELS).min(columns.div_ceil(width));
                let first = task * PANELS * width;
                scratch.panels(&left, b, panels, columns, |rows, range, sums| {
                    let to = range.start - first..range.end - first;
                    let places = parts[rows.clone()].iter_mut().map(
                        #[inline(always)]
                        |part| &mut part[to.clone()],
                    );
                    finish.write(sums, [rows, range], places);
                });
            });
    };
    let by_rows = |places: &mut [MaybeUninit<f32>]| {
        let right = Right::new(b, [depth, columns]);
        let rows = balanced(rows, task_rows(depth));
        let tasks = places.par_chunks_mut(rows * columns).enumerate();
        tasks.for_each_init(Scratch::default, |scratch, (task, places)| {
            let a = a.after(task * rows);
            scratch.rows(a, places.len() / columns, &right, |rows, range, sums| {
                finish.write_into(places, columns, sums, [rows, range]);
            });
        });
    };
    // SAFETY: either way the tasks cover all places, and every task all of its columns.
    unsafe {
        if is_by_columns(rows, columns) {
            written(rows * columns, by_columns)
        } else {
            written(rows * columns, by_rows)
        }
    }
}

/// Rows of a task, about `rows` of them, such that every thread has as many tasks.
pub(super) fn balanced(count: usize, rows: usize) -> usize {
    let threads = rayon::current_num_threads();
    let tasks = count.div_ceil(rows).next_multiple_of(threads);
    count.div_ceil(tasks).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_of_odd_sizes_from_either_side() {
        let value = |index: usize| ((index * 7919) % 13) as f32 - 6.0;
        let sizes = [
            [1, 1, 1],
            [7, 5, 3],
            [13, 400, 17],
            [49, 97, 70],
            [200, 3, 1],
            [600, 10, 33],
            [100, 9, 500],
            [520, 800, 18],
        ];
        for [rows, depth, columns] in sizes {
            let a: Vec<f32> = (0..rows * depth).map(value).collect();
            let b: Vec<f32> = (0..depth * columns).map(|index| value(index + 5)).collect();
            let turned = |values: &[f32], [rows, columns]: [usize; 2]| -> Vec<f32> {
                let at = |index: usize| values[index % rows * columns + index / rows];
                (0..rows * columns).map(at).collect()
            };
            let (a_turned, b_turned) = (turned(&a, [rows, depth]), turned(&b, [depth, columns]));
            // Small integers: exact in whatever order.
            let expected: Vec<f32> = (0..rows * columns)
                .map(|index| {
                    let (row, column) = (index / columns, index % columns);
                    let terms = (0..depth).map(|k| a[row * depth + k] * b[k * columns + column]);
                    terms.sum()
                })
                .collect();
            let lefts = [
                Matrix::rows(&a, depth),
                Matrix::rows(&a_turned, rows).transposed(),
            ];
            let rights = [
                Matrix::rows(&b, columns),
                Matrix::rows(&b_turned, depth).transposed(),
            ];
            for left in lefts {
                for right in rights {
                    let sizes = [rows, depth, columns];
                    let name = format!("{sizes:?} {:?} {:?}", left.strides, right.strides);
                    assert_eq!(
                        multiply(left, right, sizes, Finish::NOTHING),
                        expected,
                        "{name}"
                    );
                    let mut c = vec![f32::NAN; rows * columns];
                    Scratch::default().multiply(left, right, &mut c, sizes);
                    assert_eq!(c, expected, "{name}");
                    let doubled: Vec<f32> = expected.iter().map(|value| 2.0 * value).collect();
                    Scratch::default().multiply_add(left, right, &mut c, sizes);
                    assert_eq!(c, doubled, "{name}");
                }
            }
        }
    }
}
