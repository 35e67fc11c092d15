//! A training run: epochs, evaluations and checkpoints.

use std::marker::PhantomData;
use std::path::Path;

use gradway_adapters::{GroupCount, count};
use gradway_backbone::{AnyBackbone, TrainBackbone, require_finite};
use gradway_data::{Loader, Split};
use gradway_kernels::TrainBackend;
use serde::{Deserialize, Serialize};

use crate::checkpoint::{Checkpoint, TrainingState};
use crate::config::RunConfig;
use crate::error::TrainError;
use crate::evaluate::{Evaluation, evaluate};
use crate::log::{MetricsLog, median_step_seconds};
use crate::model::Model;
use crate::observer::{Event, Observer};
use crate::origin::Origin;
use crate::provenance::Provenance;
use crate::run_directory::{RunDirectory, RunLock};
use crate::step::Trainer;
use crate::task::{BatchOf, EpochCensus, Labels, Task, TaskJob};
use crate::weights::{BaseWeights, fetch_after};

/// The result of a run: the content of `result.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunOutcome {
    /// Name of the method.
    pub method: String,
    /// Number of trainable parameters of the method.
    pub parameters: GroupCount,
    /// Number of trainable parameters of the head.
    pub head_parameters: usize,
    /// Number of optimiser steps.
    pub steps: usize,
    /// Median wall time of a step in seconds, without reading batches.
    pub seconds_per_step: f64,
    /// Peak number of live bytes of a step, in the memory that the device computes in. `None` if it is not measured.
    pub peak_bytes: Option<usize>,
    /// The same for the host's memory, if the device has its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_peak_bytes: Option<usize>,
    /// Name of the metric that selects the best checkpoint; see `gradway list metrics`.
    pub metric: String,
    /// Best value of the metric.
    pub best: f64,
    /// The last evaluation.
    pub last: Evaluation,
    /// The weights that the backbone started from; absent if they were random.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<BaseWeights>,
    /// The provenance of the result.
    pub provenance: Provenance,
}

/// Trains in a folder from [`RunDirectory::create`], or resumes a folder from [`RunDirectory::open`] at its
/// newest checkpoint.
///
/// # Errors
///
/// [`TrainError`]; checkpoints saved before the error remain. A new run whose data cannot be opened or whose
/// model cannot be built leaves no folder.
pub fn train<B: TrainBackend>(
    config: &RunConfig,
    directory: &RunDirectory,
    device: &B::Device,
    provenance: Provenance,
    observer: &mut impl Observer,
) -> Result<RunOutcome, TrainError> {
    train_from::<B, _>(OfTable, config, directory, device, provenance, observer)
}

/// As [`train`], on a backbone that the program builds: an [`OwnBackbone`](gradway_backbone::OwnBackbone) of another
/// crate. `build` is called once for a model; weights that it draws are drawn with the configuration's seed.
///
/// The configuration has the backbone's description, see [`Source::on`](crate::config::Source::on).
///
/// # Errors
///
/// As [`train`], and those of `build`.
pub fn train_with<B: TrainBackend, N: TrainBackbone<B>>(
    build: impl Fn(&B::Device) -> Result<N::InnerModule, TrainError>,
    config: &RunConfig,
    directory: &RunDirectory,
    device: &B::Device,
    provenance: Provenance,
    observer: &mut impl Observer,
) -> Result<RunOutcome, TrainError> {
    let models = OfProgram::<N, _>(build, PhantomData);
    train_from::<B, _>(models, config, directory, device, provenance, observer)
}

fn train_from<B: TrainBackend, M: Models<B>>(
    models: M,
    config: &RunConfig,
    directory: &RunDirectory,
    device: &B::Device,
    provenance: Provenance,
    observer: &mut impl Observer,
) -> Result<RunOutcome, TrainError> {
    config.validate()?;
    config.task.dispatch::<B, _>(Training {
        models,
        config,
        directory,
        device,
        provenance,
        observer,
    })
}

/// Where the models of a run come from.
trait Models<B: TrainBackend> {
    type Backbone: TrainBackbone<B>;

    /// The untrained model of a configuration.
    fn model<T: Task<B>>(
        &self,
        config: &RunConfig,
        labels: &Labels,
        device: &B::Device,
    ) -> Result<Model<B, T, Self::Backbone>, TrainError>;
}

/// The configuration names the backbone and its weights.
struct OfTable;

impl<B: TrainBackend> Models<B> for OfTable {
    type Backbone = AnyBackbone<B>;

