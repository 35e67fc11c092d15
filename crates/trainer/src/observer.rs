//! Events of a run for an observer, since libraries do not print.

use std::path::Path;

use gradway_adapters::GroupCount;
use gradway_data::{AbsentClasses, DenseTask, Split};

use crate::evaluate::Evaluation;
use crate::step::StepReport;

/// An event of a run.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// The run starts or resumes.
    Started {
        /// Number of optimiser steps of the whole run.
        steps: usize,
        /// Number of steps that an earlier process has done.
        done: usize,
        /// Trained parameters of the method.
        method: GroupCount,
        /// Number of trained parameters of the head.
        head: usize,
    },
    /// The file system of the run's folder does not support locks: another process could train in the same folder.
    Unlocked(&'a Path),
    /// A part of a split is not used.
    LeftOut {
        /// The split.
        split: Split,
        /// What is left out, how much, and examples.
        what: &'a str,
    },
    /// A backbone with random weights is frozen, or most of it.
    RandomBackbone {
        /// Number of parameters that stay random.
        frozen: usize,
    },
    /// Parameters of the method are frozen, since the head does not use them.
    Unread {
        /// Their paths.
        parameters: &'a [String],
    },
    /// Images are dropped at the end of every epoch, since they do not fill a step.
    Dropped {
        /// Number of dropped images.
        images: usize,
        /// Number of images of the split.
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
    /// An evaluation makes progress.
    Evaluating {
        /// Number of images done.
        done: usize,
        /// Number of images of the split.
        images: usize,
    },
    /// An evaluation has finished.
    Evaluated {
        /// Epoch, counted from 1.
        epoch: usize,
        /// Scores.
        evaluation: &'a Evaluation,
        /// Whether the scores are the best so far.
        best: bool,
    },
    /// A checkpoint has been written.
    Saved(&'a Path),
}

/// Receives the events of a run.
pub trait Observer {
    /// Called in the order of events.
    fn event(&mut self, event: Event<'_>);

    /// Returns whether the run should stop here, to be resumed later. It is called after every step, and after
    /// every epoch once it is evaluated and saved.
    fn stops(&self) -> bool {
        false
    }
}

/// Ignores all events.
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
