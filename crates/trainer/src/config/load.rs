//! Reading a configuration: bases, overrides, and errors that name file and key.

use std::path::{Path, PathBuf};

use gradway_adapters::MethodConfig;
use gradway_data::{DatasetConfig, Task};
use gradway_heads::HeadTask;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::RunConfig;
use crate::error::TrainError;

/// Bases of bases a configuration may have; more is a circle.
const MAXIMUM_BASES: usize = 8;

/// Reads a TOML file, merges it over its `base` (a path beside it), applies `key=value` overrides,
/// and checks the result.
///
/// # Errors
///
/// [`TrainError::Config`] that names the file or override, the key and what would be right.
pub fn load(path: &Path, overrides: &[String]) -> Result<RunConfig, TrainError> {
    resolve(
        read(path, MAXIMUM_BASES)?,
        &path.display().to_string(),
        overrides,
    )
}

/// As [`load`], of a text that names no base; `origin` stands for its file in messages.
///
/// # Errors
///
/// As [`load`].
pub fn parse(text: &str, origin: &str, overrides: &[String]) -> Result<RunConfig, TrainError> {
    resolve(table_of(text, origin)?, origin, overrides)
}

/// The configuration of a method by its name, with overrides such as `method.form=kernel`.
///
/// # Errors
///
/// As [`load`], and an override of anything but the method.
pub fn method(name: &str, overrides: &[String]) -> Result<MethodConfig, TrainError> {
    let method: MethodConfig = section("method", ("name", name), overrides)?;
    method
        .validate()
        .map_err(|reason| wrong("configuration", reason))?;
    Ok(method)
}

/// The configuration of a dataset by its format and root, with overrides such as
/// `data.images=photos`.
///
/// # Errors
///
/// As [`load`], and an override of anything but the data.
pub fn dataset(
    format: &str,
    root: &Path,
    overrides: &[String],
) -> Result<DatasetConfig, TrainError> {
    let mut all = vec![format!(
        "data.root={}",
        Value::from(root.display().to_string())
    )];
    all.extend_from_slice(overrides);
    section("data", ("format", format), &all)
}

/// One section alone: a table with its tag, and overrides of its keys.
fn section<T: DeserializeOwned>(
    name: &str,
    (tag, value): (&str, &str),
    overrides: &[String],
) -> Result<T, TrainError> {
    let tagged = Table::from_iter([(tag.to_string(), Value::from(value))]);
    let mut table = Table::from_iter([(name.to_string(), Value::Table(tagged))]);
    for entry in overrides {
        set(&mut table, entry)?;
    }
    if let Some(key) = table.keys().find(|key| *key != name) {
        return Err(wrong(
            "--set",
            format!("only keys of `{name}` count here, not `{key}`"),
        ));
    }
    if let Some(reason) = unknown_name(&table) {
        return Err(wrong("configuration", reason));
    }
    let section = table.remove(name).unwrap_or(Value::Table(Table::new()));
    section
        .try_into()
        .map_err(|error: toml::de::Error| wrong(name, error.to_string().trim_end()))
}

