//! What every dataset of dense tasks offers.

use std::path::Path;

use super::sample::DenseSample;
use crate::error::DataError;
use crate::labels::DenseTask;

/// One split of a dataset of dense tasks.
pub trait DenseDataset: Send + Sync {
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

    /// Returns the identifier of sample `index`; empty if the index is out of range.
    fn id(&self, index: usize) -> String;

    /// Returns the image file of sample `index`, if there is one.
    fn image_file(&self, _index: usize) -> Option<&Path> {
        None
    }

    /// Reads and checks sample `index` with the labels of `tasks`; files of other tasks are not
    /// looked for.
    ///
    /// # Errors
    /// What is wrong with the sample's files, a task that is not offered, or an index beyond the end.
    fn get(&self, index: usize, tasks: &[DenseTask]) -> Result<DenseSample, DataError>;

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
