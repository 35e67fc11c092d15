//! Paths in configurations, which may start with environment variables.

use std::path::{Component, Path, PathBuf};

use crate::error::DataError;

/// Replaces a leading `$NAME` or `${NAME}` by the value of that environment variable, so that a
/// configuration can be shared between machines.
///
/// # Errors
/// [`DataError::UnsetVariable`] if the variable is not set.
pub fn expand(path: &Path) -> Result<PathBuf, DataError> {
    expand_with(path, |name| std::env::var_os(name).map(PathBuf::from))
}

fn expand_with(
    path: &Path,
    lookup: impl Fn(&str) -> Option<PathBuf>,
) -> Result<PathBuf, DataError> {
    let mut components = path.components();
    let Some(Component::Normal(first)) = components.next() else {
        return Ok(path.to_path_buf());
    };
    let Some(name) = first.to_str().and_then(|first| first.strip_prefix('$')) else {
        return Ok(path.to_path_buf());
    };
    let name = name
        .strip_prefix('{')
        .and_then(|name| name.strip_suffix('}'))
        .unwrap_or(name);
    match lookup(name) {
        Some(value) => Ok(value.join(components.as_path())),
        None => Err(DataError::UnsetVariable {
            path: path.to_path_buf(),
            variable: name.into(),
        }),
    }
}

/// Makes a relative path absolute, based on the working directory. A path that starts with a variable is not
/// changed, and is resolved when it is used.
pub fn absolute(path: &Path) -> PathBuf {
    let first = path.components().next();
    let is_variable =
        matches!(first, Some(Component::Normal(first)) if first.to_string_lossy().starts_with('$'));
    match std::path::absolute(path) {
        Ok(absolute) if !is_variable => absolute,
        _ => path.to_path_buf(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_at_the_start_are_replaced() {
        let lookup = |name: &str| (name == "DATA").then(|| PathBuf::from("/somewhere"));
        let expand = |path: &str| expand_with(Path::new(path), lookup);
        let expected = PathBuf::from("/somewhere/camvid");
        assert_eq!(expand("$DATA/camvid").unwrap(), expected);
        assert_eq!(expand("${DATA}/camvid").unwrap(), expected);
        assert_eq!(expand("/a/$DATA").unwrap(), PathBuf::from("/a/$DATA"));
        let error = expand("$OTHER/camvid").unwrap_err();
        assert!(error.to_string().contains("`OTHER`"), "{error}");
        assert!(error.hint().unwrap().contains("export OTHER="));
    }

    #[test]
    fn a_relative_path_starts_at_the_working_directory() {
        let here = std::env::current_dir().unwrap();
        assert_eq!(absolute(Path::new("a/b")), here.join("a/b"));
        assert_eq!(absolute(Path::new("./a")), here.join("a"));
        for path in ["/a/b", "$DATA/camvid", "${DATA}/camvid"] {
            assert_eq!(absolute(Path::new(path)), Path::new(path));
        }
    }
}
