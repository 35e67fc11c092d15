//! Reading a configuration: bases, overrides, and errors that name file and key.

use std::path::{Path, PathBuf};

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
    let mut table = read(path, MAXIMUM_BASES)?;
    for entry in overrides {
        set(&mut table, entry)?;
    }
    let origin = path.display().to_string();
    let config: RunConfig = parse(table).map_err(|reason| TrainError::Config { origin, reason })?;
    config.validate()?;
    Ok(config)
}

fn parse(table: Table) -> Result<RunConfig, String> {
    if let Some(reason) = unknown_name(&table) {
        return Err(reason);
    }
    Value::Table(table)
        .try_into()
        .map_err(|error| error.to_string().trim_end().to_string())
}

/// A method or head whose name is in no table, with the nearest one: a clearer answer than the list
/// of variants.
fn unknown_name(table: &Table) -> Option<String> {
    let methods = gradway_adapters::table().iter().map(|line| line.name);
    let heads = gradway_heads::table().iter().map(|line| line.name);
    let sections: [(&str, Vec<&str>); 2] = [("method", methods.collect()), ("head", heads.collect())];
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
    let wrong = |reason: String| TrainError::Config {
        origin: path.display().to_string(),
        reason,
    };
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    let mut table: Table = text.parse().map_err(|error: toml::de::Error| wrong(error.to_string()))?;
    let Some(base) = table.remove("base") else {
        return Ok(table);
    };
    let Some(base) = base.as_str() else {
        return Err(wrong("`base` must be a path".to_string()));
    };
    if bases == 0 {
        return Err(wrong(format!("more than {MAXIMUM_BASES} bases; do they form a circle?")));
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
                    new.get(*tag).is_some_and(|name| old.get(*tag) != Some(name))
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
    let wrong = |reason: &str| TrainError::Config {
        origin: format!("--set {entry}"),
        reason: reason.to_string(),
    };
    let (path, text) = entry
        .split_once('=')
        .ok_or_else(|| wrong("expected key=value"))?;
    let value = format!("value = {text}")
        .parse::<Table>()
        .ok()
        .and_then(|mut table| table.remove("value"))
        .unwrap_or_else(|| Value::String(text.to_string()));
    let mut keys: Vec<&str> = path.split('.').collect();
    if keys.iter().any(|key| key.is_empty()) {
        return Err(wrong("the key has an empty part"));
    }
    let Some(last) = keys.pop() else {
        return Err(wrong("the key is empty"));
    };
    let mut wrapped = Table::from_iter([(last.to_string(), value)]);
    for key in keys.into_iter().rev() {
        wrapped = Table::from_iter([(key.to_string(), Value::Table(wrapped))]);
    }
    merge(table, wrapped);
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
