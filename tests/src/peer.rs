//! What a test needs of the machine: tools, and downloads that are made once.

use std::env;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
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
    keep(&folder().join(file), is_whole_zip, |partial, attempt| {
        let mut mvn = Command::new("mvn");
        mvn.args(["-B", "-q", "-C", "dependency:copy"])
            .arg(format!("-Dartifact={artifact}"))
            .arg(format!("-DoutputDirectory={}", partial.display()));
        if attempt > 1 {
            // Maven's own cache may be what is broken.
            mvn.arg(format!("-Dmaven.repo.local={}", partial.join("repository").display()));
        }
        run(&mut mvn)
    })
}

/// Where the program is that `make` builds of the files in the folder `sources` of this package; builds it first if these
/// sources have not been built yet, or by another `recipe`, which is the text that tells how.
///
/// `make` gets an empty folder, the name in it to which it must build a file or a folder, and 1, or 2 after a failure:
/// then it should leave caches aside, which may be what is broken. Processes and threads that ask at the same time wait
/// for the first. What was built of earlier sources goes.
///
/// # Errors
/// What went wrong in the second attempt.
///
/// # Panics
/// When the sources cannot be read.
pub fn build(
    sources: &str,
    name: &str,
    recipe: &str,
    mut make: impl FnMut(&Path, &str, u32) -> Result<(), String>,
) -> Result<PathBuf, String> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join(sources);
    let hash = match content_hash(&sources, recipe) {
        Ok(hash) => hash,
        Err(error) => panic!("cannot read {}: {error}", sources.display()),
    };
    let file = format!("{name}-{hash:016x}");
    let place = folder().join(&file);
    let is_new = !place.exists();
    let built = keep(&place, Path::exists, |partial, attempt| make(partial, &file, attempt))?;
    if is_new {
        forget_others(name, &file);
    }
    Ok(built)
}

/// Runs a tool to its end; an error is what it wrote.
///
/// # Errors
/// The end of its output, when it cannot be run or fails.
pub fn run(tool: &mut Command) -> Result<(), String> {
    const LINES: usize = 20;
    let name = tool.get_program().display().to_string();
    let output = tool.stdin(Stdio::null()).output().map_err(|error| format!("cannot run {name}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let end = &lines[lines.len().saturating_sub(LINES)..];
    Err(format!("{name} failed: {}: {}", output.status, end.join("\n")))
}

/// A hash of the recipe, and of the names and contents of the files of a folder; those of folders in it are left out.
fn content_hash(folder: &Path, recipe: &str) -> io::Result<u64> {
    let mut files = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    files.retain(|path| path.is_file());
    files.sort();
    let mut hasher = DefaultHasher::new();
    recipe.hash(&mut hasher);
    for file in files {
        file.file_name().hash(&mut hasher);
        fs::read(&file)?.hash(&mut hasher);
    }
    Ok(hasher.finish())
}

/// Removes what `build` made of other sources under this name.
fn forget_others(name: &str, kept: &str) {
    let start = format!("{name}-");
    for entry in fs::read_dir(folder()).into_iter().flatten().flatten() {
        let found = entry.file_name();
        let found = found.to_string_lossy();
        if found.starts_with(&start) && !found.starts_with(kept) {
            fs::remove_dir_all(entry.path()).or_else(|_| fs::remove_file(entry.path())).ok();
        }
    }
}

/// Calls `fetch` with an empty folder until `whole` is in it and complete, twice at most, and then moves it into place.
pub(crate) fn keep(
    whole: &Path,
    is_whole: impl Fn(&Path) -> bool,
    mut fetch: impl FnMut(&Path, u32) -> Result<(), String>,
) -> Result<PathBuf, String> {
    let told = |error: io::Error| format!("cannot store {}: {error}", whole.display());
    let name = whole.file_name().unwrap_or_default();
    let lock = File::create(whole.with_extension("lock")).map_err(told)?;
    lock.lock().map_err(told)?;
    if is_whole(whole) {
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
            if !is_whole(&file) {
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
        let kept = keep(&whole, is_whole_zip, |partial, attempt| {
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
        let kept = keep(&whole, is_whole_zip, |_, attempt| Err(format!("attempt {attempt}")));
        assert_eq!(kept, Err("attempt 2".to_owned()));
        assert!(!whole.exists());
        assert!(!whole.with_extension("partial").exists());
    }

    #[test]
    fn what_is_built_is_kept_until_its_sources_change() {
        let sources = place("sources").with_file_name("sources");
        fs::create_dir_all(&sources).unwrap();
        let folder = sources.display().to_string();
        let mut built = 0;
        let mut build = |content: &str| {
            fs::write(sources.join("a"), content).unwrap();
            let program = build(&folder, "test-build", "", |partial, file, _| {
                built += 1;
                fs::create_dir(partial.join(file)).unwrap();
                fs::write(partial.join(file).join("program"), content).unwrap();
                Ok(())
            });
            (program.unwrap(), built)
        };
        let (first, builds) = build("1");
        assert_eq!(builds, 1);
        assert_eq!(build("1"), (first.clone(), 1));
        let (second, builds) = build("2");
        assert_eq!(builds, 2);
        assert_eq!(fs::read(second.join("program")).unwrap(), b"2");
        assert!(!first.exists());
        fs::remove_dir_all(second).unwrap();
    }

    #[test]
    fn a_tool_that_fails_is_quoted() {
        let error = run(Command::new("sh").args(["-c", "echo out; echo err >&2; exit 3"])).unwrap_err();
        assert_eq!(error, "sh failed: exit status: 3: out\nerr");
    }

    #[test]
    fn threads_that_ask_together_fetch_once() {
        let whole = place("race");
        let fetched = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let kept = keep(&whole, is_whole_zip, |partial, _| {
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
