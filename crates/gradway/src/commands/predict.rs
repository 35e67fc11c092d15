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

/// Predict what is in photos.
///
/// Photos are prepared as `gradway eval` prepares those of the validation split, and predictions have the
/// size of the photo. A run of segmentation writes for each photo `NAME.labels.png`, whose palette indices
/// are the classes and which `gradway score segmentation` reads, and `NAME.overlay.png` to look at. A run of
/// detection writes `NAME.overlay.png` with boxes, masks, classes and scores, and `detections.json` with all
/// objects of all photos in COCO's result format, which `gradway score detection` reads; its `image_id` is
/// that of --ids, else the photo's name where all names are numbers, else the photo's place among all photos,
/// counted from 1. A run of several tasks writes `NAME.overlay.png`, the photo and what every task makes of
/// it side by side, and `NAME.safetensors` with the outputs. The paths of what is written are printed.
///
/// A photo that cannot be read is named and left out. Exit status 1 if there is one.
#[derive(Debug, Args)]
pub struct Predict {
    /// Folder of the run.
    run: PathBuf,
    /// Photos, JPEG or PNG, and folders of photos.
    #[arg(required = true)]
    images: Vec<PathBuf>,
    /// Where to write; `predictions` in the run's folder if not given.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// COCO json that has the numbers of the photos, by their file names; of detection.
    #[arg(long, value_name = "FILE")]
    ids: Option<PathBuf>,
    /// Objects of a lower score are in `detections.json` but not drawn.
    #[arg(long, default_value_t = 0.5)]
    least_score: f32,
    /// The newest checkpoint instead of the best one.
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
