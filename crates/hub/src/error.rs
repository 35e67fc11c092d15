//! Errors of fetching a file.

use std::io;
use std::path::PathBuf;

use crate::reference::{PREFIX, Reference, ReferenceError};

/// The error of fetching a file of a hub.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// A reference that is malformed.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// A variable of the environment without a valid value.
    #[error("{name} = \"{value}\": {reason}")]
    Setting {
        /// The variable.
        name: &'static str,
        /// Its value.
        value: String,
        /// The reason.
        reason: &'static str,
    },
    /// The file is not in the cache, and nothing is downloaded.
    #[error("`{wanted}` is not in the cache {}, and {reason}", cache.display())]
    NotCached {
        /// The file.
        wanted: Reference,
        /// The folder of the cache.
        cache: PathBuf,
        /// Why nothing is downloaded.
        reason: &'static str,
    },
    /// The hub does not answer.
    #[error("cannot fetch `{wanted}`, which is not in the cache: {reason}")]
    Unreachable {
        /// The file.
        wanted: Reference,
        /// The address and what happened.
        reason: String,
    },
    /// The terms of a repository are not accepted, or it is not known by whom.
    #[error("{address} is gated, and the hub refuses {} (status {status})", whom(*has_token))]
    Gated {
        /// The address of the repository.
        address: String,
        /// The address of the hub.
        endpoint: String,
        /// The file of the token.
        token_file: PathBuf,
        /// Whether a token was sent.
        has_token: bool,
        /// The status of the answer.
        status: u16,
    },
    /// The hub refuses access for another reason.
    #[error("the hub refuses {} access to {address} (status {status}){}", whom(*has_token), said(message))]
    Denied {
        /// The address of the repository.
        address: String,
        /// The address of the hub.
        endpoint: String,
        /// The file of the token.
        token_file: PathBuf,
        /// Whether a token was sent.
        has_token: bool,
        /// The status of the answer.
        status: u16,
        /// What the hub says.
        message: String,
    },
    /// There is no such repository, or it is private.
    #[error("there is no repository {address}, or it is private")]
    NoRepository {
        /// The address of the repository.
        address: String,
        /// The file of the token.
        token_file: PathBuf,
        /// Whether a token was sent.
        has_token: bool,
    },
    /// The repository has no such revision.
    #[error("{address} has no revision `{revision}`")]
    NoRevision {
        /// The address of the repository.
        address: String,
        /// The revision.
        revision: String,
    },
    /// The repository has no such file.
    #[error("{address} has no file `{file}` at revision `{revision}`")]
    NoFile {
        /// The address of the repository.
        address: String,
        /// The file.
        file: String,
        /// The revision.
        revision: String,
    },
    /// The reference names no file, and the repository does not tell which one it means.
    #[error("`{wanted}` names no file, and {reason}")]
    NoChoice {
        /// The reference.
        wanted: Reference,
        /// The reason, with the files.
        reason: String,
        /// A file of the repository that can be named.
        example: Option<String>,
    },
    /// The hub answers with an error.
    #[error("{address} answers with status {status}{}", said(message))]
    Status {
        /// The address of the request.
        address: String,
        /// The status.
        status: u16,
        /// What the hub says.
        message: String,
    },
    /// The answer is not one of a hub.
    #[error("{address} does not answer as a hub does: {reason}")]
    NotAHub {
        /// The address of the request.
        address: String,
        /// What is missing or wrong.
        reason: String,
    },
    /// The connection broke again and again.
    #[error("the download of `{wanted}` broke after {received} of {} bytes: {reason}", known(*size))]
    Broken {
        /// The file.
        wanted: Reference,
        /// Bytes that have arrived.
        received: u64,
        /// Bytes of the whole file, if they are known.
        size: Option<u64>,
        /// What happened last.
        reason: String,
    },
    /// The file has another length than the hub declares.
    #[error("`{wanted}` has {found} bytes, but the hub declares {expected}; nothing of it is used")]
    WrongLength {
        /// The file.
        wanted: Reference,
        /// The length that the hub declares.
        expected: u64,
        /// The length of what it sends.
        found: u64,
    },
    /// The file has another hash than the hub declares.
    #[error(
        "`{wanted}` has the hash {found}, but the hub declares {expected}; nothing of it is used"
    )]
    WrongHash {
        /// The file.
        wanted: Reference,
        /// The hash that the hub declares.
        expected: String,
        /// The hash of what it sends.
        found: String,
    },
    /// There is too little space for the file.
    #[error("`{wanted}` needs {needed} bytes in {}, which has no space for them{}", path.display(), free.map(|free| format!(": {free} bytes are free")).unwrap_or_default())]
    NoSpace {
        /// The file.
        wanted: Reference,
        /// The folder.
        path: PathBuf,
        /// Bytes that are still to be written.
        needed: u64,
        /// Free bytes, if they are known.
        free: Option<u64>,
    },
    /// A file of the cache cannot be read or written.
    #[error("the cache cannot be written: {}: {source}", path.display())]
    Cache {
        /// The file or folder.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The observer stopped the download; what has arrived is kept.
    #[error("the download of `{wanted}` was interrupted")]
    Interrupted {
        /// The file.
        wanted: Reference,
    },
}

