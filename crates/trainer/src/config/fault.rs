//! Errors in a configuration, in terms of its keys.
//!
//! Serde reports what a type expects, but not where, if the table names a variant. The key is found by removing
//! keys one at a time: the error is about the key whose removal changes it.

use gradway_backbone::nearest;
use toml::{Table, Value};

use super::layer::{TAGS, get, remove, replace};
use crate::error::TrainError;

/// The origin in errors of checks that do not know where the values come from.
pub(super) const CHECKED: &str = "configuration";

/// An error and the keys it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// As the file has them.
    pub(super) keys: Vec<Vec<String>>,
    /// Whether the first of them is not there.
    pub(super) is_missing: bool,
    pub(super) reason: String,
    pub(super) hint: Option<String>,
}

impl Fault {
    /// A fault of a key.
    pub(super) fn new(path: &[impl AsRef<str>], reason: impl Into<String>) -> Self {
        let path = path.iter().map(|key| key.as_ref().to_string());
        Self {
            keys: vec![path.collect()],
            is_missing: false,
            reason: reason.into(),
            hint: None,
        }
    }

    pub(super) fn missing(path: &[impl AsRef<str>], reason: impl Into<String>) -> Self {
        Self {
            is_missing: true,
            ..Self::new(path, reason)
        }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// The error for a name that is not in a table, such as that of a method.
pub(super) fn unknown_name(
    path: [&str; 2],
    what: &str,
    name: &str,
    names: &[&'static str],
    list: &str,
) -> Fault {
    let suggestion = suggestion(name, names);
    Fault::new(&path, format!("unknown {what} `{name}`{suggestion}"))
        .hint(format!("see `gradway list {list}`: {}", names.join(", ")))
}

/// That a table has no field of this name.
fn unknown_field(table: &[&str], name: &str, known: &[&str]) -> String {
    let place = match table {
        [] => String::new(),
        table => format!(" in [{}]", table.join(".")),
    };
    format!("unknown field `{name}`{place}{}", suggestion(name, known))
}

/// How an error introduces the name that was probably meant.
const SUGGESTION: &str = "; did you mean `";

fn suggestion(name: &str, known: &[impl AsRef<str>]) -> String {
    let nearest = nearest(name, known.iter().map(AsRef::as_ref));
    nearest.map_or(String::new(), |name| format!("{SUGGESTION}{name}`?"))
}

/// Whether the reason of an error names what was probably meant.
pub(super) fn has_suggestion(reason: &str) -> bool {
    reason.contains(SUGGESTION)
}

/// Keys that a file has at its top.
pub(super) struct Top<'a> {
    /// The path in the typed table of the task's tables, which are at the top level of a file.
    pub(super) nested: &'a [&'a str],
    /// Every key.
    pub(super) keys: &'a [&'a str],
}

