//! Small datasets on disk and in memory.
#![allow(dead_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gradway_data::{
    BatchLabels, DataError, DatasetConfig, DenseBatch, DenseLabels, DenseTask, DepthMap, IGNORE,
    LabelMap, MultiTaskDataset, MultiTaskSample, NetworkInput, NormalMap, Normalization,
    SegmentationDataset, SegmentationSample, Split, VerticalAxis,
};
use image::{GrayImage, ImageBuffer, Luma, Rgb, RgbImage};

/// A configuration from TOML, with `ROOT` standing for a folder.
pub fn config(root: &Path, text: &str) -> DatasetConfig {
    let text = text.replace("ROOT", &root.display().to_string());
    toml::from_str(&text).unwrap()
}

/// Opens a split that must exist.
pub fn open(config: &DatasetConfig, split: Split) -> Arc<dyn SegmentationDataset> {
    config.open(split).unwrap_or_else(|error| panic!("{error}"))
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
    pub fn sample(&self, index: usize) -> SegmentationSample {
        let (width, height) = self.sizes[index];
        let image = RgbImage::from_fn(width, height, |x, y| {
            Rgb([x as u8 * 4, y as u8 * 4, index as u8])
        });
        let mut labels = LabelMap::filled(width, height, 0);
        for (place, label) in labels.data.iter_mut().enumerate() {
            *label = Self::label(place as u32 % width, place as u32 / width);
        }
        SegmentationSample {
            id: format!("sample {index}"),
            image,
            labels,
        }
    }
}

impl SegmentationDataset for Coordinates {
    fn name(&self) -> &str {
        "coordinates"
    }

