//! Objects: their boxes, classes, and where the head predicts them, masks.

mod config;
mod scores;

use gradway_adapters::Features;
use gradway_backbone::{Phase, StageShape, Tunable};
use gradway_data::detection::DetectionPipeline;
use gradway_data::{
    DetectionBatch, DetectionCollection, DetectionEvaluation, DetectionLoader, DetectionMetadata,
    DetectionTarget, Instance, Picture, Split,
};
use gradway_heads::detection::mask_head::MASK;
use gradway_heads::detection::{
    BatchTargets, Bounds, DetectionHead, Objects, SegmentedObject, paste,
};
use gradway_heads::neck::NeckConfig;
use gradway_kernels::TrainBackend;
use gradway_metrics::detection::{
    Category, Detection, Image, IouType, Object, RunLengths, Segmentation, voc,
};
use gradway_metrics::{DetectionError, GroundTruth};

use super::{Labels, Loss, Scorer, Scores, Task};
use crate::config::RunConfig;
use crate::error::TrainError;

pub use config::{DetectionConfig, DetectionEvaluationConfig, Protocol};
pub use scores::ObjectScores;

/// From which on a part of a region belongs to the object it is trained on.
const COVERED: f32 = 0.5;

/// Object detection and instance segmentation.
#[derive(Debug, Clone)]
pub struct DetectionTask {
    config: DetectionConfig,
    neck: NeckConfig,
    classes: usize,
}

/// What was found in an image.
#[derive(Debug, Clone, PartialEq)]
pub struct DetectionPrediction {
    /// Identifier of the image in its dataset.
    pub id: String,
    /// The image's number in the dataset's files.
    pub image_id: u64,
    /// `[height, width]` of the image as it is shown.
    pub size: [usize; 2],
    /// The objects, the surest first.
    pub objects: Vec<PredictedObject>,
}

/// An object that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct PredictedObject {
    /// Left, top, right, bottom in pixels of the image as it is shown.
    pub bounds: Bounds,
    /// Its class.
    pub class: usize,
    /// How sure that is, from 0 to 1.
    pub score: f32,
    /// How sure every part of its bounds is to belong to it, `[28, 28]`; none without a mask head.
    pub mask: Option<Vec<f32>>,
}

impl PredictedObject {
    /// The pixels of an image of `[height, width]` that belong to it, row by row; none without a mask.
    pub fn pixels(&self, size: [usize; 2]) -> Option<Vec<bool>> {
        let mask = self.mask.as_deref()?;
        Some(paste(mask, MASK, self.bounds, size))
    }
}

impl DetectionPrediction {
    /// The objects in COCO's result format; `category_ids` has the dataset's number of every class.
    ///
    /// # Errors
    ///
    /// [`TrainError::Objects`]: an image too large for the format.
    pub fn results(&self, category_ids: &[u64]) -> Result<Vec<Detection>, TrainError> {
        let [height, width] = self.size;
        let result = |object: &PredictedObject| {
            let [left, top, right, bottom] = object.bounds.map(f64::from);
            let pixels = object.pixels(self.size);
            let encode =
                |pixels: Vec<bool>| RunLengths::encode(&pixels, width as u32, height as u32);
            Ok(Detection {
                image_id: self.image_id,
                category_id: category_ids.get(object.class).copied().unwrap_or_default(),
                bbox: [left, top, right - left, bottom - top],
                score: f64::from(object.score),
                segmentation: pixels.map(encode).transpose()?,
            })
        };
        self.objects.iter().map(result).collect()
    }
}

impl<B: TrainBackend> Task<B> for DetectionTask {
    type Pipeline = DetectionPipeline;
    type Head = DetectionHead<B>;
    type Prediction = DetectionPrediction;
    type Scorer = DetectionScorer;

    fn new(config: &RunConfig, labels: &Labels) -> Result<Self, TrainError> {
        let classes = labels.classes.len();
        let neck = config.neck()?;
        let config = config.task.detection()?.clone();
        Ok(Self {
            config,
            neck,
            classes,
        })
    }

    fn training_loader(config: &RunConfig) -> Result<DetectionLoader, TrainError> {
        let task = config.task.detection()?;
        Ok(DetectionLoader::training(
            open(config, Split::Train)?,
            task.augment.clone(),
            config.input()?,
            config.loader_of(config.loader.batch_size),
        )?)
    }

    fn validation_loader(config: &RunConfig) -> Result<DetectionLoader, TrainError> {
        let task = config.task.detection()?;
        let dataset = open(config, Split::Val)?;
        // What cannot be scored is no surprise after an epoch.
        if let Some(truth) = truth(dataset.metadata())? {
            truth.require(IouType::Bbox)?;
            if task.head.has_masks() {
                truth.require(IouType::Segm)?;
            }
        }
        Ok(DetectionLoader::evaluation(
            dataset,
            task.evaluation.size(),
            config.input()?,
            config.loader_of(task.evaluation.batch_size),
        )?)
    }

