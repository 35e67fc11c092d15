//! An image and what is known of its pixels.

use std::collections::BTreeMap;

use image::RgbImage;

use super::batch::DenseTarget;
use crate::batch::Prepared;
use crate::error::{DataError, LabelFault};
use crate::labels::{DenseLabels, DenseTask, LabelMap};

/// An image and what is known of each of its pixels.
#[derive(Debug, Clone, PartialEq)]
pub struct DenseSample {
    /// Identifier in the dataset, usually the file stem.
    pub id: String,
    /// Colours, 0 to 255.
    pub image: RgbImage,
    /// The labels of the tasks asked for; of the size of the image.
    pub labels: BTreeMap<DenseTask, DenseLabels>,
}

impl DenseSample {
    /// Refuses labels that do not cover the image exactly, are of another kind than their task, or
    /// hold numbers that make no sense.
    ///
    /// # Errors
    /// [`DataError::Labels`].
    pub fn check(&self) -> Result<(), DataError> {
        let (width, height) = self.image.dimensions();
        for (&task, labels) in &self.labels {
            let (label_width, label_height) = labels.size();
            let pixels = width as usize * height as usize;
            let fault = if (label_width, label_height) != (width, height) || labels.len() != pixels
            {
                LabelFault::Size {
                    width,
                    height,
                    label_width,
                    label_height,
                    labels: labels.len(),
                }
            } else if let Some(reason) = labels.fault(task) {
                LabelFault::Values { reason }
            } else {
                continue;
            };
            return Err(DataError::Labels {
                id: self.id.clone(),
                task,
                fault,
            });
        }
        Ok(())
    }

    /// An image with the class of each of its pixels.
    pub fn segmentation(id: impl Into<String>, image: RgbImage, classes: LabelMap) -> Self {
        let labels = DenseLabels::Classes(classes);
        Self {
            id: id.into(),
            image,
            labels: BTreeMap::from([(DenseTask::SemanticSegmentation, labels)]),
        }
    }

    /// The map of a task whose labels are classes; none if there is none.
    pub fn class_map(&self, task: DenseTask) -> Option<&LabelMap> {
        match self.labels.get(&task)? {
            DenseLabels::Classes(map) => Some(map),
            _ => None,
        }
    }

    /// The sample as it goes into a batch; `original` is the height and width of the image as it was read.
    pub fn prepared(self, original: [usize; 2]) -> Prepared<DenseTarget> {
        let (width, height) = self.image.dimensions();
        Prepared {
            image: self.image,
            item: DenseTarget {
                id: self.id,
                size: [height as usize, width as usize],
                original,
                labels: self.labels,
            },
        }
    }
}
