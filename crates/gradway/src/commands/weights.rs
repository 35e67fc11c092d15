//! `gradway weights`: looking into weight files, converting them, and fetching them from the hub.

mod hub;

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use burn::tensor::DType;
use clap::{Args, Subcommand};
use gradway::backbone::{
    BackboneConfig, Checkpoint, WeightSource, export, export_header, hash_module, import,
};
use gradway::device::{DeviceName, Job, run_on};
use gradway::fetching;
use gradway::kernels::TrainBackend;
use serde::Serialize;

use gradway::report::{count, thousands};

use crate::output::{print_json, print_line, require_tensor_file, write_tensors};

/// Inspect, convert and fetch weight files.
#[derive(Debug, Args)]
pub struct Weights {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Inspect(Inspect),
    Convert(Convert),
    Fetch(hub::Fetch),
    List(hub::List),
}

/// The help of an argument that names weights.
const SOURCE: &str = "Weights: a file (.safetensors, .pth, .pt or .bin), a file on the hub as \
                      hf:OWNER/NAME[/FILE][@REVISION], or `pretrained` or `embedded` for those of the backbone";

/// List the tensors of a weight file.
///
/// With --backbone, the command also reports how the tensors map to the backbone's parameters.
#[derive(Debug, Args)]
struct Inspect {
    #[arg(help = SOURCE)]
    file: WeightSource,
    /// Import the weights into this backbone and report the applied and skipped tensors and the hash.
    #[arg(long)]
    backbone: Option<String>,
    /// Key of the weights in a file that holds several sets, such as `state_dict_ema`.
    #[arg(long, value_name = "KEY", requires = "backbone")]
    weights_key: Option<String>,
    /// Print JSON instead of text.
    #[arg(long)]
    json: bool,
}

/// Convert public weights to Gradway's parameter names and layout (.safetensors).
///
/// The weights have the names of timm or of the publisher.
#[derive(Debug, Args)]
struct Convert {
    #[arg(help = SOURCE)]
    file: WeightSource,
    /// Key of the weights in a file that holds several sets, such as `state_dict_ema`.
    #[arg(long, value_name = "KEY")]
    weights_key: Option<String>,
    /// Backbone of the weights; see `gradway list backbones`.
    #[arg(long)]
    backbone: String,
    /// Round to half precision.
    #[arg(long)]
    half: bool,
    /// Output file (.safetensors).
    #[arg(long)]
    output: PathBuf,
}

impl Weights {
    /// Runs the command.
    pub fn run(self) -> Result<()> {
        match self.command {
            Command::Inspect(inspect) => inspect.run(),
            Command::Convert(convert) => {
                require_tensor_file(&convert.output)?;
                run_on(DeviceName::default(), convert)?
            }
            Command::Fetch(fetch) => fetch.run(),
            Command::List(list) => list.run(),
        }
    }
}

#[derive(Debug, Serialize)]
struct Inspection {
    file: PathBuf,
    tensors: BTreeMap<String, Vec<usize>>,
    import: Option<ImportSummary>,
}

#[derive(Debug, Serialize)]
struct ImportSummary {
    backbone: String,
    place: String,
    origin: Option<&'static str>,
    applied: usize,
    skipped: Vec<(String, &'static str)>,
    resized: Vec<(String, usize, usize)>,
    hash: String,
}

impl Inspect {
    fn run(self) -> Result<()> {
        let checkpoint = open(&self.file, self.backbone.as_deref(), self.weights_key)?;
        let import = match self.backbone {
            Some(backbone) => {
                let trial = Trial {
                    backbone,
                    checkpoint: &checkpoint,
                };
                Some(run_on(DeviceName::default(), trial)??)
            }
            None => {
                checkpoint.verify()?;
                None
            }
        };
        let inspection = Inspection {
            tensors: checkpoint.shapes().collect(),
            file: checkpoint.origin().to_path_buf(),
            import,
        };
        if self.json {
            return print_json(&inspection);
        }
        for (name, shape) in &inspection.tensors {
            print_line(format_args!("{name} {shape:?}"))?;
        }
        let numbers = |shape: &Vec<usize>| shape.iter().product::<usize>();
        print_line(format_args!(
            "{} with {} values",
            count(inspection.tensors.len(), "tensor"),
            thousands(inspection.tensors.values().map(numbers).sum())
        ))?;
        let Some(import) = inspection.import else {
            return Ok(());
        };
        if !import.place.is_empty() {
            print_line(format_args!("weights from {}", import.place))?;
        }
        if let Some(origin) = import.origin {
            print_line(format_args!("names of {origin}"))?;
        }
        for (name, reason) in &import.skipped {
            print_line(format_args!("skipped {name}: {reason}"))?;
        }
        for (name, from, to) in &import.resized {
            print_line(format_args!("resized {name}: {from} to {to} rows"))?;
        }
        print_line(format_args!(
            "{}: {} applied, {} skipped, {} resized; hash {}",
            import.backbone,
            import.applied,
            import.skipped.len(),
            import.resized.len(),
            import.hash
        ))
    }
}

/// Opens weights, wherever they come from.
fn open(
    source: &WeightSource,
    backbone: Option<&str>,
    weights_key: Option<String>,
) -> Result<Checkpoint> {
    let checkpoint = match (source, backbone) {
        // Whose file it is need not be known.
        (WeightSource::File(_) | WeightSource::Hub(_), None) => fetching::open(source, ""),
        (WeightSource::Pretrained | WeightSource::Embedded, None) => {
            bail!("`{source}` is of a backbone; name it with --backbone")
        }
        (_, Some(backbone)) => fetching::open(source, backbone),
    };
    let checkpoint = checkpoint.with_context(|| source.to_string())?;
    Ok(checkpoint.with_weights_key(weights_key))
}

/// An import to see what comes of it.
struct Trial<'a> {
    backbone: String,
    checkpoint: &'a Checkpoint,
}

impl Job for Trial<'_> {
    type Output = Result<ImportSummary>;

    fn run<B: TrainBackend>(self, device: B::Device) -> Result<ImportSummary> {
        let backbone = BackboneConfig::named(&self.backbone).init::<B::InnerBackend>(&device)?;
        let (backbone, report) = import(backbone, self.checkpoint)?;
        Ok(ImportSummary {
            backbone: self.backbone,
            place: report.place,
            origin: report.origin,
            applied: report.applied.len(),
            skipped: report.skipped,
            resized: report.resized,
            hash: hash_module(&backbone),
        })
    }
}

impl Job for Convert {
    type Output = Result<()>;

    fn run<B: TrainBackend>(self, device: B::Device) -> Result<()> {
        let config = BackboneConfig::named(&self.backbone);
        config.descriptor()?;
        let checkpoint = open(&self.file, Some(&self.backbone), self.weights_key)?;
        let backbone = config.init::<B::InnerBackend>(&device)?;
        let (backbone, _) = import(backbone, &checkpoint)?;
        let kind = if self.half { DType::F16 } else { DType::F32 };
        let tensors: BTreeMap<String, _> = export(&backbone)
            .into_iter()
            .map(|(path, data)| (path, data.convert_dtype(kind)))
            .collect();
        for (path, data) in &tensors {
            if !data.iter::<f32>().all(f32::is_finite) {
                bail!(
                    "`{path}` has values that do not fit in half precision, whose largest number is 65504"
                );
            }
        }
        write_tensors(&self.output, &tensors, Some(export_header(&backbone)))
    }
}
