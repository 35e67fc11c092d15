//! A hub on the loopback interface, which breaks in the ways that networks break.
//!
//! It has the routes of the public hub: `HEAD` and `GET` of `/OWNER/NAME/resolve/REVISION/FILE`, the list of files at
//! `/api/models/OWNER/NAME/revision/REVISION`, and a second address that large files are redirected to.

#![allow(dead_code, reason = "each test file uses a part")]

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use sha2::{Digest, Sha256};

/// The commit that `main` means.
pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// The repository of the tests.
pub const REPOSITORY: &str = "owner/net.v1";

/// A part of the hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// `HEAD` of a file.
    Head,
    /// `GET` of a file, which redirects to the storage.
    Get,
    /// The list of files.
    List,
    /// The second address.
    Storage,
}

/// What goes wrong with the next request of a route.
#[derive(Debug, Clone)]
pub enum Fault {
    /// An error, with headers.
    Status(u16, Vec<(&'static str, String)>),
    /// The connection is closed after this number of bytes of the body.
    BreakAfter(usize),
    /// A byte of the body is another one.
    WrongByte,
    /// The body is this number of bytes longer or shorter, and says so.
    OtherLength(isize),
    /// The whole body, although a part was requested.
    IgnoreRange,
    /// Both.
    IgnoreRangeAndBreakAfter(usize),
    /// Another part than the requested one.
    OtherRange,
    /// A redirect to the same address.
    Loop,
    /// A page that is not one of a hub.
    LoginPage,
    /// Nothing comes any more after this number of bytes of the body.
    StallAfter(usize),
    /// Every byte comes for itself.
    Slow,
}

/// A request that was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub route: Route,
    pub path: String,
    pub range: Option<String>,
    pub authorization: Option<String>,
}

/// A file of the repository.
#[derive(Debug, Clone)]
pub struct Stored {
    pub bytes: Vec<u8>,
    /// Whether it is in the storage, as weights are; otherwise the hub sends it itself.
    pub is_large: bool,
}

#[derive(Debug)]
struct State {
    repository: String,
    files: BTreeMap<String, Stored>,
    commits: BTreeMap<String, String>,
    faults: VecDeque<(Route, Fault)>,
    requests: Vec<Request>,
    /// Where requests for the repository of another name are redirected from.
    old_name: Option<String>,
    storage: SocketAddr,
}

/// A hub that runs as long as the value lives.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Server {
    /// Starts a hub with these large files in [`REPOSITORY`].
    pub fn start(files: &[(&str, &[u8])]) -> Self {
        Self::of(REPOSITORY, files)
    }

    /// Starts a hub with these large files in a repository.
    pub fn of(repository: &str, files: &[(&str, &[u8])]) -> Self {
        let listen = || TcpListener::bind("127.0.0.1:0").expect("a port");
        let (hub, storage) = (listen(), listen());
        let address = hub.local_addr().expect("an address");
        let files = files.iter().map(|(name, bytes)| {
            let file = Stored {
                bytes: bytes.to_vec(),
                is_large: true,
            };
            (name.to_string(), file)
        });
        let state = State {
            repository: repository.to_string(),
            files: files.collect(),
            commits: BTreeMap::from([("main".to_string(), COMMIT.to_string())]),
            faults: VecDeque::new(),
            requests: Vec::new(),
            old_name: None,
            storage: storage.local_addr().expect("an address"),
        };
        let state = Arc::new(Mutex::new(state));
        for (listener, is_storage) in [(hub, false), (storage, true)] {
            let state = Arc::clone(&state);
            thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let state = Arc::clone(&state);
                    thread::spawn(move || serve(&stream, is_storage, &state));
                }
            });
        }
        Self { address, state }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("the state")
    }

    /// The value of `HF_ENDPOINT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Lets the next request of a route go wrong; several faults of a route come one after the other.
    pub fn fail(&self, route: Route, fault: Fault) {
        self.state().faults.push_back((route, fault));
    }

    /// Lets the next request of a route fail with the code that the hub has for a reason.
    pub fn refuse(&self, route: Route, status: u16, code: &'static str) {
        let headers = vec![
            ("X-Error-Code", code.to_string()),
            ("X-Error-Message", format!("{code} says the hub")),
        ];
        self.fail(route, Fault::Status(status, headers));
    }

    /// Adds or replaces a small file, which the hub sends itself.
    pub fn put_small(&self, name: &str, bytes: &[u8]) {
        let file = Stored {
            bytes: bytes.to_vec(),
            is_large: false,
        };
        self.state().files.insert(name.to_string(), file);
    }

    /// Replaces a large file by another version at another commit.
    pub fn replace(&self, name: &str, bytes: &[u8], commit: &str) {
        let mut state = self.state();
        if let Some(file) = state.files.get_mut(name) {
            file.bytes = bytes.to_vec();
        }
        state.commits.insert("main".to_string(), commit.to_string());
    }

    /// Adds a branch or a tag.
    pub fn put_revision(&self, name: &str, commit: &str) {
        self.state()
            .commits
            .insert(name.to_string(), commit.to_string());
    }

    /// Redirects requests for the repository by an old name.
    pub fn rename_from(&self, name: &str) {
        self.state().old_name = Some(name.to_string());
    }

    /// The parts of the hub that were asked since the last time.
    pub fn routes(&self) -> Vec<Route> {
        let requests = self.requests().into_iter();
        requests.map(|request| request.route).collect()
    }

    /// The requests since the last call.
    pub fn requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.state().requests)
    }
}

