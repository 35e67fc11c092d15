//! The photos that a command line names.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use gradway::data::{IMAGE_EXTENSIONS, OTHER_EXTENSIONS, named_stem};
use gradway::report::count;
use gradway::terminal::note;

/// Endings of photos in folders, besides those of a dataset's images.
const RARE_EXTENSIONS: [&str; 2] = ["jpe", "jfif"];

/// A photo to look at.
#[derive(Debug)]
pub struct Photo {
    /// The file.
    pub path: PathBuf,
    /// Its name without its ending. In a folder, it has the sub-folders before it: `sub/name`.
    pub name: String,
    /// The name if all names are numbers, otherwise the place among all photos, counted from 1.
    pub number: u64,
}

/// The photos of a command line.
#[derive(Debug)]
pub struct Photos {
    /// In the order of the command line, those of a folder in the order of their names.
    pub list: Vec<Photo>,
    /// The first name that is not a number; without one, the numbers are the names.
    pub unnumbered: Option<String>,
}

/// Returns the photos of these paths, which may be files and folders with their sub-folders, except `out`.
///
/// Images in other formats are left out and reported. Links to nowhere are among the photos, so that reading them
/// reports them.
///
/// # Errors
///
/// If a folder has no photos, or two photos have the same name: one prediction would replace the other.
pub fn photos(paths: &[PathBuf], out: &Path) -> Result<Photos> {
    let mut files: Vec<(String, PathBuf)> = Vec::new();
    for path in paths {
        if !path.is_dir() {
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            files.push((name.into_owned(), path.clone()));
            continue;
        }
        let mut walk = Walk {
            out: out.canonicalize().ok(),
            above: Vec::new(),
            found: Vec::new(),
            left_out: Vec::new(),
        };
        walk.enter(path, "")?;
        walk.report();
        if walk.found.is_empty() {
            bail!("folder {} has no photos", path.display());
        }
        walk.found.sort();
        files.extend(walk.found);
    }
    let mut seen: BTreeMap<&str, &Path> = BTreeMap::new();
    for (name, path) in &files {
        if let Some(other) = seen.insert(name, path) {
            bail!(
                "two photos are called `{name}`, {} and {}; predict them into different folders, or name one \
                 folder that has both in sub-folders",
                other.display(),
                path.display()
            );
        }
    }
    let unnumbered = files.iter().find(|(name, _)| number(name).is_none());
    let unnumbered = unnumbered.map(|(name, _)| name.clone());
    let photo = |((name, path), place): ((String, PathBuf), u64)| Photo {
        number: match unnumbered {
            Some(_) => place,
            None => number(&name).unwrap_or(place),
        },
        path,
        name,
    };
    Ok(Photos {
        list: files.into_iter().zip(1..).map(photo).collect(),
        unnumbered,
    })
}

/// The number that a name is, in digits alone.
fn number(name: &str) -> Option<u64> {
    let is_number = name.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| name.parse().ok()).flatten()
}

/// The photos below a folder.
struct Walk {
    /// The folder of the predictions, which is not entered.
    out: Option<PathBuf>,
    /// The folders entered, so that a link to one of them does not lead in circles.
    above: Vec<PathBuf>,
    found: Vec<(String, PathBuf)>,
    left_out: Vec<PathBuf>,
}

impl Walk {
    /// Collects the photos of a folder; `prefix` are the sub-folders that lead to it.
    fn enter(&mut self, folder: &Path, prefix: &str) -> Result<()> {
        let context = || format!("cannot read {}", folder.display());
        let place = folder.canonicalize().with_context(context)?;
        if !prefix.is_empty() && self.out.as_ref() == Some(&place) || self.above.contains(&place) {
            return Ok(());
        }
        self.above.push(place);
        for entry in fs::read_dir(folder).with_context(context)? {
            let path = entry.with_context(context)?.path();
            let file_name = path.file_name().unwrap_or_default().to_string_lossy();
            if file_name.starts_with('.') {
                continue;
            }
            if path.is_dir() {
                self.enter(&path, &format!("{prefix}{file_name}/"))?;
                continue;
            }
            // A link to nowhere does not exist.
            if !path.is_file() && path.exists() {
                continue;
            }
            let photo = [&IMAGE_EXTENSIONS[..], &RARE_EXTENSIONS];
            let mut stems = photo
                .into_iter()
                .filter_map(|endings| named_stem(&path, endings));
            if let Some(stem) = stems.next() {
                self.found.push((format!("{prefix}{stem}"), path));
            } else if named_stem(&path, &OTHER_EXTENSIONS).is_some() {
                self.left_out.push(path);
            }
        }
        self.above.pop();
        Ok(())
    }

    /// Reports what was left out.
    fn report(&mut self) {
        const SHOWN: usize = 3;
        self.left_out.sort();
        let names = self.left_out.iter().take(SHOWN);
        let names: Vec<String> = names.map(|path| path.display().to_string()).collect();
        let more = match self.left_out.len().saturating_sub(SHOWN) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        if !names.is_empty() {
            note(format_args!(
                "left out: {} in a format that is not read: {}{more}; convert to PNG or JPEG",
                count(self.left_out.len(), "image"),
                names.join(", ")
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_digits_alone() {
        let numbers = ["7", "007", "+7", "-7", "7a", "", "99999999999999999999"].map(number);
        let expected = [Some(7), Some(7), None, None, None, None, None];
        assert_eq!(numbers, expected);
    }

    #[test]
    fn names_are_numbers_only_if_all_are() {
        let named = |names: &[&str]| {
            let paths: Vec<PathBuf> = names.iter().map(PathBuf::from).collect();
            let photos = photos(&paths, Path::new("out")).unwrap();
            let numbers = photos.list.iter().map(|photo| photo.number);
            (numbers.collect::<Vec<_>>(), photos.unnumbered)
        };
        assert_eq!(named(&["12.png", "7.jpg"]), (vec![12, 7], None));
        let expected = (vec![1, 2], Some("+7".to_string()));
        assert_eq!(named(&["12.png", "+7.jpg"]), expected);
    }
}
