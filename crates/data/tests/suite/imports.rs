//! Modules of the crate import downwards only.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Every source file of a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let found = paths.flat_map(|path| match path.is_dir() {
        true => sources(&path),
        false => vec![path],
    });
    found.collect()
}

/// The modules of the crate's root, and which of the others each imports outside of its tests.
fn imports() -> BTreeMap<String, BTreeSet<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut imports: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for path in sources(&root) {
        let place = path.strip_prefix(&root).unwrap();
        let first = place.iter().next().unwrap().to_str().unwrap();
        let module = first.trim_end_matches(".rs").to_string();
        if module == "lib" {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let (code, _) = text.split_once("#[cfg(test)]").unwrap_or((&text, ""));
        let of_module = imports.entry(module.clone()).or_default();
        for (start, _) in code.match_indices("use crate::") {
            let rest = &code[start + "use crate::".len()..];
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
            let name = &rest[..end.unwrap_or(rest.len())];
            if name != module {
                of_module.insert(name.to_string());
            }
        }
    }
    imports
}

#[test]
fn no_two_modules_import_each_other_on_whatever_way() {
    let mut left = imports();
    assert!(left["table"].contains("dense"), "{left:?}");
    while !left.is_empty() {
        let known: BTreeSet<String> = left.keys().cloned().collect();
        let before = left.len();
        left.retain(|_, imported| imported.iter().any(|name| known.contains(name)));
        assert!(
            left.len() < before,
            "modules that import each other: {left:?}"
        );
    }
}

#[test]
fn what_everything_rests_on_imports_nothing_but_its_like() {
    let leaves = ["error", "labels", "plane", "split", "task", "text"];
    let imports = imports();
    for leaf in leaves {
        let others = imports[leaf]
            .iter()
            .filter(|name| !leaves.contains(&name.as_str()));
        assert_eq!(others.count(), 0, "{leaf}: {:?}", imports[leaf]);
    }
}
