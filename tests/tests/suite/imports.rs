//! Modules of a folder import each other in one direction only.
//!
//! What a module takes from the one that holds it is not looked at, nor what macros make of names.

use crate::sources::sources;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Modules of one folder that import each other all the same: crate, modules, and why.
const ALLOWED: [(&str, &[&str], &str); 1] = [(
    "trainer",
    &["config", "task"],
    "a configuration holds the tables of its task, and a task is made of a configuration",
)];

/// By folder: its modules, and which others of the folder each imports.
type Imports = BTreeMap<Vec<String>, BTreeMap<String, BTreeSet<String>>>;

fn crates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates")
}

/// The module of a file, from the root of its crate.
fn module_of(root: &Path, file: &Path) -> Vec<String> {
    let place = file.strip_prefix(root).expect("below the root");
    let parts = place.with_extension("");
    let mut parts: Vec<String> = parts
        .iter()
        .map(|part| part.to_str().expect("UTF-8").to_string())
        .collect();
    if parts
        .last()
        .is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str()))
    {
        parts.pop();
    }
    parts
}

/// Code without comments and without the tests at its end.
fn code(text: &str) -> String {
    let (code, _) = text
        .split_once("#[cfg(test)]\nmod tests {")
        .unwrap_or((text, ""));
    let lines = code.lines().map(|line| {
        let (code, _) = line.split_once("//").unwrap_or((line, ""));
        code
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The paths that a tree such as `a::{b, c::d}` stands for, each after `before`; the text behind it.
fn paths<'a>(mut text: &'a str, before: &[String], found: &mut Vec<Vec<String>>) -> &'a str {
    let mut path = before.to_vec();
    loop {
        text = text.trim_start();
        if let Some(mut rest) = text.strip_prefix('{') {
            while !rest.trim_start().starts_with('}') {
                let after = paths(rest, &path, found).trim_start();
                rest = after.strip_prefix(',').unwrap_or(after);
                if rest.len() == text.len() || rest.is_empty() {
                    return rest;
                }
            }
            return &rest.trim_start()[1..];
        }
        let is_part = |character: char| character.is_alphanumeric() || character == '_';
        let end = text.find(|character| !is_part(character));
        let (part, rest) = text.split_at(end.unwrap_or(text.len()));
        if !part.is_empty() {
            path.push(part.to_string());
        }
        match rest.strip_prefix("::") {
            Some(after) => text = after,
            None => {
                found.push(path);
                // A glob or another name ends the path.
                let end = rest.find([',', '}', ';', ')', '(', '\n']);
                return &rest[end.unwrap_or(rest.len())..];
            }
        }
    }
}

/// The paths of a file's code that begin at the root of its crate, or at a module that holds it.
fn imported(code: &str, module: &[String]) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for start in ["crate::", "super::"] {
        for (at, _) in code.match_indices(start) {
            let before = code[..at].chars().next_back();
            if before.is_some_and(|before| before.is_alphanumeric() || "_:".contains(before)) {
                continue;
            }
            paths(&code[at..], &[], &mut found);
        }
    }
    let absolute = found.into_iter().map(|path| {
        let ups = path.iter().take_while(|part| *part == "super").count();
        let base = match ups {
            0 => &[],
            ups => &module[..module.len().saturating_sub(ups)],
        };
        // Beyond them, or beyond `crate`.
        [base, &path[ups.max(1)..]].concat()
    });
    absolute.collect()
}

