//! References to files of a hub.

use std::fmt::{self, Display};
use std::str::FromStr;

/// What a reference starts with.
pub const PREFIX: &str = "hf:";

/// Maximum length of the name of a repository, as on the hub.
const MAXIMUM_NAME: usize = 96;

/// The number of digits of a commit.
const COMMIT: usize = 40;

/// A file of a repository at a revision: `hf:REPOSITORY[/FILE][@REVISION]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    repository: String,
    file: Option<String>,
    revision: Option<String>,
}

/// A text that is not a reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}; expected hf:OWNER/NAME[/FILE][@REVISION], such as hf:facebook/dinov2-small")]
pub struct ReferenceError {
    /// The reason.
    pub reason: String,
}

impl Reference {
    /// Names the file of a repository, such as `facebook/dinov2-small`, at its main revision.
    ///
    /// # Errors
    ///
    /// [`ReferenceError`] if a name is not one of the hub.
    pub fn new(repository: &str, file: &str) -> Result<Self, ReferenceError> {
        format!("{PREFIX}{repository}/{file}").parse()
    }

    /// The repository: `OWNER/NAME`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The path of the file in the repository; `None` if the reference leaves the choice to its reader.
    pub fn file(&self) -> Option<&str> {
        self.file.as_deref()
    }

    /// The revision: a branch, a tag or a commit; the branch `main` if the reference names none.
    pub fn revision(&self) -> &str {
        self.revision.as_deref().unwrap_or("main")
    }

    /// The same with this file.
    pub(crate) fn with_file(&self, file: &str) -> Self {
        Self {
            file: Some(file.to_string()),
            ..self.clone()
        }
    }

    /// The same at this revision.
    pub(crate) fn with_revision(&self, revision: &str) -> Self {
        Self {
            revision: Some(revision.to_string()),
            ..self.clone()
        }
    }

    /// Whether the reference names a file at a commit, so that it means the same bytes forever.
    pub fn is_pinned(&self) -> bool {
        self.file.is_some() && is_commit(self.revision())
    }

    /// Whether the other, pinned reference can be what this one was resolved to: the repository is the same, and so are
    /// the file and the commit if this one names them.
    pub fn can_mean(&self, pinned: &Self) -> bool {
        let file = self.file.is_none() || self.file == pinned.file;
        let revision = !is_commit(self.revision()) || self.revision == pinned.revision;
        self.repository == pinned.repository && file && revision
    }
}

/// Whether a revision is a whole commit.
pub(crate) fn is_commit(revision: &str) -> bool {
    revision.len() == COMMIT
        && revision
            .bytes()
            .all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether a text can be the name of a file in any folder, and names no other folder.
pub(crate) fn is_name(text: &str) -> bool {
    let forbidden = |character: char| character.is_control() || "/\\:*?\"<>|".contains(character);
    !text.is_empty() && text != "." && text != ".." && !text.contains(forbidden)
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let wrong = |reason: String| ReferenceError { reason };
        let rest = text
            .strip_prefix(PREFIX)
            .ok_or_else(|| wrong(format!("`{text}` does not start with {PREFIX}")))?;
        // The name of a file may contain an `@`, a revision does not.
        let (path, revision) = match rest.rsplit_once('@') {
            Some((path, revision)) => (path, Some(revision)),
            None => (rest, None),
        };
        if let Some(revision) = revision
            && !revision.split('/').all(is_name)
        {
            return Err(wrong(format!("`{text}`: `{revision}` is not a revision")));
        }
        let mut parts = path.splitn(3, '/');
        let (owner, name) = (
            parts.next().unwrap_or_default(),
            parts.next().unwrap_or_default(),
        );
        let repository = format!("{owner}/{name}");
        if ![owner, name].into_iter().all(is_repository_part) || repository.len() > MAXIMUM_NAME {
            return Err(wrong(format!(
                "`{text}`: `{owner}/{name}` is not a repository"
            )));
        }
        let file = parts.next();
        if let Some(file) = file
            && !file.split('/').all(is_name)
        {
            return Err(wrong(format!("`{text}`: `{file}` is not a file")));
        }
        Ok(Self {
            repository,
            file: file.map(String::from),
            revision: revision.map(String::from),
        })
    }
}

