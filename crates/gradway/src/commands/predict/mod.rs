//! `gradway predict`: label maps, objects, or all of several tasks of photos.

mod detection;
mod ids;
mod multi_task;
mod photos;
mod segmentation;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use gradway::data::{Picture, read};
use gradway::device::{DeviceName, Job, run_on};
use gradway::kernels::TrainBackend;
use gradway::terminal;
use gradway::trainer::config::TaskConfig;
use gradway::trainer::task::BatchOf;
use gradway::trainer::{
    DetectionTask, Labels, Model, MultiTask, RunConfig, RunDirectory, SegmentationTask, Task,
};
use image::RgbImage;

use self::ids::ImageIds;
use self::photos::{Photo, photos};
use crate::output::print_line;

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
        if let (Some(ids), TaskConfig::Segmentation(_) | TaskConfig::MultiTask(_)) =
            (&self.ids, &config.task)
        {
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
            ids: self.ids.as_deref().map(ImageIds::read).transpose()?,
            least_score: self.least_score,
            out,
        };
        let made = std::fs::create_dir_all(&work.out);
        made.with_context(|| format!("cannot make {}", work.out.display()))?;
        match config.task {
            TaskConfig::Segmentation(_) => work
                .predict::<B, SegmentationTask, _>(&device, |labels| {
                    segmentation::Writer::new(&work, labels)
                }),
            TaskConfig::Detection(_) => work.predict::<B, DetectionTask, _>(&device, |labels| {
                detection::Writer::new(&work, labels)
            }),
            TaskConfig::MultiTask(_) => work.predict::<B, MultiTask, _>(&device, |labels| {
                multi_task::Writer::new(&work, labels)
            }),
        }
    }
}

/// What all tasks need.
struct Work<'a> {
    config: &'a RunConfig,
    checkpoint: PathBuf,
    photos: Vec<Photo>,
    ids: Option<ImageIds>,
    out: PathBuf,
    least_score: f32,
}

/// Writes what a task predicts.
trait Writes<Prediction> {
    /// Of a photo; prints the paths.
    fn write(&mut self, photo: &Photo, image: &RgbImage, prediction: Prediction) -> Result<()>;

    /// Of all photos together.
    fn finish(self) -> Result<()>;
}

impl Work<'_> {
    /// Predicts photo after photo; one that cannot be read does not stop the others.
    fn predict<B: TrainBackend, T: Task<B>, W: Writes<T::Prediction>>(
        &self,
        device: &B::Device,
        writer: impl FnOnce(Labels) -> Result<W>,
    ) -> Result<()> {
        let (model, state) = Model::<B, T>::open(self.config, &self.checkpoint, device)?;
        let model = model.inference();
        let mut writer = writer(state.labels)?;
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
                writer.write(photo, &image, prediction)?;
            }
        }
        writer.finish()?;
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
        let image_id = match &self.ids {
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

    /// Writes a picture beside the other results of a photo, and prints its path.
    fn save(&self, photo: &Photo, picture: &RgbImage) -> Result<()> {
        let path = self.out.join(format!("{}.overlay.png", photo.name));
        picture
            .save(&path)
            .with_context(|| format!("cannot write {}", path.display()))?;
        print_line(path.display())
    }
}
