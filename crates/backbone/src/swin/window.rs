//! Window partition, shift and their reverse, each as one gather of rows.
//!
//! A permutation of six axes copies a map element by element; a gather of `[rows, channels]` copies
//! whole rows, and pads, shifts and partitions in the same pass.

use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor, TensorData};

/// Pads two axes at their ends with zeros.
pub(super) fn pad_bottom_right<B: Backend>(
    x: Tensor<B, 4>,
    axes: [usize; 2],
    size: [usize; 2],
) -> Tensor<B, 4> {
    axes.into_iter().zip(size).fold(x, |x, (axis, size)| {
        let mut shape = x.dims();
        let missing = size - shape[axis];
        if missing == 0 {
            return x;
        }
        shape[axis] = missing;
        let zeros = Tensor::zeros(shape, &x.device());
        Tensor::cat(vec![x, zeros], axis)
    })
}

/// How the windows of one map are gathered, with and without shift.
#[derive(Debug)]
pub struct Plans<B: Backend> {
    batch: usize,
    size: [usize; 2],
    window: usize,
    pad_first: bool,
    regular: Option<Plan<B>>,
    shifted: Option<Plan<B>>,
    device: B::Device,
}

/// The gather of one shift.
#[derive(Debug, Clone)]
pub(super) struct Plan<B: Backend> {
    /// Map before padding, `[height, width]`.
    size: [usize; 2],
    /// Map after padding.
    padded: [usize; 2],
    /// Row of the padded map behind every row of the windows, `[batch * windows * side^2]`.
    gather: Tensor<B, 1, Int>,
    /// The reverse permutation.
    scatter: Tensor<B, 1, Int>,
    /// Windows of one image.
    pub(super) windows: usize,
    /// Additive mask `[windows, side^2, side^2]` that keeps apart what the shift brought together.
    pub(super) mask: Option<Tensor<B, 3>>,
}

/// What masked pairs of positions are given before the softmax, as the published code does.
const MASKED: f32 = -100.0;

impl<B: Backend> Plans<B> {
    /// Plans for maps like `x`, `[batch, height, width, channels]`.
    pub(super) fn of(x: &Tensor<B, 4>, window: usize, pad_first: bool) -> Self {
        let [batch, height, width, _] = x.dims();
        Self {
            batch,
            size: [height, width],
            window,
            pad_first,
            regular: None,
            shifted: None,
            device: x.device(),
        }
    }

    /// The plan of a block; a map that fits in one window is never shifted.
    pub(super) fn get(&mut self, shifted: bool) -> Plan<B> {
        let fits = self.size[0].min(self.size[1]) <= self.window;
        let shift = if shifted && !fits { self.window / 2 } else { 0 };
        let slot = if shift > 0 {
            &mut self.shifted
        } else {
            &mut self.regular
        };
        slot.get_or_insert_with(|| {
            // What is rolled: the padded map, or the map alone.
            let rolled = if self.pad_first {
                self.size.map(|side| side.next_multiple_of(self.window))
            } else {
                self.size
            };
            Plan::new(
                self.batch,
                self.size,
                rolled,
                self.window,
                shift,
                &self.device,
            )
        })
        .clone()
    }
}

impl<B: Backend> Plan<B> {
    fn new(
        batch: usize,
        size: [usize; 2],
        rolled: [usize; 2],
        window: usize,
        shift: usize,
        device: &B::Device,
    ) -> Self {
        let padded = size.map(|side| side.next_multiple_of(window));
        let [rows, columns] = padded.map(|side| side / window);
        let area = window * window;
        let windows = rows * columns;
        let positions = padded[0] * padded[1];

        let mut gather = Vec::with_capacity(batch * positions);
        let mut scatter = vec![0; batch * positions];
        let mut regions = Vec::with_capacity(positions);
        for image in 0..batch {
            for row in 0..padded[0] / window * window * columns {
                // Walk windows in row-major order, positions inside a window likewise.
                let (window_row, rest) = (row / (columns * window), row % (columns * window));
                let (window_column, inner_row) = (rest / window, rest % window);
                for inner_column in 0..window {
                    let y = window_row * window + inner_row;
                    let x = window_column * window + inner_column;
                    // Padding outside of what is rolled stays where it is.
                    let (from_y, from_x) = if y < rolled[0] && x < rolled[1] {
                        ((y + shift) % rolled[0], (x + shift) % rolled[1])
                    } else {
                        (y, x)
                    };
                    let source = image * positions + from_y * padded[1] + from_x;
                    scatter[source] = gather.len() as i32;
                    gather.push(source as i32);
                    if image == 0 {
                        regions.push(
                            3 * region(y, padded[0], window, shift)
                                + region(x, padded[1], window, shift),
                        );
                    }
                }
            }
        }

        let mask = (shift > 0).then(|| {
            let values: Vec<f32> = regions
                .chunks(area)
                .flat_map(|window| {
                    window.iter().flat_map(move |query| {
                        window
                            .iter()
                            .map(move |key| if query == key { 0.0 } else { MASKED })
                    })
                })
                .collect();
            Tensor::from_data(TensorData::new(values, [windows, area, area]), device)
        });
        let indices = |values: Vec<i32>| {
            let length = values.len();
            Tensor::from_data(TensorData::new(values, [length]), device)
        };
        Self {
            size,
            padded,
            gather: indices(gather),
            scatter: indices(scatter),
            windows,
            mask,
        }
    }

    /// `[batch, height, width, channels]` to `[batch * windows * side^2, channels]`.
    pub(super) fn partition(&self, x: Tensor<B, 4>) -> Tensor<B, 2> {
        let [batch, _, _, channels] = x.dims();
        let x = pad_bottom_right(x, [1, 2], self.padded);
        x.reshape([batch * self.padded[0] * self.padded[1], channels])
            .select(0, self.gather.clone())
    }

    /// The reverse of [`partition`](Self::partition), cropped to the map.
    pub(super) fn reverse(&self, rows: Tensor<B, 2>, batch: usize) -> Tensor<B, 4> {
        let channels = rows.dims()[1];
        let x = rows.select(0, self.scatter.clone()).reshape([
            batch,
            self.padded[0],
            self.padded[1],
            channels,
        ]);
        if self.padded == self.size {
            x
        } else {
            x.slice([0..batch, 0..self.size[0], 0..self.size[1], 0..channels])
        }
    }
}

/// The band of a rolled axis that a position belongs to: inside, last whole window, wrapped.
fn region(position: usize, side: usize, window: usize, shift: usize) -> usize {
    if position < side - window {
        0
    } else if position < side - shift {
        1
    } else {
        2
    }
}
