//! Small datasets on disk and in memory.
#![allow(dead_code)]

mod lit;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gradway_data::{
    BatchLabels, DataError, DatasetConfig, DenseBatch, DenseCollection, DenseDataset, DenseLabels,
    DenseSample, DenseTask, LabelMap, NetworkInput, Normalization, Split,
};
use image::{GrayImage, ImageBuffer, Luma, Rgb, RgbImage};

pub use lit::{Lit, lit_tasks};

/// What `tests/golden/dense_data.py` drew.
pub fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/dense")
}

/// What it says of that.
pub fn expected() -> serde_json::Value {
    let text = fs::read_to_string(golden().join("expected.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// A configuration from TOML, with `ROOT` standing for a folder.
pub fn config(root: &Path, text: &str) -> DatasetConfig {
    let text = text.replace("ROOT", &root.display().to_string());
    toml::from_str(&text).unwrap()
}

/// A split opened for segmentation.
pub struct Opened(pub Arc<dyn DenseDataset>);

/// A sample of segmentation.
#[derive(Debug, Clone, PartialEq)]
pub struct Labelled {
    pub id: String,
    pub image: RgbImage,
    pub labels: LabelMap,
}

impl Opened {
    pub fn name(&self) -> &str {
        self.0.name()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn id(&self, index: usize) -> String {
        self.0.id(index)
    }

    pub fn classes(&self) -> &[String] {
        self.0.classes(SEGMENTATION[0])
    }

    pub fn palette(&self) -> &[[u8; 3]] {
        self.0.palette(SEGMENTATION[0])
    }

    pub fn get(&self, index: usize) -> Result<Labelled, DataError> {
        let sample = self.0.get(index, &SEGMENTATION)?;
        Ok(Labelled {
            labels: class_map(&sample).clone(),
            id: sample.id,
            image: sample.image,
        })
    }
}

/// Opens a split that must exist.
pub fn open(config: &DatasetConfig, split: Split) -> Opened {
    Opened(config.open(split).unwrap_or_else(|error| panic!("{error}")))
}

/// The error of a split that must not open.
pub fn open_error(config: &DatasetConfig, split: Split) -> DataError {
    match config.open(split) {
        Ok(dataset) => panic!("opened {} samples", dataset.len()),
        Err(error) => error,
    }
}

/// Asserts that a message and its hint contain every part.
pub fn assert_says(error: &DataError, parts: &[&str]) {
    let text = format!("{error}\nhint: {}", error.hint().unwrap_or_default());
    for part in parts {
        assert!(text.contains(part), "no {part:?} in: {text}");
    }
}

/// The one task of segmentation.
pub const SEGMENTATION: [DenseTask; 1] = [DenseTask::SemanticSegmentation];

/// A dataset with the classes of every pixel, as loaders take it.
pub fn segmentation(dataset: Arc<dyn DenseDataset>) -> DenseCollection {
    DenseCollection::of(dataset, &SEGMENTATION).unwrap()
}

/// The classes of a sample of segmentation.
pub fn class_map(sample: &DenseSample) -> &LabelMap {
    sample
        .class_map(DenseTask::SemanticSegmentation)
        .expect("classes")
}

/// The same, to change them.
pub fn class_map_mut(sample: &mut DenseSample) -> &mut LabelMap {
    match sample.labels.get_mut(&DenseTask::SemanticSegmentation) {
        Some(DenseLabels::Classes(map)) => map,
        labels => panic!("{labels:?}"),
    }
}

/// For a network that takes images of any size.
pub fn any_size(normalization: Normalization) -> NetworkInput {
    NetworkInput {
        normalization,
        stride: 1,
    }
}

/// The classes of a task in a batch, padding included.
pub fn classes_of(batch: &DenseBatch, task: DenseTask) -> Vec<u8> {
    match batch.labels(task).unwrap() {
        Some(BatchLabels::Classes(data)) => data,
        labels => panic!("{labels:?}"),
    }
}

/// The classes of segmentation in a batch, padding included.
pub fn classes(batch: &DenseBatch) -> Vec<u8> {
    classes_of(batch, DenseTask::SemanticSegmentation)
}

/// Identifiers of the pictures of a batch.
pub fn ids(batch: &DenseBatch) -> Vec<String> {
    batch.items.iter().map(|item| item.id.clone()).collect()
}

/// Heights and widths of the pictures of a batch.
pub fn sizes(batch: &DenseBatch) -> Vec<[usize; 2]> {
    batch.items.iter().map(|item| item.size).collect()
}

/// Writes an image; its kind follows from its name.
pub fn write_image(path: &Path, width: u32, height: u32) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let image = RgbImage::from_fn(width, height, |x, y| {
        Rgb([(x * 7) as u8, (y * 11) as u8, (x * y) as u8])
    });
    image.save(path).unwrap();
}

/// Writes an 8-bit grey mask of `label(x, y)`.
pub fn write_mask(path: &Path, width: u32, height: u32, label: impl Fn(u32, u32) -> u8) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mask = GrayImage::from_fn(width, height, |x, y| Luma([label(x, y)]));
    mask.save(path).unwrap();
}

/// Writes a 16-bit grey mask of `label(x, y)`.
pub fn write_mask_16(path: &Path, width: u32, height: u32, label: impl Fn(u32, u32) -> u16) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mask: ImageBuffer<Luma<u16>, Vec<u16>> =
        ImageBuffer::from_fn(width, height, |x, y| Luma([label(x, y)]));
    mask.save(path).unwrap();
}

/// Writes a palette-indexed PNG of packed rows, whose palette is deliberately not in order.
pub fn write_indexed(path: &Path, width: u32, height: u32, depth: png::BitDepth, packed: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut encoder = png::Encoder::new(fs::File::create(path).unwrap(), width, height);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(depth);
    let entries = 1usize << (depth as usize);
    let palette: Vec<u8> = (0..3 * entries).map(|i| 255 - (i % 251) as u8).collect();
    encoder.set_palette(palette);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(packed).unwrap();
}

/// A dataset in the ADE20K layout with `train` and `val` samples of 8x6 and labels 0..=3.
pub fn ade_fixture(root: &Path, train: usize, val: usize) {
    for (split, count) in [("training", train), ("validation", val)] {
        fs::create_dir_all(root.join("images").join(split)).unwrap();
        fs::create_dir_all(root.join("annotations").join(split)).unwrap();
        for index in 0..count {
            let (image, mask) = ade_paths(root, split, &format!("s{index:03}"));
            write_image(&image, 8, 6);
            write_mask(&mask, 8, 6, |x, y| ((x + y) % 4) as u8);
        }
    }
}

/// The image and the mask of a sample of [`ade_fixture`].
pub fn ade_paths(root: &Path, split: &str, id: &str) -> (PathBuf, PathBuf) {
    let image = root.join("images").join(split).join(format!("{id}.jpg"));
    let mask = root
        .join("annotations")
        .join(split)
        .join(format!("{id}.png"));
    (image, mask)
}

/// The configuration of [`ade_fixture`].
pub const ADE: &str = r#"
    format = "ade20k"
    root = "ROOT"
    classes = ["wall", "sky", "tree"]
"#;

/// A dataset in memory whose pixels tell sample, column and row: red is the column, green the row,
/// blue the sample; the label is the column's eighth plus four times the row's eighth.
pub struct Coordinates {
    sizes: Vec<(u32, u32)>,
    broken: Option<usize>,
    classes: Vec<String>,
    palette: Vec<[u8; 3]>,
}

impl Coordinates {
    /// Samples of the given widths and heights, at most 32 each way.
    pub fn new(sizes: impl IntoIterator<Item = (u32, u32)>) -> Self {
        Self {
            sizes: sizes.into_iter().collect(),
            broken: None,
            classes: (0..16).map(|class| format!("cell {class}")).collect(),
            palette: vec![[0; 3]; 16],
        }
    }

    /// The same with a sample that cannot be read.
    pub fn with_broken(self, index: usize) -> Self {
        Self {
            broken: Some(index),
            ..self
        }
    }

    /// The label of a pixel.
    pub fn label(x: u32, y: u32) -> u8 {
        (x / 8 + 4 * (y / 8)) as u8
    }

    /// Sample `index`.
    pub fn sample(&self, index: usize) -> DenseSample {
        let (width, height) = self.sizes[index];
        let image = RgbImage::from_fn(width, height, |x, y| {
            Rgb([x as u8 * 4, y as u8 * 4, index as u8])
        });
        let mut labels = LabelMap::filled(width, height, 0);
        for (place, label) in labels.data.iter_mut().enumerate() {
            *label = Self::label(place as u32 % width, place as u32 / width);
        }
        DenseSample::segmentation(format!("sample {index}"), image, labels)
    }
}

impl DenseDataset for Coordinates {
    fn name(&self) -> &str {
        "coordinates"
    }

    fn len(&self) -> usize {
        self.sizes.len()
    }

    fn tasks(&self) -> &[DenseTask] {
        &SEGMENTATION
    }

    fn classes(&self, _task: DenseTask) -> &[String] {
        &self.classes
    }

    fn palette(&self, _task: DenseTask) -> &[[u8; 3]] {
        &self.palette
    }

    fn id(&self, index: usize) -> String {
        format!("sample {index}")
    }

    fn get(&self, index: usize, _tasks: &[DenseTask]) -> Result<DenseSample, DataError> {
        if self.broken == Some(index) {
            return Err(DataError::Decode {
                path: self.id(index).into(),
                reason: "it is broken on purpose".into(),
                expected: "JPEG or PNG",
            });
        }
        if index >= self.len() {
            return Err(DataError::IndexOutOfRange {
                dataset: self.name().into(),
                index,
                len: self.len(),
            });
        }
        Ok(self.sample(index))
    }
}
