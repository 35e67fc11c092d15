//! Semantic segmentation of Pascal VOC, and datasets in its layout.
//!
//! Everingham et al., *The Pascal Visual Object Classes Challenge*, IJCV 2010 and 2015. Masks are
//! palette-indexed PNG files: the indices are the labels, their colours are only for viewing.

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::dense::FileDataset;
use crate::error::DataError;
use crate::format::{DatasetDescriptor, DatasetFormat, Opened};
use crate::formats::layout::{self, ImageFolder, LabelFolder};
use crate::formats::list;
use crate::io::paths;
use crate::labels::classes::{ClassSource, resolve_or_default};
use crate::labels::{IGNORE, LabelPolicy};
use crate::split::Split;
use crate::task::TaskKind;

/// Configuration of a dataset in the Pascal VOC layout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PascalVocConfig {
    /// The year's folder, such as `VOCdevkit/VOC2012`; may start with `$VARIABLE`.
    pub root: PathBuf,
    /// The class list; background and the 20 classes of Pascal VOC if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<ClassSource>,
    /// Mapping of stored labels to classes; by default 255 is ignore.
    #[serde(default = "ignore_255")]
    pub labels: LabelPolicy,
    /// The training list, without its extension, below `ImageSets/Segmentation`.
    #[serde(default = "train_list")]
    pub train_list: String,
    /// The validation list, without its extension, below `ImageSets/Segmentation`.
    #[serde(default = "val_list")]
    pub val_list: String,
    /// The folder of the masks; `SegmentationClassAug` for the usual extension of VOC 2012.
    #[serde(default = "mask_folder")]
    pub mask_folder: String,
}

fn ignore_255() -> LabelPolicy {
    LabelPolicy::Direct { ignore: IGNORE }
}

fn train_list() -> String {
    "train".into()
}

fn val_list() -> String {
    "val".into()
}

fn mask_folder() -> String {
    "SegmentationClass".into()
}

impl DatasetFormat for PascalVocConfig {
    const DESCRIPTOR: DatasetDescriptor = DatasetDescriptor {
        name: "pascal_voc",
        tasks: &[TaskKind::Segmentation],
        summary: "Pascal VOC segmentation: palette-indexed masks and split lists",
        layout: "\
  JPEGImages/*.jpg
  SegmentationClass/*.png                        palette-indexed
  ImageSets/Segmentation/{train,val}.txt         one stem per line",
    };

    fn open(&self, split: Split) -> Result<Opened, DataError> {
        let format = Self::DESCRIPTOR;
        let root = paths::expand(&self.root)?;
        let images = root.join("JPEGImages");
        let masks = root.join(&self.mask_folder);
        let lists = root.join("ImageSets").join("Segmentation");
        for path in [&root, &images, &masks, &lists] {
            layout::require_folder(path, format.name, format.layout)?;
        }
        let classes = resolve_or_default(self.classes.as_ref(), &root, "pascal_voc")?;
        let list = match split {
            Split::Train => &self.train_list,
            Split::Val => &self.val_list,
        };
        let list = lists.join(format!("{list}.txt"));
        let images = ImageFolder::open(&images)?;
        let masks = LabelFolder::masks(&masks, "")?;
        let pairs = list::pairs(&list, &root, &images, &masks)?;
        if pairs.is_empty() {
            return Err(DataError::EmptySplit {
                split: split.name(),
                expected: "stems",
                path: list,
            });
        }
        Ok(Opened::Dense(Arc::new(FileDataset::new(
            classes.list.as_deref().unwrap_or(format.name),
            pairs,
            classes.names,
            classes.palette,
            self.labels.clone(),
        )?)))
    }
}
