//! The folder of a run: made once the run is accepted, and one process's alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::common::{SCENES, fail, gradway, succeed, text, tiny_config};
use serde_json::Value;

/// Arguments that train a configuration for an epoch into a folder, with overrides.
fn train<'a>(config: &'a Path, out: &'a Path, set: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec!["train", text(config), "--out", text(out)];
    for entry in ["train.epochs=1"].iter().chain(set) {
        arguments.extend(["--set", entry]);
    }
    arguments
}

fn method_of(run: &Path) -> [String; 2] {
    let config = fs::read_to_string(run.join("config.toml")).expect("a configuration");
    let config: toml::Table = config.parse().expect("TOML");
    let result = fs::read_to_string(run.join("result.json")).expect("a result");
    let result: Value = serde_json::from_str(&result).expect("JSON");
    let configured = config["method"]["name"].as_str().map(String::from);
    let trained = result["method"].as_str().map(String::from);
    [configured, trained].map(|name| name.expect("a name"))
}

#[test]
fn a_refused_run_leaves_nothing_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = tiny_config(folder.path(), SCENES);
    let out = folder.path().join("runs/one");
    for (set, expected) in [
        (&["backbone.weights=nowhere.pth"][..], "nowhere.pth"),
        (
            &["data={ format = \"ade20k\", root = \"nowhere\" }"],
            "nowhere does not exist",
        ),
        (&["loss.class_weights=[1, 2]"], "loss.class_weights has 2"),
        (
            &["backbone.name=efficientnet_lite0", "method.name=vpt_deep"],
            "does not fit this backbone",
        ),
        (&["optimizer.accumulation=99"], "optimizer.accumulation"),
        (&["loader.batch_size=-1"], "loader.batch_size"),
    ] {
        let error = fail(&train(&config, &out, set));
        assert!(error.contains(expected), "{set:?}: {error}");
        assert!(!folder.path().join("runs").exists(), "{set:?}");
    }
    succeed(&train(&config, &out, &[]));
}

#[test]
fn what_is_wrong_with_the_data_is_blamed_on_the_override_that_does_not_fit_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = tiny_config(folder.path(), SCENES);
    let out = folder.path().join("run");
    let error = fail(&train(&config, &out, &["loss.class_weights=[1, 2]"]));
    let expected = "error: --set loss.class_weights=[1, 2]: loss.class_weights has 2 weights";
    assert!(error.starts_with(expected), "{error}");
}

#[test]
fn a_run_without_a_step_is_no_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = tiny_config(folder.path(), SCENES);
    let out = folder.path().join("run");
    // What a run leaves that ends in its first step.
    fs::create_dir(&out).expect("a folder");
    for file in ["config.toml", "metrics.jsonl", "lock"] {
        fs::write(out.join(file), "").expect("a file");
    }
    succeed(&train(&config, &out, &["method.name=fixed"]));
    assert_eq!(method_of(&out), ["fixed", "fixed"]);
    let error = fail(&train(&config, &out, &[]));
    assert!(error.contains("already holds a run"), "{error}");
    assert!(error.contains("--overwrite"), "{error}");
}

#[test]
fn a_run_is_replaced_on_demand_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = tiny_config(folder.path(), SCENES);
    let out = folder.path().join("run");
    succeed(&train(&config, &out, &["method.name=fixed"]));
    fs::write(out.join("notes.txt"), "mine").expect("a file");
    let old = fs::read(out.join("metrics.jsonl")).expect("a log");

    // A run that is refused does not cost the old one.
    let mut arguments = train(&config, &out, &["backbone.weights=nowhere.pth"]);
    arguments.push("--overwrite");
    fail(&arguments);
    assert_eq!(method_of(&out), ["fixed", "fixed"]);
    assert_eq!(fs::read(out.join("metrics.jsonl")).expect("a log"), old);

    let mut arguments = train(&config, &out, &["method.name=full"]);
    arguments.push("--overwrite");
    let holder = fs::File::create(out.join("lock")).expect("a file");
    holder.lock().expect("held");
    let error = fail(&arguments);
    assert!(error.contains("another process trains in"), "{error}");
    assert_eq!(method_of(&out), ["fixed", "fixed"]);
    drop(holder);

    succeed(&arguments);
    assert_eq!(method_of(&out), ["full", "full"]);
    let notes = fs::read_to_string(out.join("notes.txt")).expect("a file");
    assert_eq!(notes, "mine");
    let steps = fs::read_to_string(out.join("metrics.jsonl")).expect("a log");
    assert_eq!(steps.matches(r#""event":"step""#).count(), 4);
}

#[test]
fn of_two_processes_that_start_at_once_one_has_the_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = tiny_config(folder.path(), SCENES);
    for round in 0..5 {
        let out = folder.path().join(format!("run{round}"));
        let names = ["method.name=fixed", "method.name=full"];
        let processes = names.map(|name| {
            gradway(&train(&config, &out, &[name]))
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .expect("the binary starts")
        });
        let outputs = processes.map(|process| process.wait_with_output().expect("an output"));
        let won: Vec<bool> = outputs.iter().map(|one| one.status.success()).collect();
        assert_eq!(won.iter().filter(|won| **won).count(), 1, "{outputs:?}");
        for output in outputs.iter().filter(|output| !output.status.success()) {
            let error = String::from_utf8_lossy(&output.stderr);
            let is_clear =
                error.contains("another process trains in") || error.contains("holds a run");
            assert!(is_clear, "{error}");
        }
        let winner = if won[0] { "fixed" } else { "full" };
        assert_eq!(method_of(&out), [winner, winner]);
        let run = ["eval", text(&out)];
        succeed(&run);
    }
}

