//! What every segmentation dataset offers, and the one implementation for files on disk.

use std::path::{Path, PathBuf};

use image::RgbImage;

use crate::error::DataError;
use crate::io::read;
use crate::labels::{LabelMap, LabelPolicy, LabelTable, check_classes};

/// An image and the class of each of its pixels.
#[derive(Debug, Clone, PartialEq)]
pub struct SegmentationSample {
    /// Identifier within the dataset, usually the file stem.
    pub id: String,
    /// Colours, 0 to 255.
    pub image: RgbImage,
    /// Classes; of the size of the image.
    pub labels: LabelMap,
}

impl SegmentationSample {
    /// Refuses labels that do not cover the image exactly.
    ///
    /// # Errors
    /// [`DataError::InconsistentSample`].
    pub fn check(&self) -> Result<(), DataError> {
        let (width, height) = self.image.dimensions();
        let labels = &self.labels;
        let pixels = labels.width as usize * labels.height as usize;
        if (width, height) == (labels.width, labels.height) && labels.data.len() == pixels {
            return Ok(());
        }
        Err(DataError::InconsistentSample {
            id: self.id.clone(),
            width,
            height,
            label_width: labels.width,
            label_height: labels.height,
            labels: labels.data.len(),
        })
    }
}

/// One split of a segmentation dataset.
pub trait SegmentationDataset: Send + Sync {
    /// Name of the dataset, such as `ade20k`.
    fn name(&self) -> &str;

    /// Number of samples.
    fn len(&self) -> usize;

    /// Whether there are no samples.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Names of the classes, in label order.
    fn classes(&self) -> &[String];

    /// One RGB colour per class.
    fn palette(&self) -> &[[u8; 3]];

    /// Identifier of sample `index`; empty beyond the end.
    fn id(&self, index: usize) -> String;

    /// The file of the image of sample `index`, if it comes from one.
    fn image_file(&self, _index: usize) -> Option<&Path> {
        None
    }

    /// Reads and checks sample `index`.
    ///
    /// # Errors
    /// What is wrong with the sample's files, or an index beyond the end.
    fn get(&self, index: usize) -> Result<SegmentationSample, DataError>;
}

/// An image file and its mask file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilePair {
    /// Identifier: the stem of the image.
    pub id: String,
    /// The image.
    pub image: PathBuf,
    /// The mask, PNG.
    pub mask: PathBuf,
}

/// A dataset of image files and mask files: what every on-disk format comes down to.
#[derive(Debug, Clone)]
pub struct FileDataset {
    name: String,
    pairs: Vec<FilePair>,
    classes: Vec<String>,
    palette: Vec<[u8; 3]>,
    labels: LabelTable,
}

impl FileDataset {
    /// A dataset over `pairs`, with `classes` and their colours, read under the policy `labels`.
    ///
    /// # Errors
    /// A class list that does not fit the policy or the palette, or that names a class twice.
    pub fn new(
        name: impl Into<String>,
        pairs: Vec<FilePair>,
        classes: Vec<String>,
        palette: Vec<[u8; 3]>,
        labels: LabelPolicy,
    ) -> Result<Self, DataError> {
        let labels = check_classes(&classes, &palette, &labels)?;
        Ok(Self {
            name: name.into(),
            pairs,
            classes,
            palette,
            labels,
        })
    }

    /// The files of every sample, in order.
    pub fn pairs(&self) -> &[FilePair] {
        &self.pairs
    }

    /// Refuses a dataset in which an image has no mask.
    ///
    /// # Errors
    /// [`DataError::MissingMask`] with the first such image and their number.
    pub fn require_masks(&self) -> Result<(), DataError> {
        let mut missing = self.pairs.iter().filter(|pair| !pair.mask.is_file());
        match missing.next() {
            None => Ok(()),
            Some(pair) => Err(DataError::MissingMask {
                image: pair.image.clone(),
                mask: pair.mask.clone(),
                missing: 1 + missing.count(),
                total: self.pairs.len(),
            }),
        }
    }
}

impl SegmentationDataset for FileDataset {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> usize {
        self.pairs.len()
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn palette(&self) -> &[[u8; 3]] {
        &self.palette
    }

    fn id(&self, index: usize) -> String {
        self.pairs
            .get(index)
            .map(|pair| pair.id.clone())
            .unwrap_or_default()
    }

    fn image_file(&self, index: usize) -> Option<&Path> {
        self.pairs.get(index).map(|pair| pair.image.as_path())
    }

    fn get(&self, index: usize) -> Result<SegmentationSample, DataError> {
        let pair = self
            .pairs
            .get(index)
            .ok_or_else(|| DataError::IndexOutOfRange {
                dataset: self.name.clone(),
                index,
                len: self.pairs.len(),
            })?;
        if !pair.mask.is_file() {
            return Err(DataError::MissingMask {
                image: pair.image.clone(),
                mask: pair.mask.clone(),
                missing: 1,
                total: self.pairs.len(),
            });
        }
        let image = read::image(&pair.image)?;
        let labels = read::labels_by(&pair.mask, &self.labels)?;
        let size = (labels.width, labels.height);
        if size != image.dimensions() {
            let (file, found) = (&pair.image, image.dimensions());
            return Err(read::size_mismatch(file, found, &pair.mask, size));
        }
        Ok(SegmentationSample {
            id: pair.id.clone(),
            image,
            labels,
        })
    }
}
