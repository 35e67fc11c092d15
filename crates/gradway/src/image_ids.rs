//! The numbers of photos, as a COCO json has them.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use anyhow::{Result, bail};
use gradway::metrics::detection::{Category, Listing};
use gradway::trainer::Labels;

/// The images and categories of a COCO json.
#[derive(Debug)]
pub struct ImageIds {
    path: PathBuf,
    /// Paths and identifiers of the images by the last part of their paths.
    images: HashMap<OsString, Vec<(PathBuf, u64)>>,
    categories: Vec<Category>,
}

impl ImageIds {
    /// Reads a json.
    pub fn read(path: &Path) -> Result<Self> {
        let listing = Listing::read(path)?;
        let images = listing.images.into_iter();
        let images = images.map(|image| (image.file_name, image.id));
        Ok(Self::new(path, images, listing.categories))
    }

    fn new(
        path: &Path,
        images: impl Iterator<Item = (String, u64)>,
        categories: Vec<Category>,
    ) -> Self {
        let mut by_name: HashMap<OsString, Vec<(PathBuf, u64)>> = HashMap::new();
        for (file_name, id) in images {
            // Windows separators, or a name that has backslashes in it.
            let mut forms = vec![file_name.replace('\\', "/"), file_name];
            forms.dedup();
            for form in forms {
                let parts = Path::new(&form).components();
                let parts = parts.filter(|part| !matches!(part, Component::CurDir));
                let file: PathBuf = parts.collect();
                let name = file.file_name().unwrap_or_default().to_os_string();
                by_name.entry(name).or_default().push((file, id));
            }
        }
        Self {
            path: path.to_path_buf(),
            images: by_name,
            categories,
        }
    }

    /// The number of a photo: that of the image with the longest path that ends the photo's path; or else of the
    /// only one of the same name in whatever folder.
    pub fn of(&self, photo: &Path) -> Result<u64> {
        let name = photo.file_name().unwrap_or_default();
        let same_name = self.images.get(name).map_or(&[][..], Vec::as_slice);
        let length = |file: &Path| match photo.ends_with(file) {
            true => file.components().count(),
            false => 0,
        };
        let longest = same_name.iter().map(|(file, _)| length(file)).max();
        let found = same_name.iter();
        let found = found.filter(|(file, _)| Some(length(file)) == longest);
        match found.collect::<Vec<_>>()[..] {
            [(_, id)] => Ok(*id),
            [] => bail!("{} lists no image {}", self.path.display(), photo.display()),
            [(one, _), (other, _), ..] => bail!(
                "{} could be {} or {} of {}",
                photo.display(),
                one.display(),
                other.display(),
                self.path.display()
            ),
        }
    }

    /// Refuses a json in which a class of a run has another number, or its number another name: its scores would
    /// be of other classes. Classes that the json lacks are not scored.
    pub fn require_categories(&self, labels: &Labels) -> Result<()> {
        for (name, &id) in labels.classes.iter().zip(&labels.category_ids) {
            let differs = |category: &&Category| {
                let is_named = !category.name.is_empty();
                is_named && (category.id == id) != (category.name == *name)
            };
            if let Some(category) = self.categories.iter().find(differs) {
                bail!(
                    "{}: category {} is `{}`, but category {id} is `{name}` in the data of the run",
                    self.path.display(),
                    category.id,
                    category.name
                );
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(names: &[&str]) -> ImageIds {
        let categories = vec![Category {
            id: 7,
            name: "cat".into(),
        }];
        let names = names.iter().map(|name| name.to_string());
        ImageIds::new(Path::new("val.json"), names.zip(40..), categories)
    }

    #[test]
    fn a_photo_is_found_by_its_folders_and_name() {
        let ids = ids(&["a/1.jpg", "b/1.jpg", "2.jpg", "1/2.png"]);
        let of = |path: &str| ids.of(Path::new(path));
        assert_eq!(of("/photos/b/1.jpg").unwrap(), 41);
        assert_eq!(of("elsewhere/2.jpg").unwrap(), 42);
        assert_eq!(of("2.png").unwrap(), 43);
        let error = of("c/1.jpg").unwrap_err().to_string();
        assert_eq!(error, "c/1.jpg could be a/1.jpg or b/1.jpg of val.json");
        let error = of("3.jpg").unwrap_err().to_string();
        assert_eq!(error, "val.json lists no image 3.jpg");
    }

    #[test]
    fn the_longest_path_counts_however_it_is_written() {
        let ids = ids(&["1.png", "a/1.png", "b\\2.png", "./3.png"]);
        let of = |path: &str| ids.of(Path::new(path)).unwrap();
        assert_eq!(of("photos/a/1.png"), 41);
        assert_eq!(of("photos/1.png"), 40);
        assert_eq!(of("photos/b/2.png"), 42);
        assert_eq!(of("photos/3.png"), 43);
    }

    #[test]
    fn categories_of_other_numbers_are_refused() {
        let ids = ids(&[]);
        let check = |name: &str, id| {
            ids.require_categories(&Labels {
                classes: vec![name.to_string()],
                category_ids: vec![id],
                ..Labels::unnamed(0)
            })
        };
        assert!(check("cat", 7).is_ok());
        // A class that the json lacks.
        assert!(check("dog", 8).is_ok());
        for (name, id) in [("dog", 7), ("cat", 8)] {
            let error = check(name, id).unwrap_err().to_string();
            let expected = format!(
                "val.json: category 7 is `cat`, but category {id} is `{name}` in the data of the run"
            );
            assert_eq!(error, expected);
        }
    }
}
