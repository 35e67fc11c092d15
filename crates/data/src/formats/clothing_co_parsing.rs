//! Clothing Co-Parsing: classes of clothes, and tasks derived from them.
//!
//! Yang et al., *Clothing Co-Parsing by Joint Image Segmentation and Labeling*, CVPR 2014. The files hold the
//! 59 classes; human parts, saliency (everything but `null`) and edges (boundaries between classes) are derived
//! from them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use gradway_scenes::boundaries;
use serde::{Deserialize, Serialize};

use crate::dense::{DenseFileDataset, DenseReader, ImageFile};
use crate::error::DataError;
use crate::format::{DatasetDescriptor, DatasetFormat, Opened};
use crate::formats::{layout, list};
use crate::io::paths;
use crate::io::read;
use crate::labels::classes::Classes;
use crate::labels::{DenseLabels, DenseTask};
use crate::labels::{IGNORE, LabelMap, LabelPolicy};
use crate::split::Split;
use crate::task::TaskKind;
use crate::text::lines;
use crate::transform::invalid;

/// Class 0 is a class, and no stored value means ignore.
const POLICY: LabelPolicy = LabelPolicy::Direct { ignore: IGNORE };

/// The manifest of the class list.
const MANIFEST: &str = "ccp";

/// The human parts and their classes; every class belongs to one part.
///
/// Clothes that cover the whole body are upper clothes, since they hang from the shoulders; clothes on legs and
/// feet, except shoes, are lower clothes; things that can be put down are accessories.
const PARTS: [(&str, &[&str]); 7] = [
    ("background", &["null"]),
    ("hair", &["hair"]),
    ("face and skin", &["skin"]),
    (
        "upper clothes",
        &[
            "blazer",
            "blouse",
            "bodysuit",
            "bra",
            "cape",
            "cardigan",
            "coat",
            "dress",
            "hoodie",
            "intimate",
            "jacket",
            "jumper",
            "romper",
            "shirt",
            "suit",
            "sweater",
            "sweatshirt",
            "swimwear",
            "t-shirt",
            "top",
            "vest",
        ],
    ),
    (
        "lower clothes",
        &[
            "jeans",
            "leggings",
            "panties",
            "pants",
            "shorts",
            "skirt",
            "socks",
            "stockings",
            "tights",
        ],
    ),
    (
        "shoes",
        &[
            "boots", "clogs", "flats", "heels", "loafers", "pumps", "sandals", "shoes", "sneakers",
            "wedges",
        ],
    ),
    (
        "accessories",
        &[
            "accessories",
            "bag",
            "belt",
            "bracelet",
            "earrings",
            "glasses",
            "gloves",
            "hat",
            "necklace",
            "purse",
            "ring",
            "scarf",
            "sunglasses",
            "tie",
            "wallet",
            "watch",
        ],
    ),
];

/// Configuration of Clothing Co-Parsing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClothingCoParsingConfig {
    /// The folder that holds `photos` and `labels`; may start with `$VARIABLE`.
    pub root: PathBuf,
    /// A text file with the stems of the training images, below the root.
    #[serde(default = "train_list")]
    pub train_list: PathBuf,
    /// A text file with the stems of the validation images, below the root.
    #[serde(default = "val_list")]
    pub val_list: PathBuf,
}

fn train_list() -> PathBuf {
    "train.txt".into()
}

fn val_list() -> PathBuf {
    "val.txt".into()
}

