//! Object detection and instance segmentation: average precision as COCO and Pascal VOC define it.
//!
//! A [`GroundTruth`] scores detections in memory ([`GroundTruth::score`]) or in a file
//! ([`GroundTruth::score_file`]) and returns the same numbers as pycocotools; the evaluation is `hotcoco`'s.
//! [`voc`] is the older protocol with its two averages.

mod check;
mod error;
mod ground_truth;
mod json;
mod listing;
mod mask;
mod scores;
pub mod voc;

use serde::{Deserialize, Serialize};

pub use error::{DetectionError, Entry};
pub use ground_truth::{FileScores, GroundTruth};
pub use listing::{ListedImage, Listing};
pub use mask::RunLengths;
pub use scores::{
    AP_LARGE, AP_MEDIUM, AP_SMALL, AP50, AP75, AR_1, AR_10, AR_100, AR_LARGE, AR_MEDIUM, AR_SMALL,
    AVERAGE_PRECISION, ClassAveragePrecision, DetectionScores,
};

/// Whether boxes or masks are compared.
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
    /// Width in pixels; needed only for masks.
    pub width: u32,
    /// Height in pixels; needed only for masks.
    pub height: u32,
}

/// A category of a ground truth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Category {
    /// Identifier, unique among the categories. Identifiers may have gaps, as in COCO.
    pub id: u64,
    /// Name for reports.
    pub name: String,
}

/// A true object.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// The image it is in.
    pub image_id: u64,
    /// Its category.
    pub category_id: u64,
    /// `[x, y, width, height]` in pixels.
    pub bbox: [f64; 4],
    /// Its area in pixels, which decides whether it is small, medium or large; in COCO that of the mask. If
    /// absent, the area of the mask, or else of the box.
    pub area: Option<f64>,
    /// Whether it is a region of many objects: detections in it count neither as right nor as wrong.
    pub crowd: bool,
    /// Its mask; needed only for the scores of masks.
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
    /// The predicted category: an identifier of the ground truth, not a class index.
    pub category_id: u64,
    /// `[x, y, width, height]` in pixels.
    pub bbox: [f64; 4],
    /// Confidence; any finite number. Detections with equal scores keep their order.
    pub score: f64,
    /// Its mask; needed only for the scores of masks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub segmentation: Option<RunLengths>,
}
