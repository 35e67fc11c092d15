//! The table of dataset formats.
//!
//! A format is one file in [`crate::formats`], which implements [`DatasetFormat`] for its configuration, and
//! one line in the invocation of `datasets!` below, which defines the configuration enum, the opening of
//! datasets and the listing.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::check::{DatasetReport, check, check_detection, check_multi_task};
use crate::dense::DenseDataset;
use crate::detection::DetectionDataset;
use crate::error::DataError;
use crate::format::{DatasetDescriptor, DatasetFormat, Opened};
use crate::labels::DenseTask;
use crate::split::Split;
use crate::task::TaskKind;

macro_rules! datasets {
    ($($(#[$documentation:meta])* $variant:ident($config:ty),)+) => {
        /// The dataset of a configuration: `format` and the keys of that format.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "format", rename_all = "snake_case")]
        pub enum DatasetConfig {
            $($(#[$documentation])* $variant($config),)+
        }

        const TABLE: &[DatasetDescriptor] = &[$(<$config as DatasetFormat>::DESCRIPTOR),+];

        impl DatasetConfig {
            /// Returns the descriptor of this configuration's format.
            pub fn descriptor(&self) -> DatasetDescriptor {
                match self {
                    $(Self::$variant(_) => <$config as DatasetFormat>::DESCRIPTOR,)+
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

datasets! {
    /// See [`crate::formats::ade20k`].
    Ade20k(crate::formats::ade20k::Ade20kConfig),
    /// See [`crate::formats::voc`].
    PascalVoc(crate::formats::voc::PascalVocConfig),
    /// See [`crate::formats::folder`].
    Folder(crate::formats::folder::FolderConfig),
    /// See [`crate::formats::synthetic`].
    Synthetic(crate::formats::synthetic::SyntheticConfig),
    /// See [`crate::formats::coco`].
    Coco(crate::formats::coco::CocoConfig),
    /// See [`crate::formats::voc_detection`].
    PascalVocDetection(crate::formats::voc_detection::PascalVocDetectionConfig),
    /// See [`crate::formats::clothing_co_parsing`].
    ClothingCoParsing(crate::formats::clothing_co_parsing::ClothingCoParsingConfig),
    /// See [`crate::formats::pascal_mt`].
    PascalMt(crate::formats::pascal_mt::PascalMtConfig),
    /// See [`crate::formats::nyud_mt`].
    NyudMt(crate::formats::nyud_mt::NyudMtConfig),
    /// See [`crate::formats::red_kitchen`].
    RedKitchen(crate::formats::red_kitchen::RedKitchenConfig),
}

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
        self.require(TaskKind::Detection)?;
        match self.find(split)? {
            Opened::Annotated(dataset) => {
                dataset.require_files()?;
                Ok(Arc::new(dataset))
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
