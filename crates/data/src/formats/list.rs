//! Split lists: a line names an image and, in an optional second column, its labels.
//!
//! Lists have many forms: stems, file names, paths below the root or from another machine, two columns
//! separated by spaces, tabs or commas, names in quotes. A line is first tried as one name, then as two. A path
//! must lead to a file, or end in the folder that the configuration names: a stem is not searched in other
//! folders.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::dense::FilePair;
use crate::dense::ImageFile;
use crate::error::{DataError, FileFault};
use crate::formats::layout::{
    ImageFolder, LabelFolder, other_kind, without_extension, without_image_extension,
};
use crate::split::Split;
use crate::text;

/// Returns the samples of a split list below `root`, in the order of the list.
///
/// # Errors
/// If the list cannot be read, names a sample twice, names a sample without an image, or has a second column
/// that names no label file.
pub(crate) fn pairs(
    list: &Path,
    root: &Path,
    images: &ImageFolder,
    labels: &LabelFolder,
) -> Result<Vec<FilePair>, DataError> {
    let pair = |image: ImageFile, mask: Option<PathBuf>| FilePair {
        mask: mask.unwrap_or_else(|| labels.of(&image.id)),
        image: image.path,
        id: image.id,
    };
    read(list, root, images, Some(labels), pair, |pair| &pair.id)
}

/// Returns the images of a split list, in the order of the list.
///
/// # Errors
/// As [`pairs`], without a second column.
pub(crate) fn images(list: &Path, images: &ImageFolder) -> Result<Vec<ImageFile>, DataError> {
    let root = images.path.parent().unwrap_or(&images.path);
    read(
        list,
        root,
        images,
        None,
        |image, _| image,
        |image| &image.id,
    )
}

/// Returns the images of a split list, in its order.
///
/// # Errors
/// As [`images`], a folder that cannot be listed, and an empty list.
pub(crate) fn images_of_list(
    list: &Path,
    folder: &Path,
    split: Split,
) -> Result<Vec<ImageFile>, DataError> {
    let images = images(list, &ImageFolder::open(folder)?)?;
    if images.is_empty() {
        return Err(DataError::EmptySplit {
            split: split.name(),
            expected: "stems",
            path: list.to_path_buf(),
        });
    }
    Ok(images)
}

fn read<T>(
    list: &Path,
    root: &Path,
    images: &ImageFolder,
    labels: Option<&LabelFolder>,
    sample: impl Fn(ImageFile, Option<PathBuf>) -> T,
    id: impl Fn(&T) -> &String,
) -> Result<Vec<T>, DataError> {
    if !list.is_file() {
        return Err(DataError::MissingFile {
            what: "split list",
            path: list.to_path_buf(),
        });
    }
    let list_of = Lines {
        list,
        root,
        images,
        labels,
    };
    let mut seen = BTreeMap::new();
    let mut samples = Vec::new();
    for (line, number) in text::lines(list)?.iter().zip(1..) {
        let (image, label) = list_of.sample(line, number)?;
        let sample = sample(image, label);
        let place = |number: usize| format!("entry {number} of {}", list.display());
        if let Some(first) = seen.insert(id(&sample).clone(), number) {
            return Err(DataError::DuplicateSample {
                id: id(&sample).clone(),
                first: place(first),
                second: place(number),
            });
        }
        samples.push(sample);
    }
    Ok(samples)
}

/// Resolves the names of a list.
struct Lines<'a> {
    list: &'a Path,
    root: &'a Path,
    images: &'a ImageFolder,
    labels: Option<&'a LabelFolder>,
}

