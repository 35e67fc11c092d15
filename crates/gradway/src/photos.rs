//! The photos that a command line names.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use gradway::data::images_by_stem;

/// A photo to look at.
#[derive(Debug)]
pub struct Photo {
    /// The file.
    pub path: PathBuf,
    /// Its name without its ending.
    pub name: String,
    /// The name where all names are numbers, else the place among all photos, counted from 1.
    pub number: u64,
}

/// The photos of these paths, which may be files and folders; a folder's are in the order of their names.
///
/// Refuses two of one name, of which one prediction would replace the other.
pub fn photos(paths: &[PathBuf]) -> Result<Vec<Photo>> {
    let mut files: Vec<(String, PathBuf)> = Vec::new();
    for path in paths {
        if !path.is_dir() {
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            files.push((name.into_owned(), path.clone()));
            continue;
        }
        let found = images_by_stem(path)?;
        if found.is_empty() {
            bail!("folder {} has no photos", path.display());
        }
        files.extend(found);
    }
    let mut seen: BTreeMap<&str, &Path> = BTreeMap::new();
    for (name, path) in &files {
        if let Some(other) = seen.insert(name, path) {
            bail!(
                "two images are called `{name}`, {} and {}; predict them into different folders",
                other.display(),
                path.display()
            );
        }
    }
    let named: Option<Vec<u64>> = files.iter().map(|(name, _)| name.parse().ok()).collect();
    let numbers = named.unwrap_or_else(|| (1..).take(files.len()).collect());
    let photos = files.into_iter().zip(numbers);
    Ok(photos
        .map(|((name, path), number)| Photo { path, name, number })
        .collect())
}
