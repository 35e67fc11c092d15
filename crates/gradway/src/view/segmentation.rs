//! The class of every pixel.

use anyhow::{Context, Result};
use gradway::kernels::TrainBackend;
use gradway::picture;
use gradway::report::percent;
use gradway::table::{Align, Table};
use gradway::trainer::task::SegmentationPrediction;
use gradway::trainer::{Labels, Scores, SegmentationTask};
use image::RgbImage;

use super::{PredictOptions, PredictionView, ScoreView, Writes};
use crate::output::print_line;
use crate::photos::Photo;

impl ScoreView for SegmentationTask {
    fn print_scores(scores: &Scores, classes: &[String], of: &str) -> Result<()> {
        let scores = scores.segmentation()?;
        let rows = classes.iter().zip(&scores.iou);
        let rows = rows.map(|(name, iou)| vec![name.clone(), percent(*iou)]);
        print_line(Table::new(
            &[("class", Align::Left), ("IoU %", Align::Right)],
            rows.collect(),
        ))?;
        print_line(format_args!(
            "mean IoU {}, pixel accuracy {}, mean accuracy {} % {of}",
            percent(Some(scores.mean_iou)),
            percent(Some(scores.pixel_accuracy)),
            percent(Some(scores.mean_accuracy)),
        ))
    }
}

impl<B: TrainBackend> PredictionView<B> for SegmentationTask {
    type Writer = Writer;

    fn writer(_: &PredictOptions, labels: Labels) -> Result<Writer> {
        Ok(Writer { labels })
    }
}

/// Writes a label map and an overlay of every photo.
pub struct Writer {
    labels: Labels,
}

impl Writes<SegmentationPrediction> for Writer {
    fn write(
        &mut self,
        options: &PredictOptions,
        photo: &Photo,
        image: &RgbImage,
        prediction: SegmentationPrediction,
    ) -> Result<()> {
        let palette = &self.labels.palette;
        let labels = options.file(photo, ".labels.png")?;
        let width = prediction.width as u32;
        picture::write_labels(&labels, &prediction.labels, width, palette)
            .with_context(|| format!("cannot write {}", labels.display()))?;
        print_line(labels.display())?;
        let overlay = picture::overlay(image, &prediction.labels, palette);
        options.save(photo, &overlay)
    }

    fn finish(self, _: &PredictOptions) -> Result<()> {
        Ok(())
    }
}
