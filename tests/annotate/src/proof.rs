//! A run before and a run after, and what differs.

use std::fmt;
use std::fs;
use std::path::Path;

use crate::crates::Listed;
use crate::{Annotated, Error, Outcome, Package, Run, TestName, Traced, at};

/// The tests of one crate, without and with the attribute on all of its functions.
#[derive(Debug)]
pub struct Proof {
    /// What became of its functions.
    pub annotated: Annotated,
    /// The run without.
    pub before: Run,
    /// The run with.
    pub after: Run,
}

/// Something that the attribute changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// It does not compile any more.
    Build,
    /// A test came out otherwise; `None`: it did not run.
    Test(TestName, Option<Outcome>, Option<Outcome>),
    /// A test program came out otherwise as a whole.
    Program(String),
    /// The compiler says something that it did not say.
    Message(String),
    /// The compiler does not say any more what it said.
    MissingMessage(String),
    /// Tests ran in this program, and no span was recorded.
    Silent(String),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Difference::Build => f.write_str("does not compile"),
            Difference::Test(test, before, after) => {
                write!(f, "{}: {}: before {before:?}, after {after:?}", test.program, test.name)
            }
            Difference::Program(program) => write!(f, "{program} fails"),
            Difference::Message(message) => write!(f, "new message: {message}"),
            Difference::MissingMessage(message) => write!(f, "message gone: {message}"),
            Difference::Silent(program) => write!(f, "{program} recorded no span"),
        }
    }
}

impl Difference {
    /// Why it is right, if it is: from `expected.txt`.
    #[must_use]
    pub fn reason(&self, name: &str) -> Option<&'static str> {
        let told = self.to_string();
        let lines = include_str!("../expected.txt").lines().filter(|line| !line.starts_with('#'));
        let entries = lines.filter_map(|line| {
            let mut parts = line.splitn(3, " | ");
            Some((parts.next()?, parts.next()?, parts.next()?))
        });
        entries.into_iter().find(|(of, begins, _)| *of == name && told.starts_with(begins)).map(|(_, _, reason)| reason)
    }
}

impl Proof {
    /// Runs the tests of `package` before and after, in `folder`. A run before that is there is not repeated.
    pub fn run(package: &Package, how: &Listed, traced: &Traced, target: &Path, folder: &Path) -> Result<Proof, Error> {
        let before = folder.join("before");
        if !before.join("test.log").exists() {
            fs::remove_dir_all(&before).ok();
            let package = package.copy_to(&before.join("package"))?;
            package.stand_alone(&how.without)?;
            if how.newest {
                fs::remove_file(package.root().join("Cargo.lock")).ok();
            }
            if !Run::of(&package, &how.arguments, target, &before)?.compiled {
                return Err(at(before.join("build.log").display(), "does not compile without the attribute either"));
            }
        }
        let after = folder.join("after");
        fs::remove_dir_all(&after).ok();
        // With the lock file that the run before has made.
        let package = Package::at(before.join("package")).copy_to(&after.join("package"))?;
        package.annotate(traced, &how.faults)?;
        Run::of(&package, &how.arguments, target, &after)?;
        let proof = Proof::read(how, folder)?;
        let failed = proof.failed();
        if failed.is_empty() {
            return Ok(proof);
        }
        Run::try_alone(&failed, &package, &how.arguments, target, &after)?;
        Proof::read(how, folder)
    }

    /// What an earlier proof has left in `folder`.
    pub fn read(how: &Listed, folder: &Path) -> Result<Proof, Error> {
        let annotated = Package::at(folder.join("before/package")).examine(&how.faults)?;
        let before = Run::read(&folder.join("before"))?;
        let after = Run::read(&folder.join("after"))?;
        Ok(Proof { annotated, before, after })
    }

    /// Tests that passed before and failed after.
    #[must_use]
    pub fn failed(&self) -> Vec<TestName> {
        let passed = self.before.tests.iter().filter(|(_, outcome)| **outcome == Outcome::Passed);
        let failed = passed.filter(|(name, _)| self.after.tests.get(name) == Some(&Outcome::Failed));
        failed.map(|(name, _)| name.clone()).collect()
    }

    /// What the attribute changed. Nothing, if all is well. A test that passes alone is no difference.
    #[must_use]
    pub fn differences(&self) -> Vec<Difference> {
        let Proof { before, after, .. } = self;
        let mut differences = Vec::new();
        let messages = after.messages.difference(&before.messages);
        differences.extend(messages.cloned().map(Difference::Message));
        if !after.compiled {
            differences.insert(0, Difference::Build);
            return differences;
        }
        let messages = before.messages.difference(&after.messages);
        differences.extend(messages.cloned().map(Difference::MissingMessage));
        let names = before.tests.keys().chain(after.tests.keys().filter(|name| !before.tests.contains_key(name)));
        differences.extend(names.filter_map(|name| {
            let (before, after) = (before.tests.get(name).copied(), after.tests.get(name).copied());
            (before != after && !self.after.passed_alone.contains(name))
                .then(|| Difference::Test(name.clone(), before, after))
        }));
        // A program of which a test failed says nothing more.
        if self.failed().is_empty() {
            let programs = after.failed_programs.difference(&before.failed_programs);
            differences.extend(programs.cloned().map(Difference::Program));
        }
        differences.extend(after.silent_programs().into_iter().map(|program| Difference::Silent(program.to_owned())));
        differences
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(tests: &[(&str, Outcome)], messages: &[&str], spans: u64) -> Run {
        let program = "tests/all.rs".to_owned();
        let mut run = Run { compiled: true, ..Run::default() };
        for (name, outcome) in tests {
            run.tests.insert(TestName { program: program.clone(), name: (*name).to_owned() }, *outcome);
        }
        run.messages = messages.iter().map(|message| (*message).to_owned()).collect();
        run.spans.entry(program).or_default().recorded = spans;
        run
    }

    fn differences(before: Run, after: Run) -> Vec<String> {
        let proof = Proof { annotated: Annotated::default(), before, after };
        proof.differences().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_differs_is_told() {
        let tests = [("a", Outcome::Passed), ("b", Outcome::Failed), ("c", Outcome::Ignored)];
        assert_eq!(differences(run(&tests, &["x"], 0), run(&tests, &["x"], 7)), [""; 0]);
        assert_eq!(
            differences(run(&tests, &["x"], 0), run(&[("a", Outcome::Failed), tests[1]], &["y"], 0)),
            [
                "new message: y",
                "message gone: x",
                "tests/all.rs: a: before Some(Passed), after Some(Failed)",
                "tests/all.rs: c: before Some(Ignored), after None",
                "tests/all.rs recorded no span",
            ]
        );
        assert_eq!(differences(run(&tests, &[], 0), Run::default()), ["does not compile"]);
    }
}
