//! Requests to a hub.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use ureq::http::{HeaderMap, Response, header};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body};
use url::Url;

use crate::error::HubError;
use crate::reference::{Reference, is_commit, is_name};
use crate::settings::Settings;

/// Maximum number of redirects of a request.
const MAXIMUM_REDIRECTS: usize = 10;

/// Maximum length of a message of the hub in an error.
const MAXIMUM_MESSAGE: usize = 300;

/// Longest pause that the hub can ask for.
const MAXIMUM_PAUSE: Duration = Duration::from_secs(60);

/// Why a request failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A later attempt may succeed: the connection broke, or the hub is busy.
    Passing {
        reason: String,
        /// The pause that the hub asks for.
        pause: Option<Duration>,
        /// What to report if no attempt succeeds, other than that there is no connection.
        status: Option<HubError>,
    },
    /// No later attempt would succeed.
    Final(HubError),
}

impl From<HubError> for Failure {
    fn from(error: HubError) -> Self {
        Self::Final(error)
    }
}

impl Failure {
    /// A connection that broke.
    pub(crate) fn broken(reason: impl ToString) -> Self {
        Self::Passing {
            reason: reason.to_string(),
            pause: None,
            status: None,
        }
    }
}

/// What a hub declares about a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Declared {
    /// The commit that the revision means.
    pub commit: String,
    /// The name of the version, which is its hash.
    pub etag: String,
    /// The length.
    pub size: Option<u64>,
}

/// A client of a hub.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    agent: Agent,
    settings: Settings,
    endpoint: Url,
}

/// The method of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    Head,
    Get,
}

impl Client {
    /// Prepares requests; none is sent yet.
    pub(crate) fn new(settings: &Settings) -> Result<Self, HubError> {
        let endpoint = Url::parse(&settings.endpoint).ok();
        let endpoint = endpoint.filter(|url| !url.cannot_be_a_base());
        let endpoint = endpoint.ok_or_else(|| HubError::Setting {
            name: "HF_ENDPOINT",
            value: settings.endpoint.clone(),
            reason: "it is not an address",
        })?;
        let mut config = Agent::config_builder()
            .user_agent(concat!("gradway/", env!("CARGO_PKG_VERSION")))
            // A compressed body has another length than the file.
            .accept_encoding("identity")
            .http_status_as_error(false)
            // Redirects are followed here: the token is for the hub alone.
            .max_redirects(0)
            .timeout_connect(Some(settings.answer_timeout))
            .timeout_per_read(Some(settings.download_timeout));
        if !settings.proxies {
            config = config.proxy(None);
        }
        if let Some(path) = &settings.certificates {
            let tls = TlsConfig::builder().root_certs(certificates(path)?);
            config = config.tls_config(tls.build());
        }
        Ok(Self {
            agent: config.build().into(),
            settings: settings.clone(),
            endpoint,
        })
    }

    /// The address of a repository, as people open it.
    pub(crate) fn address(&self, wanted: &Reference) -> String {
        format!("{}/{}", self.settings.endpoint, wanted.repository())
    }

