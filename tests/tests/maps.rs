//! The maps of the project name what is there: files in ARCHITECTURE.md, unsafe code and dependencies in RATIONALE.md.

#![expect(clippy::panic, reason = "what is missing fails the test")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The source files of a crate, from its folder on, without those of tests.
fn sources(package: &str) -> Vec<String> {
    fn walk(folder: &Path, base: &Path, into: &mut Vec<String>) {
        for entry in fs::read_dir(folder).expect("a folder of sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(&path, base, into);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                into.push(path.strip_prefix(base).expect("below it").to_string_lossy().replace('\\', "/"));
            }
        }
    }
    let base = root().join(package).join("src");
    let mut files = Vec::new();
    walk(&base, &base, &mut files);
    files.retain(|file| !file.split('/').any(|part| matches!(part, "tests" | "tests.rs" | "schedules.rs")));
    files.sort();
    files
}

/// All that stands in backticks, and each part of what is separated by slashes there.
fn named(text: &str) -> BTreeSet<&str> {
    text.split('`').skip(1).step_by(2).flat_map(|code| code.split(['/', ' ', ',', '{', '}']).chain([code])).collect()
}

/// The part of a document below a heading of the second level.
fn section<'a>(text: &'a str, heading: &str) -> &'a str {
    let start = text.find(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("no section is called {heading}"));
    let rest = &text[start + 1..];
    rest.find("\n## ").map_or(rest, |end| &rest[..end])
}

/// Files of a crate that its section does not name, by their stems. Roots and lists of modules need no name.
fn unnamed(files: &[String], section: &str) -> Vec<String> {
    let named = named(section);
    let is_named = |file: &&String| {
        let stem = file.rsplit('/').next().unwrap_or_default().trim_end_matches(".rs");
        matches!(stem, "lib" | "mod") || named.contains(stem) || named.contains(&*format!("{stem}.rs"))
    };
    files.iter().filter(|file| !is_named(file)).cloned().collect()
}

#[test]
fn every_source_file_has_its_place_in_the_architecture() {
    let map = read("ARCHITECTURE.md");
    for package in ["traced-runtime", "traced-tower", "traced-viewer", "traced-macros"] {
        let files = sources(package);
        assert!(files.len() > 5, "the sources of {package} were not found");
        let unnamed = unnamed(&files, section(&map, package));
        assert!(unnamed.is_empty(), "ARCHITECTURE.md, section {package}, names none of {unnamed:#?}");
    }
}

#[test]
fn every_file_with_unsafe_code_has_its_reason() {
    let reasons = read("RATIONALE.md");
    let reasons = section(&reasons, "Unsafe code");
    let mut seen = 0;
    for package in ["traced-runtime", "traced-tower", "traced-viewer"] {
        for file in sources(package) {
            let text = read(format!("{package}/src/{file}"));
            let code = text.find("#[cfg(test)]\nmod tests").map_or(&*text, |tests| &text[..tests]);
            if !code.contains("(unsafe_code, reason") && !code.contains("(\n    unsafe_code,") {
                continue;
            }
            seen += 1;
            let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder);
            let is_named = reasons.contains(&format!("`{file}`")) || reasons.contains(&format!("`{folder}/`"));
            assert!(is_named, "RATIONALE.md, section Unsafe code, does not name {package}/src/{file}");
        }
    }
    assert!(seen > 5, "the files with unsafe code were not found");
}

/// The names of a manifest's dependencies, without those of its tests.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut here = false;
    for line in manifest.lines() {
        if let Some(table) = line.strip_prefix('[') {
            let table = table.trim_end_matches(']');
            here = table.ends_with("dependencies") && !table.ends_with("dev-dependencies");
            let of_table =
                |(before, _): &(&str, &str)| before.ends_with("dependencies") && !before.ends_with("dev-dependencies");
            names.extend(table.rsplit_once('.').filter(of_table).map(|(_, name)| name.to_owned()));
        } else if here && line.starts_with(|first: char| first.is_ascii_alphanumeric()) {
            names.extend(line.split(['=', '.', ' ']).next().map(str::to_owned));
        }
    }
    names
}

#[test]
fn every_dependency_has_its_reason() {
    let reasons = read("RATIONALE.md");
    let is_no_name = |c: char| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_');
    let named: BTreeSet<&str> = section(&reasons, "Dependencies").split(is_no_name).collect();
    for package in ["traced-macros", "traced-runtime", "traced-tower", "traced-viewer"] {
        let names = dependencies(&read(format!("{package}/Cargo.toml")));
        assert!(!names.is_empty(), "the dependencies of {package} were not found");
        let unnamed: Vec<_> =
            names.iter().filter(|name| !name.starts_with("traced-") && !named.contains(&***name)).collect();
        assert!(unnamed.is_empty(), "RATIONALE.md, section Dependencies, names none of {unnamed:?} of {package}");
    }
}

#[test]
fn what_is_not_on_a_map_is_found() {
    let files = ["recorder/log.rs", "recorder/lost.rs", "lib.rs"].map(str::to_owned);
    assert_eq!(unnamed(&files, "| `log` · `chunk` | words |"), ["recorder/lost.rs"]);
    assert_eq!(unnamed(&files, "see `recorder/lost.rs` and `local/log`"), Vec::<String>::new());
    let manifest = "[package]\nname = \"x\"\n[dependencies]\nrand.workspace = true\n[target.x.dependencies.libc]\nversion = \"1\"\n[features]\na = []\n";
    assert_eq!(dependencies(manifest).into_iter().collect::<Vec<_>>(), ["libc", "rand"]);
    assert_eq!(section("# A\n\n## B\nb\n\n## C\nc\n", "B").trim(), "## B\nb");
}
