//! Overrides of a configuration: single keys that are laid over its files.

use toml::{Table, Value};

use super::source::Layer;
use crate::error::TrainError;

/// Keys that are laid over a configuration, whose files they outweigh.
///
/// They are taken together before they meet the files, key by key: `method.rank=8` holds whatever names the
/// method, and whichever comes first. Of two values of one key the later counts.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// What a command proposes.
    proposed: Vec<Layer>,
    /// What `--set` says.
    set: Vec<Layer>,
    /// What other options of a command decide.
    chosen: Vec<Layer>,
}

impl Overrides {
    /// Those of `--set`: each `dotted.key=value`, whose value is TOML, or a string where it is no TOML.
    ///
    /// # Errors
    ///
    /// [`TrainError::Key`]: an entry without a key or value, or with a list, table or quoted string that does
    /// not end.
    pub fn set(entries: &[impl AsRef<str>]) -> Result<Self, TrainError> {
        let layer = |entry: &str| entry_layer(format!("--set {entry}"), entry);
        let set = entries.iter().map(|entry| layer(entry.as_ref()));
        Ok(Self {
            set: set.collect::<Result<_, _>>()?,
            ..Self::default()
        })
    }

    /// An entry that counts unless `--set` says otherwise; `origin` stands for it in messages.
    ///
    /// # Errors
    ///
    /// As [`Self::set`].
    pub fn propose(&mut self, origin: &str, entry: &str) -> Result<(), TrainError> {
        let origin = format!("{origin}: {entry}");
        self.proposed.push(entry_layer(origin, entry)?);
        Ok(())
    }

    /// A value that counts whatever `--set` says; `origin` stands for it in messages.
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
        self.chosen.push(layer(origin.to_string(), key, value)?);
        Ok(())
    }

    /// A value that an option decides, such as `--methods lora` the name of the method.
    ///
    /// # Errors
    ///
    /// [`TrainError::Key`] where `--set` gives that key too: one of the two would be lost.
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
                reason: format!("`{key}` is set by {option}"),
                hint: Some("remove one of the two".to_string()),
            });
        }
        self.put(option, key, value)
    }

    /// Takes entries of `--set` out, and returns those whose key is `of` a section and not `kept`.
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

    /// Those of one section alone.
    pub(super) fn only(mut self, section: &str) -> Self {
        for layers in [&mut self.proposed, &mut self.set, &mut self.chosen] {
            for layer in layers {
                layer.table.retain(|key, _| key == section);
            }
        }
        self
    }

    /// All of them, the weightiest last.
    pub(super) fn layers(&self) -> impl Iterator<Item = &Layer> {
        self.proposed.iter().chain(&self.set).chain(&self.chosen)
    }
}

/// `dotted.key=value` as a layer.
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
                "the value is not TOML",
                Some(
                    "a shell removes quotes that are not quoted themselves: \
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
