//! What the compiler says about a `#[traced]` that is wrong, and about wrong code under a right one.

use traced_tests::fixture::Fixture;

#[test]
fn messages_blame_the_right_token() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}

/// The compiler's own words differ between its versions; what must not differ is where they point.
/// Each file is for a stage of the compiler, which goes no further when it finds an error.
#[test]
fn errors_and_warnings_stay_where_they_are_without_the_attribute() {
    let sources = [
        include_str!("ui/programs/errors.rs"),
        include_str!("ui/programs/borrows.rs"),
        include_str!("ui/programs/warnings.rs"),
    ];
    for source in sources {
        let without: String = source
            .lines()
            .map(|line| if line.contains("traced") { "\n".to_owned() } else { format!("{line}\n") })
            .collect();
        let with = diagnostics("with", source);
        assert!(with.len() > 10, "the file is full of them: {with:#?}");
        let without = diagnostics("without", &without);
        let places = |found: &[String]| -> Vec<String> { found.iter().map(|line| place_and_code(line)).collect() };
        assert_eq!(places(&with), places(&without));
        // An async function may be called an async block, and what is behind `self` has no name; all other words are the
        // same.
        let other_words = with.iter().zip(&without).filter(|(with, without)| {
            let of_function =
                with.replace("`async` block", "`async` function").replace("async block", "async function");
            with != without
                && of_function != **without
                && !["created by async block is not `Send`", "error[E0507]", "error[E0596]"]
                    .iter()
                    .any(|known| with.contains(known))
        });
        assert_eq!(other_words.collect::<Vec<_>>(), []);
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

/// Without the words.
fn place_and_code(diagnostic: &str) -> String {
    diagnostic.splitn(3, ':').take(2).collect::<Vec<_>>().join(":")
}

/// `line: error[code]: words` of each diagnostic.
fn diagnostics(name: &str, source: &str) -> Vec<String> {
    let output = check(name, source);
    let mut found: Vec<String> = output
        .lines()
        .filter_map(|line| line.strip_prefix("src/main.rs:"))
        .map(|line| {
            let mut parts = line.splitn(3, ':');
            format!("{}:{}", parts.next().unwrap_or_default(), parts.nth(1).unwrap_or_default())
        })
        .collect();
    found.sort();
    found
}

/// What the compiler says about a program, a line for each message.
fn check(name: &str, source: &str) -> String {
    let fixture = Fixture::new(env!("CARGO_TARGET_TMPDIR"), &format!("diagnostics/{name}"), &[("src/main.rs", source)]);
    let output = fixture.cargo(&["check", "--message-format=short"]);
    String::from_utf8_lossy(&output.stderr).into_owned()
}
