//! A progress bar for binaries: an [`Observer`] that writes to standard error.

use gradway_backbone::ResizedTables;
use gradway_trainer::{Event, Observer, StepReport};
use indicatif::{ProgressBar, ProgressStyle};

use crate::fetching::FetchProgress;
use crate::report::{count, headlines, is_defined};
use crate::{stop, terminal};

/// Shows the loss, learning rate, images per second and remaining time, and a line per evaluation.
///
/// If standard error is not a terminal, there are only the lines.
#[derive(Debug)]
pub struct TerminalProgress {
    label: String,
    bar: ProgressBar,
    fetching: FetchProgress,
    /// Loss averaged over about the last twenty steps, since the loss of single steps varies.
    loss: Option<f64>,
    said_stopping: bool,
}

impl Default for TerminalProgress {
    fn default() -> Self {
        Self::labelled("train")
    }
}

impl TerminalProgress {
    /// Creates a bar with a label, to distinguish runs.
    pub fn labelled(label: impl Into<String>) -> Self {
        Self {
            label: label.into(),
            bar: ProgressBar::hidden(),
            fetching: FetchProgress::default(),
            loss: None,
            said_stopping: false,
        }
    }

    fn start(&mut self, steps: usize, done: usize) {
        const TEMPLATE: &str = "{prefix} {bar:24} {pos}/{len} {msg} {eta} left";
        self.bar = ProgressBar::new(steps as u64).with_position(done as u64);
        if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
            self.bar.set_style(style);
        }
        self.bar.set_prefix(self.label.clone());
        // Time left is that of this process's steps.
        self.bar.reset_eta();
    }

    fn step(&mut self, report: &StepReport) {
        let loss = match self.loss {
            Some(loss) => 0.95 * loss + 0.05 * report.loss,
            None => report.loss,
        };
        self.loss = Some(loss);
        self.bar.set_message(format!(
            "loss {loss:.4}, rate {:.2e}, {:.1} images/s,",
            report.learning_rate,
            report.images as f64 / report.seconds
        ));
        self.bar.set_position(report.step as u64);
    }

    /// Prints a line above the bar.
    pub(crate) fn line(&self, text: &str) {
        // The bar's own line is hidden with it where there is no terminal.
        self.bar
            .suspend(|| terminal::note(format_args!("{}: {text}", self.label)));
    }

    /// Prints once that a signal has arrived during an evaluation, which is finished first.
    fn say_stopping(&mut self) {
        if stop::requested() && !self.said_stopping {
            self.said_stopping = true;
            self.line("stopping after this evaluation is saved; a second signal stops immediately");
        }
    }
}

impl Observer for TerminalProgress {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Fetching(progress) => self.fetching.show(progress),
            Event::Started {
                steps,
                done,
                method,
                head,
                neck,
            } => {
                self.start(steps, done);
                let from = match done {
                    0 => String::new(),
                    done => format!(", resumed from step {done}"),
                };
                let behind = match neck {
                    "none" => String::new(),
                    neck => format!(" behind the neck `{neck}`"),
                };
                self.line(&format!(
                    "{}{from}; {} trainable parameters in the method, {head} in the head{behind}",
                    count(steps, "step"),
                    method.total
                ));
            }
            Event::Unlocked(path) => self.line(&format!(
                "warning: the file system of {} has no locks: do not train there with another process",
                path.display()
            )),
            Event::LeftOut { split, what } => {
                self.line(&format!("skipped in the {} split: {what}", split.name()));
            }
            Event::RandomBackbone { frozen } => self.line(&format!(
                "warning: backbone.weights is not set: {frozen} frozen parameters of the backbone are random"
            )),
            Event::Origin(origin) => {
                self.line(&format!("the weight file has the names of {origin}"));
            }
            Event::Resized(ResizedTables { tables, from, to }) => self.line(&format!(
                "{tables} relative position bias tables of the weights were resized, from windows of {from}x{from} to {to}x{to}"
            )),
            Event::Unread { parameters } => self.line(&format!(
                "{} are not trained: the head does not use their output",
                some_of(parameters)
            )),
            Event::Dropped { images, of } => self.line(&format!(
                "every epoch drops {images} of {of} training images that do not fill a step (loader.drop_last); each epoch drops others"
            )),
            Event::Unreached { parameters } => self.line(&format!(
                "warning: {} had no gradient in an epoch: no object needed them",
                some_of(parameters)
            )),
            Event::Absent {
                epoch,
                task,
                classes,
            } => {
                let of_task = task.map_or(String::new(), |task| format!(" of {task}"));
                self.line(&format!(
                    "warning: in the labels{of_task} of epoch {epoch}, {classes}; a class without labels is \
                     not learnt (`gradway data check` counts the labels of the whole split)"
                ));
            }
            Event::Step(report) => self.step(report),
            Event::Evaluating { done, images } => {
                self.say_stopping();
                self.bar.set_message(format!("evaluating {done}/{images},"));
            }
            Event::Evaluated {
                epoch,
                evaluation,
                best,
            } => self.line(&format!(
                "epoch {epoch}: {}{} (evaluated in {:.0} s)",
                headlines(&evaluation.scores),
                match best && is_defined(&evaluation.scores) {
                    true => ", the best so far",
                    false => "",
                },
                evaluation.seconds
            )),
            Event::Saved(_) => {}
        }
    }

    fn stops(&self) -> bool {
        stop::requested()
    }
}

/// The number of parameters, with the first and the last of them.
fn some_of(parameters: &[String]) -> String {
    match parameters {
        [] => "no parameters".to_string(),
        [one] => format!("the parameter {one}"),
        [first, .., last] => format!("{} parameters ({first} to {last})", parameters.len()),
    }
}

impl Drop for TerminalProgress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