    fn picture(config: &RunConfig, picture: Picture) -> Result<DetectionBatch, TrainError> {
        let size = config.task.detection()?.evaluation.size();
        let evaluation = DetectionEvaluation::new(size, config.input()?)?;
        Ok(evaluation.picture(picture)?)
    }

    fn labels(pipeline: &DetectionPipeline) -> Labels {
        let metadata = pipeline.metadata();
        Labels {
            classes: metadata.classes.clone(),
            palette: metadata.palette.clone(),
            category_ids: metadata.category_ids.clone(),
            tasks: Vec::new(),
        }
    }

    fn left_out(pipeline: &DetectionPipeline) -> Option<String> {
        let skipped = &pipeline.metadata().skipped;
        (!skipped.is_empty()).then(|| skipped.to_string())
    }

    fn waits_for_objects(&self, path: &str) -> bool {
        self.config.head.waits_for_objects(path)
    }

    fn head(&self, stages: &[StageShape], device: &B::Device) -> DetectionHead<B> {
        let (head, neck) = (&self.config.head, &self.neck);
        head.on(neck, stages, self.classes, device)
    }

    fn loss<N: Tunable<B>>(
        &self,
        head: &DetectionHead<B>,
        features: &Features<'_, B, N>,
        batch: &DetectionBatch,
        phase: Phase,
    ) -> Result<Loss<B>, TrainError> {
        let items = &batch.items;
        let instances: Vec<Vec<&Instance>> = items
            .iter()
            .map(|item| item.trained_on().collect())
            .collect();
        if self.config.head.has_masks() {
            require_masks(items, &instances)?;
        }
        let objects: Vec<Objects> = instances.iter().map(|found| objects(found)).collect();
        let sizes: Vec<[usize; 2]> = items.iter().map(|item| item.size).collect();
        let mask = |image: usize, object: usize, bounds: Bounds| {
            let cells = items[image].mask_in(instances[image][object], bounds, MASK);
            let cells = cells.unwrap_or_else(|| vec![0.0; MASK * MASK]);
            cells.into_iter().map(|cell| cell >= COVERED).collect()
        };
        let seed = match phase.stream("regions") {
            Phase::Training { seed } => seed,
            Phase::Inference => 0,
        };
        let truth = BatchTargets {
            objects: &objects,
            sizes: &sizes,
            mask,
            seed,
        };
        let features = features.of_task(0);
        Ok(head.loss(&features, &truth, phase).into())
    }

    fn predict<N: Tunable<B::InnerBackend>>(
        &self,
        head: &DetectionHead<B::InnerBackend>,
        features: &Features<'_, B::InnerBackend, N>,
        batch: &DetectionBatch,
    ) -> Vec<DetectionPrediction> {
        let sizes: Vec<[usize; 2]> = batch.items.iter().map(|item| item.size).collect();
        let found = head.detect(&features.of_task(0), &sizes, self.config.evaluation.limits);
        let images = batch.items.iter().zip(found);
        images
            .map(|(item, found)| DetectionPrediction {
                id: item.id.clone(),
                image_id: item.image_id,
                size: item.original,
                objects: found.into_iter().map(|found| placed(item, found)).collect(),
            })
            .collect()
    }

    fn scorer(&self, pipeline: &DetectionPipeline) -> Result<DetectionScorer, TrainError> {
        let metadata = pipeline.metadata();
        Ok(DetectionScorer {
            truth: truth(metadata)?,
            protocol: self.config.evaluation.protocol,
            has_masks: self.config.head.has_masks(),
            categories: categories(metadata),
            images: Vec::new(),
            objects: Vec::new(),
            voc_objects: Vec::new(),
            found: Vec::new(),
            voc_found: Vec::new(),
        })
    }
}

/// Opens a split, and refuses objects without masks where the head has some.
fn open(config: &RunConfig, split: Split) -> Result<DetectionCollection, TrainError> {
    let dataset = match config.task.detection()?.head.has_masks() {
        true => config.data.open_detection_with_masks(split)?,
        false => config.data.open_detection(split)?,
    };
    Ok(DetectionCollection::of(dataset))
}

/// The truth of a dataset with a file of it; what the dataset has read of it may have been rounded.
fn truth(metadata: &DetectionMetadata) -> Result<Option<GroundTruth>, TrainError> {
    let categories = categories(metadata);
    let read = |path| GroundTruth::read_among(path, &categories);
    Ok(metadata.annotation_file.as_deref().map(read).transpose()?)
}

/// The categories of a dataset's classes, in their order.
fn categories(metadata: &DetectionMetadata) -> Vec<Category> {
    let categories = metadata.category_ids.iter().zip(&metadata.classes);
    let category = |(&id, name): (&u64, &String)| Category {
        id,
        name: name.clone(),
    };
    categories.map(category).collect()
}

