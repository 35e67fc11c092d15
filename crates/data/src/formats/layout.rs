//! Files on disk: required folders, files of a folder by stem, images with their labels.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::dense::FilePair;
use crate::error::{DataError, FileFault};
use crate::io::names::{
    IMAGE_EXTENSIONS, OTHER_EXTENSIONS, named_stem, upper_extension, wanted_stem, without_extension,
};

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

/// Returns the error of an unsupported image, or of a link to no file, if there is one with this stem.
pub(super) fn other_kind(folder: &Path, stem: &str) -> Option<DataError> {
    let files = || {
        let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
        files.map(|entry| entry.path())
    };
    let is_named = |path: &PathBuf, extensions: &[&str]| {
        named_stem(path, extensions).is_some_and(|found| found == stem)
    };
    let other = files().find(|path| is_named(path, &OTHER_EXTENSIONS) && path.is_file());
    if let Some(path) = other {
        return Some(DataError::File {
            fault: FileFault::Kind {
                found: format!("{} file", upper_extension(&path)),
                advice: "convert it to PNG or JPEG",
            },
            path,
        });
    }
    let link = files().find(|path| is_named(path, &IMAGE_EXTENSIONS) && !path.exists())?;
    let reason = "it is a link to a file that does not exist";
    let error = std::io::Error::new(std::io::ErrorKind::NotFound, reason);
    Some(DataError::read(&link, error))
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

    /// Returns the stems of all files that are named like images, whether they can be read or not.
    fn named(&self) -> Result<BTreeSet<String>, DataError> {
        let fail = |source| DataError::read(&self.path, source);
        let mut stems = BTreeSet::new();
        for entry in std::fs::read_dir(&self.path).map_err(fail)? {
            let path = entry.map_err(fail)?.path();
            let extensions = [&IMAGE_EXTENSIONS[..], &OTHER_EXTENSIONS];
            let named = extensions.map(|extensions| named_stem(&path, extensions));
            stems.extend(named.into_iter().flatten().filter(|_| !path.is_dir()));
        }
        Ok(stems)
    }

    /// Removes the files that are masks of others.
    pub fn leave_out_masks(&mut self, masks: &LabelFolder) {
        let is_of_image = |stem: &&str| self.by_stem.contains_key(*stem);
        let of_images = masks.by_stem.iter().filter(|(stem, _)| {
            let id = stem.strip_suffix(&masks.suffix).filter(|id| id != stem);
            id.as_ref().is_some_and(is_of_image)
        });
        let of_images: BTreeSet<PathBuf> = of_images.map(|(_, path)| path.clone()).collect();
        self.by_stem.retain(|_, path| !of_images.contains(path));
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
        self.require(images, |_| true)
    }

    /// As [`Self::require_images`], for masks of the images of several folders: only for the files in `images`.
    ///
    /// # Errors
    /// As [`Self::require_images`].
    pub fn require_named_images(&self, images: &ImageFolder) -> Result<(), DataError> {
        let named = images.named()?;
        self.require(images, |id| named.contains(id))
    }

    fn require(
        &self,
        images: &ImageFolder,
        is_wanted: impl Fn(&str) -> bool,
    ) -> Result<(), DataError> {
        // Masks without the suffix, such as previews, belong to no image.
        let found = self.by_stem.iter();
        let found = found.filter_map(|(stem, mask)| Some((stem.strip_suffix(&self.suffix)?, mask)));
        let (mut first, mut missing, mut total) = (None, 0, 0);
        for (id, mask) in found.filter(|(id, _)| is_wanted(id)) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stems_may_hold_dots() {
        assert_eq!(without_image_extension("a.JPG"), "a");
        assert_eq!(without_image_extension("a.b"), "a.b");
    }
}
