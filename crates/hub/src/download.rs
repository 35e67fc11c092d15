//! A download into the cache.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::cache::{Cache, failed, make_folder_of, remove};
use crate::choice::choose;
use crate::client::{Client, Declared, Failure, text};
use crate::error::HubError;
use crate::fetched::{Fetched, cached};
use crate::progress::{Observer, Progress};
use crate::reference::{Reference, is_commit};
use crate::settings::Settings;
use crate::verify::hash_like;

/// Bytes that are read at a time.
const PART: usize = 1 << 18;

/// Time between two questions to the observer whether to stop, during a pause.
const PAUSE_PART: Duration = Duration::from_millis(50);

/// What is fetched, and with what.
pub(crate) struct Download<'a> {
    settings: &'a Settings,
    cache: &'a Cache,
    client: Client,
    wanted: &'a Reference,
}

/// A file that the hub has declared.
struct Target {
    /// The reference with the file and the revision that were asked for.
    wanted: Reference,
    file: String,
    declared: Declared,
}

impl Target {
    fn pinned(&self) -> Reference {
        self.wanted
            .with_file(&self.file)
            .with_revision(&self.declared.commit)
    }
}

impl<'a> Download<'a> {
    pub(crate) fn new(
        settings: &'a Settings,
        cache: &'a Cache,
        wanted: &'a Reference,
    ) -> Result<Self, HubError> {
        Ok(Self {
            client: Client::new(settings)?,
            settings,
            cache,
            wanted,
        })
    }

    /// Asks the hub what the file is, and downloads it if the cache does not have it.
    pub(crate) fn run(&self, observer: &mut dyn Observer) -> Result<Fetched, HubError> {
        let target = match self.ask(observer)? {
            Answer::Target(target) => target,
            Answer::Cached(fetched) => return Ok(fetched),
        };
        let Declared { commit, etag, size } = &target.declared;
        let (repository, revision) = (self.wanted.repository(), self.wanted.revision());
        let pointer = self.cache.pointer(repository, commit, &target.file);
        let fetched = |path| Fetched {
            path,
            pinned: target.pinned(),
        };
        let found = || {
            is_whole(&pointer, *size).then(|| {
                // A cache that cannot be written is read all the same.
                let _ = self.note(revision, commit);
                fetched(pointer.clone())
            })
        };
        if let Some(fetched) = found() {
            return Ok(fetched);
        }
        let mut has_waited = false;
        let _lock = self.cache.lock(repository, etag, || {
            if !has_waited {
                observer.progress(Progress::Waiting);
                has_waited = true;
            }
            self.go_on(observer)
        })?;
        // Another process may have fetched it meanwhile.
        if let Some(fetched) = found() {
            return Ok(fetched);
        }
        let blob = self.cache.blob(repository, etag);
        if !is_whole(&blob, *size) {
            let incomplete = self.cache.incomplete(repository, etag);
            make_folder_of(&incomplete)?;
            self.complete(&target, &incomplete, observer)?;
            fs::rename(&incomplete, &blob).map_err(|error| failed(&blob, error))?;
            observer.progress(Progress::Finished);
        }
        let pointer = self.cache.publish(repository, etag, commit, &target.file)?;
        self.note(revision, commit)?;
        Ok(fetched(pointer))
    }

    fn note(&self, revision: &str, commit: &str) -> Result<(), HubError> {
        match is_commit(revision) {
            true => Ok(()),
            false => self
                .cache
                .note_commit(self.wanted.repository(), revision, commit),
        }
    }

