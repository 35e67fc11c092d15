//! Downloads that break: what has arrived is kept, and nothing that is not whole and verified is used.

use std::time::{Duration, Instant};

use gradway_hub::{Hub, HubError, Observer, Progress, Settings};

use crate::common::{COMMIT, Fault, Route, sha256};
use crate::{
    assert_nothing_is_used, fetch, files_below, hub, offline, server, settings, wanted, weights,
};

/// The bytes that have arrived of a download that broke.
fn incomplete(home: &std::path::Path) -> Vec<u8> {
    let name = format!(
        "hub/models--owner--net.v1/blobs/{}.incomplete",
        sha256(&weights())
    );
    std::fs::read(home.join(name)).expect("a part")
}

#[test]
fn a_connection_that_breaks_is_gone_on_with_where_it_broke() {
    let (server, home) = (server(), tempfile::tempdir().expect("a folder"));
    server.fail(Route::Storage, Fault::BreakAfter(60_000));
    server.fail(Route::Storage, Fault::BreakAfter(1));
    let (fetched, events) = fetch(&hub(&server, home.path()), &wanted());
    assert_eq!(
        std::fs::read(fetched.expect("a file").path).expect("a file"),
        weights()
    );
    let ranges = server
        .requests()
        .into_iter()
        .filter(|request| request.route == Route::Storage);
    let ranges: Vec<_> = ranges.map(|request| request.range).collect();
    let rest = |start: usize| Some(format!("bytes={start}-"));
    assert_eq!(ranges, [None, rest(60_000), rest(60_001)]);
    let starts: Vec<&String> = events
        .iter()
        .filter(|event| event.starts_with("Started"))
        .collect();
    assert!(starts[1].contains("done: 60000"), "{events:?}");
}

