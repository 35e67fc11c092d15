//! Pooling of regions of interest: RoIAlign.

use std::sync::Arc;

use burn::tensor::ops::FloatTensor;
use burn::tensor::{IndexingUpdateOp, Int, Tensor, TensorData};

use crate::KernelBackend;
use crate::primitive::{float, tensor};

/// Approximate number of elements (samples times channels) that the reference implementation holds at once.
const HELD: usize = 1 << 24;

/// A region of an image of a batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Roi {
    /// Index in the batch.
    pub image: usize,
    /// Left, top, right, bottom in pixels of the image.
    pub bounds: [f32; 4],
}

/// Options of [`roi_align`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RoiAlign {
    /// Bins along either side of the output.
    pub size: usize,
    /// Cells of the map per pixel of the image: 1 / stride.
    pub scale: f32,
    /// Samples along either side of a bin; 0 for as many as a bin has cells, rounded up.
    pub sampling: usize,
    /// Whether pixel centres are at half-pixel offsets and regions may have any size. The published operator
    /// has neither.
    pub aligned: bool,
}

/// RoIAlign (He et al. 2017, arXiv 1703.06870, section 3): the mean of bilinear samples in every bin of every
/// region, as torchvision's `roi_align` with its border rules.
///
/// Samples more than a cell outside the map count as zero. Under autodiff `x` is not kept.
///
/// # Shapes
///
/// - `x`: `[batch, channels, height, width]`
/// - output: `[regions, channels, size, size]`
///
/// # Panics
///
/// If a region names an image that is not in the batch.
pub fn roi_align<B: KernelBackend>(
    x: Tensor<B, 4>,
    rois: Arc<[Roi]>,
    options: RoiAlign,
) -> Tensor<B, 4> {
    let [batch, channels, _, _] = x.dims();
    assert!(rois.iter().all(|roi| roi.image < batch));
    if rois.is_empty() {
        return Tensor::zeros([0, channels, options.size, options.size], &x.device());
    }
    tensor(B::roi_align(float(x), rois, options))
}

/// [`roi_align`] in plain Burn: it gathers rows of a map and adds them up.
pub fn roi_align_reference<B: KernelBackend>(
    x: Tensor<B, 4>,
    rois: &[Roi],
    options: RoiAlign,
) -> Tensor<B, 4> {
    tensor(forward::<B>(float(x), rois, options))
}

/// The weights of cells in the bins of a region along one axis. Bilinear interpolation and the mean over
/// samples are separable, so the weight of a cell is the product of one weight per axis.
#[derive(Debug, Clone)]
pub(crate) struct Axis {
    /// Cells and their weights, bin after bin, in ascending order of cells within a bin.
    taps: Vec<(usize, f32)>,
    /// Where in `taps` the next bin begins.
    ends: Vec<usize>,
}

impl Axis {
    /// The weights along a side of `length` cells for a region from `start` to `end` in pixels.
    fn new(start: f32, end: f32, length: usize, options: RoiAlign) -> Self {
        let offset = if options.aligned { 0.5 } else { 0.0 };
        let start = start * options.scale - offset;
        let mut side = end * options.scale - offset - start;
        if !options.aligned {
            side = side.max(1.0);
        }
        let bin = side / options.size as f32;
        let samples = match options.sampling {
            // More than two samples for a cell add nothing, and a wild region may ask for any number.
            0 => (bin.ceil().max(0.0) as usize).min(2 * length + 1),
            samples => samples,
        };
        let mut axis = Self {
            taps: Vec::new(),
            ends: Vec::with_capacity(options.size),
        };
        for index in 0..options.size {
            let first = axis.taps.len();
            for sample in 0..samples {
                let place = index as f32 * bin + (sample as f32 + 0.5) * bin / samples as f32;
                axis.add(first, start + place, length, 1.0 / samples as f32);
            }
            axis.ends.push(axis.taps.len());
        }
        axis
    }

    /// Adds a sample to the bin whose taps begin at `first`.
    fn add(&mut self, first: usize, place: f32, length: usize, share: f32) {
        // NaN is outside too.
        if !(-1.0..=length as f32).contains(&place) {
            return;
        }
        let place = place.max(0.0);
        let below = (place as usize).min(length - 1);
        let above = (below + 1).min(length - 1);
        let upper = if above == below {
            0.0
        } else {
            place - below as f32
        };
        for (cell, share) in [(below, share * (1.0 - upper)), (above, share * upper)] {
            match self.taps[first..]
                .iter_mut()
                .find(|(known, _)| *known == cell)
            {
                Some((_, sum)) => *sum += share,
                None if share != 0.0 => self.taps.push((cell, share)),
                None => {}
            }
        }
    }

    /// The cells and weights of a bin.
    pub(crate) fn bin(&self, index: usize) -> &[(usize, f32)] {
        let first = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.taps[first..self.ends[index]]
    }

    /// The cells of all bins, from the first to the last.
    #[cfg(feature = "cpu")]
    pub(crate) fn cells(&self) -> std::ops::Range<usize> {
        let first = self.taps.iter().map(|(cell, _)| *cell).min();
        let last = self.taps.iter().map(|(cell, _)| *cell).max();
        first.unwrap_or(0)..last.map_or(0, |last| last + 1)
    }
}

