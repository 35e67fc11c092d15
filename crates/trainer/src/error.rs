//! Errors of a run.

use std::path::PathBuf;

use gradway_adapters::Misfit;
use gradway_backbone::{ImportError, TensorFileError, UnknownBackbone, WeightsError};
use gradway_data::{DataError, DenseTask, Split, TaskKind};
use gradway_metrics::{DetectionError, EdgeError, MapError, RelativeError, SegmentationError};

use gradway_adapters::StateDictError;

/// The error type of training.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// A configuration file or an override is wrong.
    #[error("{origin}: {reason}")]
    Config {
        /// The file, or `--set key=value`.
        origin: String,
        /// The reason.
        reason: String,
    },
    /// A key of a configuration that is missing, unknown or has an invalid value.
    #[error("{origin}: {reason}")]
    Key {
        /// The file or option that sets it, such as `--set key=value`.
        origin: String,
        /// The key, its value and the expected value.
        reason: String,
        /// A suggestion to fix it.
        hint: Option<String>,
    },
    /// A backbone that is not in the table.
    #[error(transparent)]
    Backbone(#[from] UnknownBackbone),
    /// A method that cannot tune the backbone.
    #[error(transparent)]
    Method(#[from] Misfit),
    /// Weights that cannot be found, fetched or opened.
    #[error("backbone.weights = \"{value}\": {source}")]
    BaseWeights {
        /// The value of the key.
        value: String,
        /// The reason.
        source: Box<WeightsError>,
    },
    /// Weights that do not fit.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// Data that cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A device that failed.
    #[error("the device failed: {0}")]
    Device(String),
    /// Predictions and labels that do not belong together.
    #[error(transparent)]
    Metric(#[from] SegmentationError),
    /// Objects that cannot be scored.
    #[error(transparent)]
    Objects(#[from] DetectionError),
    /// Maps that cannot be scored.
    #[error(transparent)]
    Map(#[from] MapError),
    /// Edges that cannot be scored.
    #[error(transparent)]
    Edges(#[from] EdgeError),
    /// Scores that cannot be compared with those of single-task models.
    #[error("tasks.single: {0}")]
    Relative(#[from] RelativeError),
    /// A batch without the labels of a task.
    #[error("a batch has no labels of the trained task `{task}`")]
    NoLabels {
        /// The task.
        task: DenseTask,
    },
    /// A configuration of another task.
    #[error("the run is for {}; expected one for {}", found.name(), expected.name())]
    Task {
        /// The expected task.
        expected: TaskKind,
        /// The task found.
        found: TaskKind,
    },
    /// An object without a mask, where masks are trained.
    #[error("image `{image}`: annotation {annotation} has no mask, but the head needs one")]
    NoMask {
        /// Identifier of the image.
        image: String,
        /// Identifier of the annotation.
        annotation: u64,
    },
    /// A file of the run cannot be read or written.
    #[error("{path}: {reason}")]
    File {
        /// The file or folder.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// Saved parameters do not fit the model.
    #[error("{path} does not fit this model")]
    StateDict {
        /// The file.
        path: PathBuf,
        /// The mismatch.
        source: StateDictError,
    },
    /// The folder of a new run already holds a run.
    #[error("{} already holds a run", path.display())]
    RunExists {
        /// The folder.
        path: PathBuf,
    },
    /// Another process trains in the folder.
    #[error("another process trains in {}", path.display())]
    Busy {
        /// The folder.
        path: PathBuf,
    },
    /// The observer stopped the run. The run is saved and can be resumed.
    #[error("stopped after step {step} of {steps}, which is saved in {}", path.display())]
    Stopped {
        /// Number of steps done.
        step: usize,
        /// Number of steps of the whole run.
        steps: usize,
        /// The folder.
        path: PathBuf,
    },
    /// A run that has no best checkpoint yet.
    #[error("{} has no best checkpoint: it is not evaluated yet", path.display())]
    NotEvaluated {
        /// The folder.
        path: PathBuf,
    },
    /// The run that tasks are added to does not fit, or cannot be read.
    #[error("tasks.base: {0}")]
    BaseRun(#[source] Box<TrainError>),
    /// The run that tasks are added to has other tasks than those that are not added.
    #[error(
        "tasks.names without tasks.added has {}, but the run has {}; they must be the same",
        listed(others),
        listed(found)
    )]
    OtherTasks {
        /// The tasks that are not added.
        others: Vec<DenseTask>,
        /// The tasks of the run.
        found: Vec<DenseTask>,
    },
    /// The checkpoint was trained on other weights.
    #[error(
        "{path}: trained on `{backbone}` with base weights {trained_on}, but the configured backbone has {present}"
    )]
    OtherBase {
        /// The checkpoint.
        path: PathBuf,
        /// Name of the backbone it was trained on.
        backbone: String,
        /// Hash of the base weights it was trained on.
        trained_on: String,
        /// Hash of the present weights.
        present: String,
    },
    /// Trained parameters that the loss does not depend on.
    #[error("no gradient reached {} in the first step; it would never be trained", list(.parameters))]
    Unreached {
        /// Their paths.
        parameters: Vec<String>,
    },
    /// A loss or a gradient norm that is not finite. The model has not changed.
    #[error(
        "{what} is {value} in step {step}, so the step is not taken; images: {}",
        quoted(images)
    )]
    NotFinite {
        /// The name of the value.
        what: &'static str,
        /// NaN or an infinity.
        value: f64,
        /// Optimiser step, counted from 1.
        step: usize,
        /// Identifiers of the images.
        images: Vec<String>,
    },
    /// A batch norm over one value per channel.
    #[error(
        "a batch of {batch} with head.name = \"{head}\" and images of {}x{}: expected more than 1 value per channel \
         when training, but a batch norm of the head has only one", size[0], size[1]
    )]
    SingleValue {
        /// Name of the head.
        head: &'static str,
        /// Images of the batch.
        batch: usize,
        /// Height and width of the images.
        size: [usize; 2],
    },
    /// A file of tensors that cannot be read or is damaged.
    #[error(transparent)]
    Tensors(#[from] TensorFileError),
    /// A checkpoint of a run on other classes.
    #[error(
        "{path}: trained on the classes {}, but the data has {}",
        quoted(trained_on),
        quoted(present)
    )]
    OtherClasses {
        /// The checkpoint.
        path: PathBuf,
        /// Names of the classes it was trained on, in label order.
        trained_on: Vec<String>,
        /// Names of the classes of the data.
        present: Vec<String>,
    },
    /// A run whose configuration has changed since its checkpoint.
    #[error(
        "{path}: trained with {}, but the configuration has {}",
        setting(key, trained_with.as_deref()),
        setting(key, present.as_deref())
    )]
    OtherSetting {
        /// The checkpoint.
        path: PathBuf,
        /// The key.
        key: String,
        /// Its value in training; `None` if it was absent.
        trained_with: Option<String>,
        /// Its value now; `None` if it is absent.
        present: Option<String>,
    },
    /// A run whose data has changed since its checkpoint.
    #[error(
        "{path}: the {} split differs from the one that the run was trained with: it has other samples, or other images with \
         the same names", split.name()
    )]
    OtherData {
        /// The checkpoint.
        path: PathBuf,
        /// The split.
        split: Split,
    },
}

