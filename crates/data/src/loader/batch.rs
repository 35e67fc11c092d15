//! One batch for segmentation: its samples padded and normalised.

use crate::dataset::SegmentationSample;
use crate::label::IGNORE;
use crate::loader::ImageBatch;
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

impl ImageBatch for SegmentationBatch {
    fn images(&self) -> &[f32] {
        &self.images
    }

    fn shape(&self) -> [usize; 4] {
        [self.count, 3, self.height, self.width]
    }

    fn ids(&self) -> Vec<&str> {
        self.ids.iter().map(String::as_str).collect()
    }
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
pub(super) fn size(sample: &SegmentationSample) -> (usize, usize) {
    (sample.labels.height as usize, sample.labels.width as usize)
}
