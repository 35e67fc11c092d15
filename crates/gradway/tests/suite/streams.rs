//! Standard output and standard error that are closed or full, and signals.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use crate::common::{
    SCENES, fail, gradway, run, signal, steps_logged, succeed, text, tiny_config, wait_for_steps,
};

/// Trains with both streams as `prepare` leaves them.
fn train(prepare: impl FnOnce(&mut Command), after: impl FnOnce(&mut Child)) -> ExitStatus {
    let folder = tempfile::tempdir().expect("a folder");
    let config = tiny_config(folder.path(), SCENES);
    let out = folder.path().join("run");
    let mut command = gradway(&["train", text(&config), "--out", text(&out)]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    prepare(&mut command);
    let mut child = command.spawn().expect("the binary starts");
    after(&mut child);
    let status = child.wait().expect("a status");
    assert!(out.join("result.json").is_file(), "{status}");
    status
}

#[test]
fn a_run_goes_on_where_nobody_reads_standard_error() {
    let status = train(
        |command| {
            command.stderr(Stdio::piped());
        },
        |child| drop(child.stderr.take()),
    );
    assert!(status.success(), "{status}");
}

#[test]
fn a_run_goes_on_where_nobody_reads_anything() {
    let status = train(
        |command| {
            command.stderr(Stdio::piped()).stdout(Stdio::piped());
        },
        |child| drop((child.stderr.take(), child.stdout.take())),
    );
    assert!(status.success(), "{status}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_run_goes_on_where_standard_error_is_full() {
    let full = fs::OpenOptions::new().write(true).open("/dev/full");
    let full = full.expect("a device");
    let status = train(
        |command| {
            command.stderr(full);
        },
        |_| {},
    );
    assert!(status.success(), "{status}");
}

#[test]
fn predictions_go_on_where_nobody_reads_their_names() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = tiny_config(folder.path(), SCENES);
    let out = folder.path().join("run");
    succeed(&["train", text(&config), "--out", text(&out)]);
    let photos = folder.path().join("photos");
    fs::create_dir(&photos).expect("a folder");
    for name in ["a", "b", "c"] {
        let photo = photos.join(format!("{name}.png"));
        image::RgbImage::new(8, 6).save(photo).expect("a picture");
    }
    let mut child = gradway(&["predict", text(&out), text(&photos)])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    drop(child.stdout.take());
    assert!(child.wait().expect("a status").success());
    let written = fs::read_dir(out.join("predictions")).expect("a folder");
    assert_eq!(written.count(), 6);
}

#[test]
fn an_error_has_its_status_where_nobody_reads_it() {
    let mut child = gradway(&["eval", "nowhere"])
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    drop(child.stderr.take());
    assert_eq!(child.wait().expect("a status").code(), Some(1));
}

#[test]
fn a_listing_that_nobody_reads_ends_quietly() {
    let mut child = gradway(&["list", "methods", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("an output");
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
#[cfg(target_os = "linux")]
fn standard_output_that_is_full_is_an_error() {
    let full = fs::OpenOptions::new().write(true).open("/dev/full");
    let output = gradway(&["list", "methods"])
        .stdout(full.expect("a device"))
        .output()
        .expect("the binary starts");
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        errors.contains("cannot write to standard output"),
        "{errors}"
    );
}

const LONG: &str = r#"
method = { name = "e3va" }
data = { format = "synthetic", width = 40, height = 36, train_samples = 8, val_samples = 2 }
train = { epochs = 1000, evaluate_every = 0 }
"#;

/// A run under way that has taken steps.
fn started(config: &Path, out: &Path) -> Child {
    let mut child = gradway(&["train", text(config), "--out", text(out)])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    wait_for_steps(2, out, &mut child);
    child
}

#[test]
fn a_signal_stops_a_run_after_a_step_saved() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = tiny_config(folder.path(), LONG);
    for (name, status) in [("-INT", 130), ("-TERM", 143)] {
        let out = folder.path().join(name);
        let child = started(&config, &out);
        signal(&child, name);
        let output = child.wait_with_output().expect("an output");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{errors}");
        let done = steps_logged(&out);
        let expected = format!("stopped after step {done} of 4000, which is saved in");
        assert!(errors.contains(&expected), "{errors}");
        let expected = format!(
            "hint: resume with `gradway train --resume {}`",
            out.display()
        );
        assert!(errors.contains(&expected), "{errors}");
        // It goes on from there, not from the end of the epoch before.
        let mut resumed = gradway(&["train", "--resume", text(&out)])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        wait_for_steps(done + 1, &out, &mut resumed);
        signal(&resumed, name);
        let output = resumed.wait_with_output().expect("an output");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(errors.contains(&format!("from step {done}")), "{errors}");
        // Until then it has no best checkpoint and no result, and the commands say so.
        let error = fail(&["eval", text(&out)]);
        assert!(
            error.contains("has no best checkpoint: it is not evaluated yet"),
            "{error}"
        );
        succeed(&["eval", text(&out), "--last"]);
        let output = run(&["report", text(&out)]);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(errors.contains("is a run that is not finished"), "{errors}");
    }
}

#[test]
fn a_second_signal_ends_a_run_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    // The evaluation takes longer than the rest of the test.
    let config = tiny_config(
        folder.path(),
        r#"
method = { name = "e3va" }
data = { format = "synthetic", width = 40, height = 36, train_samples = 2, val_samples = 20000 }
train = { epochs = 1 }
"#,
    );
    let out = folder.path().join("run");
    let mut child = gradway(&["train", text(&config), "--out", text(&out)])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    wait_for_steps(1, &out, &mut child);
    // Past the question after the step.
    thread::sleep(Duration::from_millis(300));
    signal(&child, "-INT");
    let errors = BufReader::new(child.stderr.take().expect("a pipe"));
    let mut lines = errors.lines().map_while(Result::ok);
    let said = lines.find(|line| line.contains("stopping after this evaluation is saved"));
    assert!(said.is_some());
    signal(&child, "-TERM");
    let status = child.wait().expect("a status");
    assert_eq!(status.signal(), Some(15), "{status}");
    assert!(!out.join("result.json").exists());
}
