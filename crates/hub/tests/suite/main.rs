//! The hub's client against a hub on the loopback interface: cold, warm, offline, and everything that breaks.

#[path = "../common/mod.rs"]
mod common;

mod access;
mod breakage;
mod cache;
mod fetching;

use std::path::Path;
use std::time::Duration;

use gradway_hub::{Fetched, Hub, HubError, Progress, Reference, Settings};

use common::Server;

/// The content of the weight file of the tests: not a multiple of anything.
pub fn weights() -> Vec<u8> {
    (0..100_003_u32)
        .map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect()
}

/// A server with one weight file.
pub fn server() -> Server {
    Server::start(&[("model.safetensors", &weights())])
}

/// Settings that use this server and a home of their own, and wait for nothing longer than a test can bear.
pub fn settings(server: &Server, home: &Path) -> Settings {
    let variables = [
        ("HF_HOME", home.display().to_string()),
        ("HF_ENDPOINT", server.endpoint()),
    ];
    let found = Settings::from_variables(|name| {
        let found = variables.iter().find(|(variable, _)| *variable == name);
        found.map(|(_, value)| value.clone())
    });
    Settings {
        pause: Duration::from_millis(5),
        proxies: false,
        ..found.expect("settings")
    }
}

/// A hub on a server.
pub fn hub(server: &Server, home: &Path) -> Hub {
    Hub::new(settings(server, home))
}

/// The same, without a connection.
pub fn offline(server: &Server, home: &Path) -> Hub {
    Hub::new(Settings {
        offline: true,
        ..settings(server, home)
    })
}

/// The reference that a text stands for.
pub fn reference(text: &str) -> Reference {
    text.parse().expect("a reference")
}

/// The weight file, at the main revision.
pub fn wanted() -> Reference {
    reference(&format!("hf:{}/model.safetensors", common::REPOSITORY))
}

/// Fetches a file, and returns what was reported besides, in words.
pub fn fetch(hub: &Hub, wanted: &Reference) -> (Result<Fetched, HubError>, Vec<String>) {
    let mut events = Vec::new();
    let fetched = hub.fetch(wanted, &mut |progress: Progress<'_>| {
        if !matches!(progress, Progress::Received { .. }) {
            events.push(format!("{progress:?}"));
        }
    });
    (fetched, events)
}

/// Every file below a folder with its content, links followed; without locks.
pub fn files_below(folder: &Path) -> Vec<(String, Vec<u8>)> {
    fn walk(root: &Path, folder: &Path, found: &mut Vec<(String, Vec<u8>)>) {
        let Ok(entries) = std::fs::read_dir(folder) else {
            return;
        };
        for path in entries.map(|entry| entry.expect("an entry").path()) {
            let name = path
                .strip_prefix(root)
                .expect("below")
                .display()
                .to_string();
            match path.is_dir() {
                true if name.ends_with(".locks") => {}
                true => walk(root, &path, found),
                false => found.push((name, std::fs::read(&path).expect("a file"))),
            }
        }
    }
    let mut found = Vec::new();
    walk(folder, folder, &mut found);
    found.sort();
    found
}

/// Asserts that no snapshot of a cache has a file.
pub fn assert_nothing_is_used(home: &Path) {
    let files = files_below(home);
    let used = files
        .iter()
        .filter(|(name, _)| name.contains("snapshots") || !name.contains("incomplete"));
    let used: Vec<&String> = used.map(|(name, _)| name).collect();
    assert!(used.is_empty(), "{used:?}");
}
