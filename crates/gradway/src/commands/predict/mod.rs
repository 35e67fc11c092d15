//! `gradway predict`: label maps, objects, or all of several tasks of photos.

mod detection;
mod multi_task;
mod segmentation;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use gradway::device::{DeviceName, Job, run_on};
use gradway::kernels::TrainBackend;
use gradway::trainer::config::TaskConfig;
use gradway::trainer::{RunConfig, RunDirectory};
use image::RgbImage;

use crate::output::print_line;

/// Predict what is in photos.
///
/// A run of segmentation writes for each photo `NAME.labels.png`, whose palette indices are the classes,
/// and `NAME.overlay.png` to look at. A run of detection writes `NAME.overlay.png` with boxes, masks,
/// classes and scores, and `detections.json` with all objects of all photos in COCO's result format, whose
/// `image_id` is the photo's name where all names are numbers, and else its place among the arguments,
/// counted from 1. A run of several tasks writes `NAME.overlay.png`, the photo and what every task makes of
/// it side by side, and `NAME.safetensors` with the outputs. The paths of what is written are printed.
#[derive(Debug, Args)]
pub struct Predict {
    /// Folder of the run.
    run: PathBuf,
    /// Photos, JPEG or PNG.
    #[arg(required = true)]
    images: Vec<PathBuf>,
    /// Where to write; `predictions` in the run's folder if not given.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
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

    /// Photos with their names; refuses two of one name, of which one prediction would replace the other.
    fn photos(&self) -> Result<Vec<Photo<'_>>> {
        let mut photos: Vec<Photo> = Vec::new();
        for path in &self.images {
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            if photos.iter().any(|other| other.name == name) {
                bail!("two images are called `{name}`; predict them into different folders");
            }
            let name = name.into_owned();
            photos.push(Photo { path, name });
        }
        Ok(photos)
    }
}

/// A photo to look at.
struct Photo<'a> {
    path: &'a Path,
    /// The file's name without its ending.
    name: String,
}

/// What both tasks need.
struct Work<'a> {
    config: &'a RunConfig,
    checkpoint: PathBuf,
    photos: Vec<Photo<'a>>,
    out: PathBuf,
    least_score: f32,
}

impl Work<'_> {
    /// Writes a picture beside the other results of a photo, and prints its path.
    fn save(&self, name: &str, picture: &RgbImage) -> Result<()> {
        let path = self.out.join(format!("{name}.overlay.png"));
        picture
            .save(&path)
            .with_context(|| format!("cannot write {}", path.display()))?;
        print_line(path.display())
    }
}

impl Job for Predict {
    type Output = Result<()>;

    fn run<B: TrainBackend>(self, device: B::Device) -> Result<()> {
        let (directory, config) = RunDirectory::open(&self.run)?;
        let out = match &self.out {
            Some(out) => out.clone(),
            None => directory.path().join("predictions"),
        };
        let work = Work {
            config: &config,
            checkpoint: directory.checkpoint_file(self.last),
            photos: self.photos()?,
            least_score: self.least_score,
            out,
        };
        let made = std::fs::create_dir_all(&work.out);
        made.with_context(|| format!("cannot make {}", work.out.display()))?;
        match config.task {
            TaskConfig::Segmentation(_) => segmentation::predict::<B>(&work, &device),
            TaskConfig::Detection(_) => detection::predict::<B>(&work, &device),
            TaskConfig::MultiTask(_) => multi_task::predict::<B>(&work, &device),
        }
    }
}
