//! The layout of the cache, which is that of Python's `huggingface_hub`.
//!
//! ```text
//! models--OWNER--NAME/
//!   refs/REVISION                 the commit of a branch or a tag
//!   snapshots/COMMIT/FILE         a link to a blob
//!   blobs/ETAG                    the bytes of a file, named by what the hub calls their version
//!   blobs/ETAG.incomplete         those that have arrived so far
//! .locks/models--OWNER--NAME/ETAG.lock
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use crate::reference::{Reference, is_commit};

/// A cache.
#[derive(Debug, Clone)]
pub(crate) struct Cache {
    root: PathBuf,
}

/// A file of the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub path: PathBuf,
    pub commit: String,
}

impl Cache {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    fn folder_name(repository: &str) -> String {
        format!("models--{}", repository.replace('/', "--"))
    }

    fn folder(&self, repository: &str) -> PathBuf {
        self.root.join(Self::folder_name(repository))
    }

    fn snapshot(&self, repository: &str, commit: &str) -> PathBuf {
        self.folder(repository).join("snapshots").join(commit)
    }

    /// The path of a file at a commit.
    pub(crate) fn pointer(&self, repository: &str, commit: &str, file: &str) -> PathBuf {
        let snapshot = self.snapshot(repository, commit);
        file.split('/').fold(snapshot, |path, part| path.join(part))
    }

    /// The commit that a revision meant when the hub was asked last.
    pub(crate) fn commit(&self, repository: &str, revision: &str) -> Option<String> {
        if is_commit(revision) {
            return Some(revision.to_string());
        }
        let commit = fs::read_to_string(self.revision_file(repository, revision)).ok()?;
        is_commit(&commit).then_some(commit)
    }

    fn revision_file(&self, repository: &str, revision: &str) -> PathBuf {
        let folder = self.folder(repository).join("refs");
        revision
            .split('/')
            .fold(folder, |path, part| path.join(part))
    }

    /// Finds a file that is complete.
    pub(crate) fn find(&self, wanted: &Reference, file: &str) -> Option<Found> {
        let commit = self.commit(wanted.repository(), wanted.revision())?;
        let path = self.pointer(wanted.repository(), &commit, file);
        path.is_file().then_some(Found { path, commit })
    }

    /// The files at the top of a snapshot.
    pub(crate) fn files(&self, wanted: &Reference) -> Vec<String> {
        let Some(commit) = self.commit(wanted.repository(), wanted.revision()) else {
            return Vec::new();
        };
        let entries = fs::read_dir(self.snapshot(wanted.repository(), &commit));
        let names = entries
            .into_iter()
            .flatten()
            .flatten()
            .filter(|entry| entry.path().is_file());
        let mut names: Vec<String> = names
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        names.sort_unstable();
        names
    }
}

#[cfg(feature = "network")]
mod writing {
    use std::fs::{self, File, TryLockError};
    use std::io::{self, ErrorKind};
    use std::path::{Path, PathBuf};
    use std::thread;
    use std::time::Duration;

    use super::Cache;
    use crate::error::HubError;

    /// Time between two attempts to take a lock.
    const LOCK_PAUSE: Duration = Duration::from_millis(50);

    /// A lock that is held, unless the file system has none.
    #[derive(Debug)]
    pub(crate) struct Lock {
        _file: File,
    }

    impl Cache {
        /// The path of the bytes of a file.
        pub(crate) fn blob(&self, repository: &str, etag: &str) -> PathBuf {
            self.folder(repository).join("blobs").join(etag)
        }

        /// The path of the bytes that have arrived so far.
        pub(crate) fn incomplete(&self, repository: &str, etag: &str) -> PathBuf {
            self.blob(repository, &format!("{etag}.incomplete"))
        }

