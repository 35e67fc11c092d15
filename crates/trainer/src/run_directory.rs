//! The folder of a run: its files and its lock.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use gradway_backbone::BackboneDescriptor;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::config::{self, Overrides, RunConfig, Source};
use crate::error::TrainError;
use crate::origin::require_use;

/// The folder of a run.
///
/// | file | holds |
/// |---|---|
/// | `config.toml` | the resolved configuration |
/// | `metrics.jsonl` | a line per step and evaluation |
/// | `last.safetensors` | the newest checkpoint, to resume from |
/// | `best.safetensors` | the checkpoint of the best evaluation |
/// | `result.json` | scores, memory, time and provenance, once the run is done |
/// | `lock` | nothing; held by the process that trains |
///
/// The folder of a new run is created when [`train`](crate::train) has opened the data and built the model. A
/// run that fails before leaves nothing behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunDirectory {
    path: PathBuf,
    start: Start,
}

/// How a process starts in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Start {
    /// A new run: its configuration as file content, and whether it overwrites an old run.
    New { config: String, overwrite: bool },
    /// An existing run.
    Existing,
}

/// A lock that keeps other processes from training in a folder while it is held.
#[derive(Debug)]
pub(crate) struct RunLock {
    _file: File,
    /// Whether the lock is held: not every file system supports locks.
    pub(crate) is_held: bool,
}

impl RunDirectory {
    /// Name of the file with the result of a run.
    pub const RESULT: &str = "result.json";

    /// The folder of a new run, which [`train`](crate::train) creates.
    ///
    /// # Errors
    ///
    /// [`TrainError::RunExists`] if it already holds a run; an error if the configuration cannot be saved.
    pub fn create(path: &Path, config: &RunConfig) -> Result<Self, TrainError> {
        let directory = Self::new(path, config, false)?;
        directory.refuse_a_run()?;
        Ok(directory)
    }

    /// The folder of a new run, which [`train`](crate::train) creates, or clears of the run that it holds.
    /// Files that do not belong to a run remain.
    ///
    /// # Errors
    ///
    /// If the configuration cannot be saved.
    pub fn replace(path: &Path, config: &RunConfig) -> Result<Self, TrainError> {
        Self::new(path, config, true)
    }

    fn new(path: &Path, config: &RunConfig, overwrite: bool) -> Result<Self, TrainError> {
        let config = config::to_toml(config).map_err(|error| TrainError::file(path, error))?;
        Ok(Self {
            path: path.to_path_buf(),
            start: Start::New { config, overwrite },
        })
    }

    /// The same folder for another configuration, if the run is new.
    pub(crate) fn with_config(&self, config: &RunConfig) -> Result<Self, TrainError> {
        match self.start {
            Start::New { overwrite, .. } => Self::new(&self.path, config, overwrite),
            Start::Existing => Ok(self.clone()),
        }
    }

    /// Opens the folder of an earlier run with the configuration saved there.
    ///
    /// # Errors
    ///
    /// [`TrainError`] if it is not a run or its configuration cannot be read.
    pub fn open(path: &Path) -> Result<(Self, RunConfig), TrainError> {
        Self::open_under(path, &[])
    }

    /// As [`Self::open`], with `key=value` overrides of how the trained model is used, such as
    /// `evaluation.flip=true`.
    ///
    /// # Errors
    ///
    /// As [`Self::open`]; [`TrainError::Key`] for an override that is wrong, or whose key belongs to training.
    pub fn open_under(path: &Path, overrides: &[String]) -> Result<(Self, RunConfig), TrainError> {
        let directory = Self::existing(path)?;
        let saved = config::load(&directory.config_file(), &[])?;
        if overrides.is_empty() {
            return Ok((directory, saved));
        }
        let source = Source::file(&directory.config_file())?.under(Overrides::set(overrides)?);
        let config = source.config()?;
        require_use(&saved, &config).map_err(|error| source.blame(error))?;
        Ok((directory, config))
    }

    /// As [`Self::open`], of a run on a backbone of another crate with this description.
    ///
    /// # Errors
    ///
    /// As [`Self::open`].
    pub fn open_on(
        path: &Path,
        backbone: BackboneDescriptor,
    ) -> Result<(Self, RunConfig), TrainError> {
        let directory = Self::existing(path)?;
        let source = Source::file(&directory.config_file())?;
        let config = source.on(backbone).config()?;
        Ok((directory, config))
    }