#[test]
fn what_an_interrupted_write_has_left_is_cleared_away() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = tiny_config(folder.path(), SCENES);
    let out = folder.path().join("run");
    succeed(&train(&config, &out, &[]));
    let left = ["last.partial", "best.partial", "result.partial"].map(|name| out.join(name));
    for file in &left {
        fs::write(file, "half").expect("a file");
    }
    succeed(&["train", "--resume", text(&out)]);
    assert!(left.iter().all(|file| !file.exists()));
}

/// A set in the ADE20K layout, a picture and a mask in each split.
fn small_set(root: &Path) {
    for split in ["training", "validation"] {
        for (kind, ending) in [("images", "jpg"), ("annotations", "png")] {
            let path = root.join(kind).join(split);
            fs::create_dir_all(&path).expect("a folder");
            let path = path.join("a").with_extension(ending);
            let saved = match ending {
                "jpg" => image::RgbImage::new(40, 36).save(path),
                _ => image::GrayImage::new(40, 36).save(path),
            };
            saved.expect("a picture");
        }
    }
}

#[test]
fn a_run_with_relative_paths_is_used_from_another_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path().join("here");
    small_set(&here.join("sets/small"));
    let weights = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../backbone/weights/efficientnet_lite0.safetensors"
    );
    fs::copy(weights, here.join("w.safetensors")).expect("a copy");
    fs::create_dir(here.join("configs")).expect("a folder");
    let config = tiny_config(
        &here.join("configs"),
        r#"
method = { name = "fixed" }
data = { format = "ade20k", root = "sets/small", classes = ["a", "b"], labels = { direct = { ignore = 255 } } }
train = { epochs = 1 }
"#,
    );
    let text_of = fs::read_to_string(&config).expect("a file");
    let backbone = r#"{ name = "efficientnet_lite0", weights = "w.safetensors" }"#;
    let old = r#"{ name = "swin_mini", drop_path = 0.2 }"#;
    let changed = text_of
        .replace(old, backbone)
        .replace("batch_size = 2", "batch_size = 1");
    fs::write(&config, changed).expect("a file");
    let run = |folder: &Path, arguments: &[&str]| {
        let output = gradway(arguments).current_dir(folder).output();
        let output = output.expect("the binary starts");
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {errors}");
    };
    run(&here, &["train", "configs/tiny.toml", "--out", "run"]);
    let elsewhere = folder.path().join("elsewhere");
    fs::create_dir(&elsewhere).expect("a folder");
    run(&elsewhere, &["eval", "../here/run"]);
    run(&elsewhere, &["train", "--resume", "../here/run"]);
    let picture = here.join("sets/small/images/validation/a.jpg");
    run(&elsewhere, &["predict", "../here/run", text(&picture)]);
    // The configuration that it was started with is still the same one.
    let resume = ["train", "configs/tiny.toml", "--resume", "run"];
    run(&here, &resume);
    let saved: PathBuf = here.join("run/config.toml");
    let saved = fs::read_to_string(saved).expect("a configuration");
    let root = format!("root = \"{}\"", here.join("sets/small").display());
    assert!(saved.contains(&root), "{saved}");
}
