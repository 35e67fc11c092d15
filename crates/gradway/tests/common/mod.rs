//! What the tests of the binary share.

#![allow(dead_code, reason = "each test file uses a part")]

pub mod objects;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// The binary with arguments.
pub fn gradway(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gradway"));
    command.args(arguments);
    command
}

/// Runs the binary; its output whatever came of it.
pub fn run(arguments: &[&str]) -> Output {
    gradway(arguments).output().expect("the binary starts")
}

/// Runs the binary, which must succeed; its standard output.
pub fn succeed(arguments: &[&str]) -> String {
    let output = run(arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Runs the binary, which must fail with status 1 and exactly one error; the text of the error.
pub fn fail(arguments: &[&str]) -> String {
    let output = run(arguments);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {errors}");
    let starts: Vec<usize> = errors
        .match_indices("error: ")
        .map(|(at, _)| at)
        .filter(|&at| at == 0 || errors.as_bytes()[at - 1] == b'\n')
        .collect();
    assert_eq!(starts.len(), 1, "{arguments:?}: {errors}");
    errors[starts[0]..].to_string()
}

/// Output that is JSON.
pub fn json_of(output: &str) -> Value {
    serde_json::from_str(output).expect("JSON")
}

/// Steps that a run has logged so far.
pub fn steps_logged(run: &Path) -> usize {
    let log = fs::read_to_string(run.join("metrics.jsonl")).unwrap_or_default();
    log.matches(r#""event":"step""#).count()
}

/// Waits until a run under way has logged so many steps.
pub fn wait_for_steps(steps: usize, run: &Path, child: &mut Child) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while steps_logged(run) < steps {
        assert!(Instant::now() < deadline, "no progress");
        let status = child.try_wait().expect("a status");
        assert!(status.is_none(), "it ended before it was to");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Sends a process a signal, such as `-TERM`.
pub fn signal(child: &Child, name: &str) {
    // A shell has it where a system has no program of that name.
    let kill = format!("kill {name} {}", child.id());
    let sent = Command::new("sh").args(["-c", &kill]).status();
    assert!(sent.expect("a shell").success());
}

/// A path as an argument.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// A configuration that trains in seconds, with `more` after it.
pub fn tiny_config(folder: &Path, more: &str) -> PathBuf {
    let path = folder.join("tiny.toml");
    let config = format!(
        r#"
backbone = {{ name = "swin_mini", drop_path = 0.2 }}
head = {{ name = "segformer", channels = 16 }}
augment = {{ crop_size = [32, 32] }}
loader = {{ batch_size = 2 }}
{more}
"#
    );
    fs::write(&path, config).expect("a file");
    path
}

/// Synthetic scenes for [`tiny_config`].
pub const SCENES: &str = r#"
method = { name = "e3va" }
data = { format = "synthetic", width = 40, height = 36, train_samples = 8, val_samples = 3 }
train = { epochs = 2 }
"#;
