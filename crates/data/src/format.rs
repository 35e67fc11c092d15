//! The contract of a dataset format.

use std::sync::Arc;

use serde::Serialize;

use crate::dense::DenseDataset;
use crate::detection::AnnotatedDataset;
use crate::error::DataError;
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
    /// Images and their annotated objects on disk, the images yet to be looked for.
    Annotated(AnnotatedDataset),
    /// Images and labels of every pixel, whose files are yet to be looked for.
    Dense(Arc<dyn DenseDataset>),
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