/// Returns the error of a table that `read` rejects with `complaint`.
pub(super) fn of_table(
    table: &Table,
    top: &Top<'_>,
    read: impl Fn(Table) -> Option<toml::de::Error>,
    complaint: &toml::de::Error,
) -> Fault {
    let message = complaint.message();
    let path = place(table, top, &read, complaint);
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    // As the file has it.
    let shown = path.strip_prefix(top.nested).unwrap_or(&path);
    let at_top = |path: &[&str]| top.nested.starts_with(path);
    let key = shown.join(".");
    let value = get(table, &path).map(shortened);
    if let Some(rest) = message.strip_prefix("unknown field ") {
        let names = quoted(rest);
        let (name, known) = names.split_first().map_or(("", &[][..]), |(a, b)| (*a, b));
        let parent = match path.split_last() {
            Some((last, parent)) if *last == name => parent,
            _ => &path,
        };
        let shown = parent.strip_prefix(top.nested).unwrap_or(parent);
        let known = if at_top(parent) { top.keys } else { known };
        let full = [shown, &[name]].concat();
        let reason = unknown_field(shown, name, known);
        let table_name = match shown {
            [] => "a configuration".to_string(),
            shown => format!("[{}]", shown.join(".")),
        };
        let known = match known {
            [] => format!("{table_name} has no other keys"),
            known => format!("{table_name} has {}", listed(known, "and")),
        };
        return Fault::new(&full, reason).hint(known);
    }
    if let Some(rest) = message.strip_prefix("missing field ") {
        let name = quoted(rest).first().copied().unwrap_or_default();
        let full = [shown, &[name]].concat();
        let what = match at_top(&path) {
            true => "table",
            false => "key",
        };
        return Fault::missing(&full, format!("missing {what} `{}`", full.join(".")));
    }
    if message.starts_with("wanted exactly 1 element, more than 1") {
        let parent = path.split_last().map_or(&[][..], |(_, parent)| parent);
        let is_choice = |place: &&[&str]| !choices(table, &read, place).is_empty();
        if let Some(place) = [&path[..], parent].into_iter().find(is_choice) {
            return of_alternatives(table, place, top);
        }
    }
    let Some(value) = value else {
        return Fault::new(shown, message);
    };
    let is_list = get(table, &path).is_some_and(Value::is_array);
    let choices = match message.strip_prefix("unknown variant ") {
        Some(rest) if quoted(rest).first() == shown.last() => {
            let known: Vec<&str> = quoted(rest).into_iter().skip(1).collect();
            let (name, parent) = shown.split_last().unwrap_or((&"", &[]));
            let fault = Fault::new(shown, unknown_field(parent, name, &known));
            return fault.hint(format!("it must be {}", listed(&known, "or")));
        }
        Some(rest) => quoted(rest).into_iter().skip(1).map(String::from).collect(),
        None => choices(table, &read, &path),
    };
    if !choices.is_empty() {
        let word = get(table, &path).and_then(Value::as_str);
        let word = word.or_else(|| quoted(message).first().copied());
        if let Some(word) = word.filter(|word| choices.iter().any(|choice| choice == word)) {
            let reason =
                format!("{key} = {value}; `{word}` needs a table: {{ {word} = {{ ... }} }}");
            return Fault::new(shown, reason);
        }
        let suggestion = word.map_or(String::new(), |word| suggestion(word, &choices));
        let choices: Vec<&str> = choices.iter().map(String::as_str).collect();
        let expected = listed(&choices, "or");
        let what = if is_list { "every entry" } else { "it" };
        return Fault::new(
            shown,
            format!("{key} = {value}; {what} must be {expected}{suggestion}"),
        );
    }
    let expected = message.rsplit_once(", expected ").map(|(_, wanted)| wanted);
    match expected.or(message.strip_prefix("expected ")) {
        Some(wanted) if is_list && is_single(wanted) => Fault::new(
            shown,
            format!("{key} = {value}; every entry must be {}", in_words(wanted)),
        ),
        Some(wanted) => Fault::new(
            shown,
            format!("{key} = {value}; it must be {}", in_words(wanted)),
        ),
        None => Fault::new(shown, format!("{key} = {value}: {message}")),
    }
}

/// Returns the error of a list in the place of a table, which serde takes as the values of the table's keys by
/// their order.
pub(super) fn of_list(
    table: &Table,
    top: &Top<'_>,
    read: impl Fn(Table) -> Option<toml::de::Error>,
) -> Option<Fault> {
    let mut lists = Vec::new();
    find_lists(table, &mut Vec::new(), &mut lists);
    // Whether a table is wanted where another value is put.
    let wants_a_table = |path: &[&str], value: Value| {
        let mut trial = table.clone();
        replace(&mut trial, path, value);
        let complaint = read(trial);
        let message = complaint.as_ref().map_or("", toml::de::Error::message);
        let wanted = message.strip_prefix("invalid type: string \"?\", expected ");
        wanted.is_some_and(|wanted| in_words(wanted) == TABLE)
    };
    lists.into_iter().find_map(|path| {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let list = get(table, &path)?;
        let entries = list.as_array()?;
        let mut inner = (0..entries.len()).filter(|&entry| entries[entry].is_array());
        let what = if wants_a_table(&path, Value::from("?")) {
            "it"
        } else if inner.any(|entry| {
            let mut entries = entries.clone();
            entries[entry] = Value::from("?");
            wants_a_table(&path, Value::Array(entries))
        }) {
            "every entry"
        } else {
            return None;
        };
        let shown = path.strip_prefix(top.nested).unwrap_or(&path);
        let (key, value) = (shown.join("."), shortened(list));
        let reason = format!("{key} = {value}; {what} must be {TABLE}");
        Some(Fault::new(shown, reason))
    })
}

