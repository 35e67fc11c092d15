//! Small datasets on disk and in memory.
#![allow(dead_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gradway_data::{
    DataError, DatasetConfig, LabelMap, SegmentationDataset, SegmentationSample, Split,
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
