//! Tunes a backbone that is not in Gradway: E3VA beside it, and full fine-tuning of it, on synthetic scenes.
//!
//! ```text
//! cargo run --release [FOLDER]
//! ```
//!
//! writes two runs below the folder (`runs/own-backbone` by default), opens each again and scores it once more.

mod pyramid;

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use burn::backend::{Autodiff, Flex};
use burn::tensor::Device;
use gradway::adapters::count;
use gradway::backbone::{Checkpoint, ImportError, OwnBackbone, export, import, write_tensors};
use gradway::terminal::print;
use gradway::trainer::config::Source;
use gradway::trainer::{
    Event, Model, Provenance, RunDirectory, SegmentationTask, Task, TrainError, evaluate,
    train_with,
};

use pyramid::Pyramid;

type B = Autodiff<Flex>;
/// The backbone as methods hold it, on a backend: `Own<Flex>` is frozen by its type.
type Own<B> = OwnBackbone<B, Pyramid<B>>;

const CONFIG: &str = r#"
seed = 1
backbone = { name = "pyramid" }
head = { name = "segformer", channels = 32 }
data = { format = "synthetic", width = 64, height = 64, train_samples = 96, val_samples = 16 }
augment = { crop_size = [64, 64] }
loader = { batch_size = 8 }
optimizer = { learning_rate = 2e-3 }
schedule = { warmup_steps = 0 }
train = { epochs = 3 }
"#;

fn main() -> Result<()> {
    let folder = std::env::args().nth(1);
    let folder = PathBuf::from(folder.unwrap_or("runs/own-backbone".to_string()));
    std::fs::create_dir_all(&folder)?;
    let device = Device::<B>::default();

    // It stands for the weights that you have.
    let weights = folder.join("pyramid.safetensors");
    let trained_elsewhere = OwnBackbone::new(Pyramid::<Flex>::new(&device));
    write_tensors(&weights, &export(&trained_elsewhere), None)?;

    for method in [r#"{ name = "e3va", rank = 8 }"#, r#"{ name = "full" }"#] {
        run(method, &weights, &folder, &device)?;
    }
    Ok(())
}

/// The backbone with the weights of a file.
fn backbone(weights: &Path, device: &Device<B>) -> Result<Own<Flex>, TrainError> {
    let file = Checkpoint::open(weights).map_err(ImportError::from)?;
    let (network, _) = import(Pyramid::new(device), &file)?;
    Ok(OwnBackbone::new(network))
}

/// Trains with a method, and scores its last checkpoint.
fn run(method: &str, weights: &Path, folder: &Path, device: &Device<B>) -> Result<()> {
    let text = format!("method = {method}\n{CONFIG}");
    let source = Source::text(&text, "the example")?.on(pyramid::descriptor());
    let config = source.config()?;
    let name = config.method.descriptor().name;

    let directory = RunDirectory::replace(&folder.join(name), &config)?;
    let mut losses = Vec::new();
    let outcome = train_with::<B, Own<B>>(
        |device| backbone(weights, device),
        &config,
        &directory,
        device,
        Provenance::new(&config, "flex".to_string(), "cpu"),
        &mut |event: Event<'_>| {
            if let Event::Step(report) = event {
                losses.push(report.loss);
            }
        },
    )?;

    let (directory, config) = RunDirectory::open_on(directory.path(), pyramid::descriptor())?;
    let (model, _) = Model::<B, SegmentationTask, Own<B>>::open_with_backbone(
        &config,
        &directory.last_file(),
        backbone(weights, device)?,
        device,
    )?;
    let loader = <SegmentationTask as Task<B>>::validation_loader(&config)?;
    let evaluation = evaluate(&model, &loader, device, |_| {})?;
    ensure!(
        evaluation.scores == outcome.last.scores,
        "{name}: the checkpoint scores {:?}, the run {:?}",
        evaluation.scores,
        outcome.last.scores
    );

    // The means of both halves: a step alone depends on its images.
    let (first, last) = losses.split_at(losses.len() / 2);
    let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
    let trained = count(&model.trainable.method).total;
    print(format_args!(
        "{name}: {trained} parameters, loss {:.4} to {:.4}, mean IoU {:.2} %",
        mean(first),
        mean(last),
        100.0 * outcome.last.scores.main().1
    ))
}
