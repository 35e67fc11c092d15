//! Split lists: a line names an image and, in an optional second column, its labels.
//!
//! Lists have many forms: stems, file names, paths below the root or from another machine, two columns
//! separated by spaces, tabs or commas, names in quotes. A line is first tried as one name, then as two. A path
//! must lead to a file, or end in the folder that the configuration names: a stem is not searched in other
//! folders. Labels belong to the images of that folder by their stems, so an image elsewhere must name its own.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use crate::dense::FilePair;
use crate::dense::ImageFile;
use crate::error::{DataError, FileFault};
use crate::formats::layout::{
    ImageFolder, LabelFolder, files_by_stem, other_kind, without_image_extension,
};
use crate::io::names::{IMAGE_EXTENSIONS, without_extension};
use crate::split::Split;
use crate::text;

/// Returns the samples of a split list below `root`, in the order of the list.
///
/// # Errors
/// If the list cannot be read, names a sample or a label file twice, names a sample without an image or outside
/// of the image folder without labels, or has a second column that names no label file.
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
    read(list, root, images, Some(labels), pair)
}

/// Returns the images of a split list, in the order of the list.
///
/// # Errors
/// As [`pairs`], without a second column.
pub(crate) fn images(list: &Path, images: &ImageFolder) -> Result<Vec<ImageFile>, DataError> {
    let root = images.path.parent().unwrap_or(&images.path);
    read(list, root, images, None, |image, _| image)
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
        folders: RefCell::default(),
    };
    let mut seen = BTreeMap::new();
    let mut seen_labels = HashMap::new();
    let mut samples = Vec::new();
    for (line, number) in text::lines(list)?.iter().zip(1..) {
        let (image, label) = list_of.sample(line, number)?;
        let place = |number: usize| format!("entry {number} of {}", list.display());
        if let Some(first) = seen.insert(image.id.clone(), number) {
            return Err(DataError::DuplicateSample {
                id: image.id,
                first: place(first),
                second: place(number),
            });
        }
        if let Some(labels) = labels {
            let label = label.clone().unwrap_or_else(|| labels.of(&image.id));
            if let Some(first) = seen_labels.insert(label.clone(), number) {
                return Err(list_of.fault(FileFault::SharedLabel {
                    first,
                    second: number,
                    what: labels.what,
                    path: label,
                }));
            }
        }
        samples.push(sample(image, label));
    }
    Ok(samples)
}

/// Resolves the names of a list.
struct Lines<'a> {
    list: &'a Path,
    root: &'a Path,
    images: &'a ImageFolder,
    labels: Option<&'a LabelFolder>,
    /// The files of other folders with some endings by stem, as far as they were needed.
    folders: RefCell<HashMap<(PathBuf, Vec<&'static str>), ByStem>>,
}

/// The files of a folder by stem.
type ByStem = Rc<BTreeMap<String, PathBuf>>;

/// An image of a list.
struct Listed {
    image: ImageFile,
    /// Whether it is in the configured folder of images, where labels belong to stems.
    is_inside: bool,
}