        /// Notes the commit that a revision means. The file is replaced as a whole, since others read it.
        pub(crate) fn note_commit(
            &self,
            repository: &str,
            revision: &str,
            commit: &str,
        ) -> Result<(), HubError> {
            if self.commit(repository, revision).as_deref() == Some(commit) {
                return Ok(());
            }
            let path = self.revision_file(repository, revision);
            make_folder_of(&path)?;
            let mut name = path.file_name().unwrap_or_default().to_os_string();
            name.push(format!(".{}.tmp", std::process::id()));
            let beside = path.with_file_name(name);
            fs::write(&beside, commit).map_err(|error| failed(&beside, error))?;
            fs::rename(&beside, &path).map_err(|error| failed(&path, error))
        }

        /// Locks the download of a file against other processes. `wait` is called before each further attempt, and
        /// ends the wait with an error.
        pub(crate) fn lock(
            &self,
            repository: &str,
            etag: &str,
            mut wait: impl FnMut() -> Result<(), HubError>,
        ) -> Result<Lock, HubError> {
            let folder = self.root.join(".locks").join(Self::folder_name(repository));
            let path = folder.join(format!("{etag}.lock"));
            make_folder_of(&path)?;
            let file = File::options()
                .create(true)
                .truncate(false)
                .write(true)
                .open(&path);
            let file = file.map_err(|error| failed(&path, error))?;
            loop {
                match file.try_lock() {
                    Ok(()) => break,
                    Err(TryLockError::WouldBlock) => wait()?,
                    // A file system without locks. The hash of the whole file is verified, so two processes that
                    // write it at once get an error, not a wrong file.
                    Err(TryLockError::Error(_)) => break,
                }
                thread::sleep(LOCK_PAUSE);
            }
            Ok(Lock { _file: file })
        }

        /// Makes complete bytes the file of a commit.
        pub(crate) fn publish(
            &self,
            repository: &str,
            etag: &str,
            commit: &str,
            file: &str,
        ) -> Result<PathBuf, HubError> {
            let blob = self.blob(repository, etag);
            let pointer = self.pointer(repository, commit, file);
            make_folder_of(&pointer)?;
            // From the folder of the pointer: out of the folders of the file, the commit and the snapshots.
            let depth = file.split('/').count() + 1;
            let mut target: PathBuf = std::iter::repeat_n("..", depth).collect();
            target.extend(["blobs", etag]);
            link(&target, &blob, &pointer).map_err(|error| failed(&pointer, error))?;
            Ok(pointer)
        }
    }

    /// Links `pointer` to the blob: by `target`, the path from the pointer's folder, so that the cache can be moved. A link
    /// that is there is replaced at once: another process may read it. The lock of the blob is held.
    #[cfg(unix)]
    fn link(target: &Path, _blob: &Path, pointer: &Path) -> io::Result<()> {
        let mut new = pointer.as_os_str().to_owned();
        new.push(".new");
        if fs::symlink_metadata(&new).is_ok() {
            fs::remove_file(&new)?;
        }
        std::os::unix::fs::symlink(target, &new)?;
        fs::rename(&new, pointer)
    }

    /// Without links, the snapshot holds the file itself, as in Python.
    #[cfg(not(unix))]
    fn link(_target: &Path, blob: &Path, pointer: &Path) -> io::Result<()> {
        fs::rename(blob, pointer)
    }

    /// Creates the folder that a file is in.
    pub(crate) fn make_folder_of(path: &Path) -> Result<(), HubError> {
        let folder = path.parent().unwrap_or(path);
        fs::create_dir_all(folder).map_err(|error| failed(folder, error))
    }

    /// Removes a file, if it exists.
    pub(crate) fn remove(path: &Path) -> Result<(), HubError> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(failed(path, error)),
            _ => Ok(()),
        }
    }

    /// The error of a file of the cache.
    pub(crate) fn failed(path: &Path, source: io::Error) -> HubError {
        HubError::Cache {
            path: path.to_path_buf(),
            source,
        }
    }
}

#[cfg(feature = "network")]
pub(crate) use writing::{failed, make_folder_of, remove};
