//! Objects.

use anyhow::{Context, Result};
use gradway::kernels::TrainBackend;
use gradway::metrics::detection::Detection;
use gradway::picture;
use gradway::report::{detection_classes, detection_table, headlines};
use gradway::trainer::task::DetectionPrediction;
use gradway::trainer::{DetectionTask, Labels, Scores};
use image::RgbImage;

use super::{PredictOptions, PredictionView, ScoreView, Writes};
use crate::output::print_line;
use crate::photos::Photo;

impl ScoreView for DetectionTask {
    fn print_scores(all: &Scores, _: &[String], of: &str) -> Result<()> {
        let scores = all.detection()?;
        let parts = [
            ("boxes", Some(&scores.boxes)),
            ("masks", scores.masks.as_ref()),
        ];
        for (what, scores) in parts {
            if let Some(scores) = scores {
                print_line(format_args!(
                    "{what}\n{}\n\n{}\n",
                    detection_table(scores),
                    detection_classes(scores)
                ))?;
            }
        }
        print_line(format_args!("{} {of}", headlines(all)))
    }
}

impl<B: TrainBackend> PredictionView<B> for DetectionTask {
    const HAS_IMAGE_IDS: bool = true;

    type Writer = Writer;

    fn writer(options: &PredictOptions, labels: Labels) -> Result<Writer> {
        if let Some(ids) = &options.ids {
            ids.require_categories(&labels)?;
        }
        Ok(Writer {
            labels,
            found: Vec::new(),
        })
    }
}

/// Writes an overlay of every photo, and the objects of all.
pub struct Writer {
    labels: Labels,
    found: Vec<Detection>,
}

impl Writes<DetectionPrediction> for Writer {
    fn write(
        &mut self,
        options: &PredictOptions,
        photo: &Photo,
        image: &RgbImage,
        mut prediction: DetectionPrediction,
    ) -> Result<()> {
        let found = prediction.results(&self.labels.category_ids)?;
        self.found.extend(found);
        let is_drawn = |score: f32| score >= options.least_score;
        prediction.objects.retain(|object| is_drawn(object.score));
        let overlay = picture::objects(image, &prediction.objects, &self.labels);
        options.save(photo, &overlay)
    }

    fn finish(self, options: &PredictOptions) -> Result<()> {
        let path = options.out.join("detections.json");
        let text = serde_json::to_string(&self.found)?;
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        print_line(path.display())
    }
}
