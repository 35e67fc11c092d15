//! PASCAL-Context for several tasks, in the layout of the public multi-task code.
//!
//! Mottaghi et al., CVPR 2014 (context); Chen et al., *Detect What You Can*, CVPR 2014 (parts); Maninis et
//! al., *Attentive Single-Tasking of Multiple Tasks*, CVPR 2019 (distilled normals and saliency, and the
//! choice of tasks); Vandenhende et al., TPAMI 2021 (the archive).

mod context;
mod edges;
mod parts;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::dense::{DenseFileDataset, DenseReader, ImageFile};
use crate::error::DataError;
use crate::format::{DatasetDescriptor, DatasetFormat, Opened};
use crate::formats::{layout, list};
use crate::io::paths;
use crate::io::read;
use crate::labels::classes::Classes;
use crate::labels::{DenseLabels, DenseTask, NormalMap, VerticalAxis, unit};
use crate::labels::{IGNORE, LabelMap, LabelPolicy};
use crate::split::Split;
use crate::task::TaskKind;

use context::ContextMap;

/// Configuration of PASCAL-Context for several tasks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PascalMtConfig {
    /// The folder that holds `JPEGImages`, `PASCAL_MT` in the public archive; may start with
    /// `$VARIABLE`.
    pub root: PathBuf,
    /// The direction of the second component of the stored normals; the public code treats it as pointing down.
    #[serde(default = "down")]
    pub vertical: VerticalAxis,
}

fn down() -> VerticalAxis {
    VerticalAxis::Down
}

impl DatasetFormat for PascalMtConfig {
    const DESCRIPTOR: DatasetDescriptor = DatasetDescriptor {
        name: "pascal_mt",
        tasks: &[TaskKind::Segmentation, TaskKind::MultiTask],
        summary: "PASCAL-Context for several tasks: segmentation, parts, saliency, normals and edges",
        layout: "\
  JPEGImages/*.jpg
  ImageSets/Context/{train,val}.txt              one stem per line
  semseg/VOC12/*.png                             or semseg/pascal-context/*.png; 255 is ignore
  human_parts/*.mat
  sal_distill/*.png
  normals_distill/*.png
  pascal-context/trainval/*.mat                  of normals and edges",
    };

    fn open(&self, split: Split) -> Result<Opened, DataError> {
        let format = Self::DESCRIPTOR;
        let root = paths::expand(&self.root)?;
        let images = root.join("JPEGImages");
        let lists = root.join("ImageSets").join("Context");
        for path in [&root, &images, &lists] {
            layout::require_folder(path, format.name, format.layout)?;
        }
        let list = lists.join(format!("{}.txt", split.name()));
        let images = list::images_of_list(&list, &images, split)?;
        let classes = Classes::built_in("pascal_voc")?;
        let reader = Reader {
            root,
            classes: classes.names.len(),
            vertical: self.vertical,
        };
        let tasks = [
            DenseTask::SemanticSegmentation,
            DenseTask::HumanParts,
            DenseTask::Saliency,
            DenseTask::SurfaceNormals,
            DenseTask::Edges,
        ];
        let parts = parts::NAMES.map(str::to_string).to_vec();
        let classes = [
            (DenseTask::SemanticSegmentation, classes),
            (DenseTask::HumanParts, Classes::named(parts)),
        ];
        let dataset = DenseFileDataset::new(format.name, images, tasks, classes, reader);
        Ok(Opened::Dense(Arc::new(dataset)))
    }
}

struct Reader {
    root: PathBuf,
    classes: usize,
    vertical: VerticalAxis,
}

impl Reader {
    fn path(&self, folder: &str, image: &ImageFile, ending: &str) -> PathBuf {
        self.root
            .join(folder)
            .join(format!("{}.{ending}", image.id))
    }

    /// Returns the hand-drawn labels of VOC 2012 if there are any, otherwise those merged from the context labels.
    fn semantic(&self, image: &ImageFile) -> PathBuf {
        let voc = self.path("semseg/VOC12", image, "png");
        match voc.is_file() {
            true => voc,
            false => self.path("semseg/pascal-context", image, "png"),
        }
    }

    fn context(&self, image: &ImageFile) -> PathBuf {
        self.path("pascal-context/trainval", image, "mat")
    }

    /// Returns the distilled normals, for the classes on which the network that predicted them was trained.
    fn normals(&self, image: &ImageFile, context: &ContextMap) -> Result<NormalMap, DataError> {
        let path = self.path("normals_distill", image, "png");
        let colors = read::image(&path)?;
        context.require_size(colors.dimensions(), &path)?;
        let (width, height) = colors.dimensions();
        let normals = colors.pixels().zip(&context.labels).map(|(color, class)| {
            if !context::has_normals(*class) {
                return [0.0; 3];
            }
            let normal = color.0.map(|value| 2.0 * f32::from(value) / 255.0 - 1.0);
            unit(normal).unwrap_or_default()
        });
        Ok(NormalMap {
            width,
            height,
            vertical: self.vertical,
            data: normals.collect(),
        })
    }
}

impl DenseReader for Reader {
    fn files(&self, image: &ImageFile, task: DenseTask) -> Vec<PathBuf> {
        match task {
            DenseTask::SemanticSegmentation => vec![self.semantic(image)],
            DenseTask::HumanParts => vec![self.path("human_parts", image, "mat")],
            DenseTask::Saliency => vec![self.path("sal_distill", image, "png")],
            DenseTask::SurfaceNormals => vec![
                self.path("normals_distill", image, "png"),
                self.context(image),
            ],
            DenseTask::Edges => vec![self.context(image)],
            _ => Vec::new(),
        }
    }

    fn read(
        &self,
        image: &ImageFile,
        tasks: &[DenseTask],
    ) -> Result<BTreeMap<DenseTask, DenseLabels>, DataError> {
        let needs_context =
            |task: &DenseTask| matches!(task, DenseTask::SurfaceNormals | DenseTask::Edges);
        let context = match tasks.iter().any(needs_context) {
            true => Some(ContextMap::read(&self.context(image))?),
            false => None,
        };
        let mut labels = BTreeMap::new();
        for &task in tasks {
            let of_task = match (task, &context) {
                (DenseTask::SemanticSegmentation, _) => {
                    let policy = LabelPolicy::Direct { ignore: IGNORE };
                    let path = self.semantic(image);
                    DenseLabels::Classes(read::labels(&path, &policy, self.classes)?)
                }
                (DenseTask::HumanParts, _) => {
                    let path = self.path("human_parts", image, "mat");
                    DenseLabels::Classes(parts::read(&path, &image.path)?)
                }
                (DenseTask::Saliency, _) => {
                    let map = read::grey(&self.path("sal_distill", image, "png"))?;
                    let salient = map.data.iter().map(|value| u8::from(*value > 127));
                    DenseLabels::Classes(LabelMap {
                        data: salient.collect(),
                        ..map
                    })
                }
                (DenseTask::SurfaceNormals, Some(context)) => {
                    DenseLabels::Normals(self.normals(image, context)?)
                }
                (DenseTask::Edges, Some(context)) => DenseLabels::Classes(LabelMap {
                    width: context.width,
                    height: context.height,
                    data: edges::edges(&context.labels, context.width as usize),
                }),
                _ => continue,
            };
            labels.insert(task, of_task);
        }
        Ok(labels)
    }
}
