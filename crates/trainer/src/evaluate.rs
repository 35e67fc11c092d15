//! Evaluation of a whole split.

use std::time::Instant;

use gradway_backbone::TrainBackbone;
use gradway_data::Loader;
use gradway_kernels::TrainBackend;
use serde::{Deserialize, Serialize};

use crate::error::TrainError;
use crate::model::Model;
use crate::task::{Scorer, Scores, Task};

/// The scores of a split and the time of the evaluation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Scores.
    #[serde(flatten)]
    pub scores: Scores,
    /// Number of images.
    pub images: usize,
    /// Wall time in seconds, including reading.
    pub seconds: f64,
}

/// Evaluates a model on every sample of a loader; `each` receives the number of images done.
///
/// # Errors
///
/// [`TrainError`] if a sample cannot be read.
pub fn evaluate<B: TrainBackend, T: Task<B>, N: TrainBackbone<B>>(
    model: &Model<B, T, N>,
    loader: &Loader<T::Pipeline>,
    device: &B::Device,
    mut each: impl FnMut(usize),
) -> Result<Evaluation, TrainError> {
    let start = Instant::now();
    let model = model.inference();
    let mut scorer = model.task().scorer(loader.pipeline())?;
    let mut images = 0;
    for batch in loader.iter(0) {
        let batch = batch?;
        let predictions = model.predict(&batch, device);
        images += batch.count;
        scorer.add(&batch, predictions)?;
        each(images);
    }
    Ok(Evaluation {
        scores: scorer.scores()?,
        images,
        seconds: start.elapsed().as_secs_f64(),
    })
}