    fn len(&self) -> usize {
        self.sizes.len()
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn palette(&self) -> &[[u8; 3]] {
        &self.palette
    }

    fn id(&self, index: usize) -> String {
        format!("sample {index}")
    }

    fn get(&self, index: usize) -> Result<SegmentationSample, DataError> {
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

/// A sphere before a tilted wall, seen by a pinhole camera that can be turned, mirrored and given more
/// pixels: what is known of every pixel is computed, never resampled.
#[derive(Clone)]
pub struct Lit {
    width: u32,
    height: u32,
    /// From the picture to the scene, in units of pixels of the first camera: x right, y up.
    across: [f64; 2],
    up: [f64; 2],
    /// Pixels of the first camera's focal length.
    focal: f64,
    vertical: VerticalAxis,
}

/// The tasks of [`Lit`].
pub fn lit_tasks() -> [DenseTask; 3] {
    [
        DenseTask::SemanticSegmentation,
        DenseTask::SurfaceNormals,
        DenseTask::Depth,
    ]
}

impl Lit {
    /// A camera of so many pixels.
    pub fn new(width: u32, height: u32) -> Self {
        Self {
            width,
            height,
            across: [1.0, 0.0],
            up: [0.0, 1.0],
            focal: 60.0,
            vertical: VerticalAxis::Up,
        }
    }

    /// The same with normals whose second component points down.
    pub fn with_axis_down(&self) -> Self {
        Self {
            vertical: VerticalAxis::Down,
            ..self.clone()
        }
    }

    /// The scene mirrored left to right.
    pub fn flipped(&self) -> Self {
        Self {
            across: self.across.map(|value| -value),
            ..self.clone()
        }
    }

    /// The scene turned against the clock.
    pub fn rotated(&self, degrees: f32) -> Self {
        let (sine, cosine) = f64::from(degrees).to_radians().sin_cos();
        // A point of the picture shows what was at the point turned back.
        let back = |[x, y]: [f64; 2]| [cosine * x + sine * y, cosine * y - sine * x];
        Self {
            across: back(self.across),
            up: back(self.up),
            ..self.clone()
        }
    }

    /// The same view in other pixels.
    pub fn resized(&self, width: u32, height: u32) -> Self {
        let ratio = |old: u32, new: u32| f64::from(old) / f64::from(new);
        let (across, up) = (ratio(self.width, width), ratio(self.height, height));
        Self {
            width,
            height,
            across: self.across.map(|value| value * across),
            up: self.up.map(|value| value * up),
            ..self.clone()
        }
    }

    /// Class, normal (x right, y up, z towards the camera) and depth in the direction (x, y) of the scene.
    fn look(&self, x: f64, y: f64) -> (u8, [f64; 3], f64) {
        let ray = [x / self.focal, y / self.focal, -1.0];
        let dot = |one: [f64; 3], other: [f64; 3]| -> f64 {
            one.iter().zip(other).map(|(one, other)| one * other).sum()
        };
        // A sphere off the centre.
        let (center, radius) = ([0.35, 0.2, -4.0], 1.1);
        let (a, b, c) = (
            dot(ray, ray),
            dot(ray, center),
            dot(center, center) - radius * radius,
        );
        let root = b * b - a * c;
        if root > 0.0 {
            let distance = (b - root.sqrt()) / a;
            let normal = [0, 1, 2].map(|axis| (distance * ray[axis] - center[axis]) / radius);
            return (1, normal, distance);
        }
        // A hole in the wall, where nothing is known.
        if (x + 18.0).hypot(y + 8.0) < 4.0 {
            return (IGNORE, [0.0; 3], 0.0);
        }
        let normal = [0.48, 0.36, 0.8];
        (0, normal, -5.0 / dot(ray, normal))
    }

    /// The picture and its labels.
    pub fn sample(&self, tasks: &[DenseTask]) -> MultiTaskSample {
        let (width, height) = (self.width, self.height);
        let mut seen = Vec::new();
        for row in 0..height {
            for column in 0..width {
                let x = f64::from(column) + 0.5 - f64::from(width) / 2.0;
                let y = f64::from(height) / 2.0 - f64::from(row) - 0.5;
                let [u, v] = [0, 1].map(|axis| x * self.across[axis] + y * self.up[axis]);
                let (class, normal, depth) = self.look(u, v);
                // Components along the axes of the picture.
                let along = |axis: [f64; 2]| {
                    (normal[0] * axis[0] + normal[1] * axis[1]) / axis[0].hypot(axis[1])
                };
                let vertical = match self.vertical {
                    VerticalAxis::Up => along(self.up),
                    VerticalAxis::Down => -along(self.up),
                };
                let normal = [along(self.across), vertical, normal[2]];
                seen.push((class, normal.map(|value| value as f32), depth as f32));
            }
        }
        let labels = tasks.iter().map(|&task| {
            let labels = match task {
                DenseTask::SemanticSegmentation => DenseLabels::Classes(LabelMap {
                    width,
                    height,
                    data: seen.iter().map(|(class, _, _)| *class).collect(),
                }),
                DenseTask::SurfaceNormals => DenseLabels::Normals(NormalMap {
                    width,
                    height,
                    vertical: self.vertical,
                    data: seen.iter().map(|(_, normal, _)| *normal).collect(),
                }),
                _ => DenseLabels::Depth(DepthMap {
                    width,
                    height,
                    data: seen.iter().map(|(_, _, depth)| *depth).collect(),
                }),
            };
            (task, labels)
        });
        let bytes = seen.iter().flat_map(|(class, normal, _)| {
            [
                class.wrapping_mul(90),
                (100.0 + 100.0 * normal[0]) as u8,
                (100.0 * normal[2]) as u8,
            ]
        });
        MultiTaskSample {
            id: "lit".into(),
            image: RgbImage::from_raw(width, height, bytes.collect()).unwrap(),
            labels: labels.collect(),
        }
    }
}

impl MultiTaskDataset for Lit {
    fn name(&self) -> &str {
        "lit"
    }

    fn len(&self) -> usize {
        1
    }

    fn tasks(&self) -> &[DenseTask] {
        const TASKS: [DenseTask; 3] = [
            DenseTask::SemanticSegmentation,
            DenseTask::SurfaceNormals,
            DenseTask::Depth,
        ];
        &TASKS
    }

    fn classes(&self, _task: DenseTask) -> &[String] {
        &[]
    }

    fn palette(&self, _task: DenseTask) -> &[[u8; 3]] {
        &[]
    }

    fn id(&self, _index: usize) -> String {
        "lit".into()
    }

    fn get(&self, _index: usize, tasks: &[DenseTask]) -> Result<MultiTaskSample, DataError> {
        Ok(self.sample(tasks))
    }
}
