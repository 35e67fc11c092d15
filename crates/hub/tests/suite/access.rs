//! Answers that refuse: each has its reason, and what to do about it.

use gradway_hub::{Hub, HubError, Settings};

use crate::common::{COMMIT, Fault, REPOSITORY, Route};
use crate::{assert_nothing_is_used, fetch, files_below, hub, reference, server, settings, wanted};

#[test]
fn a_gated_repository_is_explained_with_and_without_a_token() {
    let (server, home) = (server(), tempfile::tempdir().expect("a folder"));
    for (status, token) in [(401, None), (403, Some("hf_mine"))] {
        server.refuse(Route::Head, status, "GatedRepo");
        let hub = Hub::new(Settings {
            token: token.map(String::from),
            ..settings(&server, home.path())
        });
        let error = fetch(&hub, &wanted()).0.expect_err("it is gated");
        assert!(matches!(error, HubError::Gated { .. }), "{error}");
        let address = format!("{}/{REPOSITORY}", server.endpoint());
        let text = error.to_string();
        assert!(
            text.contains(&address) && text.contains(&status.to_string()),
            "{text}"
        );
        let hint = error.hint().expect("a hint");
        assert!(
            hint.contains(&format!("accept the terms at {address}")),
            "{hint}"
        );
        match token {
            None => {
                assert!(
                    hint.contains("HF_TOKEN") && hint.contains("/settings/tokens"),
                    "{hint}"
                );
                assert!(
                    hint.contains(&home.path().join("token").display().to_string()),
                    "{hint}"
                );
            }
            Some(token) => {
                assert!(hint.contains("may read gated repositories"), "{hint}");
                assert!(
                    !text.contains(token) && !hint.contains(token),
                    "{text} {hint}"
                );
            }
        }
        assert_nothing_is_used(home.path());
    }
    fetch(&hub(&server, home.path()), &wanted())
        .0
        .expect("it is not gated any more");
}

#[test]
fn what_does_not_exist_is_named() {
    let (server, home) = (server(), tempfile::tempdir().expect("a folder"));
    let hub = hub(&server, home.path());
    let refused = |text: &str| fetch(&hub, &reference(text)).0.expect_err(text);
    let endpoint = server.endpoint();

    let error = refused("hf:nobody/nothing/model.safetensors");
    assert!(matches!(error, HubError::NoRepository { .. }), "{error}");
    assert!(
        error
            .to_string()
            .contains(&format!("{endpoint}/nobody/nothing")),
        "{error}"
    );
    let error = refused("hf:nobody/nothing");
    assert!(matches!(error, HubError::NoRepository { .. }), "{error}");

    let error = refused(&format!("hf:{REPOSITORY}/model.safetensors@v9"));
    assert!(matches!(error, HubError::NoRevision { .. }), "{error}");
    assert!(error.to_string().contains("no revision `v9`"), "{error}");
    let error = refused(&format!("hf:{REPOSITORY}@v9"));
    assert!(matches!(error, HubError::NoRevision { .. }), "{error}");

    let error = refused(&format!("hf:{REPOSITORY}/other.safetensors"));
    assert!(matches!(error, HubError::NoFile { .. }), "{error}");
    assert!(
        error
            .to_string()
            .contains("no file `other.safetensors` at revision `main`"),
        "{error}"
    );
    let hint = error.hint().expect("a hint");
    assert!(
        hint.contains(&format!("{endpoint}/{REPOSITORY}/tree/main")),
        "{hint}"
    );
    assert_nothing_is_used(home.path());
}

/// The public hub answers so for a repository that does not exist, since it could be a private one.
#[test]
fn an_unknown_repository_is_not_taken_for_a_gated_one() {
    let (server, home) = (server(), tempfile::tempdir().expect("a folder"));
    server.refuse(Route::Head, 401, "RepoNotFound");
    let error = fetch(&hub(&server, home.path()), &wanted())
        .0
        .expect_err("refused");
    assert!(matches!(error, HubError::NoRepository { .. }), "{error}");
    assert!(error.hint().expect("a hint").contains("private"), "{error}");
}

#[test]
fn a_token_that_is_refused_is_not_taken_for_missing_terms() {
    let (server, home) = (server(), tempfile::tempdir().expect("a folder"));
    let hub = Hub::new(Settings {
        token: Some("hf_old".to_string()),
        ..settings(&server, home.path())
    });
    for status in [401, 403] {
        server.refuse(Route::Head, status, "Other");
        let error = fetch(&hub, &wanted()).0.expect_err("refused");
        assert!(matches!(error, HubError::Denied { .. }), "{error}");
        assert!(error.to_string().contains("Other says the hub"), "{error}");
        assert!(
            error.hint().expect("a hint").contains("wrong or expired"),
            "{error}"
        );
    }
}