/// The hash that the hub names a large file by.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// An answer.
struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Answer {
    fn new(status: u16, headers: Vec<(&'static str, String)>) -> Self {
        Self {
            status,
            headers,
            body: Vec::new(),
        }
    }
}

fn serve(stream: &TcpStream, is_storage: bool, state: &Mutex<State>) {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    if reader.read_line(&mut line).is_err() {
        return;
    }
    let mut words = line.split_whitespace();
    let (method, path) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    let (method, path) = (method.to_string(), path.replace("%2F", "/"));
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        match reader.read_line(&mut line) {
            Ok(count) if count > 2 => {}
            _ => break,
        }
        if let Some((name, value)) = line.split_once(':') {
            headers.insert(name.to_ascii_lowercase(), value.trim().to_string());
        }
    }
    let route = match (is_storage, &*method, path.starts_with("/api/")) {
        (true, ..) => Route::Storage,
        (_, _, true) => Route::List,
        (_, "HEAD", _) => Route::Head,
        _ => Route::Get,
    };
    let (answer, fault) = {
        let mut state = state.lock().expect("the state");
        state.requests.push(Request {
            route,
            path: path.clone(),
            range: headers.get("range").cloned(),
            authorization: headers.get("authorization").cloned(),
        });
        let place = state.faults.iter().position(|(of, _)| *of == route);
        let fault = place
            .and_then(|place| state.faults.remove(place))
            .map(|(_, fault)| fault);
        let range = headers.get("range").map(String::as_str);
        (state.answer(route, &path, range, fault.as_ref()), fault)
    };
    let is_head = method == "HEAD";
    send(stream, &answer, is_head, fault.as_ref());
}

impl State {
    fn answer(
        &self,
        route: Route,
        path: &str,
        range: Option<&str>,
        fault: Option<&Fault>,
    ) -> Answer {
        match fault {
            Some(Fault::Status(status, headers)) => return Answer::new(*status, headers.clone()),
            Some(Fault::Loop) => return Answer::new(302, vec![("Location", path.to_string())]),
            Some(Fault::LoginPage) => {
                let mut answer = Answer::new(200, vec![("Content-Type", "text/html".to_string())]);
                answer.body = b"<html>please log in</html>".to_vec();
                return answer;
            }
            _ => {}
        }
        match route {
            Route::List => self.list(path),
            Route::Storage => self.storage(path.trim_start_matches('/'), range, fault),
            Route::Head | Route::Get => self.resolve(path, range, fault),
        }
    }

    fn missing(code: &'static str) -> Answer {
        let headers = vec![
            ("X-Error-Code", code.to_string()),
            ("X-Error-Message", format!("{code} says the hub")),
        ];
        Answer::new(404, headers)
    }

    /// The commit that a revision means.
    fn commit(&self, revision: &str) -> Option<String> {
        let named = self.commits.get(revision).cloned();
        named.or_else(|| {
            self.commits
                .values()
                .find(|commit| *commit == revision)
                .cloned()
        })
    }

