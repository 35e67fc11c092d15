//! Where a configuration comes from: files, what is laid over them, and which of them a key stands in.

use std::path::Path;

use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::fault::{self, Fault};
use super::overrides::Overrides;
use super::{RunConfig, load};
use crate::error::TrainError;

/// Bases of bases a configuration may have; more is a circle.
const MAXIMUM_BASES: usize = 8;

/// Keys whose value says which other keys there are.
pub(super) const TAGS: [&str; 2] = ["name", "format"];

/// Keys, and what stands for their origin in messages: a file, or an option.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    pub(super) origin: String,
    pub(super) table: Table,
}

impl Layer {
    /// Whether it gives a key, or a table in its place.
    pub(super) fn has(&self, path: &[&str]) -> bool {
        fault::get(&self.table, path).is_some()
    }
}

/// A configuration that is yet to be read: its files, bases first, and what is laid over them.
#[derive(Debug, Clone)]
pub struct Source {
    files: Vec<Layer>,
    overrides: Overrides,
}

impl Source {
    /// A TOML file and its bases, each named by the one above it: `base = "other.toml"`, a path beside it.
    ///
    /// # Errors
    ///
    /// [`TrainError::Config`]: a file that cannot be read or is no TOML.
    pub fn file(path: &Path) -> Result<Self, TrainError> {
        let mut files = Vec::new();
        read(path, MAXIMUM_BASES, &mut files)?;
        Ok(Self {
            files,
            overrides: Overrides::default(),
        })
    }

    /// A text that names no base; `origin` stands for its file in messages.
    ///
    /// # Errors
    ///
    /// [`TrainError::Config`]: it is no TOML.
    pub fn text(text: &str, origin: &str) -> Result<Self, TrainError> {
        let table = table_of(text, origin)?;
        Ok(Self {
            files: vec![Layer {
                origin: origin.to_string(),
                table,
            }],
            overrides: Overrides::default(),
        })
    }

    /// A table that an option stands for.
    pub(super) fn table(origin: &str, table: Table) -> Self {
        Self {
            files: vec![Layer {
                origin: origin.to_string(),
                table,
            }],
            overrides: Overrides::default(),
        }
    }

    /// The same under overrides.
    pub fn under(self, overrides: Overrides) -> Self {
        Self { overrides, ..self }
    }

    /// The configuration.
    ///
    /// # Errors
    ///
    /// [`TrainError::Key`] that names the file or option, the key, its value and what would be right.
    pub fn config(&self) -> Result<RunConfig, TrainError> {
        let table = self.merged();
        let found = load::read_run(table);
        let config = found.map_err(|fault| self.error(fault))?;
        config.validate().map_err(|error| self.blame(error))?;
        Ok(config)
    }

    /// One section alone.
    pub(super) fn section<T: DeserializeOwned>(&self, name: &str) -> Result<T, TrainError> {
        let table = self.merged();
        if let Some(key) = table.keys().find(|key| *key != name) {
            let reason = format!("only keys of `{name}` are allowed here, not `{key}`");
            return Err(self.error(Fault::new(&[key], reason)));
        }
        load::read_section(table, name).map_err(|fault| self.error(fault))
    }

    /// An error that says nothing of its origin, with the file or option that has the key it speaks of.
    pub fn blame(&self, error: TrainError) -> TrainError {
        match fault::of_validation(error, &self.merged()) {
            Ok(fault) => self.error(fault),
            Err(error) => error,
        }
    }

    fn error(&self, fault: Fault) -> TrainError {
        TrainError::Key {
            origin: self.origin(&fault).to_string(),
            reason: fault.reason,
            hint: fault.hint,
        }
    }

    /// The weightiest layer that has one of the keys of a fault; of a key that is missing, the one that asks
    /// for it.
    fn origin(&self, fault: &Fault) -> &str {
        let mut weighty: Vec<&Layer> = self.overrides.layers().collect();
        weighty.reverse();
        weighty.extend(self.files.iter().rev());
        let having = |path: &[String]| {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            weighty.iter().position(|layer| layer.has(&path))
        };
        let found = if fault.is_missing {
            fault.keys.first().and_then(|key| {
                let (_, table) = key.split_last()?;
                let tag = |tag: &&str| having(&[table, &[(*tag).to_string()]].concat());
                let tagged = TAGS.iter().filter_map(tag).min();
                tagged.or_else(|| having(table).filter(|_| !table.is_empty()))
            })
        } else {
            fault.keys.iter().filter_map(|key| having(key)).min()
        };
        let layer = found.and_then(|index| weighty.get(index).copied());
        let layer = layer.or(self.files.last());
        layer.map_or("configuration", |layer| &layer.origin)
    }

