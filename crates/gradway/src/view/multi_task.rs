//! Several dense tasks.

use std::collections::BTreeMap;

use anyhow::Result;
use burn::tensor::TensorData;
use gradway::kernels::TrainBackend;
use gradway::picture;
use gradway::report::{percent, task_table};
use gradway::trainer::task::{MultiTaskPrediction, TaskPrediction};
use gradway::trainer::{Labels, MultiTask, Scores};
use image::RgbImage;

use super::{PredictOptions, PredictionView, ScoreView, Writes};
use crate::output::{print_line, write_tensors};
use crate::photos::Photo;

impl ScoreView for MultiTask {
    fn print_scores(scores: &Scores, _: &[String], of: &str) -> Result<()> {
        let scores = scores.multi_task()?;
        print_line(task_table(scores))?;
        if let Some(improvement) = scores.relative_improvement {
            print_line(format_args!(
                "{} % better than each task alone",
                percent(Some(improvement))
            ))?;
        }
        print_line(of)
    }
}

impl<B: TrainBackend> PredictionView<B> for MultiTask {
    type Writer = Writer;

    fn writer(_: &PredictOptions, labels: Labels) -> Result<Writer> {
        Ok(Writer { labels })
    }
}

/// Writes the photo and what every task makes of it side by side, and the raw outputs.
pub struct Writer {
    labels: Labels,
}

impl Writes<MultiTaskPrediction> for Writer {
    fn write(
        &mut self,
        options: &PredictOptions,
        photo: &Photo,
        image: &RgbImage,
        prediction: MultiTaskPrediction,
    ) -> Result<()> {
        let size = [prediction.height, prediction.width];
        let mut row = vec![picture::captioned(image, &photo.name)];
        let mut raw = BTreeMap::new();
        for labels in &self.labels.tasks {
            if let Some(predicted) = prediction.tasks.get(&labels.task) {
                let picture = picture::task(predicted, prediction.width, &labels.palette);
                let caption = labels.task.name().replace('_', " ");
                row.push(picture::captioned(&picture, &caption));
                raw.insert(labels.task.name().to_string(), tensor(predicted, size));
            }
        }
        let file = options.file(photo, ".safetensors")?;
        write_tensors(&file, &raw, None)?;
        print_line(file.display())?;
        options.save(photo, &picture::sheet(&[row]))
    }

    fn finish(self, _: &PredictOptions) -> Result<()> {
        Ok(())
    }
}

/// A prediction, `[channels, height, width]`, classes as numbers.
fn tensor(prediction: &TaskPrediction, [height, width]: [usize; 2]) -> TensorData {
    let (channels, values) = match prediction {
        TaskPrediction::Classes(classes) => (1, classes.iter().copied().map(f32::from).collect()),
        TaskPrediction::Values { channels, data, .. } => (*channels, data.clone()),
    };
    TensorData::new(values, [channels, height, width])
}
