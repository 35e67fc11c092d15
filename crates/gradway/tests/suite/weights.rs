//! Weight files at the command line.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::common::{fail, succeed, text};
use gradway::backbone::{Checkpoint, write_tensors};
use serde_json::Value;

const EMBEDDED: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../backbone/weights/efficientnet_lite0.safetensors"
);
const BACKBONE: &str = "efficientnet_lite0";

/// The embedded weights, changed, below each of these keys.
fn weights(folder: &Path, keys: &[&str], change: impl Fn(&str, &mut [f32])) -> PathBuf {
    let file = Checkpoint::open(EMBEDDED.as_ref()).expect("weights");
    let mut tensors = BTreeMap::new();
    for name in file.keys() {
        let mut data = file.read(name).expect("a tensor");
        change(name, data.as_mut_slice().expect("numbers"));
        for key in keys {
            tensors.insert(format!("{key}{name}"), data.clone());
        }
    }
    let path = folder.join("weights.safetensors");
    write_tensors(&path, &tensors, None).expect("written");
    path
}

fn inspect(file: &str, more: &[&str]) -> Value {
    let mut arguments = vec!["weights", "inspect", file, "--backbone", BACKBONE, "--json"];
    arguments.extend(more);
    serde_json::from_str(&succeed(&arguments)).expect("JSON")
}

#[test]
fn of_several_weights_a_key_chooses() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = weights(folder.path(), &["student.", "teacher.net."], |_, _| {});
    let file = text(&file);
    let error = fail(&["weights", "inspect", file, "--backbone", BACKBONE]);
    assert!(error.contains("`student`, `teacher.net`"), "{error}");
    assert!(error.contains("weights_key"), "{error}");
    let found = inspect(file, &["--weights-key", "teacher"]);
    assert_eq!(found["import"]["place"], "teacher.net");
    assert_eq!(found["import"]["origin"], "Gradway");
    assert_eq!(found["import"]["skipped"][0][0], "student.*");
    let expected = inspect(EMBEDDED, &[]);
    assert_eq!(found["import"]["hash"], expected["import"]["hash"]);
}

#[test]
fn weights_that_are_not_finite_are_refused_by_every_command() {
    let folder = tempfile::tempdir().expect("a folder");
    let poisoned = "stem.weight";
    let file = weights(folder.path(), &[""], |name, values| {
        if name == poisoned {
            values[5] = f32::NAN;
        }
    });
    let file = text(&file);
    let config = folder.path().join("run.toml");
    let settings = format!(
        r#"
backbone = {{ name = "{BACKBONE}", weights = '{file}' }}
method = {{ name = "fixed" }}
head = {{ name = "segformer", channels = 16 }}
data = {{ format = "synthetic", width = 40, height = 36, train_samples = 2, val_samples = 1 }}
augment = {{ crop_size = [32, 32] }}
schedule = {{ warmup_steps = 0 }}
loader = {{ batch_size = 2 }}
train = {{ epochs = 1 }}
"#
    );
    fs::write(&config, settings).expect("written");
    let (out, output) = (
        folder.path().join("run"),
        folder.path().join("output.safetensors"),
    );
    // One image of one pixel: a header of 128 bytes, and three numbers.
    let images = folder.path().join("images.npy");
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 3, 1, 1), }";
    let mut bytes = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    bytes.extend(format!("{header:<117}\n").bytes());
    bytes.extend([0; 12]);
    fs::write(&images, bytes).expect("written");
    let commands: [&[&str]; 4] = [
        &["weights", "inspect", file, "--backbone", BACKBONE],
        &[
            "weights",
            "convert",
            file,
            "--backbone",
            BACKBONE,
            "--output",
            text(&output),
        ],
        &[
            "features",
            "--backbone",
            BACKBONE,
            "--weights",
            file,
            "--input",
            text(&images),
            "--output",
            text(&output),
        ],
        &["train", text(&config), "--out", text(&out)],
    ];
    for command in commands {
        let error = fail(command);
        assert!(
            error.contains(&format!("`{poisoned}` holds NaN")),
            "{error}"
        );
        assert!(error.contains(file), "{error}");
    }
    assert!(!output.exists());
}

#[test]
fn half_precision_that_a_weight_does_not_fit_in_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = weights(folder.path(), &[""], |name, values| {
        if name == "stem.weight" {
            values[0] = 1e6;
        }
    });
    let output = folder.path().join("half.safetensors");
    let mut convert = vec!["weights", "convert", text(&file), "--backbone", BACKBONE];
    convert.extend(["--output", text(&output)]);
    succeed(&convert);
    fs::remove_file(&output).expect("written");
    convert.push("--half");
    let error = fail(&convert);
    assert!(error.contains("stem.weight"), "{error}");
    assert!(!output.exists());
}

#[test]
fn a_damaged_file_of_pytorch_is_refused_with_its_record() {
    let golden = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/golden/weight_files/strided_zip.pth"
    );
    succeed(&["weights", "inspect", golden]);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("damaged.pth");
    let mut bytes = fs::read(golden).expect("a file");
    let name = b"strided_zip/data/0";
    let record = bytes.windows(name.len()).position(|part| part == name);
    // Behind the name there is padding to 64 bytes, and then there are numbers.
    bytes[record.expect("a record") + name.len() + 100] ^= 1;
    fs::write(&path, bytes).expect("written");
    let error = fail(&["weights", "inspect", text(&path)]);
    assert!(error.contains("damaged.pth"), "{error}");
    assert!(
        error.contains("record `strided_zip/data/0` is damaged"),
        "{error}"
    );
}
