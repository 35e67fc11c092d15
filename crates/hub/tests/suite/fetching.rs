//! Fetching a file: cold, warm, offline.

use gradway_hub::HubError;

use crate::common::{COMMIT, REPOSITORY, Route, sha256};
use crate::{fetch, files_below, hub, offline, reference, server, settings, wanted, weights};

#[test]
fn a_cold_cache_is_filled_and_a_warm_one_asks_only_what_the_revision_means() {
    let (server, home) = (server(), tempfile::tempdir().expect("a folder"));
    let hub = hub(&server, home.path());
    let (fetched, events) = fetch(&hub, &wanted());
    let fetched = fetched.expect("a file");
    let pinned = format!("hf:{REPOSITORY}/model.safetensors@{COMMIT}");
    assert_eq!(fetched.pinned.to_string(), pinned);
    assert!(fetched.pinned.is_pinned());
    assert_eq!(std::fs::read(&fetched.path).expect("a file"), weights());
    assert_eq!(events.len(), 2, "{events:?}");
    assert!(events[0].contains("size: Some(100003)"), "{events:?}");
    assert_eq!(events[1], "Finished");
    assert_eq!(server.routes(), [Route::Head, Route::Get, Route::Storage]);

    let (warm, events) = fetch(&hub, &wanted());
    assert_eq!(warm.expect("a file"), fetched);
    assert!(events.is_empty(), "{events:?}");
    assert_eq!(server.routes(), [Route::Head]);

    // The same bytes forever: nobody is asked.
    let (again, _) = fetch(&hub, &fetched.pinned);
    assert_eq!(again.expect("a file"), fetched);
    assert!(server.requests().is_empty());
}

#[test]
fn the_cache_has_the_layout_of_python() {
    let (server, home) = (server(), tempfile::tempdir().expect("a folder"));
    server.put_small("onnx/config.json", b"hello");
    let hub = hub(&server, home.path());
    let fetched = fetch(&hub, &wanted()).0.expect("a file");
    let small = reference(&format!("hf:{REPOSITORY}/onnx/config.json"));
    let small = fetch(&hub, &small).0.expect("a file");
    let folder = home.path().join("hub/models--owner--net.v1");
    assert_eq!(
        fetched.path,
        folder
            .join("snapshots")
            .join(COMMIT)
            .join("model.safetensors")
    );
    assert_eq!(
        small.path,
        folder
            .join("snapshots")
            .join(COMMIT)
            .join("onnx/config.json")
    );
    let names: Vec<String> = files_below(&folder)
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    let hash = sha256(&weights());
    let expected = [
        "blobs/b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0".to_string(),
        format!("blobs/{hash}"),
        "refs/main".to_string(),
        format!("snapshots/{COMMIT}/model.safetensors"),
        format!("snapshots/{COMMIT}/onnx/config.json"),
    ];
    let mut expected = expected.to_vec();
    expected.sort();
    assert_eq!(names, expected);
    // Python reads the file without trimming it.
    assert_eq!(
        std::fs::read_to_string(folder.join("refs/main")).expect("a file"),
        COMMIT
    );
    #[cfg(unix)]
    {
        let target = std::fs::read_link(&fetched.path).expect("a link");
        assert_eq!(target.display().to_string(), format!("../../blobs/{hash}"));
        let target = std::fs::read_link(&small.path).expect("a link");
        assert!(
            target.display().to_string().starts_with("../../../blobs/"),
            "{target:?}"
        );
    }
    let locks = home.path().join("hub/.locks/models--owner--net.v1");
    assert!(locks.join(format!("{hash}.lock")).is_file());
}

