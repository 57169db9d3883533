//! Programs with a spool that are killed, and what arrives in the end. What one pipeline does with its files is tested beside
//! it, in `traced-runtime`.
#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use traced_tests::{Answer, Collector, Program, Running, Zipkin, eventually};

const SOON: Duration = Duration::from_secs(60);
const SPANS: usize = 300;

fn spool() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// The program in `tests/examples`, with this spool, sending to this collector.
fn program(url: &str, spool: &Path) -> Program {
    let program = Program::example_of("traced-tests", "spools");
    program.env("OTEL_EXPORTER_ZIPKIN_ENDPOINT", url).env("TRACED_SPOOL", spool.display())
}

/// A program that recorded so many spans, and has all of them on the disk.
fn keeping(url: &str, spool: &Path, spans: usize) -> Running {
    let mut program = program(url, spool).arg("keep").arg(spans).start();
    assert_eq!(program.line("spooled ", SOON), spans.to_string());
    program
}

fn kill(mut program: Running) {
    program.signal("KILL");
    assert!(!program.wait(SOON).status.success());
}

/// The spans that arrived, each once, and how many arrived once more.
fn arrived(collector: &Collector) -> (usize, usize) {
    let mut ids = collector.accepted_ids();
    let all = ids.len();
    ids.dedup();
    (ids.len(), all - ids.len())
}

/// The files of batches below the spool.
fn batches(spool: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for folder in std::fs::read_dir(spool).unwrap() {
        let folder = folder.unwrap().path();
        for file in std::fs::read_dir(&folder).into_iter().flatten() {
            files.extend(Some(file.unwrap().path()).filter(|file| file.extension().is_some_and(|e| e == "spool")));
        }
    }
    files
}

#[test]
fn a_killed_program_loses_nothing_that_was_spooled() {
    let (mut collector, spool) = (Collector::start(), spool());
    collector.down();
    kill(keeping(&collector.url(), spool.path(), SPANS));
    let kept = batches(spool.path()).len();
    assert!(kept > 10, "{kept} batches");
    collector.up();
    let output = program(&collector.url(), spool.path()).arg("send").run(SOON).success();
    assert_eq!(arrived(&collector), (SPANS, 0));
    assert_eq!(
        output.stderr,
        "traced: no spans recorded: no annotated function was called while tracing was on; of 300 spans that others left in the \
         spool, 300 sent\n"
    );
    assert_eq!(std::fs::read_dir(spool.path()).unwrap().count(), 0, "nothing is left behind");
}

/// Killed again and again while it sends: each time the batch that was in flight is repeated, and no other.
#[test]
fn each_kill_repeats_at_most_the_batch_in_flight() {
    let (mut collector, spool) = (Collector::start(), spool());
    collector.down();
    kill(keeping(&collector.url(), spool.path(), SPANS));
    let batches = batches(spool.path()).len();
    collector.up();
    collector.answer(Answer::silence());
    let kills = 5;
    assert!(batches > 2 * kills, "{batches} batches");
    for _ in 0..kills {
        let requests = collector.received().len();
        // Two arrive; the third one has no answer when the program is killed.
        collector.answer_next(Answer::status(202));
        collector.answer_next(Answer::status(202));
        let sending = program(&collector.url(), spool.path()).arg("send").start();
        collector.wait_for(requests + 3);
        kill(sending);
    }
    collector.answer(Answer::status(202));
    program(&collector.url(), spool.path()).arg("send").run(SOON);
    // What had its answer came once.
    assert_eq!(arrived(&collector), (SPANS, 0));
    // The one that each kill interrupted came a second time.
    assert_eq!(collector.received().len(), batches + kills);
}

/// Killed while it writes, at any moment: a file that is not whole is set aside, all others arrive.
#[test]
fn a_kill_while_writing_costs_what_was_in_memory_alone() {
    let (mut collector, spool) = (Collector::start(), spool());
    collector.down();
    for at_least in [1, 4, 9] {
        let writing = program(&collector.url(), spool.path()).arg("keep").arg(1_000_000).start();
        let before = batches(spool.path()).len();
        eventually("batches", SOON, || (batches(spool.path()).len() >= before + at_least).then_some(()));
        kill(writing);
    }
    // What one kill left torn, the next program has set aside.
    let entries = std::fs::read_dir(spool.path()).unwrap().map(|entry| entry.unwrap().path());
    let kept =
        batches(spool.path()).len() + entries.filter(|path| path.extension().is_some_and(|e| e == "bad")).count();
    collector.up();
    drop(program(&collector.url(), spool.path()).arg("send").run(SOON).success());
    let set_aside = std::fs::read_dir(spool.path()).unwrap().count();
    assert!(set_aside <= 3, "one for each kill, if it came in the middle of a file");
    let requests = collector.received().len();
    assert_eq!(requests + set_aside, kept);
    assert_eq!(arrived(&collector).1, 0);
}

