//! What follows from the table of dataset formats, which is in `formats/mod.rs`: the configuration, opening, and the
//! listing.
//!
//! A format is one file in [`crate::formats`], which implements [`DatasetFormat`] for its configuration, and one line
//! in the table.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::check::{DatasetReport, check, check_detection, check_multi_task};
use crate::dense::DenseDataset;
use crate::detection::{AnnotatedDataset, DetectionDataset};
use crate::error::DataError;
use crate::format::{DatasetDescriptor, DatasetFormat, Opened};
use crate::labels::DenseTask;
use crate::split::Split;
use crate::task::TaskKind;

macro_rules! declare {
    ($($variant:ident($config:ident, $file:ident),)+) => {
        /// The dataset of a configuration: `format` and the keys of that format.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "format", rename_all = "snake_case")]
        pub enum DatasetConfig {
            $(#[doc = concat!("See [`", stringify!($file), "`](crate::formats::", stringify!($file), ").")]
            $variant(crate::formats::$file::$config),)+
        }

        const TABLE: &[DatasetDescriptor] =
            &[$(<crate::formats::$file::$config as DatasetFormat>::DESCRIPTOR),+];

        impl DatasetConfig {
            /// Returns the descriptor of this configuration's format.
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

/// Returns every dataset format, in the order of listings.
pub fn table() -> &'static [DatasetDescriptor] {
    TABLE
}

impl DatasetConfig {
    /// Opens a split for segmentation, and checks that every image has a mask; samples are read on demand.
    ///
    /// # Errors
    /// [`DataError::WrongTask`] if the format does not support the task; missing folders, files or masks, an
    /// empty split, or a class list that does not fit.
    pub fn open(&self, split: Split) -> Result<Arc<dyn DenseDataset>, DataError> {
        self.open_dense(
            TaskKind::Segmentation,
            split,
            &[DenseTask::SemanticSegmentation],
        )
    }

    /// Opens a split for detection, and checks that every image exists and every annotation is valid; images
    /// and masks are read on demand.
    ///
    /// # Errors
    /// [`DataError::WrongTask`] if the format does not support the task; missing folders or files, an empty
    /// split, or invalid annotations.
    pub fn open_detection(&self, split: Split) -> Result<Arc<dyn DetectionDataset>, DataError> {
        Ok(Arc::new(self.annotated(split)?))
    }

    /// As [`Self::open_detection`], for detectors that predict masks: checks that every object has a mask, and
    /// skips training objects whose mask is empty.
    ///
    /// # Errors
    /// As [`Self::open_detection`], and objects without a mask.
    pub fn open_detection_with_masks(
        &self,
        split: Split,
    ) -> Result<Arc<dyn DetectionDataset>, DataError> {
        let mut dataset = self.annotated(split)?;
        dataset.require_masks()?;
        if split == Split::Train {
            dataset.leave_out_empty_masks()?;
        }
        Ok(Arc::new(dataset))
    }

    fn annotated(&self, split: Split) -> Result<AnnotatedDataset, DataError> {
        self.require(TaskKind::Detection)?;
        match self.find(split)? {
            Opened::Annotated(dataset) => {
                dataset.require_files()?;
                Ok(dataset)
            }
            Opened::Dense(_) => Err(self.wrong_task(TaskKind::Detection)),
        }
    }

    /// Opens a split for several tasks, and checks that every sample has the files of `tasks`; samples are read
    /// on demand.
    ///
    /// # Errors
    /// [`DataError::WrongTask`] if the format does not support several tasks, [`DataError::TaskNotOffered`];
    /// missing folders or files, an empty split, or a class list that does not fit.
    pub fn open_multi_task(
        &self,
        split: Split,
        tasks: &[DenseTask],
    ) -> Result<Arc<dyn DenseDataset>, DataError> {
        self.open_dense(TaskKind::MultiTask, split, tasks)
    }

    fn open_dense(
        &self,
        task: TaskKind,
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

    /// Returns the number of classes, without reading images or masks; for several tasks the classes of
    /// semantic segmentation.
    ///
    /// # Errors
    /// If the split cannot be found, or the class list does not fit.
    pub fn classes(&self, split: Split) -> Result<usize, DataError> {
        Ok(match self.find(split)? {
            Opened::Annotated(dataset) => dataset.classes().len(),
            Opened::Dense(dataset) => dataset.classes(DenseTask::SemanticSegmentation).len(),
        })
    }

    /// Reads every sample of a split and returns a report on its content and problems.
    ///
    /// Images without a mask, and missing images of annotations, are problems in the report and not errors.
    ///
    /// # Errors
    /// Only if there is nothing to report on: missing folders, an empty split, a wrong class list, or an
    /// inconsistent annotation file.
    pub fn check(&self, split: Split) -> Result<DatasetReport, DataError> {
        let has_several = self.descriptor().tasks.contains(&TaskKind::MultiTask);
        Ok(match self.find(split)? {
            Opened::Dense(dataset) if has_several => check_multi_task(dataset.as_ref()),
            Opened::Dense(dataset) => check(dataset.as_ref()),
            Opened::Annotated(dataset) => check_detection(&dataset),
        })
    }

    /// Checks that the format supports a task, before anything is read: an annotation file may take a while.
    ///
    /// # Errors
    /// [`DataError::WrongTask`] if it does not.
    pub fn require(&self, task: TaskKind) -> Result<(), DataError> {
        match self.descriptor().tasks.contains(&task) {
            true => Ok(()),
            false => Err(self.wrong_task(task)),
        }
    }

    fn wrong_task(&self, expected: TaskKind) -> DataError {
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