/// An object in the image as it is shown.
fn placed(item: &DetectionTarget, found: SegmentedObject) -> PredictedObject {
    PredictedObject {
        bounds: item.to_original(found.object.bounds),
        class: found.object.class,
        score: found.object.score,
        mask: found.mask,
    }
}

fn objects(instances: &[&Instance]) -> Objects {
    Objects {
        bounds: instances.iter().map(|instance| instance.bounds).collect(),
        classes: instances.iter().map(|instance| instance.class).collect(),
    }
}

/// Refuses an object without a mask, which a mask head would be told is nowhere.
fn require_masks(
    items: &[DetectionTarget],
    instances: &[Vec<&Instance>],
) -> Result<(), TrainError> {
    for (item, instances) in items.iter().zip(instances) {
        if let Some(instance) = instances.iter().find(|instance| instance.mask.is_none()) {
            return Err(TrainError::NoMask {
                image: item.id.clone(),
                annotation: instance.id,
            });
        }
    }
    Ok(())
}

/// Collects what was found, since average precision is not a mean over images.
pub struct DetectionScorer {
    /// That of a file; else what the batches hold.
    truth: Option<GroundTruth>,
    protocol: Protocol,
    has_masks: bool,
    categories: Vec<Category>,
    images: Vec<Image>,
    objects: Vec<Object>,
    voc_objects: Vec<voc::VocObject>,
    found: Vec<Detection>,
    voc_found: Vec<voc::VocDetection>,
}

impl DetectionScorer {
    /// COCO's truth of an image, of a dataset without a file of it.
    fn add_truth(&mut self, item: &DetectionTarget) -> Result<(), DetectionError> {
        let [height, width] = item.original.map(|side| side as u32);
        self.images.push(Image {
            id: item.image_id,
            width,
            height,
        });
        for instance in &item.instances {
            let [left, top, right, bottom] = corners(item, instance);
            let runs = |mask: &gradway_data::Mask| {
                let pixels: Vec<bool> = mask.to_bitmap().iter().map(|value| *value > 0).collect();
                RunLengths::encode(&pixels, width, height)
            };
            let mask = instance.mask.as_deref().map(runs).transpose()?;
            self.objects.push(Object {
                image_id: item.image_id,
                category_id: self.categories[instance.class].id,
                bbox: [left, top, right - left, bottom - top],
                area: None,
                // Neither counts for or against a detector.
                crowd: instance.is_crowd || instance.is_difficult,
                segmentation: mask.map(Segmentation::Runs),
            });
        }
        Ok(())
    }

    /// Truth and detections of an image as Pascal VOC has them.
    fn add_voc(&mut self, item: &DetectionTarget, prediction: &DetectionPrediction) {
        let truth = |instance: &Instance| voc::VocObject {
            image_id: item.image_id,
            class: instance.class,
            corners: corners(item, instance),
            difficult: instance.is_difficult,
        };
        self.voc_objects.extend(item.instances.iter().map(truth));
        let found = |object: &PredictedObject| voc::VocDetection {
            image_id: item.image_id,
            class: object.class,
            corners: object.bounds.map(f64::from),
            score: f64::from(object.score),
        };
        self.voc_found.extend(prediction.objects.iter().map(found));
    }
}

/// Bounds in the image as it is shown.
fn corners(item: &DetectionTarget, instance: &Instance) -> [f64; 4] {
    item.to_original(instance.bounds).map(f64::from)
}

impl Scorer<DetectionBatch, DetectionPrediction> for DetectionScorer {
    fn add(
        &mut self,
        batch: &DetectionBatch,
        predictions: Vec<DetectionPrediction>,
    ) -> Result<(), TrainError> {
        let ids: Vec<u64> = self.categories.iter().map(|category| category.id).collect();
        for (item, prediction) in batch.items.iter().zip(predictions) {
            if self.truth.is_none() {
                self.add_truth(item)?;
            }
            if self.protocol == Protocol::PascalVoc {
                self.add_voc(item, &prediction);
            }
            self.found.extend(prediction.results(&ids)?);
        }
        Ok(())
    }

    fn scores(self) -> Result<Scores, TrainError> {
        let truth = match self.truth {
            Some(truth) => truth,
            None => GroundTruth::new(&self.images, &self.categories, &self.objects)?,
        };
        let masks = self
            .has_masks
            .then(|| truth.score(&self.found, IouType::Segm));
        let classes = self.categories.len();
        let voc = match self.protocol {
            Protocol::Coco => None,
            // Ours are edges between pixels: the width of a box is the difference of its sides.
            Protocol::PascalVoc => Some(voc::score(
                classes,
                &self.voc_objects,
                &self.voc_found,
                voc::Edges::Points,
            )?),
        };
        Ok(Scores::Detection(ObjectScores {
            boxes: truth.score(&self.found, IouType::Bbox)?,
            masks: masks.transpose()?,
            pascal_voc: voc,
        }))
    }
}
