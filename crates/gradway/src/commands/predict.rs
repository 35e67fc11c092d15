//! `gradway predict`: label maps, objects, or all of several tasks of photos.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use gradway::data::{Picture, read};
use gradway::device::{DeviceName, Job, run_on};
use gradway::kernels::TrainBackend;
use gradway::terminal;
use gradway::trainer::task::BatchOf;
use gradway::trainer::{Model, RunConfig, RunDirectory, Task, with_task};
use image::RgbImage;

use crate::image_ids::ImageIds;
use crate::photos::{Photo, photos};
use crate::view::{PredictOptions, PredictionView, Writes};

/// Predict label maps, objects or dense tasks for photos.
///
/// Photos are preprocessed as in `gradway eval`. Predictions have the size of the photo. The command prints
/// the path of every file it writes.
///
/// Segmentation writes two files per photo: `NAME.labels.png`, a PNG whose palette indices are the classes
/// (`gradway score segmentation` reads it), and `NAME.overlay.png`.
///
/// Detection writes `NAME.overlay.png` per photo, with boxes, masks, classes and scores, and one
/// `detections.json` with the objects of all photos in COCO's result format (`gradway score detection` reads
/// it). Its `image_id` comes from --ids. Without --ids, it is the photo's name if all names are numbers, and
/// otherwise the position of the photo, counted from 1.
///
/// A run with several tasks writes `NAME.overlay.png`, which shows the photo and the prediction of every task
/// side by side, and `NAME.safetensors` with the outputs.
///
/// A photo that cannot be read is reported and skipped, and the exit status is 1.
#[derive(Debug, Args)]
pub struct Predict {
    /// Run directory.
    run: PathBuf,
    /// Photos (JPEG or PNG), or directories of photos.
    #[arg(required = true)]
    images: Vec<PathBuf>,
    /// Output directory. [default: `predictions` in the run directory]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// COCO annotation file (JSON) that maps file names to image ids. Only for detection.
    #[arg(long, value_name = "FILE")]
    ids: Option<PathBuf>,
    /// Minimum score of an object to be drawn. `detections.json` has the others, too.
    #[arg(long, default_value_t = 0.5)]
    least_score: f32,
    /// Use the newest checkpoint instead of the best one.
    #[arg(long)]
    last: bool,
    /// Device: cpu, cuda:N, vulkan:N, wgpu:N, metal:N, rocm:N.
    #[arg(long, default_value_t)]
    device: DeviceName,
}

impl Predict {
    /// Runs the command.
    pub fn run(self) -> Result<()> {
        run_on(self.device, self)?
    }
}

impl Job for Predict {
    type Output = Result<()>;

    fn run<B: TrainBackend>(self, device: B::Device) -> Result<()> {
        let (directory, config) = RunDirectory::open(&self.run)?;
        let has_ids = with_task!(config.task, T => <T as PredictionView<B>>::HAS_IMAGE_IDS);
        if let (Some(ids), false) = (&self.ids, has_ids) {
            let task = config.task.task();
            bail!(
                "--ids {}: a run of {task} writes no image ids",
                ids.display()
            );
        }
        let out = match self.out {
            Some(out) => out,
            None => directory.path().join("predictions"),
        };
        let work = Work {
            config: &config,
            checkpoint: directory.checkpoint_file(self.last),
            photos: photos(&self.images)?,
            options: PredictOptions {
                ids: self.ids.as_deref().map(ImageIds::read).transpose()?,
                least_score: self.least_score,
                out,
            },
        };
        let out = &work.options.out;
        let made = std::fs::create_dir_all(out);
        made.with_context(|| format!("cannot make {}", out.display()))?;
        with_task!(config.task, T => work.predict::<B, T>(&device))
    }
}

/// What all tasks need.
struct Work<'a> {
    config: &'a RunConfig,
    checkpoint: PathBuf,
    photos: Vec<Photo>,
    options: PredictOptions,
}

impl Work<'_> {
    /// Predicts photo after photo; one that cannot be read does not stop the others.
    fn predict<B: TrainBackend, T: PredictionView<B>>(&self, device: &B::Device) -> Result<()> {
        let (model, state) = Model::<B, T>::open(self.config, &self.checkpoint, device)?;
        let model = model.inference();
        let mut writer = T::writer(&self.options, state.labels)?;
        let mut failed = 0;
        for photo in &self.photos {
            let (image, batch) = match self.prepare::<B, T>(photo) {
                Ok(prepared) => prepared,
                Err(error) => {
                    let cause = terminal::describe(&error);
                    terminal::note(format_args!("not predicted: {cause}"));
                    failed += 1;
                    continue;
                }
            };
            for prediction in model.predict(&batch, device) {
                writer.write(&self.options, photo, &image, prediction)?;
            }
        }
        writer.finish(&self.options)?;
        match failed {
            0 => Ok(()),
            _ => bail!(
                "{failed} of {} photos were not predicted",
                self.photos.len()
            ),
        }
    }

    /// A photo, and as the network is given it.
    fn prepare<B: TrainBackend, T: Task<B>>(
        &self,
        photo: &Photo,
    ) -> Result<(RgbImage, BatchOf<B, T>)> {
        let image_id = match &self.options.ids {
            Some(ids) => ids.of(&photo.path)?,
            None => photo.number,
        };
        let image = read::image(&photo.path)?;
        let picture = Picture {
            id: photo.name.clone(),
            image_id,
            image: image.clone(),
        };
        Ok((image, T::picture(self.config, picture)?))
    }
}
