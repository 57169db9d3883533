//! No lint of the compiler's or Clippy's is added or silenced by the attribute, but for those listed here.

use std::collections::BTreeSet;

use traced_tests::fixture::{Fixture, without_attributes};

const FILES: &[(&str, &str)] = &[
    ("asynchronous", include_str!("macro_shapes/asynchronous.rs")),
    ("attributes", include_str!("macro_shapes/attributes.rs")),
    ("bodies", include_str!("macro_shapes/bodies.rs")),
    ("futures", include_str!("macro_shapes/futures.rs")),
    ("impls", include_str!("macro_shapes/impls.rs")),
    ("methods", include_str!("macro_shapes/methods.rs")),
    ("parents", include_str!("macro_shapes/parents.rs")),
    ("sync", include_str!("macro_shapes/sync.rs")),
    ("traits", include_str!("macro_shapes/traits.rs")),
    ("warned", include_str!("ui/programs/warnings.rs")),
    ("linted", include_str!("ui/programs/lints.rs")),
];

/// What differs, and why it does. `docs/shapes.md` tells it to users.
const KNOWN: &[(&str, &str)] = &[
    // They speak of `async`, which the compiler sees no more, and of `impl Future`, which it sees instead.
    ("silenced", "clippy::unused_async"),
    ("silenced", "clippy::manual_async_fn"),
    ("silenced", "clippy::missing_errors_doc"),
    // They look at the whole of a body, which now opens a span or is that of a closure.
    ("silenced", "clippy::missing_const_for_fn"),
    ("silenced", "clippy::unnecessary_wraps"),
    ("silenced", "clippy::needless_pass_by_value"),
    ("silenced", "clippy::boxed_local"),
    ("silenced", "clippy::elidable_lifetime_names"),
    // They look at the last expression of a function, not at that of a closure or async block that a macro wrote.
    ("silenced", "clippy::implicit_return"),
    ("silenced", "clippy::needless_return"),
    // Arguments are bound again: with their name, and by reference for a `parent` inside of a pattern.
    ("added", "clippy::min_ident_chars"),
    ("added", "clippy::pattern_type_mismatch"),
    // The tokens of options count as the function's: a suffix in a tag, an argument that a tag alone uses.
    ("added", "clippy::separated_literal_suffix"),
    ("silenced", "unused_variables"),
];

/// What is left behind where an attribute was taken away.
const LEFT_BEHIND: &[&str] =
    &["unused_imports", "clippy::empty_line_after_doc_comments", "clippy::empty_line_after_outer_attr"];

#[test]
fn are_neither_added_nor_silenced() {
    let (with, without) = (lints("with", str::to_owned), lints("without", without_attributes));
    assert!(without.len() > 500, "there is much to say: {}", without.len());
    let mut seen = BTreeSet::new();
    let mut unknown = Vec::new();
    for (what, lint) in with
        .difference(&without)
        .map(|lint| ("added", lint))
        .chain(without.difference(&with).map(|lint| ("silenced", lint)))
    {
        let code = lint.split(' ').next_back().unwrap_or_default();
        match KNOWN.iter().find(|known| **known == (what, code)) {
            Some(known) => drop(seen.insert(known)),
            None if LEFT_BEHIND.contains(&code) => {}
            None => unknown.push(format!("{what} {lint}")),
        }
    }
    assert_eq!(unknown, [""; 0], "{unknown:#?}");
    let unseen: Vec<_> = KNOWN.iter().filter(|known| !seen.contains(known)).collect();
    assert!(unseen.is_empty(), "they do not differ any more: {unseen:?}");
}

/// `file:line code` of each lint.
fn lints(name: &str, change: fn(&str) -> String) -> BTreeSet<String> {
    let mut root =
        "#![warn(warnings, unused, missing_docs, future_incompatible, nonstandard_style, rust_2018_idioms)]\n\
         #![warn(let_underscore_drop, unreachable_pub, unused_qualifications, single_use_lifetimes, unused_results)]\n\
         #![warn(clippy::all, clippy::pedantic, clippy::nursery, clippy::restriction)]\n"
            .to_owned();
    let mut files = Vec::new();
    for (name, source) in FILES {
        root.push_str(&format!("pub mod {name};\n"));
        files.push((format!("src/{name}.rs"), change(source)));
    }
    root.push_str("fn main() {}\n");
    files.push(("src/main.rs".to_owned(), root));
    let files: Vec<(&str, &str)> = files.iter().map(|(path, content)| (path.as_str(), content.as_str())).collect();
    let output = Fixture::new(env!("CARGO_TARGET_TMPDIR"), &format!("lints/{name}"), &files).cargo(&[
        "clippy",
        "--tests",
        "--message-format=json",
    ]);
    let messages = String::from_utf8_lossy(&output.stdout);
    let mut lints = BTreeSet::new();
    for message in messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok()) {
        let message = &message["message"];
        let Some(code) = message["code"]["code"].as_str() else { continue };
        assert_ne!(message["level"], "error", "{}", message["rendered"]);
        let Some(span) =
            message["spans"].as_array().and_then(|spans| spans.iter().find(|span| span["is_primary"] == true))
        else {
            continue;
        };
        let file = span["file_name"].as_str().unwrap_or_default().trim_start_matches("src/");
        lints.insert(format!("{file}:{} {code}", span["line_start"]));
    }
    assert!(!lints.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    lints
}
