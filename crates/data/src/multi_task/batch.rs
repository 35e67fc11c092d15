//! One batch: its samples padded and normalised, the labels of every task beside them.

use std::collections::BTreeMap;

use super::{DenseLabels, DenseTask, MultiTaskSample};
use crate::label::IGNORE;
use crate::loader::ImageBatch;
use crate::normalize::Normalization;

/// Samples side by side.
///
/// Smaller samples lie in the upper left corner; the rest is 0, the mean colour, and ignored by
/// every task.
#[derive(Debug, Clone, PartialEq)]
pub struct MultiTaskBatch {
    /// `[count, 3, height, width]` normalised colours.
    pub images: Vec<f32>,
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
    /// The labels of every task asked for.
    pub labels: BTreeMap<DenseTask, BatchLabels>,
}

/// Labels of one task.
#[derive(Debug, Clone, PartialEq)]
pub enum BatchLabels {
    /// `[count, height, width]` classes, parts, saliency or edges; [`IGNORE`] where there is none.
    Classes(Vec<u8>),
    /// Normals or distances; 0 in every channel where there is none.
    Values {
        /// 3 for normals, 1 for distances.
        channels: usize,
        /// `[count, channels, height, width]`
        data: Vec<f32>,
    },
}

impl ImageBatch for MultiTaskBatch {
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

impl MultiTaskBatch {
    /// Puts samples with the labels of `tasks` side by side on maps of `size`, height and width, and
    /// normalises them.
    ///
    /// What of a sample does not fit is left out; a task that a sample has no labels of is ignored
    /// there.
    pub fn new(
        samples: Vec<MultiTaskSample>,
        tasks: &[DenseTask],
        [height, width]: [usize; 2],
        normalization: &Normalization,
    ) -> Self {
        let (count, pixels) = (samples.len(), height * width);
        let mut images = vec![0.0; count * 3 * pixels];
        let targets = images.chunks_exact_mut((3 * pixels).max(1));
        for (sample, planes) in samples.iter().zip(targets) {
            normalization.write(&sample.image, planes, height, width);
        }
        let labels = tasks.iter().map(|&task| {
            let of_task = samples.iter().map(|sample| sample.labels.get(&task));
            (task, BatchLabels::new(task, of_task, [height, width]))
        });
        Self {
            images,
            height,
            width,
            count,
            labels: labels.collect(),
            sizes: samples.iter().map(size).collect(),
            ids: samples.into_iter().map(|sample| sample.id).collect(),
        }
    }

    /// What of sample `index`'s map is not padding: `[channels, height, width]` of the batch, with any
    /// number of channels, to those of the sample.
    pub fn without_padding<T: Copy>(&self, index: usize, map: &[T]) -> Vec<T> {
        let (height, width) = self.sizes.get(index).copied().unwrap_or_default();
        let planes = map.chunks_exact((self.height * self.width).max(1));
        let rows = planes.flat_map(|plane| plane.chunks_exact(self.width.max(1)).take(height));
        rows.flat_map(|row| row[..width.min(row.len())].iter().copied())
            .collect()
    }

    /// The labels of one task of sample `index` alone, without padding; none if there are none.
    pub fn labels_of(&self, index: usize, task: DenseTask) -> Option<BatchLabels> {
        let pixels = self.height * self.width;
        Some(match self.labels.get(&task)? {
            BatchLabels::Classes(data) => {
                let map = data.get(index * pixels..(index + 1) * pixels)?;
                BatchLabels::Classes(self.without_padding(index, map))
            }
            BatchLabels::Values { channels, data } => {
                let length = channels * pixels;
                let map = data.get(index * length..(index + 1) * length)?;
                BatchLabels::Values {
                    channels: *channels,
                    data: self.without_padding(index, map),
                }
            }
        })
    }
}

impl BatchLabels {
    fn new<'a>(
        task: DenseTask,
        samples: impl ExactSizeIterator<Item = Option<&'a DenseLabels>>,
        [height, width]: [usize; 2],
    ) -> Self {
        let (count, pixels) = (samples.len(), height * width);
        if task.has_classes() {
            let mut data = vec![IGNORE; count * pixels];
            for (labels, target) in samples.zip(data.chunks_exact_mut(pixels.max(1))) {
                if let Some(DenseLabels::Classes(map)) = labels {
                    copy(&map.data, map.width, target, width, |label| *label);
                }
            }
            return Self::Classes(data);
        }
        let channels = if task == DenseTask::Depth { 1 } else { 3 };
        let mut data = vec![0.0; count * channels * pixels];
        for (labels, target) in samples.zip(data.chunks_exact_mut((channels * pixels).max(1))) {
            let planes = target.chunks_exact_mut(pixels.max(1)).enumerate();
            for (channel, plane) in planes {
                match labels {
                    Some(DenseLabels::Normals(map)) if channels == 3 => {
                        copy(&map.data, map.width, plane, width, |normal| normal[channel]);
                    }
                    Some(DenseLabels::Depth(map)) if channels == 1 => {
                        copy(&map.data, map.width, plane, width, |depth| *depth);
                    }
                    _ => {}
                }
            }
        }
        Self::Values { channels, data }
    }
}

/// Copies a map into the upper left corner of a plane, as far as it fits.
fn copy<S, T>(
    source: &[S],
    source_width: u32,
    target: &mut [T],
    target_width: usize,
    value: impl Fn(&S) -> T,
) {
    let rows = source.chunks_exact((source_width as usize).max(1));
    for (source, target) in rows.zip(target.chunks_exact_mut(target_width.max(1))) {
        for (source, target) in source.iter().zip(target) {
            *target = value(source);
        }
    }
}

/// Height and width of a sample.
pub(super) fn size(sample: &MultiTaskSample) -> (usize, usize) {
    let (width, height) = sample.image.dimensions();
    (height as usize, width as usize)
}