#[test]
fn a_download_that_fails_keeps_its_part_for_the_next_one() {
    let (server, home) = (server(), tempfile::tempdir().expect("a folder"));
    let hub = hub(&server, home.path());
    server.fail(Route::Storage, Fault::BreakAfter(40_000));
    for _ in 0..hub.settings().attempts {
        server.fail(Route::Storage, Fault::BreakAfter(0));
    }
    let error = fetch(&hub, &wanted()).0.expect_err("it broke");
    let HubError::Broken { received, size, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!((*received, *size), (40_000, Some(100_003)));
    let text = error.to_string();
    assert!(
        text.contains(&format!("hf:owner/net.v1/model.safetensors@{COMMIT}")),
        "{text}"
    );
    assert!(text.contains("after 40000 of 100003 bytes"), "{text}");
    assert!(
        error.hint().expect("a hint").contains("try again"),
        "{error}"
    );
    assert_nothing_is_used(home.path());
    assert_eq!(incomplete(home.path()), weights()[..40_000]);
    let error = fetch(&offline(&server, home.path()), &wanted())
        .0
        .expect_err("half a file");
    assert!(matches!(error, HubError::NotCached { .. }), "{error}");

    server.requests();
    let fetched = fetch(&hub, &wanted()).0.expect("a file");
    assert_eq!(std::fs::read(fetched.path).expect("a file"), weights());
    let storage = server
        .requests()
        .into_iter()
        .find(|request| request.route == Route::Storage);
    assert_eq!(
        storage.expect("a request").range.as_deref(),
        Some("bytes=40000-")
    );
    let names = files_below(home.path());
    assert!(
        names.iter().all(|(name, _)| !name.contains("incomplete")),
        "{names:?}"
    );
}

#[test]
fn a_part_that_is_complete_needs_no_request_for_bytes() {
    let (server, home) = (server(), tempfile::tempdir().expect("a folder"));
    let blobs = home.path().join("hub/models--owner--net.v1/blobs");
    std::fs::create_dir_all(&blobs).expect("a folder");
    std::fs::write(
        blobs.join(format!("{}.incomplete", sha256(&weights()))),
        weights(),
    )
    .expect("a part");
    fetch(&hub(&server, home.path()), &wanted())
        .0
        .expect("a file");
    assert_eq!(server.routes(), [Route::Head]);
}

#[test]
fn a_wrong_hash_is_refused_and_the_next_download_starts_anew() {
    let (server, home) = (server(), tempfile::tempdir().expect("a folder"));
    let hub = hub(&server, home.path());
    server.fail(Route::Storage, Fault::WrongByte);
    let error = fetch(&hub, &wanted()).0.expect_err("a wrong byte");
    let HubError::WrongHash {
        expected, found, ..
    } = &error
    else {
        panic!("{error}");
    };
    assert_eq!(*expected, sha256(&weights()));
    assert!(error.to_string().contains(found.as_str()), "{error}");
    assert_eq!(files_below(home.path()), []);
    let fetched = fetch(&hub, &wanted()).0.expect("a file");
    assert_eq!(std::fs::read(fetched.path).expect("a file"), weights());
}

#[test]
fn a_wrong_hash_of_a_small_file_is_refused() {
    let (server, home) = (server(), tempfile::tempdir().expect("a folder"));
    server.put_small("config.json", b"hello");
    let hub = hub(&server, home.path());
    let wanted = crate::reference("hf:owner/net.v1/config.json");
    server.fail(Route::Get, Fault::WrongByte);
    let error = fetch(&hub, &wanted).0.expect_err("a wrong byte");
    assert!(matches!(error, HubError::WrongHash { .. }), "{error}");
    assert_eq!(files_below(home.path()), []);
    fetch(&hub, &wanted).0.expect("a file");
}

/// The part from an earlier attempt can be damaged, which only the hash of the whole shows.
#[test]
fn a_damaged_part_is_thrown_away() {
    let (server, home) = (server(), tempfile::tempdir().expect("a folder"));
    let blobs = home.path().join("hub/models--owner--net.v1/blobs");
    std::fs::create_dir_all(&blobs).expect("a folder");
    std::fs::write(
        blobs.join(format!("{}.incomplete", sha256(&weights()))),
        [9; 500],
    )
    .expect("a part");
    let (fetched, events) = fetch(&hub(&server, home.path()), &wanted());
    assert_eq!(
        std::fs::read(fetched.expect("a file").path).expect("a file"),
        weights()
    );
    assert!(
        events
            .iter()
            .any(|event| event.contains("earlier attempt was damaged")),
        "{events:?}"
    );
}

#[test]
fn a_wrong_length_is_refused_before_anything_is_written() {
    let (server, home) = (server(), tempfile::tempdir().expect("a folder"));
    let hub = hub(&server, home.path());
    for more in [-1, 1, 1000] {
        server.fail(Route::Storage, Fault::OtherLength(more));
        let error = fetch(&hub, &wanted()).0.expect_err("another length");
        let HubError::WrongLength {
            expected, found, ..
        } = error
        else {
            panic!("{error}");
        };
        assert_eq!(expected, 100_003);
        assert_eq!(found, 100_003_u64.saturating_add_signed(more as i64));
        assert_eq!(files_below(home.path()), []);
    }
    fetch(&hub, &wanted()).0.expect("a file");
}

#[test]
fn a_part_longer_than_the_file_is_thrown_away() {
    let (server, home) = (server(), tempfile::tempdir().expect("a folder"));
    let blobs = home.path().join("hub/models--owner--net.v1/blobs");
    std::fs::create_dir_all(&blobs).expect("a folder");
    std::fs::write(
        blobs.join(format!("{}.incomplete", sha256(&weights()))),
        vec![1; 200_000],
    )
    .expect("a part");
    let fetched = fetch(&hub(&server, home.path()), &wanted())
        .0
        .expect("a file");
    assert_eq!(std::fs::read(fetched.path).expect("a file"), weights());
}

#[test]
fn a_hub_that_ignores_the_range_sends_everything_and_gets_it_right() {
    for fault in [Fault::IgnoreRange, Fault::OtherRange] {
        let (server, home) = (server(), tempfile::tempdir().expect("a folder"));
        server.fail(Route::Storage, Fault::BreakAfter(50_000));
        server.fail(Route::Storage, fault);
        let fetched = fetch(&hub(&server, home.path()), &wanted())
            .0
            .expect("a file");
        assert_eq!(std::fs::read(fetched.path).expect("a file"), weights());
    }
}

/// A hub that ignores ranges and always breaks at the same place would be asked forever, if any byte counted.
#[test]
fn attempts_that_bring_nothing_new_come_to_an_end() {
    let (server, home) = (server(), tempfile::tempdir().expect("a folder"));
    let hub = hub(&server, home.path());
    for _ in 0..3 * hub.settings().attempts {
        server.fail(Route::Storage, Fault::IgnoreRangeAndBreakAfter(10_000));
    }
    let error = fetch(&hub, &wanted()).0.expect_err("it breaks");
    assert!(
        matches!(
            error,
            HubError::Broken {
                received: 10_000,
                ..
            }
        ),
        "{error}"
    );
    let requests = server
        .requests()
        .into_iter()
        .filter(|request| request.route == Route::Storage);
    assert_eq!(requests.count(), 1 + hub.settings().attempts as usize);
    assert_nothing_is_used(home.path());
}

#[test]
fn a_slow_connection_is_waited_for_and_a_dead_one_is_not() {
    let (server, home) = (server(), tempfile::tempdir().expect("a folder"));
    let patient = Hub::new(Settings {
        download_timeout: Duration::from_secs(2),
        ..settings(&server, home.path())
    });
    server.put_small("config.json", b"hello");
    server.fail(Route::Get, Fault::Slow);
    let small = crate::reference("hf:owner/net.v1/config.json");
    let (fetched, events) = fetch(&patient, &small);
    fetched.expect("a file");
    assert!(
        events.iter().all(|event| !event.starts_with("Retrying")),
        "{events:?}"
    );

    server.fail(Route::Storage, Fault::StallAfter(70_000));
    let start = Instant::now();
    let (fetched, events) = fetch(&patient, &wanted());
    assert_eq!(
        std::fs::read(fetched.expect("a file").path).expect("a file"),
        weights()
    );
    assert!(start.elapsed() >= Duration::from_secs(2));
    assert!(
        events.iter().any(|event| event.starts_with("Retrying")),
        "{events:?}"
    );
    let mut starts = events.iter().filter(|event| event.starts_with("Started"));
    assert!(
        starts.next_back().expect("a start").contains("done: 70000"),
        "{events:?}"
    );
}

#[test]
fn a_hub_that_is_not_there_is_told_with_its_address() {
    let (server, home) = (server(), tempfile::tempdir().expect("a folder"));
    // A port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = free.local_addr().expect("an address");
    drop(free);
    let hub = Hub::new(Settings {
        endpoint: format!("http://{address}"),
        ..settings(&server, home.path())
    });
    let (result, events) = fetch(&hub, &wanted());
    let error = result.expect_err("nobody is there");
    assert!(matches!(error, HubError::Unreachable { .. }), "{error}");
    let text = error.to_string();
    assert!(
        text.contains(&address.to_string()) && text.contains("hf:owner/net.v1"),
        "{text}"
    );
    assert!(
        error.hint().expect("a hint").contains("HTTPS_PROXY"),
        "{error}"
    );
    assert_eq!(
        events.len() + 1,
        hub.settings().attempts as usize,
        "{events:?}"
    );
    assert_eq!(files_below(home.path()), []);
    // A file of the cache is used.
    let fetched = fetch(&crate::hub(&server, home.path()), &wanted())
        .0
        .expect("a file");
    let (found, events) = fetch(&hub, &wanted());
    assert_eq!(found.expect("a file"), fetched);
    assert!(
        events.len() == 1 && events[0].starts_with("Stale"),
        "{events:?}"
    );
}

#[test]
fn a_file_that_does_not_fit_is_refused_before_it_is_requested() {
    let (server, home) = (server(), tempfile::tempdir().expect("a folder"));
    let headers = vec![
        ("X-Repo-Commit", COMMIT.to_string()),
        ("X-Linked-ETag", format!("\"{}\"", sha256(b"large"))),
        ("X-Linked-Size", (1_u64 << 60).to_string()),
    ];
    server.fail(Route::Head, Fault::Status(302, headers));
    let error = fetch(&hub(&server, home.path()), &wanted())
        .0
        .expect_err("an exbibyte");
    let HubError::NoSpace { needed, free, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(*needed, 1 << 60);
    assert!(free.is_some_and(|free| free < 1 << 60), "{error}");
    assert!(error.hint().expect("a hint").contains("HF_HOME"), "{error}");
    assert_eq!(server.routes(), [Route::Head]);
    assert_eq!(files_below(home.path()), []);
}

/// Stops after the first bytes.
struct Impatient {
    has_bytes: bool,
}

impl Observer for Impatient {
    fn progress(&mut self, progress: Progress<'_>) {
        self.has_bytes |= matches!(progress, Progress::Received { .. });
    }

    fn stops(&self) -> bool {
        self.has_bytes
    }
}

#[test]
fn a_download_that_is_stopped_keeps_its_part() {
    let (server, home) = (server(), tempfile::tempdir().expect("a folder"));
    let hub = hub(&server, home.path());
    server.fail(Route::Storage, Fault::StallAfter(30_000));
    let mut observer = Impatient { has_bytes: false };
    let error = hub.fetch(&wanted(), &mut observer).expect_err("stopped");
    assert!(matches!(error, HubError::Interrupted { .. }), "{error}");
    assert_nothing_is_used(home.path());
    let part = incomplete(home.path());
    assert!(
        !part.is_empty() && weights().starts_with(&part),
        "{}",
        part.len()
    );
    let fetched = fetch(&hub, &wanted()).0.expect("a file");
    assert_eq!(std::fs::read(fetched.path).expect("a file"), weights());
}
