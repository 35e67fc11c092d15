//! The trait of dataset formats.

use std::sync::Arc;

use serde::Serialize;

use crate::dense::DenseDataset;
use crate::detection::AnnotatedDataset;
use crate::error::DataError;
use crate::split::Split;
use crate::task::TaskKind;

/// The description of a dataset format in listings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct DatasetDescriptor {
    /// The value of `format` in a configuration.
    pub name: &'static str,
    /// The tasks it supports.
    pub tasks: &'static [TaskKind],
    /// Description in one line.
    pub summary: &'static str,
    /// The expected folders and files below the root, one per line.
    pub layout: &'static str,
}

/// An opened split; its samples are read on demand.
pub enum Opened {
    /// Images with annotated objects; whether the image files exist is checked later.
    Annotated(AnnotatedDataset),
    /// Images with dense labels; whether the files exist is checked later.
    Dense(Arc<dyn DenseDataset>),
}

/// The configuration of a dataset format.
pub trait DatasetFormat {
    /// The description of the format in listings.
    const DESCRIPTOR: DatasetDescriptor;

    /// Lists the samples of a split, without reading them.
    ///
    /// # Errors
    /// If folders or files are missing, the split is empty, or the class list does not fit.
    fn open(&self, split: Split) -> Result<Opened, DataError>;
}
