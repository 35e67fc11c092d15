//! One batch: its samples read, prepared, padded and normalised.

use super::{Preparation, Source, Stream};
use crate::dataset::SegmentationSample;
use crate::error::DataError;
use crate::label::IGNORE;
use crate::normalize::Normalization;

/// Samples of one size, side by side.
///
/// Smaller samples lie in the upper left corner; the rest is 0, the mean colour, and
/// [`IGNORE`].
#[derive(Debug, Clone, PartialEq)]
pub struct SegmentationBatch {
    /// `[count, 3, height, width]` normalised colours.
    pub images: Vec<f32>,
    /// `[count, height, width]` classes, [`IGNORE`] where there is none.
    pub labels: Vec<u8>,
    /// Height in pixels.
    pub height: usize,
    /// Width in pixels.
    pub width: usize,
    /// Number of samples.
    pub count: usize,
    /// `[count]` identifiers.
    pub ids: Vec<String>,
    /// `[count]` heights and widths before padding.
    pub sizes: Vec<(usize, usize)>,
}

impl SegmentationBatch {
    /// Puts samples side by side on maps of `size`, height and width, and normalises them.
    ///
    /// What of a sample does not fit is left out.
    pub fn new(
        samples: Vec<SegmentationSample>,
        [height, width]: [usize; 2],
        normalization: &Normalization,
    ) -> Self {
        let count = samples.len();
        let pixels = height * width;
        let mut images = vec![0.0; count * 3 * pixels];
        let mut labels = vec![IGNORE; count * pixels];
        if pixels > 0 {
            let targets = images
                .chunks_exact_mut(3 * pixels)
                .zip(labels.chunks_exact_mut(pixels));
            for (sample, (planes, target)) in samples.iter().zip(targets) {
                normalization.write(&sample.image, planes, height, width);
                let rows = sample
                    .labels
                    .data
                    .chunks_exact((sample.labels.width as usize).max(1));
                for (source, row) in rows.zip(target.chunks_exact_mut(width)) {
                    let length = source.len().min(row.len());
                    row[..length].copy_from_slice(&source[..length]);
                }
            }
        }
        let sizes = samples.iter().map(size).collect();
        Self {
            images,
            labels,
            height,
            width,
            count,
            ids: samples.into_iter().map(|sample| sample.id).collect(),
            sizes,
        }
    }

    /// What of sample `index`'s map, `[height, width]` of the batch, is not padding.
    pub fn without_padding(&self, index: usize, map: &[u8]) -> Vec<u8> {
        let (height, width) = self.sizes.get(index).copied().unwrap_or_default();
        let rows = map.chunks_exact(self.width.max(1)).take(height);
        rows.flat_map(|row| row[..width.min(row.len())].iter().copied())
            .collect()
    }
}

/// Height and width of a sample.
fn size(sample: &SegmentationSample) -> (usize, usize) {
    (sample.labels.height as usize, sample.labels.width as usize)
}

impl Source {
    /// The batch `index` of an epoch; none if `stop` says so in the meantime.
    pub(super) fn batch(
        &self,
        order: &[usize],
        epoch: u64,
        index: usize,
        stop: impl Fn() -> bool,
    ) -> Result<Option<SegmentationBatch>, DataError> {
        let first = index * self.config.batch_size;
        let last = (first + self.config.batch_size).min(order.len());
        let mut samples = Vec::with_capacity(last.saturating_sub(first));
        let positions = order.iter().enumerate().take(last).skip(first);
        for (position, &sample) in positions {
            if stop() {
                return Ok(None);
            }
            samples.push(self.prepare(sample, epoch, position)?);
        }
        Ok(Some(self.assemble(samples)))
    }

    fn prepare(
        &self,
        index: usize,
        epoch: u64,
        position: usize,
    ) -> Result<SegmentationSample, DataError> {
        let sample = self.dataset.get(index)?;
        // What follows relies on it, and a dataset may come from outside of this crate.
        sample.check()?;
        match &self.preparation {
            Preparation::Training(augment) => {
                let mut rng = self.generator(Stream::Augmentation, epoch, position as u64);
                augment.apply(sample, &mut rng)
            }
            Preparation::Evaluation(size) => size.apply(sample),
        }
    }

    fn assemble(&self, samples: Vec<SegmentationSample>) -> SegmentationBatch {
        let (height, width) = match &self.preparation {
            // Always the crop, so that every training step has the same shape.
            Preparation::Training(augment) => {
                let [height, width] = augment.crop_size;
                (height as usize, width as usize)
            }
            Preparation::Evaluation(_) => samples
                .iter()
                .map(size)
                .fold((0, 0), |(h, w), size| (h.max(size.0), w.max(size.1))),
        };
        SegmentationBatch::new(samples, [height, width], &self.normalization)
    }
}
