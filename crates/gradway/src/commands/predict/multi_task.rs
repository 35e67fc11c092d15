//! All tasks of photos.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use burn::tensor::TensorData;
use gradway::data::multi_task::geometry;
use gradway::data::{MultiTaskBatch, MultiTaskSample, read};
use gradway::kernels::TrainBackend;
use gradway::picture;
use gradway::trainer::ManyTasks;
use gradway::trainer::task::TaskPrediction;

use super::Work;
use crate::output::{print_line, write_tensors};

/// Writes the photo and what every task makes of it side by side, and the raw outputs.
pub fn predict<B: TrainBackend>(work: &Work<'_>, device: &B::Device) -> Result<()> {
    let (model, state) = ManyTasks::<B>::open(work.config, &work.checkpoint, device)?;
    let model = model.inference();
    let normalization = work.config.normalization()?;
    let evaluation = &work.config.task.multi_task()?.evaluation;
    for photo in &work.photos {
        let image = read::image(photo.path)?;
        let (width, height) = evaluation.size.target(image.width(), image.height());
        let sample = MultiTaskSample {
            id: photo.name.clone(),
            image,
            labels: Default::default(),
        };
        let sample = geometry::resize(sample, width, height)?;
        let picture = sample.image.clone();
        let size = [height as usize, width as usize];
        let batch = MultiTaskBatch::new(vec![sample], &[], size, &normalization);
        let Some(prediction) = model.predict(&batch, device).pop() else {
            bail!("{}: nothing was predicted", photo.path.display());
        };
        let mut row = vec![picture::captioned(&picture, &photo.name)];
        let mut raw = BTreeMap::new();
        for labels in &state.labels.tasks {
            if let Some(predicted) = prediction.tasks.get(&labels.task) {
                let picture = picture::task(predicted, prediction.width, &labels.palette);
                let caption = labels.task.name().replace('_', " ");
                row.push(picture::captioned(&picture, &caption));
                raw.insert(labels.task.name().to_string(), tensor(predicted, size));
            }
        }
        let file = work.out.join(format!("{}.safetensors", photo.name));
        write_tensors(&file, &raw)?;
        print_line(file.display())?;
        work.save(&photo.name, &picture::sheet(&[row]))?;
    }
    Ok(())
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
