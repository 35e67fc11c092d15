//! Between a table as a file has it and the types of a configuration.

use std::path::Path;

use gradway_backbone::{BackboneDescriptor, WeightSource};
use gradway_data::{TaskKind, paths};
use gradway_heads::HeadTask;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::RunConfig;
use super::fault::{self, Fault, Top};
use super::layer::get;
use crate::schedule::Decay;

/// A configuration as a file holds it, which [`load`](super::load) reads; its paths are in full.
///
/// # Errors
///
/// What the format cannot hold.
pub fn to_toml(config: &RunConfig) -> Result<String, toml::ser::Error> {
    let mut table = to_table(config)?;
    resolve_paths(&mut table);
    toml::to_string(&table)
}

/// The same as a table.
///
/// # Errors
///
/// As [`to_toml`].
pub(crate) fn to_table(config: &RunConfig) -> Result<Table, toml::ser::Error> {
    let mut table = Table::try_from(config)?;
    // The task is told by its head.
    if let Some(Value::Table(task)) = table.remove(TASK) {
        let tables = task.into_iter().filter_map(|(_, tables)| match tables {
            Value::Table(tables) => Some(tables),
            _ => None,
        });
        table.extend(tables.flatten());
    }
    Ok(table)
}

/// The field of a configuration that holds the tables of the task.
const TASK: &str = "task";
const TASK_TABLES: [&str; 5] = ["head", "loss", "augment", "evaluation", "tasks"];

/// The top-level keys of a file besides the tables of its task.
pub(super) const SECTIONS: [&str; 9] = [
    "seed",
    "backbone",
    "method",
    "neck",
    "data",
    "loader",
    "optimizer",
    "schedule",
    "train",
];

/// The tables of a task.
pub(super) fn tables_of(task: TaskKind) -> &'static [&'static str] {
    match task {
        TaskKind::Segmentation => &["head", "loss", "augment", "evaluation"],
        TaskKind::Detection => &["head", "augment", "evaluation"],
        TaskKind::MultiTask => &["tasks", "head", "augment", "evaluation"],
    }
}

/// Keys that hold the path of a file or folder.
const PATHS: [[&str; 2]; 3] = [["data", "root"], ["backbone", "weights"], ["tasks", "base"]];

/// Makes relative paths absolute, so that a run can be used from another folder.
fn resolve_paths(table: &mut Table) {
    for [section, key] in PATHS {
        let section = table.get_mut(section).and_then(Value::as_table_mut);
        let Some(Value::String(text)) = section.and_then(|section| section.get_mut(key)) else {
            continue;
        };
        if key == "weights" && !WeightSource::is_path(text) {
            continue;
        }
        // A path that is not UTF-8 does not come from a file, and stays as it is.
        if let Some(path) = paths::absolute(Path::new(&*text)).to_str() {
            *text = path.to_string();
        }
    }
}

/// Reads the configuration of a run from a table, which may be on a backbone of another crate.
pub(super) fn read_run(
    mut table: Table,
    own: Option<&BackboneDescriptor>,
) -> Result<RunConfig, Fault> {
    if let Some(fault) = own_name_of(&table, own).or_else(|| name_of(&table, own.is_some())) {
        return Err(fault);
    }
    resolve_paths(&mut table);
    name_decay(&mut table);
    let task = nest(&mut table)?;
    if let Some(fault) = views_of_a_detector(&table, task) {
        return Err(fault);
    }
    let keys = [&SECTIONS[..], tables_of(task)].concat();
    let top = Top {
        nested: &[TASK, task.name()],
        keys: &keys,
    };
    read_table(&table, &top, |table| {
        RunConfig::deserialize(Value::Table(table))
    })
}

/// One section alone.
pub(super) fn read_section<T: DeserializeOwned>(table: Table, name: &str) -> Result<T, Fault> {
    if let Some(fault) = name_of(&table, false) {
        return Err(fault);
    }
    let top = Top {
        nested: &[],
        keys: &[name],
    };
    let read = |mut table: Table| {
        let section = table.remove(name);
        let section = section.unwrap_or(Value::Table(Table::new()));
        T::deserialize(section)
    };
    read_table(&table, &top, read)
}

/// Reads a type from a table.
fn read_table<T>(
    table: &Table,
    top: &Top<'_>,
    read: impl Fn(Table) -> Result<T, toml::de::Error>,
) -> Result<T, Fault> {
    let complaint = |table: Table| read(table).err();
    if let Some(fault) = fault::of_list(table, top, complaint) {
        return Err(fault);
    }
    read(table.clone()).map_err(|error| fault::of_table(table, top, complaint, &error))
}