/// Collects the paths of the lists below a table.
fn find_lists(table: &Table, path: &mut Vec<String>, lists: &mut Vec<Vec<String>>) {
    for (key, value) in table {
        path.push(key.clone());
        match value {
            Value::Table(inner) => find_lists(inner, path, lists),
            Value::Array(_) => lists.push(path.clone()),
            _ => {}
        }
        path.pop();
    }
}

/// That a table has several of the keys of which it has one.
fn of_alternatives(table: &Table, place: &[&str], top: &Top<'_>) -> Fault {
    let shown = place.strip_prefix(top.nested).unwrap_or(place);
    let alternatives = get(table, place).and_then(Value::as_table);
    let keys = alternatives.iter().flat_map(|table| table.keys());
    let keys: Vec<&str> = keys.map(String::as_str).collect();
    let reason = format!(
        "{} has {}; it must have one of them",
        shown.join("."),
        listed(&keys, "and")
    );
    let path = |key: &&str| {
        [shown, &[*key]]
            .concat()
            .into_iter()
            .map(String::from)
            .collect()
    };
    let fault = Fault {
        keys: keys.iter().map(path).collect(),
        ..Fault::new(shown, reason)
    };
    fault.hint("tables of a file and its `base` merge key by key; --set replaces a table")
}

/// Returns the key that a complaint is about: without it there is no complaint, or another one.
fn place(
    table: &Table,
    top: &Top<'_>,
    read: &impl Fn(Table) -> Option<toml::de::Error>,
    complaint: &toml::de::Error,
) -> Vec<String> {
    let message = complaint.message();
    // Of a key that is missing, only the table is looked for.
    let is_missing = message.starts_with("missing field ");
    let mut path = known_place(table, complaint);
    let keys: Vec<&str> = path.iter().map(String::as_str).collect();
    let has_variants = |value: &Value| TAGS.iter().any(|tag| value.get(tag).is_some());
    if is_missing && !get(table, &keys).is_some_and(has_variants) {
        if !path.is_empty() || top.nested.is_empty() {
            return path;
        }
        // What is missing from one of several forms of a value is complained of without its place, as what is missing
        // from the top is.
        path = top.nested.iter().map(|key| (*key).to_string()).collect();
    }
    loop {
        let keys: Vec<&str> = path.iter().map(String::as_str).collect();
        let here = match keys[..] {
            [] => Some(table),
            _ => get(table, &keys).and_then(Value::as_table),
        };
        let Some(here) = here else {
            return path;
        };
        // What names a variant comes last: without it, there is another complaint in any case.
        let is_tag = |key: &str| TAGS.contains(&key);
        let mut candidates: Vec<&String> = here
            .iter()
            .filter(|(key, value)| match is_missing {
                true => value.is_table(),
                false => !is_tag(key) || !message.starts_with("unknown field "),
            })
            .map(|(key, _)| key)
            .collect();
        candidates.sort_by_key(|key| is_tag(key));
        let culprit = candidates.into_iter().find(|key| {
            let mut trial = table.clone();
            remove(&mut trial, &[&keys[..], &[key.as_str()]].concat());
            // Without a table that must be there, nothing else is complained of.
            let of_key = format!("missing field `{key}`");
            read(trial).is_none_or(|other| {
                other.message() != message && !(is_missing && other.message() == of_key)
            })
        });
        let Some(culprit) = culprit else {
            return path;
        };
        path.push(culprit.clone());
    }
}