    fn model<T: Task<B>>(
        &self,
        config: &RunConfig,
        labels: &Labels,
        device: &B::Device,
    ) -> Result<Model<B, T>, TrainError> {
        Model::<B, T>::new(config, labels, device)
    }
}

/// A function of the program builds the backbone.
struct OfProgram<N, F>(F, PhantomData<N>);

impl<B, N, F> Models<B> for OfProgram<N, F>
where
    B: TrainBackend,
    N: TrainBackbone<B>,
    F: Fn(&B::Device) -> Result<N::InnerModule, TrainError>,
{
    type Backbone = N;

    fn model<T: Task<B>>(
        &self,
        config: &RunConfig,
        labels: &Labels,
        device: &B::Device,
    ) -> Result<Model<B, T, N>, TrainError> {
        B::seed(device, config.seed);
        Model::with_backbone(config, labels, (self.0)(device)?, device)
    }
}

struct Training<'a, B: TrainBackend, M, O> {
    models: M,
    config: &'a RunConfig,
    directory: &'a RunDirectory,
    device: &'a B::Device,
    provenance: Provenance,
    observer: &'a mut O,
}

impl<B: TrainBackend, M: Models<B>, O: Observer> TaskJob<B> for Training<'_, B, M, O> {
    type Output = Result<RunOutcome, TrainError>;

    fn run<T: Task<B>>(self) -> Self::Output {
        // Whether the data can be opened is known in seconds, and a download takes minutes.
        let check = || {
            T::training_loader(self.config)?;
            T::validation_loader(self.config).map(|_| ())
        };
        let config = fetch_after(self.config, &mut Relay(&mut *self.observer), check)?;
        let directory = self.directory.with_config(&config)?;
        let run = Run::<B, T, _>::start(&self.models, &config, &directory, self.device)?;
        run.finish(self.provenance, self.observer)
    }
}

/// Passes the progress of a download on to the observer of a run.
struct Relay<'a, O>(&'a mut O);

impl<O: Observer> gradway_hub::Observer for Relay<'_, O> {
    fn progress(&mut self, progress: gradway_hub::Progress<'_>) {
        self.0.event(Event::Fetching(progress));
    }

    fn stops(&self) -> bool {
        self.0.stops()
    }
}

/// Evaluates a checkpoint of a run; also returns the state of the run at that checkpoint.
///
/// # Errors
///
/// [`TrainError`] if the checkpoint does not fit, or the data cannot be read or has other classes.
pub fn evaluate_run<B: TrainBackend>(
    config: &RunConfig,
    checkpoint: &Path,
    device: &B::Device,
) -> Result<(Evaluation, TrainingState), TrainError> {
    config.task.dispatch::<B, _>(Scoring {
        config,
        checkpoint,
        device,
    })
}

struct Scoring<'a, B: TrainBackend> {
    config: &'a RunConfig,
    checkpoint: &'a Path,
    device: &'a B::Device,
}

impl<B: TrainBackend> TaskJob<B> for Scoring<'_, B> {
    type Output = Result<(Evaluation, TrainingState), TrainError>;

    fn run<T: Task<B>>(self) -> Self::Output {
        let loader = T::validation_loader(self.config)?;
        let (model, state) = Model::<B, T>::open(self.config, self.checkpoint, self.device)?;
        let labels = T::labels(loader.pipeline());
        state.labels.require(&labels, self.checkpoint)?;
        Ok((evaluate(&model, &loader, self.device, |_| {})?, state))
    }
}

/// A run in progress.
struct Run<'a, B: TrainBackend, T: Task<B>, N: TrainBackbone<B>> {
    config: &'a RunConfig,
    directory: &'a RunDirectory,
    device: &'a B::Device,
    training: Loader<T::Pipeline>,
    validation: Loader<T::Pipeline>,
    steps_per_epoch: usize,
    model: Model<B, T, N>,
    trainer: Trainer<B, T, N>,
    state: TrainingState,
    log: MetricsLog,
    lock: RunLock,
    /// Of the first whole epoch of this process, while it goes on.
    census: Option<EpochCensus>,
}