impl DatasetFormat for ClothingCoParsingConfig {
    const DESCRIPTOR: DatasetDescriptor = DatasetDescriptor {
        name: "clothing_co_parsing",
        tasks: &[TaskKind::Segmentation, TaskKind::MultiTask],
        summary: "Clothing Co-Parsing: clothes, and derived from them human parts, saliency and edges",
        layout: "\
  photos/*.jpg
  labels/*.png
  train.txt val.txt              `train_list` and `val_list`, one stem per line",
    };

    fn open(&self, split: Split) -> Result<Opened, DataError> {
        let format = Self::DESCRIPTOR;
        let root = paths::expand(&self.root)?;
        let photos = root.join("photos");
        let labels = root.join("labels");
        for path in [&root, &photos, &labels] {
            layout::require_folder(path, format.name, format.layout)?;
        }
        let classes = Classes::built_in(MANIFEST)?;
        require_classes(&root, &classes.names)?;
        let list = root.join(match split {
            Split::Train => &self.train_list,
            Split::Val => &self.val_list,
        });
        let images = list::images_of_list(&list, &photos, split)?;
        let part_names = PARTS.map(|(name, _)| name.to_string());
        let parts = Classes::named(part_names.to_vec());
        let reader = Reader {
            labels,
            classes: classes.names.len(),
            parts: classes.names.iter().map(|name| part_of(name)).collect(),
        };
        let tasks = [
            DenseTask::SemanticSegmentation,
            DenseTask::HumanParts,
            DenseTask::Saliency,
            DenseTask::Edges,
        ];
        let classes = [
            (DenseTask::SemanticSegmentation, classes),
            (DenseTask::HumanParts, parts),
        ];
        Ok(Opened::Dense(std::sync::Arc::new(DenseFileDataset::new(
            MANIFEST, images, tasks, classes, reader,
        ))))
    }
}

/// Rejects a copy with another class list: the parts are known only for the published classes.
fn require_classes(root: &Path, names: &[String]) -> Result<(), DataError> {
    let path = root.join("classes.txt");
    if !path.is_file() || lines(&path)? == names {
        return Ok(());
    }
    let expected = format!(
        "a folder whose classes.txt holds the {} classes of the manifest `{MANIFEST}`, or no such file",
        names.len()
    );
    Err(invalid("data.root", root.display().to_string(), expected))
}

/// Returns the part that a class belongs to, or the ignore label.
fn part_of(class: &str) -> u8 {
    let part = PARTS
        .iter()
        .position(|(_, classes)| classes.contains(&class));
    part.map_or(IGNORE, |part| part as u8)
}

struct Reader {
    labels: PathBuf,
    classes: usize,
    /// The part of every class.
    parts: Vec<u8>,
}

impl DenseReader for Reader {
    fn files(&self, image: &ImageFile, _task: DenseTask) -> Vec<PathBuf> {
        vec![self.labels.join(format!("{}.png", image.id))]
    }

    fn read(
        &self,
        image: &ImageFile,
        tasks: &[DenseTask],
    ) -> Result<BTreeMap<DenseTask, DenseLabels>, DataError> {
        let mut labels = BTreeMap::new();
        let path = self.labels.join(format!("{}.png", image.id));
        let map = match tasks {
            [] => return Ok(labels),
            _ => read::labels(&path, &POLICY, self.classes)?,
        };
        let derived = |data: Vec<u8>| LabelMap { data, ..map };
        let each = |label: &dyn Fn(u8) -> u8| {
            derived(map.data.iter().map(|class| label(*class)).collect())
        };
        for &task in tasks {
            let of_task = match task {
                DenseTask::SemanticSegmentation => map.clone(),
                DenseTask::HumanParts => each(&|class| {
                    let part = self.parts.get(usize::from(class));
                    part.copied().unwrap_or(IGNORE)
                }),
                DenseTask::Saliency => each(&|class| match class {
                    IGNORE => IGNORE,
                    class => u8::from(class != 0),
                }),
                DenseTask::Edges => derived(boundaries(&map.data, map.width as usize)),
                _ => continue,
            };
            labels.insert(task, DenseLabels::Classes(of_task));
        }
        Ok(labels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_belongs_to_one_part() {
        let classes = Classes::built_in(MANIFEST).unwrap().names;
        let named: Vec<&str> = PARTS
            .iter()
            .flat_map(|(_, classes)| *classes)
            .copied()
            .collect();
        for class in &classes {
            let times = named.iter().filter(|name| *name == class).count();
            assert_eq!(times, 1, "{class}");
        }
        assert_eq!(named.len(), classes.len());
        assert_eq!(part_of("null"), 0);
        assert_eq!(part_of("sunglasses"), 6);
    }
}