/// The part of the key that the complaint itself names: up to the first table that names a variant.
fn known_place(table: &Table, complaint: &toml::de::Error) -> Vec<String> {
    let text = complaint.to_string();
    let place = text.trim_end().rsplit_once("\nin `");
    let path = place.and_then(|(_, path)| path.strip_suffix('`'));
    let path: Vec<&str> = path.map_or(Vec::new(), |path| path.split('.').collect());
    match get(table, &path) {
        Some(_) => path.into_iter().map(String::from).collect(),
        None => Vec::new(),
    }
}

/// The values of a key that takes one of several words; empty if it takes something else.
fn choices(
    table: &Table,
    read: &impl Fn(Table) -> Option<toml::de::Error>,
    path: &[&str],
) -> Vec<String> {
    let mut trial = table.clone();
    replace(&mut trial, path, Value::from("?"));
    let complaint = read(trial);
    let rest = complaint
        .as_ref()
        .and_then(|error| error.message().strip_prefix("unknown variant `?`"));
    let words = rest.map(quoted).unwrap_or_default();
    words.into_iter().map(String::from).collect()
}

/// The parts of a text between backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// `a`, `b` and `c`
fn listed(names: &[&str], last: &str) -> String {
    let quote = |name: &&str| format!("`{name}`");
    match names {
        [] => String::new(),
        [one] => quote(one),
        [many @ .., end] => {
            let many: Vec<String> = many.iter().map(quote).collect();
            format!("{} {last} {}", many.join(", "), quote(end))
        }
    }
}

/// Whether a type expects a single value and not a list.
fn is_single(wanted: &str) -> bool {
    !wanted.starts_with("an array") && wanted != "a sequence"
}

const TABLE: &str = "a table";

/// What a type wants, without its name.
fn in_words(wanted: &str) -> String {
    if let Some(length) = wanted.strip_prefix("an array of length ") {
        return format!("a list of {length}");
    }
    if wanted.starts_with("struct ") || wanted.starts_with("internally tagged enum ") {
        return TABLE.to_string();
    }
    match wanted {
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" | "u64" | "usize" => "a whole number, 0 or more",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a string" | "path string" | "string" => "a string in quotes",
        "a sequence" => "a list",
        "a map" => TABLE,
        other => return other.to_string(),
    }
    .to_string()
}

/// A value as written in a file, shortened if it is long.
pub(super) fn shortened(value: &Value) -> String {
    /// Characters that still fit a line.
    const MOST: usize = 80;
    let text = value.to_string();
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

/// Returns the error of a check of the values, with the keys that it names.
///
/// # Errors
///
/// The unchanged error, if it names its origin itself.
pub(super) fn of_validation(error: TrainError, table: &Table) -> Result<Fault, TrainError> {
    let hint = error.hint();
    let (reason, named) = match &error {
        TrainError::Config { origin, reason } if origin == CHECKED => (reason.clone(), Vec::new()),
        TrainError::Backbone(error) => (error.to_string(), vec!["backbone.name"]),
        TrainError::BaseWeights { .. } if !error.is_stop() => {
            (error.to_string(), vec!["backbone.weights"])
        }
        TrainError::Data(error @ gradway_data::DataError::InvalidValue { key, .. }) => {
            (error.to_string(), vec![*key])
        }
        TrainError::Data(error @ gradway_data::DataError::WrongTask { .. }) => {
            (error.to_string(), vec!["data.format", "head.name"])
        }
        _ => return Err(error),
    };
    // Words of the text that are keys.
    let is_part = |character: char| character.is_ascii_alphanumeric() || "._".contains(character);
    let words = reason.split(|character| !is_part(character));
    let words = words.map(|word| word.trim_matches('.'));
    let keys = words
        .chain(named)
        .map(|word| word.split('.').map(String::from).collect());
    let is_key = |path: &Vec<String>| {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        path.len() > 1 && get(table, &path).is_some()
    };
    Ok(Fault {
        keys: keys.filter(is_key).collect(),
        is_missing: false,
        reason,
        hint,
    })
}
