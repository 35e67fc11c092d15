//! The pages on adding a part: what they say is applied to a copy of the repository and compiled.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A page that adds a part.
struct Page {
    name: &'static str,
    text: &'static str,
    /// The file of the table, which has the `mod` lines too.
    table: &'static str,
    /// Other files that change, each with the reason, which the page states in these words.
    others: &'static [(&'static str, &'static str)],
}

macro_rules! page {
    ($name:literal, $table:literal $(, $other:expr)*) => {
        Page {
            name: $name,
            text: include_str!(concat!("../../../docs/guide/your-", $name, ".md")),
            table: $table,
            others: &[$($other),*],
        }
    };
}

const PAGES: &[Page] = &[
    page!("method", "crates/adapters/src/lib.rs"),
    page!("backbone", "crates/backbone/src/lib.rs"),
    page!("head", "crates/heads/src/lib.rs"),
    page!("neck", "crates/heads/src/neck/mod.rs"),
    page!("detector", "crates/heads/src/detection/mod.rs"),
    page!("dataset", "crates/data/src/formats/mod.rs"),
    page!(
        "dense-task",
        "crates/trainer/src/task/multi_task/kinds/mod.rs",
        (
            "crates/data/src/task/dense.rs",
            "which says what its labels are"
        )
    ),
    page!(
        "metric",
        "crates/metrics/src/lib.rs",
        (
            "crates/metrics/src/segmentation.rs",
            "a metric is a number of the scores of its task, which are a struct"
        )
    ),
    page!("command", "crates/gradway/src/commands/mod.rs"),
];

/// A block of the page that changes a file.
struct Change {
    file: &'static str,
    is_new: bool,
    lines: Vec<&'static str>,
}

/// Blocks behind a line that names a file.
fn changes(page: &Page) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut lines = page.text.lines();
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
    assert_eq!(context.len(), 1, "a place in {}", change.file);
    assert!(!added.is_empty(), "lines for {}", change.file);
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
        text.replace(&place, &format!("{place}{}\n", added.join("\n"))),
    )
    .unwrap();
}

#[test]
fn a_part_is_one_file_and_its_table() {
    for page in PAGES {
        let changes = changes(page);
        let files = |is_new: bool| -> BTreeSet<&str> {
            let files = changes.iter().filter(|change| change.is_new == is_new);
            files.map(|change| change.file).collect()
        };
        assert_eq!(files(true).len(), 1, "{}", page.name);
        let others = page.others.iter().map(|(file, _)| *file);
        let changed: BTreeSet<&str> = others.chain([page.table]).collect();
        assert_eq!(files(false), changed, "{}", page.name);
        let words: Vec<&str> = page.text.split_whitespace().collect();
        let text = words.join(" ");
        for (file, reason) in page.others {
            assert!(text.contains(reason), "{}: why {file}", page.name);
        }
    }
}

/// One compilation for all of them: a check of the whole workspace, on the dependencies that lints compile.
#[test]
#[ignore = "compiles a copy of the repository: run with `--ignored`"]
fn what_the_pages_say_compiles() {
    let folder = tempfile::tempdir().unwrap();
    let copied = folder.path().join("gradway");
    copy(&root(), &copied);
    for page in PAGES {
        for change in changes(page) {
            apply(&change, &copied);
        }
    }
    let status = Command::new(env!("CARGO"))
        .args([
            "check",
            "--workspace",
            "--all-targets",
            "--offline",
            "--locked",
        ])
        .env("CARGO_TARGET_DIR", root().join("target"))
        // Cargo names what a wrapper compiles of a workspace differently, so that the copy replaces nothing here; this
        // wrapper runs the compiler.
        .env("RUSTC_WORKSPACE_WRAPPER", "env")
        .current_dir(&copied)
        .status()
        .unwrap();
    assert!(status.success());
}
