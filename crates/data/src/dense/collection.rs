//! Samples of dense tasks and what they have in common.

use std::collections::BTreeMap;
use std::sync::Arc;

use burn_dataset::Dataset;

use super::dataset::DenseDataset;
use super::sample::DenseSample;
use crate::collection::{Collection, Metadata};
use crate::error::{DataError, LabelFault};
use crate::labels::classes::Classes;
use crate::labels::{DenseTask, IGNORE};
use crate::transform::invalid;

/// Samples of dense tasks and what they have in common.
pub type DenseCollection = Collection<DenseSample, DenseMetadata>;

/// What samples of dense tasks have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DenseMetadata {
    /// Name of the dataset.
    pub name: String,
    /// The tasks that samples have labels of, and the classes of each; none of tasks without classes.
    pub tasks: BTreeMap<DenseTask, Classes>,
}

impl Metadata for DenseMetadata {
    fn name(&self) -> &str {
        &self.name
    }
}

impl DenseMetadata {
    /// Samples of several tasks, with the names of the classes of each: none of tasks that have two by
    /// definition, such as saliency, and of tasks without classes.
    pub fn new(
        name: impl Into<String>,
        tasks: impl IntoIterator<Item = (DenseTask, Vec<String>)>,
    ) -> Self {
        let classes = |(task, names): (DenseTask, Vec<String>)| {
            let usual = Classes::of_binary(task).filter(|_| names.is_empty());
            (task, usual.unwrap_or_else(|| Classes::named(names)))
        };
        Self {
            name: name.into(),
            tasks: tasks.into_iter().map(classes).collect(),
        }
    }

    /// Samples with the class of every pixel.
    pub fn segmentation(
        name: impl Into<String>,
        classes: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        let names = classes.into_iter().map(Into::into).collect();
        Self::new(name, [(DenseTask::SemanticSegmentation, names)])
    }

    /// What a dataset says of some of its tasks.
    pub(crate) fn of(dataset: &dyn DenseDataset, tasks: &[DenseTask]) -> Self {
        let classes = |&task: &DenseTask| {
            let classes = Classes {
                list: None,
                names: dataset.classes(task).to_vec(),
                palette: dataset.palette(task).to_vec(),
            };
            (task, classes)
        };
        Self {
            name: dataset.name().to_string(),
            tasks: tasks.iter().map(classes).collect(),
        }
    }

    /// Names of the classes of a task, in label order.
    pub fn classes(&self, task: DenseTask) -> &[String] {
        let classes = self.tasks.get(&task);
        classes.map(|classes| &*classes.names).unwrap_or_default()
    }

    /// One RGB colour per class of a task.
    pub fn palette(&self, task: DenseTask) -> &[[u8; 3]] {
        let classes = self.tasks.get(&task);
        classes.map(|classes| &*classes.palette).unwrap_or_default()
    }

    /// Refuses samples without a task.
    pub(super) fn require_tasks(&self) -> Result<(), DataError> {
        match self.tasks.is_empty() {
            true => Err(no_tasks(&[])),
            false => Ok(()),
        }
    }

    /// Refuses labels that do not fit their image or their task, and classes beyond the list of their task.
    ///
    /// # Errors
    /// [`DataError::Labels`].
    pub fn check(&self, sample: &DenseSample) -> Result<(), DataError> {
        sample.check()?;
        for &task in sample.labels.keys() {
            let classes = self.classes(task).len();
            let Some(map) = sample.class_map(task) else {
                continue;
            };
            let beyond = |label: &&u8| **label != IGNORE && usize::from(**label) >= classes;
            if let Some(label) = map.data.iter().find(beyond) {
                return Err(DataError::Labels {
                    id: sample.id.clone(),
                    task,
                    fault: LabelFault::Values {
                        reason: format!(
                            "a label is {label}, but the number of classes is {classes}"
                        ),
                    },
                });
            }
        }
        Ok(())
    }
}

impl DenseCollection {
    /// The samples of a dataset with the labels of `tasks`, and of no others.
    ///
    /// # Errors
    /// [`DataError::TaskNotOffered`]; [`DataError::InvalidValue`] where there is no task, or one twice.
    pub fn of(dataset: Arc<dyn DenseDataset>, tasks: &[DenseTask]) -> Result<Self, DataError> {
        dataset.require_offered(tasks)?;
        let metadata = DenseMetadata::of(dataset.as_ref(), tasks);
        if metadata.tasks.len() != tasks.len() || tasks.is_empty() {
            return Err(no_tasks(tasks));
        }
        let named = Arc::clone(&dataset);
        let selected = Selected {
            tasks: metadata.tasks.keys().copied().collect(),
            dataset,
        };
        Ok(Self::new(selected, metadata).with_ids(move |index| named.id(index)))
    }
}

/// A dataset with the labels of some of its tasks.
struct Selected {
    dataset: Arc<dyn DenseDataset>,
    tasks: Vec<DenseTask>,
}

impl Dataset<Result<DenseSample, DataError>> for Selected {
    fn get(&self, index: usize) -> Option<Result<DenseSample, DataError>> {
        (index < self.dataset.len()).then(|| self.dataset.get(index, &self.tasks))
    }

    fn len(&self) -> usize {
        self.dataset.len()
    }
}

fn no_tasks(tasks: &[DenseTask]) -> DataError {
    let names: Vec<&str> = tasks.iter().map(|task| task.name()).collect();
    let expected = "at least one task, without duplicates";
    invalid("tasks", names, expected)
}
