//! One batch: pictures side by side, and the labels of every task beside them.

use std::collections::BTreeMap;

use crate::batch::{Batch, BatchItem};
use crate::error::{DataError, LabelFault};
use crate::labels::{DenseLabels, DenseTask, IGNORE};

/// Pictures side by side, with what is known of their pixels.
pub type DenseBatch = Batch<DenseTarget>;

/// What is known of a picture of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct DenseTarget {
    /// Identifier within the dataset.
    pub id: String,
    /// Returns the height and width of the image in its batch, without padding.
    pub size: [usize; 2],
    /// Height and width of the original image.
    pub original: [usize; 2],
    /// The labels of every task asked for: in training of the size of the picture, in evaluation of that
    /// of the image as it was read.
    pub labels: BTreeMap<DenseTask, DenseLabels>,
}

/// Labels of one task, as numbers.
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

impl BatchItem for DenseTarget {
    fn id(&self) -> &str {
        &self.id
    }

    fn size(&self) -> [usize; 2] {
        self.size
    }
}

impl DenseBatch {
    /// The labels of a task side by side, on maps of the size of the batch's; none if no picture has
    /// any.
    ///
    /// The padding, and all of a picture without labels of the task, is ignored.
    ///
    /// # Errors
    /// [`DataError::Labels`] where labels are not of the size of their picture, as in evaluation at
    /// another size.
    pub fn labels(&self, task: DenseTask) -> Result<Option<BatchLabels>, DataError> {
        let labels = self.items.iter().map(|item| item.labels.get(&task));
        let labels: Vec<Option<&DenseLabels>> = labels.collect();
        if labels.iter().all(Option::is_none) {
            return Ok(None);
        }
        for (item, labels) in self.items.iter().zip(&labels) {
            if let Some(labels) = labels {
                item.require_size(task, labels)?;
            }
        }
        let size = [self.height, self.width];
        Ok(Some(BatchLabels::new(task, &labels, size)))
    }
}

impl DenseTarget {
    /// The labels of a task alone, of their own size; none if there are none.
    pub fn labels_of(&self, task: DenseTask) -> Option<BatchLabels> {
        let labels = self.labels.get(&task)?;
        let (width, height) = labels.size();
        let size = [height as usize, width as usize];
        Some(BatchLabels::new(task, &[Some(labels)], size))
    }

    fn require_size(&self, task: DenseTask, labels: &DenseLabels) -> Result<(), DataError> {
        let (label_width, label_height) = labels.size();
        let [height, width] = self.size.map(|side| side as u32);
        if (label_width, label_height) == (width, height) {
            return Ok(());
        }
        Err(DataError::Labels {
            id: self.id.clone(),
            task,
            fault: LabelFault::Size {
                width,
                height,
                label_width,
                label_height,
                labels: labels.len(),
            },
        })
    }
}

impl BatchLabels {
    fn new(task: DenseTask, samples: &[Option<&DenseLabels>], [height, width]: [usize; 2]) -> Self {
        let (count, pixels) = (samples.len(), height * width);
        if task.has_classes() {
            let mut data = vec![IGNORE; count * pixels];
            for (labels, target) in samples.iter().zip(data.chunks_exact_mut(pixels.max(1))) {
                if let Some(DenseLabels::Classes(map)) = labels {
                    copy(&map.data, map.width, target, width, |label| *label);
                }
            }
            return Self::Classes(data);
        }
        let channels = if task == DenseTask::Depth { 1 } else { 3 };
        let mut data = vec![0.0; count * channels * pixels];
        let targets = data.chunks_exact_mut((channels * pixels).max(1));
        for (labels, target) in samples.iter().zip(targets) {
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
