//! What the commands show of a task: its scores in words, its predictions as files.
//!
//! A task is one file beside this one. There is no list of tasks here: commands choose by `with_task!`, which does not
//! compile before every task of the trainer's table has its view.

mod detection;
mod multi_task;
mod segmentation;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use gradway::kernels::TrainBackend;
use gradway::trainer::{Labels, Scores, Task};
use image::RgbImage;

use crate::image_ids::ImageIds;
use crate::output::print_line;
use crate::photos::Photo;

/// How the scores of a task are printed.
pub trait ScoreView {
    /// Prints scores as tables and lines; `of` says what they are of.
    fn print_scores(scores: &Scores, classes: &[String], of: &str) -> Result<()>;
}

/// How the predictions of a task are written.
pub trait PredictionView<B: TrainBackend>: Task<B> {
    /// Whether what is written has the numbers of the images.
    const HAS_IMAGE_IDS: bool = false;

    /// Writes predictions.
    type Writer: Writes<Self::Prediction>;

    /// A writer of predictions of a run with these labels; nothing is written yet.
    fn writer(options: &PredictOptions, labels: Labels) -> Result<Self::Writer>;
}

/// Writes what a task predicts.
pub trait Writes<Prediction> {
    /// Of a photo; prints the paths.
    fn write(
        &mut self,
        options: &PredictOptions,
        photo: &Photo,
        image: &RgbImage,
        prediction: Prediction,
    ) -> Result<()>;

    /// Of all photos together.
    fn finish(self, options: &PredictOptions) -> Result<()>;
}

/// Where predictions are written, and which.
#[derive(Debug)]
pub struct PredictOptions {
    /// The folder.
    pub out: PathBuf,
    /// The numbers of the photos, where a file has them.
    pub ids: Option<ImageIds>,
    /// Objects of a lower score are not drawn.
    pub least_score: f32,
}

impl PredictOptions {
    /// The file of a photo with this ending; its folder exists afterwards.
    fn file(&self, photo: &Photo, ending: &str) -> Result<PathBuf> {
        let path = self.out.join(format!("{}{ending}", photo.name));
        let folder = path.parent().unwrap_or(&self.out);
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(path)
    }

    /// Writes a picture beside the other results of a photo, and prints its path.
    fn save(&self, photo: &Photo, picture: &RgbImage) -> Result<()> {
        let path = self.file(photo, ".overlay.png")?;
        picture
            .save(&path)
            .with_context(|| format!("cannot write {}", path.display()))?;
        print_line(path.display())
    }
}