    /// The folder of an earlier run.
    pub(crate) fn existing(path: &Path) -> Result<Self, TrainError> {
        let directory = Self {
            path: path.to_path_buf(),
            start: Start::Existing,
        };
        if !directory.config_file().is_file() {
            return Err(TrainError::file(
                path,
                "it is not a run directory: there is no `config.toml`",
            ));
        }
        Ok(directory)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Path of the resolved configuration.
    pub fn config_file(&self) -> PathBuf {
        self.path.join("config.toml")
    }

    /// Path of the log with a line per step and evaluation.
    pub fn metrics_file(&self) -> PathBuf {
        self.path.join("metrics.jsonl")
    }

    /// Path of the newest checkpoint.
    pub fn last_file(&self) -> PathBuf {
        self.path.join("last.safetensors")
    }

    /// Path of the checkpoint of the best evaluation.
    pub fn best_file(&self) -> PathBuf {
        self.path.join("best.safetensors")
    }

    /// Returns the path of the newest checkpoint if `last`, otherwise of the best one.
    ///
    /// # Errors
    ///
    /// [`TrainError::NotEvaluated`] if there is a newest checkpoint, but no best one.
    pub fn checkpoint_file(&self, last: bool) -> Result<PathBuf, TrainError> {
        if last {
            return Ok(self.last_file());
        }
        let best = self.best_file();
        match !best.exists() && self.last_file().exists() {
            true => Err(TrainError::NotEvaluated {
                path: self.path.clone(),
            }),
            false => Ok(best),
        }
    }

    /// Path of the file with the result.
    pub fn result_file(&self) -> PathBuf {
        self.path.join(Self::RESULT)
    }

    /// The files of a run except its lock.
    fn files(&self) -> [PathBuf; 5] {
        [
            self.result_file(),
            self.best_file(),
            self.last_file(),
            self.metrics_file(),
            self.config_file(),
        ]
    }

    /// Whether the folder is that of a new run.
    pub(crate) fn is_new(&self) -> bool {
        matches!(self.start, Start::New { .. })
    }

    /// Whether a folder holds a run that has done a step. Before its first step a run has nothing to lose.
    pub fn holds_a_run(path: &Path) -> bool {
        let directory = Self {
            path: path.to_path_buf(),
            start: Start::Existing,
        };
        let has_bytes = |file: &PathBuf| fs::metadata(file).is_ok_and(|file| file.len() > 0);
        let [worth @ .., config] = directory.files();
        config.is_file() && worth.iter().any(has_bytes)
    }

    fn refuse_a_run(&self) -> Result<(), TrainError> {
        match Self::holds_a_run(&self.path) {
            false => Ok(()),
            true => Err(TrainError::RunExists {
                path: self.path.clone(),
            }),
        }
    }

    /// Starts a new run: creates the folder, locks it, clears it and saves the configuration. The folder of an
    /// existing run is only locked.
    ///
    /// # Errors
    ///
    /// [`TrainError::Busy`] if another process trains here, [`TrainError::RunExists`] if one has started in the
    /// meantime, and an error if files cannot be written.
    pub(crate) fn begin(&self) -> Result<RunLock, TrainError> {
        let Start::New { config, overwrite } = &self.start else {
            return self.lock();
        };
        fs::create_dir_all(&self.path).map_err(|error| TrainError::file(&self.path, error))?;
        // Nothing is looked at or written before the lock is held: of two processes that start at once, one
        // has the folder, and the other leaves it alone.
        let lock = self.lock()?;
        if !overwrite {
            self.refuse_a_run()?;
        }
        for file in self.files() {
            remove(&file)?;
        }
        write_whole(&self.config_file(), config.as_bytes())?;
        Ok(lock)
    }

    /// Locks the folder, and removes what an interrupted write left behind.
    pub(crate) fn lock(&self) -> Result<RunLock, TrainError> {
        let path = self.path.join("lock");
        let file = File::create(&path).map_err(|error| TrainError::file(&path, error))?;
        let is_held = match file.try_lock() {
            Ok(()) => true,
            Err(TryLockError::WouldBlock) => {
                return Err(TrainError::Busy {
                    path: self.path.clone(),
                });
            }
            Err(TryLockError::Error(error)) if cannot_lock(&error) => false,
            Err(TryLockError::Error(error)) => return Err(TrainError::file(&path, error)),
        };
        for file in self.files() {
            remove(&gradway_backbone::partial(&file))?;
        }
        Ok(RunLock {
            _file: file,
            is_held,
        })
    }

    /// Reads the result of the run, if it is done.
    ///
    /// # Errors
    ///
    /// [`TrainError::File`] if it cannot be read.
    pub fn result<T: DeserializeOwned>(&self) -> Result<Option<T>, TrainError> {
        let path = self.result_file();
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|error| TrainError::file(&path, error)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(TrainError::file(&path, error)),
        }
    }

    /// Writes the result of the run.
    ///
    /// # Errors
    ///
    /// [`TrainError::File`] if it cannot be written.
    pub fn write_result(&self, result: &impl Serialize) -> Result<(), TrainError> {
        let path = self.result_file();
        let text =
            serde_json::to_string_pretty(result).map_err(|error| TrainError::file(&path, error))?;
        write_whole(&path, text.as_bytes())
    }
}

fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), TrainError> {
    gradway_backbone::write_whole(path, bytes).map_err(|error| TrainError::file(path, error))
}

/// Whether the error means that the file system has no locks, as some network file systems.
fn cannot_lock(error: &io::Error) -> bool {
    let without = [libc::ENOLCK, libc::ENOSYS];
    error.kind() == ErrorKind::Unsupported
        || error
            .raw_os_error()
            .is_some_and(|code| without.contains(&code))
}

/// Removes a file, if it exists.
fn remove(path: &Path) -> Result<(), TrainError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(TrainError::file(path, error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_system_without_locks_is_no_error() {
        for code in [libc::ENOLCK, libc::ENOSYS, libc::EOPNOTSUPP] {
            assert!(cannot_lock(&io::Error::from_raw_os_error(code)), "{code}");
        }
        for code in [libc::EIO, libc::EACCES] {
            assert!(!cannot_lock(&io::Error::from_raw_os_error(code)), "{code}");
        }
    }
}
