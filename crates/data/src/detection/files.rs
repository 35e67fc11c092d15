//! The detection dataset of files on disk, which every annotation format creates.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;

use super::annotation::Annotation;
use super::sample::{DetectionDataset, DetectionSample, Instance};
use super::skipped::Skipped;
use crate::error::{AnnotationFault, DataError};
use crate::io::read;
use crate::split::Split;

/// An image file and its annotations.
#[derive(Debug, Clone, PartialEq)]
pub struct AnnotatedImage {
    /// Identifier: the stem of the image.
    pub id: String,
    /// Image identifier in result files.
    pub image_id: u64,
    /// The image.
    pub image: PathBuf,
    /// The file of the annotations.
    pub annotations: Arc<Path>,
    /// Width and height in pixels according to the annotations.
    pub size: (u32, u32),
    /// The objects, with boxes inside the image, or the error of the annotations.
    pub objects: Result<Vec<Annotation>, AnnotationFault>,
}

/// A dataset of image files and annotations.
#[derive(Debug, Clone)]
pub struct AnnotatedDataset {
    /// Name of the dataset.
    pub name: String,
    /// Every image, in order.
    pub images: Vec<AnnotatedImage>,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// One colour per class.
    pub palette: Vec<[u8; 3]>,
    /// Category identifier of every class in result files.
    pub category_ids: Vec<u64>,
    /// Skipped annotations and images.
    pub skipped: Skipped,
    /// The COCO JSON file of the annotations, if there is one.
    pub annotation_file: Option<PathBuf>,
    /// Whether images without an object to train on are trained on.
    pub keep_empty: bool,
}

impl AnnotatedDataset {
    /// Removes and counts the images without an object to train on.
    pub(crate) fn leave_out_empty_images(&mut self) {
        let skipped = &mut self.skipped.empty_images;
        self.images.retain(|image| {
            let objects = image.objects.as_deref().unwrap_or_default();
            let keep = image.objects.is_err() || objects.iter().any(Annotation::is_trained_on);
            if !keep {
                skipped.add(&image.id);
            }
            keep
        });
    }

    /// Removes and counts the objects whose mask is empty, and the images without another one, as detectron2 does
    /// for a mask head.
    ///
    /// # Errors
    /// If a mask is invalid, or nothing is left to train on.
    pub(crate) fn leave_out_empty_masks(&mut self) -> Result<(), DataError> {
        let empty = |image: &AnnotatedImage| {
            let number = image.image_id.to_string();
            let objects = image.objects.as_deref().unwrap_or_default().iter();
            let flags = objects.map(|object| object.has_empty_mask(&number, image.size));
            let flags: Result<Vec<bool>, AnnotationFault> = flags.collect();
            flags.map_err(|fault| image.fault(fault))
        };
        // On all cores, since polygons must be drawn.
        let empty: Vec<_> = self.images.par_iter().map(empty).collect();
        for (image, empty) in self.images.iter_mut().zip(empty) {
            let mut empty = empty?.into_iter();
            if let Ok(objects) = &mut image.objects {
                objects.retain(|object| {
                    let is_empty = empty.next().unwrap_or_default();
                    if is_empty {
                        self.skipped.empty_masks.add(object.id);
                    }
                    !is_empty
                });
            }
        }
        let annotations = self.images.first().map(|image| image.annotations.clone());
        if !self.keep_empty {
            self.leave_out_empty_images();
        }
        self.require_objects(
            Split::Train,
            annotations.as_deref().unwrap_or(Path::new("")),
        )
    }

    /// Checks that the skipped annotations are not all of them.
    ///
    /// # Errors
    /// [`DataError::Annotations`] with what was skipped.
    pub(crate) fn require_objects(&self, split: Split, path: &Path) -> Result<(), DataError> {
        let is_left = self.images.iter().any(|image| match &image.objects {
            Ok(objects) => !objects.is_empty(),
            Err(_) => true,
        });
        if is_left || self.skipped.annotations() == 0 {
            return Ok(());
        }
        Err(DataError::Annotations {
            path: path.to_path_buf(),
            fault: AnnotationFault::NothingLeft {
                split: split.name(),
                purpose: match split {
                    Split::Train => "train on",
                    Split::Val => "evaluate on",
                },
                skipped: self.skipped.to_string(),
            },
        })
    }

