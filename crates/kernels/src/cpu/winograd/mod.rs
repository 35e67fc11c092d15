//! 3x3 convolutions at stride 1 by minimal filtering: F(2x2, 3x3) of Winograd (1980), applied to convolutions
//! by Lavin and Gray (2016, arXiv 1509.09308).
//!
//! Four outputs of a tile take 16 products for each input channel instead of 36. They are computed as sixteen
//! matrix products, `[outputs, inputs]` by `[inputs, tiles]`. One group of panels of tiles at a time is
//! transformed, multiplied and transformed back, and nothing more is stored. With sides of two the rounding is
//! that of a direct convolution.

mod tiling;
mod transform;

use std::mem::MaybeUninit;

use pulp::Arch;
use rayon::prelude::*;

use self::tiling::Tiling;
use self::transform::{Transform, Write};
use super::matrix::Matrix;
use super::packed::{Left, product_panel, width};
use super::sizes::Dense;
use super::storage::written;
use super::vector::vectorised;
use crate::activation::Activation;

/// Side of a tile of the output.
const SIDE: usize = 2;
/// Side of a tile's input and of its transform.
const SEEN: usize = 4;
/// Number of products of a tile.
const PRODUCTS: usize = SEEN * SEEN;
/// Approximate number of elements of a group's transforms: 1 MiB, beside filters that stream through the cache.
const GROUP: usize = 1 << 18;
/// Minimum number of channels on either side, and of positions, for which transforms cost less than they save.
const CHANNELS: usize = 16;
const POSITIONS: usize = 512;
/// Rows of a filter's transform.
const FILTER: [[f32; 3]; SEEN] = [
    [1.0, 0.0, 0.0],
    [0.5, 0.5, 0.5],
    [0.5, -0.5, 0.5],
    [0.0, 0.0, 1.0],
];

/// Whether this is the faster method for a convolution of `batch` images.
pub(super) fn is_faster(batch: usize, dense: Dense) -> bool {
    dense.kernel == 3
        && dense.stride == 1
        && dense.inputs.min(dense.outputs) >= CHANNELS
        && batch * dense.positions() >= POSITIONS
}

/// The output, `[batch, outputs, positions]`; `weight` is `[outputs, inputs * 9]`.
pub(super) fn forward(
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    dense: Dense,
    activation: Activation,
) -> Vec<f32> {
    let image = dense.inputs * dense.plane();
    let batch = x.len() / image;
    let filters = filters(weight, dense);
    let tiling = Tiling::new(batch, dense);
    let write = |places: &mut [MaybeUninit<f32>]| {
        let tasks = tiling.tasks(places).into_par_iter();
        tasks.for_each_init(
            || Scratch::new(&tiling),
            |scratch, mut task| {
                let tiles = task.images.len() * task.lines.len() * tiling.tiles[1];
                let group = scratch.panels * scratch.width;
                for start in (0..tiles).step_by(group) {
                    let range = start..(start + group).min(tiles);
                    let runs = tiling.runs(&task, range.clone());
                    let planes = &x[task.images.start * image..task.images.end * image];
                    Arch::new().dispatch(Transform {
                        scratch,
                        dense,
                        planes,
                        runs: &runs,
                    });
                    scratch.multiply(&filters, range.len());
                    Arch::new().dispatch(Write {
                        scratch,
                        dense,
                        task: &mut task,
                        runs: &runs,
                        bias,
                        activation,
                    });
                }
            },
        );
    };
    // SAFETY: the tasks cover all lines, their runs every tile, and a tile is written whole.
    unsafe { written(batch * dense.outputs * dense.positions(), write) }
}

