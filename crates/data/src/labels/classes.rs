//! Where the names and colours of the classes come from.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::DataError;
use crate::text;

use super::manifest;
use super::palette::PaletteRule;
use crate::task::{DenseTask, LabelKind};

/// The class list of a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ClassSource {
    /// The name of a built-in list, such as `camvid`, or a text file with one name a line; a
    /// relative file path starts at the root of the dataset.
    Named(String),
    /// The names themselves, in label order.
    List(Vec<String>),
}

/// Names and colours of classes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Classes {
    /// The built-in list they come from, if any; it names the dataset too.
    pub list: Option<String>,
    /// Names, in label order.
    pub names: Vec<String>,
    /// One colour per name.
    pub palette: Vec<[u8; 3]>,
}

impl Classes {
    /// The classes of a built-in manifest.
    ///
    /// # Errors
    /// [`DataError::Manifest`] if it is missing or not valid.
    pub fn built_in(name: &str) -> Result<Self, DataError> {
        let manifest = manifest::require(name)?;
        Ok(Self {
            list: Some(name.into()),
            names: manifest.classes.clone(),
            palette: manifest.colors(),
        })
    }

    /// The two classes of a task that has two by definition, such as saliency; none for other tasks.
    pub(crate) fn of_binary(task: DenseTask) -> Option<Self> {
        let LabelKind::Binary { positive } = task.labels() else {
            return None;
        };
        Some(Self {
            list: None,
            names: vec!["background".into(), positive.into()],
            palette: vec![[0; 3], [255; 3]],
        })
    }

    /// Names without colours of their own: the Pascal VOC colour map.
    pub(crate) fn named(names: Vec<String>) -> Self {
        let palette = PaletteRule::VocColormap.colors(names.len());
        Self {
            list: None,
            names,
            palette,
        }
    }
}

impl ClassSource {
    /// The class list this stands for, in a dataset below `root`.
    ///
    /// # Errors
    /// A name that is neither a built-in list nor a file, or a file that cannot be read or has a comment.
    pub fn resolve(&self, root: &Path) -> Result<Classes, DataError> {
        let name = match self {
            Self::List(names) => return Ok(Classes::named(names.clone())),
            Self::Named(name) => name,
        };
        if manifest::find(name)?.is_some() {
            return Classes::built_in(name);
        }
        let path = root.join(name);
        if !path.is_file() {
            return Err(DataError::UnknownClassList {
                name: name.clone(),
                known: manifest::names(),
                path,
            });
        }
        let names = text::lines(&path)?;
        if let Some(comment) = names.iter().find(|name| name.starts_with('#')) {
            // Read as a name, it would move the labels of all classes after it.
            return Err(DataError::InvalidValue {
                key: "classes",
                value: format!("`{comment}` in {}", path.display()),
                expected: "one name per line, without comments".into(),
            });
        }
        Ok(Classes::named(names))
    }
}

/// The class list of a format that has a default one.
///
/// # Errors
/// As [`ClassSource::resolve`]; and [`DataError::AmbiguousClasses`] if the dataset brings a
/// `classes.txt` that the configuration neither uses nor overrules.
pub(crate) fn resolve_or_default(
    source: Option<&ClassSource>,
    root: &Path,
    default: &'static str,
) -> Result<Classes, DataError> {
    let Some(source) = source else {
        let path: PathBuf = root.join("classes.txt");
        if path.is_file() {
            return Err(DataError::AmbiguousClasses { path, default });
        }
        return Classes::built_in(default);
    };
    source.resolve(root)
}