impl<'a, B: TrainBackend, T: Task<B>, N: TrainBackbone<B>> Run<'a, B, T, N> {
    fn start(
        models: &impl Models<B, Backbone = N>,
        config: &'a RunConfig,
        directory: &'a RunDirectory,
        device: &'a B::Device,
    ) -> Result<Self, TrainError> {
        // A run that goes on is locked before its checkpoint is read; a new one has no folder before it is
        // accepted.
        let lock = match directory.is_new() {
            true => None,
            false => Some(directory.begin()?),
        };
        let training = T::training_loader(config)?;
        let validation = T::validation_loader(config)?;
        let accumulation = config.optimizer.accumulation;
        let steps_per_epoch = match config.loader.drop_last {
            true => training.batches_per_epoch() / accumulation,
            false => training.batches_per_epoch().div_ceil(accumulation),
        };
        let rest = training.samples() % config.loader.batch_size;
        if rest > 0 && !config.loader.drop_last {
            config.require_values(rest)?;
        }
        if steps_per_epoch == 0 {
            return Err(TrainError::config(format!(
                "optimizer.accumulation = {}, but an epoch has {} batches",
                config.optimizer.accumulation,
                training.batches_per_epoch()
            )));
        }
        // Tasks that are added alone have labels in training; all are scored.
        let labels = T::labels(validation.pipeline());
        let mut model = models.model::<T>(config, &labels, device)?;
        let steps = steps_per_epoch * config.train.epochs;
        let warmup = config.schedule.warmup_steps;
        if warmup > 0 && warmup >= steps {
            return Err(TrainError::config(format!(
                "schedule.warmup_steps = {warmup}, but the run has {steps} steps; it must be less than that"
            )));
        }
        let mut trainer = Trainer::new(config, &model, steps, device).watched();
        let saved = lock.as_ref().map_or(Ok(None), |_| newest(directory))?;
        if let (None, Some(base)) = (&saved, config.task.base()) {
            let inherited = inherit(model, config, base, &labels);
            model = inherited.map_err(|error| TrainError::BaseRun(Box::new(error)))?;
        }
        let origin = Origin::new(config, &training, &validation)?;
        let state = match saved {
            None => TrainingState {
                backbone: config.backbone.name.clone(),
                base: model.base().to_string(),
                labels,
                origin,
                step: 0,
                epoch: 0,
                batch: 0,
                unevaluated: false,
                best: None,
                peak_bytes: None,
                host_peak_bytes: None,
            },
            Some(checkpoint) => {
                let path = directory.last_file();
                let mut state = checkpoint.state.clone();
                state.labels.require(&labels, &path)?;
                // A setting comes before the weights: another seed draws others.
                state.origin.require(&origin, &path)?;
                model.require_base(&checkpoint, &path)?;
                if !state.origin.scores_as(&origin) && state.best.is_some() {
                    // Scores of another kind cannot be compared with those that will come.
                    let path = directory.best_file();
                    let best = Checkpoint::load(&path)?;
                    let model = models.model::<T>(config, &best.state.labels, device)?;
                    let (best, _) = model.opened(config, best, &path)?;
                    let evaluation = evaluate(&best, &validation, device, |_| {})?;
                    state.best = Some(evaluation.scores.main().1);
                }
                state.origin = origin;
                let Some(moments) = checkpoint.optimizer.clone() else {
                    return Err(TrainError::file(path, "it holds no optimiser state"));
                };
                model = model.load(checkpoint, &path)?;
                trainer = trainer
                    .resume(state.step, moments, device)
                    .map_err(|reason| TrainError::file(&path, reason))?;
                state
            }
        };
        let lock = lock.map_or_else(|| directory.begin(), Ok)?;
        let log = MetricsLog::open(&directory.metrics_file(), &state)?;
        Ok(Self {
            config,
            directory,
            device,
            training,
            validation,
            steps_per_epoch,
            model,
            trainer,
            state,
            log,
            lock,
            census: None,
        })
    }

