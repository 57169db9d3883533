//! What a test needs of the machine: tools, and downloads that are made once.

use std::env;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Asks for a tool on the search path (`java`, `mvn`, `go`); `install` says how to get it.
///
/// # Errors
/// The reason to give to [`skip`], when it is missing.
pub fn tool(name: &str, install: &str) -> Result<(), String> {
    let path = env::var_os("PATH").unwrap_or_default();
    if env::split_paths(&path).any(|folder| folder.join(name).is_file()) {
        return Ok(());
    }
    Err(format!("`{name}` is not on the search path; {install}"))
}

/// Says on one line of stderr which test is skipped and why: `reason` is the cause and what to do.
///
/// The line passes by the capture of the test harness, which shows nothing of a test that passes. The name of the test is
/// that of the thread.
///
/// # Panics
/// With `TRACED_REQUIRE_PEERS=1`.
#[track_caller]
pub fn skip<T>(reason: &str) -> Option<T> {
    let binary = env::current_exe().unwrap_or_default();
    let binary = binary.file_stem().unwrap_or_default().to_string_lossy();
    // Cargo appends a hash to the name of a test binary.
    let binary = binary.rsplit_once('-').map_or(&*binary, |(name, _)| name);
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("its tests");
    if env::var_os("TRACED_REQUIRE_PEERS").is_some_and(|value| value == "1") {
        panic!("{binary} {test}: {reason} (TRACED_REQUIRE_PEERS=1 forbids to skip it)");
    }
    writeln!(io::stderr(), "skipped: {binary} {test}: {reason}").ok();
    None
}

/// The folder of downloads: `peers` in cargo's target directory.
///
/// # Panics
/// When it cannot be made.
pub fn folder() -> PathBuf {
    let executable = env::current_exe().unwrap_or_default();
    // Cargo marks the target directory, wherever the configuration puts it.
    let target = executable
        .ancestors()
        .find(|folder| folder.join("CACHEDIR.TAG").is_file())
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"), Path::to_path_buf);
    let folder = target.join("peers");
    match fs::create_dir_all(&folder) {
        Ok(()) => folder,
        Err(error) => panic!("cannot make {}: {error}", folder.display()),
    }
}

/// Where a jar from Maven's central repository is; fetches it first if it is not there.
///
/// `artifact` is `group:name:version:packaging:classifier` and `file` the name that Maven gives it. Processes and threads
/// that ask at the same time wait for the first. A broken file is thrown away and fetched again, past Maven's own cache.
///
/// # Errors
/// What went wrong in the second attempt.
pub fn jar(artifact: &str, file: &str) -> Result<PathBuf, String> {
    keep(&folder().join(file), |partial, attempt| {
        let mut mvn = Command::new("mvn");
        mvn.args(["-B", "-q", "-C", "dependency:copy"])
            .arg(format!("-Dartifact={artifact}"))
            .arg(format!("-DoutputDirectory={}", partial.display()))
            .stdin(Stdio::null());
        if attempt > 1 {
            // Maven's own cache may be what is broken.
            mvn.arg(format!("-Dmaven.repo.local={}", partial.join("repository").display()));
        }
        let output = mvn.output().map_err(|error| format!("cannot run mvn: {error}"))?;
        if output.status.success() {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let line = text.lines().find(|line| line.contains("ERROR"));
        Err(format!("mvn dependency:copy of {artifact} failed: {}", line.unwrap_or("no message")))
    })
}

/// Calls `fetch` with an empty folder until `whole` is in it and complete, twice at most, and then moves it into place.
fn keep(whole: &Path, mut fetch: impl FnMut(&Path, u32) -> Result<(), String>) -> Result<PathBuf, String> {
    let told = |error: io::Error| format!("cannot store {}: {error}", whole.display());
    let name = whole.file_name().unwrap_or_default();
    let lock = File::create(whole.with_extension("lock")).map_err(told)?;
    lock.lock().map_err(told)?;
    if is_whole_zip(whole) {
        return Ok(whole.to_path_buf());
    }
    let partial = whole.with_extension("partial");
    let mut result = Err(String::new());
    for attempt in 1..=2 {
        // What a killed process left behind.
        fs::remove_dir_all(&partial).ok();
        fs::create_dir_all(&partial).map_err(told)?;
        result = fetch(&partial, attempt).and_then(|()| {
            let file = partial.join(name);
            if !is_whole_zip(&file) {
                return Err(format!("the download of {} is broken", whole.display()));
            }
            fs::rename(&file, whole).map_err(told)
        });
        if result.is_ok() {
            break;
        }
    }
    fs::remove_dir_all(&partial).ok();
    result.map(|()| whole.to_path_buf())
}

/// Whether `path` ends as a zip file does, with the record that closes its table of contents.
fn is_whole_zip(path: &Path) -> bool {
    const RECORD: i64 = 22;
    let mut end = Vec::new();
    let read = File::open(path).and_then(|mut file| {
        file.seek(SeekFrom::End(-RECORD))?;
        file.read_to_end(&mut end)
    });
    read.is_ok() && end.starts_with(b"PK\x05\x06")
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by a panic")]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// The smallest zip file: an empty table of contents.
    const ZIP: &[u8] = b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

    fn place(test: &str) -> PathBuf {
        let folder = folder().join(format!("test-{test}"));
        fs::remove_dir_all(&folder).ok();
        fs::create_dir_all(&folder).unwrap();
        folder.join("a.jar")
    }

    #[test]
    fn a_broken_download_is_fetched_again_and_not_kept() {
        let whole = place("broken");
        fs::write(&whole, &ZIP[..20]).unwrap();
        let mut attempts = Vec::new();
        let kept = keep(&whole, |partial, attempt| {
            attempts.push(attempt);
            let bytes = if attempt == 1 { &ZIP[..9] } else { ZIP };
            fs::write(partial.join("a.jar"), bytes).unwrap();
            Ok(())
        });
        assert_eq!(kept, Ok(whole.clone()));
        assert_eq!(attempts, [1, 2]);
        assert_eq!(fs::read(&whole).unwrap(), ZIP);
    }

    #[test]
    fn a_download_that_fails_twice_says_why_and_leaves_nothing() {
        let whole = place("fails");
        let kept = keep(&whole, |_, attempt| Err(format!("attempt {attempt}")));
        assert_eq!(kept, Err("attempt 2".to_owned()));
        assert!(!whole.exists());
        assert!(!whole.with_extension("partial").exists());
    }

    #[test]
    fn threads_that_ask_together_fetch_once() {
        let whole = place("race");
        let fetched = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let kept = keep(&whole, |partial, _| {
                        fetched.fetch_add(1, Ordering::Relaxed);
                        fs::write(partial.join("a.jar"), ZIP).unwrap();
                        Ok(())
                    });
                    assert_eq!(kept, Ok(whole.clone()));
                });
            }
        });
        assert_eq!(fetched.into_inner(), 1);
    }
}
