//! The architecture page tells the truth: its edges are those of `cargo metadata`.

use crate::sources::sources;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

const PAGE: &str = include_str!("../../../docs/ARCHITECTURE.md");

type Edges = BTreeMap<String, BTreeSet<String>>;

/// The list between the marks of the page.
fn documented() -> Edges {
    let (_, rest) = PAGE
        .split_once("<!-- edges: begin -->")
        .expect("a list of edges");
    let (list, _) = rest
        .split_once("<!-- edges: end -->")
        .expect("an end of the list");
    list.lines()
        .filter_map(|line| line.strip_prefix("- ")?.split_once(':'))
        .map(|(package, uses)| {
            let uses = uses
                .split(',')
                .map(str::trim)
                .filter(|name| !name.is_empty());
            (package.to_string(), uses.map(String::from).collect())
        })
        .collect()
}

/// Dependencies between packages of the workspace, those of tests left out.
fn actual() -> Edges {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--no-deps",
            "--offline",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo starts");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let name = |value: &Value| value["name"].as_str().expect("a name").to_string();
    let members: BTreeSet<String> = packages.iter().map(name).collect();
    packages
        .iter()
        .filter(|package| package["name"] != "gradway-tests")
        .map(|package| {
            let dependencies = package["dependencies"].as_array().expect("dependencies");
            let uses = dependencies
                .iter()
                .filter(|dependency| dependency["kind"].is_null())
                .map(name)
                .filter(|dependency| members.contains(dependency));
            (name(package), uses.collect())
        })
        .collect()
}

#[test]
fn the_edges_are_those_of_the_manifests() {
    assert_eq!(documented(), actual());
}

#[test]
fn every_crate_is_on_the_map() {
    for package in actual().keys() {
        let short = package.strip_prefix("gradway-").unwrap_or(package);
        let line = format!("  {short}/");
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../experiments");
        let is_experiment = Path::new(folder).join(package).is_dir();
        assert!(is_experiment || PAGE.contains(&line), "{package}");
    }
}

/// What stands before the name of a task where code tells tasks apart.
const TASK: &str = "TaskConfig::";

/// The patterns of a source that are variants of `TaskConfig`: what is matched for `_` or `..`, and what `=>`, `|` or
/// `=` follows.
fn patterns(source: &str) -> Vec<&str> {
    let is_of_name = |letter: char| letter.is_alphanumeric() || letter == '_';
    let variants = source.match_indices(TASK).filter_map(|(place, _)| {
        let rest = &source[place + TASK.len()..];
        let is_other_type = source[..place].ends_with(is_of_name);
        (!is_other_type && rest.starts_with(char::is_uppercase)).then_some(rest)
    });
    let matched = variants.filter(|rest| {
        let after = rest.trim_start_matches(is_of_name);
        let (inside, after) = match after.strip_prefix('(') {
            Some(rest) => rest.split_once(')').unwrap_or((rest, "")),
            None => ("", after),
        };
        let after = after.trim_start();
        let is_followed = after.starts_with("=>") || after.starts_with('|');
        let is_bound = after.starts_with('=') && !after.starts_with("==");
        matches!(inside.trim(), "_" | "..") || is_followed || is_bound
    });
    matched
        .map(|rest| {
            rest.split(|letter| !is_of_name(letter))
                .next()
                .unwrap_or(rest)
        })
        .collect()
}

#[test]
fn nothing_but_the_table_of_tasks_tells_tasks_apart() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let tasks = root.join("crates/trainer/src/task");
    for folder in ["crates", "experiments", "tests"] {
        for path in sources(&root.join(folder)) {
            let source = fs::read_to_string(&path).expect("a source");
            let found = patterns(&source);
            let is_table = path.starts_with(&tasks);
            assert!(
                is_table || found.is_empty(),
                "{} matches on {TASK}{found:?}; use `dispatch` or `with_task!`",
                path.display()
            );
        }
    }
}

#[test]
fn patterns_are_told_from_values_and_other_types() {
    let found = |code: &str| patterns(&code.replace("Task::", TASK)).len();
    assert_eq!(found("match task { Task::Detection(_) => 1 }"), 1);
    assert_eq!(
        found("Task::Segmentation(one)\n| Task::Detection(two)\n=>"),
        2
    );
    assert_eq!(found("if let Task::Detection(config) = task"), 1);
    assert_eq!(found("matches!(task, Task::Detection(..))"), 1);
    assert_eq!(found("run(Task::Detection(config))"), 0);
    assert_eq!(found("task == Task::Detection(config)"), 0);
    assert_eq!(found("PerTask::Detection(_) => 1"), 0);
    assert_eq!(found("Task::default()"), 0);
}