    /// Trains the rest of the run.
    fn finish(
        self,
        provenance: Provenance,
        observer: &mut impl Observer,
    ) -> Result<RunOutcome, TrainError> {
        let (config, directory, device) = (self.config, self.directory, self.device);
        let mut run = self;
        observer.event(Event::Started {
            steps: run.steps_per_epoch * config.train.epochs,
            done: run.trainer.steps_done,
            method: count(&run.model.trainable.method),
            head: count(&run.model.trainable.head).total,
            neck: config.neck()?.name(),
        });
        if !run.lock.is_held {
            observer.event(Event::Unlocked(directory.path()));
        }
        let is_random = config.backbone.weights.is_none() && config.backbone.own.is_none();
        if is_random && run.model.frozen() > 0 {
            let frozen = run.model.frozen();
            observer.event(Event::RandomBackbone { frozen });
        }
        if let Some(origin) = run.model.origin() {
            observer.event(Event::Origin(origin));
        }
        if let Some(tables) = run.model.resized() {
            observer.event(Event::Resized(tables));
        }
        if !run.model.unread().is_empty() {
            let parameters = run.model.unread();
            observer.event(Event::Unread { parameters });
        }
        let images = run.dropped();
        if images > 0 {
            let of = run.training.samples();
            observer.event(Event::Dropped { images, of });
        }
        let splits = [(Split::Train, &run.training), (Split::Val, &run.validation)];
        for (split, loader) in splits {
            if let Some(what) = T::left_out(loader.pipeline()) {
                let what = &what;
                observer.event(Event::LeftOut { split, what });
            }
        }
        let mut last = None;
        let mut is_first = true;
        // An epoch is saved before its evaluation, which reads other files and takes long.
        while run.state.unevaluated || run.state.epoch < config.train.epochs {
            if !run.state.unevaluated {
                run = run.trained_epoch(&mut is_first, observer)?;
            }
            if run.state.unevaluated {
                last = Some(run.evaluate(observer)?);
                run.save_last(observer)?;
            }
            if observer.stops() && run.state.epoch < config.train.epochs {
                return Err(run.stopped());
            }
        }
        // A finished run that is resumed has nothing left to do but to be scored again.
        let last = match last {
            Some(last) => last,
            None => evaluate(&run.model, &run.validation, device, |_| {})?,
        };
        let (metric, score) = last.scores.main();
        let outcome = RunOutcome {
            method: config.method.descriptor().name.to_string(),
            parameters: count(&run.model.trainable.method),
            head_parameters: count(&run.model.trainable.head).total,
            steps: run.state.step,
            seconds_per_step: median_step_seconds(&directory.metrics_file())?,
            peak_bytes: run.state.peak_bytes,
            host_peak_bytes: run.state.host_peak_bytes,
            metric: metric.name.to_string(),
            best: run.state.best.unwrap_or(score),
            last,
            weights: config.backbone.weights.clone().map(|source| BaseWeights {
                source,
                hash: run.model.base().to_string(),
            }),
            provenance,
        };
        directory.write_result(&outcome)?;
        Ok(outcome)
    }

    /// Number of images that an epoch drops.
    fn dropped(&self) -> usize {
        match self.config.loader.drop_last {
            true => self.training.samples() - self.steps_per_epoch * self.config.total_batch(),
            false => 0,
        }
    }

    /// Trains the rest of the current epoch, reports what it did not reach, and saves it.
    fn trained_epoch(
        mut self,
        is_first: &mut bool,
        observer: &mut impl Observer,
    ) -> Result<Self, TrainError> {
        let is_whole = self.state.batch == 0;
        if *is_first && is_whole {
            self.census = Some(EpochCensus::new(&T::labels(self.training.pipeline())));
        }
        let mut run = self.epoch(observer)?;
        let parameters = run.trainer.guard.waiting();
        if *is_first && is_whole && !parameters.is_empty() {
            observer.event(Event::Unreached { parameters });
        }
        let epoch = run.state.epoch;
        if let Some(census) = run.census.take() {
            for (task, classes) in census.absent() {
                let classes = &classes;
                observer.event(Event::Absent {
                    epoch,
                    task,
                    classes,
                });
            }
        }
        *is_first &= !is_whole;
        // What overflowed in the last step of an epoch has not been in a loss yet.
        require_finite(&run.directory.last_file(), &run.model.weights())?;
        let length = &run.config.train;
        let is_due = match length.evaluate_every {
            0 => false,
            every => epoch.is_multiple_of(every),
        };
        run.state.unevaluated = is_due || epoch == length.epochs;
        run.save_last(observer)?;
        Ok(run)
    }

    /// Trains the rest of the current epoch.
    fn epoch(mut self, observer: &mut impl Observer) -> Result<Self, TrainError> {
        let passes = self.config.optimizer.accumulation;
        let batches = self.training.batches_per_epoch();
        let batches = match self.config.loader.drop_last {
            true => batches - batches % passes,
            false => batches,
        };
        let remaining = batches.saturating_sub(self.state.batch);
        let epoch = self.state.epoch as u64;
        let mut reader = self
            .training
            .iter_from(epoch, self.state.batch)
            .take(remaining);
        loop {
            let batches: Vec<BatchOf<B, T>> =
                reader.by_ref().take(passes).collect::<Result<_, _>>()?;
            if batches.is_empty() {
                break;
            }
            if let Some(census) = &mut self.census {
                batches.iter().for_each(|batch| census.add(&batch.items));
            }
            let (model, report) = self.trainer.step(self.model, &batches)?;
            self.model = model;
            self.state.step = report.step;
            self.state.batch += batches.len();
            self.state.peak_bytes = self.state.peak_bytes.max(report.peak_bytes);
            self.state.host_peak_bytes = self.state.host_peak_bytes.max(report.host_peak_bytes);
            self.log.write("step", &report)?;
            observer.event(Event::Step(&report));
            let every = self.config.train.checkpoint_every;
            let epoch_ends = self.state.step.is_multiple_of(self.steps_per_epoch);
            // The end of an epoch is saved as such.
            let is_due = every > 0 && report.step.is_multiple_of(every) && !epoch_ends;
            let stops = observer.stops();
            if is_due || stops {
                self.save_last(observer)?;
            }
            if stops {
                return Err(self.stopped());
            }
        }
        self.state.epoch += 1;
        self.state.batch = 0;
        Ok(self)
    }