    /// Checks that every image exists and its annotations are valid.
    ///
    /// # Errors
    /// [`DataError::MissingListedImage`] or [`DataError::Annotations`] for the first image that fails.
    pub fn require_files(&self) -> Result<(), DataError> {
        for image in &self.images {
            if let Err(fault) = &image.objects {
                return Err(image.fault(fault.clone()));
            }
        }
        let mut missing = self.images.iter().filter(|image| !image.image.is_file());
        match missing.next() {
            None => Ok(()),
            Some(first) => Err(self.missing(first, 1 + missing.count())),
        }
    }

    fn missing(&self, image: &AnnotatedImage, missing: usize) -> DataError {
        DataError::MissingListedImage {
            image_id: image.image_id,
            annotations: image.annotations.to_path_buf(),
            image: image.image.clone(),
            missing,
            total: self.images.len(),
        }
    }
}

impl AnnotatedImage {
    fn fault(&self, fault: AnnotationFault) -> DataError {
        DataError::Annotations {
            path: self.annotations.to_path_buf(),
            fault,
        }
    }

    fn read(&self, objects: &[Annotation]) -> Result<DetectionSample, DataError> {
        let image = read::image(&self.image)?;
        if image.dimensions() != self.size {
            let ((width, height), (file_width, file_height)) = (self.size, image.dimensions());
            if (width, height) == (file_height, file_width) && read::is_turned(&self.image)? {
                return Err(self.fault(AnnotationFault::TurnedImage {
                    image: self.image.display().to_string(),
                    width: file_width,
                    height: file_height,
                }));
            }
            return Err(self.fault(AnnotationFault::ImageSize {
                image: self.image.display().to_string(),
                width,
                height,
                file_width,
                file_height,
            }));
        }
        let number = self.image_id.to_string();
        let instance = |object: &Annotation| {
            let mask = object.mask(&number, self.size);
            Ok(Instance {
                id: object.id,
                class: object.class,
                bounds: object.bounds.map(|edge| edge as f32),
                mask: mask.map_err(|fault| self.fault(fault))?.map(Arc::new),
                is_crowd: object.is_crowd,
                is_difficult: object.is_difficult,
            })
        };
        Ok(DetectionSample {
            id: self.id.clone(),
            image_id: self.image_id,
            instances: objects.iter().map(instance).collect::<Result<_, _>>()?,
            image,
        })
    }
}

impl DetectionDataset for AnnotatedDataset {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> usize {
        self.images.len()
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn palette(&self) -> &[[u8; 3]] {
        &self.palette
    }

    fn category_ids(&self) -> &[u64] {
        &self.category_ids
    }

    fn id(&self, index: usize) -> String {
        let image = self.images.get(index);
        image.map(|image| image.id.clone()).unwrap_or_default()
    }

    fn image_file(&self, index: usize) -> Option<&Path> {
        self.images.get(index).map(|image| image.image.as_path())
    }

    fn require_masks(&self) -> Result<(), DataError> {
        let objects = self.images.iter().flat_map(|image| {
            let objects = image.objects.as_deref().unwrap_or_default();
            objects.iter().map(move |object| (image, object))
        });
        let without = objects.clone().filter(|(_, object)| object.shape.is_none());
        match without.clone().next() {
            None => Ok(()),
            Some((image, object)) => Err(image.fault(AnnotationFault::NoMask {
                image: image.id.clone(),
                annotation: object.id,
                missing: without.count(),
                total: objects.count(),
            })),
        }
    }

    fn get(&self, index: usize) -> Result<DetectionSample, DataError> {
        let image = self
            .images
            .get(index)
            .ok_or_else(|| DataError::IndexOutOfRange {
                dataset: self.name.clone(),
                index,
                len: self.images.len(),
            })?;
        let objects = match &image.objects {
            Ok(objects) => objects,
            Err(fault) => return Err(image.fault(fault.clone())),
        };
        if !image.image.is_file() {
            return Err(self.missing(image, 1));
        }
        image.read(objects)
    }

    fn skipped(&self) -> Skipped {
        self.skipped.clone()
    }

    fn annotation_file(&self) -> Option<&Path> {
        self.annotation_file.as_deref()
    }
}
