//! Several dense tasks from one pass: gradients, learning, adding a task.

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::AutodiffModule;
use burn::tensor::{Tensor, TensorData};
use gradway::data::{
    DatasetConfig, DenseBatch, DenseSample, DenseTask, NetworkInput, Normalization, Split,
    formats::synthetic::{SyntheticConfig, TASKS},
};
use gradway::device::DeviceName;
use gradway::trainer::task::{Loss, MultiTaskPrediction, TaskLabels, TaskPrediction};
use gradway::trainer::{
    Labels, ManyTasks, MultiTask, Provenance, RunConfig, RunDirectory, Scores, Silent, Task,
    TrainError, Trainer, config, evaluate_run, train,
};
use gradway_backbone::Phase;
use gradway_heads::HeadTask;
use gradway_tests::{Plain, Tracked, assert_gradients, gradients};

const SIDE: u32 = 64;

fn parsed(method: &str, rest: &str, overrides: &[&str]) -> RunConfig {
    let text = format!(
        r#"
        backbone = {{ name = "swin_mini" }}
        method = {{ name = "{method}" }}
        head = {{ name = "segformer", channels = 16, dropout = 0.0 }}
        data = {{ format = "synthetic", width = {SIDE}, height = {SIDE}, train_samples = 8, val_samples = 4 }}
        augment = {{ crop_size = [{SIDE}, {SIDE}], scale_range = [1.0, 1.0] }}
        loader = {{ batch_size = 2 }}
        optimizer = {{ learning_rate = 3e-3 }}
        schedule = {{ warmup_steps = 0 }}
        train = {{ epochs = 1 }}
        {rest}
        "#
    );
    let overrides: Vec<String> = overrides.iter().map(|one| one.to_string()).collect();
    config::parse(&text, "the test", &overrides).unwrap()
}

fn all_tasks(method: &str) -> RunConfig {
    let names: Vec<&str> = TASKS.iter().map(|task| task.name()).collect();
    parsed(method, &format!("tasks = {{ names = {names:?} }}"), &[])
}

/// Labels and a batch of synthetic scenes.
fn scenes(tasks: &[DenseTask]) -> (Labels, DenseBatch) {
    let data = DatasetConfig::Synthetic(SyntheticConfig {
        width: SIDE,
        height: SIDE,
        ..SyntheticConfig::default()
    });
    let dataset = data.open_multi_task(Split::Train, tasks).unwrap();
    let labels = tasks.iter().map(|&task| TaskLabels {
        task,
        classes: dataset.classes(task).to_vec(),
        palette: dataset.palette(task).to_vec(),
    });
    let labels = Labels {
        tasks: labels.collect(),
        ..Labels::unnamed(0)
    };
    // Two scenes with a person, where parts are asked for.
    let is_whole = |sample: &DenseSample| {
        let parts = sample.labels.get(&DenseTask::HumanParts);
        parts.is_none_or(|parts| parts.labelled() > 0)
    };
    let all = (0..dataset.len()).map(|index| dataset.get(index, tasks).unwrap());
    let samples = all.filter(is_whole).take(2);
    let samples = samples.map(|sample| sample.prepared([SIDE as usize; 2]));
    let input = NetworkInput {
        normalization: Normalization::IMAGENET,
        stride: 1,
    };
    let batch = DenseBatch::padded(samples.collect(), &input);
    (labels, batch)
}

