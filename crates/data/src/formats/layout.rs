//! Files on disk: required folders, files of a folder by stem, images with their labels.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::dense::FilePair;
use crate::error::{DataError, FileFault};

/// Endings of image files, lower case.
pub(super) const IMAGE_EXTENSIONS: [&str; 7] = ["jpg", "jpeg", "png", "bmp", "webp", "tif", "tiff"];

/// Extensions of unsupported images, to report these and not a missing image.
const OTHER_EXTENSIONS: [&str; 12] = [
    "gif", "heic", "heif", "avif", "jxl", "jp2", "j2k", "tga", "ppm", "pgm", "psd", "dng",
];

/// Checks that a folder exists; the error shows the layout of the format.
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

/// Returns the images of a folder by stem, in alphabetical order.
///
/// # Errors
/// If the folder cannot be listed, or two images have the same stem.
pub fn images_by_stem(folder: &Path) -> Result<BTreeMap<String, PathBuf>, DataError> {
    files_by_stem(folder, &IMAGE_EXTENSIONS)
}

/// Returns the files of a folder with one of these extensions, in lower or upper case, by stem.
pub(super) fn files_by_stem(
    folder: &Path,
    extensions: &[&str],
) -> Result<BTreeMap<String, PathBuf>, DataError> {
    let read_error = |source| DataError::read(folder, source);
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder).map_err(read_error)? {
        let path = entry.map_err(read_error)?.path();
        let Some(stem) = wanted_stem(&path, extensions) else {
            continue;
        };
        if let Some(first) = files.insert(stem.clone(), path.clone()) {
            let mut both = [first.display().to_string(), path.display().to_string()];
            both.sort();
            let [first, second] = both;
            return Err(DataError::DuplicateSample {
                id: stem,
                first,
                second,
            });
        }
    }
    Ok(files)
}

/// Returns the stem of a file with one of these extensions; `None` for other files, folders and hidden files.
///
/// A name that is not UTF-8 is accepted too.
fn wanted_stem(path: &Path, extensions: &[&str]) -> Option<String> {
    let extension = path.extension()?.to_str()?.to_ascii_lowercase();
    let stem = path.file_stem()?.to_string_lossy();
    let wanted = extensions.contains(&extension.as_str()) && !stem.starts_with('.');
    (wanted && path.is_file()).then(|| stem.into_owned())
}

/// Returns the error of an unsupported image, if there is one with this stem.
pub(super) fn other_kind(folder: &Path, stem: &str) -> Option<DataError> {
    let files = std::fs::read_dir(folder).ok()?.flatten();
    let path = files
        .map(|entry| entry.path())
        .find(|path| wanted_stem(path, &OTHER_EXTENSIONS).is_some_and(|found| found == stem))?;
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    Some(DataError::File {
        fault: FileFault::Kind {
            found: format!("{} file", extension.to_ascii_uppercase()),
            advice: "convert it to PNG or JPEG",
        },
        path,
    })
}

/// A folder of images, by stem.
pub(crate) struct ImageFolder {
    pub path: PathBuf,
    pub by_stem: BTreeMap<String, PathBuf>,
}

impl ImageFolder {
    /// Lists a folder.
    ///
    /// # Errors
    /// As [`images_by_stem`].
    pub fn open(path: &Path) -> Result<Self, DataError> {
        Ok(Self {
            path: path.to_path_buf(),
            by_stem: images_by_stem(path)?,
        })
    }
}

/// A folder of label files, such as masks or annotations, which belong to images by their stems.
pub(crate) struct LabelFolder {
    pub path: PathBuf,
    /// What the files are, in words.
    pub what: &'static str,
    /// Their ending, lower case.
    pub extension: &'static str,
    /// The suffix of their stems after those of the images.
    suffix: String,
    pub by_stem: BTreeMap<String, PathBuf>,
}

impl LabelFolder {
    /// Lists a folder of masks.
    ///
    /// # Errors
    /// If the folder cannot be listed, or two masks have the same stem.
    pub fn masks(path: &Path, suffix: &str) -> Result<Self, DataError> {
        Self::open(path, "mask", "png", suffix)
    }

    /// Lists a folder of annotations.
    ///
    /// # Errors
    /// As [`Self::masks`].
    pub fn annotations(path: &Path) -> Result<Self, DataError> {
        Self::open(path, "annotation file", "xml", "")
    }

    fn open(
        path: &Path,
        what: &'static str,
        extension: &'static str,
        suffix: &str,
    ) -> Result<Self, DataError> {
        Ok(Self {
            path: path.to_path_buf(),
            what,
            extension,
            suffix: suffix.into(),
            by_stem: files_by_stem(path, &[extension])?,
        })
    }

    /// Returns the file of a sample, or the expected path if there is none.
    pub fn of(&self, id: &str) -> PathBuf {
        let stem = format!("{id}{}", self.suffix);
        match self.by_stem.get(&stem) {
            Some(path) => path.clone(),
            None => self.path.join(format!("{stem}.{}", self.extension)),
        }
    }

    /// Whether a name leads to a file by itself: with a folder or the ending.
    pub fn is_named(&self, name: &str) -> bool {
        name.contains('/') || without_extension(name, &[self.extension]) != name
    }

    /// Whether a name is the stem of a sample or of its file.
    pub fn is_stem_of(&self, name: &str, id: &str) -> bool {
        let suffix = name.strip_prefix(id);
        suffix.is_some_and(|suffix| suffix.is_empty() || suffix == self.suffix)
    }

    /// A pair for every image, by stem.
    pub fn pairs(&self, images: &ImageFolder) -> Vec<FilePair> {
        let pair = |(id, image): (&String, &PathBuf)| FilePair {
            id: id.clone(),
            image: image.clone(),
            mask: self.of(id),
        };
        images.by_stem.iter().map(pair).collect()
    }

    /// Checks that every mask belongs to an image.
    ///
    /// Without a list the images define the split, so missing images would silently make the dataset smaller.
    ///
    /// # Errors
    /// [`DataError::MaskWithoutImage`] with the first mask without an image and their number;
    /// [`DataError::File`] if its image has an unsupported format.
    pub fn require_images(&self, images: &ImageFolder) -> Result<(), DataError> {
        // Masks without the suffix, such as previews, belong to no image.
        let found = self.by_stem.iter();
        let found = found.filter_map(|(stem, mask)| Some((stem.strip_suffix(&self.suffix)?, mask)));
        let (mut first, mut missing, mut total) = (None, 0, 0);
        for (id, mask) in found {
            total += 1;
            if !images.by_stem.contains_key(id) {
                missing += 1;
                first.get_or_insert((id, mask));
            }
        }
        let Some((id, mask)) = first else {
            return Ok(());
        };
        Err(
            other_kind(&images.path, id).unwrap_or_else(|| DataError::MaskWithoutImage {
                mask: mask.clone(),
                images: images.path.clone(),
                missing,
                total,
            }),
        )
    }
}

/// Strips the extension of an image: `a.jpg` becomes `a`, but `a.b` is not changed.
pub(crate) fn without_image_extension(name: &str) -> &str {
    without_extension(name, &IMAGE_EXTENSIONS)
}

/// A name without one of these endings.
pub(super) fn without_extension<'a>(name: &'a str, extensions: &[&str]) -> &'a str {
    match name.rsplit_once('.') {
        Some((stem, extension))
            if extensions.contains(&extension.to_ascii_lowercase().as_str()) =>
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
    fn stems_may_hold_dots() {
        assert_eq!(without_image_extension("a.JPG"), "a");
        assert_eq!(without_image_extension("a.b"), "a.b");
    }
}
