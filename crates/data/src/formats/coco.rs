//! Object detection and instance segmentation of COCO, and datasets in its format.
//!
//! Lin et al., *Microsoft COCO: Common Objects in Context*, ECCV 2014. The classes are the categories in the
//! JSON file of the training split, in the order of their identifiers; results are written with these
//! identifiers ([`crate::detection::DetectionDataset::category_ids`]). The JSON file of the validation split
//! may lack some of them; without a training split on disk its own categories are the classes.

mod entry;
mod json;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::detection::{AnnotatedDataset, AnnotatedImage};
use crate::error::{AnnotationFault, DataError};
use crate::format::{DatasetDescriptor, DatasetFormat, Opened};
use crate::formats::layout;
use crate::io::paths;
use crate::labels::palette::PaletteRule;
use crate::split::Split;
use crate::task::TaskKind;
use crate::text;
use crate::transform::invalid;

/// Configuration of a dataset in the COCO format.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CocoConfig {
    /// The folder that holds the images and `annotations`; may start with `$VARIABLE`.
    pub root: PathBuf,
    /// The folder of the training images, below the root.
    #[serde(default = "train_images")]
    pub train_images: String,
    /// The folder of the validation images, below the root.
    #[serde(default = "val_images")]
    pub val_images: String,
    /// The training annotations, below the root.
    #[serde(default = "train_annotations")]
    pub train_annotations: String,
    /// The validation annotations, below the root.
    #[serde(default = "val_annotations")]
    pub val_annotations: String,
    /// Whether to train on images without an object, or with only crowd regions; validation always includes them.
    #[serde(default)]
    pub keep_empty: bool,
    /// Limits a split to this number of images from its start, for trials.
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
    /// Configures a folder in the COCO layout, with the names of the 2017 edition.
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
        tasks: &[TaskKind::Detection],
        summary: "COCO: boxes, polygons and run-length masks in one JSON file per split",
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
        dataset.keep_empty = self.keep_empty;
        if split == Split::Val {
            let training = root.join(&self.train_annotations);
            if training.is_file() && training != annotations {
                take_classes(&mut dataset, &annotations, &training)?;
            }
        }
        let mut expected = "images";
        if split == Split::Train && !self.keep_empty {
            dataset.leave_out_empty_images();
            expected = "images with an object";
        }
        dataset.require_objects(split, &annotations)?;
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

/// Reads and parses an annotation file.
fn parsed<T>(
    path: &Path,
    parse: impl Fn(&str) -> Result<T, AnnotationFault>,
) -> Result<T, DataError> {
    let fail = |fault| DataError::Annotations {
        path: path.to_path_buf(),
        fault,
    };
    let bytes = std::fs::read(path).map_err(|source| DataError::read(path, source))?;
    if let [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] = bytes[..] {
        let reason = "it is written in UTF-16; JSON is UTF-8".into();
        return Err(fail(AnnotationFault::Unreadable { reason }));
    }
    let text = text::decode(bytes);
    let text = text.map_err(|reason| fail(AnnotationFault::Unreadable { reason }))?;
    parse(&text).map_err(fail)
}

/// Replaces the classes of a validation split by those of the training split. Its categories must be among
/// them, by identifier and name.
fn take_classes(
    dataset: &mut AnnotatedDataset,
    annotations: &Path,
    training: &Path,
) -> Result<(), DataError> {
    let expected = parsed(training, json::categories)?;
    let found = dataset.category_ids.iter().zip(&dataset.classes);
    if let Some((id, name)) = found
        .clone()
        .find(|(id, name)| expected.get(*id) != Some(*name))
    {
        let list = |categories: Vec<(&u64, &String)>| {
            let words = categories
                .into_iter()
                .map(|(id, name)| format!("{id} {name}"));
            words.collect::<Vec<String>>().join(", ")
        };
        return Err(DataError::Annotations {
            path: annotations.to_path_buf(),
            fault: AnnotationFault::OtherCategories {
                category: format!("{id} {name}"),
                found: list(found.collect()),
                training: training.display().to_string(),
                expected: list(expected.iter().collect()),
            },
        });
    }
    let position = |id: &u64| expected.keys().position(|known| known == id);
    let places: Vec<usize> = dataset.category_ids.iter().filter_map(position).collect();
    for image in &mut dataset.images {
        for object in image.objects.iter_mut().flatten() {
            if let Some(&place) = places.get(object.class) {
                object.class = place;
            }
        }
    }
    (dataset.category_ids, dataset.classes) = expected.into_iter().unzip();
    dataset.palette = PaletteRule::GoldenHue.colors(dataset.classes.len());
    Ok(())
}

/// The path of an image, whose file name may have Windows separators.
fn image_path(folder: &Path, file_name: &str) -> PathBuf {
    let path = folder.join(file_name);
    if file_name.contains('\\') && !path.is_file() {
        return folder.join(file_name.replace('\\', "/"));
    }
    path
}

/// Reads the dataset of an annotation file with all of its images.
fn read(annotations: &Path, images: &Path) -> Result<AnnotatedDataset, DataError> {
    let parsed = parsed(annotations, json::parse)?;
    let file: std::sync::Arc<Path> = annotations.into();
    let listed = parsed.images.into_iter().map(|image| AnnotatedImage {
        id: layout::without_image_extension(&image.file_name).replace('\\', "/"),
        image_id: image.id,
        image: image_path(images, &image.file_name),
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
        keep_empty: false,
    })
}
