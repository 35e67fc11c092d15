//! A run that is killed and resumed ends with the weights of an undisturbed one.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use crate::common::{gradway, signal, steps_logged, succeed, text, tiny_config, wait_for_steps};
use safetensors::SafeTensors;

/// Everything that has a state: drop path and dropout, batch statistics, both groups of moments,
/// accumulation, a decaying rate, a shuffled and augmented order.
const CONFIG: &str = r#"
seed = 5
method = { name = "full" }
data = { format = "synthetic", width = 40, height = 36, train_samples = 26, val_samples = 2 }
optimizer = { accumulation = 2, clip_norm = 1.0, learning_rate = 1e-3 }
train = { epochs = 3, checkpoint_every = 2 }
"#;

/// Starts a run and ends it with a signal once it has logged `steps` steps.
fn end_after(steps: usize, name: &str, config: &Path, run: &Path) {
    let mut child = gradway(&["train", text(config), "--out", text(run)])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary starts");
    wait_for_steps(steps, run, &mut child);
    signal(&child, name);
    child.wait().expect("gone");
}

fn same_weights(a: &Path, b: &Path) {
    let [a, b] = [a, b].map(|path| fs::read(path.join("last.safetensors")).expect("a checkpoint"));
    let [a, b] = [&a, &b].map(|bytes| SafeTensors::deserialize(bytes).expect("a checkpoint"));
    assert_eq!(a.len(), b.len());
    for (name, tensor) in a.tensors() {
        // Moments are written in the order of a hash map; the weights follow from them.
        if !name.starts_with("optimizer.") {
            assert_eq!(
                tensor.data(),
                b.tensor(&name).expect("the same names").data(),
                "{name}"
            );
        }
    }
}

#[test]
fn a_stopped_run_ends_with_the_weights_of_an_undisturbed_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = tiny_config(folder.path(), CONFIG);
    let [whole, stopped] = ["whole", "stopped"].map(|name| folder.path().join(name));
    succeed(&["train", text(&config), "--out", text(&whole)]);
    end_after(1, "-TERM", &config, &stopped);
    assert!(stopped.join("last.safetensors").exists());
    assert!(!stopped.join("result.json").exists());
    succeed(&["train", "--resume", text(&stopped)]);
    same_weights(&whole, &stopped);
    assert_eq!(steps_logged(&stopped), 18);
}

#[test]
fn a_killed_run_ends_with_the_weights_of_an_undisturbed_one() {
    let folder = tempfile::tempdir().expect("a folder");
    ends_as_undisturbed(folder.path(), &tiny_config(folder.path(), CONFIG));
}

/// A rate for every block, and running statistics of the backbone's own.
const RATES: &str = r#"
seed = 5
backbone = { name = "efficientnet_lite0", weights = "embedded" }
method = { name = "full", batch_statistics = "trained" }
head = { name = "segformer", channels = 16 }
data = { format = "synthetic", width = 40, height = 36, train_samples = 12, val_samples = 2 }
augment = { crop_size = [32, 32] }
loader = { batch_size = 2 }
optimizer = { learning_rate = 1e-3, rates = { backbone = 0.25, method = 2.0 }, layer_decay = 0.8 }
train = { epochs = 3, checkpoint_every = 2 }
"#;

#[test]
fn a_killed_run_with_a_rate_for_every_block_ends_with_the_weights_of_an_undisturbed_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("rates.toml");
    fs::write(&config, RATES).expect("a file");
    ends_as_undisturbed(folder.path(), &config);
    let checkpoint = fs::read(folder.path().join("whole/last.safetensors")).expect("a checkpoint");
    let checkpoint = SafeTensors::deserialize(&checkpoint).expect("a checkpoint");
    let statistics = checkpoint.names().into_iter();
    let statistics =
        statistics.filter(|name| name.contains(".backbone.") && name.contains("running_"));
    // A mean and a variance for each of the 48 convolutions.
    assert_eq!(statistics.count(), 96);
}

/// Prompts in a plain vision transformer, whose branches are dropped.
const PROMPTS: &str = r#"
seed = 5
backbone = { name = "vit_mini", drop_path = 0.2 }
head = { name = "segformer", channels = 16 }
data = { format = "synthetic", width = 40, height = 36, train_samples = 12, val_samples = 2 }
augment = { crop_size = [33, 29] }
loader = { batch_size = 2 }
optimizer = { learning_rate = 1e-3 }
train = { epochs = 3, checkpoint_every = 2 }
"#;

#[test]
fn a_killed_run_with_prompts_ends_with_the_weights_of_an_undisturbed_one() {
    for method in ["vpt_shallow", "vpt_deep"] {
        let folder = tempfile::tempdir().expect("a folder");
        let config = folder.path().join("prompts.toml");
        let method = format!("method = {{ name = \"{method}\", tokens = 3 }}\n{PROMPTS}");
        fs::write(&config, method).expect("a file");
        ends_as_undisturbed(folder.path(), &config);
    }
}

/// A neck with batch norms, whose statistics are a part of the run.
const NECK: &str = r#"
seed = 5
backbone = { name = "vit_mini" }
method = { name = "fixed" }
head = { name = "upernet", channels = 8, auxiliary = { channels = 8 } }
data = { format = "synthetic", width = 40, height = 36, train_samples = 12, val_samples = 2 }
augment = { crop_size = [32, 32] }
loader = { batch_size = 2 }
optimizer = { learning_rate = 1e-3 }
train = { epochs = 3, checkpoint_every = 2 }
"#;

#[test]
fn a_killed_run_with_a_neck_ends_with_the_weights_of_an_undisturbed_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("neck.toml");
    fs::write(&config, NECK).expect("a file");
    ends_as_undisturbed(folder.path(), &config);
    let checkpoint = fs::read(folder.path().join("whole/last.safetensors")).expect("a checkpoint");
    let checkpoint = SafeTensors::deserialize(&checkpoint).expect("a checkpoint");
    let names = checkpoint.names().into_iter();
    let of_neck = names.filter(|name| name.starts_with("weights.head.neck."));
    // Three transposed convolutions with a bias, and a batch norm with its statistics.
    assert_eq!(of_neck.count(), 3 * 2 + 4);
}

/// Steps of both runs are eighteen: three epochs of six.
fn ends_as_undisturbed(folder: &Path, config: &Path) {
    let [whole, killed] = ["whole", "killed"].map(|name| folder.join(name));
    succeed(&["train", text(config), "--out", text(&whole)]);
    // In the first epoch, between two checkpoints; then in the second.
    end_after(3, "-KILL", config, &killed);
    assert!(!killed.join("result.json").exists());
    succeed(&["train", "--resume", text(&killed)]);
    same_weights(&whole, &killed);

    // The log tells of every step once.
    assert_eq!(steps_logged(&whole), 18);
    assert_eq!(steps_logged(&killed), 18);
}
