//! `gradway predict`: label maps of photos.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use gradway::data::{LabelMap, SegmentationBatch, SegmentationSample, read};
use gradway::device::{DeviceName, Job, run_on};
use gradway::kernels::TrainBackend;
use gradway::picture;
use gradway::trainer::{RunDirectory, Segmentation};

use crate::output::print_line;

/// Predict the class of every pixel of photos.
///
/// For each photo it writes `NAME.labels.png`, whose palette indices are the classes, and
/// `NAME.overlay.png` to look at, and prints the paths.
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

    /// Refuses photos of one name, of which one prediction would replace the other.
    fn stems(&self) -> Result<Vec<String>> {
        let mut stems: Vec<String> = Vec::new();
        for path in &self.images {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            if stems.iter().any(|other| *other == stem) {
                bail!("two images are called `{stem}`; predict them into different folders");
            }
            stems.push(stem.into_owned());
        }
        Ok(stems)
    }
}

impl Job for Predict {
    type Output = Result<()>;

    fn run<B: TrainBackend>(self, device: B::Device) -> Result<()> {
        let stems = self.stems()?;
        let (directory, config) = RunDirectory::open(&self.run)?;
        let file = directory.checkpoint_file(self.last);
        let (model, state) = Segmentation::<B>::open(&config, &file, &device)?;
        let model = model.inference();
        let normalization = config.normalization()?;
        let out = self
            .out
            .unwrap_or_else(|| directory.path().join("predictions"));
        std::fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
        for (path, stem) in self.images.iter().zip(stems) {
            let image = read::image(path)?;
            let (width, height) = image.dimensions();
            let sample = SegmentationSample {
                id: stem.clone(),
                labels: LabelMap::filled(width, height, 0),
                image,
            };
            let sample = config.evaluation.size.apply(sample)?;
            let picture = sample.image.clone();
            let size = [picture.height() as usize, picture.width() as usize];
            let batch = SegmentationBatch::new(vec![sample], size, &normalization);
            let Some(prediction) = model.predict(&batch, &device).pop() else {
                bail!("{}: nothing was predicted", path.display());
            };
            let overlay = picture::overlay(&picture, &prediction.labels, &state.palette);
            let file = |kind: &str| out.join(format!("{stem}.{kind}.png"));
            let wrong = |path: &Path| format!("cannot write {}", path.display());
            let labels = file("labels");
            let width = prediction.width as u32;
            picture::write_labels(&labels, &prediction.labels, width, &state.palette)
                .with_context(|| wrong(&labels))?;
            let overlay_path = file("overlay");
            overlay
                .save(&overlay_path)
                .with_context(|| wrong(&overlay_path))?;
            print_line(labels.display())?;
            print_line(overlay_path.display())?;
        }
        Ok(())
    }
}
