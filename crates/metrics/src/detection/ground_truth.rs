//! The ground truth, and the scores of detections as pycocotools computes them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hotcoco::params::IouType as CocoIouType;
use hotcoco::{Annotation, COCO, COCOeval, Dataset, mask};

use super::check::{self, Known};
use super::error::{DetectionError, EntryRef, Origin};
use super::json;
use super::scores::{DetectionScores, evaluate};
use super::{Category, Detection, Image, IouType, Object, Segmentation};

/// The true objects of a dataset, which are checked once and score any number of detections.
pub struct GroundTruth {
    file: Option<PathBuf>,
    known: Known,
    coco: Arc<COCO>,
}

/// The scores of a file of detections.
#[derive(Debug, Clone, PartialEq)]
pub struct FileScores {
    /// The scores.
    pub scores: DetectionScores,
    /// Number of detections that are not scored, because the ground truth does not have their category.
    pub unscored: usize,
}

/// A detection, from a file or from memory.
struct Candidate {
    image_id: u64,
    category_id: u64,
    score: Option<f64>,
    bbox: Option<Vec<Option<f64>>>,
    segmentation: Option<hotcoco::Segmentation>,
}

impl GroundTruth {
    /// Reads a file in COCO's format, such as `instances_val2017.json`.
    ///
    /// Polygons with fewer than three corners are dropped, and so are objects without any other polygon:
    /// pycocotools fails on these, or reads four numbers as a box.
    ///
    /// The identifiers of annotations are ignored. No score depends on them, except that pycocotools treats an
    /// object with identifier 0 as unmatched, and sees only one of two objects with the same identifier.
    ///
    /// # Errors
    /// If the file cannot be read or has another structure, an identifier occurs twice, an annotation names an
    /// unknown image or category, or a box is not four finite numbers.
    pub fn read(path: &Path) -> Result<Self, DetectionError> {
        Self::read_among(path, &[])
    }

