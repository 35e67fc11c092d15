//! Object detection and instance segmentation of COCO, and datasets in its format.
//!
//! Lin et al., *Microsoft COCO: Common Objects in Context*, ECCV 2014. The classes are the
//! categories of the json, in the order of their identifiers; results are written with those
//! identifiers ([`crate::detection::DetectionDataset::category_ids`]).

mod json;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::detection::{AnnotatedDataset, AnnotatedImage, Annotation};
use crate::error::DataError;
use crate::format::{DatasetDescriptor, DatasetFormat, Opened};
use crate::formats::layout;
use crate::io::paths;
use crate::labels::palette::PaletteRule;
use crate::split::Split;
use crate::task::Task;
use crate::transform::invalid;

/// Configuration of a dataset in the COCO format.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CocoConfig {
    /// The folder that holds the images and `annotations`; may start with `$VARIABLE`.
    pub root: PathBuf,
    /// The folder of the images to train on, below the root.
    #[serde(default = "train_images")]
    pub train_images: String,
    /// The folder of the images to measure on, below the root.
    #[serde(default = "val_images")]
    pub val_images: String,
    /// The annotations to train on, below the root.
    #[serde(default = "train_annotations")]
    pub train_annotations: String,
    /// The annotations to measure on, below the root.
    #[serde(default = "val_annotations")]
    pub val_annotations: String,
    /// Whether to train on images without an object, or with nothing but crowds; they are always
    /// measured on.
    #[serde(default)]
    pub keep_empty: bool,
    /// The first so many images of a split alone, for trials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<usize>,
}

fn train_images() -> String {
    "train2017".into()
}

fn val_images() -> String {
    "val2017".into()
}

fn train_annotations() -> String {
    "annotations/instances_train2017.json".into()
}

fn val_annotations() -> String {
    "annotations/instances_val2017.json".into()
}

impl CocoConfig {
    /// A folder in the COCO layout, with the names of the 2017 edition.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            train_images: train_images(),
            val_images: val_images(),
            train_annotations: train_annotations(),
            val_annotations: val_annotations(),
            keep_empty: false,
            first: None,
        }
    }
}

impl DatasetFormat for CocoConfig {
    const DESCRIPTOR: DatasetDescriptor = DatasetDescriptor {
        name: "coco",
        tasks: &[Task::Detection],
        summary: "COCO: boxes, polygons and run-length masks in one json a split",
        layout: "\
  train2017/*.jpg                             `train_images`
  val2017/*.jpg                               `val_images`
  annotations/instances_train2017.json        `train_annotations`
  annotations/instances_val2017.json          `val_annotations`",
    };

    fn open(&self, split: Split) -> Result<Opened, DataError> {
        let format = Self::DESCRIPTOR;
        let root = paths::expand(&self.root)?;
        let (images, annotations) = match split {
            Split::Train => (&self.train_images, &self.train_annotations),
            Split::Val => (&self.val_images, &self.val_annotations),
        };
        let images = root.join(images);
        for path in [&root, &images] {
            layout::require_folder(path, format.name, format.layout)?;
        }
        let annotations = root.join(annotations);
        if !annotations.is_file() {
            return Err(DataError::MissingFile {
                what: "annotation file",
                path: annotations,
            });
        }
        let mut dataset = read(&annotations, &images)?;
        let mut expected = "images";
        if split == Split::Train && !self.keep_empty {
            leave_out_empty(&mut dataset);
            expected = "images with an object";
        }
        if let Some(first) = self.first {
            if first == 0 {
                return Err(invalid("data.first", first, "at least 1 image"));
            }
            dataset.images.truncate(first);
            // The file has more than is measured on.
            dataset.annotation_file = None;
        }
        if dataset.images.is_empty() {
            return Err(DataError::EmptySplit {
                split: split.name(),
                expected,
                path: annotations,
            });
        }
        Ok(Opened::Annotated(dataset))
    }
}

/// The dataset of an annotation file, all of its images.
fn read(annotations: &Path, images: &Path) -> Result<AnnotatedDataset, DataError> {
    let text = std::fs::read_to_string(annotations).map_err(|source| DataError::Read {
        path: annotations.to_path_buf(),
        source,
    })?;
    let parsed = json::parse(&text).map_err(|fault| DataError::Annotations {
        path: annotations.to_path_buf(),
        fault,
    })?;
    let file: std::sync::Arc<Path> = annotations.into();
    let listed = parsed.images.into_iter().map(|image| AnnotatedImage {
        id: layout::without_image_extension(&image.file_name).to_string(),
        image_id: image.id,
        image: images.join(&image.file_name),
        annotations: std::sync::Arc::clone(&file),
        size: image.size,
        objects: Ok(image.objects),
    });
    Ok(AnnotatedDataset {
        name: CocoConfig::DESCRIPTOR.name.into(),
        images: listed.collect(),
        palette: PaletteRule::GoldenHue.colors(parsed.classes.len()),
        classes: parsed.classes,
        category_ids: parsed.category_ids,
        skipped: parsed.skipped,
        annotation_file: Some(annotations.to_path_buf()),
    })
}

/// Leaves out, and counts, the images in which there is nothing to train on.
fn leave_out_empty(dataset: &mut AnnotatedDataset) {
    let is_trained_on = |object: &Annotation| !object.is_crowd && !object.is_difficult;
    let skipped = &mut dataset.skipped.empty_images;
    dataset.images.retain(|image| {
        let objects = image.objects.as_deref().unwrap_or_default();
        let keep = image.objects.is_err() || objects.iter().any(is_trained_on);
        if !keep {
            skipped.add(&image.id);
        }
        keep
    });
}
