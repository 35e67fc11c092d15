//! The classes that occur in the labels of an epoch.

use gradway_data::{
    AbsentClasses, BatchItem, DenseLabels, DenseTarget, DenseTask, DetectionTarget, LabelCensus,
};

use super::Labels;

/// What a batch holds of a picture, with labels whose classes can be counted.
pub trait Labelled: BatchItem {
    /// Counts the classes of its labels; `task` is one of several dense tasks, none where there is one task
    /// alone.
    fn count_classes(&self, task: Option<DenseTask>, census: &mut LabelCensus);
}

impl Labelled for DenseTarget {
    fn count_classes(&self, task: Option<DenseTask>, census: &mut LabelCensus) {
        let task = task.unwrap_or(DenseTask::SemanticSegmentation);
        if let Some(DenseLabels::Classes(map)) = self.labels.get(&task) {
            census.add_labels(&map.data);
        }
    }
}

impl Labelled for DetectionTarget {
    fn count_classes(&self, _: Option<DenseTask>, census: &mut LabelCensus) {
        for instance in self.trained_on() {
            census.add(instance.class, 1);
        }
    }
}

/// Counts the classes of the labels that a run trains on, task by task.
///
/// It counts what the steps see, so that no sample is read twice.
#[derive(Debug)]
pub struct EpochCensus {
    tasks: Vec<(Option<DenseTask>, LabelCensus)>,
}

impl EpochCensus {
    /// Nothing counted yet, of the classes of labels.
    pub fn new(labels: &Labels) -> Self {
        let alone = (None, &labels.classes);
        let several = labels.tasks.iter();
        let several = several.map(|labels| (Some(labels.task), &labels.classes));
        let tasks = std::iter::once(alone).chain(several);
        let tasks = tasks.filter(|(_, classes)| !classes.is_empty());
        Self {
            tasks: tasks
                .map(|(task, classes)| (task, LabelCensus::new(classes.iter().cloned())))
                .collect(),
        }
    }

    /// Counts the labels of pictures.
    pub fn add(&mut self, items: &[impl Labelled]) {
        for (task, census) in &mut self.tasks {
            for item in items {
                item.count_classes(*task, census);
            }
        }
    }

    /// The classes that never occurred, of every task that has some.
    pub fn absent(&self) -> impl Iterator<Item = (Option<DenseTask>, AbsentClasses)> {
        let tasks = self.tasks.iter();
        tasks.filter_map(|(task, census)| Some((*task, census.absent()?)))
    }
}