    /// As [`Self::read`], with further categories of a model that the file may lack. Detections of them are
    /// accepted and enter no mean, since the file has no objects of these categories.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_among(path: &Path, more: &[Category]) -> Result<Self, DetectionError> {
        let file = json::ground_truth(path)?;
        let images: Vec<Image> = file
            .images
            .into_iter()
            .map(|image| Image {
                id: image.id,
                width: image.width,
                height: image.height,
            })
            .collect();
        let mut categories: Vec<Category> = file
            .categories
            .into_iter()
            .map(|category| Category {
                id: category.id,
                name: category.name.unwrap_or_default(),
            })
            .collect();
        for category in more {
            if categories.iter().all(|known| known.id != category.id) {
                categories.push(category.clone());
            }
        }
        let origin = truth_origin(Some(path));
        let annotations = file.annotations.into_iter().enumerate();
        let annotations = annotations.filter_map(|(index, mut entry)| {
            has_outline(&mut entry.segmentation).then_some((index, entry))
        });
        let annotations: Result<Vec<Annotation>, DetectionError> = annotations
            .map(|(index, entry)| {
                let place = origin.at(index, entry.image_id);
                let numbers = entry.bbox.filter(|numbers| !numbers.is_empty());
                Ok(Annotation {
                    image_id: entry.image_id,
                    category_id: entry.category_id,
                    bbox: numbers
                        .map(|numbers| check::bbox(place, &numbers))
                        .transpose()?,
                    area: entry.area,
                    segmentation: entry.segmentation,
                    iscrowd: entry.iscrowd,
                    ..Annotation::default()
                })
            })
            .collect();
        Self::build(origin, &images, &categories, annotations?)
    }

    /// Creates the ground truth of a dataset in memory.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn new(
        images: &[Image],
        categories: &[Category],
        objects: &[Object],
    ) -> Result<Self, DetectionError> {
        let origin = truth_origin(None);
        let annotations: Result<Vec<Annotation>, DetectionError> = objects
            .iter()
            .enumerate()
            .map(|(index, object)| {
                let place = origin.at(index, object.image_id);
                Ok(Annotation {
                    image_id: object.image_id,
                    category_id: object.category_id,
                    bbox: Some(check::bbox(place, &object.bbox.map(Some))?),
                    area: object.area.filter(|area| area.is_finite()),
                    segmentation: object.segmentation.as_ref().map(|mask| match mask {
                        Segmentation::Polygons(polygons) => {
                            hotcoco::Segmentation::Polygon(polygons.clone())
                        }
                        Segmentation::Runs(runs) => runs.to_coco(),
                    }),
                    iscrowd: object.crowd,
                    ..Annotation::default()
                })
            })
            .collect();
        Self::build(origin, images, categories, annotations?)
    }

    fn build(
        origin: Origin<'_>,
        images: &[Image],
        categories: &[Category],
        mut annotations: Vec<Annotation>,
    ) -> Result<Self, DetectionError> {
        let file = origin.file.map(Path::to_path_buf);
        let known =
            Known::new(images, categories).map_err(|(what, id)| DetectionError::Duplicate {
                file: file.clone(),
                what,
                id,
            })?;
        for (index, annotation) in annotations.iter_mut().enumerate() {
            known.check(
                origin.at(index, annotation.image_id),
                annotation.category_id,
            )?;
            annotation.id = index as u64 + 1;
        }
        let images = images.iter().map(|image| hotcoco::Image {
            id: image.id,
            width: image.width,
            height: image.height,
            ..hotcoco::Image::default()
        });
        let categories = categories.iter().map(|category| hotcoco::Category {
            id: category.id,
            name: match category.name.as_str() {
                "" => format!("category {}", category.id),
                name => name.to_string(),
            },
            ..hotcoco::Category::default()
        });
        let mut coco = COCO::from_dataset(Dataset {
            images: images.collect(),
            categories: categories.collect(),
            annotations,
            ..Dataset::default()
        });
        coco.fill_missing_areas();
        Ok(Self {
            file,
            known,
            coco: Arc::new(coco),
        })
    }

    /// Number of images.
    pub fn images(&self) -> usize {
        self.known.images()
    }

    /// Number of objects.
    pub fn objects(&self) -> usize {
        self.coco.dataset.annotations.len()
    }

    /// Scores detections in memory, in any order.
    ///
    /// The area of a detected mask is its number of pixels, whatever the box is, as in detection libraries,
    /// which drop the boxes from the results before they compare masks.
    ///
    /// # Errors
    /// If an image or category is unknown, a number is not finite, or, when masks are compared, a mask is
    /// missing or has another size than its image.
    pub fn score(
        &self,
        detections: &[Detection],
        iou: IouType,
    ) -> Result<DetectionScores, DetectionError> {
        let candidates = detections.iter().map(|detection| {
            let (bbox, segmentation) = match iou {
                IouType::Bbox => (Some(detection.bbox.map(Some).to_vec()), None),
                IouType::Segm => (None, detection.segmentation.as_ref()),
            };
            Candidate {
                image_id: detection.image_id,
                category_id: detection.category_id,
                score: Some(detection.score),
                bbox,
                segmentation: segmentation.map(super::RunLengths::to_coco),
            }
        });
        let origin = Origin {
            file: None,
            list: "detections",
        };
        self.evaluate(origin, candidates.collect(), iou)
    }

    /// Scores a file of detections in COCO's result format.
    ///
    /// As in pycocotools, detections of a category that the ground truth does not have are not scored.
    ///
    /// As in pycocotools, the area of a detected object is that of its box if the first entry of the file has a
    /// box, and that of its mask otherwise. The area decides whether a mask is small, medium or large.
    ///
    /// # Errors
    /// As [`Self::score`], except for unknown categories, and if the file cannot be read or has another structure.
    /// Unlike pycocotools, which uses boxes as masks, an entry without a mask is an error when masks are compared.
    pub fn score_file(&self, path: &Path, iou: IouType) -> Result<FileScores, DetectionError> {
        let candidates = json::detections(path)?.into_iter().map(|entry| Candidate {
            image_id: entry.image_id,
            category_id: entry.category_id,
            score: entry.score,
            bbox: entry.bbox.filter(|numbers| !numbers.is_empty()),
            segmentation: entry.segmentation,
        });
        let candidates: Vec<Candidate> = candidates.collect();
        let is_unscored = |one: &&Candidate| !self.known.has_category(one.category_id);
        let unscored = candidates.iter().filter(is_unscored).count();
        let origin = Origin {
            file: Some(path),
            list: "detections",
        };
        Ok(FileScores {
            scores: self.evaluate(origin, candidates, iou)?,
            unscored,
        })
    }

    fn evaluate(
        &self,
        origin: Origin<'_>,
        candidates: Vec<Candidate>,
        iou: IouType,
    ) -> Result<DetectionScores, DetectionError> {
        self.check_objects(iou)?;
        let sized_by_box = candidates
            .first()
            .is_some_and(|candidate| candidate.bbox.is_some());
        let is_scored =
            |one: &Candidate| origin.file.is_none() || self.known.has_category(one.category_id);
        let annotations: Result<Vec<Annotation>, DetectionError> = candidates
            .into_iter()
            .enumerate()
            .filter(|(_, candidate)| is_scored(candidate))
            .map(|(index, candidate)| {
                let place = origin.at(index, candidate.image_id);
                let annotation = self.annotation(place, candidate, iou, sized_by_box)?;
                Ok(Annotation {
                    id: index as u64 + 1,
                    ..annotation
                })
            })
            .collect();
        let truth = &self.coco.dataset;
        let detections = COCO::from_dataset(Dataset {
            images: truth.images.clone(),
            categories: truth.categories.clone(),
            annotations: annotations?,
            ..Dataset::default()
        });
        let iou = match iou {
            IouType::Bbox => CocoIouType::Bbox,
            IouType::Segm => CocoIouType::Segm,
        };
        evaluate(COCOeval::new(self.coco.clone(), detections, iou))
    }

    /// Checks that every object has a box or mask to compare. [`Self::score`] does this too if there are detections.
    ///
    /// # Errors
    /// [`DetectionError::MissingBox`], [`DetectionError::MissingMask`], or the error of a mask.
    pub fn require(&self, iou: IouType) -> Result<(), DetectionError> {
        self.check_objects(iou)
    }

    /// Checks that every object has a box or mask to compare.
    fn check_objects(&self, iou: IouType) -> Result<(), DetectionError> {
        let origin = truth_origin(self.file.as_deref());
        for (index, object) in self.coco.dataset.annotations.iter().enumerate() {
            let place = origin.at(index, object.image_id);
            match iou {
                IouType::Bbox if object.bbox.is_none() => {
                    return Err(DetectionError::MissingBox {
                        entry: place.entry(),
                    });
                }
                IouType::Bbox => {}
                IouType::Segm => {
                    self.known.check_mask(place, object.segmentation.as_ref())?;
                }
            }
        }
        Ok(())
    }

    /// Converts a detection, with the area that decides whether it is small, medium or large.
    fn annotation(
        &self,
        place: EntryRef<'_>,
        candidate: Candidate,
        iou: IouType,
        sized_by_box: bool,
    ) -> Result<Annotation, DetectionError> {
        self.known.check(place, candidate.category_id)?;
        let score = check::score(place, candidate.score)?;
        let mut bbox = candidate
            .bbox
            .map(|numbers| check::bbox(place, &numbers))
            .transpose()?;
        let mut area = None;
        if sized_by_box {
            let [_, _, width, height] = bbox.ok_or_else(|| DetectionError::MissingBox {
                entry: place.entry(),
            })?;
            area = Some(width * height);
        }
        if iou == IouType::Segm || !sized_by_box {
            let pixels = self.known.mask(place, candidate.segmentation.as_ref())?;
            area = area.or(Some(mask::area(&pixels) as f64));
            bbox = bbox.or(Some(mask::to_bbox(&pixels)));
        }
        Ok(Annotation {
            image_id: place.image_id,
            category_id: candidate.category_id,
            bbox,
            area,
            segmentation: candidate.segmentation.filter(|_| iou == IouType::Segm),
            score: Some(score),
            ..Annotation::default()
        })
    }
}

/// Drops invalid polygons; returns whether any is left.
fn has_outline(segmentation: &mut Option<hotcoco::Segmentation>) -> bool {
    const SHORTEST: usize = 6;
    match segmentation {
        Some(hotcoco::Segmentation::Polygon(parts)) if !parts.is_empty() => {
            parts.retain(|part| part.len() >= SHORTEST);
            !parts.is_empty()
        }
        _ => true,
    }
}

fn truth_origin(file: Option<&Path>) -> Origin<'_> {
    let list = if file.is_some() {
        "annotations"
    } else {
        "objects"
    };
    Origin { file, list }
}
