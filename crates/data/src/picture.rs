//! Images without labels.

use image::RgbImage;

/// An image to predict.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    /// Identifier of the image.
    pub id: String,
    /// Image identifier in result files of detection.
    pub image_id: u64,
    /// Colours, 0 to 255.
    pub image: RgbImage,
}
