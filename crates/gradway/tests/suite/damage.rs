//! Checkpoints and adapters that are damaged, converted or full of what is no number.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::common::{SCENES, fail, succeed, text, tiny_config};
use gradway::backbone::{HeaderMetadata, TensorFile, write_tensors};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use tempfile::TempDir;

/// A trained run, a photo, and its exported adapter.
struct Trained {
    _folder: TempDir,
    run: PathBuf,
    photo: PathBuf,
    adapter: PathBuf,
}

fn trained() -> Trained {
    let folder = tempfile::tempdir().expect("a folder");
    let config = tiny_config(folder.path(), SCENES);
    let [run, photo, adapter] =
        ["run", "photo.png", "adapter"].map(|name| folder.path().join(name));
    let set = "train.epochs=1";
    succeed(&["train", text(&config), "--out", text(&run), "--set", set]);
    succeed(&["export", text(&run), "--output", text(&adapter)]);
    let picture = image::RgbImage::from_fn(37, 29, |x, y| image::Rgb([x as u8, y as u8, 90]));
    picture.save(&photo).expect("saved");
    Trained {
        _folder: folder,
        run,
        photo,
        adapter,
    }
}

impl Trained {
    /// What every command that reads a checkpoint says.
    fn errors(&self) -> Vec<String> {
        let (run, photo) = (text(&self.run), text(&self.photo));
        let output = self.run.join("exported");
        let output = text(&output);
        let commands: [&[&str]; 5] = [
            &["eval", run],
            &["eval", run, "--last"],
            &["predict", run, photo],
            &["export", run, "--output", output],
            &["train", "--resume", run],
        ];
        commands.map(fail).to_vec()
    }

    /// Changes the bytes of both checkpoints.
    fn damage(&self, change: impl Fn(Vec<u8>) -> Vec<u8>) {
        for name in ["best.safetensors", "last.safetensors"] {
            let path = self.run.join(name);
            let bytes = fs::read(&path).expect("a checkpoint");
            fs::write(path, change(bytes)).expect("written");
        }
    }
}

#[test]
fn a_flipped_bit_is_an_error_that_names_the_file() {
    let trained = trained();
    // In the middle of the values, and in the last of them.
    for place in [2, 1] {
        trained.damage(|mut bytes| {
            let at = bytes.len() / place - 5;
            bytes[at] ^= 1;
            bytes
        });
        for error in trained.errors() {
            assert!(
                error.contains(".safetensors is damaged: its header has the checksum"),
                "{error}"
            );
            assert!(error.contains("hint: use another copy"), "{error}");
        }
        trained.damage(|mut bytes| {
            let at = bytes.len() / place - 5;
            bytes[at] ^= 1;
            bytes
        });
    }
    succeed(&["eval", text(&trained.run)]);
}

fn features(adapter: &Path, folder: &Path) -> Vec<String> {
    let (input, output) = (folder.join("x.npy"), folder.join("y.safetensors"));
    let mut header = b"\x93NUMPY\x01\x00".to_vec();
    let text = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 3, 32, 32), }";
    let text = format!("{text:<117}\n");
    header.extend((text.len() as u16).to_le_bytes());
    header.extend(text.bytes());
    header.extend(vec![0; 4 * 3 * 32 * 32]);
    fs::write(&input, header).expect("written");
    [
        "features",
        "--backbone",
        "efficientnet_lite0",
        "--weights",
        "embedded",
        "--input",
        crate::common::text(&input),
        "--output",
        crate::common::text(&output),
        "--adapter",
        crate::common::text(adapter),
    ]
    .map(String::from)
    .to_vec()
}

#[test]
fn a_damaged_adapter_is_an_error_that_names_the_file() {
    let trained = trained();
    let path = trained.adapter.join("adapter.safetensors");
    let whole = fs::read(&path).expect("an adapter");
    let arguments = features(&trained.adapter, &trained.run);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    for at in [whole.len() - 1, whole.len() / 2] {
        let mut damaged = whole.clone();
        damaged[at] ^= 8;
        fs::write(&path, damaged).expect("written");
        let error = fail(&arguments);
        assert!(error.contains("adapter.safetensors is damaged"), "{error}");
    }
}

