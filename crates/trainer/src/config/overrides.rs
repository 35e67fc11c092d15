//! Overrides of single keys of a configuration.

use toml::{Table, Value};

use super::layer::{Layer, get, remove};
use crate::error::TrainError;

/// Values of single keys that take precedence over the files of a configuration.
///
/// A value replaces the files' one, tables included. Overrides are taken together before they meet the files, key
/// by key: `method.rank=8` holds whatever names the method, and whichever comes first. Of two values of one key the
/// later counts.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// What a command proposes.
    proposed: Vec<Override>,
    /// What `--set` says.
    set: Vec<Override>,
    /// What other options of a command decide.
    chosen: Vec<Override>,
}

/// A key and its value.
#[derive(Debug, Clone)]
struct Override {
    /// Its parts.
    path: Vec<String>,
    /// The value in its place.
    layer: Layer,
}

impl Overrides {
    /// Parses the entries of `--set`, each of the form `dotted.key=value`. The value is TOML, or a string if it
    /// is not valid TOML.
    ///
    /// # Errors
    ///
    /// [`TrainError::Key`] if an entry has no key or value, or a list, table or quoted string that does not end.
    pub fn set(entries: &[impl AsRef<str>]) -> Result<Self, TrainError> {
        let parse = |entry: &str| parse(format!("--set {entry}"), entry);
        let set = entries.iter().map(|entry| parse(entry.as_ref()));
        Ok(Self {
            set: set.collect::<Result<_, _>>()?,
            ..Self::default()
        })
    }

    /// Adds an entry that applies unless `--set` overrides it; `origin` names it in messages.
    ///
    /// # Errors
    ///
    /// As [`Self::set`].
    pub fn propose(&mut self, origin: &str, entry: &str) -> Result<(), TrainError> {
        let origin = format!("{origin}: {entry}");
        self.proposed.push(parse(origin, entry)?);
        Ok(())
    }

    /// Adds a value that takes precedence over `--set`; `origin` names it in messages.
    ///
    /// # Errors
    ///
    /// A key with an empty part.
    pub fn put(
        &mut self,
        origin: &str,
        key: &str,
        value: impl Into<Value>,
    ) -> Result<(), TrainError> {
        self.chosen
            .push(Override::new(origin.to_string(), key, value)?);
        Ok(())
    }

    /// Sets a value from a command-line option, such as the method's name from `--methods lora`.
    ///
    /// # Errors
    ///
    /// [`TrainError::Key`] if `--set` also sets this key.
    pub fn choose(
        &mut self,
        option: &str,
        key: &str,
        value: impl Into<Value>,
    ) -> Result<(), TrainError> {
        let path: Vec<&str> = key.split('.').collect();
        if let Some(other) = self.set.iter().find(|other| other.layer.has(&path)) {
            return Err(TrainError::Key {
                origin: other.layer.origin.clone(),
                reason: format!("`{key}` is set by {option}"),
                hint: Some("remove one of the two".to_string()),
            });
        }
        self.put(option, key, value)
    }

    /// Removes and returns the keys of `--set` that belong to a section and are not `kept`.
    pub(super) fn take_out(&mut self, section: &str, kept: impl Fn(&str) -> bool) -> Vec<String> {
        let mut taken = Vec::new();
        for entry in &mut self.set {
            let Some(Value::Table(table)) = entry.layer.table.get_mut(section) else {
                continue;
            };
            table.retain(|key, _| {
                let is_kept = kept(key);
                if !is_kept {
                    taken.push(format!("{section}.{key}"));
                }
                is_kept
            });
        }
        taken.sort_unstable();
        taken.dedup();
        taken
    }

    /// Those of one section alone.
    pub(super) fn only(mut self, section: &str) -> Self {
        for entries in [&mut self.proposed, &mut self.set, &mut self.chosen] {
            entries.retain(|entry| entry.path.first().is_some_and(|key| key == section));
        }
        self
    }

    /// What counts of them, the weightiest last. None of them gives a key that another one has given as a whole.
    pub(super) fn layers(&self) -> Vec<Layer> {
        let entries = self.proposed.iter().chain(&self.set).chain(&self.chosen);
        let mut entries: Vec<Override> = entries.cloned().collect();
        for later in 1..entries.len() {
            let (before, rest) = entries.split_at_mut(later);
            let Some(later) = rest.first() else {
                break;
            };
            for earlier in before {
                let longer = match earlier.path.len() > later.path.len() {
                    true => parts(&earlier.path),
                    false => parts(&later.path),
                };
                if later.layer.has(&longer) {
                    remove(&mut earlier.layer.table, &longer);
                }
            }
        }
        entries.into_iter().map(|entry| entry.layer).collect()
    }

    /// Takes out of a table what they replace: where one of them gives a table, the old one has no part in it.
    pub(super) fn make_room(&self, table: &mut Table) {
        let entries = self.proposed.iter().chain(&self.set).chain(&self.chosen);
        for entry in entries {
            let path = parts(&entry.path);
            if get(&entry.layer.table, &path).is_some_and(Value::is_table) {
                remove(table, &path);
            }
        }
    }
}

/// Reads `dotted.key=value`.
fn parse(origin: String, entry: &str) -> Result<Override, TrainError> {
    let wrong = |reason: &str, hint: Option<&str>| TrainError::Key {
        origin: origin.clone(),
        reason: reason.to_string(),
        hint: hint.map(String::from),
    };
    let Some((key, text)) = entry.split_once('=') else {
        return Err(wrong(
            "expected key=value",
            Some("such as train.epochs=1, with no spaces"),
        ));
    };
    let parsed = format!("value = {text}").parse::<Table>();
    let value = parsed.ok().and_then(|mut table| table.remove("value"));
    let text = text.trim();
    let value = match value {
        Some(value) => value,
        // A word needs no quotes; what begins like a list was meant as one.
        None if text.starts_with(['[', '{', '"', '\'']) => {
            return Err(wrong(
                "the value is not TOML",
                Some(
                    "a shell removes quotes that are not quoted themselves: \
                     --set 'data.classes=[\"road\", \"car\"]'",
                ),
            ));
        }
        None => Value::from(text),
    };
    Override::new(origin, key.trim(), value)
}

impl Override {
    fn new(origin: String, key: &str, value: impl Into<Value>) -> Result<Self, TrainError> {
        let path: Vec<String> = key.split('.').map(String::from).collect();
        if path.iter().any(String::is_empty) {
            return Err(TrainError::Key {
                origin,
                reason: format!("`{key}`: a part of the key is empty"),
                hint: None,
            });
        }
        let mut keys = path.iter().rev().cloned();
        let last = keys.next().unwrap_or_default();
        let innermost = Table::from_iter([(last, value.into())]);
        let table = keys.fold(innermost, |table, key| {
            Table::from_iter([(key, Value::Table(table))])
        });
        let layer = Layer { origin, table };
        Ok(Self { path, layer })
    }
}

fn parts(path: &[String]) -> Vec<&str> {
    path.iter().map(String::as_str).collect()
}
