//! `gradway demo`: three methods side by side on an embedded default.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use gradway::data::{SegmentationDataset, SegmentationLoader};
use gradway::device::{DeviceName, Job, run_on};
use gradway::kernels::TrainBackend;
use gradway::picture;
use gradway::progress::TerminalProgress;
use gradway::trainer::{
    Prediction, Provenance, RunConfig, RunDirectory, RunOutcome, Segmentation, config, train,
    validation_loader,
};
use image::RgbImage;

use crate::output::{Align, mebibytes, print_json, print_line, print_table, thousands};

/// Train EfficientNet-Lite0 on synthetic scenes with three methods and compare them.
///
/// Needs no files and no network: weights and scenes are part of the program. Takes a few minutes on
/// two processor cores. Writes a run's folder per method and `predictions.png`, a row per scene:
/// picture, truth, and the prediction of each method.
#[derive(Debug, Args, Default)]
pub struct Demo {
    /// Where to write; the first of `runs/demo`, `runs/demo-2`, ... that is free if not given.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Overrides a key of the embedded configuration, such as `train.epochs=20`.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Device: cpu, cuda:N, vulkan:N, wgpu:N, metal:N, rocm:N.
    #[arg(long, default_value_t)]
    device: DeviceName,
    /// The results as JSON.
    #[arg(long)]
    json: bool,
}

const CONFIG: &str = include_str!("demo.toml");

/// The methods with their own settings: a pre-trained backbone wants a smaller rate than what starts
/// at random beside it.
const METHODS: [&[&str]; 3] = [
    &["method.name=fixed"],
    &["method.name=e3va"],
    &["method.name=full", "optimizer.learning_rate=5e-4"],
];

/// Scenes on the sheet of pictures.
const SHOWN: usize = 6;

impl Demo {
    /// Runs the command.
    pub fn run(self) -> Result<()> {
        let out = match &self.out {
            Some(path) => path.clone(),
            None => first_free(Path::new("runs")),
        };
        let mut outcomes = Vec::new();
        let mut sheet = None;
        for settings in METHODS {
            let overrides: Vec<String> = settings
                .iter()
                .map(|entry| entry.to_string())
                .chain(self.set.iter().cloned())
                .collect();
            let config = config::parse(CONFIG, "the embedded configuration", &overrides)?;
            let job = DemoJob {
                config: &config,
                out: &out,
                device: self.device,
            };
            let (outcome, predictions) = run_on(self.device, job)??;
            let sheet = match &mut sheet {
                Some(sheet) => sheet,
                none => none.insert(Sheet::new(&config)?),
            };
            sheet.add(&predictions);
            outcomes.push(outcome);
        }
        let pictures = out.join("predictions.png");
        if let Some(sheet) = sheet {
            picture::sheet(&sheet.rows)
                .save(&pictures)
                .with_context(|| format!("cannot write {}", pictures.display()))?;
        }
        if self.json {
            return print_json(&outcomes);
        }
        print_outcomes(&outcomes)?;
        print_line(format_args!("pictures: {}", pictures.display()))
    }
}

/// The first of `demo`, `demo-2`, ... that is not there.
fn first_free(parent: &Path) -> PathBuf {
    let names = (1..).map(|number| match number {
        1 => "demo".to_string(),
        number => format!("demo-{number}"),
    });
    let mut paths = names.map(|name| parent.join(name));
    paths
        .find(|path| !path.exists())
        .unwrap_or_else(|| parent.join("demo"))
}

struct DemoJob<'a> {
    config: &'a RunConfig,
    out: &'a Path,
    device: DeviceName,
}

impl Job for DemoJob<'_> {
    type Output = Result<(RunOutcome, Vec<Prediction>)>;

    fn run<B: TrainBackend>(self, device: B::Device) -> Self::Output {
        let name = self.config.method.descriptor().name;
        let directory = RunDirectory::create(&self.out.join(name), self.config)?;
        let provenance = Provenance::new(self.config, B::name(&device), self.device);
        let mut progress = TerminalProgress::labelled(format!("{name:>5}"));
        let outcome = train::<B>(self.config, &directory, &device, provenance, &mut progress)?;
        let file = directory.best_file();
        let (model, _) = Segmentation::<B>::open(self.config, &file, &device)?;
        let model = model.inference();
        let mut predictions = Vec::new();
        for batch in validation_loader(self.config)?.iter(0) {
            predictions.extend(model.predict(&batch?, &device));
            if predictions.len() >= SHOWN {
                break;
            }
        }
        predictions.truncate(SHOWN);
        Ok((outcome, predictions))
    }
}

/// Pictures of the first validation scenes, a row each.
struct Sheet {
    rows: Vec<Vec<RgbImage>>,
    palette: Vec<[u8; 3]>,
}

impl Sheet {
    /// Picture and truth.
    fn new(config: &RunConfig) -> Result<Self> {
        let loader: SegmentationLoader = validation_loader(config)?;
        let dataset: &dyn SegmentationDataset = loader.dataset().as_ref();
        let palette = dataset.palette().to_vec();
        let rows = (0..SHOWN.min(dataset.len()))
            .map(|index| {
                let sample = config.evaluation.size.apply(dataset.get(index)?)?;
                let truth = picture::colors(&sample.labels.data, sample.labels.width, &palette);
                Ok(vec![sample.image, truth])
            })
            .collect::<Result<_>>()?;
        Ok(Self { rows, palette })
    }

    /// A further column.
    fn add(&mut self, predictions: &[Prediction]) {
        for (row, prediction) in self.rows.iter_mut().zip(predictions) {
            let width = prediction.width as u32;
            row.push(picture::colors(&prediction.labels, width, &self.palette));
        }
    }
}

fn print_outcomes(outcomes: &[RunOutcome]) -> Result<()> {
    let heading = [
        ("method", Align::Left),
        ("trainable in backbone", Align::Right),
        ("in head", Align::Right),
        ("peak MiB", Align::Right),
        ("seconds per step", Align::Right),
        ("mean IoU %", Align::Right),
    ];
    let rows: Vec<Vec<String>> = outcomes
        .iter()
        .map(|outcome| {
            vec![
                outcome.method.to_string(),
                thousands(outcome.parameters.total),
                thousands(outcome.head_parameters),
                mebibytes(outcome.peak_bytes),
                format!("{:.3}", outcome.seconds_per_step),
                format!("{:.2}", 100.0 * outcome.best_mean_iou),
            ]
        })
        .collect();
    print_table(&heading, &rows)
}
