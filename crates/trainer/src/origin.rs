//! The settings and data of a run that must not change when it is resumed.

use std::collections::BTreeMap;
use std::path::Path;

use gradway_data::{Loader, Pipeline, Split};
use serde::{Deserialize, Serialize};
use toml::Value;

use crate::config::{RunConfig, to_table};
use crate::error::TrainError;

/// Keys of a configuration with their values, as written in a file.
type Settings = BTreeMap<String, String>;

/// The settings and data that a run is trained with, as saved in its checkpoints.
///
/// Resuming a run with another batch size, learning rate or order of the data is rejected, since the result
/// would be neither the old run nor a new one. Settings that do not affect training may change, see
/// [`RunConfig`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Settings that affect training.
    settings: Settings,
    /// Settings that affect the scores.
    evaluation: Settings,
    /// The [fingerprint](Loader::fingerprint) of the training split.
    training_data: String,
    /// The fingerprint of the validation split.
    validation_data: String,
}

/// The effect of a key of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    /// It affects the trained parameters.
    Training,
    /// It affects only the scores.
    Scores,
    /// It affects neither: speed, paths, or what is logged.
    Neither,
}

impl Effect {
    fn of(key: &str) -> Self {
        match key {
            // The length decides the rate of every step, but a run may be made longer: its schedule is then that
            // of the new length. What is in files is known by its hash.
            "train.epochs"
            | "train.evaluate_every"
            | "train.checkpoint_every"
            | "loader.workers"
            | "loader.prefetch"
            | "data.root"
            | "backbone.weights"
            | "tasks.base"
            | "evaluation.batch_size" => Self::Neither,
            "tasks.edge_distance" => Self::Scores,
            _ if key.starts_with("evaluation.") || key.starts_with("tasks.single.") => Self::Scores,
            _ => Self::Training,
        }
    }

    /// Whether a key that affects training also affects the predictions of a trained model.
    fn is_of_model(key: &str) -> bool {
        let sections = ["method.", "neck.", "head."];
        matches!(
            key,
            "backbone.name"
                | "backbone.pad_first"
                | "backbone.positions"
                | "backbone.precision"
                | "tasks.depth_unit"
        ) || sections.iter().any(|section| key.starts_with(section))
    }
}

/// Checks that a configuration differs from that of a run in nothing but how the trained model is used: on which
/// data, and how it is scored.
///
/// # Errors
///
/// [`TrainError::Config`] with the first other key.
pub(crate) fn require_use(run: &RunConfig, present: &RunConfig) -> Result<(), TrainError> {
    let (old, new) = (settings(run)?, settings(present)?);
    let is_of_training = |key: &str| {
        let is_data = key.starts_with("data.");
        key.starts_with("train.") || Effect::of(key) == Effect::Training && !is_data
    };
    let mut changed = new
        .iter()
        .filter(|(key, value)| old.get(*key) != Some(*value));
    match changed.find(|(key, _)| is_of_training(key)) {
        None => Ok(()),
        Some((key, value)) => {
            let run = old.get(key).map_or("not set", String::as_str);
            Err(TrainError::config(format!(
                "{key} = {value} belongs to training, and the run is trained ({key} is {run} there); keys of \
                 `evaluation` and `data` can be set"
            )))
        }
    }
}

impl Origin {
    /// The origin of a configuration and its data.
    ///
    /// # Errors
    ///
    /// [`TrainError::Data`] if samples cannot be read.
    pub(crate) fn new<P: Pipeline>(
        config: &RunConfig,
        training: &Loader<P>,
        validation: &Loader<P>,
    ) -> Result<Self, TrainError> {
        let all = settings(config)?;
        let of = |decides| {
            let chosen = all
                .iter()
                .filter(move |(key, _)| Effect::of(key) == decides);
            chosen
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect()
        };
        Ok(Self {
            settings: of(Effect::Training),
            evaluation: of(Effect::Scores),
            training_data: training.fingerprint()?,
            validation_data: validation.fingerprint()?,
        })
    }

    /// Checks that settings and data are the same; `path` is the checkpoint.
    ///
    /// # Errors
    ///
    /// [`TrainError::OtherSetting`] with the first key that has changed, [`TrainError::OtherData`] if the data
    /// has changed.
    pub(crate) fn require(&self, present: &Self, path: &Path) -> Result<(), TrainError> {
        require_settings(&self.settings, &present.settings, path)?;
        let data = [
            (Split::Train, &self.training_data, &present.training_data),
            (Split::Val, &self.validation_data, &present.validation_data),
        ];
        match data.into_iter().find(|(_, old, new)| old != new) {
            None => Ok(()),
            Some((split, ..)) => Err(TrainError::OtherData {
                path: path.to_path_buf(),
                split,
            }),
        }
    }

    /// Checks that a configuration describes the model that was trained; `path` is the checkpoint.
    ///
    /// # Errors
    ///
    /// [`TrainError::OtherSetting`] with the first key that has changed.
    pub(crate) fn require_model(&self, config: &RunConfig, path: &Path) -> Result<(), TrainError> {
        let of_model = |settings: &Settings| {
            let chosen = settings.iter().filter(|(key, _)| Effect::is_of_model(key));
            chosen
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect::<Settings>()
        };
        require_settings(
            &of_model(&self.settings),
            &of_model(&settings(config)?),
            path,
        )
    }

    /// Whether the scores of the two runs are comparable.
    pub(crate) fn scores_as(&self, other: &Self) -> bool {
        self.evaluation == other.evaluation
    }
}

fn require_settings(old: &Settings, new: &Settings, path: &Path) -> Result<(), TrainError> {
    let keys = old.keys().chain(new.keys());
    match keys.into_iter().find(|key| old.get(*key) != new.get(*key)) {
        None => Ok(()),
        Some(key) => Err(TrainError::OtherSetting {
            path: path.to_path_buf(),
            key: key.clone(),
            trained_with: old.get(key).cloned(),
            present: new.get(key).cloned(),
        }),
    }
}

/// All keys of a configuration: `section.key`.
fn settings(config: &RunConfig) -> Result<Settings, TrainError> {
    let table = to_table(config).map_err(|error| TrainError::Config {
        origin: "configuration".to_string(),
        reason: error.to_string(),
    })?;
    let mut settings = Settings::new();
    flatten(String::new(), Value::Table(table), &mut settings);
    Ok(settings)
}

fn flatten(key: String, value: Value, settings: &mut Settings) {
    match value {
        Value::Table(table) => {
            for (name, value) in table {
                let below = match key.is_empty() {
                    true => name,
                    false => format!("{key}.{name}"),
                };
                flatten(below, value, settings);
            }
        }
        value => {
            settings.insert(key, value.to_string());
        }
    }
}
