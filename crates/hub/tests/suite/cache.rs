//! The cache on disk: shared, damaged, locked, and not to be written.

use std::fs;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use gradway_hub::{Hub, HubError, Settings};

use crate::common::{COMMIT, Route, sha256};
use crate::{fetch, hub, offline, server, settings, wanted, weights};

/// What Python's `huggingface_hub` leaves behind after it has downloaded the weight file.
fn as_python_leaves_it(home: &Path) {
    let folder = home.join("hub/models--owner--net.v1");
    let snapshot = folder.join("snapshots").join(COMMIT);
    for folder in [&folder.join("blobs"), &folder.join("refs"), &snapshot] {
        fs::create_dir_all(folder).expect("a folder");
    }
    let hash = sha256(&weights());
    fs::write(folder.join("blobs").join(&hash), weights()).expect("a file");
    fs::write(folder.join("refs/main"), COMMIT).expect("a file");
    let pointer = snapshot.join("model.safetensors");
    #[cfg(unix)]
    std::os::unix::fs::symlink(format!("../../blobs/{hash}"), pointer).expect("a link");
    #[cfg(not(unix))]
    fs::write(pointer, weights()).expect("a file");
}

#[test]
fn what_python_has_downloaded_is_found() {
    let (server, home) = (server(), tempfile::tempdir().expect("a folder"));
    as_python_leaves_it(home.path());
    let found = fetch(&offline(&server, home.path()), &wanted())
        .0
        .expect("a file");
    assert_eq!(fs::read(&found.path).expect("a file"), weights());
    let online = fetch(&hub(&server, home.path()), &wanted())
        .0
        .expect("a file");
    assert_eq!(online, found);
    assert_eq!(server.routes(), [Route::Head]);
}

#[test]
fn a_file_of_another_length_is_fetched_again() {
    let (server, home) = (server(), tempfile::tempdir().expect("a folder"));
    as_python_leaves_it(home.path());
    let blob = home
        .path()
        .join("hub/models--owner--net.v1/blobs")
        .join(sha256(&weights()));
    fs::write(&blob, &weights()[..5000]).expect("a file");
    let found = fetch(&hub(&server, home.path()), &wanted())
        .0
        .expect("a file");
    assert_eq!(fs::read(found.path).expect("a file"), weights());
}

#[cfg(unix)]
#[test]
fn a_link_without_its_blob_is_no_file() {
    let (server, home) = (server(), tempfile::tempdir().expect("a folder"));
    as_python_leaves_it(home.path());
    let blob = home
        .path()
        .join("hub/models--owner--net.v1/blobs")
        .join(sha256(&weights()));
    fs::remove_file(blob).expect("a file");
    let error = fetch(&offline(&server, home.path()), &wanted())
        .0
        .expect_err("no bytes");
    assert!(matches!(error, HubError::NotCached { .. }), "{error}");
    let found = fetch(&hub(&server, home.path()), &wanted())
        .0
        .expect("a file");
    assert_eq!(fs::read(found.path).expect("a file"), weights());
}

#[test]
fn a_cache_that_cannot_be_written_is_told_with_its_place() {
    let (server, home) = (server(), tempfile::tempdir().expect("a folder"));
    // A file in the place of the folder, which holds for the superuser, too.
    fs::write(home.path().join("hub"), "not a folder").expect("a file");
    let error = fetch(&hub(&server, home.path()), &wanted())
        .0
        .expect_err("no folder");
    let HubError::Cache { path, .. } = &error else {
        panic!("{error}");
    };
    assert!(path.starts_with(home.path().join("hub")), "{path:?}");
    assert!(
        error.to_string().contains("the cache cannot be written"),
        "{error}"
    );
    assert!(error.hint().expect("a hint").contains("HF_HOME"), "{error}");
}

#[test]
fn of_two_at_once_one_downloads_and_the_other_waits() {
    let (server, home) = (server(), tempfile::tempdir().expect("a folder"));
    let lock = home.path().join("hub/.locks/models--owner--net.v1");
    fs::create_dir_all(&lock).expect("a folder");
    let lock = fs::File::create(lock.join(format!("{}.lock", sha256(&weights())))).expect("a file");
    lock.lock().expect("a lock");
    let hub = hub(&server, home.path());
    let (sender, receiver) = mpsc::channel();
    let fetching = thread::spawn(move || {
        let result = hub.fetch(&wanted(), &mut |progress: gradway_hub::Progress<'_>| {
            sender.send(format!("{progress:?}")).expect("a receiver");
        });
        result.map(|fetched| fetched.path)
    });
    let first = receiver
        .recv_timeout(Duration::from_secs(20))
        .expect("an event");
    assert_eq!(first, "Waiting");
    // The other process is done.
    as_python_leaves_it(home.path());
    drop(lock);
    let path = fetching.join().expect("a thread").expect("a file");
    assert_eq!(fs::read(path).expect("a file"), weights());
    assert_eq!(receiver.try_iter().count(), 0);
    assert_eq!(server.routes(), [Route::Head]);
}

#[test]
fn many_at_once_get_one_download() {
    let (server, home) = (server(), tempfile::tempdir().expect("a folder"));
    let hub = hub(&server, home.path());
    thread::scope(|scope| {
        let all: Vec<_> = (0..6)
            .map(|_| scope.spawn(|| fetch(&hub, &wanted()).0))
            .collect();
        for one in all {
            let fetched = one.join().expect("a thread").expect("a file");
            assert_eq!(fs::read(fetched.path).expect("a file"), weights());
        }
    });
    let requests = server.requests();
    assert_eq!(
        requests
            .iter()
            .filter(|request| request.route == Route::Storage)
            .count(),
        1
    );
}

#[test]
fn wrong_settings_are_told_before_anything_is_requested() {
    let (server, home) = (server(), tempfile::tempdir().expect("a folder"));
    let wrong = home.path().join("certificates.pem");
    fs::write(&wrong, "no certificate").expect("a file");
    for certificates in [wrong, home.path().join("missing.pem")] {
        let hub = Hub::new(Settings {
            certificates: Some(certificates.clone()),
            ..settings(&server, home.path())
        });
        let error = fetch(&hub, &wanted())
            .0
            .expect_err("no certificates")
            .to_string();
        assert!(error.contains("SSL_CERT_FILE"), "{error}");
        assert!(
            error.contains(&certificates.display().to_string()),
            "{error}"
        );
    }
    let hub = Hub::new(Settings {
        endpoint: "http://[".to_string(),
        ..settings(&server, home.path())
    });
    let error = fetch(&hub, &wanted())
        .0
        .expect_err("no address")
        .to_string();
    assert!(error.contains("HF_ENDPOINT = \"http://[\""), "{error}");
    assert!(server.requests().is_empty());
}