    /// Asks the hub what the file is. If it does not answer, the file of the cache is used, if there is one.
    fn ask(&self, observer: &mut dyn Observer) -> Result<Answer, HubError> {
        let mut left = self.settings.attempts;
        loop {
            let (reason, pause, error) = match self.target() {
                Ok(target) => return Ok(Answer::Target(target)),
                Err(Failure::Final(error)) if is_about_access(&error) => {
                    (error.to_string(), None, Some(error))
                }
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Passing {
                    reason,
                    pause,
                    status,
                }) => {
                    left = left.saturating_sub(1);
                    let error = status.unwrap_or_else(|| HubError::Unreachable {
                        wanted: self.wanted.clone(),
                        reason: reason.clone(),
                    });
                    (reason, pause, (left == 0).then_some(error))
                }
            };
            if let Some(fetched) = cached(self.cache, self.wanted)? {
                observer.progress(Progress::Stale { reason: &reason });
                return Ok(Answer::Cached(fetched));
            }
            match error {
                Some(error) => return Err(error),
                None => self.pause(&reason, pause, observer)?,
            }
        }
    }

    /// What the hub declares of the file that is wanted.
    fn target(&self) -> Result<Target, Failure> {
        let (wanted, file) = match self.wanted.file() {
            Some(file) => (self.wanted.clone(), file.to_string()),
            None => {
                let (commit, files) = self.client.files(self.wanted)?;
                let file = choose(&files).map_err(|undecided| HubError::NoChoice {
                    wanted: self.wanted.clone(),
                    reason: undecided.reason,
                    example: undecided.example,
                })?;
                (self.wanted.with_revision(&commit), file.to_string())
            }
        };
        let declared = self.client.declared(&wanted, &file)?;
        Ok(Target {
            wanted,
            file,
            declared,
        })
    }

    /// Downloads what is missing of a file, and verifies the whole.
    fn complete(
        &self,
        target: &Target,
        incomplete: &Path,
        observer: &mut dyn Observer,
    ) -> Result<(), HubError> {
        let mut is_resumed = length(incomplete) > 0;
        loop {
            self.receive(target, incomplete, observer)?;
            match self.verify(target, incomplete) {
                Err(HubError::WrongHash { .. }) if is_resumed => {
                    // The part from before may be what is wrong.
                    is_resumed = false;
                    remove(incomplete)?;
                    self.pause(
                        "the part from an earlier attempt was damaged",
                        None,
                        observer,
                    )?;
                }
                Err(error @ HubError::WrongHash { .. }) => {
                    remove(incomplete)?;
                    return Err(error);
                }
                verified => return verified,
            }
        }
    }

    /// Downloads what is missing of a file, in as many attempts as it takes while bytes arrive.
    fn receive(
        &self,
        target: &Target,
        incomplete: &Path,
        observer: &mut dyn Observer,
    ) -> Result<(), HubError> {
        let attempts = self.settings.attempts;
        let (mut left, mut most) = (attempts, length(incomplete));
        loop {
            let (reason, pause, status) = match self.attempt(target, incomplete, observer) {
                Ok(()) => return Ok(()),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Passing {
                    reason,
                    pause,
                    status,
                }) => (reason, pause, status),
            };
            let received = length(incomplete);
            left = if received > most {
                attempts
            } else {
                left.saturating_sub(1)
            };
            most = most.max(received);
            if left == 0 {
                return Err(status.unwrap_or_else(|| HubError::Broken {
                    wanted: target.pinned(),
                    received,
                    size: target.declared.size,
                    reason,
                }));
            }
            self.pause(&reason, pause, observer)?;
        }
    }

    /// One request for what is missing of a file.
    fn attempt(
        &self,
        target: &Target,
        incomplete: &Path,
        observer: &mut dyn Observer,
    ) -> Result<(), Failure> {
        let Declared { commit, size, .. } = &target.declared;
        let mut done = length(incomplete);
        if size.is_some_and(|size| done > size) {
            remove(incomplete)?;
            done = 0;
        }
        if done > 0 && *size == Some(done) {
            return Ok(());
        }
        self.require_space(target, incomplete, done)?;
        let mut answer = self
            .client
            .bytes(&target.wanted, &target.file, commit, done)?;
        let (status, headers) = (answer.status().as_u16(), answer.headers());
        let range = text(headers, "content-range").unwrap_or_default();
        let is_rest = status == 206 && range.starts_with(&format!("bytes {done}-"));
        if status == 416 || (status == 206 && !is_rest) {
            remove(incomplete)?;
            return Err(Failure::broken(format!(
                "the hub sends another range than bytes {done}-: `{range}`"
            )));
        }
        if !is_rest {
            // The hub sends everything, whether it was asked for the rest or not.
            done = 0;
        }
        let total = match is_rest {
            true => range.rsplit_once('/').map(|(_, total)| total.to_string()),
            false => text(headers, "content-length"),
        };
        let total: Option<u64> = total.and_then(|total| total.parse().ok());
        let wrong_length = |found, expected| HubError::WrongLength {
            wanted: target.pinned(),
            expected,
            found,
        };
        if let (Some(total), Some(size)) = (total, *size)
            && total != size
        {
            return Err(wrong_length(total, size).into());
        }
        let size = size.or(total);
        let file = File::options()
            .create(true)
            .write(true)
            .append(is_rest)
            .truncate(!is_rest)
            .open(incomplete);
        let mut file = file.map_err(|error| failed(incomplete, error))?;
        observer.progress(Progress::Started {
            what: &target.pinned().to_string(),
            done,
            size,
        });
        let mut reader = answer.body_mut().as_reader();
        let mut part = vec![0; PART];
        loop {
            self.go_on(observer)?;
            let count = match reader.read(&mut part) {
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(Failure::broken(error)),
            };
            if count == 0 {
                break;
            }
            done += count as u64;
            if let Some(size) = size
                && done > size
            {
                drop(file);
                remove(incomplete)?;
                return Err(wrong_length(done, size).into());
            }
            let written = file.write_all(&part[..count]);
            written.map_err(|error| self.not_written(target, incomplete, size, error))?;
            observer.progress(Progress::Received { done });
        }
        if size.is_some_and(|size| done < size) {
            return Err(Failure::broken("the connection was closed"));
        }
        file.sync_all()
            .map_err(|error| self.not_written(target, incomplete, size, error))?;
        Ok(())
    }

    fn not_written(
        &self,
        target: &Target,
        path: &Path,
        size: Option<u64>,
        error: io::Error,
    ) -> HubError {
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                HubError::NoSpace {
                    wanted: target.pinned(),
                    path: path.parent().unwrap_or(path).to_path_buf(),
                    needed: size.unwrap_or_default().saturating_sub(length(path)),
                    free: None,
                }
            }
            _ => failed(path, error),
        }
    }

    /// Refuses a download that does not fit in the space that is free, before anything of it is requested.
    fn require_space(&self, target: &Target, incomplete: &Path, done: u64) -> Result<(), HubError> {
        let folder = incomplete.parent().unwrap_or(incomplete);
        let needed = target.declared.size.map_or(0, |size| size - done);
        match free_space(folder) {
            Some(free) if free < needed => Err(HubError::NoSpace {
                wanted: target.pinned(),
                path: folder.to_path_buf(),
                needed,
                free: Some(free),
            }),
            _ => Ok(()),
        }
    }

    /// Compares the hash of a file with the one that the hub declares.
    fn verify(&self, target: &Target, path: &Path) -> Result<(), HubError> {
        let expected = &target.declared.etag;
        match hash_like(expected, path).map_err(|error| failed(path, error))? {
            Some(found) if found != *expected => Err(HubError::WrongHash {
                wanted: target.pinned(),
                expected: expected.clone(),
                found,
            }),
            _ => Ok(()),
        }
    }

    fn pause(
        &self,
        reason: &str,
        pause: Option<Duration>,
        observer: &mut dyn Observer,
    ) -> Result<(), HubError> {
        let pause = pause.unwrap_or(self.settings.pause);
        observer.progress(Progress::Retrying { reason, pause });
        let end = Instant::now() + pause;
        while let Some(rest) = end
            .checked_duration_since(Instant::now())
            .filter(|rest| !rest.is_zero())
        {
            self.go_on(observer)?;
            thread::sleep(rest.min(PAUSE_PART));
        }
        Ok(())
    }

    fn go_on(&self, observer: &mut dyn Observer) -> Result<(), HubError> {
        match observer.stops() {
            true => Err(HubError::Interrupted {
                wanted: self.wanted.clone(),
            }),
            false => Ok(()),
        }
    }
}

/// What came of asking the hub.
enum Answer {
    Target(Target),
    /// The hub did not answer as it should.
    Cached(Fetched),
}

/// Whether an error is about access to the hub. The file may then be in the cache from a time when it had access. An error
/// about the repository's content says that the reference is wrong.
fn is_about_access(error: &HubError) -> bool {
    matches!(
        error,
        HubError::Gated { .. }
            | HubError::Denied { .. }
            | HubError::NoRepository { .. }
            | HubError::NotAHub { .. }
            | HubError::Status { .. }
    )
}

/// Whether a file is there with the length that is declared.
fn is_whole(path: &Path, size: Option<u64>) -> bool {
    let found = fs::metadata(path).ok().filter(fs::Metadata::is_file);
    found.is_some_and(|file| size.is_none_or(|size| file.len() == size))
}

/// The length of a file, 0 without one.
fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |file| file.len())
}

/// Bytes that are free in the file system of a folder.
#[cfg(unix)]
fn free_space(folder: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(folder).ok()?;
    found.f_bavail.checked_mul(found.f_frsize)
}

#[cfg(not(unix))]
fn free_space(_: &Path) -> Option<u64> {
    None
}