fn whom(has_token: bool) -> &'static str {
    match has_token {
        true => "the account of the token",
        false => "a request without a token",
    }
}

fn said(message: &str) -> String {
    match message {
        "" => String::new(),
        message => format!(": {message}"),
    }
}

fn known(size: Option<u64>) -> String {
    size.map_or_else(
        || "an unknown number of".to_string(),
        |size| size.to_string(),
    )
}

impl HubError {
    /// Returns a suggestion to fix the error, if there is one.
    pub fn hint(&self) -> Option<String> {
        let token = |endpoint: &str, file: &PathBuf| {
            format!(
                "set HF_TOKEN to a token of {endpoint}/settings/tokens, or store it in {}",
                file.display()
            )
        };
        let hint = match self {
            Self::NotCached { wanted, .. } => format!(
                "fetch it where there is a connection (`gradway weights fetch {wanted}`, or Python's \
                 `hf download`) and copy the cache, or set a weight file"
            ),
            Self::Unreachable { .. } => {
                "check the connection, HTTPS_PROXY and HF_ENDPOINT, and try again".to_string()
            }
            Self::Gated {
                address,
                endpoint,
                token_file,
                has_token,
                ..
            } => match has_token {
                true => format!(
                    "accept the terms at {address} with the account of the token, and make sure that the token may read \
                     gated repositories"
                ),
                false => format!(
                    "accept the terms at {address} with your account; then {}",
                    token(endpoint, token_file)
                ),
            },
            Self::Denied {
                endpoint,
                token_file,
                has_token,
                ..
            } => match has_token {
                true => format!(
                    "the token may be wrong or expired: {}, or unset it for a public repository",
                    token(endpoint, token_file)
                ),
                false => token(endpoint, token_file),
            },
            Self::NoRepository {
                has_token: true, ..
            } => {
                "check the name; a private repository needs a token of an account that may read it"
                    .to_string()
            }
            Self::NoRepository { token_file, .. } => format!(
                "check the name; for a private repository, set HF_TOKEN or store a token in {}",
                token_file.display()
            ),
            Self::NoRevision { address, .. } => format!("{address} lists its branches and tags"),
            Self::NoFile {
                address, revision, ..
            } => format!("{address}/tree/{revision} lists the files"),
            Self::NoChoice {
                wanted,
                example: Some(example),
                ..
            } => format!("name one: {PREFIX}{}/{example}", wanted.repository()),
            Self::Status { .. } => "try again later".to_string(),
            Self::NotAHub { .. } => {
                "check HF_ENDPOINT, and whether a proxy or a login page answers in place of the hub"
                    .to_string()
            }
            Self::Broken { .. } | Self::Interrupted { .. } => {
                "try again: what has arrived is kept, and the rest is requested".to_string()
            }
            Self::WrongLength { .. } | Self::WrongHash { .. } => {
                "try again; if it fails again, a proxy or a mirror changes the file".to_string()
            }
            Self::NoSpace { .. } | Self::Cache { .. } => {
                "set HF_HOME to a folder that can be written and has space".to_string()
            }
            Self::Reference(_) | Self::Setting { .. } | Self::NoChoice { .. } => return None,
        };
        Some(hint)
    }
}
