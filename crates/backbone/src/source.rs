//! Where the weights of a backbone come from.

use std::fmt::{self, Display};
use std::path::PathBuf;
use std::str::FromStr;

use gradway_hub::{Hub, HubError, Observer, PREFIX, Reference, ReferenceError};

use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::config::BackboneConfig;
use crate::embedded::EMBEDDED;
use crate::table::{UnknownBackbone, table};

/// The value of `weights` in a configuration that selects the canonical file of the backbone on the hub.
pub const PRETRAINED: &str = "pretrained";

/// Where the weights of a backbone come from: the value of `backbone.weights`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WeightSource {
    /// `embedded`: the weights in the library.
    Embedded,
    /// `pretrained`: the canonical file of the backbone on the hub.
    Pretrained,
    /// `hf:REPOSITORY[/FILE][@REVISION]`: a file on the hub.
    Hub(Reference),
    /// Anything else: the path of a file.
    File(PathBuf),
}

/// The error of getting the weights of a backbone.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// The backbone is not in the table.
    #[error(transparent)]
    Backbone(#[from] UnknownBackbone),
    /// The backbone has no canonical file.
    #[error("`{backbone}` has no canonical weights on the hub, only {} have", known.join(", "))]
    NotPublished {
        /// The backbone.
        backbone: String,
        /// Backbones that have one.
        known: Vec<&'static str>,
    },
    /// A reference that is malformed.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// The file cannot be fetched.
    #[error(transparent)]
    Hub(#[from] HubError),
    /// The file cannot be read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

impl WeightsError {
    /// Returns a suggestion to fix the error, if there is one.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Hub(error) => error.hint(),
            Self::NotPublished { .. } => Some(
                "set a weight file, or a file on the hub: hf:OWNER/NAME[/FILE][@REVISION]"
                    .to_string(),
            ),
            _ => None,
        }
    }
}

impl FromStr for WeightSource {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        match text {
            EMBEDDED => Ok(Self::Embedded),
            PRETRAINED => Ok(Self::Pretrained),
            text if text.starts_with(PREFIX) => Ok(Self::Hub(text.parse()?)),
            path => Ok(Self::File(path.into())),
        }
    }
}

impl Display for WeightSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded => formatter.write_str(EMBEDDED),
            Self::Pretrained => formatter.write_str(PRETRAINED),
            Self::Hub(reference) => reference.fmt(formatter),
            Self::File(path) => path.display().fmt(formatter),
        }
    }
}

impl WeightSource {
    /// Whether a value of `weights` is the path of a file.
    pub fn is_path(text: &str) -> bool {
        !text.starts_with(PREFIX) && ![EMBEDDED, PRETRAINED].contains(&text)
    }

    /// Returns the file on the hub, if the weights come from there.
    ///
    /// # Errors
    ///
    /// [`WeightsError::NotPublished`] if the backbone has no canonical file, but is to be read from it;
    /// [`WeightsError::Backbone`] if it is not in the table.
    pub fn reference(&self, backbone: &str) -> Result<Option<Reference>, WeightsError> {
        match self {
            Self::Embedded | Self::File(_) => Ok(None),
            Self::Hub(reference) => Ok(Some(reference.clone())),
            Self::Pretrained => pretrained(backbone).map(Some),
        }
    }

    /// Opens the weights, wherever they come from. A file on the hub is downloaded before if it is not in the cache. `hub` is
    /// called only if it is needed.
    ///
    /// # Errors
    ///
    /// [`WeightsError`] if there is no such file, or it cannot be fetched or read.
    pub fn open(
        &self,
        backbone: &str,
        hub: impl FnOnce() -> Result<Hub, HubError>,
        observer: &mut dyn Observer,
    ) -> Result<Checkpoint, WeightsError> {
        if let Some(reference) = self.reference(backbone)? {
            let fetched = hub()?.fetch(&reference, observer)?;
            return Ok(Checkpoint::open(&fetched.path)?);
        }
        Ok(match self {
            Self::File(path) => Checkpoint::open(path)?,
            _ => Checkpoint::embedded(backbone)?,
        })
    }
}

/// Returns the canonical file of a backbone on the hub.
///
/// # Errors
///
/// [`WeightsError::NotPublished`] if it has none; [`WeightsError::Backbone`] if it is not in the table.
pub fn pretrained(backbone: &str) -> Result<Reference, WeightsError> {
    let config = BackboneConfig::named(backbone);
    let line = config.descriptor()?;
    let pretrained = line.pretrained.ok_or_else(|| WeightsError::NotPublished {
        backbone: backbone.to_string(),
        known: published(),
    })?;
    Ok(pretrained.reference()?)
}

/// The names of the backbones that have a canonical file.
fn published() -> Vec<&'static str> {
    let lines = table().iter().filter(|line| line.pretrained.is_some());
    lines.map(|line| line.name).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn no_hub() -> Result<Hub, HubError> {
        panic!("the hub is not needed")
    }

    #[test]
    fn the_four_forms_are_told_apart_and_written_as_they_are_read() {
        let forms = [
            ("embedded", WeightSource::Embedded),
            ("pretrained", WeightSource::Pretrained),
            (
                "hf:a/b",
                WeightSource::Hub("hf:a/b".parse().expect("a reference")),
            ),
            ("./pretrained", WeightSource::File("./pretrained".into())),
            (
                "weights/hf:a.pth",
                WeightSource::File("weights/hf:a.pth".into()),
            ),
        ];
        for (text, expected) in forms {
            let source: WeightSource = text.parse().expect(text);
            assert_eq!(source, expected);
            assert_eq!(source.to_string(), text);
            assert_eq!(
                WeightSource::is_path(text),
                matches!(source, WeightSource::File(_))
            );
        }
        assert!("hf:a".parse::<WeightSource>().is_err());
    }

    #[test]
    fn every_canonical_file_has_a_reference_of_its_own() {
        let mut seen = BTreeSet::new();
        for line in table() {
            let Some(pretrained) = line.pretrained else {
                continue;
            };
            let found = WeightSource::Pretrained
                .reference(line.name)
                .expect(line.name);
            let found = found.expect("a reference");
            assert_eq!(found.repository(), pretrained.repository);
            assert_eq!(found.file(), Some(pretrained.file));
            assert!(seen.insert(found.to_string()), "{found} stands twice");
        }
        assert!(!seen.is_empty());
    }

    #[test]
    fn a_backbone_without_a_canonical_file_is_refused_with_those_that_have_one() {
        let error = WeightSource::Pretrained
            .reference("swin_mini")
            .expect_err("none");
        let text = error.to_string();
        assert!(
            text.contains("`swin_mini`") && text.contains("dinov2_small"),
            "{text}"
        );
        assert!(
            error.hint().expect("a hint").contains("hf:OWNER/NAME"),
            "{text}"
        );
        let error = WeightSource::Pretrained
            .reference("swin_tinny")
            .expect_err("unknown");
        assert!(
            error.to_string().contains("did you mean `swin_tiny`?"),
            "{error}"
        );
    }

    #[test]
    fn what_is_not_on_the_hub_needs_no_hub() {
        let name = "efficientnet_lite0";
        let embedded = WeightSource::Embedded.open(name, no_hub, &mut gradway_hub::Silent);
        assert!(embedded.expect("weights").keys().count() > 0);
        let error =
            WeightSource::File("nowhere.pth".into()).open(name, no_hub, &mut gradway_hub::Silent);
        assert!(
            error
                .expect_err("no file")
                .to_string()
                .contains("nowhere.pth")
        );
    }
}
