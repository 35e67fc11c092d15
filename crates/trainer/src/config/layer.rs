//! Tables of a configuration, and their keys.

use toml::{Table, Value};

/// Keys whose value determines the other keys of their table.
pub(super) const TAGS: [&str; 2] = ["name", "format"];

/// A table of keys and its origin in messages: a file or an option.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    pub(super) origin: String,
    pub(super) table: Table,
}

impl Layer {
    /// Whether the layer sets this key.
    pub(super) fn has(&self, path: &[&str]) -> bool {
        get(&self.table, path).is_some()
    }
}

/// The value of a key.
pub(super) fn get<'a>(table: &'a Table, path: &[&str]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    let value = table.get(*first)?;
    match rest {
        [] => Some(value),
        rest => get(value.as_table()?, rest),
    }
}

/// Takes a key out, where it is.
pub(super) fn remove(table: &mut Table, path: &[&str]) {
    match path {
        [] => {}
        [last] => {
            table.remove(*last);
        }
        [first, rest @ ..] => {
            if let Some(Value::Table(inner)) = table.get_mut(*first) {
                remove(inner, rest);
            }
        }
    }
}

/// Gives a key another value, where its table is.
pub(super) fn replace(table: &mut Table, path: &[&str], value: Value) {
    match path {
        [] => {}
        [last] => {
            table.insert((*last).to_string(), value);
        }
        [first, rest @ ..] => {
            if let Some(Value::Table(inner)) = table.get_mut(*first) {
                replace(inner, rest, value);
            }
        }
    }
}
