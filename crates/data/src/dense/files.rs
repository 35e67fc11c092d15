//! Files of images and of labels: what every format of several tasks comes down to.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::dataset::DenseDataset;
use super::sample::DenseSample;
use crate::error::{DataError, LabelFault};
use crate::io::read;
use crate::labels::classes::Classes;
use crate::labels::{DenseLabels, DenseTask};

/// An image on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageFile {
    /// Identifier: the stem of the image.
    pub id: String,
    /// The image.
    pub path: PathBuf,
}

/// What a format knows: where the labels of an image lie, and how they are read.
pub trait DenseReader: Send + Sync {
    /// The files that labels of `task` are read from.
    fn files(&self, image: &ImageFile, task: DenseTask) -> Vec<PathBuf>;

    /// Reads the labels of `tasks`, which are offered and whose files exist.
    ///
    /// # Errors
    /// What is wrong with the files.
    fn read(
        &self,
        image: &ImageFile,
        tasks: &[DenseTask],
    ) -> Result<BTreeMap<DenseTask, DenseLabels>, DataError>;
}

/// A dataset of image files and of label files of several tasks.
pub struct DenseFileDataset<R> {
    name: String,
    images: Vec<ImageFile>,
    tasks: Vec<DenseTask>,
    classes: BTreeMap<DenseTask, Classes>,
    reader: R,
}

impl<R: DenseReader> DenseFileDataset<R> {
    /// A dataset over `images`, with the classes of those `tasks` that have any.
    ///
    /// Saliency and edges have two classes by definition, which need not be given.
    pub fn new(
        name: impl Into<String>,
        images: Vec<ImageFile>,
        tasks: impl IntoIterator<Item = DenseTask>,
        classes: impl IntoIterator<Item = (DenseTask, Classes)>,
        reader: R,
    ) -> Self {
        let mut tasks: Vec<DenseTask> = tasks.into_iter().collect();
        tasks.sort_unstable();
        let mut all: BTreeMap<DenseTask, Classes> = tasks
            .iter()
            .filter_map(|&task| Some((task, Classes::of_binary(task)?)))
            .collect();
        all.extend(classes);
        Self {
            name: name.into(),
            images,
            tasks,
            classes: all,
            reader,
        }
    }

    /// Every image, in order.
    pub fn images(&self) -> &[ImageFile] {
        &self.images
    }

    fn missing(&self, image: &ImageFile, task: DenseTask) -> Option<PathBuf> {
        let files = self.reader.files(image, task);
        files.into_iter().find(|path| !path.is_file())
    }
}

impl<R: DenseReader> DenseDataset for DenseFileDataset<R> {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> usize {
        self.images.len()
    }

    fn tasks(&self) -> &[DenseTask] {
        &self.tasks
    }

    fn classes(&self, task: DenseTask) -> &[String] {
        let classes = self.classes.get(&task);
        classes.map(|classes| &*classes.names).unwrap_or_default()
    }

    fn palette(&self, task: DenseTask) -> &[[u8; 3]] {
        let classes = self.classes.get(&task);
        classes.map(|classes| &*classes.palette).unwrap_or_default()
    }

    fn id(&self, index: usize) -> String {
        let image = self.images.get(index);
        image.map(|image| image.id.clone()).unwrap_or_default()
    }

    fn image_file(&self, index: usize) -> Option<&Path> {
        self.images.get(index).map(|image| image.path.as_path())
    }

    fn get(&self, index: usize, tasks: &[DenseTask]) -> Result<DenseSample, DataError> {
        let image = self
            .images
            .get(index)
            .ok_or_else(|| DataError::IndexOutOfRange {
                dataset: self.name.clone(),
                index,
                len: self.images.len(),
            })?;
        self.require_offered(tasks)?;
        for &task in tasks {
            if let Some(path) = self.missing(image, task) {
                return Err(DataError::Labels {
                    id: image.id.clone(),
                    task,
                    fault: LabelFault::Missing {
                        path,
                        missing: 1,
                        total: self.images.len(),
                    },
                });
            }
        }
        let sample = DenseSample {
            id: image.id.clone(),
            image: read::image(&image.path)?,
            labels: self.reader.read(image, tasks)?,
        };
        for (&task, labels) in &sample.labels {
            if labels.size() != sample.image.dimensions() {
                let mask = self.reader.files(image, task).into_iter().next();
                return Err(read::size_mismatch(
                    &image.path,
                    sample.image.dimensions(),
                    &mask.unwrap_or_default(),
                    labels.size(),
                ));
            }
        }
        Ok(sample)
    }

    fn require(&self, tasks: &[DenseTask]) -> Result<(), DataError> {
        self.require_offered(tasks)?;
        for &task in tasks {
            let mut missing = self.images.iter().filter_map(|image| {
                let path = self.missing(image, task)?;
                Some((image, path))
            });
            let Some((image, path)) = missing.next() else {
                continue;
            };
            return Err(DataError::Labels {
                id: image.id.clone(),
                task,
                fault: LabelFault::Missing {
                    path,
                    missing: 1 + missing.count(),
                    total: self.images.len(),
                },
            });
        }
        Ok(())
    }
}
