//! Object detection and instance segmentation: average precision, as COCO and as Pascal VOC count it.
//!
//! A [`GroundTruth`] scores detections made by a program ([`GroundTruth::score`]) or written to a
//! file ([`GroundTruth::score_file`]) and gives pycocotools' numbers; the evaluation is
//! `hotcoco`'s. [`voc`] is the older protocol, with its two averages.

mod check;
mod error;
mod ground_truth;
mod json;
mod mask;
mod scores;
pub mod voc;

use serde::{Deserialize, Serialize};

pub use error::{DetectionError, Entry};
pub use ground_truth::GroundTruth;
pub use mask::RunLengths;
pub use scores::{
    AP_LARGE, AP_MEDIUM, AP_SMALL, AP50, AP75, AR_1, AR_10, AR_100, AR_LARGE, AR_MEDIUM, AR_SMALL,
    AVERAGE_PRECISION, ClassAveragePrecision, DetectionScores,
};

/// What of a detection is compared with the truth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IouType {
    /// Boxes.
    Bbox,
    /// Masks.
    Segm,
}

/// An image of a ground truth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Identifier, unique among the images.
    pub id: u64,
    /// Width in pixels; only masks need it.
    pub width: u32,
    /// Height in pixels; only masks need it.
    pub height: u32,
}

/// A category of a ground truth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Category {
    /// Identifier, unique among the categories. They may have gaps, as COCO's have.
    pub id: u64,
    /// Name for reports.
    pub name: String,
}

/// A true object.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// The image it is in.
    pub image_id: u64,
    /// What it is.
    pub category_id: u64,
    /// `[x, y, width, height]` in pixels.
    pub bbox: [f64; 4],
    /// Its size in pixels, which makes it small, medium or large: COCO's is that of the mask. Without
    /// it, that of the mask or else of the box.
    pub area: Option<f64>,
    /// A region of many objects: detections in it are neither right nor wrong.
    pub crowd: bool,
    /// Its mask; only scores of masks need it.
    pub segmentation: Option<Segmentation>,
}

/// The mask of a true object.
#[derive(Debug, Clone, PartialEq)]
pub enum Segmentation {
    /// Outlines, `[x, y, x, y, ...]` each; the mask is their union.
    Polygons(Vec<Vec<f64>>),
    /// Pixels.
    Runs(RunLengths),
}

/// A detected object. As JSON it is an entry of COCO's result format.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Detection {
    /// The image it is in.
    pub image_id: u64,
    /// What it is said to be: an identifier of the ground truth, not an index of a class.
    pub category_id: u64,
    /// `[x, y, width, height]` in pixels.
    pub bbox: [f64; 4],
    /// How sure the model is; any finite number. Equal scores keep their order.
    pub score: f64,
    /// Its mask; only scores of masks need it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub segmentation: Option<RunLengths>,
}
