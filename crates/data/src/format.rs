//! The contract of a dataset format.

use std::sync::Arc;

use serde::Serialize;

use crate::dataset::FileDataset;
use crate::detection::AnnotatedDataset;
use crate::error::DataError;
use crate::multi_task::MultiTaskDataset;
use crate::split::Split;
use crate::task::Task;

/// What a listing says about a dataset format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct DatasetDescriptor {
    /// The value of `format` in a configuration.
    pub name: &'static str,
    /// What its samples can be opened for.
    pub tasks: &'static [Task],
    /// One line about it.
    pub summary: &'static str,
    /// The folders and files expected below the root, a line each.
    pub layout: &'static str,
}

/// A split that has been found; its samples are read later.
pub enum Opened {
    /// Pairs of an image and a mask on disk, whose masks are yet to be looked for.
    Files(FileDataset),
    /// Images and their annotated objects on disk, the images yet to be looked for.
    Annotated(AnnotatedDataset),
    /// Images and several labels of every pixel, whose files are yet to be looked for; also opened for
    /// segmentation, where that is one of the labels.
    MultiTask(Arc<dyn MultiTaskDataset>),
}

/// The contract of a dataset format's configuration.
pub trait DatasetFormat {
    /// What a listing says about it.
    const DESCRIPTOR: DatasetDescriptor;

    /// Finds the samples of a split, without reading them.
    ///
    /// # Errors
    /// Missing folders or files, an empty split, or a class list that does not fit.
    fn open(&self, split: Split) -> Result<Opened, DataError>;
}
