//! What `cargo test` said of a package: each test, each warning, the spans.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::{Error, Package, at};

/// Seconds after which a test suite is given up.
const GIVEN_UP: u32 = 1800;

/// A test: the program that it is part of, and its own name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TestName {
    /// As cargo calls it: `unittests src/lib.rs`, `tests/all.rs`, `Doc-tests bytes`.
    pub program: String,
    /// As the harness calls it.
    pub name: String,
}

/// What became of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// `ok`
    Passed,
    /// `FAILED`
    Failed,
    /// `ignored`
    Ignored,
}

/// The spans of all processes of one test program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spans {
    /// How many there were.
    pub recorded: u64,
    /// How many of them found no room and did not reach the reporter.
    pub lost: u64,
    /// The functions, by file and line, that have reached the reporter.
    pub functions: BTreeSet<String>,
}

/// One `cargo test` of a package. It leaves all it knows in a folder, and can be read again from there.
#[derive(Debug, Default)]
pub struct Run {
    /// All tests.
    pub tests: BTreeMap<TestName, Outcome>,
    /// Test programs that failed as a whole, as cargo tells it at the end.
    pub failed_programs: BTreeSet<String>,
    /// What the compiler had to say: level, code and place of each message.
    pub messages: BTreeSet<String>,
    /// Tests that failed among the others and passed alone: those that measure time, on a busy machine.
    pub passed_alone: BTreeSet<TestName>,
    /// Whether it compiled.
    pub compiled: bool,
    /// The spans by test program; the documentation's tests have one entry together.
    pub spans: BTreeMap<String, Spans>,
    /// What the harnesses say that the tests took, in seconds.
    pub seconds: f64,
}

const MESSAGES: &str = "messages.json";
const LOG: &str = "test.log";
const SPANS: &str = "spans";
const ALONE: &str = "passed-alone.txt";

/// How often a test is tried alone.
const TRIES: u32 = 3;

impl Run {
    /// Builds and runs the tests of `package`; what comes out is kept in `folder`.
    pub fn of(package: &Package, arguments: &[String], target: &Path, folder: &Path) -> Result<Run, Error> {
        let spans = folder.join(SPANS);
        let log = folder.join(LOG);
        // What an earlier run has left.
        fs::remove_dir_all(&spans).ok();
        fs::remove_file(&log).ok();
        fs::create_dir_all(&spans).map_err(|error| at(spans.display(), error))?;
        fs::remove_file(folder.join(ALONE)).ok();
        let cargo = |more: &[&str]| {
            let mut cargo = cargo_test(package, arguments, target);
            cargo.args(more).env("TRACED_PROOF_FOLDER", &spans);
            cargo
        };
        let build = create(&folder.join(MESSAGES))?;
        let errors = create(&folder.join("build.log"))?;
        let built = cargo(&["--no-run", "--message-format=json"]).stdout(build).stderr(errors).status()?;
        if built.success() {
            let log = create(&log)?;
            // One file for both, so that tests stand below the program that cargo names.
            cargo(&["--no-fail-fast"]).stdout(log.try_clone()?).stderr(log).status()?;
        }
        Run::read(folder)
    }

    /// Tries tests again that failed, each alone, and notes in `folder` which of them passed.
    pub fn try_alone(
        tests: &[TestName],
        package: &Package,
        arguments: &[String],
        target: &Path,
        folder: &Path,
    ) -> Result<(), Error> {
        let log = create(&folder.join("alone.log"))?;
        let mut passed = String::new();
        for test in tests {
            let tries = || -> Result<bool, Error> {
                let mut cargo = cargo_test(package, arguments, target);
                match test.program.split_once("tests/") {
                    Some((_, name)) => cargo.args(["--test", name.trim_end_matches(".rs")]),
                    None if test.program.starts_with("Doc-tests") => cargo.arg("--doc"),
                    None => cargo.arg("--lib"),
                };
                // `name - should panic`
                let name = test.name.split_once(" - should panic").map_or(&*test.name, |(name, _)| name);
                cargo.args(["--", "--exact", name]);
                Ok(cargo.stdout(log.try_clone()?).stderr(log.try_clone()?).status()?.success())
            };
            for _ in 0..TRIES {
                if tries()? {
                    passed.push_str(&format!("{}\t{}\n", test.program, test.name));
                    break;
                }
            }
        }
        fs::write(folder.join(ALONE), passed).map_err(|error| at(folder.display(), error))
    }

