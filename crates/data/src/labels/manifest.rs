//! The manifests in `datasets/`: classes, colours and licences of the datasets we know.
//!
//! The files are part of the library, so that class names exist in one place only.

use std::sync::OnceLock;

use serde::Deserialize;

use super::palette::PaletteRule;
use super::policy::LabelPolicy;
use crate::error::DataError;

/// Colours of a manifest: a list or a rule.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum ManifestPalette {
    /// A rule, applied to the number of classes.
    Rule(PaletteRule),
    /// One RGB colour per class.
    Colors(Vec<[u8; 3]>),
}

/// A SHA-256 sum of a file as its publisher distributes it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checksum {
    /// Name of the distributed file.
    pub file: String,
    /// Lower-case hexadecimal SHA-256.
    pub sha256: String,
}

/// What is known about a dataset.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Identifier; also the name of the file.
    pub name: String,
    /// Full name.
    pub title: String,
    /// The `format` that reads it.
    pub format: String,
    /// Where it comes from.
    pub source: String,
    /// Terms of use.
    pub licence: String,
    /// What to cite.
    #[serde(default)]
    pub citation: Option<String>,
    /// Folders and files below the root.
    pub layout: String,
    /// The configuration that opens it, apart from the root.
    #[serde(default)]
    pub configuration: Option<String>,
    /// Number of training samples.
    #[serde(default)]
    pub train_samples: Option<usize>,
    /// Number of validation samples.
    #[serde(default)]
    pub val_samples: Option<usize>,
    /// Sums of the distributed files, only where the publisher states them.
    #[serde(default)]
    pub checksums: Vec<Checksum>,
    /// How stored labels become classes.
    pub labels: LabelPolicy,
    /// Names of the classes, in label order.
    pub classes: Vec<String>,
    /// Colours of the classes.
    pub palette: ManifestPalette,
}

impl Manifest {
    /// One colour per class.
    pub fn colors(&self) -> Vec<[u8; 3]> {
        match &self.palette {
            ManifestPalette::Rule(rule) => rule.colors(self.classes.len()),
            ManifestPalette::Colors(colors) => colors.clone(),
        }
    }
}

/// The manifests built in: a new one is one line.
const SOURCES: &[(&str, &str)] = &[
    ("ade20k", include_str!("../../../../datasets/ade20k.toml")),
    ("camvid", include_str!("../../../../datasets/camvid.toml")),
    ("ccp", include_str!("../../../../datasets/ccp.toml")),
    ("nyud_mt", include_str!("../../../../datasets/nyud_mt.toml")),
    (
        "pascal_voc",
        include_str!("../../../../datasets/pascal_voc.toml"),
    ),
];

/// Names of the built-in manifests.
pub fn names() -> Vec<&'static str> {
    SOURCES.iter().map(|(name, _)| *name).collect()
}

/// The built-in manifest `name`, or none if there is no such manifest.
///
/// # Errors
/// [`DataError::Manifest`] if the manifest built in is not valid.
pub fn find(name: &str) -> Result<Option<&'static Manifest>, DataError> {
    static PARSED: OnceLock<Vec<Result<Manifest, String>>> = OnceLock::new();
    let parsed = PARSED.get_or_init(|| {
        let parse = |(_, text): &(&str, &str)| toml::from_str(text).map_err(|e| e.to_string());
        SOURCES.iter().map(parse).collect()
    });
    let Some(index) = SOURCES.iter().position(|(known, _)| *known == name) else {
        return Ok(None);
    };
    match parsed.get(index) {
        Some(Ok(manifest)) => Ok(Some(manifest)),
        Some(Err(reason)) => Err(DataError::Manifest {
            name: name.into(),
            reason: reason.clone(),
        }),
        None => Ok(None),
    }
}

/// The built-in manifest `name`, which a format relies on.
///
/// # Errors
/// [`DataError::Manifest`] if it is missing or not valid.
pub(crate) fn require(name: &str) -> Result<&'static Manifest, DataError> {
    find(name)?.ok_or_else(|| DataError::Manifest {
        name: name.into(),
        reason: "there is none".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::check_classes;

    #[test]
    fn every_manifest_is_valid() {
        for name in names() {
            let manifest = require(name).unwrap();
            assert_eq!(manifest.name, name);
            check_classes(&manifest.classes, &manifest.colors(), &manifest.labels)
                .unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        assert_eq!(require("ade20k").unwrap().classes.len(), 150);
        assert_eq!(require("pascal_voc").unwrap().classes.len(), 21);
        assert_eq!(require("camvid").unwrap().classes.len(), 11);
        assert_eq!(require("ccp").unwrap().classes.len(), 59);
        assert_eq!(require("nyud_mt").unwrap().classes.len(), 40);
        assert!(find("nothing").unwrap().is_none());
    }
}