    /// Files and overrides as one table.
    fn merged(&self) -> Table {
        let mut table = Table::new();
        for layer in &self.files {
            merge(&mut table, layer.table.clone());
        }
        let mut over = Table::new();
        for layer in self.overrides.layers() {
            join(&mut over, layer.table.clone());
        }
        merge(&mut table, over);
        table
    }
}

fn wrong(origin: &str, reason: impl Into<String>) -> TrainError {
    TrainError::Config {
        origin: origin.to_string(),
        reason: reason.into(),
    }
}

fn table_of(text: &str, origin: &str) -> Result<Table, TrainError> {
    text.parse()
        .map_err(|error: toml::de::Error| wrong(origin, error.to_string().trim_end()))
}

/// Reads a file and its bases, bases first.
fn read(path: &Path, bases: usize, layers: &mut Vec<Layer>) -> Result<(), TrainError> {
    let origin = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| wrong(&origin, error.to_string()))?;
    let mut table = table_of(&text, &origin)?;
    if let Some(base) = table.remove("base") {
        let Some(base) = base.as_str() else {
            let reason = format!("base = {base}; it must be a path, in quotes");
            return Err(wrong(&origin, reason));
        };
        if bases == 0 {
            let reason = format!("more than {MAXIMUM_BASES} bases; do they form a cycle?");
            return Err(wrong(&origin, reason));
        }
        let beside = path.parent().unwrap_or(Path::new(".")).join(base);
        read(&beside, bases - 1, layers)?;
    }
    layers.push(Layer { origin, table });
    Ok(())
}

/// Tables merge key by key; everything else is replaced. A table that names another variant
/// (`name`, `format`) replaces the old one whole, whose other keys would not belong to it.
fn merge(into: &mut Table, from: Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Table(old)), Value::Table(new)) => {
                let other_variant = TAGS.iter().any(|tag| {
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

/// Tables merge key by key, whatever they name; everything else is replaced.
fn join(into: &mut Table, from: Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Table(old)), Value::Table(new)) => join(old, new),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Table {
        text.parse().expect("a table")
    }

    fn merged(file: &str, entries: &[&str]) -> Table {
        let overrides = Overrides::set(entries).expect("overrides");
        Source::table("file", table(file)).under(overrides).merged()
    }

    #[test]
    fn overrides_reach_into_tables_and_parse_values() {
        let file = "[method]\nname = 'e3va'\nform = 'plain'\n";
        let entries = [
            "method.form=kernel",
            "method.rank=8",
            "augment.crop_size=[4, 5]",
        ];
        let expected = table(
            "[method]\nname = 'e3va'\nform = 'kernel'\nrank = 8\n[augment]\ncrop_size = [4, 5]\n",
        );
        assert_eq!(merged(file, &entries), expected);
    }

    #[test]
    fn another_variant_replaces_the_table_of_the_file() {
        let file = "[method]\nname = 'e3va'\nform = 'plain'\n";
        assert_eq!(
            merged(file, &["method.name=full"]),
            table("[method]\nname = 'full'\n")
        );
    }

    #[test]
    fn a_key_holds_whichever_comes_first() {
        let file = "[method]\nname = 'e3va'\nform = 'plain'\n";
        let expected = table("[method]\nname = 'lora'\nrank = 8\n");
        for entries in [
            ["method.name=lora", "method.rank=8"],
            ["method.rank=8", "method.name=lora"],
            ["method.rank=8", "method={ name = 'lora' }"],
        ] {
            assert_eq!(merged(file, &entries), expected, "{entries:?}");
        }
        let mut overrides = Overrides::set(&["method.rank=8"]).expect("overrides");
        overrides
            .choose("--methods", "method.name", "lora")
            .expect("a name");
        let source = Source::table("file", table(file)).under(overrides);
        assert_eq!(source.merged(), expected);
    }

    #[test]
    fn the_weightier_of_two_values_counts() {
        let mut overrides = Overrides::set(&["train.epochs=2"]).expect("overrides");
        overrides
            .propose("here", "train.epochs=3")
            .expect("a proposal");
        overrides.propose("here", "seed=3").expect("a proposal");
        overrides.put("--seeds", "seed", 4).expect("a value");
        let source = Source::table("file", Table::new()).under(overrides);
        assert_eq!(source.merged(), table("seed = 4\n[train]\nepochs = 2\n"));
    }

    #[test]
    fn what_an_option_decides_is_not_set_as_well() {
        for entry in ["method.name=full", "method={ name = 'full' }"] {
            let mut overrides = Overrides::set(&[entry]).expect("overrides");
            let error = overrides.choose("--methods", "method.name", "lora");
            let error = error.expect_err("two names").to_string();
            let expected = format!("--set {entry}: `method.name` is set by --methods");
            assert_eq!(error, expected);
        }
    }
}
