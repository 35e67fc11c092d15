//! Overrides of single keys of a configuration.

use toml::{Table, Value};

use super::source::Layer;
use crate::error::TrainError;

/// Values of single keys that take precedence over the files of a configuration.
///
/// Overrides are merged with each other, key by key, before they are merged into the files: `method.rank=8`
/// applies wherever the method is named, and in any order. If a key is set twice, the later value applies.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// Defaults of a command.
    proposed: Vec<Layer>,
    /// Entries of `--set`.
    set: Vec<Layer>,
    /// Values of other command-line options.
    chosen: Vec<Layer>,
}

impl Overrides {
    /// Parses the entries of `--set`, each of the form `dotted.key=value`. The value is TOML, or a string if it
    /// is not valid TOML.
    ///
    /// # Errors
    ///
    /// [`TrainError::Key`] if an entry has no key or value, or a list, table or quoted string that does not end.
    pub fn set(entries: &[impl AsRef<str>]) -> Result<Self, TrainError> {
        let layer = |entry: &str| entry_layer(format!("--set {entry}"), entry);
        let set = entries.iter().map(|entry| layer(entry.as_ref()));
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
        self.proposed.push(entry_layer(origin, entry)?);
        Ok(())
    }

    /// Adds a value that takes precedence over `--set`; `origin` names it in messages.
    ///
    /// # Errors
    ///
    /// If a part of the key is empty.
    pub fn put(
        &mut self,
        origin: &str,
        key: &str,
        value: impl Into<Value>,
    ) -> Result<(), TrainError> {
        self.chosen.push(layer(origin.to_string(), key, value)?);
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
        if let Some(other) = self.set.iter().find(|layer| layer.has(&path)) {
            return Err(TrainError::Key {
                origin: other.origin.clone(),
                reason: format!("`{key}` is decided by {option}"),
                hint: Some("leave one of the two out".to_string()),
            });
        }
        self.put(option, key, value)
    }

    /// Removes and returns the keys of `--set` that belong to a section and are not `kept`.
    pub(super) fn take_out(&mut self, section: &str, kept: impl Fn(&str) -> bool) -> Vec<String> {
        let mut taken = Vec::new();
        for layer in &mut self.set {
            let Some(Value::Table(table)) = layer.table.get_mut(section) else {
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

    /// Returns only the overrides of one section.
    pub(super) fn only(mut self, section: &str) -> Self {
        for layers in [&mut self.proposed, &mut self.set, &mut self.chosen] {
            for layer in layers {
                layer.table.retain(|key, _| key == section);
            }
        }
        self
    }

    /// All layers, in ascending precedence.
    pub(super) fn layers(&self) -> impl Iterator<Item = &Layer> {
        self.proposed.iter().chain(&self.set).chain(&self.chosen)
    }
}

/// Parses `dotted.key=value` as a layer.
fn entry_layer(origin: String, entry: &str) -> Result<Layer, TrainError> {
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
                "the value is no TOML",
                Some(
                    "a shell takes quotes away that are not quoted themselves: \
                     --set 'data.classes=[\"road\", \"car\"]'",
                ),
            ));
        }
        None => Value::from(text),
    };
    layer(origin, key.trim(), value)
}

fn layer(origin: String, key: &str, value: impl Into<Value>) -> Result<Layer, TrainError> {
    if key.split('.').any(str::is_empty) {
        return Err(TrainError::Key {
            origin,
            reason: format!("`{key}`: a part of the key is empty"),
            hint: None,
        });
    }
    let mut table = Table::new();
    let mut keys = key.rsplit('.');
    let last = keys.next().unwrap_or_default();
    table.insert(last.to_string(), value.into());
    for key in keys {
        table = Table::from_iter([(key.to_string(), Value::Table(table))]);
    }
    Ok(Layer { origin, table })
}
