//! Classes that no label of training has: a run says so once it has seen all of its labels.

use std::fs;
use std::path::{Path, PathBuf};

use gradway::data::DenseTask;
use gradway::device::{DeviceName, Job, run_on};
use gradway::kernels::TrainBackend;
use gradway::run::provenance;
use gradway::trainer::{Event, Observer, RunConfig, RunDirectory, TrainError, config, train};
use image::{GrayImage, Luma, RgbImage};

use crate::common::{objects, run, text, tiny_config};

const WIDTH: u32 = 40;
const HEIGHT: u32 = 36;

/// Writes pictures with the class that `class` names of every pixel of each.
fn write(root: &Path, images: &str, masks: &str, class: impl Fn(u32, u32) -> u8) {
    let mut names = Vec::new();
    for part in [images, masks] {
        fs::create_dir_all(root.join(part)).expect("a folder");
    }
    for index in 0..4 {
        let picture = RgbImage::new(WIDTH, HEIGHT);
        let path = |part: &str| root.join(part).join(format!("{index}.png"));
        picture.save(path(images)).expect("a picture");
        let mask = GrayImage::from_fn(WIDTH, HEIGHT, |x, _| Luma([class(index, x)]));
        mask.save(path(masks)).expect("a mask");
        names.push(index.to_string());
    }
    for list in ["train.txt", "val.txt"] {
        fs::write(root.join(list), names.join("\n")).expect("a list");
    }
}

/// A configuration of what [`write`] has written; every crop holds most of its picture.
fn configuration(root: &Path, more: &str) -> PathBuf {
    let more = format!("method = {{ name = \"fixed\" }}\n{more}");
    let path = tiny_config(root, &more.replace("ROOT", text(root)));
    let config = fs::read_to_string(&path).expect("a configuration");
    let crops = "crop_size = [32, 32]";
    assert!(config.contains(crops), "{config}");
    let whole = format!("{crops}, scale_range = [1.0, 1.0], crop_max_class_share = 1.0");
    fs::write(&path, config.replace(crops, &whole)).expect("written");
    path
}

/// The warnings of a run.
fn warnings(config: &Path, name: &str, set: &[&str]) -> Vec<String> {
    let out = config.with_file_name(name);
    let mut arguments = vec!["train", text(config), "--out", text(&out)];
    set.iter()
        .for_each(|entry| arguments.extend(["--set", entry]));
    let output = run(&arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let lines = errors.lines().filter(|line| line.contains("in the labels"));
    lines.map(String::from).collect()
}

const FOLDER: &str = r#"
train = { epochs = 2 }
data = { format = "folder", root = "ROOT", train_list = "train.txt", val_list = "val.txt", classes = CLASSES, labels = { direct = { ignore = 255 } } }
"#;

#[test]
fn a_class_too_many_is_named_once_whatever_the_number_of_workers() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    write(root, "images", "masks", |_, x| u8::from(x >= WIDTH / 2));
    let classes = r#"["road", "car", "tree"]"#;
    let config = configuration(root, &FOLDER.replace("CLASSES", classes));
    let first = warnings(&config, "none", &["loader.workers=0"]);
    let expected = "in the labels of epoch 1, 1 of 3 classes never occurs: tree; ";
    assert!(
        first.len() == 1 && first[0].contains(expected),
        "{expected}: {first:?}"
    );
    assert_eq!(first, warnings(&config, "three", &["loader.workers=3"]));
    let right = ["data.classes=[\"road\", \"car\"]"];
    assert_eq!(warnings(&config, "right", &right), Vec::<String>::new());
}

#[test]
fn absent_classes_of_several_tasks_are_told_with_their_task() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    write(root, "photos", "labels", |_, x| u8::from(x >= WIDTH / 2));
    let more = r#"
train = { epochs = 1 }
tasks = { names = ["semantic_segmentation", "saliency"] }
data = { format = "clothing_co_parsing", root = "ROOT" }
"#;
    let said = warnings(&configuration(root, more), "run", &[]);
    let expected =
        "in the labels of semantic_segmentation of epoch 1, 57 of 59 classes never occur: ";
    assert!(
        said.len() == 1 && said[0].contains(expected),
        "{expected}: {said:?}"
    );
}

#[test]
fn a_category_without_objects_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    objects::dataset(root, |file| {
        let categories = file["categories"].as_array_mut().expect("a list");
        categories.push(serde_json::json!({ "id": 11, "name": "green" }));
    });
    let config = objects::configuration(root, "retinanet");
    let said = warnings(&config, "run", &[]);
    let expected = "in the labels of epoch 1, 1 of 3 classes never occurs: green; ";
    assert!(
        said.len() == 1 && said[0].contains(expected),
        "{expected}: {said:?}"
    );
}

/// Keeps what is said of absent classes, and stops after some steps.
#[derive(Default)]
struct Recorder {
    steps: usize,
    stop_after: Option<usize>,
    absent: Vec<(usize, Option<DenseTask>, Vec<String>)>,
}

impl Observer for Recorder {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Step(_) => self.steps += 1,
            Event::Absent {
                epoch,
                task,
                classes,
            } => self.absent.push((epoch, task, classes.names.clone())),
            _ => {}
        }
    }

    fn stops(&self) -> bool {
        self.stop_after == Some(self.steps)
    }
}

struct Training<'a> {
    config: &'a RunConfig,
    directory: &'a RunDirectory,
    observer: &'a mut Recorder,
}

impl Job for Training<'_> {
    type Output = Result<(), TrainError>;

    fn run<B: TrainBackend>(self, device: B::Device) -> Self::Output {
        let provenance = provenance::<B>(self.config, &device, DeviceName::default());
        let (config, directory) = (self.config, self.directory);
        train::<B>(config, directory, &device, provenance, self.observer).map(|_| ())
    }
}

/// The classes that occurred before the stop are not seen again in the epoch.
#[test]
fn an_epoch_that_was_interrupted_says_nothing_of_its_rest() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    write(root, "images", "masks", |index, _| index as u8);
    let classes = r#"["a", "b", "c", "d", "tree"]"#;
    let file = configuration(root, &FOLDER.replace("CLASSES", classes));
    let set = ["loader.batch_size=1".to_string()];
    let config = config::load(&file, &set).expect("a configuration");
    let path = root.join("run");
    let directory = RunDirectory::create(&path, &config).expect("a run");
    let trained = |directory: &RunDirectory, observer: &mut Recorder| {
        let job = Training {
            config: &config,
            directory,
            observer,
        };
        run_on(DeviceName::default(), job).expect("a device")
    };
    let mut stopped = Recorder {
        stop_after: Some(2),
        ..Recorder::default()
    };
    let error = trained(&directory, &mut stopped).expect_err("stopped");
    assert!(matches!(error, TrainError::Stopped { step: 2, .. }));
    assert_eq!(stopped.absent, []);
    let (directory, _) = RunDirectory::open(&path).expect("a run");
    let mut resumed = Recorder::default();
    trained(&directory, &mut resumed).expect("trained");
    assert_eq!(resumed.steps, 6);
    // Of the second epoch, the first whole one.
    assert_eq!(resumed.absent, [(2, None, vec!["tree".to_string()])]);
}
