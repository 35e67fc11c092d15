//! Pairs of an image and a mask: what every format of segmentation comes down to.

use std::path::{Path, PathBuf};

use super::dataset::DenseDataset;
use super::sample::DenseSample;
use crate::error::{DataError, FileFault};
use crate::io::{names, read};
use crate::labels::{DenseTask, LabelPolicy, LabelTable, check_classes};

const TASK: DenseTask = DenseTask::SemanticSegmentation;

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

/// A dataset of image files and mask files: the class of every pixel.
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

    fn missing_mask(&self, pair: &FilePair, missing: usize) -> DataError {
        match names::instead_of(&pair.mask, &pair.image) {
            None => DataError::MissingMask {
                image: pair.image.clone(),
                mask: pair.mask.clone(),
                missing,
                total: self.pairs.len(),
            },
            Some(path) => DataError::File {
                fault: FileFault::MaskFormat {
                    found: format!("{} file", names::upper_extension(&path)),
                    advice: match names::named_stem(&path, &["jpg", "jpeg"]) {
                        Some(_) => "JPEG changes values: create the mask again as PNG",
                        None => "convert it to PNG without changing its values",
                    },
                },
                path,
            },
        }
    }
}

impl DenseDataset for FileDataset {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> usize {
        self.pairs.len()
    }

    fn tasks(&self) -> &[DenseTask] {
        &[TASK]
    }

    fn classes(&self, task: DenseTask) -> &[String] {
        match task {
            TASK => &self.classes,
            _ => &[],
        }
    }

    fn palette(&self, task: DenseTask) -> &[[u8; 3]] {
        match task {
            TASK => &self.palette,
            _ => &[],
        }
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

    fn get(&self, index: usize, tasks: &[DenseTask]) -> Result<DenseSample, DataError> {
        let pair = self
            .pairs
            .get(index)
            .ok_or_else(|| DataError::IndexOutOfRange {
                dataset: self.name.clone(),
                index,
                len: self.pairs.len(),
            })?;
        self.require_offered(tasks)?;
        let is_asked_for = tasks.contains(&TASK);
        if is_asked_for && !pair.mask.is_file() {
            return Err(self.missing_mask(pair, 1));
        }
        let image = read::image(&pair.image)?;
        if !is_asked_for {
            return Ok(DenseSample {
                id: pair.id.clone(),
                image,
                labels: Default::default(),
            });
        }
        let labels = read::labels_by(&pair.mask, &self.labels)?;
        let size = (labels.width, labels.height);
        if size != image.dimensions() {
            let (file, found) = (&pair.image, image.dimensions());
            return Err(read::size_mismatch(file, found, &pair.mask, size));
        }
        Ok(DenseSample::segmentation(pair.id.clone(), image, labels))
    }

    fn require(&self, tasks: &[DenseTask]) -> Result<(), DataError> {
        self.require_offered(tasks)?;
        if !tasks.contains(&TASK) {
            return Ok(());
        }
        let mut missing = self.pairs.iter().filter(|pair| !pair.mask.is_file());
        match missing.next() {
            None => Ok(()),
            Some(pair) => Err(self.missing_mask(pair, 1 + missing.count())),
        }
    }
}