#[test]
fn a_converted_checkpoint_is_refused_with_the_tensor_and_its_type() {
    let trained = trained();
    let [best, last] = ["best.safetensors", "last.safetensors"]
        .map(|name| fs::read(trained.run.join(name)).expect("a checkpoint"));
    for (kind, bytes) in [
        (Dtype::F16, 2),
        (Dtype::BF16, 2),
        (Dtype::F64, 8),
        (Dtype::I64, 8),
    ] {
        trained.damage(|whole| {
            let file = SafeTensors::deserialize(&whole).expect("a checkpoint");
            let (_, header) = SafeTensors::read_metadata(&whole).expect("a header");
            let converted: Vec<(String, Vec<usize>, Vec<u8>)> = file
                .tensors()
                .into_iter()
                .filter(|(_, view)| view.dtype() == Dtype::F32)
                .map(|(name, view)| {
                    let values = vec![0; view.data().len() / 4 * bytes];
                    (name, view.shape().to_vec(), values)
                })
                .collect();
            let views = converted.iter().map(|(name, shape, values)| {
                let view = TensorView::new(kind, shape.clone(), values).expect("a view");
                (name, view)
            });
            safetensors::serialize(views, header.metadata().clone()).expect("a file")
        });
        for error in trained.errors() {
            assert!(error.contains("tensor `weights."), "{error}");
            assert!(
                error.contains(&format!("is {kind}; expected F32")),
                "{error}"
            );
        }
        fs::write(trained.run.join("best.safetensors"), &best).expect("written");
        fs::write(trained.run.join("last.safetensors"), &last).expect("written");
    }
}

#[test]
fn weights_that_are_no_numbers_are_refused_whoever_wrote_them() {
    let trained = trained();
    for name in ["best.safetensors", "last.safetensors"] {
        let path = trained.run.join(name);
        let file = TensorFile::open(&path).expect("a checkpoint");
        let mut tensors: BTreeMap<_, _> = file
            .names()
            .filter_map(|name| Some((name.to_string(), file.floats(name).ok()?)))
            .collect();
        let first = tensors.values_mut().next().expect("a tensor");
        first.as_mut_slice::<f32>().expect("floats")[0] = f32::NAN;
        let metadata: HeaderMetadata = file.metadata().clone();
        // With a checksum that is right.
        write_tensors(&path, &tensors, Some(metadata)).expect("written");
    }
    for error in trained.errors() {
        assert!(
            error.contains("tensor `weights.") && error.contains("holds NaN"),
            "{error}"
        );
    }
}

#[test]
fn a_checkpoint_without_a_checksum_is_told_from_a_damaged_one() {
    let trained = trained();
    trained.damage(|whole| {
        let file = SafeTensors::deserialize(&whole).expect("a checkpoint");
        let (_, header) = SafeTensors::read_metadata(&whole).expect("a header");
        let mut metadata = header.metadata().clone().expect("words");
        metadata.remove("sha256").expect("a checksum");
        safetensors::serialize(file.tensors(), Some(metadata)).expect("a file")
    });
    for error in trained.errors() {
        assert!(error.contains("its header has no checksum"), "{error}");
        assert!(
            error.contains("hint: it was written by an older version"),
            "{error}"
        );
    }
}

#[test]
fn a_run_that_diverges_saves_nothing_that_is_no_number() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = tiny_config(folder.path(), SCENES);
    for optimizer in [
        r#"{ learning_rate = 1e37 }"#,
        r#"{ learning_rate = 1e37, clip_norm = 1.0 }"#,
        r#"{ name = "sgd", learning_rate = 1e30 }"#,
    ] {
        let out = folder.path().join("run");
        let set = format!("optimizer={optimizer}");
        let more = [
            "--set",
            "train.checkpoint_every=1",
            "--set",
            "train.epochs=3",
        ];
        let arguments = ["train", text(&config), "--out", text(&out), "--set", &set];
        let error = fail(&arguments.into_iter().chain(more).collect::<Vec<_>>());
        let is_step = error.contains("so the step is not taken; images: `");
        let is_save = error.contains(".safetensors: tensor") && error.contains(" holds ");
        assert!(is_step || is_save, "{error}");
        assert!(!out.join("result.json").exists());
        for name in ["best.safetensors", "last.safetensors"] {
            if let Ok(file) = TensorFile::open(&out.join(name)) {
                for tensor in file.names().filter(|name| name.starts_with("weights.")) {
                    file.floats(tensor).expect("finite");
                }
            }
        }
        fs::remove_dir_all(&out).expect("removed");
    }
}

#[test]
fn an_adapter_trained_under_a_head_of_one_stage_is_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = tiny_config(folder.path(), SCENES);
    let [run, adapter] = ["run", "adapter"].map(|name| folder.path().join(name));
    let head = "head={ name = \"fcn\", stage = 1, channels = 16 }";
    let arguments = ["train", text(&config), "--out", text(&run), "--set", head];
    let backbone = r#"backbone={ name = "efficientnet_lite0", weights = "embedded" }"#;
    let more = ["--set", "train.epochs=1", "--set", backbone];
    succeed(&arguments.into_iter().chain(more).collect::<Vec<_>>());
    succeed(&["export", text(&run), "--output", text(&adapter)]);
    let arguments = features(&adapter, folder.path());
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    succeed(&arguments);
}