/// A configuration as a file holds it, which [`load`] reads.
///
/// # Errors
///
/// What the format cannot hold.
pub fn to_toml(config: &RunConfig) -> Result<String, toml::ser::Error> {
    toml::to_string(&to_table(config)?)
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

/// The field of a configuration that stands for these tables of a file.
const TASK: &str = "task";
const TASK_TABLES: [&str; 5] = ["head", "loss", "augment", "evaluation", "tasks"];

fn resolve(mut table: Table, origin: &str, overrides: &[String]) -> Result<RunConfig, TrainError> {
    for entry in overrides {
        set(&mut table, entry)?;
    }
    if let Some(reason) = unknown_name(&table) {
        return Err(wrong(origin, reason));
    }
    nest(&mut table).map_err(|reason| wrong(origin, reason))?;
    let config: RunConfig = Value::Table(table)
        .try_into()
        .map_err(|error: toml::de::Error| {
            // The path of a key as the file has it.
            let reason = error.to_string().replace(&format!("`{TASK}."), "`");
            wrong(origin, reason.trim_end())
        })?;
    config.validate()?;
    Ok(config)
}

/// Moves the tables of the task, which the head's name tells, to where [`RunConfig`] has them.
fn nest(table: &mut Table) -> Result<(), String> {
    if table.contains_key(TASK) {
        return Err(format!("unknown key `{TASK}`; `head.name` tells the task"));
    }
    let head = table.get("head").ok_or("missing table `head`")?;
    let name = head.get("name").and_then(Value::as_str);
    let name = name.ok_or("missing key `head.name`, a string")?;
    let line = gradway_heads::table().iter().find(|line| line.name == name);
    let task = match line.map_or(HeadTask::Segmentation, |line| line.task) {
        HeadTask::Segmentation if table.contains_key("tasks") => Task::MultiTask,
        HeadTask::Segmentation => Task::Segmentation,
        HeadTask::Detection => Task::Detection,
    };
    let task = task.name();
    let tables = TASK_TABLES
        .into_iter()
        .filter_map(|key| Some((key.to_string(), table.remove(key)?)));
    let tables = Value::Table(tables.collect());
    let tagged = Table::from_iter([(task.to_string(), tables)]);
    table.insert(TASK.to_string(), Value::Table(tagged));
    Ok(())
}

fn wrong(origin: &str, reason: impl Into<String>) -> TrainError {
    TrainError::Config {
        origin: origin.to_string(),
        reason: reason.into(),
    }
}

fn table_of(text: &str, origin: &str) -> Result<Table, TrainError> {
    text.parse()
        .map_err(|error: toml::de::Error| wrong(origin, error.to_string()))
}

/// A method or head whose name is in no table, with the nearest one: a clearer answer than the list
/// of variants.
fn unknown_name(table: &Table) -> Option<String> {
    let methods = gradway_adapters::table().iter().map(|line| line.name);
    let heads = gradway_heads::table().iter().map(|line| line.name);
    let sections: [(&str, Vec<&str>); 2] =
        [("method", methods.collect()), ("head", heads.collect())];
    sections.into_iter().find_map(|(section, names)| {
        let name = table.get(section)?.get("name")?.as_str()?;
        if names.contains(&name) {
            return None;
        }
        let nearest = names
            .iter()
            .max_by(|a, b| strsim::jaro(name, a).total_cmp(&strsim::jaro(name, b)))
            .filter(|known| strsim::jaro(name, known) > 0.7)
            .map(|known| format!("; did you mean `{known}`?"))
            .unwrap_or_default();
        Some(format!(
            "unknown {section} `{name}`{nearest} Known: {}",
            names.join(", ")
        ))
    })
}

fn read(path: &Path, bases: usize) -> Result<Table, TrainError> {
    let origin = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| wrong(&origin, error.to_string()))?;
    let mut table = table_of(&text, &origin)?;
    let Some(base) = table.remove("base") else {
        return Ok(table);
    };
    let Some(base) = base.as_str() else {
        return Err(wrong(&origin, "`base` must be a path"));
    };
    if bases == 0 {
        let reason = format!("more than {MAXIMUM_BASES} bases; do they form a circle?");
        return Err(wrong(&origin, reason));
    }
    let beside: PathBuf = path.parent().unwrap_or(Path::new(".")).join(base);
    let mut merged = read(&beside, bases - 1)?;
    merge(&mut merged, table);
    Ok(merged)
}

/// Tables merge key by key; everything else is replaced. A table that names another variant
/// (`name`, `format`) replaces the old one whole, whose other keys would not belong to it.
fn merge(into: &mut Table, from: Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Table(old)), Value::Table(new)) => {
                let other_variant = ["name", "format"].iter().any(|tag| {
                    new.get(*tag)
                        .is_some_and(|name| old.get(*tag) != Some(name))
                });
                if other_variant {
                    *old = new;
                } else {
                    merge(old, new);
                }
            }
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

/// Applies `dotted.key=value`; the value is TOML, or a string where it is no TOML.
fn set(table: &mut Table, entry: &str) -> Result<(), TrainError> {
    let refuse = |reason: &str| wrong(&format!("--set {entry}"), reason);
    let (path, text) = entry
        .split_once('=')
        .ok_or_else(|| refuse("expected key=value"))?;
    let value = format!("value = {text}")
        .parse::<Table>()
        .ok()
        .and_then(|mut table| table.remove("value"))
        .unwrap_or_else(|| Value::from(text));
    if path.split('.').any(str::is_empty) {
        return Err(refuse("the key has an empty part"));
    }
    let wrapped = path.rsplit('.').fold(value, |inner, key| {
        Value::Table(Table::from_iter([(key.to_string(), inner)]))
    });
    if let Value::Table(wrapped) = wrapped {
        merge(table, wrapped);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Table {
        text.parse().expect("a table")
    }

    #[test]
    fn overrides_reach_into_tables_and_parse_values() {
        let mut config = table("[method]\nname = 'e3va'\nform = 'plain'\n");
        set(&mut config, "method.form=kernel").expect("a string without quotes");
        set(&mut config, "method.rank=8").expect("a number");
        set(&mut config, "augment.crop_size=[4, 5]").expect("a new table");
        let expected = table(
            "[method]\nname = 'e3va'\nform = 'kernel'\nrank = 8\n[augment]\ncrop_size = [4, 5]\n",
        );
        assert_eq!(config, expected);
    }

    #[test]
    fn another_variant_replaces_the_table() {
        let mut config = table("[method]\nname = 'e3va'\nform = 'plain'\n");
        set(&mut config, "method.name=full").expect("an override");
        assert_eq!(config, table("[method]\nname = 'full'\n"));
    }

    #[test]
    fn an_override_without_a_value_is_refused() {
        let error = set(&mut Table::new(), "seed").expect_err("no value");
        assert_eq!(error.to_string(), "--set seed: expected key=value");
    }
}
