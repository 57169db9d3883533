//! The README shows what is there.

#![allow(clippy::panic, reason = "tests fail by panicking")]

use std::fs;
use std::path::Path;

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("cannot read {path}: {error}"))
}

/// The first block of Rust in the README is the example, but for the comment at its head.
#[test]
fn its_first_program_is_the_quickstart_example() {
    let readme = read("README.md");
    let program = readme.split("```rust\n").nth(1).and_then(|rest| rest.split("```").next());
    let example = read("examples/examples/quickstart.rs");
    let (_, code) = example.split_once("\n\n").unwrap_or_else(|| panic!("the example has a comment at its head"));
    assert_eq!(program, Some(code));
}

/// Every feature of the crate has a row in the README's table.
#[test]
fn it_lists_every_feature() {
    let manifest = read("traced-runtime/Cargo.toml");
    let features = manifest.split("[features]").nth(1).and_then(|rest| rest.split("\n[").next());
    let readme = read("README.md");
    let names =
        features.into_iter().flat_map(str::lines).filter_map(|line| line.split_once(" = ")).map(|(name, _)| name);
    let missing: Vec<_> =
        names.filter(|name| *name != "default" && !readme.contains(&format!("| `{name}` |"))).collect();
    assert_eq!(missing, [""; 0]);
}
