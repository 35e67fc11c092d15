//! The objects of photos.

use anyhow::{Context, Result, bail};
use gradway::data::{DetectionBatch, DetectionSample, read};
use gradway::kernels::TrainBackend;
use gradway::picture;
use gradway::trainer::Detection;

use super::{Photo, Work};
use crate::output::print_line;

/// Writes an overlay of every photo, and the objects of all.
pub fn predict<B: TrainBackend>(work: &Work<'_>, device: &B::Device) -> Result<()> {
    let (model, state) = Detection::<B>::open(work.config, &work.checkpoint, device)?;
    let model = model.inference();
    let normalization = work.config.normalization()?;
    let size = work.config.task.detection()?.evaluation.size();
    let mut results = Vec::new();
    for (photo, image_id) in work.photos.iter().zip(numbers(&work.photos)) {
        let image = read::image(photo.path)?;
        let sample = DetectionSample {
            id: photo.name.clone(),
            image_id,
            image: image.clone(),
            instances: Vec::new(),
        };
        let sample = size.apply(sample)?;
        let batch = DetectionBatch::new(vec![sample], size.stride as usize, &normalization);
        let Some(mut prediction) = model.predict(&batch, device).pop() else {
            bail!("{}: nothing was predicted", photo.path.display());
        };
        results.extend(prediction.results(&state.labels.category_ids)?);
        let is_drawn = |score: f32| score >= work.least_score;
        prediction.objects.retain(|object| is_drawn(object.score));
        let overlay = picture::objects(&image, &prediction.objects, &state.labels);
        work.save(&photo.name, &overlay)?;
    }
    let path = work.out.join("detections.json");
    let text = serde_json::to_string(&results)?;
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    print_line(path.display())
}

/// The photos' names where all of them are numbers, else their places from 1 on.
fn numbers(photos: &[Photo<'_>]) -> Vec<u64> {
    let named: Option<Vec<u64>> = photos.iter().map(|photo| photo.name.parse().ok()).collect();
    named.unwrap_or_else(|| (1..).take(photos.len()).collect())
}
