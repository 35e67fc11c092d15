//! What every dataset of several tasks offers.

use std::collections::BTreeMap;
use std::path::Path;

use image::RgbImage;

use crate::batch::Prepared;
use crate::dense::DenseTarget;
use crate::error::{DataError, LabelFault};
use crate::labels::{DenseLabels, DenseTask};

/// An image and what is known of each of its pixels.
#[derive(Debug, Clone, PartialEq)]
pub struct MultiTaskSample {
    /// Identifier within the dataset, usually the file stem.
    pub id: String,
    /// Colours, 0 to 255.
    pub image: RgbImage,
    /// The labels of the tasks asked for; of the size of the image.
    pub labels: BTreeMap<DenseTask, DenseLabels>,
}

impl MultiTaskSample {
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

/// One split of a dataset of several tasks.
pub trait MultiTaskDataset: Send + Sync {
    /// Name of the dataset, such as `nyud_mt`.
    fn name(&self) -> &str;

    /// Number of samples.
    fn len(&self) -> usize;

    /// Whether there are no samples.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The tasks it can have labels of, in order.
    fn tasks(&self) -> &[DenseTask];

    /// Names of the classes of a task, in label order; empty for tasks without classes and for those
    /// that are not offered.
    fn classes(&self, task: DenseTask) -> &[String];

    /// One RGB colour per class of a task.
    fn palette(&self, task: DenseTask) -> &[[u8; 3]];

    /// Identifier of sample `index`; empty beyond the end.
    fn id(&self, index: usize) -> String;

    /// The file of the image of sample `index`, if it comes from one.
    fn image_file(&self, _index: usize) -> Option<&Path> {
        None
    }

    /// Reads and checks sample `index` with the labels of `tasks`; files of other tasks are not
    /// looked for.
    ///
    /// # Errors
    /// What is wrong with the sample's files, a task that is not offered, or an index beyond the end.
    fn get(&self, index: usize, tasks: &[DenseTask]) -> Result<MultiTaskSample, DataError>;

    /// Refuses tasks of which a sample has no labels, without reading any.
    ///
    /// # Errors
    /// A task that is not offered, or a sample without a file of labels.
    fn require(&self, tasks: &[DenseTask]) -> Result<(), DataError> {
        self.require_offered(tasks)
    }

    /// Refuses tasks that are not offered.
    ///
    /// # Errors
    /// [`DataError::TaskNotOffered`].
    fn require_offered(&self, tasks: &[DenseTask]) -> Result<(), DataError> {
        match tasks.iter().find(|task| !self.tasks().contains(task)) {
            None => Ok(()),
            Some(&task) => Err(DataError::TaskNotOffered {
                dataset: self.name().into(),
                task,
                offered: self.tasks().to_vec(),
            }),
        }
    }
}
