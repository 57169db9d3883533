//! An example of the workspace, run as a process of its own.

use std::collections::HashMap;
use std::io::{PipeReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::Value;

use crate::{Process, wait};

/// A program that is ready to be started.
#[derive(Debug)]
pub struct Program {
    name: String,
    command: Command,
    /// The end of a standard error that nobody reads, and the other one.
    stuck: Option<(PipeReader, Stdio)>,
}

/// A started program; dropping it kills it.
#[derive(Debug)]
pub struct Running {
    name: String,
    process: Process,
    stdout: Captured,
    stderr: Captured,
    _unread: Option<PipeReader>,
}

/// What a program left behind.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to its standard output; bytes that are no UTF-8 are replaced.
    pub stdout: String,
    /// What it wrote to its standard error.
    pub stderr: String,
}

impl Program {
    /// The example `name` of the package `traced-examples`. Cargo builds it first, which is quick when it is built already.
    ///
    /// # Panics
    /// When it does not build.
    #[track_caller]
    #[must_use]
    pub fn example(name: &str) -> Program {
        Program::example_of("traced-examples", name)
    }

    /// The example `name` of another package of the workspace.
    ///
    /// # Panics
    /// When it does not build.
    #[track_caller]
    #[must_use]
    pub fn example_of(package: &str, name: &str) -> Program {
        Program::at(&Program::path_of_example(package, name))
    }

    /// The program `name` of a package of the workspace.
    ///
    /// # Panics
    /// When it does not build.
    #[track_caller]
    #[must_use]
    pub fn binary(package: &str, name: &str) -> Program {
        Program::at(&Program::path_of_binary(package, name))
    }

    /// Where the example `name` of a package is, once it is built: for tests that start it in a way of their own.
    ///
    /// # Panics
    /// When it does not build.
    #[track_caller]
    #[must_use]
    pub fn path_of_example(package: &str, name: &str) -> PathBuf {
        built(package, "--example", name)
    }

    /// Where the program `name` of a package is, once it is built.
    ///
    /// # Panics
    /// When it does not build.
    #[track_caller]
    #[must_use]
    pub fn path_of_binary(package: &str, name: &str) -> PathBuf {
        built(package, "--bin", name)
    }

    /// A binary.
    #[must_use]
    pub fn at(path: &Path) -> Program {
        Program {
            name: path.file_name().unwrap_or_default().display().to_string(),
            command: Command::new(path),
            stuck: None,
        }
    }

    /// Where the binary is.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        PathBuf::from(self.command.get_program())
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl ToString) -> Self {
        self.command.arg(arg.to_string());
        self
    }

    /// Sets an environment variable; the others are those of the test.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl ToString) -> Self {
        self.command.env(name, value.to_string());
        self
    }

    /// Makes its standard error a pipe that is full, and that nobody reads: whoever writes to it waits for ever.
    ///
    /// # Panics
    /// When there are no pipes left.
    #[must_use]
    pub fn stuck_stderr(mut self) -> Program {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        let mut filling = writer.try_clone().expect("a pipe");
        // It waits, too, until the program is gone and with it the reader.
        thread::spawn(move || filling.write_all(&[b'.'; 1 << 20]));
        self.stuck = Some((reader, writer.into()));
        self
    }

    /// Runs the program to its end.
    ///
    /// # Panics
    /// When it has not ended within `timeout`: it is killed, and the message has what it wrote until then.
    #[track_caller]
    pub fn run(self, timeout: Duration) -> Output {
        self.start().wait(timeout)
    }

    /// Starts the program and leaves it running.
    ///
    /// # Panics
    /// When it cannot be started.
    #[track_caller]
    pub fn start(mut self) -> Running {
        let (unread, stderr) = self.stuck.map_or((None, Stdio::piped()), |(unread, stderr)| (Some(unread), stderr));
        self.command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr);
        let mut process = Process::start(&mut self.command);
        Running {
            name: self.name,
            stdout: Captured::read(process.child().stdout.take()),
            stderr: Captured::read(process.child().stderr.take()),
            process,
            _unread: unread,
        }
    }
}

impl Running {
    /// Waits for a line of standard output that starts with `start`, and returns the rest of it:
    /// `line("listening on ", …)`.
    ///
    /// # Panics
    /// When no such line comes in time, or the program ends without it.
    #[track_caller]
    pub fn line(&mut self, start: &str, timeout: Duration) -> String {
        let found = wait::poll(timeout, || {
            let ended = self.process.ended();
            if ended.is_some() {
                self.stdout.finish();
            }
            let found = self.lines().iter().find_map(|line| line.strip_prefix(start).map(str::to_owned));
            match (found, ended) {
                (Some(rest), _) => Some(Some(rest)),
                (None, Some(_)) => Some(None),
                (None, None) => None,
            }
        });
        match found.flatten() {
            Some(rest) => rest,
            None => panic!("no line `{start}…` within {timeout:?}: {}", self.so_far()),
        }
    }