#[test]
fn offline_a_file_of_the_cache_is_found_and_another_is_named() {
    let (server, home) = (server(), tempfile::tempdir().expect("a folder"));
    let error = fetch(&offline(&server, home.path()), &wanted())
        .0
        .expect_err("nothing is there");
    assert!(matches!(error, HubError::NotCached { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("hf:owner/net.v1/model.safetensors"), "{text}");
    assert!(text.contains("HF_HUB_OFFLINE is set"), "{text}");
    assert!(
        text.contains(&home.path().join("hub").display().to_string()),
        "{text}"
    );
    let hint = error.hint().expect("a hint");
    assert!(
        hint.contains("gradway weights fetch hf:owner/net.v1/model.safetensors"),
        "{hint}"
    );

    let fetched = fetch(&hub(&server, home.path()), &wanted())
        .0
        .expect("a file");
    server.requests();
    let at_commit = reference(&format!("hf:{REPOSITORY}@{COMMIT}"));
    let whole = reference(&format!("hf:{REPOSITORY}"));
    for wanted in [wanted(), whole, at_commit, fetched.pinned.clone()] {
        let found = fetch(&offline(&server, home.path()), &wanted)
            .0
            .expect("a file");
        assert_eq!(found, fetched, "{wanted}");
    }
    for other in [
        format!("hf:{REPOSITORY}/model.safetensors@v2"),
        format!("hf:{REPOSITORY}/other.bin"),
    ] {
        let error = fetch(&offline(&server, home.path()), &reference(&other))
            .0
            .expect_err("another file");
        assert!(matches!(error, HubError::NotCached { .. }), "{error}");
    }
    assert!(server.requests().is_empty());
}

#[test]
fn a_reference_without_a_file_means_the_weight_file_of_the_repository() {
    let (server, home) = (server(), tempfile::tempdir().expect("a folder"));
    server.put_small("config.json", b"hello");
    let hub = hub(&server, home.path());
    let fetched = fetch(&hub, &reference(&format!("hf:{REPOSITORY}")))
        .0
        .expect("a file");
    assert_eq!(fetched.pinned.file(), Some("model.safetensors"));
    assert_eq!(fetched.pinned.revision(), COMMIT);
    let kept = home.path().join("hub/models--owner--net.v1/refs/main");
    assert_eq!(std::fs::read_to_string(kept).expect("a file"), COMMIT);
}

#[test]
fn of_several_weight_files_one_must_be_named() {
    let server = crate::common::Server::start(&[("a.pth", b"1"), ("b.pth", b"2")]);
    let home = tempfile::tempdir().expect("a folder");
    let error = fetch(
        &hub(&server, home.path()),
        &reference(&format!("hf:{REPOSITORY}")),
    )
    .0;
    let error = error.expect_err("two files");
    assert!(error.to_string().contains("a.pth, b.pth"), "{error}");
    assert_eq!(
        error.hint().as_deref(),
        Some("name one: hf:owner/net.v1/a.pth")
    );
}

#[test]
fn a_branch_that_moves_is_followed_and_the_old_commit_stays() {
    let (server, home) = (server(), tempfile::tempdir().expect("a folder"));
    let hub = hub(&server, home.path());
    let old = fetch(&hub, &wanted()).0.expect("a file");
    let newer = "f".repeat(40);
    server.replace("model.safetensors", b"newer weights", &newer);
    let new = fetch(&hub, &wanted()).0.expect("a file");
    assert_eq!(new.pinned.revision(), newer);
    assert_eq!(std::fs::read(&new.path).expect("a file"), b"newer weights");
    assert_eq!(fetch(&hub, &old.pinned).0.expect("a file"), old);
    assert_eq!(std::fs::read(&old.path).expect("a file"), weights());
    let offline = offline(&server, home.path());
    assert_eq!(fetch(&offline, &wanted()).0.expect("a file"), new);
}

#[test]
fn the_same_bytes_at_another_commit_are_not_downloaded_again() {
    let (server, home) = (server(), tempfile::tempdir().expect("a folder"));
    let hub = hub(&server, home.path());
    fetch(&hub, &wanted()).0.expect("a file");
    server.requests();
    let newer = "e".repeat(40);
    server.replace("model.safetensors", &weights(), &newer);
    let new = fetch(&hub, &wanted()).0.expect("a file");
    assert_eq!(new.pinned.revision(), newer);
    assert_eq!(std::fs::read(&new.path).expect("a file"), weights());
    assert_eq!(server.routes(), [Route::Head]);
}

#[test]
fn revisions_with_a_slash_and_renamed_repositories_are_found() {
    let (server, home) = (server(), tempfile::tempdir().expect("a folder"));
    let hub = hub(&server, home.path());
    let other = "a".repeat(40);
    server.put_revision("refs/pr/3", &other);
    let wanted = reference(&format!("hf:{REPOSITORY}/model.safetensors@refs/pr/3"));
    let fetched = fetch(&hub, &wanted).0.expect("a file");
    assert_eq!(fetched.pinned.revision(), other);
    let offline = offline(&server, home.path());
    assert_eq!(fetch(&offline, &wanted).0.expect("a file"), fetched);
    server.rename_from("former/name");
    let former = fetch(&hub, &reference("hf:former/name/model.safetensors"))
        .0
        .expect("a file");
    assert_eq!(former.pinned.repository(), "former/name");
    assert_eq!(std::fs::read(&former.path).expect("a file"), weights());
}

#[test]
fn a_token_is_sent_to_the_hub_and_to_no_other_host() {
    let (server, home) = (server(), tempfile::tempdir().expect("a folder"));
    let mut settings = settings(&server, home.path());
    settings.token = Some("hf_secret".to_string());
    fetch(&gradway_hub::Hub::new(settings), &wanted())
        .0
        .expect("a file");
    for request in server.requests() {
        let expected = match request.route {
            Route::Storage => None,
            _ => Some("Bearer hf_secret".to_string()),
        };
        assert_eq!(request.authorization, expected, "{request:?}");
    }
}