    fn list(&self, path: &str) -> Answer {
        let repository = &self.repository;
        let rest = path.strip_prefix(&format!("/api/models/{repository}/revision/"));
        let Some(revision) = rest else {
            return Self::missing("RepoNotFound");
        };
        let Some(commit) = self.commit(revision) else {
            return Self::missing("RevisionNotFound");
        };
        let names = self
            .files
            .keys()
            .map(|name| format!(r#"{{"rfilename":"{name}"}}"#));
        let names = names.collect::<Vec<_>>().join(",");
        let mut answer = Answer::new(200, vec![("Content-Type", "application/json".to_string())]);
        answer.body = format!(r#"{{"id":"{repository}","sha":"{commit}","siblings":[{names}]}}"#)
            .into_bytes();
        answer
    }

    fn resolve(&self, path: &str, range: Option<&str>, fault: Option<&Fault>) -> Answer {
        let repository = &self.repository;
        if let Some(old) = &self.old_name
            && let Some(rest) = path.strip_prefix(&format!("/{old}/"))
        {
            return Answer::new(307, vec![("Location", format!("/{repository}/{rest}"))]);
        }
        let Some(rest) = path.strip_prefix(&format!("/{repository}/resolve/")) else {
            return Self::missing("RepoNotFound");
        };
        // The longest revision, since a revision may contain a `/`.
        let cuts = rest
            .match_indices('/')
            .map(|(at, _)| (&rest[..at], &rest[at + 1..]));
        let found = cuts
            .filter_map(|(revision, file)| Some((self.commit(revision)?, file)))
            .next_back();
        let Some((commit, name)) = found else {
            return Self::missing("RevisionNotFound");
        };
        let commit_header = ("X-Repo-Commit", commit);
        let Some(file) = self.files.get(name) else {
            let mut answer = Self::missing("EntryNotFound");
            answer.headers.push(commit_header);
            return answer;
        };
        if !file.is_large {
            let mut answer = part(&file.bytes, range, fault);
            answer
                .headers
                .push(("ETag", format!("\"{}\"", git_hash(&file.bytes))));
            answer.headers.push(commit_header);
            return answer;
        }
        let headers = vec![
            (
                "Location",
                format!("http://{}/{name}?signature=secret", self.storage),
            ),
            ("X-Linked-Size", file.bytes.len().to_string()),
            ("X-Linked-ETag", format!("\"{}\"", sha256(&file.bytes))),
            ("ETag", "\"of the redirect\"".to_string()),
            commit_header,
        ];
        let mut answer = Answer::new(302, headers);
        answer.body = b"redirected".to_vec();
        answer
    }

    fn storage(&self, path: &str, range: Option<&str>, fault: Option<&Fault>) -> Answer {
        let (name, query) = path.split_once('?').unwrap_or((path, ""));
        match self.files.get(name) {
            Some(file) if query == "signature=secret" => part(&file.bytes, range, fault),
            _ => Answer::new(403, Vec::new()),
        }
    }
}

/// The requested part of a file.
fn part(bytes: &[u8], range: Option<&str>, fault: Option<&Fault>) -> Answer {
    let mut bytes = bytes.to_vec();
    match fault {
        Some(Fault::WrongByte) => {
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
        }
        Some(Fault::OtherLength(more)) => bytes.resize(bytes.len().saturating_add_signed(*more), 7),
        _ => {}
    }
    let total = bytes.len();
    let start = range.and_then(|range| {
        range
            .strip_prefix("bytes=")?
            .strip_suffix('-')?
            .parse::<usize>()
            .ok()
    });
    let start = start.filter(|_| {
        !matches!(
            fault,
            Some(Fault::IgnoreRange | Fault::IgnoreRangeAndBreakAfter(_))
        )
    });
    let Some(start) = start else {
        let mut answer = Answer::new(200, Vec::new());
        answer.body = bytes;
        return answer;
    };
    if start >= total {
        return Answer::new(416, vec![("Content-Range", format!("bytes */{total}"))]);
    }
    let start = match fault {
        Some(Fault::OtherRange) => start - 1,
        _ => start,
    };
    let mut answer = Answer::new(
        206,
        vec![(
            "Content-Range",
            format!("bytes {start}-{}/{total}", total - 1),
        )],
    );
    answer.body = bytes.split_off(start);
    answer
}

/// What git names the content of a file by. Only the tests' own `hello` is served as a small file.
fn git_hash(bytes: &[u8]) -> &'static str {
    assert_eq!(bytes, b"hello");
    "b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0"
}

fn send(mut stream: &TcpStream, answer: &Answer, is_head: bool, fault: Option<&Fault>) {
    let mut head = format!("HTTP/1.1 {} Some\r\nConnection: close\r\n", answer.status);
    head += &format!("Content-Length: {}\r\n", answer.body.len());
    for (name, value) in &answer.headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += "\r\n";
    let body: &[u8] = if is_head { &[] } else { &answer.body };
    // The client may have gone, which is its right.
    let sent = stream
        .write_all(head.as_bytes())
        .and_then(|()| match fault {
            Some(Fault::BreakAfter(count) | Fault::IgnoreRangeAndBreakAfter(count)) => {
                stream.write_all(&body[..*count])
            }
            Some(Fault::StallAfter(count)) => {
                stream.write_all(&body[..*count])?;
                stream.flush()?;
                // Until the client gives up.
                stream.set_read_timeout(Some(Duration::from_secs(30)))?;
                let read = stream.read(&mut [0]);
                read.map(|_| ())
            }
            Some(Fault::Slow) => body.iter().try_for_each(|byte| {
                thread::sleep(Duration::from_millis(2));
                stream.write_all(&[*byte])
            }),
            _ => stream.write_all(body),
        });
    if let Err(error) = sent {
        assert_ne!(error.kind(), ErrorKind::InvalidInput, "{error}");
    }
}