impl Lines<'_> {
    /// Returns the image of a line, and its labels if they are named.
    fn sample(&self, line: &str, entry: usize) -> Result<(ImageFile, Option<PathBuf>), DataError> {
        if let Some(found) = self.image(&unquoted(line))? {
            return match found.is_inside {
                true => Ok((found.image, None)),
                false => Err(self.fault(FileFault::OutsideImage {
                    entry,
                    image: found.image.path,
                    folder: self.images.path.clone(),
                    label: self.labels.map(|labels| labels.what),
                })),
            };
        }
        let Some(labels) = self.labels else {
            return Err(self.missing(line));
        };
        let columns = columns(line);
        let mut wrong = None;
        for (first, second) in &columns {
            let Some(Listed { image, .. }) = self.image(first)? else {
                continue;
            };
            match self.label(labels, second)? {
                Some(label) if labels.is_named(second) || labels.is_stem_of(second, &image.id) => {
                    return Ok((image, Some(label)));
                }
                label => wrong = wrong.or(Some((image, second, label))),
            }
        }
        let Some((image, found, label)) = wrong else {
            let ending = format!(".{}", labels.extension);
            let named = columns
                .iter()
                .find(|(_, second)| second.to_ascii_lowercase().ends_with(&ending));
            return Err(self.missing(named.map_or(line, |(first, _)| first)));
        };
        let found = found.clone();
        Err(self.fault(match label {
            Some(_) => FileFault::ListedStem {
                entry,
                found,
                image: image.id,
                what: labels.what,
                extension: labels.extension,
            },
            None => FileFault::Listed {
                entry,
                path: self.root.join(found.trim_start_matches('/')),
                found,
                expected: labels.what,
            },
        }))
    }

    fn fault(&self, fault: FileFault) -> DataError {
        DataError::File {
            path: self.list.to_path_buf(),
            fault,
        }
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
    fn image(&self, name: &str) -> Result<Option<Listed>, DataError> {
        let by_stem = |stem: &str| {
            let path = self.images.by_stem.get(stem)?;
            Some(Listed {
                image: ImageFile {
                    id: stem.to_string(),
                    path: path.clone(),
                },
                is_inside: true,
            })
        };
        let stem = without_image_extension(name);
        let Some((folder, file)) = stem.rsplit_once('/') else {
            return Ok(by_stem(stem));
        };
        if self.is_folder(folder, &self.images.path) {
            return Ok(by_stem(file));
        }
        let found = match stem == name {
            true => self.file_of_stem(folder, file, &self.images.path, &IMAGE_EXTENSIONS)?,
            false => self.file(name, &self.images.path),
        };
        let Some(path) = found else {
            return Ok(None);
        };
        // As unique as its path is, where it lies below the folder of the images.
        let below = path.strip_prefix(&self.images.path).ok();
        let is_inside = below.is_some();
        let id = below.and_then(Path::to_str).map(without_image_extension);
        Ok(Some(Listed {
            image: ImageFile {
                id: id.unwrap_or(file).to_string(),
                path,
            },
            is_inside,
        }))
    }

    /// Returns the label file of a name.
    fn label(&self, labels: &LabelFolder, name: &str) -> Result<Option<PathBuf>, DataError> {
        let extensions = [labels.extension];
        let stem = without_extension(name, &extensions);
        let by_stem = |stem: &str| labels.by_stem.get(stem).cloned();
        Ok(match stem.rsplit_once('/') {
            None => by_stem(stem),
            Some((folder, file)) if self.is_folder(folder, &labels.path) => by_stem(file),
            Some((folder, file)) if stem == name => {
                self.file_of_stem(folder, file, &labels.path, &extensions)?
            }
            Some(_) => self.file(name, &labels.path),
        })
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
        let mut places = self.places(name, folder);
        let found = places.find(|path| path.is_file())?;
        Some(direct(found, folder))
    }

    /// Returns the file of a path without an ending: as [`Self::file`].
    ///
    /// # Errors
    /// If two files have that stem, or a folder cannot be listed.
    fn file_of_stem(
        &self,
        name: &str,
        stem: &str,
        folder: &Path,
        extensions: &[&'static str],
    ) -> Result<Option<PathBuf>, DataError> {
        for place in self.places(name, folder).filter(|path| path.is_dir()) {
            let key = (place, extensions.to_vec());
            let known = self.folders.borrow().get(&key).map(Rc::clone);
            let by_stem = match known {
                Some(by_stem) => by_stem,
                None => Rc::new(files_by_stem(&key.0, extensions)?),
            };
            let found = by_stem.get(stem).cloned();
            self.folders.borrow_mut().insert(key, by_stem);
            if let Some(path) = found {
                return Ok(Some(direct(path, folder)));
            }
        }
        Ok(None)
    }

    /// Returns the places that a path may stand for, the likeliest first.
    fn places(&self, name: &str, folder: &Path) -> impl Iterator<Item = PathBuf> {
        let relative = name.trim_start_matches("./").trim_start_matches('/');
        let anywhere = Some(PathBuf::from(name)).filter(|path| path.is_absolute());
        let places = [folder.join(relative), self.root.join(relative)];
        places.into_iter().chain(anywhere)
    }
}

/// Returns the path of a file without detours over `..` or linked folders: below `folder` if it is there.
fn direct(path: PathBuf, folder: &Path) -> PathBuf {
    let real = |path: &Path| path.canonicalize().ok();
    let parent = path.parent().and_then(real);
    let (Some(parent), Some(name)) = (parent, path.file_name()) else {
        return path;
    };
    // The file itself may be a link: its name and place count.
    let below = real(folder).and_then(|folder| {
        let below = parent.strip_prefix(folder).ok()?;
        Some(below.to_path_buf())
    });
    match below {
        Some(below) => folder.join(below).join(name),
        None if path.components().any(|part| part == Component::ParentDir) => parent.join(name),
        None => path,
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
