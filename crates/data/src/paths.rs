//! Paths of configurations: variables at the start, folders that must exist, files of a folder.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use crate::dataset::{FilePair, Split};
use crate::error::DataError;
use crate::multi_task::ImageFile;

/// Endings of image files, lower case.
const IMAGE_EXTENSIONS: [&str; 3] = ["jpg", "jpeg", "png"];

/// Replaces a leading `$NAME` or `${NAME}` by the value of that environment variable, so that a
/// configuration can be shared between machines.
///
/// # Errors
/// [`DataError::UnsetVariable`].
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

/// A path that means the same in every folder: a relative one starts at the working directory. One that
/// starts with a variable stays as it is, and means what the variable says when it is used.
pub fn absolute(path: &Path) -> PathBuf {
    let first = path.components().next();
    let is_variable =
        matches!(first, Some(Component::Normal(first)) if first.to_string_lossy().starts_with('$'));
    match std::path::absolute(path) {
        Ok(absolute) if !is_variable => absolute,
        _ => path.to_path_buf(),
    }
}

/// Refuses a folder that does not exist, showing the layout of the format.
///
/// # Errors
/// [`DataError::MissingFolder`].
pub(crate) fn require_folder(
    path: &Path,
    format: &'static str,
    layout: &'static str,
) -> Result<(), DataError> {
    if path.is_dir() {
        return Ok(());
    }
    let nearest = path
        .ancestors()
        .skip(1)
        .find(|ancestor| ancestor.is_dir())
        .map_or_else(|| PathBuf::from("."), Path::to_path_buf);
    Err(DataError::MissingFolder {
        path: path.to_path_buf(),
        nearest,
        format,
        layout,
    })
}

/// The images of a folder by stem, in alphabetical order.
///
/// # Errors
/// A folder that cannot be listed, or two images with the same stem.
pub fn images_by_stem(folder: &Path) -> Result<BTreeMap<String, PathBuf>, DataError> {
    files_by_stem(folder, &IMAGE_EXTENSIONS)
}

/// The files of a folder with one of these endings, by stem.
fn files_by_stem(
    folder: &Path,
    extensions: &[&str],
) -> Result<BTreeMap<String, PathBuf>, DataError> {
    let read_error = |source| DataError::Read {
        path: folder.to_path_buf(),
        source,
    };
    let mut images = BTreeMap::new();
    for entry in std::fs::read_dir(folder).map_err(read_error)? {
        let path = entry.map_err(read_error)?.path();
        let Some(stem) = wanted_stem(&path, extensions) else {
            continue;
        };
        if let Some(first) = images.insert(stem.clone(), path.clone()) {
            return Err(DataError::DuplicateSample {
                id: stem,
                first: first.display().to_string(),
                second: path.display().to_string(),
            });
        }
    }
    Ok(images)
}

/// Refuses a folder with masks (.png) that belong to no image.
///
/// Without a list, the images alone decide what is in a split: images that did not arrive would make
/// the dataset smaller without a word.
///
/// # Errors
/// A folder that cannot be listed, or [`DataError::MaskWithoutImage`] with the first such mask and
/// their number.
pub(crate) fn require_images(
    masks: &Path,
    mask_suffix: &str,
    image_folder: &Path,
    images: &BTreeMap<String, PathBuf>,
) -> Result<(), DataError> {
    // Masks without the suffix, such as previews beside them, are nobody's.
    let found = files_by_stem(masks, &["png"])?
        .into_iter()
        .filter_map(|(stem, mask)| Some((stem.strip_suffix(mask_suffix)?.to_string(), mask)));
    let (mut first, mut missing, mut total) = (None, 0, 0);
    for (id, mask) in found {
        total += 1;
        if !images.contains_key(&id) {
            missing += 1;
            first.get_or_insert(mask);
        }
    }
    match first {
        None => Ok(()),
        Some(mask) => Err(DataError::MaskWithoutImage {
            mask,
            images: image_folder.to_path_buf(),
            missing,
            total,
        }),
    }
}

/// The stem of a file with one of these endings; none for other files and for hidden ones.
fn wanted_stem(path: &Path, extensions: &[&str]) -> Option<String> {
    let extension = path.extension()?.to_str()?.to_ascii_lowercase();
    let stem = path.file_stem()?.to_str()?;
    let wanted = extensions.contains(&extension.as_str()) && !stem.starts_with('.');
    (wanted && path.is_file()).then(|| stem.to_string())
}

/// The samples named by the lines of a split list, in the order of the list.
///
/// A line is a stem, or a file name whose image ending is dropped.
///
/// # Errors
/// A list that cannot be read, names a sample twice or names one without an image.
pub(crate) fn pairs_of_list(
    list: &Path,
    images: &BTreeMap<String, PathBuf>,
    image_folder: &Path,
    mask: impl Fn(&str) -> PathBuf,
) -> Result<Vec<FilePair>, DataError> {
    if !list.is_file() {
        return Err(DataError::MissingFile {
            what: "split list",
            path: list.to_path_buf(),
        });
    }
    let mut seen = BTreeMap::new();
    let mut pairs = Vec::new();
    for (number, line) in crate::classes::lines(list)?.into_iter().enumerate() {
        let id = without_image_extension(&line).to_string();
        let place = |number: usize| format!("entry {} of {}", number + 1, list.display());
        if let Some(first) = seen.insert(id.clone(), number) {
            return Err(DataError::DuplicateSample {
                id,
                first: place(first),
                second: place(number),
            });
        }
        let Some(image) = images.get(&id) else {
            return Err(DataError::MissingImage {
                image: image_folder.join(format!("{id}.jpg")),
                list: list.to_path_buf(),
                id,
            });
        };
        pairs.push(FilePair {
            mask: mask(&id),
            image: image.clone(),
            id,
        });
    }
    Ok(pairs)
}

/// The images named by a split list, in its order.
///
/// # Errors
/// As [`pairs_of_list`], a folder that cannot be listed, and an empty list.
pub(crate) fn images_of_list(
    list: &Path,
    folder: &Path,
    split: Split,
) -> Result<Vec<ImageFile>, DataError> {
    let by_stem = images_by_stem(folder)?;
    let pairs = pairs_of_list(list, &by_stem, folder, |_| PathBuf::new())?;
    if pairs.is_empty() {
        return Err(DataError::EmptySplit {
            split: split.name(),
            expected: "stems",
            path: list.to_path_buf(),
        });
    }
    let image = |pair: FilePair| ImageFile {
        id: pair.id,
        path: pair.image,
    };
    Ok(pairs.into_iter().map(image).collect())
}

/// `a` for `a.jpg`, and `a.b` for `a.b`: only endings of images are endings.
pub(crate) fn without_image_extension(name: &str) -> &str {
    match name.rsplit_once('.') {
        Some((stem, extension))
            if IMAGE_EXTENSIONS.contains(&extension.to_ascii_lowercase().as_str()) =>
        {
            stem
        }
        _ => name,
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

    #[test]
    fn stems_may_hold_dots() {
        assert_eq!(without_image_extension("a.JPG"), "a");
        assert_eq!(without_image_extension("a.b"), "a.b");
    }
}