#[test]
fn two_programs_share_a_spool() {
    let (mut collector, spool) = (Collector::start(), spool());
    collector.down();
    let [one, two] = [100, 200].map(|spans| keeping(&collector.url(), spool.path(), spans));
    // Who is alive keeps what is theirs; who is not is inherited from.
    kill(one);
    collector.up();
    drop(program(&collector.url(), spool.path()).arg("send").run(SOON).success());
    collector.wait_for_spans(300);
    eventually("the files' end", SOON, || batches(spool.path()).is_empty().then_some(()));
    kill(two);
    assert_eq!(arrived(&collector), (300, 0));
}

/// `TRACED_SPOOL=/tmp` by mistake: what is called like ours there is somebody's.
#[test]
fn a_directory_shared_with_other_programs_keeps_all_that_is_theirs() {
    let (mut collector, spool) = (Collector::start(), spool());
    collector.down();
    let mode = |path: &Path, mode| std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    mode(spool.path(), 0o1777);
    let elsewhere = tempfile::tempdir().unwrap();
    kill(keeping(&collector.url(), elsewhere.path(), 10));
    let planted = batches(elsewhere.path())[0].parent().unwrap().to_owned();
    // Another program's, a link to somebody's folder of a spool, and a copy of it that all may write to.
    let theirs = spool.path().join("myapp");
    std::fs::create_dir(&theirs).unwrap();
    for file in ["lock", "job.spool", "0000000000000001.spool"] {
        std::fs::write(theirs.join(file), "somebody's").unwrap();
    }
    symlink(&planted, spool.path().join("00c0ffee00c0ffee")).unwrap();
    let open = spool.path().join("00c0ffee00c0ffef");
    std::fs::create_dir(&open).unwrap();
    for file in std::fs::read_dir(&planted).unwrap().map(|entry| entry.unwrap().path()) {
        std::fs::copy(&file, open.join(file.file_name().unwrap())).unwrap();
    }
    mode(&open, 0o777);
    let files = || {
        let mut files = [spool.path(), elsewhere.path()].map(batches).concat();
        files.extend([theirs.join("lock"), theirs.join("job.spool"), planted.join("lock"), open.join("lock")]);
        files.sort();
        files.into_iter().map(|file| (std::fs::read(&file).unwrap(), file)).collect::<Vec<_>>()
    };
    let before = files();
    kill(keeping(&collector.url(), spool.path(), SPANS));
    collector.up();
    let output = program(&collector.url(), spool.path()).arg("send").run(SOON).success();
    assert_eq!(arrived(&collector), (SPANS, 0), "what was planted is not sent");
    assert_eq!(files(), before);
    for told in ["is shared: every user may write to it (mode 1777)", "2 items in the spool"] {
        assert!(output.stderr.contains(told), "{}", output.stderr);
    }
}

/// As those do who clean up temporary directories: the lock is older than all batches.
#[test]
fn what_a_killed_program_left_is_sent_though_its_lock_is_gone() {
    let (mut collector, spool) = (Collector::start(), spool());
    collector.down();
    let living = keeping(&collector.url(), spool.path(), 100);
    let lock = batches(spool.path())[0].with_file_name("lock");
    std::fs::remove_file(&lock).unwrap();
    // As long as it lives, nobody else has it.
    kill(keeping(&collector.url(), spool.path(), 200));
    assert!(!lock.exists());
    kill(living);
    collector.up();
    drop(program(&collector.url(), spool.path()).arg("send").run(SOON).success());
    assert_eq!(arrived(&collector), (300, 0));
    assert_eq!(std::fs::read_dir(spool.path()).unwrap().count(), 0);
}

/// No file may grow: what a full disk does, without one.
#[test]
fn a_full_disk_is_told_once_and_spans_wait_in_memory() {
    let (mut collector, spool) = (Collector::start(), spool());
    collector.down();
    let script = "ulimit -f 0; exec \"$0\" keep 100";
    let path = Program::example_of("traced-tests", "spools").path();
    let program = Program::at(Path::new("/bin/sh")).arg("-c").arg(script).arg(path.display());
    let program =
        program.env("OTEL_EXPORTER_ZIPKIN_ENDPOINT", collector.url()).env("TRACED_SPOOL", spool.path().display());
    let mut program = program.start();
    program.line("failed ", SOON);
    assert_eq!(batches(spool.path()), [] as [PathBuf; 0], "nothing torn is left");
    collector.up();
    // What was recorded until then.
    collector.wait_for_spans(10);
    let output = {
        program.signal("KILL");
        program.wait(SOON)
    };
    let told = output.stderr.matches("cannot write to the spool").count();
    assert_eq!(told, 1, "{}", output.stderr);
    assert!(output.stderr.contains("File too large"), "{}", output.stderr);
}

/// As an operator does it who wants the spans of one file in another Zipkin.
#[test]
fn a_file_can_be_sent_by_hand() {
    let Some(zipkin) = Zipkin::shared() else { return };
    let (mut collector, spool) = (Collector::start(), spool());
    collector.down();
    kill(keeping(&collector.url(), spool.path(), 10));
    let mut spans = 0;
    for file in batches(spool.path()) {
        let body = Command::new("tail").args(["-c", "+41"]).arg(file).output().unwrap().stdout;
        spans += serde_json::from_slice::<Vec<serde_json::Value>>(&body).unwrap().len();
        assert_eq!(zipkin.post_spans(body, "application/json"), (202, String::new()));
    }
    assert_eq!(spans, 10);
}
