//! Images of which nothing else is known.

use image::RgbImage;

/// An image to predict.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    /// What it is called.
    pub id: String,
    /// Its number, as result files of detection name it.
    pub image_id: u64,
    /// Colours, 0 to 255.
    pub image: RgbImage,
}
