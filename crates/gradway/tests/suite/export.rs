//! What leaves a run: adapters and merged backbones.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::{fail, succeed, text};
use gradway::backbone::Checkpoint;
use serde_json::Value;

/// A run of one step on a backbone of public weights.
fn trained(folder: &Path, method: &str) -> PathBuf {
    let config = folder.join(format!("{method}.toml"));
    let text_of = format!(
        r#"
backbone = {{ name = "efficientnet_lite0", weights = "embedded" }}
method = {{ name = "{method}" }}
head = {{ name = "segformer", channels = 16 }}
data = {{ format = "synthetic", width = 40, height = 36, train_samples = 2, val_samples = 1 }}
augment = {{ crop_size = [32, 32] }}
optimizer = {{ learning_rate = 1e-2 }}
schedule = {{ warmup_steps = 0 }}
loader = {{ batch_size = 2 }}
train = {{ epochs = 1 }}
"#
    );
    fs::write(&config, text_of).unwrap();
    let out = folder.join(method);
    succeed(&["train", text(&config), "--out", text(&out)]);
    out
}

/// A `.npy` file of images.
fn images(folder: &Path) -> PathBuf {
    let shape = [1_usize, 3, 40, 56];
    let count: usize = shape.iter().product();
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape:?}, }}");
    let header = header.replace('[', "(").replace(']', ")");
    let padded = format!("{header:<117}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((padded.len() as u16).to_le_bytes());
    bytes.extend(padded.bytes());
    for index in 0..count {
        let value = (index * 7919 % 1009) as f32 / 504.5 - 1.0;
        bytes.extend(value.to_le_bytes());
    }
    let path = folder.join("images.npy");
    fs::write(&path, bytes).unwrap();
    path
}

/// The features that `gradway features` writes, with more arguments.
fn features(folder: &Path, weights: &str, more: &[&str]) -> Vec<f32> {
    let (images, output) = (images(folder), folder.join("features.safetensors"));
    let mut arguments = vec!["features", "--backbone", "efficientnet_lite0"];
    arguments.extend(["--weights", weights, "--input", text(&images)]);
    arguments.extend(["--output", text(&output)]);
    arguments.extend(more);
    succeed(&arguments);
    let file = Checkpoint::open(&output).unwrap();
    let stages = (0..4).map(|stage| file.read(&format!("stage{stage}")).unwrap());
    stages
        .flat_map(|data| data.iter::<f32>().collect::<Vec<_>>())
        .collect()
}

#[test]
fn an_adapter_goes_back_onto_its_base_and_a_merged_backbone_is_its_equal() {
    let folder = tempfile::tempdir().unwrap();
    let (run, adapter) = (trained(folder.path(), "ssf"), folder.path().join("adapter"));
    succeed(&["export", text(&run), "--output", text(&adapter)]);
    let apart = features(folder.path(), "embedded", &["--adapter", text(&adapter)]);

    let merged = folder.path().join("merged.safetensors");
    let arguments = [
        "export",
        text(&run),
        "--merge",
        "--json",
        "--output",
        text(&merged),
    ];
    let report: Value = serde_json::from_str(&succeed(&arguments)).unwrap();
    assert!(
        report["greatest_difference"].as_f64().unwrap() < 1e-3,
        "{report}"
    );
    // The step was too small for the output norms to be far from scale 1 and shift 0, but not for SSF.
    let plain = features(folder.path(), "embedded", &["--norm"]);
    let together = features(folder.path(), text(&merged), &["--norm"]);
    let distance = |other: &[f32]| -> f32 {
        let pairs = apart.iter().zip(other);
        pairs.map(|(a, b)| (a - b).abs()).sum::<f32>() / apart.len() as f32
    };
    assert!(
        distance(&together) < 0.5 * distance(&plain),
        "{} {}",
        distance(&together),
        distance(&plain)
    );

    // The merged backbone is another base.
    let error = fail(&[
        "features",
        "--backbone",
        "efficientnet_lite0",
        "--weights",
        text(&merged),
        "--input",
        text(&images(folder.path())),
        "--output",
        "unused.safetensors",
        "--adapter",
        text(&adapter),
    ]);
    assert!(error.contains("made for `efficientnet_lite0`"), "{error}");
}

#[test]
fn what_cannot_be_merged_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let run = trained(folder.path(), "e3va");
    let output = folder.path().join("merged.safetensors");
    let error = fail(&["export", text(&run), "--merge", "--output", text(&output)]);
    assert!(error.contains("method `e3va` cannot be merged"), "{error}");
    assert!(!output.exists());
}

#[test]
fn a_damaged_adapter_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (run, adapter) = (
        trained(folder.path(), "bitfit"),
        folder.path().join("adapter"),
    );
    succeed(&["export", text(&run), "--output", text(&adapter)]);
    let description = adapter.join("adapter.json");
    let whole = fs::read_to_string(&description).unwrap();
    let try_it = || {
        fail(&[
            "features",
            "--backbone",
            "efficientnet_lite0",
            "--weights",
            "embedded",
            "--input",
            text(&images(folder.path())),
            "--output",
            "unused.safetensors",
            "--adapter",
            text(&adapter),
        ])
    };
    for (from, to, expected) in [
        ("\"format\": 2", "\"format\": 9", "format = 9"),
        ("\"bitfit\"", "\"norm_tuning\"", "not of one adapter"),
        ("\"bitfit\"", "\"bitfi\"", "unknown variant `bitfi`"),
    ] {
        fs::write(&description, whole.replace(from, to)).unwrap();
        let error = try_it();
        assert!(
            error.contains(expected) && error.contains("adapter"),
            "{error}"
        );
    }
    fs::write(&description, &whole).unwrap();
    fs::write(adapter.join("adapter.safetensors"), b"none").unwrap();
    let error = try_it();
    assert!(error.contains("adapter.safetensors"), "{error}");
}

/// Its parameters have timm's names, by which they would be resampled as in timm.
#[test]
fn a_merged_vision_transformer_states_how_its_positions_are_resampled() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("lora.toml");
    let text_of = r#"
backbone = { name = "vit_mini", positions = "plain" }
method = { name = "lora", rank = 2 }
head = { name = "segformer", channels = 16 }
data = { format = "synthetic", width = 40, height = 36, train_samples = 2, val_samples = 1 }
augment = { crop_size = [32, 32] }
loader = { batch_size = 2 }
train = { epochs = 1 }
"#;
    fs::write(&config, text_of).unwrap();
    let [run, merged, converted] =
        ["run", "merged.safetensors", "converted.safetensors"].map(|name| folder.path().join(name));
    succeed(&["train", text(&config), "--out", text(&run)]);
    succeed(&["export", text(&run), "--merge", "--output", text(&merged)]);
    let mut convert = vec![
        "weights",
        "convert",
        text(&merged),
        "--backbone",
        "vit_mini",
    ];
    convert.extend(["--output", text(&converted)]);
    succeed(&convert);
    for file in [merged, converted] {
        let file = Checkpoint::open(&file).unwrap();
        assert_eq!(file.header("gradway.positions"), Some("plain"));
    }
}
