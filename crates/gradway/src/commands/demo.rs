//! `gradway demo`: three methods side by side on an embedded default.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use gradway::compare::compare;
use gradway::data::{DenseTask, Split};
use gradway::device::{DeviceName, Job, run_on};
use gradway::kernels::TrainBackend;
use gradway::picture;
use gradway::report;
use gradway::trainer::config::{Overrides, Source};
use gradway::trainer::task::SegmentationPrediction;
use gradway::trainer::{RunConfig, RunOutcome, Segmentation, SegmentationTask, Task};
use image::RgbImage;

use crate::output::{print_json, print_line};

/// Train EfficientNet-Lite0 on synthetic scenes with three methods and compare them.
///
/// The demonstration needs no files and no network: the weights and the scenes are part of the program. It
/// takes a few minutes on two CPU cores. It writes a run directory per method and `predictions.png`, which has
/// one row per scene: the image, the ground truth and the prediction of each method.
#[derive(Debug, Args, Default)]
pub struct Demo {
    /// Output directory. [default: the first of `runs/demo`, `runs/demo-2`, ... that does not exist]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Override a key of the embedded configuration, such as `train.epochs=20`.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Device: cpu, cuda:N, vulkan:N, wgpu:N, metal:N, rocm:N.
    #[arg(long, default_value_t)]
    device: DeviceName,
    /// Print the results as JSON.
    #[arg(long)]
    json: bool,
}

const CONFIG: &str = include_str!("demo.toml");

/// The methods. All share one configuration, in which the backbone's own parameters have a smaller rate than what starts
/// at random.
const METHODS: [&str; 3] = ["fixed", "e3va", "full"];

const TASK: DenseTask = DenseTask::SemanticSegmentation;

/// Scenes on the sheet of pictures.
const SHOWN: usize = 6;

impl Demo {
    /// Runs the command.
    pub fn run(self) -> Result<()> {
        let out = match &self.out {
            Some(path) => path.clone(),
            None => first_free(Path::new("runs")),
        };
        let runs = self.runs()?;
        let outcomes = compare(&runs, &out, self.device)?;
        let mut sheet = Sheet::new(&runs[0].1)?;
        for (name, config) in &runs {
            let job = PredictJob {
                config,
                checkpoint: out.join(name).join("best.safetensors"),
            };
            sheet.add(&run_on(self.device, job)??);
        }
        let pictures = out.join("predictions.png");
        picture::sheet(&sheet.rows)
            .save(&pictures)
            .with_context(|| format!("cannot write {}", pictures.display()))?;
        if self.json {
            let outcomes: Vec<RunOutcome> = outcomes.into_iter().map(|(_, run)| run).collect();
            return print_json(&outcomes);
        }
        print_line(report::comparison(&outcomes))?;
        print_line(format_args!("pictures: {}", pictures.display()))
    }

    /// A configuration for each method, by its name.
    fn runs(&self) -> Result<Vec<(String, RunConfig)>> {
        const ORIGIN: &str = "the demonstration";
        let source = Source::text(CONFIG, "the embedded configuration")?;
        let methods = Overrides::set(&self.set)?.by_method(ORIGIN, &METHODS)?;
        let runs = methods.into_iter().map(|method| {
            let config = source.clone().under(method.overrides).config()?;
            Ok((method.method, config))
        });
        runs.collect()
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

/// The first predictions of a trained run.
struct PredictJob<'a> {
    config: &'a RunConfig,
    checkpoint: PathBuf,
}

impl Job for PredictJob<'_> {
    type Output = Result<Vec<SegmentationPrediction>>;

    fn run<B: TrainBackend>(self, device: B::Device) -> Self::Output {
        let (model, _) = Segmentation::<B>::open(self.config, &self.checkpoint, &device)?;
        let model = model.inference();
        let mut predictions = Vec::new();
        let loader = <SegmentationTask as Task<B>>::validation_loader(self.config)?;
        for batch in loader.iter(0) {
            predictions.extend(model.predict(&batch?, &device));
            if predictions.len() >= SHOWN {
                break;
            }
        }
        predictions.truncate(SHOWN);
        Ok(predictions)
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
        let dataset = config.data.open(Split::Val)?;
        let palette = dataset.palette(TASK).to_vec();
        let rows = (0..SHOWN.min(dataset.len()))
            .map(|index| {
                let sample = dataset.get(index, &[TASK])?;
                let truth = sample.class_map(TASK).context("a scene without classes")?;
                let truth = picture::colors(&truth.data, truth.width, &palette);
                Ok(vec![sample.image, truth])
            })
            .collect::<Result<_>>()?;
        Ok(Self { rows, palette })
    }

    /// A further column.
    fn add(&mut self, predictions: &[SegmentationPrediction]) {
        for (row, prediction) in self.rows.iter_mut().zip(predictions) {
            let width = prediction.width as u32;
            row.push(picture::colors(&prediction.labels, width, &self.palette));
        }
    }
}
