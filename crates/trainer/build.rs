//! Tells the library which commit it is built from, for the provenance of results.

use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=../../.git/HEAD");
    println!("cargo:rerun-if-changed=../../.git/index");
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_string())
    };
    // A copy without a repository is no error: its results then name no commit.
    if let (Some(commit), Some(changes)) = (
        git(&["rev-parse", "--short=12", "HEAD"]),
        git(&["status", "--porcelain", "--untracked-files=no"]),
    ) {
        let dirty = if changes.is_empty() { "" } else { "-dirty" };
        println!("cargo:rustc-env=GRADWAY_COMMIT={commit}{dirty}");
    }
}
