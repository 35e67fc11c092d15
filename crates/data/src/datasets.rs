//! The table of dataset formats.
//!
//! A format is one file, which implements [`DatasetFormat`] for its configuration, and one line in
//! the invocation of `datasets!` below; the configuration enum, opening and the listing follow.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::check::{Report, check};
use crate::dataset::{FileDataset, SegmentationDataset, Split};
use crate::error::DataError;

/// What a listing says about a dataset format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct DatasetDescriptor {
    /// The value of `format` in a configuration.
    pub name: &'static str,
    /// One line about it.
    pub summary: &'static str,
    /// The folders and files expected below the root, a line each.
    pub layout: &'static str,
}

/// A split that has been found; its samples are read later.
pub enum Opened {
    /// Pairs of an image and a mask on disk, whose masks are yet to be looked for.
    Files(FileDataset),
    /// Anything else.
    Other(Arc<dyn SegmentationDataset>),
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

macro_rules! datasets {
    ($($(#[$documentation:meta])* $variant:ident($config:ty),)+) => {
        /// A dataset, as a configuration names it: `format` and the keys of that format.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "format", rename_all = "snake_case")]
        pub enum DatasetConfig {
            $($(#[$documentation])* $variant($config),)+
        }

        const TABLE: &[DatasetDescriptor] = &[$(<$config as DatasetFormat>::DESCRIPTOR),+];

        impl DatasetConfig {
            /// The descriptor of this configuration's format.
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
    /// See [`crate::ade20k`].
    Ade20k(crate::ade20k::Ade20kConfig),
    /// See [`crate::voc`].
    PascalVoc(crate::voc::PascalVocConfig),
    /// See [`crate::folder`].
    Folder(crate::folder::FolderConfig),
    /// See [`crate::synthetic`].
    Synthetic(crate::synthetic::SyntheticConfig),
}

/// Every dataset format, in the order of listings.
pub fn table() -> &'static [DatasetDescriptor] {
    TABLE
}

impl DatasetConfig {
    /// Opens a split, and checks that every image has a mask; samples are read when asked for.
    ///
    /// # Errors
    /// Missing folders, files or masks, an empty split, or a class list that does not fit.
    pub fn open(&self, split: Split) -> Result<Arc<dyn SegmentationDataset>, DataError> {
        match self.find(split)? {
            Opened::Files(dataset) => {
                dataset.require_masks()?;
                Ok(Arc::new(dataset))
            }
            Opened::Other(dataset) => Ok(dataset),
        }
    }

    /// Reads every sample of a split and reports what it holds and what is wrong with it.
    ///
    /// Images without a mask are problems of the report here, not an error.
    ///
    /// # Errors
    /// Only what leaves nothing to report on: missing folders, an empty split, a wrong class list.
    pub fn check(&self, split: Split) -> Result<Report, DataError> {
        Ok(match self.find(split)? {
            Opened::Files(dataset) => check(&dataset),
            Opened::Other(dataset) => check(dataset.as_ref()),
        })
    }
}
