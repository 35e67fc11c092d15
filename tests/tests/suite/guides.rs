//! The pages on adding a part: what they say is applied to a copy of the repository and compiled. The crate of the page on
//! a backbone outside of the repository is compiled with it, and run by name.

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

/// The folder that this test is built in, which has its dependencies.
fn target() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    // target/debug/deps/suite
    test.ancestors().nth(3).unwrap().to_path_buf()
}

const OWN_BACKBONE: &str = "crates/gradway/examples/own-backbone";

/// The crate is copied out of the repository, with the versions and the profile of the workspace, so that it compiles
/// with what is compiled.
#[test]
#[ignore = "compiles Burn for another crate, and trains: run with `-- --ignored another_crate`"]
fn another_crate_tunes_its_own_backbone() {
    let folder = tempfile::tempdir().unwrap();
    let copied = folder.path().join("own-backbone");
    copy(&root().join(OWN_BACKBONE), &copied);
    let library = root().join("crates/gradway").canonicalize().unwrap();
    let manifest = fs::read_to_string(copied.join("Cargo.toml")).unwrap();
    let elsewhere = manifest.replace(
        "path = \"../..\"",
        &format!("path = {:?}", library.display().to_string()),
    );
    assert_ne!(manifest, elsewhere);
    let workspace = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let profile = &workspace[workspace.find("[profile.dev]").unwrap()..];
    fs::write(copied.join("Cargo.toml"), format!("{elsewhere}\n{profile}")).unwrap();
    fs::copy(root().join("Cargo.lock"), copied.join("Cargo.lock")).unwrap();

    let runs = folder.path().join("runs");
    let output = Command::new(env!("CARGO"))
        .args(["run", "--offline", "--"])
        .arg(&runs)
        .env("CARGO_TARGET_DIR", target())
        .current_dir(&copied)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");

    // `e3va: 4321 parameters, loss 2.5 to 1.5, mean IoU 10.0 %`
    let printed = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = printed.lines().collect();
    let mut trained = Vec::new();
    for (method, line) in ["e3va", "full"].into_iter().zip(&lines) {
        let words: Vec<&str> = line.split([' ', ':', ',']).collect();
        assert_eq!(words[0], method, "{printed}");
        let after = |word: &str| {
            let place = words.iter().position(|other| *other == word);
            words[place.unwrap() + 1].parse::<f64>().unwrap()
        };
        assert!(after("to") < after("loss"), "{printed}");
        trained.push(words[2].parse::<usize>().unwrap());
        assert!(runs.join(method).join("last.safetensors").is_file());
    }
    assert_eq!(lines.len(), 2, "{printed}");
    assert!(trained[0] < trained[1], "{printed}");
}

/// What the page shows of the crate is in it.
#[test]
fn the_page_on_a_backbone_of_another_crate_shows_its_code() {
    let page = include_str!("../../../docs/guide/own-backbone.md");
    let network = include_str!("../../../crates/gradway/examples/own-backbone/src/pyramid.rs");
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (_, block) = page.split_once("```rust\nfor (block, layers)").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    // The crate has a comment more.
    let network: Vec<&str> = network
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect();
    assert!(words(&network.join(" ")).contains(&words(block)));
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
    // As a member, the crate of a backbone elsewhere is compiled with the dependencies of all others.
    let edit = |file: &str, from: &str, to: &str| {
        let path = copied.join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file}");
        fs::write(path, text.replacen(from, to, 1)).unwrap();
    };
    let member = format!("members = [\"{OWN_BACKBONE}\", ");
    edit("Cargo.toml", "members = [", &member);
    edit(&format!("{OWN_BACKBONE}/Cargo.toml"), "[workspace]\n", "");
    let status = Command::new(env!("CARGO"))
        .args(["check", "--workspace", "--all-targets", "--offline"])
        .env("CARGO_TARGET_DIR", root().join("target"))
        // Cargo names what a wrapper compiles of a workspace differently, so that the copy replaces nothing here; this
        // wrapper runs the compiler.
        .env("RUSTC_WORKSPACE_WRAPPER", "env")
        .current_dir(&copied)
        .status()
        .unwrap();
    assert!(status.success());
}