/// A decay without a name is the default one.
fn name_decay(table: &mut Table) {
    let schedule = table.get_mut("schedule").and_then(Value::as_table_mut);
    let decay = schedule.and_then(|schedule| schedule.get_mut("decay"));
    let default = Table::try_from(Decay::default()).ok();
    let name = default.and_then(|mut default| default.remove("name"));
    if let (Some(Value::Table(decay)), Some(name)) = (decay, name) {
        decay.entry("name").or_insert(name);
    }
}

/// Moves the tables of the task to where [`RunConfig`] has them. The name of the head determines the task.
fn nest(table: &mut Table) -> Result<TaskKind, Fault> {
    if table.contains_key(TASK) {
        let fault = Fault::new(&[TASK], format!("unknown field `{TASK}`"));
        return Err(fault.hint("`head.name` tells the task"));
    }
    let Some(head) = table.get("head") else {
        return Err(Fault::missing(&["head"], "missing table `head`"));
    };
    let name = match (head, head.get("name")) {
        (Value::Table(_), None) => {
            return Err(Fault::missing(&["head", "name"], "missing key `head.name`"));
        }
        (_, Some(Value::String(name))) => name,
        (_, Some(other)) => {
            let reason = format!("head.name = {other}; it must be a text, in quotes");
            return Err(Fault::new(&["head", "name"], reason));
        }
        (other, None) => {
            let reason = format!("head = {other}; it must be a table");
            return Err(Fault::new(&["head"], reason));
        }
    };
    let line = gradway_heads::table().iter().find(|line| line.name == name);
    let task = match line.map_or(HeadTask::Segmentation, |line| line.task) {
        HeadTask::Segmentation if table.contains_key("tasks") => TaskKind::MultiTask,
        HeadTask::Segmentation => TaskKind::Segmentation,
        HeadTask::Detection => TaskKind::Detection,
    };
    let tables = TASK_TABLES
        .into_iter()
        .filter_map(|key| Some((key.to_string(), table.remove(key)?)));
    let tables = Value::Table(tables.collect());
    let tagged = Table::from_iter([(task.name().to_string(), tables)]);
    table.insert(TASK.to_string(), Value::Table(tagged));
    Ok(task)
}

/// The error for keys that say how images are seen in the evaluation of dense tasks, where a detector is evaluated.
fn views_of_a_detector(table: &Table, task: TaskKind) -> Option<Fault> {
    if task != TaskKind::Detection {
        return None;
    }
    let of_task = |section, key| get(table, &[TASK, task.name(), section, key]);
    ["size", "flip", "scales"].into_iter().find_map(|key| {
        let value = fault::shortened(of_task("evaluation", key)?);
        let head = fault::shortened(of_task("head", "name")?);
        let reason = format!(
            "evaluation.{key} = {value}, but head.name = {head} is a detector, which sees every image once and whole; \
             the key is for segmentation and several dense tasks"
        );
        let hint = "`evaluation.scale` is the size that the images of a detector are resized to fit";
        Some(Fault::new(&["evaluation", key], reason).hint(hint))
    })
}

/// The error for another name than that of the backbone of another crate.
fn own_name_of(table: &Table, own: Option<&BackboneDescriptor>) -> Option<Fault> {
    let (own, path) = (own?.name, ["backbone", "name"]);
    let name = get(table, &path)?.as_str()?;
    let reason = format!("backbone.name = \"{name}\", but the backbone of this program is `{own}`");
    (name != own).then(|| Fault::new(&path, reason))
}

/// The error for a name that is not in a table, with the nearest one: a clearer message than the list of variants.
/// `is_own` of a configuration whose backbone is of another crate.
pub(super) fn name_of(table: &Table, is_own: bool) -> Option<Fault> {
    let names: [([&str; 2], &str, &str, Vec<&'static str>); 5] = [
        (
            ["backbone", "name"],
            "backbone",
            "backbones",
            gradway_backbone::table()
                .iter()
                .map(|line| line.name)
                .collect(),
        ),
        (
            ["method", "name"],
            "method",
            "methods",
            gradway_adapters::table()
                .iter()
                .map(|line| line.name)
                .collect(),
        ),
        (
            ["neck", "name"],
            "neck",
            "necks",
            gradway_heads::neck::table()
                .iter()
                .map(|line| line.name)
                .collect(),
        ),
        (
            ["head", "name"],
            "head",
            "heads",
            gradway_heads::table()
                .iter()
                .map(|line| line.name)
                .collect(),
        ),
        (
            ["data", "format"],
            "format",
            "datasets",
            gradway_data::table().iter().map(|line| line.name).collect(),
        ),
    ];
    names.into_iter().find_map(|(path, what, list, names)| {
        let name = get(table, &path)?.as_str()?;
        let is_known = names.contains(&name) || (is_own && what == "backbone");
        (!is_known).then(|| fault::unknown_name(path, what, name, &names, list))
    })
}
