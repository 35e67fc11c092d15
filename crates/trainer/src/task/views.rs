//! Images that are seen more than once, or in windows.
//!
//! A *view* is an image at one of `evaluation.scales`, as it is or, with `evaluation.flip`, mirrored. The network
//! is given the whole of a view, or with `evaluation.size.slide` its windows. The averages are those of
//! mmsegmentation: within a view, the mean of the outputs over the windows that a pixel is in; over views, at the
//! size of the image as it was read, the mean of what the outputs stand for, such as probabilities.
//!
//! Memory: a pass has at most `evaluation.batch_size` windows, so what the network needs does not grow with the
//! image. One image is dealt with at a time. Of it the device holds maps of the outputs of all tasks in full: the
//! sum over the windows of a view, two with a flip, and at the size of the image as it was read the sum over the
//! views and what is being added to it.

mod config;

use burn::tensor::{Tensor, TensorData};
use gradway_data::{DenseBatch, Part, Window};
use gradway_kernels::{KernelBackend, add, resize_bilinear};

use super::maps::cut;

pub use config::DenseEvaluationConfig;

/// How an image is seen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct View {
    /// Whether it is mirrored.
    pub(super) is_flipped: bool,
    /// How many times as large it is.
    pub(super) scale: f64,
}

/// Maps of an image, one a task, at the size of the image as it was read.
///
/// # Shapes
///
/// - `[1, channels, height, width]` each
#[derive(Debug)]
pub(super) enum Seen<B: KernelBackend> {
    /// In one view: outputs.
    Once(Vec<Tensor<B, 4>>),
    /// In several: averages of what the outputs stand for.
    Often(Vec<Tensor<B, 4>>),
}

/// Sees the image at `place` of a batch in all its views. The batch must have been
/// [prepared](DenseEvaluationConfig::preparation) at the scales of the configuration.
///
/// `outputs` are those of the tasks for a batch of windows, which are padded to multiples of `stride`. `meaning`
/// is what an output of the task of this index stands for: the pixels of a mirrored view are in their places
/// again, but their values are as the network predicts them of the view.
///
/// # Shapes
///
/// - what `outputs` returns: `[windows, channels, height, width]` each, at the size of the batch
/// - what `meaning` is given and returns: `[1, channels, height, width]`
pub(super) fn see<B: KernelBackend>(
    batch: &DenseBatch,
    place: usize,
    config: &DenseEvaluationConfig,
    stride: usize,
    outputs: impl Fn(&DenseBatch) -> Vec<Tensor<B, 4>>,
    meaning: impl Fn(usize, Tensor<B, 4>, View) -> Tensor<B, 4>,
) -> Seen<B> {
    let once = config.has_one_view();
    let original = batch.items[place].original;
    let sides: &[bool] = match config.flip {
        true => &[false, true],
        false => &[false],
    };
    let (mut sums, mut views) = (Vec::new(), 0);
    for (images, &scale) in batch.scales().zip(&config.scales) {
        let size = images.items[place].size;
        let windows = config.size.windows(size);
        let mut of_scale: Vec<Tensor<B, 4>> = Vec::new();
        let parts = sides.iter().flat_map(|&is_flipped| {
            let part = move |&window: &Window| Part { window, is_flipped };
            windows.iter().map(part)
        });
        let parts: Vec<Part> = parts.collect();
        // By side, one a task.
        let mut canvases: Vec<Vec<Canvas<B>>> = vec![Vec::new(); sides.len()];
        for parts in parts.chunks(config.batch_size.max(1)) {
            let crops = images.parts(place, parts, stride);
            for (task, output) in outputs(&crops).into_iter().enumerate() {
                for (index, part) in parts.iter().enumerate() {
                    let [height, width] = part.window.size;
                    let map = cut(output.clone(), 0, index, 1);
                    let map = cut(cut(map, 2, 0, height), 3, 0, width);
                    let canvases = &mut canvases[usize::from(part.is_flipped)];
                    if canvases.len() == task {
                        canvases.push(Canvas::default());
                    }
                    canvases[task].add(map, part.window, size);
                }
            }
        }
        for (&is_flipped, canvases) in sides.iter().zip(canvases) {
            let view = View { is_flipped, scale };
            let means = canvases.into_iter().enumerate();
            let means = means.filter_map(|(task, canvas)| {
                let mut output = resize_bilinear(canvas.mean(&windows)?, original);
                if is_flipped {
                    output = output.flip([3]);
                }
                Some(match once {
                    true => output,
                    false => meaning(task, output, view),
                })
            });
            // Both sides come together first: what comes of a mirrored image is then exactly mirrored.
            of_scale = summed(of_scale, means);
        }
        sums = summed(sums, of_scale.into_iter());
        views += sides.len();
    }
    if once {
        return Seen::Once(sums);
    }
    Seen::Often(sums.into_iter().map(|sum| sum / views as f64).collect())
}

/// Sums of maps, one a task; `sums` is empty, or has one of every task.
fn summed<B: KernelBackend>(
    sums: Vec<Tensor<B, 4>>,
    maps: impl Iterator<Item = Tensor<B, 4>>,
) -> Vec<Tensor<B, 4>> {
    if sums.is_empty() {
        return maps.collect();
    }
    let pairs = sums.into_iter().zip(maps);
    pairs.map(|(sum, map)| add(sum, map)).collect()
}

/// The sum of the outputs of windows of a view, each at its place.
#[derive(Debug, Clone)]
struct Canvas<B: KernelBackend> {
    /// `[1, channels, height, width]`; none before the first window.
    sum: Option<Tensor<B, 4>>,
}

impl<B: KernelBackend> Default for Canvas<B> {
    fn default() -> Self {
        Self { sum: None }
    }
}

impl<B: KernelBackend> Canvas<B> {
    /// Adds the output of a window of a view of `size`, `[1, channels, height, width]`.
    fn add(&mut self, map: Tensor<B, 4>, window: Window, size: [usize; 2]) {
        if window == Window::whole(size) {
            self.sum = Some(map);
            return;
        }
        let channels = map.dims()[1];
        let sum = self.sum.take();
        let sum =
            sum.unwrap_or_else(|| Tensor::zeros([1, channels, size[0], size[1]], &map.device()));
        let ([top, left], [rows, columns]) = (window.start, window.size);
        let range = [0..1, 0..channels, top..top + rows, left..left + columns];
        let here = add(sum.clone().slice(range.clone()), map);
        self.sum = Some(sum.slice_assign(range, here));
    }

    /// The mean over the windows that a pixel is in.
    fn mean(self, windows: &[Window]) -> Option<Tensor<B, 4>> {
        let sum = self.sum?;
        if windows.len() == 1 {
            return Some(sum);
        }
        let [_, _, height, width] = sum.dims();
        let mut counts = vec![0.0f32; height * width];
        for window in windows {
            let ([top, left], [rows, columns]) = (window.start, window.size);
            for row in counts.chunks_exact_mut(width).skip(top).take(rows) {
                for count in &mut row[left..left + columns] {
                    *count += 1.0;
                }
            }
        }
        let counts = TensorData::new(counts, [1, 1, height, width]);
        let counts = Tensor::from_data(counts, &sum.device());
        Some(sum / counts)
    }
}

#[cfg(test)]
mod tests;