/// The weights of a region in a map: vertical, horizontal.
pub(crate) fn axes(roi: Roi, [height, width]: [usize; 2], options: RoiAlign) -> [Axis; 2] {
    let [left, top, right, bottom] = roi.bounds;
    [
        Axis::new(top, bottom, height, options),
        Axis::new(left, right, width, options),
    ]
}

/// The positions that the bins of some regions read, and their weights. Every bin has the same number of positions.
struct Samples<B: KernelBackend> {
    /// `[bins * taps]`, in the positions of all images.
    positions: Tensor<B, 1, Int>,
    /// `[bins * taps, 1]`
    shares: Tensor<B, 2>,
    bins: usize,
    taps: usize,
}

impl<B: KernelBackend> Samples<B> {
    /// The samples of the regions that fit into [`HELD`] together, and the number of these regions.
    fn next(
        rois: &[Roi],
        [_, channels, height, width]: [usize; 4],
        options: RoiAlign,
        device: &B::Device,
    ) -> (Self, usize) {
        let bins = options.size * options.size;
        let mut taps = 1;
        let mut chosen: Vec<(usize, [Axis; 2])> = Vec::new();
        for roi in rois {
            let [down, across] = axes(*roi, [height, width], options);
            let most = |axis: &Axis| (0..options.size).map(|bin| axis.bin(bin).len()).max();
            let needed = most(&down).unwrap_or(0) * most(&across).unwrap_or(0);
            let held = (chosen.len() + 1) * bins * channels * taps.max(needed);
            if !chosen.is_empty() && held > HELD {
                break;
            }
            taps = taps.max(needed);
            chosen.push((roi.image * height * width, [down, across]));
        }
        let mut positions = Vec::with_capacity(chosen.len() * bins * taps);
        let mut shares = Vec::with_capacity(positions.capacity());
        for (image, [down, across]) in &chosen {
            for bin in 0..bins {
                let end = positions.len() + taps;
                for (y, upper) in down.bin(bin / options.size) {
                    for (x, lower) in across.bin(bin % options.size) {
                        positions.push((image + y * width + x) as i32);
                        shares.push(upper * lower);
                    }
                }
                positions.resize(end, 0);
                shares.resize(end, 0.0);
            }
        }
        let count = positions.len();
        let samples = Self {
            positions: Tensor::from_data(TensorData::new(positions, [count]), device),
            shares: Tensor::from_data(TensorData::new(shares, [count, 1]), device),
            bins: chosen.len() * bins,
            taps,
        };
        (samples, chosen.len())
    }
}

/// Computes weighted sums of the map's positions, some regions at a time.
pub(crate) fn forward<B: KernelBackend>(
    x: FloatTensor<B>,
    rois: &[Roi],
    options: RoiAlign,
) -> FloatTensor<B> {
    let x = tensor::<B, 4>(x);
    let shape = x.dims();
    let [batch, channels, height, width] = shape;
    let device = x.device();
    let rows = x
        .permute([0, 2, 3, 1])
        .reshape([batch * height * width, channels]);
    let mut parts = Vec::new();
    let mut rest = rois;
    while !rest.is_empty() {
        let (samples, count) = Samples::<B>::next(rest, shape, options, &device);
        let seen = rows.clone().select(0, samples.positions) * samples.shares;
        let sums = seen
            .reshape([samples.bins, samples.taps, channels])
            .sum_dim(1);
        let sums = sums.reshape([count, options.size * options.size, channels]);
        parts.push(sums.swap_dims(1, 2));
        rest = &rest[count..];
    }
    let size = options.size;
    float(Tensor::cat(parts, 0).reshape([rois.len(), channels, size, size]))
}

/// The gradient of a map of `shape`: adds to every position that [`forward`] reads.
pub(crate) fn backward<B: KernelBackend>(
    grad: FloatTensor<B>,
    rois: &[Roi],
    options: RoiAlign,
    shape: [usize; 4],
) -> FloatTensor<B> {
    let grad = tensor::<B, 4>(grad);
    let device = grad.device();
    let [batch, channels, height, width] = shape;
    let bins = options.size * options.size;
    let grad = grad.reshape([rois.len(), channels, bins]).swap_dims(1, 2);
    let mut rows = Tensor::<B, 2>::zeros([batch * height * width, channels], &device);
    let mut done = 0;
    while done < rois.len() {
        let (samples, count) = Samples::<B>::next(&rois[done..], shape, options, &device);
        let part = grad.clone().narrow(0, done, count);
        let part = part.reshape([samples.bins, 1, channels]);
        let part = part.repeat_dim(1, samples.taps);
        let part = part.reshape([samples.bins * samples.taps, channels]) * samples.shares;
        rows = rows.select_assign(0, samples.positions, part, IndexingUpdateOp::Add);
        done += count;
    }
    let map = rows.reshape([batch, height, width, channels]);
    float(map.permute([0, 3, 1, 2]))
}
