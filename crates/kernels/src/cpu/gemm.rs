//! Products of matrices of any size. A task holds one panel of its result in the first-level cache, finishes it
//! there and writes it once.

use std::mem::MaybeUninit;
use std::ops::Range;

use rayon::prelude::*;

use super::activation::Finish;
use super::matrix::Matrix;
use super::packed::{
    Left, Right, Upcoming, pack_panel, panel_columns, product_panel, width, write_panel,
};
use super::storage::{Elements, refill, split_columns, written};
use super::vector::vectorised;

/// Approximate number of elements of a task's packed rows: half of a typical second-level cache of 512 KiB.
const PACKED: usize = 1 << 16;
/// Minimum and maximum number of rows of a task: with fewer rows the right side is read too often.
const ROWS: [usize; 2] = [48, 96];
/// With fewer rows than this, tasks are columns and no side is packed twice.
const FEW: usize = 512;
/// Number of panels of a task that takes columns.
const PANELS: usize = 4;

/// The buffers of a thread, kept for the next product.
#[derive(Default)]
pub(super) struct Scratch {
    left: Left,
    panel: Vec<f32>,
    result: Vec<f32>,
}

impl Scratch {
    /// Writes the finished product of these rows and a packed right side to `places`, which has this number of
    /// columns. Every element of these rows is written.
    pub(super) fn finished_rows(
        &mut self,
        a: Matrix<'_>,
        b: &Right,
        finish: Finish<'_>,
        places: &mut [MaybeUninit<f32>],
        columns: usize,
    ) {
        let rows = places.len() / columns;
        self.result.resize(rows * width(), 0.0);
        vectorised(
            #[inline(always)]
            || self.left.pack(a, [rows, b.depth]),
        );
        for (range, panel) in b.panels() {
            if range.len() == width()
                && let Some(bias) = finish.bias_alone(range.clone())
                && write_panel(&self.left, panel, bias, &mut places[range.start..], columns)
            {
                continue;
            }
            product_panel(&self.left, panel, &mut self.result, None, |rows, sums| {
                finish.write_into(places, columns, sums, [rows, range.clone()]);
            });
        }
    }

    /// The product of packed rows and some panels of a right side with this many columns: `emit` receives some
    /// rows and columns at a time, `[rows, width]`.
    fn panels(
        &mut self,
        left: &Left,
        b: Matrix<'_>,
        panels: Range<usize>,
        columns: usize,
        to: Upcoming,
        mut emit: impl FnMut(Range<usize>, Range<usize>, &[f32]),
    ) {
        let width = width();
        let first = panels.start * width;
        self.result.resize(left.rows * width, 0.0);
        for index in panels {
            let range = panel_columns(index, columns);
            let write = |places: &mut [MaybeUninit<f32>]| pack_panel(b, range.clone(), places);
            // SAFETY: a panel is written whole.
            unsafe { refill(&mut self.panel, left.depth * width, write) };
            let to = to.after(range.start - first);
            product_panel(
                left,
                &self.panel,
                &mut self.result,
                Some(to),
                |rows, sums| {
                    emit(rows, range.clone(), sums);
                },
            );
        }
    }

    /// Computes `a b` on this thread, panel by panel; see [`Scratch::panels`].
    fn product(
        &mut self,
        a: Matrix<'_>,
        b: Matrix<'_>,
        [rows, depth, columns]: [usize; 3],
        to: Upcoming,
        emit: impl FnMut(Range<usize>, Range<usize>, &[f32]),
    ) {
        assert!(a.holds([rows, depth]) && b.holds([depth, columns]));
        let mut left = std::mem::take(&mut self.left);
        vectorised(
            #[inline(always)]
            || left.pack(a, [rows, depth]),
        );
        self.panels(&left, b, 0..columns.div_ceil(width()), columns, to, emit);
        self.left = left;
    }

    /// Computes `c = a b` on this thread.
    pub(super) fn multiply(
        &mut self,
        a: Matrix<'_>,
        b: Matrix<'_>,
        c: &mut [f32],
        sizes: [usize; 3],
    ) {
        self.combine(a, b, c, sizes, |_, sum| sum);
    }

    /// Computes `c += a b` on this thread.
    pub(super) fn multiply_add(
        &mut self,
        a: Matrix<'_>,
        b: Matrix<'_>,
        c: &mut [f32],
        sizes: [usize; 3],
    ) {
        self.combine(a, b, c, sizes, |value, sum| value + sum);
    }

    /// Computes `c = f(c, a b)` on this thread.
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
        let to = Upcoming::new(&c[..], count);
        self.product(a, b, sizes, to, |rows, columns, sums| {
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

/// Number of rows of a task for a product of this depth.
pub(super) fn task_rows(depth: usize) -> usize {
    (PACKED / depth.max(1)).clamp(ROWS[0], ROWS[1])
}

/// Whether the tasks of a product are columns.
pub(super) fn is_by_columns(rows: usize, columns: usize) -> bool {
    rows < FEW && rows < columns
}

/// The finished product `a b`, computed by all threads.
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
                let to = Upcoming::new(&*parts[0], columns);
                scratch.panels(&left, b, panels, columns, to, |rows, range, sums| {
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
            scratch.finished_rows(a, &right, finish, places, columns);
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

/// Number of rows of a task, close to `rows`, such that every thread has the same number of tasks.
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