#[test]
fn access_that_was_there_once_is_enough_for_a_file_of_the_cache() {
    let (server, home) = (server(), tempfile::tempdir().expect("a folder"));
    let hub = hub(&server, home.path());
    let fetched = fetch(&hub, &wanted()).0.expect("a file");
    server.refuse(Route::Head, 403, "GatedRepo");
    server.refuse(Route::Head, 503, "");
    server.fail(Route::Head, Fault::LoginPage);
    for reason in ["gated", "503", "x-repo-commit"] {
        let (found, events) = fetch(&hub, &wanted());
        assert_eq!(found.expect("a file"), fetched);
        assert!(
            events.len() == 1 && events[0].starts_with("Stale"),
            "{events:?}"
        );
        assert!(events[0].contains(reason), "{events:?}");
    }
    // A revision that the hub does not know is wrong, whatever the cache has.
    server.refuse(Route::Head, 404, "RevisionNotFound");
    let error = fetch(&hub, &wanted()).0.expect_err("refused");
    assert!(matches!(error, HubError::NoRevision { .. }), "{error}");
}

#[test]
fn a_busy_hub_is_asked_again_and_in_the_end_its_status_is_reported() {
    let (server, home) = (server(), tempfile::tempdir().expect("a folder"));
    let hub = hub(&server, home.path());
    server.refuse(Route::Head, 429, "");
    server.fail(
        Route::Head,
        Fault::Status(503, vec![("Retry-After", "0".to_string())]),
    );
    server.refuse(Route::Get, 502, "");
    server.refuse(Route::Storage, 500, "");
    let (fetched, events) = fetch(&hub, &wanted());
    assert_eq!(fetched.expect("a file").pinned.revision(), COMMIT);
    let retries: Vec<&String> = events
        .iter()
        .filter(|event| event.starts_with("Retrying"))
        .collect();
    assert_eq!(retries.len(), 4, "{events:?}");
    for (event, expected) in retries.iter().zip(["429", "pause: 0ns", "502", "500"]) {
        assert!(event.contains(expected), "{event}");
    }
    // The address of the storage is signed: its query is no one's business.
    assert!(
        events.iter().all(|event| !event.contains("signature")),
        "{events:?}"
    );

    let home = tempfile::tempdir().expect("a folder");
    let attempts = hub.settings().attempts;
    for _ in 0..attempts {
        server.refuse(Route::Head, 503, "");
    }
    let error = fetch(&crate::hub(&server, home.path()), &wanted())
        .0
        .expect_err("busy");
    assert!(
        matches!(error, HubError::Status { status: 503, .. }),
        "{error}"
    );
    assert_nothing_is_used(home.path());
}

#[test]
fn a_storage_that_refuses_is_not_taken_for_the_hub() {
    let (server, home) = (server(), tempfile::tempdir().expect("a folder"));
    for status in [403, 404] {
        server.refuse(Route::Storage, status, "");
        let error = fetch(&hub(&server, home.path()), &wanted())
            .0
            .expect_err("refused");
        let HubError::Status {
            status: found,
            address,
            ..
        } = &error
        else {
            panic!("{error}");
        };
        assert_eq!(*found, status);
        assert!(!address.contains("signature"), "{address}");
        assert_nothing_is_used(home.path());
    }
    assert_eq!(files_below(home.path()), []);
}

#[test]
fn what_is_no_hub_is_told() {
    let (server, home) = (server(), tempfile::tempdir().expect("a folder"));
    let hub = hub(&server, home.path());
    server.fail(Route::Head, Fault::LoginPage);
    let error = fetch(&hub, &wanted()).0.expect_err("a page");
    assert!(matches!(error, HubError::NotAHub { .. }), "{error}");
    assert!(
        error.hint().expect("a hint").contains("login page"),
        "{error}"
    );
    server.fail(Route::List, Fault::LoginPage);
    let error = fetch(&hub, &reference(&format!("hf:{REPOSITORY}")))
        .0
        .expect_err("a page");
    assert!(matches!(error, HubError::NotAHub { .. }), "{error}");
    // A name of a version becomes the name of a file.
    let headers = vec![
        ("X-Repo-Commit", COMMIT.to_string()),
        ("ETag", "\"../../evil\"".to_string()),
    ];
    server.fail(Route::Head, Fault::Status(200, headers));
    let error = fetch(&hub, &wanted()).0.expect_err("no name");
    assert!(matches!(error, HubError::NotAHub { .. }), "{error}");
    assert_eq!(files_below(home.path()), []);
}

#[test]
fn a_circle_of_redirects_ends() {
    let (server, home) = (server(), tempfile::tempdir().expect("a folder"));
    for route in [Route::Head, Route::Get, Route::Storage] {
        for _ in 0..11 {
            server.fail(route, Fault::Loop);
        }
        let error = fetch(&hub(&server, home.path()), &wanted())
            .0
            .expect_err("a circle");
        assert!(
            error.to_string().contains("redirects more than 10 times"),
            "{route:?}: {error}"
        );
        assert_nothing_is_used(home.path());
    }
    server.requests();
    fetch(&hub(&server, home.path()), &wanted())
        .0
        .expect("a file");
}