    /// The lines that the program has written to its standard output so far.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let text = self.stdout.text();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(str::to_owned).collect()
    }

    /// Sends a signal by its name, as a supervisor does: `signal("TERM")`.
    ///
    /// # Panics
    /// When the program has ended.
    #[track_caller]
    pub fn signal(&mut self, name: &str) {
        self.process.signal(name);
    }

    /// The process id.
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// Waits for the end.
    ///
    /// # Panics
    /// When it does not come within `timeout`: the program is killed, and the message has what it wrote until then.
    #[track_caller]
    pub fn wait(mut self, timeout: Duration) -> Output {
        let Some(status) = wait::poll(timeout, || self.process.ended()) else {
            panic!("no end within {timeout:?}: {}", self.so_far())
        };
        self.stdout.finish();
        self.stderr.finish();
        Output { status, stdout: self.stdout.text(), stderr: self.stderr.text() }
    }

    fn so_far(&self) -> String {
        format!("{}\n--- stdout\n{}\n--- stderr\n{}", self.name, self.stdout.text(), self.stderr.text())
    }
}

impl Output {
    /// This output, of a program that must have succeeded.
    ///
    /// # Panics
    /// When it did not.
    #[track_caller]
    #[must_use]
    pub fn success(self) -> Output {
        assert!(self.status.success(), "{}\n--- stdout\n{}\n--- stderr\n{}", self.status, self.stdout, self.stderr);
        self
    }
}

/// A pipe that a thread reads to its end.
#[derive(Debug)]
struct Captured {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Captured {
    fn read(pipe: Option<impl Read + Send + 'static>) -> Captured {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let reader = pipe.map(|mut pipe| {
            let bytes = Arc::clone(&bytes);
            thread::spawn(move || {
                let mut buffer = [0; 4096];
                while let Ok(read @ 1..) = pipe.read(&mut buffer) {
                    locked(&bytes).extend_from_slice(&buffer[..read]);
                }
            })
        });
        Captured { bytes, reader }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&locked(&self.bytes)).into_owned()
    }

    /// Waits until everything is read that a program wrote which has ended. A child that it left behind may hold the pipe
    /// open: what that one writes is nobody's.
    fn finish(&mut self) {
        if let Some(reader) = self.reader.take() {
            _ = wait::poll(Duration::from_secs(1), || reader.is_finished().then_some(()));
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Builds a target once, and returns where it is.
#[track_caller]
fn built(package: &str, target: &str, name: &str) -> PathBuf {
    static BUILT: Mutex<Option<HashMap<String, PathBuf>>> = Mutex::new(None);
    let mut built = locked(&BUILT);
    let built = built.get_or_insert_default();
    let key = format!("{package} {target} {name}");
    match built.get(&key) {
        Some(path) => path.clone(),
        None => match build(package, target, name) {
            Ok(path) => built.entry(key).or_insert(path).clone(),
            Err(error) => panic!("{name} of {package} does not build: {error}"),
        },
    }
}

/// Builds a target with the profile of this test, and returns where cargo says it is.
fn build(package: &str, target: &str, name: &str) -> Result<PathBuf, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .args(["build", "--message-format", "json", "-p", package])
        .args([target, name]);
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let output = command.output().map_err(|error| error.to_string())?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(stderr.into_owned());
    }
    let stdout = String::from_utf8_lossy(&output.stdout);
    stdout
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == name)
        .find_map(|message| Some(PathBuf::from(message["executable"].as_str()?)))
        .ok_or_else(|| format!("cargo names no executable: {stderr}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eventually;

    fn shell(script: &str) -> Program {
        Program::at(Path::new("/bin/sh")).arg("-c").arg(script)
    }

    const SOON: Duration = Duration::from_secs(20);

    #[test]
    fn both_outputs_and_the_status_are_captured() {
        let output = shell("echo $GREETING; echo bad >&2; exit 3").env("GREETING", "hello");
        let output = output.run(SOON);
        assert_eq!(output.status.code(), Some(3));
        assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("hello\n", "bad\n"));
    }

    #[test]
    #[should_panic(expected = "no end within 300ms: sh\n--- stdout\nso far")]
    fn a_program_that_does_not_end_is_killed_and_shown() {
        shell("echo so far; exec sleep 600").run(Duration::from_millis(300));
    }

    #[test]
    fn a_server_is_waited_for_and_told_to_end() {
        let mut server = shell("echo listening on 80; trap 'exit 0' TERM; while :; do sleep 0.01; done").start();
        assert_eq!(server.line("listening on ", SOON), "80");
        server.signal("TERM");
        eventually("its end", SOON, || server.process.ended());
        drop(server.wait(SOON).success());
    }

    #[test]
    #[should_panic(expected = "no line `ready…`")]
    fn a_program_that_ends_without_the_line_is_not_waited_for() {
        shell("echo no").start().line("ready", Duration::from_secs(600));
    }
}
