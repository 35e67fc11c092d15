//! The page on adding a method: what it says is applied to a copy of the repository and compiled.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const PAGE: &str = include_str!("../../../docs/guide/your-method.md");

/// A block of the page that changes a file.
struct Change {
    file: &'static str,
    is_new: bool,
    lines: Vec<&'static str>,
}

/// Blocks behind a line that names a file.
fn changes() -> Vec<Change> {
    let mut changes = Vec::new();
    let mut lines = PAGE.lines();
    while let Some(line) = lines.next() {
        let named = line.strip_prefix('`').and_then(|rest| rest.split_once('`'));
        let Some((file, ending @ (":" | ", new:"))) = named else {
            continue;
        };
        let block = lines.by_ref().skip_while(|line| !line.starts_with("```"));
        changes.push(Change {
            file,
            is_new: ending == ", new:",
            lines: block.skip(1).take_while(|line| *line != "```").collect(),
        });
    }
    changes
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Copies what a build needs.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, name) = entry
            .map(|entry| (entry.path(), entry.file_name()))
            .unwrap();
        if path.is_dir() {
            if name != "target" && name != ".git" && name != "runs" && name != "golden" {
                copy(&path, &to.join(name));
            }
        } else {
            fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

fn apply(change: &Change, root: &Path) {
    let path = root.join(change.file);
    assert_eq!(path.exists(), !change.is_new, "{}", change.file);
    if change.is_new {
        fs::write(path, change.lines.join("\n") + "\n").unwrap();
        return;
    }
    let context: Vec<&str> = change
        .lines
        .iter()
        .filter_map(|line| line.strip_prefix(' '))
        .collect();
    let added: Vec<&str> = change
        .lines
        .iter()
        .filter_map(|line| line.strip_prefix('+'))
        .collect();
    assert_eq!(
        (context.len(), added.len()),
        (1, 1),
        "one line to {}",
        change.file
    );
    let text = fs::read_to_string(&path).unwrap();
    let place = format!("\n{}\n", context[0]);
    assert_eq!(
        text.matches(&place).count(),
        1,
        "`{}` in {}",
        context[0],
        change.file
    );
    fs::write(
        path,
        text.replace(&place, &format!("{place}{}\n", added[0])),
    )
    .unwrap();
}

#[test]
fn the_page_adds_a_method_with_one_file_and_one_line() {
    let changes = changes();
    let files = |is_new: bool| -> BTreeSet<&str> {
        let files = changes.iter().filter(|change| change.is_new == is_new);
        files.map(|change| change.file).collect()
    };
    assert_eq!(files(true).len(), 1);
    // The table, and the file's own `mod`.
    let expected = ["crates/adapters/src/lib.rs", "crates/adapters/src/table.rs"];
    assert_eq!(files(false), expected.into());
    assert_eq!(changes.len(), 3);
}

/// Takes a check of the whole workspace.
#[test]
#[ignore = "compiles a copy of the repository: run with `--ignored`"]
fn what_the_page_says_compiles() {
    let folder = tempfile::tempdir().unwrap();
    let copied = folder.path().join("gradway");
    copy(&root(), &copied);
    for change in changes() {
        apply(&change, &copied);
    }
    let status = Command::new(env!("CARGO"))
        .args(["check", "--workspace", "--lib", "--offline", "--locked"])
        .env("CARGO_TARGET_DIR", root().join("target"))
        .current_dir(&copied)
        .status()
        .unwrap();
    assert!(status.success());
}