/// Whether a text can be the owner or the name of a repository. The hub forbids `--` and `..`, and the cache relies on it.
fn is_repository_part(text: &str) -> bool {
    let allowed = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
    let at_end = |character: char| "-.".contains(character);
    !text.is_empty()
        && text.chars().all(allowed)
        && !text.starts_with(at_end)
        && !text.ends_with(at_end)
        && !text.contains("--")
        && !text.contains("..")
}

impl Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{PREFIX}{}", self.repository)?;
        if let Some(file) = &self.file {
            write!(formatter, "/{file}")?;
        }
        match &self.revision {
            Some(revision) => write!(formatter, "@{revision}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_read_and_written_in_the_same_form() {
        let whole = "hf:facebook/dinov2-small/onnx/model.safetensors@refs/pr/3";
        let reference: Reference = whole.parse().expect("a reference");
        assert_eq!(reference.repository(), "facebook/dinov2-small");
        assert_eq!(reference.file(), Some("onnx/model.safetensors"));
        assert_eq!(reference.revision(), "refs/pr/3");
        assert_eq!(reference.to_string(), whole);
        let short = "hf:timm/swin_tiny_patch4_window7_224.ms_in1k";
        let reference: Reference = short.parse().expect("a reference");
        assert_eq!((reference.file(), reference.revision()), (None, "main"));
        assert_eq!(reference.to_string(), short);
        let odd: Reference = "hf:a/b/x@2.bin@v1".parse().expect("a reference");
        assert_eq!((odd.file(), odd.revision()), (Some("x@2.bin"), "v1"));
    }

    #[test]
    fn what_is_no_reference_is_refused_with_the_part_that_is_wrong() {
        let cases = [
            ("facebook/dinov2-small", "does not start with hf:"),
            ("hf:", "`/` is not a repository"),
            ("hf:gpt2", "`gpt2/` is not a repository"),
            ("hf:a/../b", "`a/..` is not a repository"),
            ("hf:a/b--c", "`a/b--c` is not a repository"),
            ("hf:a b/c", "`a b/c` is not a repository"),
            ("hf:a/b/../c", "`../c` is not a file"),
            ("hf:a/b/", "`` is not a file"),
            ("hf:a/b//c", "`/c` is not a file"),
            ("hf:a/b/c\\d", "`c\\d` is not a file"),
            ("hf:a/b@", "`` is not a revision"),
            ("hf:a/b@../x", "`../x` is not a revision"),
            ("hf:a/b@/x", "`/x` is not a revision"),
            ("hf://a/b", "`/` is not a repository"),
        ];
        for (text, reason) in cases {
            let error = text.parse::<Reference>().expect_err(text).to_string();
            assert!(error.contains(reason), "{text}: {error}");
            assert!(error.contains("hf:OWNER/NAME[/FILE][@REVISION]"), "{error}");
        }
        let long = format!("hf:a/{}", "b".repeat(95));
        assert!(long.parse::<Reference>().is_err());
    }

    #[test]
    fn a_pinned_reference_can_be_meant_by_a_shorter_one_of_its_repository() {
        let parse = |text: &str| text.parse::<Reference>().expect("a reference");
        let commit = "0123456789abcdef0123456789abcdef01234567";
        let pinned = parse(&format!("hf:a/b/model.safetensors@{commit}"));
        assert!(pinned.is_pinned());
        for text in [
            "hf:a/b",
            "hf:a/b@main",
            "hf:a/b/model.safetensors",
            "hf:a/b@v1",
        ] {
            assert!(!parse(text).is_pinned(), "{text}");
            assert!(parse(text).can_mean(&pinned), "{text}");
        }
        assert!(pinned.can_mean(&pinned));
        let other = format!("hf:a/b@{}", commit.replace('0', "1"));
        for text in ["hf:a/c", "hf:a/b/other.safetensors", &other] {
            assert!(!parse(text).can_mean(&pinned), "{text}");
        }
    }
}
