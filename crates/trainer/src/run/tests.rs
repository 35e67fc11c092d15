use std::fs;
use std::path::PathBuf;

use burn::backend::{Autodiff, Flex};
use gradway_backbone::swin::SwinConfig;
use gradway_backbone::{Precision, ResizedTables, export, write_tensors};
use serde_json::Value;
use tempfile::TempDir;

use super::*;
use crate::config::parse;
use crate::observer::Silent;

type Tracked = Autodiff<Flex>;

/// Two epochs of four steps.
const SCENES: &str = r#"
backbone = { name = "efficientnet_lite0", weights = "embedded" }
method = { name = "vmt_adapter" }
head = { name = "segformer", channels = 16 }
data = { format = "synthetic", width = 40, height = 36, train_samples = 8, val_samples = 3 }
augment = { crop_size = [32, 32] }
loader = { batch_size = 2 }
train = { epochs = 2 }
"#;

fn config(more: &str, set: &[&str]) -> RunConfig {
    let set: Vec<String> = set.iter().map(|entry| entry.to_string()).collect();
    parse(&format!("{SCENES}{more}"), "the test", &set).expect("a configuration")
}

fn go(
    config: &RunConfig,
    directory: &RunDirectory,
    observer: &mut impl Observer,
) -> Result<RunOutcome, TrainError> {
    let provenance = Provenance::new(config, "flex".to_string(), "cpu");
    train::<Tracked>(config, directory, &Default::default(), provenance, observer)
}

fn start(config: &RunConfig, path: &Path) -> Result<RunOutcome, TrainError> {
    let directory = RunDirectory::create(path, config).expect("a folder");
    go(config, &directory, &mut Silent)
}

fn resume(path: &Path) -> Result<RunOutcome, TrainError> {
    let (directory, config) = RunDirectory::open(path).expect("a run");
    go(&config, &directory, &mut Silent)
}

/// A run that is done.
fn done() -> (TempDir, RunDirectory, RunConfig) {
    let folder = tempfile::tempdir().expect("a folder");
    let config = config("", &["train.epochs=1"]);
    start(&config, folder.path()).expect("it trains");
    let (directory, config) = RunDirectory::open(folder.path()).expect("a run");
    (folder, directory, config)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).expect("a folder");
    for file in fs::read_dir(from).expect("a folder") {
        let file = file.expect("a file").path();
        fs::copy(&file, to.join(file.file_name().expect("a name"))).expect("a copy");
    }
}

/// The log without what differs from process to process.
fn logged(run: &Path) -> Vec<Value> {
    let log = fs::read_to_string(run.join("metrics.jsonl")).expect("a log");
    let lines = log.lines().map(|line| {
        let mut line: Value = serde_json::from_str(line).expect("JSON");
        for key in ["seconds", "peak_bytes", "host_peak_bytes"] {
            line.as_object_mut().expect("a line").remove(key);
        }
        if let Some(Value::Object(evaluation)) = line.get_mut("scores") {
            evaluation.remove("seconds");
        }
        line
    });
    lines.collect()
}

/// The folder of a run is copied in each of its evaluations, before and after it is logged: as a killed process, or a
/// sample that cannot be read, leaves it.
#[test]
fn a_run_that_ends_in_an_evaluation_goes_on_with_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let whole = folder.path().join("whole");
    let config = config("", &[]);
    let directory = RunDirectory::create(&whole, &config).expect("a folder");
    let (mut ended, mut epoch): (Vec<(PathBuf, usize)>, usize) = (Vec::new(), 1);
    let mut observer = |event: Event<'_>| {
        let name = match event {
            Event::Evaluating { done: 3, .. } => format!("evaluating{epoch}"),
            Event::Saved(path) if path.ends_with("best.safetensors") => format!("best{epoch}"),
            Event::Step(report) => {
                epoch = report.step.div_ceil(4);
                return;
            }
            _ => return,
        };
        let path = folder.path().join(name);
        copy(&whole, &path);
        ended.push((path, epoch));
    };
    let outcome = go(&config, &directory, &mut observer).expect("it trains");
    assert!(ended.len() >= 3, "{ended:?}");
    let last = Checkpoint::load(&directory.last_file()).expect("a checkpoint");
    assert!(!last.state.unevaluated);
    for (path, epoch) in ended {
        let file = path.join("last.safetensors");
        let left = Checkpoint::load(&file).expect("an epoch is saved before its evaluation");
        assert_eq!((left.state.epoch, left.state.unevaluated), (epoch, true));
        let resumed = resume(&path).expect("it goes on");
        assert_eq!(resumed.best, outcome.best);
        assert_eq!(resumed.last.scores, outcome.last.scores);
        let resumed = Checkpoint::load(&file).expect("a checkpoint");
        assert_eq!(resumed.weights, last.weights);
        assert!(!resumed.state.unevaluated);
        assert_eq!(logged(&path), logged(&whole), "{}", path.display());
    }
}

#[test]
fn a_checkpoint_of_an_older_version_is_evaluated() {
    let (_folder, directory, _) = done();
    let state = Checkpoint::load(&directory.last_file())
        .expect("a checkpoint")
        .state;
    let text = serde_json::to_string(&state).expect("JSON");
    assert!(!text.contains("unevaluated"), "{text}");
    let read: TrainingState = serde_json::from_str(&text).expect("a state");
    assert_eq!(read, state);
}