/// In the first step a trainer refuses what no loss reaches: an auxiliary decoder is trained on its task, too.
#[test]
fn every_decoder_serves_every_task() {
    let (labels, batch) = scenes(&TASKS);
    let names: Vec<&str> = TASKS.iter().map(|task| task.name()).collect();
    let decoders = gradway_heads::table().iter();
    for head in decoders.filter(|head| head.task == HeadTask::Segmentation) {
        let overrides = format!(r#"head={{ name = "{}" }}"#, head.name);
        let tasks = format!("tasks = {{ names = {names:?} }}");
        let config = parsed("fixed", &tasks, &[&overrides]);
        let device = Default::default();
        let model = ManyTasks::<Tracked>::new(&config, &labels, &device).unwrap();
        let mut trainer = Trainer::new(&config, &model, 10, &device);
        let (_, report) = trainer.step(model, std::slice::from_ref(&batch)).unwrap();
        assert_eq!(report.losses.len(), names.len(), "{}", head.name);
    }
}

/// One graph of the sum of all losses against one graph after the other.
#[test]
fn the_gradients_of_losses_taken_one_by_one_are_those_of_their_sum() {
    for method in ["vmt_adapter", "vmt_highway", "hyperformer", "adapter"] {
        let mut config = all_tasks(method);
        if method == "vmt_adapter" {
            config = parsed(
                method,
                r#"tasks = { names = ["semantic_segmentation", "surface_normals", "depth"], weighting = "uncertainty" }"#,
                &[],
            );
        }
        let tasks = config.task.multi_task().unwrap().tasks.tasks();
        let (labels, batch) = scenes(&tasks);
        let device = Default::default();
        let model = ManyTasks::<Tracked>::new(&config, &labels, &device).unwrap();
        let phase = Phase::Training { seed: 0 };
        // One graph at a time: two that share parameters would take each other's apart.
        let Loss {
            total: staged,
            parts,
        } = model.loss(&batch, phase, &device).unwrap();
        let staged_value = staged.clone().into_scalar();
        let actual = gradients::<Tracked, _>(&model.trainable, &staged.backward());
        let task = <MultiTask as Task<Tracked>>::new(&config, &labels).unwrap();
        let together = model.features(&batch, phase, &device);
        let head = &model.trainable.head;
        let losses =
            (0..tasks.len()).map(|index| task.task_loss(index, head, &together, &batch, phase));
        let losses: Vec<Tensor<Tracked, 1>> = losses.map(Result::unwrap).collect();
        for ((name, part), (task, loss)) in parts.into_iter().zip(tasks.iter().zip(&losses)) {
            assert_eq!(name, task.name());
            assert_eq!(part.into_data(), loss.to_data());
        }
        let sum = losses.into_iter().reduce(|sum, loss| sum + loss).unwrap();
        let value = sum.clone().into_scalar();
        // Rounding of sums in another order.
        let difference = (staged_value - value).abs();
        assert!(difference < 1e-4 * value.abs(), "{staged_value}, {value}");
        let expected = gradients::<Tracked, _>(&model.trainable, &sum.backward());
        assert_gradients(&actual, &expected, 5e-5);
    }
}

#[test]
fn every_task_learns_under_every_method_for_tasks() {
    for method in [
        "vmt_adapter",
        "vmt_adapter_lite",
        "vmt_highway",
        "polyhistor_lite",
        "polyhistor",
        "mtlora",
        "per_task",
    ] {
        let config = all_tasks(method);
        let (labels, batch) = scenes(&TASKS);
        let device = Default::default();
        let mut model = ManyTasks::<Tracked>::new(&config, &labels, &device).unwrap();
        let mut trainer = Trainer::new(&config, &model, 20, &device);
        let task = <MultiTask as Task<Tracked>>::new(&config, &labels).unwrap();
        let losses = |model: &ManyTasks<Tracked>| -> Vec<f32> {
            let plain = model.trainable.valid();
            let data = TensorData::new(batch.images.clone(), batch.shape());
            let images = Tensor::from_data(data, &device);
            let features = model.encoder.features_inference(&plain.method, images);
            let loss = |index| {
                let phase = Phase::Inference;
                task.task_loss::<Plain, _>(index, &plain.head, &features, &batch, phase)
            };
            (0..6)
                .map(|index| loss(index).unwrap().into_scalar())
                .collect()
        };
        let before = losses(&model);
        for _ in 0..15 {
            (model, _) = trainer.step(model, std::slice::from_ref(&batch)).unwrap();
        }
        let after = losses(&model);
        for (index, (before, after)) in before.iter().zip(&after).enumerate() {
            let task = TASKS[index];
            assert!(after < before, "{method}, {task}: {before}, then {after}");
        }
    }
}

fn run(config: &RunConfig, path: &Path) -> Scores {
    let directory = RunDirectory::create(path, config).unwrap();
    let provenance = Provenance::new(config, "flex".to_string(), DeviceName::default());
    let device = Default::default();
    let outcome = train::<Tracked>(config, &directory, &device, provenance, &mut Silent).unwrap();
    outcome.last.scores
}

fn predictions(config: &RunConfig, path: &Path) -> Vec<BTreeMap<DenseTask, TaskPrediction>> {
    let (directory, _) = RunDirectory::open(path).unwrap();
    let device = Default::default();
    let file = directory.last_file();
    let (model, _) = ManyTasks::<Tracked>::open(config, &file, &device).unwrap();
    let tasks = config.task.multi_task().unwrap().tasks.tasks();
    let (_, batch) = scenes(&tasks);
    let predicted = model.inference().predict(&batch, &device);
    let tasks = |prediction: MultiTaskPrediction| prediction.tasks;
    predicted.into_iter().map(tasks).collect()
}

#[test]
fn a_task_that_is_added_leaves_the_others_as_they_are_to_the_bit() {
    for method in ["vmt_adapter", "vmt_highway"] {
        let folder = tempfile::tempdir().unwrap();
        let first = folder.path().join("first");
        // The new task comes between the old ones.
        let old = r#"tasks = { names = ["semantic_segmentation", "depth"] }"#;
        // Weights that are drawn at random depend on what else draws in this process.
        let embedded = [
            "backbone.name=efficientnet_lite0",
            "backbone.weights=embedded",
        ];
        let old = parsed(method, old, &embedded);
        run(&old, &first);
        let before = predictions(&old, &first);

        let base = format!("tasks.base={:?}", first.display().to_string());
        let new = r#"tasks = { names = ["semantic_segmentation", "saliency", "depth"], added = ["saliency"] }"#;
        let new = parsed(method, new, &[&embedded[..], &[base.as_str()]].concat());
        let second = folder.path().join("second");
        let Scores::MultiTask(scores) = run(&new, &second) else {
            panic!("scores of several tasks");
        };
        assert_eq!(scores.tasks.len(), 3);
        let after = predictions(&new, &second);
        for (before, after) in before.iter().zip(&after) {
            assert_eq!(after.len(), 3);
            for (task, prediction) in before {
                assert_eq!(Some(prediction), after.get(task), "{method}, {task}");
            }
        }
        // Whole without the first run.
        std::fs::remove_dir_all(&first).unwrap();
        let (directory, _) = RunDirectory::open(&second).unwrap();
        let file = directory.last_file();
        let (evaluation, _) = evaluate_run::<Tracked>(&new, &file, &Default::default()).unwrap();
        assert_eq!(evaluation.scores, Scores::MultiTask(scores));
    }
}

#[test]
fn scores_of_all_tasks_are_read_as_they_were_written() {
    let directory = tempfile::tempdir().unwrap();
    let scores = run(&all_tasks("fixed"), directory.path());
    let text = serde_json::to_string(&scores).unwrap();
    assert_eq!(serde_json::from_str::<Scores>(&text).unwrap(), scores);
}

#[test]
fn only_the_parts_of_an_added_task_are_trained() {
    let added = r#"tasks = { names = ["semantic_segmentation", "depth"], added = ["depth"], base = "nowhere" }"#;
    let config = parsed("vmt_adapter", added, &[]);
    let tasks = [DenseTask::SemanticSegmentation, DenseTask::Depth];
    let (labels, _) = scenes(&tasks);
    let model = ManyTasks::<Tracked>::new(&config, &labels, &Default::default()).unwrap();
    let trained = gradway_adapters::collect::<Tracked, _>(&model.trainable);
    let trained = trained
        .keys()
        .filter(|path| !gradway_adapters::is_statistic(path));
    for path in trained {
        assert!(
            path.contains("tasks.1.") || path.contains("decoders.1."),
            "{path}"
        );
    }
    let _plain = model.trainable.valid();
}

#[test]
fn wrong_tasks_are_refused() {
    let wrong = |tasks: &str| -> String {
        let text = format!(
            r#"
            backbone = {{ name = "swin_mini" }}
            method = {{ name = "fixed" }}
            head = {{ name = "segformer" }}
            data = {{ format = "synthetic" }}
            tasks = {tasks}
            "#
        );
        config::parse(&text, "the test", &[])
            .unwrap_err()
            .to_string()
    };
    for (tasks, named) in [
        ("{ names = [] }", "tasks.names"),
        (r#"{ names = ["depth", "depth"] }"#, "twice"),
        (r#"{ names = ["death"] }"#, "death"),
        (
            r#"{ names = ["depth"], weights = { edges = 1.0 } }"#,
            "edges",
        ),
        (
            r#"{ names = ["depth"], weights = { depth = -1.0 } }"#,
            "depth = -1",
        ),
        (
            r#"{ names = ["edges"], edge_distance = -1.0 }"#,
            "edge_distance = -1",
        ),
        (
            r#"{ names = ["depth"], edge_weight = 2.0 }"#,
            "edge_weight = 2",
        ),
        (
            r#"{ names = ["depth"], added = ["depth"], base = "x" }"#,
            "tasks.added",
        ),
        (
            r#"{ names = ["depth", "edges"], added = ["depth"] }"#,
            "tasks.base",
        ),
    ] {
        let error = wrong(tasks);
        assert!(error.contains(named), "{tasks}: {error}");
    }
}

#[test]
fn labels_of_other_tasks_are_refused() {
    let config = all_tasks("fixed");
    let (labels, _) = scenes(&[DenseTask::Depth]);
    let error = ManyTasks::<Tracked>::new(&config, &labels, &Default::default()).unwrap_err();
    assert!(matches!(error, TrainError::Config { .. }), "{error}");
}
