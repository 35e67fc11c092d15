//! Changes of place: the image and the labels of all tasks move together.
//!
//! Pixels are sampled at their centres (`plane.rs`). What becomes of a label is up to its kind of label map.

use super::sample::DenseSample;
use crate::error::DataError;
use crate::movable::Movable;
use crate::plane::Turn;
use crate::transform::geometry::resize_image;

impl Movable for DenseSample {
    fn size(&self) -> (u32, u32) {
        self.image.dimensions()
    }

    /// Resizes the image and normals with a smooth filter, other labels with nearest neighbour; depth keeps
    /// its values.
    fn resize(self, width: u32, height: u32) -> Result<Self, DataError> {
        if self.image.dimensions() == (width, height) {
            return Ok(self);
        }
        let Self { id, image, labels } = self;
        let image = resize_image(&id, image, width, height)?;
        let labels = labels.into_iter();
        let labels = labels.map(|(task, labels)| (task, labels.resize((width, height))));
        Ok(Self {
            labels: labels.collect(),
            image,
            id,
        })
    }

    /// Normals point the other way.
    fn flip_horizontal(&mut self) {
        image::imageops::flip_horizontal_in_place(&mut self.image);
        for labels in self.labels.values_mut() {
            labels.flip();
        }
    }
}

impl DenseSample {
    /// The part of `width` x `height` pixels whose first pixel is at (`x`, `y`), cut off at the sample's
    /// edges.
    pub fn crop(&self, x: u32, y: u32, width: u32, height: u32) -> Self {
        let (whole_width, whole_height) = self.image.dimensions();
        let (x, y) = (x.min(whole_width), y.min(whole_height));
        let image = image::imageops::crop_imm(&self.image, x, y, width, height).to_image();
        let labels = self.labels.iter();
        let labels = labels.map(|(&task, labels)| (task, labels.crop([x, y], image.dimensions())));
        Self {
            id: self.id.clone(),
            labels: labels.collect(),
            image,
        }
    }

    /// Rotated about its centre by `degrees`, positive against the clock; its size stays.
    ///
    /// What comes from outside of the image is `fill` there and ignored by every task.
    pub fn rotate(&self, degrees: f32, fill: [u8; 3]) -> Self {
        // Blending normals would round them.
        if degrees == 0.0 {
            return self.clone();
        }
        let turn = Turn::new(degrees, self.image.dimensions());
        let labels = self.labels.iter();
        let labels = labels.map(|(&task, labels)| (task, labels.rotate(&turn)));
        Self {
            id: self.id.clone(),
            labels: labels.collect(),
            image: turn.image(&self.image, fill),
        }
    }
}
