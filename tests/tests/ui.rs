//! What the compiler says about a `#[traced]` that is wrong, and about wrong code under a right one.

use std::path::Path;
use std::process::Command;
use std::{env, fs};

#[test]
fn messages_blame_the_right_token() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}

/// The compiler's own words differ between its versions; what must not differ is where they point.
#[test]
fn errors_and_warnings_stay_where_they_are_without_the_attribute() {
    for source in [include_str!("ui/programs/errors.rs"), include_str!("ui/programs/warnings.rs")] {
        let without: String = source
            .lines()
            .map(|line| if line.contains("traced") { "\n".to_owned() } else { format!("{line}\n") })
            .collect();
        let with = diagnostics("with", source);
        assert!(with.len() > 10, "the file is full of them: {with:#?}");
        assert_eq!(with, diagnostics("without", &without));
    }
}

/// What a value lacks is told at the value, with what to write instead.
#[test]
fn values_are_blamed_where_they_stand() {
    let output = check("values", include_str!("ui/programs/values.rs"));
    let errors: Vec<&str> = output.lines().filter_map(|line| line.strip_prefix("src/main.rs:")).collect();
    for (place, message) in [
        ("6:15", "error[E0277]: `Opaque` cannot be the value of a tag"),
        ("11:22", "error[E0277]"),
        ("16:10", "error[E0277]"),
        ("21:10", "error[E0308]"),
        ("26:19", "error[E0277]"),
    ] {
        let expected = format!("{place}: {message}");
        assert!(errors.iter().any(|error| error.starts_with(&expected)), "{expected} is not among\n{output}");
    }
    assert_eq!(errors.len(), 5, "{output}");
}

/// `line: error[code]` of each diagnostic.
fn diagnostics(name: &str, source: &str) -> Vec<String> {
    let output = check(name, source);
    let mut found: Vec<String> = output
        .lines()
        .filter_map(|line| line.strip_prefix("src/main.rs:"))
        .map(|line| {
            let mut parts = line.split(':');
            let number = parts.next().unwrap_or_default();
            format!("{number}:{}", parts.nth(1).unwrap_or_default())
        })
        .collect();
    found.sort();
    found
}

/// What the compiler says about a program, a line for each message.
fn check(name: &str, source: &str) -> String {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let package = Path::new(env!("CARGO_TARGET_TMPDIR")).join("diagnostics").join(name);
    fs::create_dir_all(package.join("src")).expect("a directory of our own");
    let runtime = tests.join("../traced-runtime");
    let manifest = format!(
        "[package]\nname = \"diagnostics-{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n\
         [dependencies]\ntraced-runtime = {{ path = {runtime:?}, default-features = false }}\n",
    );
    fs::write(package.join("Cargo.toml"), manifest).expect("written");
    fs::copy(tests.join("../Cargo.lock"), package.join("Cargo.lock")).expect("copied");
    fs::write(package.join("src/main.rs"), source).expect("written");
    let output = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["check", "--quiet", "--offline", "--message-format=short"])
        .current_dir(&package)
        .env("CARGO_TARGET_DIR", package.with_file_name("target"))
        .output()
        .expect("cargo runs");
    String::from_utf8_lossy(&output.stderr).into_owned()
}
