//! A child process that ends with its owner.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};

/// A child process that is killed when this value is dropped, and also when the process that holds it ends in any other
/// way: statics are not dropped, and a killed test drops nothing.
///
/// A shell beside the child reads from a pipe whose other end only this process holds; at its end of file it kills the
/// child. Both stand in process groups of their own, so Ctrl-C reaches the test alone. Unix only.
#[derive(Debug)]
pub struct Process {
    child: Child,
    watchdog: Child,
}

impl Process {
    /// Starts `command`.
    ///
    /// # Panics
    /// When it cannot be started.
    #[track_caller]
    pub fn start(command: &mut Command) -> Process {
        Process::try_start(command).unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"))
    }

    fn try_start(command: &mut Command) -> io::Result<Process> {
        hears_interrupts(command);
        let mut child = command.process_group(0).spawn()?;
        let watchdog = Command::new("sh")
            .args(["-c", r#"read -r _; kill -9 "$1" 2>/dev/null"#, "watchdog"])
            .arg(child.id().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn();
        match watchdog {
            Ok(watchdog) => Ok(Process { child, watchdog }),
            Err(error) => {
                child.kill()?;
                child.wait()?;
                Err(error)
            }
        }
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The child itself: its pipes.
    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// How the process ended, if it did.
    ///
    /// # Panics
    /// When the operating system does not tell.
    #[track_caller]
    pub fn ended(&mut self) -> Option<ExitStatus> {
        match self.child.try_wait() {
            Ok(status) => status,
            Err(error) => panic!("cannot wait for process {}: {error}", self.id()),
        }
    }

    /// Sends a signal by its name (`TERM`, `INT`, …), as a supervisor does.
    ///
    /// # Panics
    /// When there is no such signal or the process has ended.
    #[track_caller]
    pub fn signal(&mut self, name: &str) {
        assert!(self.ended().is_none(), "process {} ended before signal {name}", self.id());
        let sent = Command::new("kill").args(["-s", name, &self.id().to_string()]).status();
        assert!(
            matches!(&sent, Ok(status) if status.success()),
            "cannot send {name} to process {}: {sent:?}",
            self.id()
        );
    }
}

/// What a shell starts in the background ignores SIGINT, and so does everything below it, unless somebody says otherwise: a
/// test that interrupts its peer would wait for ever.
#[allow(unsafe_code, reason = "runs between fork and exec")]
fn hears_interrupts(command: &mut Command) {
    let reset = || {
        // SAFETY: `signal` may be called there, and the handler is the default one.
        unsafe { libc::signal(libc::SIGINT, libc::SIG_DFL) };
        Ok(())
    };
    // SAFETY: it allocates nothing and takes no lock.
    unsafe { command.pre_exec(reset) };
}

impl Drop for Process {
    fn drop(&mut self) {
        // First the watchdog: once the child is waited for, its number may be another's.
        self.watchdog.kill().ok();
        self.watchdog.wait().ok();
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by a panic")]
mod tests {
    use super::*;
    use crate::eventually;
    use std::time::Duration;

    fn is_alive(id: u32) -> bool {
        let state = Command::new("ps").args(["-o", "stat=", "-p", &id.to_string()]).output().unwrap();
        let state = String::from_utf8_lossy(&state.stdout).trim().to_owned();
        !state.is_empty() && !state.starts_with('Z')
    }

    #[test]
    fn dropping_kills_the_process() {
        let process = Process::start(Command::new("sleep").arg("600"));
        let id = process.id();
        assert!(is_alive(id));
        drop(process);
        assert!(!is_alive(id));
    }

    #[test]
    fn the_process_ends_when_its_owner_was_killed() {
        let mut process = Process::start(Command::new("sleep").arg("600"));
        let id = process.id();
        // What the end of the owner does: the system closes its end of the pipe.
        drop(process.watchdog.stdin.take());
        eventually("the watchdog", Duration::from_secs(10), || (!is_alive(id)).then_some(()));
        assert!(process.ended().is_some());
    }

    #[test]
    fn a_signal_reaches_the_process() {
        let mut process = Process::start(Command::new("sleep").arg("600"));
        process.signal("TERM");
        let status = eventually("the end", Duration::from_secs(10), || process.ended());
        assert!(!status.success());
    }
}
