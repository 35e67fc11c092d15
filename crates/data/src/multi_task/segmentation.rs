//! A dataset of several tasks as one for segmentation.

use std::path::Path;
use std::sync::Arc;

use super::MultiTaskDataset;
use crate::dataset::{SegmentationDataset, SegmentationSample};
use crate::error::{DataError, LabelFault};
use crate::labels::{DenseLabels, DenseTask};

const TASK: DenseTask = DenseTask::SemanticSegmentation;

/// The semantic segmentation of a dataset; nothing else is read.
pub(crate) struct SegmentationView(pub(crate) Arc<dyn MultiTaskDataset>);

impl SegmentationDataset for SegmentationView {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn classes(&self) -> &[String] {
        self.0.classes(TASK)
    }

    fn palette(&self) -> &[[u8; 3]] {
        self.0.palette(TASK)
    }

    fn id(&self, index: usize) -> String {
        self.0.id(index)
    }

    fn image_file(&self, index: usize) -> Option<&Path> {
        self.0.image_file(index)
    }

    fn get(&self, index: usize) -> Result<SegmentationSample, DataError> {
        let mut sample = self.0.get(index, &[TASK])?;
        match sample.labels.remove(&TASK) {
            Some(DenseLabels::Classes(labels)) => Ok(SegmentationSample {
                id: sample.id,
                image: sample.image,
                labels,
            }),
            _ => Err(DataError::Labels {
                id: sample.id,
                task: TASK,
                fault: LabelFault::Values {
                    reason: "the dataset returned no classes".into(),
                },
            }),
        }
    }
}
