//! The objects of photos.

use anyhow::{Context, Result};
use gradway::metrics::detection::Detection;
use gradway::picture;
use gradway::trainer::Labels;
use gradway::trainer::task::DetectionPrediction;
use image::RgbImage;

use super::photos::Photo;
use super::{Work, Writes};
use crate::output::print_line;

/// Writes an overlay of every photo, and the objects of all.
pub struct Writer<'a> {
    work: &'a Work<'a>,
    labels: Labels,
    found: Vec<Detection>,
}

impl<'a> Writer<'a> {
    /// Nothing is written yet.
    pub fn new(work: &'a Work<'a>, labels: Labels) -> Result<Self> {
        if let Some(ids) = &work.ids {
            ids.require_categories(&labels)?;
        }
        Ok(Self {
            work,
            labels,
            found: Vec::new(),
        })
    }
}

impl Writes<DetectionPrediction> for Writer<'_> {
    fn write(
        &mut self,
        photo: &Photo,
        image: &RgbImage,
        mut prediction: DetectionPrediction,
    ) -> Result<()> {
        let found = prediction.results(&self.labels.category_ids)?;
        self.found.extend(found);
        let is_drawn = |score: f32| score >= self.work.least_score;
        prediction.objects.retain(|object| is_drawn(object.score));
        let overlay = picture::objects(image, &prediction.objects, &self.labels);
        self.work.save(photo, &overlay)
    }

    fn finish(self) -> Result<()> {
        let path = self.work.out.join("detections.json");
        let text = serde_json::to_string(&self.found)?;
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        print_line(path.display())
    }
}
