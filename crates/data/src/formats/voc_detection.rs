//! Object detection of Pascal VOC, and datasets in its layout.
//!
//! Everingham et al., *The Pascal Visual Object Classes Challenge*, IJCV 2010 and 2015. Stored boxes count
//! pixels from 1 and include the last one: 1 is subtracted from left and top, as in detectron2, which converts
//! them to continuous coordinates. Objects have no identifiers: they are numbered from 1 in the order of the
//! lists.

mod xml;

use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::dense::FilePair;
use crate::detection::{AnnotatedDataset, AnnotatedImage, Skipped};
use crate::error::DataError;
use crate::format::{DatasetDescriptor, DatasetFormat, Opened};
use crate::formats::layout::{self, ImageFolder, LabelFolder};
use crate::formats::list;
use crate::io::paths;
use crate::labels::classes::{ClassSource, Classes};
use crate::split::Split;
use crate::task::TaskKind;
use crate::transform::invalid;

/// Configuration of a dataset in the Pascal VOC layout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PascalVocDetectionConfig {
    /// The folder that holds the years' folders, `VOCdevkit`; may start with `$VARIABLE`.
    pub root: PathBuf,
    /// The class list; the 20 classes of Pascal VOC if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<ClassSource>,
    /// The training lists, as `FOLDER/LIST`: the list, without its extension, below the folder's `ImageSets/Main`.
    #[serde(default = "train_lists")]
    pub train_lists: Vec<String>,
    /// The validation lists.
    #[serde(default = "val_lists")]
    pub val_lists: Vec<String>,
}

fn train_lists() -> Vec<String> {
    vec!["VOC2007/trainval".into(), "VOC2012/trainval".into()]
}

fn val_lists() -> Vec<String> {
    vec!["VOC2007/test".into()]
}

impl DatasetFormat for PascalVocDetectionConfig {
    const DESCRIPTOR: DatasetDescriptor = DatasetDescriptor {
        name: "pascal_voc_detection",
        tasks: &[TaskKind::Detection],
        summary: "Pascal VOC detection: one XML file of boxes per image, and split lists over several years",
        layout: "\
  VOC2007/JPEGImages/*.jpg                       likewise for every folder that a list names
  VOC2007/Annotations/*.xml
  VOC2007/ImageSets/Main/{trainval,test}.txt     one stem per line",
    };

    fn open(&self, split: Split) -> Result<Opened, DataError> {
        let root = paths::expand(&self.root)?;
        layout::require_folder(&root, Self::DESCRIPTOR.name, Self::DESCRIPTOR.layout)?;
        let classes = self.classes(&root)?;
        crate::labels::check_unique(&classes.names)?;
        let (key, lists) = match split {
            Split::Train => ("data.train_lists", &self.train_lists),
            Split::Val => ("data.val_lists", &self.val_lists),
        };
        if lists.is_empty() {
            return Err(invalid(key, lists, "at least one list"));
        }
        let mut pairs: Vec<FilePair> = Vec::new();
        for list in lists {
            pairs.extend(pairs_of(&root, list, key)?);
        }
        refuse_duplicates(&pairs)?;
        if pairs.is_empty() {
            return Err(DataError::EmptySplit {
                split: split.name(),
                expected: "stems",
                path: root.join(lists.join(", ")),
            });
        }
        Ok(Opened::Annotated(dataset(&pairs, classes)))
    }
}

impl PascalVocDetectionConfig {
    fn classes(&self, root: &Path) -> Result<Classes, DataError> {
        if let Some(source) = &self.classes {
            return source.resolve(root);
        }
        // The list of the segmentation, without its background.
        let mut classes = Classes::built_in("pascal_voc")?;
        classes.names.remove(0);
        classes.palette.remove(0);
        Ok(classes)
    }
}

/// Returns the samples of a list; their mask paths are the annotation files.
fn pairs_of(root: &Path, list: &str, key: &'static str) -> Result<Vec<FilePair>, DataError> {
    let format = PascalVocDetectionConfig::DESCRIPTOR;
    let Some((folder, name)) = list.rsplit_once('/') else {
        let expected = "FOLDER/LIST, such as \"VOC2007/trainval\"";
        return Err(invalid(key, list, expected));
    };
    let folder = root.join(folder);
    let images = folder.join("JPEGImages");
    let annotations = folder.join("Annotations");
    let lists = folder.join("ImageSets").join("Main");
    for path in [&images, &annotations, &lists] {
        layout::require_folder(path, format.name, format.layout)?;
    }
    let images = ImageFolder::open(&images)?;
    let annotations = LabelFolder::annotations(&annotations)?;
    let list = lists.join(format!("{name}.txt"));
    list::pairs(&list, &folder, &images, &annotations)
}

/// Checks that no two lists share a stem, since results name images only by their stems.
fn refuse_duplicates(pairs: &[FilePair]) -> Result<(), DataError> {
    let mut seen = std::collections::HashMap::new();
    for pair in pairs {
        if let Some(first) = seen.insert(&pair.id, &pair.image) {
            return Err(DataError::DuplicateSample {
                id: pair.id.clone(),
                first: first.display().to_string(),
                second: pair.image.display().to_string(),
            });
        }
    }
    Ok(())
}

/// Reads the annotations of all images, on all cores.
fn dataset(pairs: &[FilePair], classes: Classes) -> AnnotatedDataset {
    let read = |pair: &FilePair| xml::read(&pair.mask, &pair.id, &pair.image, &classes.names);
    let parsed: Vec<_> = pairs.par_iter().map(read).collect();
    let mut skipped = Skipped::default();
    let mut objects = 0;
    let images = pairs.iter().zip(parsed).zip(0..);
    let images = images.map(|((pair, parsed), image_id)| {
        let (size, objects) = match parsed {
            Err(fault) => ((0, 0), Err(fault)),
            Ok(mut parsed) => {
                skipped.merge(parsed.skipped);
                for annotation in &mut parsed.objects {
                    annotation.id += objects;
                }
                objects += parsed.stated;
                (parsed.size, Ok(parsed.objects))
            }
        };
        AnnotatedImage {
            id: pair.id.clone(),
            image_id,
            image: pair.image.clone(),
            annotations: pair.mask.as_path().into(),
            size,
            objects,
        }
    });
    let images = images.collect();
    AnnotatedDataset {
        name: PascalVocDetectionConfig::DESCRIPTOR.name.into(),
        images,
        category_ids: (1..).take(classes.names.len()).collect(),
        classes: classes.names,
        palette: classes.palette,
        skipped,
        annotation_file: None,
        keep_empty: true,
    }
}
