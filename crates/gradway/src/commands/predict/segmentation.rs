//! The class of every pixel of photos.

use anyhow::{Context, Result};
use gradway::picture;
use gradway::trainer::Labels;
use gradway::trainer::task::SegmentationPrediction;
use image::RgbImage;

use super::photos::Photo;
use super::{Work, Writes};
use crate::output::print_line;

/// Writes a label map and an overlay of every photo.
pub struct Writer<'a> {
    work: &'a Work<'a>,
    labels: Labels,
}

impl<'a> Writer<'a> {
    /// Nothing is written yet.
    pub fn new(work: &'a Work<'a>, labels: Labels) -> Result<Self> {
        Ok(Self { work, labels })
    }
}

impl Writes<SegmentationPrediction> for Writer<'_> {
    fn write(
        &mut self,
        photo: &Photo,
        image: &RgbImage,
        prediction: SegmentationPrediction,
    ) -> Result<()> {
        let palette = &self.labels.palette;
        let labels = self.work.out.join(format!("{}.labels.png", photo.name));
        let width = prediction.width as u32;
        picture::write_labels(&labels, &prediction.labels, width, palette)
            .with_context(|| format!("cannot write {}", labels.display()))?;
        print_line(labels.display())?;
        let overlay = picture::overlay(image, &prediction.labels, palette);
        self.work.save(photo, &overlay)
    }

    fn finish(self) -> Result<()> {
        Ok(())
    }
}
