//! Packed sides of a product, and the panels of the result.
//!
//! The left side is packed by bands of at most six rows and the right by panels of two vectors of
//! columns, so that a tile of the result reads both from end to end and keeps its sums in registers
//! (Goto and van de Geijn 2008).

use std::mem::MaybeUninit;
use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::matrix::Matrix;
use super::product::{add_step, bands, lanes};
use super::storage::{refill, write_copy, written};
use super::vector::vectorised;

/// Maximum depth that a tile takes at once: the panel's part stays in the first-level cache.
const DEPTH: usize = 384;
/// Number of rows of a panel after which they are written.
const EMITTED: usize = 18;

/// The packed rows of a left side, `[depth, rows]` for every band.
#[derive(Default)]
pub(super) struct Left {
    values: Vec<f32>,
    pub(super) rows: usize,
    pub(super) depth: usize,
}

impl Left {
    pub(super) fn new(matrix: Matrix<'_>, sizes: [usize; 2]) -> Self {
        let mut left = Self::default();
        vectorised(
            #[inline(always)]
            || left.pack(matrix, sizes),
        );
        left
    }

    #[inline(always)]
    pub(super) fn pack(&mut self, matrix: Matrix<'_>, [rows, depth]: [usize; 2]) {
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

/// The packed columns of a right side, `[depth, width]` for every panel; the last is filled up with zeros.
pub(super) struct Right {
    values: Vec<f32>,
    pub(super) depth: usize,
    columns: usize,
}

impl Right {
    /// Packs a matrix with all threads.
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

    /// Number of columns, without those that fill up the last panel.
    pub(super) fn columns(&self) -> usize {
        self.columns
    }

    /// The panels and their columns.
    pub(super) fn panels(&self) -> impl Iterator<Item = (Range<usize>, &[f32])> {
        let panels = self.values.chunks_exact(self.depth * width());
        let columns = (0..).map(|panel| panel_columns(panel, self.columns));
        columns.zip(panels)
    }
}

/// Maximum number of columns of a panel.
pub(super) fn width() -> usize {
    2 * lanes()
}

/// The columns of a panel of a matrix with this number of columns.
pub(super) fn panel_columns(panel: usize, columns: usize) -> Range<usize> {
    let first = panel * width();
    first..(first + width()).min(columns)
}

/// Packs a panel of a right side.
pub(super) fn pack_panel(
    matrix: Matrix<'_>,
    columns: Range<usize>,
    places: &mut [MaybeUninit<f32>],
) {
    let width = width();
    let matrix = matrix.transposed();
    vectorised(
        #[inline(always)]
        || interleave(matrix, columns.clone(), width, places),
    );
}

/// Interleaves rows of a matrix, `[columns, width]`, filled up with zeros.
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

/// Interleaves `R` lines that are `row` elements apart.
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

/// Rows of memory that are written or read next.
#[derive(Clone, Copy)]
pub(super) struct Upcoming {
    first: *const f32,
    /// Elements from a row to the next.
    row: usize,
}

impl Upcoming {
    /// Rows of `row` elements each.
    pub(super) fn new<T>(places: &[T], row: usize) -> Self {
        Self {
            first: places.as_ptr().cast(),
            row,
        }
    }

    /// The rows from a later column on.
    pub(super) fn after(self, columns: usize) -> Self {
        Self {
            first: self.first.wrapping_add(columns),
            ..self
        }
    }

    /// Prefetches the cache lines of these rows: there are more than the processor prefetches by itself.
    #[inline(always)]
    pub(super) fn expect(self, rows: Range<usize>, width: usize) {
        #[cfg(target_arch = "x86_64")]
        for row in rows {
            use std::arch::x86_64::{_MM_HINT_ET0, _mm_prefetch};

            let first = self.first.wrapping_add(row * self.row);
            for place in [first, first.wrapping_add(width - 1)] {
                // SAFETY: a prefetch is a hint; it reads and writes nothing, wherever it points.
                unsafe { _mm_prefetch::<_MM_HINT_ET0>(place.cast()) };
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = (rows, width);
    }
}

/// Computes a panel of a product of packed rows and a packed panel. `result` holds it, `[rows, width]`, and
/// `emit` receives some rows at a time as soon as they are ready, so writing them to memory overlaps with the
/// arithmetic. `to` is where `emit` writes, if that is more rows than the processor prefetches by itself:
/// measured, a pointwise convolution then takes 0.85 of its time, and a product by rows, whose tasks are small,
/// gains nothing.
///
/// # Panics
///
/// If the depths of `panel` and the rows differ or are 0, or `result` is too short.
pub(super) fn product_panel(
    left: &Left,
    panel: &[f32],
    result: &mut [f32],
    to: Option<Upcoming>,
    mut emit: impl FnMut(Range<usize>, &[f32]),
) {
    struct Product<'a> {
        left: &'a Left,
        panel: &'a [f32],
        result: &'a mut [f32],
        to: Option<Upcoming>,
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
                    if let Some(to) = self.to.filter(|_| start + part >= depth) {
                        to.expect(rows.clone(), width);
                    }
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
        to,
        emit: &mut emit,
    });
}

/// As [`product_panel`], for a panel without padding columns. The sums are written straight from the registers
/// to the first columns of `places`, whose rows have `row` elements, with `bias` added if there is any.
///
/// Returns `false` without writing if the panel is too deep for the first-level cache: its sums are made in parts.
pub(super) fn write_panel(
    left: &Left,
    panel: &[f32],
    bias: &[f32],
    places: &mut [MaybeUninit<f32>],
    row: usize,
) -> bool {
    struct Write<'a> {
        left: &'a Left,
        panel: &'a [f32],
        bias: &'a [f32],
        places: &'a mut [MaybeUninit<f32>],
        row: usize,
    }

    impl WithSimd for Write<'_> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            let depth = self.left.depth;
            let (panel, _) = S::as_simd_f32s(self.panel);
            let (panel, _) = panel.as_chunks::<2>();
            assert_eq!(panel.len(), depth);
            let (bias, _) = S::as_simd_f32s(self.bias);
            let bias = match bias {
                [first, second] => [*first, *second],
                _ => [simd.splat_f32s(0.0); 2],
            };
            for rows in bands(self.left.rows) {
                let values = &self.left.values[rows.start * depth..rows.end * depth];
                let places = &mut self.places[rows.start * self.row..];
                match rows.len() {
                    6 => write_tile::<S, 6>(simd, values, panel, bias, places, self.row),
                    5 => write_tile::<S, 5>(simd, values, panel, bias, places, self.row),
                    4 => write_tile::<S, 4>(simd, values, panel, bias, places, self.row),
                    3 => write_tile::<S, 3>(simd, values, panel, bias, places, self.row),
                    2 => write_tile::<S, 2>(simd, values, panel, bias, places, self.row),
                    _ => write_tile::<S, 1>(simd, values, panel, bias, places, self.row),
                }
            }
        }
    }

    if left.depth > DEPTH {
        return false;
    }
    Arch::new().dispatch(Write {
        left,
        panel,
        bias,
        places,
        row,
    });
    true
}

/// Writes `R` rows of a panel to `places`.
#[inline(always)]
fn write_tile<S: Simd, const R: usize>(
    simd: S,
    left: &[f32],
    panel: &[[S::f32s; 2]],
    bias: [S::f32s; 2],
    places: &mut [MaybeUninit<f32>],
    row: usize,
) {
    let sums = tile_sums::<S, R>(simd, left, panel);
    for (index, sums) in sums.into_iter().enumerate() {
        let places = &mut places[index * row..][..2 * S::F32_LANES];
        let (places, _) = S::as_uninit_mut_simd_f32s(places);
        for ((place, sum), bias) in places.iter_mut().zip(sums).zip(bias) {
            // Last, as everywhere: what is the same otherwise stays the same to the bit.
            place.write(simd.add_f32s(sum, bias));
        }
    }
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
    let sums = tile_sums::<S, R>(simd, left, panel);
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

/// The sums of `R` rows of a panel.
#[inline(always)]
fn tile_sums<S: Simd, const R: usize>(
    simd: S,
    left: &[f32],
    panel: &[[S::f32s; 2]],
) -> [[S::f32s; 2]; R] {
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
    sums
}
