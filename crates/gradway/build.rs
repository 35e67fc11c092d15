//! Tells the library which commit it is built from, for the provenance of results.
//!
//! It stands in the crate at the top, so that a new commit compiles this crate anew and none below it. What it
//! watches changes when HEAD moves, and when a source does: then this crate is compiled in any case. What
//! `git status` and `git add` write is not watched.

use std::path::Path;
use std::process::Command;

/// What is compiled into a binary.
const SOURCES: [&str; 4] = [
    ":(top,glob)crates/*/src/**",
    ":(top,glob)crates/*/Cargo.toml",
    ":(top)Cargo.toml",
    ":(top)Cargo.lock",
];

fn main() {
    for path in ["build.rs", "../../Cargo.toml", "../../Cargo.lock"] {
        watch(path);
    }
    for crate_folder in std::fs::read_dir("..").into_iter().flatten().flatten() {
        watch(crate_folder.path().join("src"));
        watch(crate_folder.path().join("Cargo.toml"));
    }
    // The log has a line for every move of HEAD, also where the branch moves under it.
    for name in ["HEAD", "logs/HEAD"] {
        if let Some(path) = git(&["rev-parse", "--git-path", name]) {
            watch(path);
        }
    }
    // A copy without a repository is no error: its results then name no commit.
    let status = [&["status", "--porcelain", "--"], &SOURCES[..]].concat();
    if let (Some(commit), Some(changes)) = (git(&["rev-parse", "--short=12", "HEAD"]), git(&status))
    {
        let dirty = if changes.is_empty() { "" } else { "-dirty" };
        println!("cargo:rustc-env=GRADWAY_COMMIT={commit}{dirty}");
    }
}

/// Runs this script again when a file or folder changes. One that is not there would run it every time.
fn watch(path: impl AsRef<Path>) {
    let path = path.as_ref();
    if path.exists() {
        println!("cargo:rerun-if-changed={}", path.display());
    }
}

fn git(arguments: &[&str]) -> Option<String> {
    // Writes no index on the way.
    let output = Command::new("git")
        .env("GIT_OPTIONAL_LOCKS", "0")
        .args(arguments)
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_string())
}
