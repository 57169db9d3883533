//! The layers of traced-runtime: a folder imports from folders below it alone.
//!
//! The test reads the paths that begin with `crate::`, wherever they stand, but for tests and comments. What the crate's root
//! exports again stands above all layers, so none of them names it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// From the ground up. The two of a row stand side by side: neither imports from the other.
const LAYERS: &[&[&str]] =
    &[&["model"], &["process"], &["propagation"], &["recorder"], &["context", "reporter"], &["tracer"]];

/// What stands above all layers.
const ABOVE: &[&str] = &["lib.rs", "private", "testing", "fuzz.rs"];

/// An import: of what by which file, in which line.
#[derive(Debug)]
struct Import {
    file: String,
    line: usize,
    from: String,
}

fn rank(folder: &str) -> Option<usize> {
    LAYERS.iter().position(|row| row.contains(&folder))
}

fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

/// The code of a file before its tests, line by line, without comments.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let tests = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    let lines = text[..tests].lines().enumerate();
    lines.map(|(at, line)| (at + 1, line.split("//").next().unwrap_or_default()))
}

/// The first part of each path that begins at the crate's root, and of those in braces behind it.
fn roots(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in line.match_indices("crate::") {
        // `$crate` is what a macro writes where it is used.
        if line[..at].ends_with(|before: char| before.is_alphanumeric() || matches!(before, '_' | '$')) {
            continue;
        }
        let rest = &line[at + "crate::".len()..];
        let names = match rest.strip_prefix('{') {
            Some(list) => list.split([',', '}']).collect(),
            None => vec![rest],
        };
        let name = |path: &str| path.trim().split(|c: char| !c.is_alphanumeric() && c != '_').next().map(str::to_owned);
        found.extend(names.into_iter().filter_map(name).filter(|name| !name.is_empty()));
    }
    found
}

/// What the folders below `src` import from where.
fn imports(src: &Path) -> BTreeMap<String, Vec<Import>> {
    let mut files = Vec::new();
    sources(src, &mut files);
    let mut imports = BTreeMap::<String, Vec<Import>>::new();
    for path in files {
        let file = path.strip_prefix(src).expect("below the folder").to_string_lossy().replace('\\', "/");
        if file.ends_with("tests.rs") || file.contains("/tests/") || file.ends_with("/model.rs") {
            continue;
        }
        let folder = file.split('/').next().unwrap_or_default().to_owned();
        let list = imports.entry(folder).or_default();
        let text = fs::read_to_string(&path).expect("a source file");
        for (line, text) in code(&text) {
            list.extend(roots(text).into_iter().map(|from| Import { file: file.clone(), line, from }));
        }
    }
    imports
}

/// What breaks the rule.
fn upward(imports: &BTreeMap<String, Vec<Import>>) -> Vec<String> {
    let mut wrong = Vec::new();
    for (folder, imports) in imports {
        if ABOVE.contains(&folder.as_str()) {
            continue;
        }
        let Some(own) = rank(folder) else {
            wrong.push(format!("{folder} is in no layer: put it into LAYERS, and into ARCHITECTURE.md"));
            continue;
        };
        for Import { file, line, from } in imports {
            if from != folder && rank(from).is_none_or(|other| other >= own) {
                wrong.push(format!("{file}:{line} imports from {from}, which is not below {folder}"));
            }
        }
    }
    wrong
}

#[test]
fn a_folder_imports_from_folders_below_it_alone() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("../traced-runtime/src");
    let imports = imports(&src);
    assert!(LAYERS.iter().flat_map(|row| *row).all(|folder| imports.contains_key(*folder)), "{:?}", imports.keys());
    assert!(imports.values().map(Vec::len).sum::<usize>() > 200, "the imports were not found");
    let wrong = upward(&imports);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_import_from_above_is_found() {
    let import = |folder: &str, from: &str| {
        let import = Import { file: format!("{folder}/file.rs"), line: 1, from: from.to_owned() };
        upward(&BTreeMap::from([(folder.to_owned(), vec![import])])).len()
    };
    assert_eq!(import("recorder", "model"), 0);
    assert_eq!(import("recorder", "recorder"), 0);
    assert_eq!(import("recorder", "tracer"), 1);
    assert_eq!(import("reporter", "context"), 1, "side by side");
    assert_eq!(import("model", "Span"), 1, "what the root exports");
    assert_eq!(import("model", "private"), 1);
    assert_eq!(import("testing", "tracer"), 0, "stands above all");
    assert_eq!(import("util", "model"), 1, "a new folder has to find its layer");
    assert_eq!(roots("use crate::{tracer::Core, model}; // crate::context"), ["tracer", "model", "context"]);
    assert_eq!(roots("$crate::__private::enter(&crate::model::SITE)"), ["model"]);
    let text = "use crate::model::a; // crate::tracer\n#[cfg(test)]\nmod tests {\n    use crate::testing;\n";
    let found: Vec<_> = code(text).flat_map(|(_, line)| roots(line)).collect();
    assert_eq!(found, ["model"]);
}