    /// What an earlier run has left in `folder`.
    pub fn read(folder: &Path) -> Result<Run, Error> {
        let mut run = Run::default();
        let messages = folder.join(MESSAGES);
        let messages = fs::read_to_string(&messages).map_err(|error| at(messages.display(), error))?;
        run.messages = messages.lines().filter_map(message).collect();
        let Ok(log) = fs::read(folder.join(LOG)) else { return Ok(run) };
        run.compiled = true;
        let programs = run.read_log(&String::from_utf8_lossy(&log));
        let alone = fs::read_to_string(folder.join(ALONE)).unwrap_or_default();
        let names = alone.lines().filter_map(|line| line.split_once('\t'));
        run.passed_alone =
            names.map(|(program, name)| TestName { program: program.to_owned(), name: name.to_owned() }).collect();
        for entry in fs::read_dir(folder.join(SPANS))? {
            let path = entry?.path();
            let text = fs::read_to_string(&path).map_err(|error| at(path.display(), error))?;
            let file = path.file_stem().unwrap_or_default().to_string_lossy();
            let program = programs.get(&*file).map_or("others", String::as_str);
            run.spans.entry(program.to_owned()).or_default().add(&text);
        }
        Ok(run)
    }

    /// Reads the tests, and returns the programs: name of the file, and what cargo calls it.
    fn read_log(&mut self, log: &str) -> BTreeMap<String, String> {
        let mut programs = BTreeMap::new();
        let mut program = String::new();
        for line in log.lines() {
            if let Some(running) = line.strip_prefix("     Running ") {
                // `unittests src/lib.rs (target/debug/deps/bytes-0123456789abcdef)`
                let (name, file) = running.rsplit_once(" (").unwrap_or((running, ""));
                program = name.to_owned();
                let file = PathBuf::from(file.trim_end_matches(')'));
                let file = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
                programs.insert(file, program.clone());
            } else if let Some(name) = line.strip_prefix("   Doc-tests ") {
                program = format!("Doc-tests {name}");
                programs.insert("rust_out".to_owned(), program.clone());
            } else if let Some((name, outcome)) = test(line) {
                self.tests.insert(TestName { program: program.clone(), name }, outcome);
            } else if let Some(target) = line.strip_prefix("    `").and_then(|line| line.strip_suffix('`')) {
                self.failed_programs.insert(target.to_owned());
            } else if let Some((_, seconds)) = line.rsplit_once("; finished in ") {
                self.seconds += seconds.trim_end_matches('s').parse().unwrap_or(0.0);
            }
        }
        programs
    }

    /// How many tests came out this way.
    #[must_use]
    pub fn count(&self, outcome: Outcome) -> usize {
        self.tests.values().filter(|other| **other == outcome).count()
    }

    /// The spans of all programs.
    #[must_use]
    pub fn all_spans(&self) -> Spans {
        let mut all = Spans::default();
        for spans in self.spans.values() {
            all.recorded += spans.recorded;
            all.lost += spans.lost;
            all.functions.extend(spans.functions.iter().cloned());
        }
        all
    }

    /// Test programs in which a test ran and no span was recorded.
    #[must_use]
    pub fn silent_programs(&self) -> BTreeSet<&str> {
        let ran = self.tests.iter().filter(|(_, outcome)| **outcome != Outcome::Ignored);
        let programs = ran.map(|(test, _)| test.program.as_str());
        programs.filter(|program| self.spans.get(*program).is_none_or(|spans| spans.recorded == 0)).collect()
    }
}