/// The imports of a crate.
fn imports(name: &str) -> Imports {
    let root = crates().join(name).join("src");
    let files = sources(&root);
    let modules: BTreeSet<Vec<String>> = files.iter().map(|file| module_of(&root, file)).collect();
    let mut imports = Imports::new();
    for file in &files {
        let module = module_of(&root, file);
        if module.last().is_some_and(|last| last == "tests") {
            continue;
        }
        for depth in 0..module.len() {
            let folder = imports.entry(module[..depth].to_vec()).or_default();
            folder.entry(module[depth].clone()).or_default();
        }
        let text = fs::read_to_string(file).expect("a source");
        for path in imported(&code(&text), &module) {
            let shared = module.iter().zip(&path).take_while(|(a, b)| a == b).count();
            let (Some(from), Some(to)) = (module.get(shared), path.get(shared)) else {
                continue;
            };
            let folder = &module[..shared];
            if modules.contains(&[folder, std::slice::from_ref(to)].concat()) {
                let folder = imports.entry(folder.to_vec()).or_default();
                folder.entry(from.clone()).or_default().insert(to.clone());
            }
        }
    }
    imports
}

/// The modules of a folder that are left once those are taken away, again and again, that import none of the rest.
fn circle(folder: &BTreeMap<String, BTreeSet<String>>) -> BTreeMap<String, BTreeSet<String>> {
    let mut left = folder.clone();
    loop {
        let known: BTreeSet<String> = left.keys().cloned().collect();
        for imported in left.values_mut() {
            imported.retain(|name| known.contains(name));
        }
        left.retain(|_, imported| !imported.is_empty());
        if left.len() == known.len() {
            return left;
        }
    }
}

#[test]
fn no_two_modules_of_a_folder_import_each_other_on_whatever_way() {
    let mut allowed = 0;
    for entry in fs::read_dir(crates()).expect("a folder") {
        let name = entry.expect("an entry").file_name();
        let name = name.to_str().expect("UTF-8");
        for (folder, mut modules) in imports(name) {
            for (of_crate, exception, why) in ALLOWED {
                if of_crate != name || !folder.is_empty() {
                    continue;
                }
                let both = exception
                    .iter()
                    .map(|module| circle(&modules).contains_key(*module));
                assert!(both.into_iter().all(|is| is), "no longer needed: {why}");
                allowed += 1;
                for module in exception {
                    let imported = modules.get_mut(*module).expect("a module");
                    imported.retain(|name| !exception.contains(&name.as_str()));
                }
            }
            let left = circle(&modules);
            assert!(left.is_empty(), "{name}, {}: {left:?}", folder.join("::"));
        }
    }
    assert_eq!(allowed, ALLOWED.len());
}

/// The search finds what is there: imports of every kind, and circles.
#[test]
fn imports_are_found() {
    let data = imports("data");
    let root = &data[&Vec::new()];
    assert!(root["table"].contains("dense"), "{root:?}");
    let module = ["a", "b"].map(String::from);
    let code = "use super::c::{D, e::{self, F}};\nuse crate::g::*;\nfn h() { crate::i::j() }";
    let found = imported(code, &module);
    let found: Vec<String> = found.iter().map(|path| path.join("::")).collect();
    assert_eq!(
        found,
        ["g", "i::j", "a::c::D", "a::c::e::self", "a::c::e::F"]
    );
    let folder = |imports: &[(&str, &str)]| {
        let mut folder: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (from, to) in imports {
            folder.entry(to.to_string()).or_default();
            let imported = folder.entry(from.to_string()).or_default();
            imported.insert(to.to_string());
        }
        folder
    };
    assert!(circle(&folder(&[("a", "b"), ("b", "c"), ("a", "c")])).is_empty());
    assert_eq!(
        circle(&folder(&[("a", "b"), ("b", "c"), ("c", "b")])).len(),
        3
    );
}

#[test]
fn what_all_data_rests_on_imports_nothing_but_its_like() {
    let leaves = ["error", "labels", "plane", "split", "task", "text"];
    let data = imports("data");
    let root = &data[&Vec::new()];
    for leaf in leaves {
        let others = root[leaf]
            .iter()
            .filter(|name| !leaves.contains(&name.as_str()));
        assert_eq!(others.count(), 0, "{leaf}: {:?}", root[leaf]);
    }
}
