//! Datasets of Burn: ours through its transforms, and those of others through our loaders.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::common::{Coordinates, any_size, assert_says, class_map, ids, segmentation};
use gradway_data::burn_dataset::transform::{
    Mapper, MapperDataset, PartialDataset, ShuffledDataset,
};
use gradway_data::burn_dataset::{Dataset, InMemDataset};
use gradway_data::{
    AugmentConfig, DataError, DenseBatch, DenseCollection, DenseEvaluation, DenseLabels,
    DenseLoader, DenseMetadata, DenseSample, DenseTask, DetectionCollection, DetectionLoader,
    DetectionMetadata, DetectionSample, DetectionSizeConfig, EvaluationSize, Instance, LabelMap,
    LoaderConfig, Normalization,
};
use image::{Rgb, RgbImage};

type Item = Result<DenseSample, DataError>;

fn coordinates(count: usize) -> DenseCollection {
    segmentation(Arc::new(Coordinates::new(vec![(20, 16); count])))
}

fn names(dataset: &impl Dataset<Item>) -> Vec<String> {
    let items = (0..dataset.len()).map(|index| dataset.get(index).unwrap());
    items.map(|item| item.unwrap().id).collect()
}

#[test]
fn burn_maps_our_samples() {
    /// The class of the last pixel.
    struct Last;

    impl Mapper<Item, Option<u8>> for Last {
        fn map(&self, item: &Item) -> Option<u8> {
            let sample = item.as_ref().ok()?;
            class_map(sample).data.last().copied()
        }
    }

    let broken = Coordinates::new([(20, 16); 4]).with_broken(2);
    let mapped = MapperDataset::new(segmentation(Arc::new(broken)), Last);
    let found: Vec<Option<u8>> = mapped.iter().collect();
    let last = Some(Coordinates::label(19, 15));
    assert_eq!(found, [last, last, None, last]);
    assert_eq!(mapped.get(4), None);
}

#[test]
fn burn_shuffles_and_takes_parts_of_our_samples() {
    let shuffled = |seed: u64| names(&ShuffledDataset::new(coordinates(20), seed));
    let (first, again, other) = (shuffled(3), shuffled(3), shuffled(4));
    assert_eq!(first, again);
    assert_ne!(first, other);
    assert_ne!(first, names(&coordinates(20)));
    let all: BTreeSet<String> = first.into_iter().collect();
    assert_eq!(all.len(), 20);

    let part = PartialDataset::new(coordinates(20), 5, 8);
    assert_eq!(names(&part), ["sample 5", "sample 6", "sample 7"]);
    assert!(part.get(3).is_none());
    let halves = PartialDataset::split(coordinates(7), 2);
    assert_eq!(halves.iter().map(Dataset::len).collect::<Vec<_>>(), [3, 4]);
}

/// Samples of somebody else: stripes of two classes.
struct Stripes {
    count: usize,
    /// The class of the second stripe.
    second: u8,
}

impl Dataset<Item> for Stripes {
    fn get(&self, index: usize) -> Option<Item> {
        let (width, height) = (24, 18);
        let class = |x: u32| if x % 8 < 4 { 0 } else { self.second };
        let image = RgbImage::from_fn(width, height, |x, y| {
            Rgb([100 * class(x), y as u8, index as u8])
        });
        let classes = LabelMap {
            width,
            height,
            data: (0..width * height)
                .map(|place| class(place % width))
                .collect(),
        };
        let sample = DenseSample::segmentation(format!("stripes {index}"), image, classes);
        (index < self.count).then_some(Ok(sample))
    }

    fn len(&self) -> usize {
        self.count
    }
}

fn metadata() -> DenseMetadata {
    DenseMetadata::segmentation("stripes", ["dark", "bright"])
}

fn training(samples: DenseCollection, workers: usize) -> Result<DenseLoader, DataError> {
    let augment = AugmentConfig {
        crop_size: [16, 16],
        ..AugmentConfig::default()
    };
    let config = LoaderConfig {
        batch_size: 3,
        workers,
        ..LoaderConfig::default()
    };
    let input = any_size(Normalization::default());
    DenseLoader::training(samples, augment, input, config)
}

fn batches(loader: &DenseLoader, epoch: u64) -> Vec<DenseBatch> {
    loader.iter(epoch).map(Result::unwrap).collect()
}

#[test]
fn our_loader_takes_a_dataset_of_somebody_else() {
    let stripes = |count| DenseCollection::new(Stripes { count, second: 1 }, metadata());
    let load = |workers, epoch| batches(&training(stripes(10), workers).unwrap(), epoch);
    let expected = load(0, 1);
    assert_eq!(expected.len(), 3);
    assert!(load(3, 1) == expected);
    assert_ne!(ids(&expected[0]), ids(&load(0, 2)[0]));
    let loader = training(stripes(10), 0).unwrap();
    assert_eq!(loader.tasks(), [DenseTask::SemanticSegmentation]);
    let metadata = loader.pipeline().metadata();
    assert_eq!(
        metadata.classes(DenseTask::SemanticSegmentation),
        ["dark", "bright"]
    );
    assert_eq!(metadata.palette(DenseTask::SemanticSegmentation).len(), 2);
    let none = training(stripes(0), 0).err().unwrap();
    assert_says(&none, &["dataset `stripes` has no samples"]);
    let error = stripes(4).read(4).unwrap_err();
    assert_says(&error, &["sample index 4", "`stripes` has 4 samples"]);
}

