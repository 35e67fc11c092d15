//! The dictionaries of a pickle, flattened: `{"model": {"a.b": ...}}` becomes `model.a.b`.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use super::{Global, Object, Opaque, Pickle, Tensor, Value};
use crate::file::{Fault, SAVE_ALONE};

/// Maximum depth of nested dictionaries.
const DEEPEST: usize = 32;
/// Maximum number of entries of all dictionaries, each counted as often as it is visited.
const MOST_ENTRIES: usize = 1 << 18;
/// Maximum size of all names in bytes.
const LONGEST_NAMES: usize = 1 << 26;

/// An entry of a dictionary that is not a dictionary itself.
#[derive(Debug, Clone)]
pub(crate) enum Leaf {
    /// A tensor.
    Tensor(Rc<Tensor>),
    /// A description of something else.
    Other(String),
}

impl Pickle {
    /// Returns all entries of the nested dictionaries, by the keys that lead to them.
    pub(crate) fn leaves(&self) -> Result<BTreeMap<String, Leaf>, Fault> {
        let Some(Object::Dictionary(_)) = self.object(self.root) else {
            return Err(Fault::format(format!(
                "it holds {}, not a dictionary of tensors; {SAVE_ALONE}",
                self.describe(self.root)
            )));
        };
        let mut walk = Walk {
            pickle: self,
            path: String::new(),
            leaves: BTreeMap::new(),
            entries: 0,
            bytes: 0,
        };
        walk.enter(self.root, 0)?;
        Ok(walk.leaves)
    }

    /// Describes a value in words.
    fn describe(&self, value: Value) -> String {
        let what = match value {
            Value::None => "None",
            Value::Boolean => "a boolean",
            Value::Integer(_) | Value::Float => "a number",
            Value::Object(_) => match self.object(value) {
                Some(Object::Text(_)) => "a string",
                Some(Object::WideInteger(_)) => "a number",
                Some(Object::Tuple(_)) => "a tuple",
                Some(Object::List(_)) => "a list",
                Some(Object::Dictionary(_)) => "a dictionary",
                Some(Object::Storage(_)) => "a storage without a tensor",
                Some(Object::Tensor(_)) => "a tensor",
                Some(Object::Global(global)) => return global.to_string(),
                Some(Object::Opaque(Opaque::Of(global))) => {
                    return format!("an object of {global}");
                }
                Some(Object::Opaque(Opaque::Is(what))) => what,
                None => "nothing",
            },
        };
        what.to_string()
    }
}

struct Walk<'a> {
    pickle: &'a Pickle,
    /// The keys so far, joined by dots.
    path: String,
    leaves: BTreeMap<String, Leaf>,
    entries: usize,
    bytes: usize,
}

impl Walk<'_> {
    fn enter(&mut self, dictionary: Value, depth: usize) -> Result<(), Fault> {
        let Some(Object::Dictionary(entries)) = self.pickle.object(dictionary) else {
            return Ok(());
        };
        self.entries += entries.len();
        if self.entries > MOST_ENTRIES {
            return Err(self.wrong("have more entries than a weight file has"));
        }
        if depth == DEEPEST {
            return Err(self.wrong(&format!("are nested more than {DEEPEST} deep")));
        }
        // As in Python, the last value of a key counts.
        let mut last: HashMap<String, Value> = HashMap::with_capacity(entries.len());
        for &(key, value) in entries {
            if let Some(name) = self.name(key) {
                last.insert(name, value);
            }
        }
        let length = self.path.len();
        for (name, value) in last {
            if depth > 0 {
                self.path.push('.');
            }
            self.path.push_str(&name);
            self.bytes += self.path.len();
            if self.bytes > LONGEST_NAMES {
                return Err(self.wrong("have longer names than a weight file has"));
            }
            self.visit(value, depth)?;
            self.path.truncate(length);
        }
        Ok(())
    }

    fn visit(&mut self, value: Value, depth: usize) -> Result<(), Fault> {
        let leaf = match self.pickle.object(value) {
            Some(Object::Dictionary(_)) => return self.enter(value, depth + 1),
            Some(Object::Tensor(tensor)) => Leaf::Tensor(tensor.clone()),
            _ => Leaf::Other(self.pickle.describe(value)),
        };
        if self.leaves.insert(self.path.clone(), leaf).is_some() {
            return Err(Fault::format(format!(
                "two of its entries are called `{}`",
                self.path
            )));
        }
        Ok(())
    }

    /// Returns a key as part of a name; `None` for keys that no state dict has.
    fn name(&self, key: Value) -> Option<String> {
        match (key, self.pickle.object(key)) {
            (Value::Integer(integer), _) => Some(integer.to_string()),
            (_, Some(Object::Text(text))) => Some(text.to_string()),
            _ => None,
        }
    }

    fn wrong(&self, what: &str) -> Fault {
        /// Maximum length of a path in a message, in bytes.
        const SHOWN: usize = 60;
        let end = self.path.floor_char_boundary(SHOWN);
        Fault::format(format!(
            "its dictionaries, at `{}`, {what}; {SAVE_ALONE}",
            &self.path[..end]
        ))
    }
}

impl std::fmt::Display for Global {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.module, self.name)
    }
}
