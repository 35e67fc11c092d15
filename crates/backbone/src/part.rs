//! The part of a file that holds a backbone's weights.
//!
//! Training scripts save a model's weights next to an optimiser, averaged weights, or the heads of a detector.
//! A backbone names keys (anchors), one of which is in each of its layouts; the weights are where such a key
//! is.

use std::collections::{BTreeMap, BTreeSet};

use crate::checkpoint::{Checkpoint, CheckpointError};

const BESIDE: &str = "outside of the backbone's weights";
/// The reason why a key without a tensor is skipped.
pub(crate) const NO_TENSOR: &str = "no tensor";

/// A part of a file.
#[derive(Debug)]
pub(crate) struct Part {
    /// Its tensors, by their names in the part.
    pub(crate) file: Checkpoint,
    /// Its key; empty for the top level of the file.
    pub(crate) place: String,
    /// Entries that are not tensors, by their names in the part.
    pub(crate) others: BTreeMap<String, String>,
    /// Names outside of the part, each with a reason.
    pub(crate) left_out: Vec<(String, &'static str)>,
}

impl Part {
    /// Finds the part of a file that has one of these anchors, or the whole file if there is none.
    pub(crate) fn find(file: &Checkpoint, anchors: &[&str]) -> Result<Self, CheckpointError> {
        let names: Vec<String> = file
            .keys()
            .map(|key| format!("{}{key}", file.wrapper))
            .chain(file.others.keys().cloned())
            .collect();
        let places: BTreeSet<&str> = names
            .iter()
            .filter_map(|name| anchors.iter().find_map(|anchor| before(name, anchor)))
            .collect();
        let places: Vec<&str> = places.into_iter().collect();
        let whole = file.wrapper.trim_end_matches('.');
        let place = match &file.weights_key {
            None => match places.as_slice() {
                [] => whole,
                [place] => place,
                several => return Err(choose_one(file, several)),
            },
            Some(key) if places.contains(&key.as_str()) => key,
            Some(key) => {
                let below: Vec<&str> = places
                    .iter()
                    .copied()
                    .filter(|place| is_below(place, key))
                    .collect();
                match below.as_slice() {
                    [place] => *place,
                    // Without the key that shows where it starts, but the import says what is missing.
                    [] if names.iter().any(|name| is_below(name, key)) => key.as_str(),
                    [] => {
                        return Err(CheckpointError::NothingBelow {
                            path: file.origin.clone(),
                            key: key.clone(),
                            places: owned(&places),
                        });
                    }
                    several => return Err(choose_one(file, several)),
                }
            }
        };
        Ok(Self::cut(file, place))
    }

    fn cut(file: &Checkpoint, place: &str) -> Self {
        let prefix = match place {
            "" => String::new(),
            place => format!("{place}."),
        };
        let mut part = file.clone();
        part.tensors = BTreeMap::new();
        part.wrapper = prefix.clone();
        let mut others = BTreeMap::new();
        let mut left_out = BTreeMap::new();
        for (key, tensor) in &file.tensors {
            let name = format!("{}{key}", file.wrapper);
            match name.strip_prefix(&prefix) {
                Some(inside) => {
                    part.tensors.insert(inside.to_string(), tensor.clone());
                }
                None => {
                    left_out.insert(group(&name, place), BESIDE);
                }
            }
        }
        for (name, what) in &file.others {
            match name.strip_prefix(&prefix) {
                Some(inside) => {
                    others.insert(inside.to_string(), what.clone());
                }
                None => {
                    left_out.entry(group(name, place)).or_insert(NO_TENSOR);
                }
            }
        }
        Self {
            file: part,
            place: place.to_string(),
            others,
            left_out: left_out.into_iter().collect(),
        }
    }
}

fn choose_one(file: &Checkpoint, places: &[&str]) -> CheckpointError {
    CheckpointError::Several {
        path: file.origin.clone(),
        places: owned(places),
    }
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_string()).collect()
}

/// Returns the prefix of a name before an anchor.
fn before<'a>(name: &'a str, anchor: &str) -> Option<&'a str> {
    match name.strip_suffix(anchor)? {
        "" => Some(""),
        front => front.strip_suffix('.'),
    }
}

fn is_below(name: &str, key: &str) -> bool {
    let rest = name.strip_prefix(key);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.') || key.is_empty())
}

/// Returns the first key of a name that does not lead to `place`, so that a whole optimiser is one entry.
fn group(name: &str, place: &str) -> String {
    let mut length = 0;
    let mut towards = place.split('.');
    for key in name.split('.') {
        length += key.len();
        if towards.next() != Some(key) {
            break;
        }
        length += 1;
    }
    match name.get(..length) {
        Some(shorter) if length < name.len() => format!("{shorter}.*"),
        _ => name.to_string(),
    }
}