#[test]
fn our_loader_takes_what_burn_makes_of_datasets() {
    let samples = || {
        DenseCollection::new(
            Stripes {
                count: 10,
                second: 1,
            },
            metadata(),
        )
    };
    let part = DenseCollection::new(PartialDataset::new(samples(), 2, 8), metadata());
    let loader = training(part, 2).unwrap();
    let found: BTreeSet<String> = batches(&loader, 0).iter().flat_map(ids).collect();
    let expected: BTreeSet<String> = (2..8).map(|index| format!("stripes {index}")).collect();
    assert_eq!(found, expected);
    let kept: Vec<Item> = (0..10).map(|index| samples().read(index)).collect();
    let kept = DenseCollection::new(InMemDataset::new(kept), metadata());
    let (kept, made) = (training(kept, 1).unwrap(), training(samples(), 0).unwrap());
    assert!(batches(&kept, 5) == batches(&made, 5));
}

#[test]
fn samples_of_somebody_else_are_checked() {
    let beyond = DenseCollection::new(
        Stripes {
            count: 6,
            second: 2,
        },
        metadata(),
    );
    let loader = training(beyond, 1).unwrap();
    let error = loader.iter(0).next().unwrap().unwrap_err();
    assert_says(
        &error,
        &[
            "stripes",
            "semantic_segmentation",
            "a label is 2, but the number of classes is 2",
        ],
    );

    let mut sample = Stripes {
        count: 1,
        second: 1,
    }
    .get(0)
    .unwrap()
    .unwrap();
    let map = DenseLabels::Classes(LabelMap::filled(5, 5, 0));
    sample.labels.insert(DenseTask::SemanticSegmentation, map);
    let small = DenseCollection::new(InMemDataset::new(vec![Ok(sample); 3]), metadata());
    let error = training(small, 0)
        .unwrap()
        .iter(0)
        .next()
        .unwrap()
        .unwrap_err();
    assert_says(&error, &["24x18", "5x5"]);

    let fault = DataError::EmptyDataset {
        dataset: "a fault of theirs".into(),
    };
    let faulty = InMemDataset::new(vec![Err::<DenseSample, _>(fault); 3]);
    let loader = training(DenseCollection::new(faulty, metadata()), 2).unwrap();
    let error = loader.iter(0).next().unwrap().unwrap_err();
    assert_says(&error, &["a fault of theirs"]);

    let nothing = DenseMetadata::new("nothing", []);
    let samples = DenseCollection::new(
        Stripes {
            count: 6,
            second: 1,
        },
        nothing,
    );
    assert_says(&training(samples, 0).err().unwrap(), &["`tasks` = []"]);
}

#[test]
fn binary_tasks_have_their_two_classes() {
    let metadata = DenseMetadata::new(
        "several",
        [
            (DenseTask::Saliency, Vec::new()),
            (DenseTask::Depth, Vec::new()),
            (DenseTask::HumanParts, vec!["none".into(), "head".into()]),
        ],
    );
    assert_eq!(
        metadata.classes(DenseTask::Saliency),
        ["background", "salient"]
    );
    assert!(metadata.classes(DenseTask::Depth).is_empty());
    assert_eq!(metadata.classes(DenseTask::HumanParts), ["none", "head"]);
    assert!(metadata.classes(DenseTask::Edges).is_empty());
}

/// Objects of somebody else.
struct Boxes;

impl Dataset<Result<DetectionSample, DataError>> for Boxes {
    fn get(&self, index: usize) -> Option<Result<DetectionSample, DataError>> {
        let sample = DetectionSample {
            id: format!("boxes {index}"),
            image_id: index as u64,
            image: RgbImage::new(40, 30),
            instances: vec![Instance {
                id: index as u64,
                class: index,
                bounds: [2.0, 3.0, 20.0, 25.0],
                mask: None,
                is_crowd: false,
                is_difficult: false,
            }],
        };
        (index < 3).then_some(Ok(sample))
    }

    fn len(&self) -> usize {
        3
    }
}

#[test]
fn our_loader_takes_objects_of_somebody_else() {
    let load = |classes: &[&str]| {
        let metadata = DetectionMetadata::new("boxes", classes.iter().copied());
        assert_eq!(metadata.category_ids.len(), classes.len());
        let config = LoaderConfig {
            batch_size: 3,
            ..LoaderConfig::default()
        };
        let size = DetectionSizeConfig {
            scale: [40, 30],
            stride: None,
        };
        let samples = DetectionCollection::new(Boxes, metadata);
        let input = any_size(Normalization::default());
        let loader = DetectionLoader::evaluation(samples, size, input, config).unwrap();
        loader.iter(0).next().unwrap()
    };
    let batch = load(&["a", "b", "c"]).unwrap();
    let classes: Vec<usize> = batch
        .items
        .iter()
        .map(|item| item.instances[0].class)
        .collect();
    assert_eq!(classes, [0, 1, 2]);
    let error = load(&["a", "b"]).unwrap_err();
    assert_says(
        &error,
        &[
            "`boxes 2`",
            "its class is 2, but the number of classes is 2",
        ],
    );
}

#[test]
fn evaluation_takes_samples_in_their_order() {
    let samples = DenseCollection::new(
        Stripes {
            count: 5,
            second: 1,
        },
        metadata(),
    );
    let config = LoaderConfig {
        batch_size: 2,
        ..LoaderConfig::default()
    };
    let input = any_size(Normalization::default());
    let evaluation = DenseEvaluation::new(EvaluationSize::Original, input);
    let loader = DenseLoader::evaluation(samples, evaluation, config);
    let found: Vec<String> = batches(&loader.unwrap(), 0).iter().flat_map(ids).collect();
    let expected: Vec<String> = (0..5).map(|index| format!("stripes {index}")).collect();
    assert_eq!(found, expected);
}
