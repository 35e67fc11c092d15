//! Reading a configuration, or one section of it.

use std::path::Path;

use gradway_adapters::MethodConfig;
use gradway_data::DatasetConfig;
use toml::{Table, Value};

use super::RunConfig;
use super::fault::CHECKED;
use super::overrides::Overrides;
use super::sections::name_of;
use super::source::Source;
use crate::error::TrainError;

/// Reads a TOML file, merges it over its `base` (a path beside it), applies `key=value` overrides, and checks
/// the result. Relative paths of files and folders are resolved against the working directory; the
/// configuration holds absolute paths.
///
/// # Errors
///
/// [`TrainError::Key`] with the file or override, the key, its value and the expected value;
/// [`TrainError::Config`] if a file cannot be read.
pub fn load(path: &Path, overrides: &[String]) -> Result<RunConfig, TrainError> {
    let overrides = Overrides::set(overrides)?;
    Source::file(path)?.under(overrides).config()
}

/// As [`load`], for a text without a `base`; `origin` names its file in messages.
///
/// # Errors
///
/// As [`load`].
pub fn parse(text: &str, origin: &str, overrides: &[String]) -> Result<RunConfig, TrainError> {
    let overrides = Overrides::set(overrides)?;
    Source::text(text, origin)?.under(overrides).config()
}

/// Returns the configuration of a method by its name, with overrides such as `method.form=kernel`.
///
/// # Errors
///
/// As [`load`], and if an override is not about the method.
pub fn method(name: &str, overrides: &[String]) -> Result<MethodConfig, TrainError> {
    let source = tagged("--method", "method.name", name, Overrides::set(overrides)?)?;
    let method: MethodConfig = source.section("method")?;
    let checked = method.validate();
    checked.map_err(|reason| {
        source.blame(TrainError::Config {
            origin: CHECKED.to_string(),
            reason,
        })
    })?;
    Ok(method)
}

/// Returns the configuration of a dataset by its format and root, with overrides such as `data.images=photos`.
///
/// # Errors
///
/// As [`load`], and if an override is not about the data.
pub fn dataset(
    format: &str,
    root: &Path,
    overrides: &[String],
) -> Result<DatasetConfig, TrainError> {
    let mut overrides = Overrides::set(overrides)?;
    overrides.choose("PATH", "data.root", root.display().to_string())?;
    tagged("--format", "data.format", format, overrides)?.section("data")
}

/// Reads a section whose variant is given by a command-line option.
fn tagged(
    option: &str,
    key: &str,
    value: &str,
    mut overrides: Overrides,
) -> Result<Source, TrainError> {
    overrides.choose(option, key, value)?;
    Ok(Source::table(option, Table::new()).under(overrides))
}

/// One of the methods of a comparison.
#[derive(Debug, Clone)]
pub struct MethodOverrides {
    /// Name of the method.
    pub method: String,
    /// The overrides with the method's name, without those for keys that it does not have.
    pub overrides: Overrides,
    /// Keys of the overrides that it does not have but other methods do.
    pub left_out: Vec<String>,
}

impl Overrides {
    /// Returns the overrides of each method that an option names. Entries of `[method]`, such as
    /// `method.rank=8`, apply to the methods that have the key.
    ///
    /// # Errors
    ///
    /// [`TrainError::Key`] if a method is not in the table, no method has a key, or an entry sets the method's
    /// name itself.
    pub fn by_method(
        &self,
        option: &str,
        methods: &[impl AsRef<str>],
    ) -> Result<Vec<MethodOverrides>, TrainError> {
        let compared = methods.iter().map(|method| {
            let method = method.as_ref();
            let mut overrides = self.clone();
            overrides.choose(option, "method.name", method)?;
            refuse_unknown_method(option, method)?;
            let left_out = overrides.take_out("method", |key| key == "name" || has(method, key));
            Ok(MethodOverrides {
                method: method.to_string(),
                overrides,
                left_out,
            })
        });
        let compared = compared.collect::<Result<Vec<MethodOverrides>, TrainError>>()?;
        let Some((first, rest)) = compared.split_first() else {
            return Ok(compared);
        };
        let is_nobodys = |key: &&String| rest.iter().all(|other| other.left_out.contains(key));
        if first.left_out.iter().any(|key| is_nobodys(&key)) {
            let mut overrides = self.clone();
            overrides.choose(option, "method.name", first.method.as_str())?;
            let source = Source::table(option, Table::new()).under(overrides.only("method"));
            source.section::<MethodConfig>("method")?;
        }
        Ok(compared)
    }
}

