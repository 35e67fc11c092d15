//! One batch: pictures side by side, and the labels of every task beside them.

use std::collections::BTreeMap;

use crate::batch::{Batch, BatchItem};
use crate::error::{DataError, LabelFault};
use crate::labels::{BatchLabels, DenseLabels, DenseTask};

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
        Ok(Some(DenseLabels::batch(task, &labels, size)))
    }
}

impl DenseTarget {
    /// The labels of a task alone, of their own size; none if there are none.
    pub fn labels_of(&self, task: DenseTask) -> Option<BatchLabels> {
        let labels = self.labels.get(&task)?;
        let (width, height) = labels.size();
        let size = [height as usize, width as usize];
        Some(DenseLabels::batch(task, &[Some(labels)], size))
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