/// Joins quoted names.
fn quoted(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

/// `depth, edges`
fn listed(tasks: &[DenseTask]) -> String {
    let names: Vec<&str> = tasks.iter().map(|task| task.name()).collect();
    match &names[..] {
        [] => "no tasks".to_string(),
        names => names.join(", "),
    }
}

/// A key and its value as written in a configuration.
fn setting(key: &str, value: Option<&str>) -> String {
    match value {
        Some(value) => format!("{key} = {value}"),
        None => format!("no {key}"),
    }
}

/// The first of some parameters and the number of the others.
fn list(parameters: &[String]) -> String {
    match parameters {
        [one] => format!("`{one}`"),
        [first, rest @ ..] => format!("`{first}` and {} more", rest.len()),
        [] => "nothing".to_string(),
    }
}

impl TrainError {
    /// Returns a suggestion to fix the error, if there is one.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Key { hint, .. } => hint.clone(),
            Self::BaseWeights { source, .. } => source.hint(),
            Self::Data(error) => error.hint(),
            Self::Objects(error) => error.hint(),
            Self::NoMask { .. } => {
                Some("use `faster_rcnn` or `retinanet`, which need no masks".to_string())
            }
            Self::OtherBase { .. } => {
                Some("set backbone.name and backbone.weights to the values used in training".to_string())
            }
            Self::BaseRun(error) => match &**error {
                Self::OtherSetting { .. } => Some(
                    "set it to the value of the run in tasks.base, or name another run there".to_string(),
                ),
                error => error.hint(),
            },
            Self::OtherTasks { .. } => Some(
                "keep all tasks of the run in tasks.names, and put every other task in tasks.added, too"
                    .to_string(),
            ),
            Self::Stopped { path, .. } => Some(format!(
                "resume with `gradway train --resume {}`",
                path.display()
            )),
            Self::NotEvaluated { path } => Some(format!(
                "resume it with `gradway train --resume {}`; `eval`, `predict` and `export` take the newest \
                 checkpoint with --last",
                path.display()
            )),
            Self::NotFinite { .. } => Some(
                "lower optimizer.learning_rate or set optimizer.clip_norm; in the first steps, look at the weights \
                 and at these images"
                    .to_string(),
            ),
            Self::SingleValue { .. } => Some(
                "use batches of 2 or more (loader.batch_size; loader.drop_last = true if it is the last one of an \
                 epoch), or the head `segformer`, which has no pooled map"
                    .to_string(),
            ),
            Self::Tensors(error) => error.hint(),
            Self::OtherClasses { .. } => Some(
                "use data with the classes that the run was trained on, in the same order".to_string(),
            ),
            Self::OtherSetting { .. } | Self::OtherData { .. } => Some(
                "restore it, or start a new run; only train.epochs, train.evaluate_every, train.checkpoint_every, \
                 loader.workers, loader.prefetch, evaluation and the locations of files may change"
                    .to_string(),
            ),
            Self::RunExists { .. } => {
                let choices = "resume it with --resume, replace it with --overwrite, or choose another folder with --out";
                Some(choices.to_string())
            }
            Self::Busy { .. } => {
                Some("wait until it is done, or choose another folder with --out".to_string())
            }
            _ => None,
        }
    }

    /// Whether the observer stopped the run, or the download of its weights.
    pub fn is_stop(&self) -> bool {
        match self {
            Self::Stopped { .. } => true,
            Self::BaseWeights { source, .. } => matches!(
                **source,
                WeightsError::Hub(gradway_hub::HubError::Interrupted { .. })
            ),
            _ => false,
        }
    }

    /// An error about the weights that a configuration names.
    pub(crate) fn base_weights(value: &str, source: WeightsError) -> Self {
        Self::BaseWeights {
            value: value.to_string(),
            source: Box::new(source),
        }
    }

    /// An error about a value of the configuration.
    pub(crate) fn config(reason: impl Into<String>) -> Self {
        Self::Config {
            origin: "configuration".to_string(),
            reason: reason.into(),
        }
    }

    pub(crate) fn file(path: impl Into<PathBuf>, reason: impl ToString) -> Self {
        Self::File {
            path: path.into(),
            reason: reason.to_string(),
        }
    }
}