#[test]
fn a_run_whose_checkpoints_are_missing_is_not_started_again() {
    for (missing, named) in [
        (&["last"][..], "last.safetensors: it is missing"),
        (&["last", "best"], "last.safetensors: it is missing"),
        (&["best"], "best.safetensors: it is missing"),
    ] {
        let (_folder, directory, _) = done();
        for name in missing {
            let file = directory.path().join(name).with_extension("safetensors");
            fs::remove_file(file).expect("removed");
        }
        let error = resume(directory.path())
            .expect_err("nothing to go on from")
            .to_string();
        assert!(error.contains(named), "{error}");
        assert!(directory.result_file().exists());
        for name in missing {
            let file = directory.path().join(name).with_extension("safetensors");
            assert!(!file.exists());
        }
    }
}

#[test]
fn a_run_is_not_evaluated_in_another_precision() {
    let folder = tempfile::tempdir().expect("a folder");
    let method = r#"method={ name = "fixed" }"#;
    let mut config = config("", &["train.epochs=1", method]);
    start(&config, folder.path()).expect("it trains");
    config.backbone.precision = Precision::Bf16;
    let file = folder.path().join("best.safetensors");
    let error = evaluate_run::<Tracked>(&config, &file, &Default::default());
    let error = error.expect_err("another precision").to_string();
    assert!(
        error.contains("trained with backbone.precision = \"f32\""),
        "{error}"
    );
}

#[test]
fn a_warm_up_as_long_as_the_run_is_refused() {
    for (steps, fits) in [(7, true), (8, false), (1500, false)] {
        let folder = tempfile::tempdir().expect("a folder");
        let set = format!("schedule.warmup_steps={steps}");
        let run = folder.path().join("run");
        match start(&config("", &[&set]), &run) {
            Ok(_) => assert!(fits),
            Err(error) => {
                let expected = format!(
                    "schedule.warmup_steps = {steps}, but the run has 8 steps; it must be less than that"
                );
                assert!(error.to_string().ends_with(&expected), "{error}");
                assert!(!fits && !run.exists());
            }
        }
    }
}

/// The error and the hint of a run that adds tasks to one of segmentation and depth.
fn added(tasks: &str, set: &[&str]) -> (String, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let base = folder.path().join("base");
    let first = r#"tasks = { names = ["semantic_segmentation", "depth"] }"#;
    start(&config(first, &["train.epochs=1"]), &base).expect("it trains");
    let second = format!("tasks = {{ {tasks}, base = '{}' }}", base.display());
    let error = start(&config(&second, set), &folder.path().join("second"));
    let error = error.expect_err("a base that does not fit");
    (error.to_string(), error.hint().unwrap_or_default())
}

#[test]
fn tasks_that_are_not_added_are_those_of_the_base() {
    for (tasks, others) in [
        (
            r#"names = ["semantic_segmentation", "depth", "saliency", "edges"], added = ["edges"]"#,
            "semantic_segmentation, saliency, depth",
        ),
        (
            r#"names = ["semantic_segmentation", "edges"], added = ["edges"]"#,
            "semantic_segmentation",
        ),
        (
            r#"names = ["saliency", "semantic_segmentation", "edges"], added = ["edges"]"#,
            "semantic_segmentation, saliency",
        ),
    ] {
        let (error, hint) = added(tasks, &[]);
        let expected = format!(
            "tasks.names without tasks.added has {others}, but the run has semantic_segmentation, depth; they must \
             be the same"
        );
        assert!(error.starts_with("tasks.base: "), "{error}");
        assert!(error.ends_with(&expected), "{error}");
        assert!(hint.starts_with("keep all tasks of the run"), "{hint}");
    }
}

#[test]
fn a_base_with_other_settings_says_what_to_do() {
    let tasks = r#"names = ["semantic_segmentation", "depth", "edges"], added = ["edges"]"#;
    let (error, hint) = added(tasks, &["head.channels=32"]);
    assert!(error.starts_with("tasks.base: "), "{error}");
    assert!(error.contains("head.channels = 16"), "{error}");
    assert_eq!(
        hint,
        "set it to the value of the run in tasks.base, or name another run there"
    );
}

#[test]
fn resized_bias_tables_and_the_publisher_are_reported() {
    let folder = tempfile::tempdir().expect("a folder");
    let weights = folder.path().join("weights.safetensors");
    // `swin_mini` with another window.
    let swin = SwinConfig::new(24, vec![2; 4], vec![1, 2, 4, 8]).with_window(5);
    let swin = AnyBackbone::<Flex>::Swin(swin.init(&Default::default()));
    write_tensors(&weights, &export(&swin), None).expect("written");
    let backbone = format!(
        "backbone={{ name = 'swin_mini', weights = '{}' }}",
        weights.display()
    );
    let config = config("", &["train.epochs=1", &backbone]);
    let directory = RunDirectory::create(&folder.path().join("run"), &config).expect("a folder");
    let (mut reported, mut origins) = (Vec::new(), Vec::new());
    let mut observer = |event: Event<'_>| match event {
        Event::Resized(tables) => reported.push(tables),
        Event::Origin(origin) => origins.push(origin),
        _ => {}
    };
    go(&config, &directory, &mut observer).expect("it trains");
    assert_eq!(origins, ["timm"]);
    let expected = ResizedTables {
        tables: 8,
        from: 5,
        to: 7,
    };
    assert_eq!(reported, [expected]);
}
