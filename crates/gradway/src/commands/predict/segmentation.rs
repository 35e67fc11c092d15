//! The class of every pixel of photos.

use anyhow::{Context, Result, bail};
use gradway::data::{LabelMap, SegmentationBatch, SegmentationSample, read};
use gradway::kernels::TrainBackend;
use gradway::picture;
use gradway::trainer::Segmentation;

use super::Work;
use crate::output::print_line;

/// Writes a label map and an overlay of every photo.
pub fn predict<B: TrainBackend>(work: &Work<'_>, device: &B::Device) -> Result<()> {
    let (model, state) = Segmentation::<B>::open(work.config, &work.checkpoint, device)?;
    let model = model.inference();
    let normalization = work.config.normalization()?;
    let evaluation = &work.config.task.segmentation()?.evaluation;
    for photo in &work.photos {
        let image = read::image(photo.path)?;
        let (width, height) = image.dimensions();
        let sample = SegmentationSample {
            id: photo.name.clone(),
            labels: LabelMap::filled(width, height, 0),
            image,
        };
        let sample = evaluation.size.apply(sample)?;
        let picture = sample.image.clone();
        let size = [picture.height() as usize, picture.width() as usize];
        let batch = SegmentationBatch::new(vec![sample], size, &normalization);
        let Some(prediction) = model.predict(&batch, device).pop() else {
            bail!("{}: nothing was predicted", photo.path.display());
        };
        let palette = &state.labels.palette;
        let labels = work.out.join(format!("{}.labels.png", photo.name));
        let width = prediction.width as u32;
        picture::write_labels(&labels, &prediction.labels, width, palette)
            .with_context(|| format!("cannot write {}", labels.display()))?;
        print_line(labels.display())?;
        let overlay = picture::overlay(&picture, &prediction.labels, palette);
        work.save(&photo.name, &overlay)?;
    }
    Ok(())
}
