//! The sources of a configuration: its files and overrides, and which of them sets a key.

use std::path::Path;

use gradway_backbone::BackboneDescriptor;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::RunConfig;
use super::fault::{self, Fault};
use super::layer::{Layer, TAGS};
use super::overrides::Overrides;
use super::sections::{read_run, read_section};
use crate::error::TrainError;

/// Maximum depth of nested bases, so that a cycle ends.
const MAXIMUM_BASES: usize = 8;

/// The layers of a configuration that is not parsed yet: its files, bases first, and the overrides.
#[derive(Debug, Clone)]
pub struct Source {
    files: Vec<Layer>,
    overrides: Overrides,
    /// A backbone of another crate.
    own: Option<BackboneDescriptor>,
}

impl Source {
    /// Reads a TOML file and its bases. A file names its base by a relative path: `base = "other.toml"`.
    ///
    /// # Errors
    ///
    /// [`TrainError::Config`] if a file cannot be read or is not TOML.
    pub fn file(path: &Path) -> Result<Self, TrainError> {
        let mut files = Vec::new();
        read(path, MAXIMUM_BASES, &mut files)?;
        Ok(Self {
            files,
            overrides: Overrides::default(),
            own: None,
        })
    }

    /// A text without a `base`; `origin` names its file in messages.
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
            own: None,
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
            own: None,
        }
    }

    /// The same under overrides.
    pub fn under(self, overrides: Overrides) -> Self {
        Self { overrides, ..self }
    }

    /// The same for a backbone of another crate, whose name is then the only one that `backbone.name` may have.
    pub fn on(self, backbone: BackboneDescriptor) -> Self {
        let own = Some(backbone);
        Self { own, ..self }
    }

    /// The configuration.
    ///
    /// # Errors
    ///
    /// [`TrainError::Key`] with the file or option, the key, its value and the expected value.
    pub fn config(&self) -> Result<RunConfig, TrainError> {
        let table = self.merged();
        let found = read_run(table, self.own.as_ref());
        let mut config = found.map_err(|fault| self.error(fault))?;
        config.backbone.own = self.own.clone().map(Box::new);
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
        read_section(table, name).map_err(|fault| self.error(fault))
    }

    /// Adds to an error without an origin the file or option that sets its key.
    pub fn blame(&self, error: TrainError) -> TrainError {
        match fault::of_validation(error, &self.merged()) {
            Ok(fault) => self.error(fault),
            Err(error) => error,
        }
    }

    fn error(&self, fault: Fault) -> TrainError {
        TrainError::Key {
            origin: self.origin(&fault),
            reason: fault.reason,
            hint: fault.hint,
        }
    }

    /// The layer with the highest precedence that sets one of the keys of a fault; for a missing key, the layer
    /// that requires it.
    fn origin(&self, fault: &Fault) -> String {
        let mut weighty = self.files_left();
        weighty.extend(self.overrides.layers());
        weighty.reverse();
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
        let layer = found.and_then(|index| weighty.get(index));
        let layer = layer.or(self.files.last());
        layer.map_or("configuration".to_string(), |layer| layer.origin.clone())
    }

    /// Files and overrides as one table.
    fn merged(&self) -> Table {
        let mut table = Table::new();
        for layer in self.files_left() {
            merge(&mut table, layer.table);
        }
        let mut over = Table::new();
        for layer in self.overrides.layers() {
            join(&mut over, layer.table);
        }
        merge(&mut table, over);
        table
    }

    /// The files without the tables that an override replaces.
    fn files_left(&self) -> Vec<Layer> {
        let mut files = self.files.clone();
        for file in &mut files {
            self.overrides.make_room(&mut file.table);
        }
        files
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

/// Merges tables key by key and replaces everything else. A table that names another variant (`name`, `format`)
/// replaces the old one as a whole, since the other keys do not belong to the new variant.
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

/// Merges tables key by key, whatever variant they name, and replaces everything else.
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
    fn a_table_that_is_set_replaces_that_of_the_file() {
        let file = "[evaluation]\nbatch_size = 2\nsize = { fit = { long = 20, short = 10 } }\n";
        let fixed = "evaluation.size={ fixed = { height = 3, width = 4 } }";
        let size = |size: &str| format!("[evaluation]\nbatch_size = 2\nsize = {size}\n");
        let expected = table(&size("{ fixed = { height = 3, width = 4 } }"));
        assert_eq!(merged(file, &[fixed]), expected);
        // The later of two counts, however they are written.
        let fit = "evaluation.size={ fit = { long = 1, short = 1 } }";
        let both = "evaluation={ size = { fit = { long = 1, short = 1 } }, batch_size = 2 }";
        for earlier in [fit, both, "evaluation.size=original"] {
            assert_eq!(merged(file, &[earlier, fixed]), expected, "{earlier}");
        }
        let expected = table(&size("{ fit = { long = 1, short = 1 } }"));
        for later in [fit, both] {
            assert_eq!(merged(file, &[fixed, later]), expected, "{later}");
        }
        // A key alone leaves its neighbours.
        let expected = table(&size("{ fit = { long = 20, short = 5 } }"));
        assert_eq!(merged(file, &["evaluation.size.fit.short=5"]), expected);
        assert_eq!(merged(file, &["evaluation={}"]), table("[evaluation]\n"));
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