impl Spans {
    fn add(&mut self, text: &str) {
        for line in text.lines() {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            match word {
                "recorded" => self.recorded += rest.parse::<u64>().unwrap_or(0),
                "lost" => self.lost += rest.parse::<u64>().unwrap_or(0),
                "ran" => self.functions.extend(rest.rsplit_once(' ').map(|(place, _)| place.to_owned())),
                _ => {}
            }
        }
    }
}

/// `cargo test` as it is run before and after.
fn cargo_test(package: &Package, arguments: &[String], target: &Path) -> Command {
    let mut cargo = Command::new("timeout");
    cargo.arg(GIVEN_UP.to_string()).args(["cargo", "test"]).args(arguments).current_dir(package.root());
    cargo.env("CARGO_TARGET_DIR", target).env("CARGO_INCREMENTAL", "0").env("CARGO_TERM_COLOR", "never");
    cargo.env("CARGO_PROFILE_DEV_DEBUG", "line-tables-only");
    // Errors print their backtraces, and tests compare what is printed.
    cargo.env_remove("RUST_BACKTRACE").env_remove("RUST_LIB_BACKTRACE");
    // Those of the workspace around, where this runs as one of its tests.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(&name);
        }
    }
    cargo
}

fn create(path: &Path) -> Result<File, Error> {
    File::create(path).map_err(|error| at(path.display(), error))
}

/// `test module::name - should panic ... ok`
fn test(line: &str) -> Option<(String, Outcome)> {
    let (name, outcome) = line.strip_prefix("test ")?.split_once(" ... ")?;
    // What a test prints past the harness may stand between the two.
    let outcome = if outcome.ends_with("FAILED") {
        Outcome::Failed
    } else if outcome.starts_with("ignored") {
        Outcome::Ignored
    } else {
        Outcome::Passed
    };
    Some((name.to_owned(), outcome))
}

/// Level, code and place of a message of the compiler, from cargo's JSON.
fn message(line: &str) -> Option<String> {
    let line: Value = serde_json::from_str(line).ok()?;
    // Those by path are packages, too: the folder of the one in question has this name.
    if line["reason"] != "compiler-message" || !line["manifest_path"].as_str()?.ends_with("/package/Cargo.toml") {
        return None;
    }
    let message = &line["message"];
    let spans = message["spans"].as_array()?;
    let place = spans.iter().find(|span| span["is_primary"] == true)?;
    let code = message["code"]["code"].as_str().unwrap_or("-");
    let text = message["message"].as_str().unwrap_or_default();
    let text = text.lines().next().unwrap_or_default();
    Some(format!(
        "{} {code} {}:{} {text}",
        message["level"].as_str().unwrap_or_default(),
        place["file_name"].as_str()?,
        place["line_start"]
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_read() {
        let mut run = Run::default();
        let programs = run.read_log(
            "     Running unittests src/lib.rs (target/debug/deps/bytes-0123)\n\nrunning 3 tests\ntest a::b ... ok\n\
             test c - should panic ... ok\ntest d ... FAILED\ntest e ... ignored, too slow\n\n\
             test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 1.50s\n\n\
             error: test failed, to rerun pass `--lib`\n   Doc-tests bytes\ntest src/lib.rs - x (line 3) ... ok\n\
             error: 1 target failed:\n    `--lib`\n",
        );
        let tests: Vec<_> = run.tests.iter().map(|(test, outcome)| (&*test.program, &*test.name, *outcome)).collect();
        assert_eq!(
            tests,
            [
                ("Doc-tests bytes", "src/lib.rs - x (line 3)", Outcome::Passed),
                ("unittests src/lib.rs", "a::b", Outcome::Passed),
                ("unittests src/lib.rs", "c - should panic", Outcome::Passed),
                ("unittests src/lib.rs", "d", Outcome::Failed),
                ("unittests src/lib.rs", "e", Outcome::Ignored),
            ]
        );
        assert_eq!(programs["bytes-0123"], "unittests src/lib.rs");
        assert!(run.failed_programs.contains("--lib"));
    }
}
