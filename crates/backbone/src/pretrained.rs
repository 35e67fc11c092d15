//! The canonical weight files of backbones.

use gradway_hub::Reference;

/// The weight file that `weights = "pretrained"` means for a backbone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pretrained {
    /// The repository on the hub: `OWNER/NAME`.
    pub repository: &'static str,
    /// The file of the repository.
    pub file: &'static str,
    /// Whether the publisher asks for consent to terms before a download.
    pub gated: bool,
}

impl Pretrained {
    /// The usual file of a repository.
    pub(crate) const fn of(repository: &'static str) -> Self {
        Self {
            repository,
            file: "model.safetensors",
            gated: false,
        }
    }

    /// The usual file of a repository whose terms must be accepted.
    pub(crate) const fn gated(repository: &'static str) -> Self {
        Self {
            gated: true,
            ..Self::of(repository)
        }
    }

    /// Returns the reference of the file, at the main revision.
    ///
    /// # Errors
    ///
    /// If the names are not those of a hub, which a test of the table excludes.
    pub fn reference(&self) -> Result<Reference, gradway_hub::ReferenceError> {
        Reference::new(self.repository, self.file)
    }
}
