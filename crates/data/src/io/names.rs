//! Names of image files: their stems and endings.

use std::path::{Path, PathBuf};

/// Endings of image files, lower case.
pub const IMAGE_EXTENSIONS: [&str; 7] = ["jpg", "jpeg", "png", "bmp", "webp", "tif", "tiff"];

/// Extensions of unsupported images, to report these and not a missing image.
pub const OTHER_EXTENSIONS: [&str; 12] = [
    "gif", "heic", "heif", "avif", "jxl", "jp2", "j2k", "tga", "ppm", "pgm", "psd", "dng",
];

/// Returns the stem of a file with one of these extensions; `None` for other files, folders and hidden files.
pub(crate) fn wanted_stem(path: &Path, extensions: &[&str]) -> Option<String> {
    let stem = named_stem(path, extensions)?;
    path.is_file().then_some(stem)
}

/// Returns the stem of a name with one of these extensions; `None` for other and hidden names.
///
/// A name that is not UTF-8 is accepted too.
pub fn named_stem(path: &Path, extensions: &[&str]) -> Option<String> {
    let extension = path.extension()?.to_str()?.to_ascii_lowercase();
    let stem = path.file_stem()?.to_string_lossy();
    let wanted = extensions.contains(&extension.as_str()) && !stem.starts_with('.');
    wanted.then(|| stem.into_owned())
}

/// Returns the extension in upper case, as kinds of files are called.
pub(crate) fn upper_extension(path: &Path) -> String {
    let extension = path.extension().unwrap_or_default();
    extension.to_string_lossy().to_ascii_uppercase()
}

/// A name without one of these endings.
pub(crate) fn without_extension<'a>(name: &'a str, extensions: &[&str]) -> &'a str {
    match name.rsplit_once('.') {
        Some((stem, extension))
            if extensions.contains(&extension.to_ascii_lowercase().as_str()) =>
        {
            stem
        }
        _ => name,
    }
}

/// Returns an image of any kind with the stem of `mask` in the same folder, other than `image`.
pub(crate) fn instead_of(mask: &Path, image: &Path) -> Option<PathBuf> {
    let stem = mask.file_stem()?.to_string_lossy();
    let files = std::fs::read_dir(mask.parent()?).ok()?.flatten();
    let mut files = files.map(|entry| entry.path());
    files.find(|path| {
        let stems = [&IMAGE_EXTENSIONS[..], &OTHER_EXTENSIONS].map(|all| wanted_stem(path, all));
        path != image && stems.into_iter().flatten().any(|found| found == stem)
    })
}
