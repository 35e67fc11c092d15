//! The numbers of photos, as a COCO json has them.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use gradway::trainer::Labels;
use serde::Deserialize;

/// The images and categories of a COCO json.
#[derive(Debug)]
pub struct ImageIds {
    path: PathBuf,
    listed: Listed,
}

#[derive(Debug, Deserialize)]
struct Listed {
    images: Vec<Image>,
    #[serde(default)]
    categories: Vec<Category>,
}

#[derive(Debug, Deserialize)]
struct Image {
    id: u64,
    file_name: PathBuf,
}

#[derive(Debug, Deserialize)]
struct Category {
    id: u64,
    name: String,
}

impl ImageIds {
    /// Reads a json.
    pub fn read(path: &Path) -> Result<Self> {
        let context = || path.display().to_string();
        let file = File::open(path).with_context(context)?;
        let listed = serde_json::from_reader(BufReader::new(file)).with_context(context)?;
        Ok(Self {
            path: path.to_path_buf(),
            listed,
        })
    }

    /// The number of a photo: that of the image whose file name, with its folders, ends the photo's path; or
    /// else of the only one of the same name in whatever folder.
    pub fn of(&self, photo: &Path) -> Result<u64> {
        let same_path = |image: &&Image| photo.ends_with(&image.file_name);
        let same_name = |image: &&Image| image.file_name.file_name() == photo.file_name();
        let images = || self.listed.images.iter();
        let mut found: Vec<&Image> = images().filter(same_path).collect();
        if found.is_empty() {
            found = images().filter(same_name).collect();
        }
        match found[..] {
            [image] => Ok(image.id),
            [] => bail!("{} lists no image {}", self.path.display(), photo.display()),
            [one, other, ..] => bail!(
                "{} could be {} or {} of {}",
                photo.display(),
                one.file_name.display(),
                other.file_name.display(),
                self.path.display()
            ),
        }
    }

    /// Refuses a json whose categories have other numbers than the classes of a run: its scores would be of
    /// other classes.
    pub fn require_categories(&self, labels: &Labels) -> Result<()> {
        if self.listed.categories.is_empty() {
            return Ok(());
        }
        for (name, &id) in labels.classes.iter().zip(&labels.category_ids) {
            let category = self.listed.categories.iter().find(|line| line.id == id);
            if category.is_none_or(|category| category.name != *name) {
                let found = category.map_or("no category".to_string(), |category| {
                    format!("`{}`", category.name)
                });
                bail!(
                    "{}: category {id} is {found}, but `{name}` in the data of the run",
                    self.path.display()
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
        let image = |(id, name): (u64, &&str)| Image {
            id,
            file_name: name.into(),
        };
        ImageIds {
            path: "val.json".into(),
            listed: Listed {
                images: (40..).zip(names).map(image).collect(),
                categories: vec![Category {
                    id: 7,
                    name: "cat".into(),
                }],
            },
        }
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
    fn categories_of_other_numbers_are_refused() {
        let ids = ids(&[]);
        let labels = |name: &str, id| Labels {
            classes: vec![name.to_string()],
            category_ids: vec![id],
            ..Labels::unnamed(0)
        };
        assert!(ids.require_categories(&labels("cat", 7)).is_ok());
        for (name, id, found) in [("dog", 7, "`cat`"), ("cat", 8, "no category")] {
            let error = ids.require_categories(&labels(name, id)).unwrap_err();
            let expected = format!("category {id} is {found}, but `{name}`");
            assert!(error.to_string().contains(&expected), "{error}");
        }
    }
}