/// The transformed filters, `[outputs, inputs]` for each product.
fn filters(weight: &[f32], dense: Dense) -> Vec<Left> {
    let (kernels, _) = weight.as_chunks::<9>();
    let share = kernels.len().div_ceil(rayon::current_num_threads());
    let mut products = vec![vec![0.0; kernels.len()]; PRODUCTS];
    let mut shares: Vec<Vec<&mut [f32]>> = Vec::new();
    shares.resize_with(kernels.len().div_ceil(share), Vec::new);
    for product in &mut products {
        for (places, part) in shares.iter_mut().zip(product.chunks_mut(share)) {
            places.push(part);
        }
    }
    let shares = shares.into_par_iter().zip(kernels.par_chunks(share));
    shares.for_each(|(mut products, kernels)| {
        vectorised(
            #[inline(always)]
            || filter(kernels, &mut products),
        );
    });
    let products = products.par_iter();
    let pack = |product: &Vec<f32>| {
        let matrix = Matrix::rows(product, dense.inputs);
        Left::new(matrix, [dense.outputs, dense.inputs])
    };
    products.map(pack).collect()
}

/// Transforms kernels, a vector of them at a time.
#[inline(always)]
fn filter(kernels: &[[f32; 9]], products: &mut [&mut [f32]]) {
    const LANES: usize = 8;

    for first in (0..kernels.len()).step_by(LANES) {
        let kernels = &kernels[first..(first + LANES).min(kernels.len())];
        let mut taps = [[0.0; LANES]; 9];
        for (lane, kernel) in kernels.iter().enumerate() {
            for (tap, value) in taps.iter_mut().zip(kernel) {
                tap[lane] = *value;
            }
        }
        for (index, product) in products.iter_mut().enumerate() {
            let (row, column) = (FILTER[index / SEEN], FILTER[index % SEEN]);
            let mut sums = [0.0; LANES];
            for (tap, values) in taps.iter().enumerate() {
                let factor = row[tap / 3] * column[tap % 3];
                for lane in 0..LANES {
                    sums[lane] += factor * values[lane];
                }
            }
            product[first..first + kernels.len()].copy_from_slice(&sums[..kernels.len()]);
        }
    }
}

/// The transforms of a group of panels.
struct Scratch {
    /// `[products, panels, inputs, width]`, with one more width after each product, so that the products of a
    /// tile do not map to the same cache set.
    seen: Vec<f32>,
    /// `[products, panels, outputs, width]`, likewise.
    sums: Vec<f32>,
    /// The input of a run in a channel: `[4, 2, columns]`, even and odd columns.
    lines: Vec<f32>,
    panels: usize,
    width: usize,
}

impl Scratch {
    fn new(tiling: &Tiling) -> Self {
        let Dense {
            inputs, outputs, ..
        } = tiling.dense;
        let width = width();
        let most = (tiling.images * tiling.lines * tiling.tiles[1]).div_ceil(width);
        let panels = (GROUP / (PRODUCTS * width * (inputs + outputs))).clamp(1, most);
        let columns = tiling.tiles[1].min(panels * width) + 1 + width;
        Self {
            seen: vec![0.0; PRODUCTS * (panels * inputs + 1) * width],
            sums: vec![0.0; PRODUCTS * (panels * outputs + 1) * width],
            lines: vec![0.0; SEEN * 2 * columns],
            panels,
            width,
        }
    }

    fn multiply(&mut self, filters: &[Left], tiles: usize) {
        let used = tiles.div_ceil(self.width);
        let (inputs, outputs) = (filters[0].depth, filters[0].rows);
        let seen = self
            .seen
            .chunks_exact((self.panels * inputs + 1) * self.width);
        let sums = self
            .sums
            .chunks_exact_mut((self.panels * outputs + 1) * self.width);
        for ((filter, seen), sums) in filters.iter().zip(seen).zip(sums) {
            let seen = seen.chunks_exact(inputs * self.width).take(used);
            for (seen, sums) in seen.zip(sums.chunks_exact_mut(outputs * self.width)) {
                product_panel(filter, seen, sums, None, |_, _| {});
            }
        }
    }
}