/// Whether a method has a key.
fn has(method: &str, key: &str) -> bool {
    let entries = [("name", Value::from(method)), (key, Value::from("?"))];
    let entries = entries.map(|(key, value)| (key.to_string(), value));
    let found: Result<MethodConfig, toml::de::Error> =
        Value::Table(Table::from_iter(entries)).try_into();
    let complaint = found.err();
    complaint.is_none_or(|error| {
        !error
            .message()
            .starts_with(&format!("unknown field `{key}`"))
    })
}

fn refuse_unknown_method(option: &str, name: &str) -> Result<(), TrainError> {
    let section = Table::from_iter([("name".to_string(), Value::from(name))]);
    let table = Table::from_iter([("method".to_string(), Value::Table(section))]);
    match name_of(&table) {
        None => Ok(()),
        Some(fault) => Err(TrainError::Key {
            origin: option.to_string(),
            reason: fault.reason,
            hint: fault.hint,
        }),
    }
}

/// Returns a configuration as the text of a TOML file that [`load`] reads; its paths are absolute.
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

/// The origin in errors of checks that do not know where the values come from.
pub(super) const CHECKED: &str = "configuration";

/// The field of a configuration that holds the tables of the task.
const TASK: &str = "task";
const TASK_TABLES: [&str; 5] = ["head", "loss", "augment", "evaluation", "tasks"];

/// The top-level keys of a file besides the tables of its task.
const SECTIONS: [&str; 8] = [
    "seed",
    "backbone",
    "method",
    "data",
    "loader",
    "optimizer",
    "schedule",
    "train",
];

/// The tables of a task.
fn tables_of(task: TaskKind) -> &'static [&'static str] {
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
        if key == "weights" && text == EMBEDDED {
            continue;
        }
        // A path that is not UTF-8 does not come from a file, and stays as it is.
        if let Some(path) = paths::absolute(Path::new(&*text)).to_str() {
            *text = path.to_string();
        }
    }
}

/// Reads the configuration of a run from a table.
pub(super) fn read_run(mut table: Table) -> Result<RunConfig, Fault> {
    if let Some(fault) = name_of(&table) {
        return Err(fault);
    }
    resolve_paths(&mut table);
    let task = nest(&mut table)?;
    let keys = [&SECTIONS[..], tables_of(task)].concat();
    let top = Top {
        nested: &[TASK, task.name()],
        keys: &keys,
    };
    let read = |table: Table| RunConfig::deserialize(Value::Table(table));
    read(table.clone())
        .map_err(|error| fault::of_table(&table, &top, |table| read(table).err(), &error))
}

/// One section alone.
pub(super) fn read_section<T: DeserializeOwned>(table: Table, name: &str) -> Result<T, Fault> {
    if let Some(fault) = name_of(&table) {
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
    read(table.clone())
        .map_err(|error| fault::of_table(&table, &top, |table| read(table).err(), &error))
}

/// Moves the tables of the task to where [`RunConfig`] has them. The name of the head determines the task.
fn nest(table: &mut Table) -> Result<TaskKind, Fault> {
    if table.contains_key(TASK) {
        let fault = Fault::new(&[TASK], format!("unknown field `{TASK}`"));
        return Err(fault.hint("`head.name` determines the task"));
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
            let reason = format!("head.name = {other}; it must be a string in quotes");
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

/// The error for a name that is not in a table, with the nearest one: a clearer message than the list of variants.
fn name_of(table: &Table) -> Option<Fault> {
    let names: [([&str; 2], &str, &str, Vec<&'static str>); 4] = [
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
        let name = fault::get(table, &path)?.as_str()?;
        let is_known = names.contains(&name);
        (!is_known).then(|| fault::unknown_name(path, what, name, &names, list))
    })
}

#[cfg(test)]
mod tests;
