//! The README shows what is there.

#![allow(clippy::panic, reason = "tests fail by panicking")]

use std::fs;
use std::path::Path;
use std::time::Duration;

use traced_tests::{Collector, Program};

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

/// The words of a tree that are the same in every run: no times, no bars, no ids, and of the critical path its longest part.
fn lasting(tree: &str) -> Vec<String> {
    let is_lasting = |word: &&str| {
        let varies = |c: char| c.is_ascii_digit() || "█░".contains(c);
        !word.starts_with(varies) && !["ns", "µs", "ms", "s"].contains(word) && !word.contains('…')
    };
    let line = |line: &str| {
        let line = if line.starts_with("critical path") { line.split(" · ").next().unwrap_or(line) } else { line };
        match line.strip_prefix("open  ") {
            Some(link) => link.split_once("/zipkin/traces/").map_or("open nothing", |_| "open a trace").to_owned(),
            None => line.split_whitespace().filter(is_lasting).collect::<Vec<_>>().join(" "),
        }
    };
    tree.lines().map(line).collect()
}

/// The block below the commands is what the example prints, and the picture was drawn of the same.
#[test]
fn its_tree_is_what_the_example_prints() {
    let readme = read("README.md");
    let tree = readme.split("```text\ntrace ").nth(1).and_then(|rest| rest.split("```").next()).unwrap_or_default();
    let collector = Collector::start();
    let program = Program::example("quickstart").env("OTEL_EXPORTER_ZIPKIN_ENDPOINT", collector.url());
    let program = program.env("LC_ALL", "C.UTF-8").env("COLUMNS", "").env("CLICOLOR_FORCE", "").env("TRACED_TREE", "");
    let output = program.run(Duration::from_secs(60)).success();
    assert_eq!(lasting(&format!("trace {tree}")), lasting(&output.stderr), "{}", output.stderr);

    let picture = read("docs/images/tree.svg");
    for word in tree.split_whitespace().filter(|word| word.starts_with(|c: char| c.is_ascii_alphabetic())) {
        assert!(picture.contains(word), "the picture has no {word}: scripts/tree-picture draws it anew");
    }
}
