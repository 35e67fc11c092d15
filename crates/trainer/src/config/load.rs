//! Reading a configuration, or one section of it.

use std::path::Path;

use gradway_adapters::MethodConfig;
use gradway_data::DatasetConfig;
use toml::{Table, Value};

use super::RunConfig;
use super::fault::{CHECKED, has_suggestion};
use super::overrides::Overrides;
use super::sections::name_of;
use super::source::Source;
use crate::error::TrainError;

/// Reads a TOML file, merges it over its `base` (a path beside it), applies `key=value` overrides,
/// and checks the result. Relative paths of files and folders start at the working directory; the
/// configuration has them in full.
///
/// # Errors
///
/// [`TrainError::Key`] with the file or override, the key, its value and the expected value;
/// [`TrainError::Config`] if a file cannot be read.
pub fn load(path: &Path, overrides: &[String]) -> Result<RunConfig, TrainError> {
    let overrides = Overrides::set(overrides)?;
    Source::file(path)?.under(overrides).config()
}

/// As [`load`], for a text without a `base`; `origin` names its file in messages.
///
/// # Errors
///
/// As [`load`].
pub fn parse(text: &str, origin: &str, overrides: &[String]) -> Result<RunConfig, TrainError> {
    let overrides = Overrides::set(overrides)?;
    Source::text(text, origin)?.under(overrides).config()
}

/// Returns the configuration of a method by its name, with overrides such as `method.form=kernel`.
///
/// # Errors
///
/// As [`load`], and if an override is not about the method.
pub fn method(name: &str, overrides: &[String]) -> Result<MethodConfig, TrainError> {
    let source = tagged("--method", "method.name", name, Overrides::set(overrides)?)?;
    let method: MethodConfig = source.section("method")?;
    let checked = method.validate();
    checked.map_err(|reason| {
        source.blame(TrainError::Config {
            origin: CHECKED.to_string(),
            reason,
        })
    })?;
    Ok(method)
}

/// Returns the configuration of a dataset by its format and root, with overrides such as `data.images=photos`.
///
/// # Errors
///
/// As [`load`], and if an override is not about the data.
pub fn dataset(
    format: &str,
    root: &Path,
    overrides: &[String],
) -> Result<DatasetConfig, TrainError> {
    let mut overrides = Overrides::set(overrides)?;
    overrides.choose("PATH", "data.root", root.display().to_string())?;
    tagged("--format", "data.format", format, overrides)?.section("data")
}

/// Reads a section whose variant is given by a command-line option.
fn tagged(
    option: &str,
    key: &str,
    value: &str,
    mut overrides: Overrides,
) -> Result<Source, TrainError> {
    overrides.choose(option, key, value)?;
    Ok(Source::table(option, Table::new()).under(overrides))
}

/// One of the methods of a comparison.
#[derive(Debug, Clone)]
pub struct MethodOverrides {
    /// Name of the method.
    pub method: String,
    /// The overrides with the method's name, without those for keys that it does not have.
    pub overrides: Overrides,
    /// Keys of the overrides that it does not have but other methods do.
    pub left_out: Vec<String>,
}

impl Overrides {
    /// Returns the overrides of each method that an option names. Entries of `[method]`, such as
    /// `method.rank=8`, apply to the methods that have the key.
    ///
    /// # Errors
    ///
    /// [`TrainError::Key`] if a method is not in the table, no method has a key, or an entry sets the method's
    /// name itself.
    pub fn by_method(
        &self,
        option: &str,
        methods: &[impl AsRef<str>],
    ) -> Result<Vec<MethodOverrides>, TrainError> {
        let compared = methods.iter().map(|method| {
            let method = method.as_ref();
            let mut overrides = self.clone();
            overrides.choose(option, "method.name", method)?;
            refuse_unknown_method(option, method)?;
            let left_out = overrides.take_out("method", |key| key == "name" || has(method, key));
            Ok(MethodOverrides {
                method: method.to_string(),
                overrides,
                left_out,
            })
        });
        let compared = compared.collect::<Result<Vec<MethodOverrides>, TrainError>>()?;
        let Some((first, rest)) = compared.split_first() else {
            return Ok(compared);
        };
        let is_nobodys = |key: &&String| rest.iter().all(|other| other.left_out.contains(key));
        if first.left_out.iter().any(|key| is_nobodys(&key))
            && let Some(error) = self.refusal(option, &compared)
        {
            return Err(error);
        }
        Ok(compared)
    }

    /// Returns the error of a key that no method has, with the nearest key that one of them has; `None` if a method
    /// has every key.
    fn refusal(&self, option: &str, methods: &[MethodOverrides]) -> Option<TrainError> {
        let read = |method: &str| {
            let mut overrides = self.clone();
            overrides.choose(option, "method.name", method)?;
            let source = Source::table(option, Table::new()).under(overrides.only("method"));
            source.section::<MethodConfig>("method").map(|_| ())
        };
        let names: Vec<&str> = methods.iter().map(|one| one.method.as_str()).collect();
        let mut refused: Vec<TrainError> = names
            .iter()
            .filter_map(|method| read(method).err())
            .collect();
        let nearest = refused.iter().position(
            |error| matches!(error, TrainError::Key { reason, .. } if has_suggestion(reason)),
        );
        if refused.is_empty() {
            return None;
        }
        let mut error = refused.swap_remove(nearest.unwrap_or(0));
        if let TrainError::Key { hint, .. } = &mut error
            && nearest.is_none()
            && names.len() > 1
        {
            let methods = names.join(", ");
            *hint = Some(format!("none of these methods has such a key: {methods}"));
        }
        Some(error)
    }
}

/// Whether a method has a key.
fn has(method: &str, key: &str) -> bool {
    let entries = [("name", Value::from(method)), (key, Value::from("?"))];
    let entries = entries.map(|(key, value)| (key.to_string(), value));
    let found: Result<MethodConfig, toml::de::Error> =
        Value::Table(Table::from_iter(entries)).try_into();
    let complaint = found.err();
    complaint.is_none_or(|error| {
        !error
            .message()
            .starts_with(&format!("unknown field `{key}`"))
    })
}

fn refuse_unknown_method(option: &str, name: &str) -> Result<(), TrainError> {
    let section = Table::from_iter([("name".to_string(), Value::from(name))]);
    let table = Table::from_iter([("method".to_string(), Value::Table(section))]);
    match name_of(&table, false) {
        None => Ok(()),
        Some(fault) => Err(TrainError::Key {
            origin: option.to_string(),
            reason: fault.reason,
            hint: fault.hint,
        }),
    }
}

#[cfg(test)]
mod tests;
