//! All tasks of photos.

use std::collections::BTreeMap;

use anyhow::Result;
use burn::tensor::TensorData;
use gradway::picture;
use gradway::trainer::Labels;
use gradway::trainer::task::{MultiTaskPrediction, TaskPrediction};
use image::RgbImage;

use super::photos::Photo;
use super::{Work, Writes};
use crate::output::{print_line, write_tensors};

/// Writes the photo and what every task makes of it side by side, and the raw outputs.
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

impl Writes<MultiTaskPrediction> for Writer<'_> {
    fn write(
        &mut self,
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
        let file = self.work.out.join(format!("{}.safetensors", photo.name));
        write_tensors(&file, &raw)?;
        print_line(file.display())?;
        self.work.save(photo, &picture::sheet(&[row]))
    }

    fn finish(self) -> Result<()> {
        Ok(())
    }
}

/// A prediction, `[channels, height, width]`, classes as numbers.
fn tensor(prediction: &TaskPrediction, [height, width]: [usize; 2]) -> TensorData {
    let values: Vec<f32> = match prediction {
        TaskPrediction::Classes(classes) => classes.iter().copied().map(f32::from).collect(),
        TaskPrediction::Probabilities(values)
        | TaskPrediction::Normals(values)
        | TaskPrediction::Depth(values) => values.clone(),
    };
    let channels = values.len() / (height * width).max(1);
    TensorData::new(values, [channels, height, width])
}
