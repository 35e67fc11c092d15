//! What follows from the table of dataset formats, which is in `formats/mod.rs`: the configuration, opening, and the
//! listing.
//!
//! A format is one file in [`crate::formats`], which implements [`DatasetFormat`] for its configuration, and one line
//! in the table.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::check::{Report, check, check_detection, check_multi_task};
use crate::dense::DenseDataset;
use crate::detection::DetectionDataset;
use crate::error::DataError;
use crate::format::{DatasetDescriptor, DatasetFormat, Opened};
use crate::labels::DenseTask;
use crate::split::Split;
use crate::task::Task;

macro_rules! declare {
    ($($variant:ident($config:ident, $file:ident),)+) => {
        /// A dataset, as a configuration names it: `format` and the keys of that format.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "format", rename_all = "snake_case")]
        pub enum DatasetConfig {
            $(#[doc = concat!("See [`", stringify!($file), "`](crate::formats::", stringify!($file), ").")]
            $variant(crate::formats::$file::$config),)+
        }

        const TABLE: &[DatasetDescriptor] =
            &[$(<crate::formats::$file::$config as DatasetFormat>::DESCRIPTOR),+];

        impl DatasetConfig {
            /// The descriptor of this configuration's format.
            pub fn descriptor(&self) -> DatasetDescriptor {
                match self {
                    $(Self::$variant(_) => {
                        <crate::formats::$file::$config as DatasetFormat>::DESCRIPTOR
                    })+
                }
            }

            fn find(&self, split: Split) -> Result<Opened, DataError> {
                match self {
                    $(Self::$variant(config) => config.open(split),)+
                }
            }
        }
    };
}

crate::formats::datasets!(declare);

/// Every dataset format, in the order of listings.
pub fn table() -> &'static [DatasetDescriptor] {
    TABLE
}

impl DatasetConfig {
    /// Opens a split for segmentation, and checks that every image has a mask; samples are read when
    /// asked for.
    ///
    /// # Errors
    /// [`DataError::WrongTask`] if the format holds something else; missing folders, files or masks,
    /// an empty split, or a class list that does not fit.
    pub fn open(&self, split: Split) -> Result<Arc<dyn DenseDataset>, DataError> {
        self.open_dense(
            Task::Segmentation,
            split,
            &[DenseTask::SemanticSegmentation],
        )
    }

    /// Opens a split for detection, and checks that every image exists and every annotation can be
    /// used; images and masks are read when asked for.
    ///
    /// # Errors
    /// [`DataError::WrongTask`] if the format holds something else; missing folders or files, an
    /// empty split, or annotations that are wrong.
    pub fn open_detection(&self, split: Split) -> Result<Arc<dyn DetectionDataset>, DataError> {
        self.require(Task::Detection)?;
        match self.find(split)? {
            Opened::Annotated(dataset) => {
                dataset.require_files()?;
                Ok(Arc::new(dataset))
            }
            Opened::Dense(_) => Err(self.wrong_task(Task::Detection)),
        }
    }

    /// Opens a split for several tasks, and checks that every sample has the files of `tasks`; samples
    /// are read when asked for.
    ///
    /// # Errors
    /// [`DataError::WrongTask`] if the format holds something else, [`DataError::TaskNotOffered`];
    /// missing folders or files, an empty split, or a class list that does not fit.
    pub fn open_multi_task(
        &self,
        split: Split,
        tasks: &[DenseTask],
    ) -> Result<Arc<dyn DenseDataset>, DataError> {
        self.open_dense(Task::MultiTask, split, tasks)
    }

    fn open_dense(
        &self,
        task: Task,
        split: Split,
        tasks: &[DenseTask],
    ) -> Result<Arc<dyn DenseDataset>, DataError> {
        self.require(task)?;
        match self.find(split)? {
            Opened::Dense(dataset) => {
                dataset.require(tasks)?;
                Ok(dataset)
            }
            Opened::Annotated(_) => Err(self.wrong_task(task)),
        }
    }

    /// Number of classes, without a look at images or masks; of several tasks, those of semantic
    /// segmentation.
    ///
    /// # Errors
    /// A split that cannot be found, or a class list that does not fit.
    pub fn classes(&self, split: Split) -> Result<usize, DataError> {
        Ok(match self.find(split)? {
            Opened::Annotated(dataset) => dataset.classes().len(),
            Opened::Dense(dataset) => dataset.classes(DenseTask::SemanticSegmentation).len(),
        })
    }

    /// Reads every sample of a split and reports what it holds and what is wrong with it.
    ///
    /// Images without a mask, and missing images of annotations, are problems of the report here, not
    /// an error.
    ///
    /// # Errors
    /// Only what leaves nothing to report on: missing folders, an empty split, a wrong class list, an
    /// annotation file that contradicts itself.
    pub fn check(&self, split: Split) -> Result<Report, DataError> {
        let has_several = self.descriptor().tasks.contains(&Task::MultiTask);
        Ok(match self.find(split)? {
            Opened::Dense(dataset) if has_several => check_multi_task(dataset.as_ref()),
            Opened::Dense(dataset) => check(dataset.as_ref()),
            Opened::Annotated(dataset) => check_detection(&dataset),
        })
    }

    /// Refuses a format that holds something else, before anything is read: an annotation file may take
    /// a while.
    ///
    /// # Errors
    /// [`DataError::WrongTask`].
    pub fn require(&self, task: Task) -> Result<(), DataError> {
        match self.descriptor().tasks.contains(&task) {
            true => Ok(()),
            false => Err(self.wrong_task(task)),
        }
    }

    fn wrong_task(&self, expected: Task) -> DataError {
        let DatasetDescriptor { name, tasks, .. } = self.descriptor();
        let known = TABLE
            .iter()
            .filter(|format| format.tasks.contains(&expected));
        DataError::WrongTask {
            format: name,
            found: tasks,
            expected,
            known: known.map(|format| format.name).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::manifest;

    #[test]
    fn every_manifest_is_of_a_format() {
        for name in manifest::names() {
            let format = &manifest::find(name).unwrap().unwrap().format;
            assert!(
                TABLE.iter().any(|line| line.name == format),
                "{name}: {format}"
            );
        }
    }
}