    /// The error that ends a stopped run, which can be resumed.
    fn stopped(&self) -> TrainError {
        TrainError::Stopped {
            step: self.state.step,
            steps: self.steps_per_epoch * self.config.train.epochs,
            path: self.directory.path().to_path_buf(),
        }
    }

    /// Evaluates the model, and saves it if it is the best so far.
    fn evaluate(&mut self, observer: &mut impl Observer) -> Result<Evaluation, TrainError> {
        let images = self.validation.samples();
        let evaluation = evaluate(&self.model, &self.validation, self.device, |done| {
            observer.event(Event::Evaluating { done, images });
        })?;
        self.state.unevaluated = false;
        let (_, score) = evaluation.scores.main();
        let best = self.state.best.is_none_or(|best| score > best);
        self.log.write(
            "evaluation",
            &serde_json::json!({
                "step": self.state.step,
                "epoch": self.state.epoch,
                "scores": evaluation,
            }),
        )?;
        observer.event(Event::Evaluated {
            epoch: self.state.epoch,
            evaluation: &evaluation,
            best,
        });
        if best {
            self.state.best = Some(score);
            self.save(&self.directory.best_file(), None, observer)?;
        }
        Ok(evaluation)
    }

    fn save_last(&self, observer: &mut impl Observer) -> Result<(), TrainError> {
        let path = self.directory.last_file();
        let moments = self.trainer.optimizer.save();
        let moments = moments.map_err(|reason| TrainError::file(&path, reason))?;
        self.save(&path, Some(moments), observer)
    }

    fn save(
        &self,
        path: &Path,
        optimizer: Option<[Vec<u8>; 2]>,
        observer: &mut impl Observer,
    ) -> Result<(), TrainError> {
        Checkpoint {
            state: self.state.clone(),
            weights: self.model.weights(),
            optimizer,
        }
        .save(path)?;
        observer.event(Event::Saved(path));
        Ok(())
    }
}

/// Takes over the weights of the best checkpoint of the run that tasks are added to.
fn inherit<B: TrainBackend, T: Task<B>, N: TrainBackbone<B>>(
    model: Model<B, T, N>,
    config: &RunConfig,
    base: &Path,
    labels: &Labels,
) -> Result<Model<B, T, N>, TrainError> {
    let base = RunDirectory::existing(&gradway_data::paths::expand(base)?)?;
    let path = base.checkpoint_file(false)?;
    let saved = Checkpoint::load(&path)?;
    model.require_base(&saved, &path)?;
    saved.state.origin.require_model(config, &path)?;
    model.inherit(saved, labels, &path)
}

/// The checkpoint to resume from, if there is one.
///
/// # Errors
///
/// [`TrainError`] if it cannot be read, or a file that the run would overwrite or need is not beside it.
fn newest(directory: &RunDirectory) -> Result<Option<Checkpoint>, TrainError> {
    let (last, best) = (directory.last_file(), directory.best_file());
    if !last.exists() {
        let results = [best, directory.result_file()];
        let Some(result) = results.into_iter().find(|file| file.exists()) else {
            return Ok(None);
        };
        let reason = format!(
            "it is missing, so the run would start again and overwrite {}; restore it, or train in another folder",
            result.display()
        );
        return Err(TrainError::file(last, reason));
    }
    let checkpoint = Checkpoint::load(&last)?;
    if let (Some(score), false) = (checkpoint.state.best, best.exists()) {
        let reason = format!(
            "it is missing, but the run has a best score of {score}; restore it, or train in another folder"
        );
        return Err(TrainError::file(best, reason));
    }
    Ok(Some(checkpoint))
}

#[cfg(test)]
mod tests;