    /// An address below the hub's.
    fn url(&self, parts: &[&str]) -> Url {
        let mut url = self.endpoint.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(parts);
        }
        url
    }

    /// The address of a file. A `/` of a revision is written as `%2F`, those of a file stay.
    fn url_of(&self, wanted: &Reference, file: &str, revision: &str) -> Url {
        let mut parts: Vec<&str> = wanted.repository().split('/').collect();
        parts.extend(["resolve", revision]);
        parts.extend(file.split('/'));
        self.url(&parts)
    }

    /// Asks what a file is at a revision.
    pub(crate) fn declared(&self, wanted: &Reference, file: &str) -> Result<Declared, Failure> {
        let url = self.url_of(wanted, file, wanted.revision());
        let (url, answer) = self.send(Method::Head, url, 0)?;
        let status = answer.status().as_u16();
        if !(200..400).contains(&status) {
            return Err(self.refusal(wanted, file, &url, &answer));
        }
        let headers = answer.headers();
        let commit = text(headers, "x-repo-commit").filter(|commit| is_commit(commit));
        let commit = commit.ok_or_else(|| {
            strange(
                &url,
                "the header `x-repo-commit` with the commit is missing",
            )
        })?;
        let etag = text(headers, "x-linked-etag").or_else(|| text(headers, "etag"));
        let etag = etag.map(|etag| etag.trim_start_matches("W/").trim_matches('"').to_string());
        let etag = etag.filter(|etag| is_name(etag) && !etag.starts_with('.'));
        let etag = etag.ok_or_else(|| {
            strange(
                &url,
                "the header `etag` with the version of the file is missing",
            )
        })?;
        // The length of a redirect is that of its own body.
        let length = || text(headers, "content-length").filter(|_| status < 300);
        let size = text(headers, "x-linked-size").or_else(length);
        Ok(Declared {
            commit,
            etag,
            size: size.and_then(|size| size.parse().ok()),
        })
    }

    /// Asks which files a repository has at a revision; also returns the commit that the revision means.
    pub(crate) fn files(&self, wanted: &Reference) -> Result<(String, Vec<String>), Failure> {
        let mut parts = vec!["api", "models"];
        parts.extend(wanted.repository().split('/'));
        parts.extend(["revision", wanted.revision()]);
        let (url, mut answer) = self.send(Method::Get, self.url(&parts), 0)?;
        if answer.status().as_u16() != 200 {
            return Err(self.refusal(wanted, "", &url, &answer));
        }
        let body = answer.body_mut().read_to_vec().map_err(Failure::broken)?;
        let value: Value = serde_json::from_slice(&body).unwrap_or_default();
        let commit = value["sha"].as_str().filter(|commit| is_commit(commit));
        let files = value["siblings"].as_array().map(|files| {
            let names = files.iter().filter_map(|file| file["rfilename"].as_str());
            names.map(String::from).collect()
        });
        match (commit, files) {
            (Some(commit), Some(files)) => Ok((commit.to_string(), files)),
            _ => Err(strange(&url, "its list of files cannot be read").into()),
        }
    }

    /// Requests the bytes of a file at a commit, from `start` on.
    pub(crate) fn bytes(
        &self,
        wanted: &Reference,
        file: &str,
        commit: &str,
        start: u64,
    ) -> Result<Response<Body>, Failure> {
        let (url, answer) = self.send(Method::Get, self.url_of(wanted, file, commit), start)?;
        match answer.status().as_u16() {
            200 | 206 | 416 => Ok(answer),
            _ => Err(self.refusal(wanted, file, &url, &answer)),
        }
    }

    /// Sends a request and follows redirects. What the hub declares of a file is in its own answer, so a redirect of
    /// `HEAD` to another host is not followed.
    fn send(
        &self,
        method: Method,
        mut url: Url,
        start: u64,
    ) -> Result<(Url, Response<Body>), Failure> {
        for _ in 0..=MAXIMUM_REDIRECTS {
            let mut request = match method {
                Method::Head => self.agent.head(url.as_str()),
                Method::Get => self.agent.get(url.as_str()),
            };
            if let Some(token) = &self.settings.token
                && url.origin() == self.endpoint.origin()
            {
                request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
            }
            if start > 0 {
                request = request.header(header::RANGE, format!("bytes={start}-"));
            }
            let timeout = Some(self.settings.answer_timeout);
            let request = request.config().timeout_recv_response(timeout).build();
            let unreachable =
                |error: ureq::Error| Failure::broken(format!("{}: {error}", shown(&url)));
            let answer = request.call().map_err(unreachable)?;
            let next = match answer.status().as_u16() {
                301 | 302 | 303 | 307 | 308 => text(answer.headers(), "location"),
                _ => None,
            };
            let Some(next) = next else {
                return Ok((url, answer));
            };
            let next = url
                .join(&next)
                .map_err(|error| strange(&url, format!("it redirects to `{next}`: {error}")))?;
            if method == Method::Head && next.origin() != self.endpoint.origin() {
                return Ok((url, answer));
            }
            if url.scheme() == "https" && next.scheme() != "https" {
                let reason = format!("it redirects to {}, which is not encrypted", shown(&next));
                return Err(strange(&url, reason).into());
            }
            url = next;
        }
        let reason = format!("it redirects more than {MAXIMUM_REDIRECTS} times");
        Err(strange(&url, reason).into())
    }

    /// The error of an answer that is not a success.
    fn refusal(
        &self,
        wanted: &Reference,
        file: &str,
        url: &Url,
        answer: &Response<Body>,
    ) -> Failure {
        let status = answer.status().as_u16();
        let headers = answer.headers();
        let code = text(headers, "x-error-code").unwrap_or_default();
        let message = text(headers, "x-error-message").unwrap_or_default();
        let pause = text(headers, "retry-after").and_then(|seconds| seconds.parse().ok());
        let pause = pause.map(|seconds| Duration::from_secs(seconds).min(MAXIMUM_PAUSE));
        let address = self.address(wanted);
        let has_token = self.settings.token.is_some();
        let token_file = self.settings.token_file.clone();
        let endpoint = self.settings.endpoint.clone();
        let is_of_hub = url.origin() == self.endpoint.origin();
        let error = match (status, &*code) {
            (401 | 403, "GatedRepo") => HubError::Gated {
                address,
                endpoint,
                token_file,
                has_token,
                status,
            },
            (401 | 404, "RepoNotFound") => HubError::NoRepository {
                address,
                token_file,
                has_token,
            },
            (404, "RevisionNotFound") => HubError::NoRevision {
                address,
                revision: wanted.revision().to_string(),
            },
            (404, _) if is_of_hub && code != "EntryNotFound" && file.is_empty() => {
                HubError::NoRepository {
                    address,
                    token_file,
                    has_token,
                }
            }
            (404, _) if is_of_hub => HubError::NoFile {
                address,
                file: file.to_string(),
                revision: wanted.revision().to_string(),
            },
            (401 | 403, _) if is_of_hub => HubError::Denied {
                address,
                endpoint,
                token_file,
                has_token,
                status,
                message: shortened(&message),
            },
            _ => HubError::Status {
                address: shown(url),
                status,
                message: shortened(&message),
            },
        };
        match status {
            408 | 429 | 500 | 502 | 503 | 504 => Failure::Passing {
                reason: error.to_string(),
                pause,
                status: Some(error),
            },
            _ => Failure::Final(error),
        }
    }
}

/// The certificates of a file in PEM form.
fn certificates(path: &Path) -> Result<RootCerts, HubError> {
    let wrong = |reason| HubError::Setting {
        name: "SSL_CERT_FILE",
        value: path.display().to_string(),
        reason,
    };
    let bytes = fs::read(path).map_err(|_| wrong("the file cannot be read"))?;
    let found = parse_pem(&bytes).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    });
    let found: Vec<_> = found.collect();
    match found.is_empty() {
        true => Err(wrong("the file holds no certificate")),
        false => Ok(RootCerts::Specific(Arc::new(found))),
    }
}

/// A header as text.
pub(crate) fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(String::from)
}

/// An address without its query, which is a signature and no news to a reader.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.to_string()
}

fn strange(url: &Url, reason: impl Into<String>) -> HubError {
    HubError::NotAHub {
        address: shown(url),
        reason: reason.into(),
    }
}

/// The first line of a message, of bounded length.
fn shortened(message: &str) -> String {
    let line = message.trim().lines().next().unwrap_or_default();
    line.chars().take(MAXIMUM_MESSAGE).collect()
}
