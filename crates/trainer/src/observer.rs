//! Events of a run for an observer, since libraries do not print.

use std::path::Path;

use gradway_adapters::GroupCount;
use gradway_backbone::ResizedTables;
use gradway_data::{AbsentClasses, DenseTask, Split};
use gradway_hub::Progress;

use crate::evaluate::Evaluation;
use crate::step::StepReport;

/// Something that happened in a run.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// The weights of the backbone are fetched from the hub, before the run begins.
    Fetching(Progress<'a>),
    /// The run begins, or goes on.
    Started {
        /// Optimiser steps of the whole run.
        steps: usize,
        /// Steps that an earlier process has done.
        done: usize,
        /// What the method trains.
        method: GroupCount,
        /// What the head trains, neck included.
        head: usize,
        /// Name of the neck, `none` without one.
        neck: &'static str,
    },
    /// The file system of the run's folder does not support locks: another process could train in the same folder.
    Unlocked(&'a Path),
    /// A part of a split is not used.
    LeftOut {
        /// The split.
        split: Split,
        /// What, how much of it, and examples.
        what: &'a str,
    },
    /// A backbone with random weights is frozen, or most of it.
    RandomBackbone {
        /// Parameters that stay random.
        frozen: usize,
    },
    /// Whose names the weight file has, such as `timm`.
    Origin(&'static str),
    /// The relative position bias tables of the weight file are of another window, and were resized.
    Resized(ResizedTables),
    /// Parameters of the method are frozen, since the head does not use them.
    Unread {
        /// Their paths.
        parameters: &'a [String],
    },
    /// Images are dropped at the end of every epoch, since they do not fill a step.
    Dropped {
        /// How many.
        images: usize,
        /// Of how many.
        of: usize,
    },
    /// Some parameters had no gradient in a whole epoch, since there was no object for them.
    Unreached {
        /// Their paths.
        parameters: &'a [String],
    },
    /// Classes that no label of a whole epoch of training has, so that nothing is learnt of them.
    Absent {
        /// Epoch, counted from 1.
        epoch: usize,
        /// The task whose classes they are, where there are several.
        task: Option<DenseTask>,
        /// The classes.
        classes: &'a AbsentClasses,
    },
    /// A step is done.
    Step(&'a StepReport),
    /// An evaluation goes on.
    Evaluating {
        /// Images done.
        done: usize,
        /// Images of the split.
        images: usize,
    },
    /// An evaluation is done.
    Evaluated {
        /// Epoch, counted from 1.
        epoch: usize,
        /// Scores.
        evaluation: &'a Evaluation,
        /// Whether they are the best so far.
        best: bool,
    },
    /// A checkpoint is written.
    Saved(&'a Path),
}

/// Is told what happens in a run.
pub trait Observer {
    /// Called in the order of events.
    fn event(&mut self, event: Event<'_>);

    /// Returns whether the run should stop here, to be resumed later. It is called after every step, after every epoch once
    /// it is evaluated and saved, and while weights are downloaded.
    fn stops(&self) -> bool {
        false
    }
}

/// Does not care.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn event(&mut self, _: Event<'_>) {}
}

impl<F: FnMut(Event<'_>)> Observer for F {
    fn event(&mut self, event: Event<'_>) {
        self(event);
    }
}
