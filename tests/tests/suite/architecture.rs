//! The architecture page tells the truth: its edges are those of `cargo metadata`.

use std::collections::{BTreeMap, BTreeSet};
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