impl Lines<'_> {
    /// Returns the image of a line, and its labels if they are named.
    fn sample(&self, line: &str, entry: usize) -> Result<(ImageFile, Option<PathBuf>), DataError> {
        if let Some(image) = self.image(&unquoted(line)) {
            return Ok((image, None));
        }
        let Some(labels) = self.labels else {
            return Err(self.missing(line));
        };
        let columns = columns(line);
        let mut wrong = None;
        for (first, second) in &columns {
            let Some(image) = self.image(first) else {
                continue;
            };
            match self.label(labels, second) {
                Some(label) => return Ok((image, Some(label))),
                None => wrong = wrong.or(Some(second)),
            }
        }
        let Some(found) = wrong else {
            let ending = format!(".{}", labels.extension);
            let named = columns
                .iter()
                .find(|(_, second)| second.to_ascii_lowercase().ends_with(&ending));
            return Err(self.missing(named.map_or(line, |(first, _)| first)));
        };
        Err(DataError::File {
            path: self.list.to_path_buf(),
            fault: FileFault::Listed {
                entry,
                found: found.clone(),
                expected: labels.what,
                path: self.root.join(found.trim_start_matches('/')),
            },
        })
    }

    fn missing(&self, name: &str) -> DataError {
        let id = without_image_extension(&unquoted(name)).to_string();
        other_kind(&self.images.path, &id).unwrap_or_else(|| DataError::MissingImage {
            image: self.images.path.join(format!("{id}.jpg")),
            list: self.list.to_path_buf(),
            id,
        })
    }

    /// Returns the image of a name.
    fn image(&self, name: &str) -> Option<ImageFile> {
        let by_stem = |stem: &str| {
            let path = self.images.by_stem.get(stem)?;
            Some(ImageFile {
                id: stem.to_string(),
                path: path.clone(),
            })
        };
        let stem = without_image_extension(name);
        let Some((folder, file)) = stem.rsplit_once('/') else {
            return by_stem(stem);
        };
        if self.is_folder(folder, &self.images.path) {
            return by_stem(file);
        }
        if stem == name {
            // A file has an ending.
            return None;
        }
        let path = self.file(name, &self.images.path)?;
        // As unique as its path is, where it lies below the folder of the images.
        let below = path.strip_prefix(&self.images.path).ok();
        let id = below.and_then(Path::to_str).map(without_image_extension);
        Some(ImageFile {
            id: id.unwrap_or(file).to_string(),
            path,
        })
    }

    /// Returns the label file of a name.
    fn label(&self, labels: &LabelFolder, name: &str) -> Option<PathBuf> {
        let stem = without_extension(name, &[labels.extension]);
        let by_stem = |stem: &str| labels.by_stem.get(stem).cloned();
        match stem.rsplit_once('/') {
            None => by_stem(stem),
            Some((folder, file)) if self.is_folder(folder, &labels.path) => by_stem(file),
            Some(_) if stem == name => None,
            Some(_) => self.file(name, &labels.path),
        }
    }

    /// Whether the folder of a name is `folder`: below the root, or by the end of its path, since other
    /// machines have another root.
    fn is_folder(&self, name: &str, folder: &Path) -> bool {
        let name = Path::new(name.trim_start_matches("./"));
        let relative = Path::new(name.strip_prefix("/").unwrap_or(name));
        let ends_alike = match relative.file_name() {
            Some(last) => folder.file_name() == Some(last),
            None => false,
        };
        // Another folder of the same name, below the root, is another folder.
        let elsewhere = self.root.join(relative);
        folder == elsewhere || name == folder || ends_alike && !elsewhere.is_dir()
    }

    /// Returns the file of a path: below the root, below `folder`, or absolute.
    fn file(&self, name: &str, folder: &Path) -> Option<PathBuf> {
        let relative = name.trim_start_matches("./").trim_start_matches('/');
        let places = [folder.join(relative), self.root.join(relative), name.into()];
        let [.., anywhere] = &places;
        let is_absolute = anywhere.is_absolute();
        let mut places = places.into_iter();
        let found = places.by_ref().take(2).find(|path| path.is_file());
        found.or_else(|| places.next().filter(|path| is_absolute && path.is_file()))
    }
}

/// Strips quotes and converts path separators to those of this machine.
fn unquoted(name: &str) -> String {
    let name = name.trim();
    let inner = ['"', '\'']
        .into_iter()
        .find_map(|quote| name.strip_prefix(quote)?.strip_suffix(quote));
    let inner = inner.filter(|inner| !inner.contains(['"', '\'']));
    inner.unwrap_or(name).replace('\\', "/")
}

/// Returns every way to split a line into two names, the likeliest first.
fn columns(line: &str) -> Vec<(String, String)> {
    let line = line.trim();
    let quoted = ['"', '\''].into_iter().find_map(|quote| {
        let (first, rest) = line.strip_prefix(quote)?.split_once(quote)?;
        Some((first, rest.trim_start_matches([' ', '\t', ',', ';'])))
    });
    let tab = line.split_once('\t');
    let comma = line.split_once([',', ';']);
    let spaces = line
        .match_indices(' ')
        .map(|(place, _)| line.split_at(place));
    let cuts = quoted.into_iter().chain(tab).chain(comma).chain(spaces);
    let cuts = cuts.map(|(first, second)| (unquoted(first), unquoted(second)));
    cuts.filter(|(first, second)| !first.is_empty() && !second.is_empty())
        .collect()
}
