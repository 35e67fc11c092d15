//! Errors of ground truths and detections.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// The location of an annotation or a detection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The file, if it comes from one.
    pub file: Option<PathBuf>,
    /// The list it is in, such as `annotations`.
    pub list: &'static str,
    /// Index in the list, from 0.
    pub index: usize,
    /// The image it names.
    pub image_id: u64,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}: ", file.display())?;
        }
        write!(f, "{}[{}] (image {})", self.list, self.index, self.image_id)
    }
}

/// The file and list of entries.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin<'a> {
    pub file: Option<&'a Path>,
    pub list: &'static str,
}

impl<'a> Origin<'a> {
    /// An entry of the list.
    pub fn at(self, index: usize, image_id: u64) -> EntryRef<'a> {
        EntryRef {
            origin: self,
            index,
            image_id,
        }
    }
}

/// The location of an entry that is being checked: an [`Entry`] without allocations.
#[derive(Debug, Clone, Copy)]
pub(super) struct EntryRef<'a> {
    origin: Origin<'a>,
    index: usize,
    pub image_id: u64,
}

impl EntryRef<'_> {
    pub fn entry(self) -> Entry {
        Entry {
            file: self.origin.file.map(Path::to_path_buf),
            list: self.origin.list,
            index: self.index,
            image_id: self.image_id,
        }
    }
}

/// A ground truth or detections that cannot be scored.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DetectionError {
    /// A file that cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// A file that is not JSON, or JSON of another structure.
    #[error("{} is not a {expected}: {source}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// The expected content.
        expected: &'static str,
        /// The parse error; it names the index of the entry.
        source: serde_json::Error,
    },
    /// Two images or two categories of one identifier.
    #[error("{}{what} {id} occurs twice; identifiers must be unique", prefix(file))]
    Duplicate {
        /// The file, if it comes from one.
        file: Option<PathBuf>,
        /// `image` or `category`.
        what: &'static str,
        /// The identifier.
        id: u64,
    },
    /// An image that the ground truth does not have.
    #[error("{entry}: image {} is not among the {images} images of the ground truth", entry.image_id)]
    UnknownImage {
        /// The entry that names it.
        entry: Entry,
        /// Number of images.
        images: usize,
    },
    /// A category that the ground truth does not have.
    #[error(
        "{entry}: category {category_id} is not among the {categories} categories of the ground truth"
    )]
    UnknownCategory {
        /// The entry that names it.
        entry: Entry,
        /// The identifier.
        category_id: u64,
        /// Number of categories.
        categories: usize,
    },
    /// A class index that is out of range.
    #[error("{entry}: class is {class}; expected one below {classes}")]
    ClassOutOfRange {
        /// The entry.
        entry: Entry,
        /// The class.
        class: usize,
        /// Number of classes.
        classes: usize,
    },
    /// A score that is not a finite number.
    #[error("{entry}: score is {}; expected a finite number", shown(value))]
    Score {
        /// The entry.
        entry: Entry,
        /// The score; `None` if it is missing or JSON cannot represent it.
        value: Option<f64>,
    },
    /// An invalid box.
    #[error("{entry}: box is [{}]; expected four finite numbers", list(value))]
    Box {
        /// The entry.
        entry: Entry,
        /// Its numbers; `None` for a number that JSON cannot represent.
        value: Vec<Option<f64>>,
    },
    /// A missing box, if boxes are compared or the first detection of the file has one.
    #[error("{entry}: `bbox` is missing")]
    MissingBox {
        /// The entry.
        entry: Entry,
    },
    /// No mask, where masks are compared.
    #[error("{entry}: `segmentation` is missing")]
    MissingMask {
        /// The entry.
        entry: Entry,
    },
    /// An invalid mask.
    #[error("{entry}: {reason}")]
    Mask {
        /// The entry.
        entry: Entry,
        /// The reason.
        reason: String,
    },
    /// A mask whose size differs from its image.
    #[error(
        "{entry}: mask is {}x{}, but the image is {}x{} (width x height)",
        mask[0], mask[1], image[0], image[1]
    )]
    MaskSize {
        /// The entry.
        entry: Entry,
        /// Width and height of the mask.
        mask: [u32; 2],
        /// Width and height of the image.
        image: [u32; 2],
    },
    /// An image without a size, if masks are compared.
    #[error("{entry}: image {} has no width and height in the ground truth", entry.image_id)]
    MissingSize {
        /// The entry that needs it.
        entry: Entry,
    },
    /// Run lengths that do not add up to the size of the mask.
    #[error("runs of a {width}x{height} mask add up to {sum} pixels; expected {}", u64::from(*width) * u64::from(*height))]
    Runs {
        /// Width of the mask.
        width: u32,
        /// Height of the mask.
        height: u32,
        /// Sum of the runs.
        sum: u64,
    },
    /// Any other error of the evaluation.
    #[error("cannot be scored: {reason}")]
    Evaluation {
        /// The reason.
        reason: String,
    },
}

impl DetectionError {
    /// Returns a suggestion to fix the error, for the `hint:` line of the command line.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Json { .. } => {
                "a ground truth has `images`, `annotations` and `categories`; detections are a list \
                 of `image_id`, `category_id`, `score` and `bbox` or `segmentation`"
            }
            Self::UnknownImage { .. } => "score with the ground truth of the same split",
            Self::UnknownCategory { .. } => {
                "a category is named by its `id` in the ground truth, which is not an index"
            }
            Self::Score { .. } => "find out why the model predicts it, or remove the detection",
            Self::MissingMask { .. } => "score boxes, or detections that have masks",
            Self::MaskSize { .. } => "masks must be resized to the original image",
            _ => return None,
        };
        Some(hint.to_string())
    }
}

fn prefix(file: &Option<PathBuf>) -> String {
    file.as_ref()
        .map_or_else(String::new, |file| format!("{}: ", file.display()))
}

fn shown(value: &Option<f64>) -> String {
    value.map_or_else(
        || "missing or not a number".into(),
        |value| value.to_string(),
    )
}

fn list(values: &[Option<f64>]) -> String {
    let words: Vec<String> = values
        .iter()
        .map(|value| value.map_or_else(|| "?".into(), |value| value.to_string()))
        .collect();
    words.join(", ")
}
