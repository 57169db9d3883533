//! The same with a spool: real files, and senders that do as they are told.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::*;
use crate::model::numbers::Count;
use crate::reporter::attributes::TagValue;
use crate::reporter::spool::{Folder, Heir, SpoolSettings};
use crate::reporter::stats::Stats;

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn config_with(
    directory: &Path,
    send: impl FnMut(Vec<u64>) -> Result<(), SendError> + Send + 'static,
) -> (PipelineConfig, Notes) {
    let (mut config, notes) = config(Output::Zipkin(Box::new(Fake(send))));
    config.spool = Some(SpoolSettings { directory: directory.to_owned(), bytes: 256 << 20 });
    config.linger = Duration::ZERO;
    (config, notes)
}

/// A collector that is switched on and off, and remembers what it took.
#[derive(Clone, Default)]
struct Switch {
    on: Arc<Mutex<bool>>,
    taken: Arc<Mutex<Vec<Vec<u64>>>>,
}

impl Switch {
    fn sender(&self) -> impl FnMut(Vec<u64>) -> Result<(), SendError> + Send + 'static {
        let this = self.clone();
        move |ids| {
            if !*this.on.lock().unwrap() {
                return Err(SendError::unreachable("HOST is off"));
            }
            this.taken.lock().unwrap().push(ids);
            Ok(())
        }
    }

    fn on(&self, on: bool) {
        *self.on.lock().unwrap() = on;
    }

    fn ids(&self) -> Vec<u64> {
        self.taken.lock().unwrap().concat()
    }
}

/// Waits until things stand as they should.
#[track_caller]
fn until(pipeline: &Pipeline, is_there: impl Fn(&Stats) -> bool) {
    let stats = pipeline.wait_until(soon(), |stats| {
        assert!(stats.tally().is_conserved(), "{stats:?}");
        is_there(stats)
    });
    assert!(is_there(&stats), "{stats:?}");
}

/// Offers the first spans of a pipeline, and waits for each until it is in the spool: each is a batch.
fn spool_each(pipeline: &Pipeline, ids: std::ops::RangeInclusive<u64>) {
    for (before, id) in (0..).zip(ids) {
        offer(pipeline, id..=id);
        until(pipeline, |stats| stats.tally().spooled() == before + 1);
    }
}

/// Starts a pipeline, and waits until it has begun to look at what others left: nothing is written before the end of that.
fn start_and_look(config: PipelineConfig, directory: &Path) -> Arc<Pipeline> {
    let never_locked = directory.join("ffffffffffffffff");
    fs::create_dir(&never_locked).unwrap();
    let pipeline = start(config);
    until(&pipeline, |_| !never_locked.exists());
    pipeline
}

fn batches(directory: &Path) -> Vec<PathBuf> {
    let files = |path: &Path| fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    let folders = files(directory).into_iter().filter(|path| path.is_dir());
    let mut batches: Vec<_> = folders
        .flat_map(|folder| files(&folder))
        .filter(|file| file.extension().is_some_and(|e| e == "spool"))
        .collect();
    batches.sort();
    batches
}

#[test]
fn what_cannot_be_sent_waits_on_the_disk_and_is_sent_oldest_first() {
    let (folder, collector) = (folder(), Switch::default());
    let (config, notes) = config_with(folder.path(), collector.sender());
    let began = Instant::now();
    let pipeline = start(config);
    spool_each(&pipeline, 1..=20);
    let tally = pipeline.tally();
    assert_eq!((tally.recorded(), tally.queued(), tally.spooled(), tally.dropped()), (20, 20, 20, 0));
    assert_eq!(batches(folder.path()).len(), 20);
    assert_eq!(pipeline.stats().spooled_bytes(), 20 * 4_096);
    assert_eq!(pipeline.stats().queued_bytes(), 0, "the one that is tried is there, too");
    collector.on(true);
    let tally = pipeline.flush(soon());
    assert_eq!((tally.sent(), tally.queued(), tally.spooled()), (20, 0, 0));
    assert_eq!(collector.ids(), (1..=20).collect::<Vec<_>>());
    assert_eq!(batches(folder.path()).len(), 0);
    pipeline.shutdown(soon());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "an empty folder goes");
    let notes = notes.lock().unwrap();
    assert_eq!(
        notes[0],
        "HOST is off; spans wait in the spool, 1 by now; when it is full, the oldest are dropped. Check that the backend runs \
         there; collector() or OTEL_EXPORTER_ZIPKIN_ENDPOINT says where spans go"
    );
    // How long that was is the disk's matter, but not longer than all of this.
    let told = |seconds| {
        let seconds = Count(seconds, "second");
        format!("the backend takes spans again after {seconds}; 0 spans dropped meanwhile, 19 waiting in the spool")
    };
    assert!((0..=began.elapsed().as_secs()).any(|seconds| notes[1] == told(seconds)), "{notes:?}");
    assert_eq!(notes.len(), 2);
}

/// Each flush has an attempt made at once; that must not look like a new trouble each time.
#[test]
fn flushes_in_an_outage_do_not_keep_spans_from_the_disk() {
    let (folder, collector) = (folder(), Switch::default());
    let (config, _) = config_with(folder.path(), collector.sender());
    let pipeline = Pipeline::start_with(config, Backoff::new(Duration::from_millis(50), HOUR)).unwrap();
    for id in 1..=20 {
        offer(&pipeline, id..=id);
        pipeline.flush(Instant::now() + Duration::from_millis(1));
    }
    until(&pipeline, |stats| stats.tally().spooled() == 20);
    collector.on(true);
    assert_eq!(pipeline.shutdown(soon()).sent(), 20);
}

/// The disk takes what the collector does not: that is waited for, and not for a disk that failed.
#[test]
fn a_full_queue_is_waited_for_while_it_goes_to_the_disk() {
    for is_there in [true, false] {
        let (folder, collector) = (folder(), Switch::default());
        let directory = folder.path().join("spool");
        let (mut config, _) = config_with(&directory, collector.sender());
        let size = spans(1..=1)[0].size();
        (config.queue_bytes, config.batch_bytes) = (8 * size, 2 * size);
        let pipeline = start(config);
        spool_each(&pipeline, 1..=2);
        if !is_there {
            fs::remove_dir_all(&directory).unwrap();
            fs::write(&directory, "no folder").unwrap();
            offer(&pipeline, 3..=3);
            until(&pipeline, |stats| stats.spool_failures() > 0);
        }
        pipeline.ended(100);
        let blocks = vec![Block::new(spans(101..=200))];
        let began = Instant::now();
        assert!(pipeline.offer(blocks, &mut Buffers::default(), &mut Patience::of_a_test()).is_empty());
        let dropped = pipeline.tally().dropped();
        assert!(
            if is_there { dropped == 0 } else { dropped > 90 && began.elapsed() < Duration::from_secs(30) },
            "{dropped}"
        );
        collector.on(true);
        let tally = pipeline.shutdown(soon());
        assert!(tally.sent() >= if is_there { 102 } else { 1 }, "{tally:?}");
    }
}

#[test]
fn a_pipeline_that_is_never_in_trouble_writes_nothing() {
    let (folder, collector) = (folder(), Switch::default());
    collector.on(true);
    let directory = folder.path().join("not yet");
    let (config, _) = config_with(&directory, collector.sender());
    let pipeline = start(config);
    offer(&pipeline, 1..=10);
    assert_eq!(pipeline.shutdown(soon()).sent(), 10);
    assert!(!directory.exists());
}

#[test]
fn a_shutdown_leaves_what_a_dead_collector_did_not_take_and_the_next_start_sends_it() {
    let (folder, collector) = (folder(), Switch::default());
    for run in 0..3 {
        let (config, notes) = config_with(folder.path(), collector.sender());
        let pipeline = start(config);
        until(&pipeline, |stats| stats.adopted().found() == 10 * run);
        offer(&pipeline, 10 * run + 1..=10 * run + 10);
        let tally = pipeline.shutdown(Instant::now() + HOUR);
        assert_eq!((tally.queued(), tally.spooled(), tally.dropped()), (10, 10, 0), "{tally}");
        let notes = notes.lock().unwrap();
        // At shutdown, or before if all of it was there by then.
        let told = ["left in the spool at shutdown", "spans wait in the spool"];
        assert!(notes.last().is_some_and(|note| told.iter().any(|told| note.contains(told))), "{notes:?}");
    }
    collector.on(true);
    let (config, _) = config_with(folder.path(), collector.sender());
    let pipeline = start(config);
    until(&pipeline, |stats| stats.adopted().sent() == 30);
    let stats = pipeline.stats();
    assert_eq!((stats.tally().recorded(), stats.tally().sent()), (0, 0), "recorded elsewhere");
    assert_eq!((stats.adopted().found(), stats.adopted().queued(), stats.adopted().dropped()), (30, 0, 0));
    assert_eq!(collector.ids(), (1..=30).collect::<Vec<_>>());
    pipeline.shutdown(soon());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_sender_that_hangs_holds_neither_the_spool_nor_what_is_in_its_hands() {
    let (gate, send) = gate();
    let folder = folder();
    let (mut config, _) = config_with(folder.path(), send);
    config.queue_bytes = 8 * spans(1..=1)[0].size();
    let pipeline = start(config);
    offer(&pipeline, 1..=1);
    assert_eq!(gate.arrived.recv().unwrap(), [1]);
    // More than the queue holds, and nothing is dropped.
    for id in 2..=50 {
        offer(&pipeline, id..=id);
        until(&pipeline, |stats| stats.tally().spooled() + 6 >= id);
    }
    // Time for the disk to take the last ones, a quarter of it: the sender costs all.
    let tally = pipeline.shutdown(Instant::now() + Duration::from_secs(2));
    assert_eq!((tally.spooled(), tally.dropped()), (50, 0), "{tally}");
    gate.go.send(Ok(())).unwrap();
    pipeline.shutdown(soon());
    let collector = Switch::default();
    collector.on(true);
    let (config, _) = config_with(folder.path(), collector.sender());
    let pipeline = start(config);
    until(&pipeline, |stats| stats.adopted().sent() == 50);
    assert_eq!(collector.ids(), (1..=50).collect::<Vec<_>>(), "the first one a second time");
    pipeline.shutdown(soon());
}

#[test]
fn a_full_spool_drops_the_oldest_and_counts_them() {
    let (folder, collector) = (folder(), Switch::default());
    let (mut config, notes) = config_with(folder.path(), collector.sender());
    config.spool = config.spool.map(|spool| SpoolSettings { bytes: 4 * 4_096, ..spool });
    let pipeline = start(config);
    for id in 1..=10 {
        offer(&pipeline, id..=id);
        until(&pipeline, |stats| stats.tally().spooled() + stats.tally().dropped() == id);
    }
    let tally = pipeline.tally();
    // Besides the newest, the one that is tried all the time.
    assert_eq!(drops(&tally), [(DropReason::SpoolFull, 6)]);
    assert_eq!((tally.spooled(), pipeline.stats().spooled_bytes()), (4, 4 * 4_096));
    collector.on(true);
    assert_eq!(pipeline.shutdown(soon()).sent(), 4);
    assert_eq!(collector.ids(), [1, 8, 9, 10]);
    let notes = notes.lock().unwrap();
    let full = "1 span dropped, the oldest in the spool, because it is full; raise spool_bytes, or sample less";
    assert_eq!(notes.iter().filter(|note| *note == full).count(), 1, "{notes:?}");
}

#[test]
fn torn_and_foreign_files_are_set_aside_and_the_rest_is_sent() {
    let (folder, collector) = (folder(), Switch::default());
    let (config, _) = config_with(folder.path(), collector.sender());
    let pipeline = start(config);
    spool_each(&pipeline, 1..=4);
    pipeline.shutdown(Instant::now() + HOUR);
    let files = batches(folder.path());
    let own = files[0].parent().unwrap();
    // Cut short, as by a power failure; one bit lost, which only a look at all bytes shows; and things that are not ours.
    let torn = fs::read(&files[0]).unwrap();
    fs::write(&files[0], &torn[..torn.len() - 1]).unwrap();
    let mut rotten = fs::read(&files[1]).unwrap();
    *rotten.last_mut().unwrap() ^= 1;
    fs::write(&files[1], rotten).unwrap();
    fs::write(own.join("00000000000000ff.spool"), "not a batch").unwrap();
    fs::write(own.join("letter.spool"), "not a batch").unwrap();
    fs::write(own.join("README"), "somebody's").unwrap();
    fs::write(folder.path().join("README"), "somebody's").unwrap();
    fs::create_dir(folder.path().join("somebody")).unwrap();

    collector.on(true);
    let (config, notes) = config_with(folder.path(), collector.sender());
    let pipeline = start(config);
    until(&pipeline, |stats| stats.adopted().queued() == 0 && stats.adopted().found() > 0);
    let stats = pipeline.stats();
    assert_eq!((stats.adopted().found(), stats.adopted().sent(), stats.adopted().dropped()), (3, 2, 1));
    assert_eq!((stats.set_aside(), stats.tally().recorded()), (3, 0));
    pipeline.shutdown(soon());
    assert_eq!(collector.ids(), [3, 4]);
    let mut left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    let left: Vec<_> = left.iter().map(|name| name.to_str().unwrap()).collect();
    assert_eq!(left.iter().filter(|name| name.ends_with(".bad")).count(), 3, "{left:?}");
    assert!(left.contains(&"README") && left.contains(&"somebody"), "{left:?}");
    assert!(own.join("README").exists() && own.join("letter.spool").exists());
    let notes = notes.lock().unwrap();
    assert!(notes.iter().any(|note| note.starts_with("2 files in the spool")), "{notes:?}");
    assert!(
        notes.iter().any(|note| note == "1 span in the spool lost: a file cannot be read back: its checksum is wrong"),
        "{notes:?}"
    );
}

/// It may lie on a bad block, or its rights were changed: those behind it are sent all the same. A link to itself cannot be
/// opened either, not even by root.
#[cfg(unix)]
#[test]
fn a_batch_that_cannot_be_read_holds_up_no_other() {
    let (folder, collector) = (folder(), Switch::default());
    let (config, notes) = config_with(folder.path(), collector.sender());
    let pipeline = start(config);
    spool_each(&pipeline, 1..=5);
    let unreadable = &batches(folder.path())[2];
    fs::remove_file(unreadable).unwrap();
    std::os::unix::fs::symlink(unreadable, unreadable).unwrap();
    collector.on(true);
    let tally = pipeline.flush(soon());
    assert_eq!(drops(&tally), [(DropReason::SpoolDamaged, 1)]);
    assert_eq!((tally.sent(), pipeline.stats().set_aside()), (4, 1));
    assert_eq!(collector.ids(), [1, 2, 4, 5]);
    let notes = notes.lock().unwrap();
    assert!(
        notes.iter().any(|note| note.starts_with("1 span in the spool lost: a file cannot be read back: ")),
        "{notes:?}"
    );
}

/// As a cleaner of temporary directories does it: all that is old goes, and a lock is the oldest of all.
#[test]
fn what_is_in_a_folder_that_lost_its_lock_is_sent_by_the_next_start() {
    let (folder, collector) = (folder(), Switch::default());
    let pipeline = start(config_with(folder.path(), collector.sender()).0);
    spool_each(&pipeline, 1..=2);
    let own = batches(folder.path())[0].parent().unwrap().to_owned();
    fs::remove_file(own.join("lock")).unwrap();
    offer(&pipeline, 3..=3);
    let tally = pipeline.shutdown(Instant::now() + HOUR);
    assert_eq!((tally.spooled(), tally.dropped()), (3, 0), "{tally}");
    collector.on(true);
    let (config, notes) = config_with(folder.path(), collector.sender());
    let pipeline = start(config);
    until(&pipeline, |stats| stats.adopted().sent() == 3);
    pipeline.shutdown(soon());
    assert_eq!(collector.ids(), [1, 2, 3]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    assert_eq!(*notes.lock().unwrap(), [] as [String; 0]);
}

/// Nothing is in the spool at the end that is not there.
#[test]
fn batches_that_somebody_removed_or_moved_are_dropped_by_the_end_and_told() {
    for moves in [false, true] {
        let (folder, collector) = (folder(), Switch::default());
        let (spool, away) = (folder.path().join("spool"), folder.path().join("away"));
        let (config, notes) = config_with(&spool, collector.sender());
        let pipeline = start(config);
        spool_each(&pipeline, 1..=5);
        let files = batches(&spool);
        if moves {
            fs::rename(files[0].parent().unwrap(), away).unwrap();
        } else {
            for file in &files[1..4] {
                fs::remove_file(file).unwrap();
            }
        }
        let tally = pipeline.shutdown(Instant::now() + HOUR);
        assert!(tally.is_conserved(), "{tally:?}");
        // The first one is in memory as well, and may be written once more.
        let gone = tally.dropped_by(DropReason::SpoolDamaged);
        assert!(if moves { gone >= 4 } else { gone == 3 }, "{tally:?}");
        assert_eq!((tally.spooled(), tally.queued(), tally.dropped()), (5 - gone, 5 - gone, gone), "{tally:?}");
        assert_eq!(if spool.exists() { batches(&spool).len() as u64 } else { 0 }, tally.spooled());
        let notes = notes.lock().unwrap();
        assert!(notes.iter().any(|note| note.contains(": somebody removed or moved them; give")), "{notes:?}");
    }
}

/// The batch that is tried is in memory as well, and is written once more.
#[test]
fn a_folder_that_somebody_removed_is_missed_at_once_and_another_one_is_made() {
    let (folder, collector) = (folder(), Switch::default());
    let (config, notes) = config_with(folder.path(), collector.sender());
    let pipeline = start(config);
    spool_each(&pipeline, 1..=5);
    fs::remove_dir_all(batches(folder.path())[0].parent().unwrap()).unwrap();
    offer(&pipeline, 6..=6);
    until(&pipeline, |stats| stats.tally().dropped_by(DropReason::SpoolDamaged) == 4 && stats.tally().spooled() == 2);
    assert_eq!(batches(folder.path()).len(), 2);
    assert_eq!(pipeline.stats().spool_failures(), 0);
    collector.on(true);
    assert_eq!(pipeline.flush(soon()).queued(), 0);
    pipeline.shutdown(soon());
    assert_eq!(collector.ids(), [1, 6]);
    let notes = notes.lock().unwrap();
    assert!(notes.iter().any(|note| note.contains(" are gone, and the spans are lost: ")), "{notes:?}");
}

#[cfg(unix)]
#[test]
fn a_directory_that_others_may_write_to_is_told_of_and_what_is_called_like_ours() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let (folder, collector) = (folder(), Switch::default());
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o1777)).unwrap();
    symlink("/", folder.path().join("00c0ffee00c0ffee")).unwrap();
    let (config, notes) = config_with(folder.path(), collector.sender());
    let pipeline = start_and_look(config, folder.path());
    spool_each(&pipeline, 1..=1);
    pipeline.shutdown(Instant::now() + HOUR);
    let notes = notes.lock().unwrap();
    let shared = format!("the spool {} is shared: every user may write to it (mode 1777). ", folder.path().display());
    assert!(notes.iter().any(|note| note.starts_with(&shared)), "{notes:?}");
    let alone = format!("1 item in the spool {} left alone, ", folder.path().display());
    assert!(notes.iter().any(|note| note.starts_with(&alone) && note.contains("it is no folder")), "{notes:?}");
}

/// Bytes of all files below, each as whole blocks.
fn bytes(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries
        .map(|path| if path.is_dir() { bytes(&path) } else { path.metadata().unwrap().len().div_ceil(4_096) * 4_096 })
        .sum()
}

/// Damage that comes again and again takes no more room than the spool has.
#[test]
fn files_set_aside_are_within_the_bound_and_go_before_any_span() {
    let (folder, collector) = (folder(), Switch::default());
    fs::write(folder.path().join("mine.bad"), "somebody's").unwrap();
    let with_room = || {
        let (mut config, _) = config_with(folder.path(), collector.sender());
        config.spool = config.spool.map(|spool| SpoolSettings { bytes: 4 * 4_096, ..spool });
        start(config)
    };
    for run in 0..4 {
        let pipeline = with_room();
        offer(&pipeline, run * 10 + 1..=run * 10 + 1);
        until(&pipeline, |stats| stats.tally().spooled() == 1);
        offer(&pipeline, run * 10 + 2..=run * 10 + 2);
        until(&pipeline, |stats| stats.tally().spooled() == 2);
        let tally = pipeline.shutdown(Instant::now() + HOUR);
        assert_eq!((tally.spooled(), tally.dropped()), (2, 0), "{tally}");
        for file in batches(folder.path()) {
            fs::write(file, "torn").unwrap();
        }
    }
    let pipeline = with_room();
    until(&pipeline, |stats| stats.set_aside() == 2);
    offer(&pipeline, 91..=91);
    until(&pipeline, |stats| stats.tally().spooled() == 1);
    assert!(bytes(folder.path()) <= 4 * 4_096 + 4_096, "beside somebody's: {}", bytes(folder.path()));
    assert_eq!(pipeline.tally().dropped(), 0);
    pipeline.shutdown(Instant::now() + HOUR);
    assert!(folder.path().join("mine.bad").exists());
}

/// After a downgrade: they wait for the release that can read them, as long as there is room.
#[test]
fn batches_of_another_release_are_within_the_bound_too() {
    let (folder, collector) = (folder(), Switch::default());
    let (config, _) = config_with(folder.path(), collector.sender());
    let pipeline = start(config);
    spool_each(&pipeline, 1..=3);
    pipeline.shutdown(Instant::now() + HOUR);
    let newer = batches(folder.path());
    for file in &newer {
        let mut bytes = fs::read(file).unwrap();
        bytes[8] = 9;
        fs::write(file, bytes).unwrap();
    }
    let (mut config, notes) = config_with(folder.path(), collector.sender());
    config.spool = config.spool.map(|spool| SpoolSettings { bytes: 4 * 4_096, ..spool });
    let pipeline = start_and_look(config, folder.path());
    for (id, kept) in [(11, 3), (12, 2), (13, 1), (14, 0), (15, 0)] {
        offer(&pipeline, id..=id);
        until(&pipeline, |stats| stats.tally().spooled() + stats.tally().dropped() == id - 10);
        assert_eq!(newer.iter().filter(|file| file.exists()).count(), kept, "after {id}");
    }
    assert_eq!(drops(&pipeline.tally()), [(DropReason::SpoolFull, 1)]);
    pipeline.shutdown(Instant::now() + HOUR);
    assert!(!newer[0].parent().unwrap().exists(), "their folder went with the last one");
    let notes = notes.lock().unwrap();
    assert!(
        notes.iter().any(|note| note.starts_with("1 file in the spool") && note.contains("of another release")),
        "{notes:?}"
    );
}

/// A program that was killed before it could lock the folder it had made.
#[test]
fn an_empty_folder_of_a_tracer_that_is_gone_is_removed_at_the_next_start() {
    let (folder, collector) = (folder(), Switch::default());
    let never_locked = folder.path().join("00c0ffee00c0ffee");
    let locked = folder.path().join("00c0ffee00c0fff0");
    let somebodys = [folder.path().join("somebody"), folder.path().join("00C0FFEE00C0FFEE")];
    for path in [&never_locked, &locked].into_iter().chain(&somebodys) {
        fs::create_dir(path).unwrap();
    }
    fs::write(locked.join("lock"), "").unwrap();
    let with_something = folder.path().join("00c0ffee00c0fff1");
    fs::create_dir(&with_something).unwrap();
    fs::write(with_something.join("README"), "somebody's").unwrap();
    let (config, _) = config_with(folder.path(), collector.sender());
    let pipeline = start(config);
    until(&pipeline, |_| !never_locked.exists() && !locked.exists());
    assert!(with_something.exists() && somebodys.iter().all(|path| path.exists()));
    pipeline.shutdown(soon());
}

/// Folders are made and given back while others look for empty ones.
#[test]
fn a_folder_that_is_just_being_made_is_not_lost() {
    let folder = folder();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let looking = scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                assert_eq!(Heir::default().look(folder.path()).bad, 0);
            }
        });
        let made = (1..=200).try_for_each(|number| {
            let own = Folder::create(folder.path())?;
            own.write(number, b"[{}]", 1)?;
            own.remove(number);
            Ok::<_, std::io::Error>(())
        });
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        looking.join().unwrap();
        made.unwrap();
    });
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn what_an_earlier_process_left_is_sent_before_what_came_later() {
    let (folder, collector) = (folder(), Switch::default());
    for ids in [1..=4, 5..=8] {
        let (config, _) = config_with(folder.path(), collector.sender());
        let pipeline = start(config);
        until(&pipeline, |stats| stats.adopted().found() == ids.start() - 1);
        spool_each(&pipeline, ids.clone());
        if ids.contains(&8) {
            collector.on(true);
            until(&pipeline, |stats| stats.adopted().sent() == 4 && stats.tally().sent() == 4);
        }
        pipeline.shutdown(Instant::now() + HOUR);
    }
    assert_eq!(collector.ids(), (1..=8).collect::<Vec<_>>());
}

#[test]
fn a_directory_that_cannot_be_written_is_one_notice_and_spans_wait_in_memory() {
    let (folder, collector) = (folder(), Switch::default());
    // Root may write anywhere: a file in the way stops it, too.
    let directory = folder.path().join("file");
    fs::write(&directory, "").unwrap();
    let (config, notes) = config_with(&directory, collector.sender());
    let pipeline = start(config);
    offer(&pipeline, 1..=5);
    until(&pipeline, |stats| stats.spool_failures() == 1);
    offer(&pipeline, 6..=10);
    let tally = pipeline.tally();
    assert_eq!((tally.queued(), tally.spooled(), tally.dropped()), (10, 0, 0));
    collector.on(true);
    assert_eq!(pipeline.flush(soon()).sent(), 10);
    collector.on(false);
    offer(&pipeline, 11..=12);
    let tally = pipeline.shutdown(Instant::now() + HOUR);
    assert_eq!(drops(&tally), [(DropReason::Unreachable, 2)], "{tally}");
    let notes = notes.lock().unwrap();
    let told = notes.iter().filter(|note| note.starts_with("cannot write to the spool")).count();
    assert_eq!(told, 1, "{notes:?}");
}

/// What is told at the end is what became of the spans, not what was meant to.
#[test]
fn the_last_notice_says_what_is_in_the_spool_and_what_is_not() {
    let folder = folder();
    let end = |directory: &Path| {
        let (mut config, notes) = config_with(directory, Switch::default().sender());
        // Nothing is sent before the shutdown.
        config.linger = HOUR;
        let pipeline = start(config);
        offer(&pipeline, 1..=9);
        let tally = pipeline.shutdown(soon());
        let notes = notes.lock().unwrap();
        let last = notes.iter().find_map(|note| note.split_once(" at shutdown.")).map(|(note, _)| note.to_owned());
        (tally, last.unwrap_or_else(|| panic!("{notes:?}")))
    };
    let in_the_way = folder.path().join("file");
    fs::write(&in_the_way, "").unwrap();
    let (tally, told) = end(&in_the_way);
    assert_eq!(drops(&tally), [(DropReason::Unreachable, 9)], "{tally}");
    assert_eq!(told, "HOST is off; 9 spans dropped");
    let (tally, told) = end(&folder.path().join("new"));
    assert_eq!((tally.spooled(), tally.dropped()), (9, 0), "{tally}");
    assert_eq!(told, "HOST is off; 9 spans left in the spool");
}

#[test]
fn two_pipelines_share_a_directory_and_nobody_sends_what_is_the_others() {
    let (folder, first, second) = (folder(), Switch::default(), Switch::default());
    let start_with = |collector: &Switch| start(config_with(folder.path(), collector.sender()).0);
    let one = start_with(&first);
    offer(&one, 1..=5);
    until(&one, |stats| stats.tally().spooled() == 5);
    second.on(true);
    let two = start_with(&second);
    offer(&two, 101..=105);
    assert_eq!(two.flush(soon()).sent(), 5);
    assert_eq!((two.stats().adopted().found(), second.ids()), (0, (101..=105).collect()));
    first.on(true);
    assert_eq!(one.flush(soon()).sent(), 5);
    assert_eq!(first.ids(), (1..=5).collect::<Vec<_>>());
    for pipeline in [one, two] {
        pipeline.shutdown(soon());
    }
}

#[test]
fn what_is_refused_for_good_is_kept_until_somebody_sets_it_right() {
    let folder = folder();
    let (gate, send) = gate();
    let (config, notes) = config_with(folder.path(), send);
    let pipeline = start(config);
    offer(&pipeline, 1..=3);
    for _ in 0..5 {
        assert_eq!(gate.arrived.recv().unwrap(), [1, 2, 3]);
        gate.go.send(Err(SendError::refused("HOST answered 401"))).unwrap();
    }
    until(&pipeline, |stats| stats.tally().spooled() == 3);
    gate.go.send(Ok(())).unwrap();
    assert_eq!(pipeline.shutdown(soon()).sent(), 3);
    assert_eq!(notes.lock().unwrap().len(), 2);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_rejected_span_in_the_spool_is_found_and_the_others_are_sent() {
    let folder = folder();
    let collector = Switch::default();
    let (mut config, _) = config_with(folder.path(), collector.sender());
    config.linger = HOUR;
    let pipeline = start(config);
    offer(&pipeline, 1..=10);
    pipeline.shutdown(soon());

    collector.on(true);
    let mut send = collector.sender();
    let (config, notes) =
        config_with(
            folder.path(),
            move |ids| {
                if ids.contains(&7) { Err(SendError::rejected("400")) } else { send(ids) }
            },
        );
    let pipeline = start(config);
    until(&pipeline, |stats| stats.adopted().found() > 0 && stats.adopted().queued() == 0);
    let adopted = pipeline.stats().adopted();
    assert_eq!((adopted.found(), adopted.sent(), adopted.dropped()), (10, 9, 1));
    assert_eq!(collector.ids(), [1, 2, 3, 4, 5, 6, 8, 9, 10]);
    pipeline.shutdown(soon());
    assert_eq!(*notes.lock().unwrap(), ["1 span dropped: 400; it is span (0000000000000001-0000000000000007)"]);
}

/// Whatever the collector and the disk do: nothing is lost without a count, and what is counted as sent or spooled arrives.
#[test]
fn with_a_spool_too_every_span_is_accounted_for_at_every_instant() {
    for seed in 0..60 {
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut faults = SmallRng::seed_from_u64(!seed);
        let folder = folder();
        let (on, taken) = (Arc::new(Mutex::new(true)), Arc::new(Mutex::new(Vec::<u64>::new())));
        let (is_on, sink) = (Arc::clone(&on), Arc::clone(&taken));
        let send = move |ids: Vec<u64>| {
            let up = *is_on.lock().unwrap();
            match faults.random_range(0..10) {
                _ if !up => Err(SendError::unreachable("x")),
                0 => Err(SendError::unreachable("x")),
                1 => Err(SendError::retry("x")),
                2 => Err(SendError::refused("x")),
                3 if ids.iter().any(|id| id % 5 == 0) => Err(SendError::rejected("x")),
                4 if ids.len() > 2 => Err(SendError::too_large("x")),
                _ => {
                    sink.lock().unwrap().extend(ids);
                    Ok(())
                }
            }
        };
        let (mut config, _) = config_with(folder.path(), send);
        config.queue_bytes = rng.random_range(4..40) * spans(1..=1)[0].size();
        config.batch_bytes = rng.random_range(1..4) * 700;
        config.linger = Duration::from_micros(rng.random_range(0..100));
        if rng.random_range(0..3) == 0 {
            config.spool = config.spool.map(|spool| SpoolSettings { bytes: 3 * 4_096, ..spool });
        }
        let pipeline = start(config);
        let (mut next, mut recorded) = (1, 0);
        for _ in 0..rng.random_range(1..80) {
            match rng.random_range(0..12) {
                0..7 => {
                    let count = rng.random_range(1..10);
                    offer(&pipeline, next..=next + count - 1);
                    next += count;
                    recorded += count;
                }
                7 => *on.lock().unwrap() = rng.random(),
                8 => drop(pipeline.flush(Instant::now() + Duration::from_micros(rng.random_range(0..2_000)))),
                _ => std::thread::yield_now(),
            }
            let tally = pipeline.tally();
            assert!(tally.is_conserved(), "seed {seed}: {tally:?}");
            assert_eq!(tally.recorded(), recorded, "seed {seed}");
            assert!(tally.spooled() <= tally.queued(), "seed {seed}: {tally:?}");
        }
        let tally = pipeline.shutdown(soon());
        assert!(tally.is_conserved(), "seed {seed}: {tally:?}");
        assert_eq!(tally.queued(), tally.spooled(), "seed {seed}: {tally:?}");
        assert_eq!(pipeline.shutdown(soon()), tally, "seed {seed}");

        let (config, _) = config_with(folder.path(), {
            let sink = Arc::clone(&taken);
            move |ids| {
                sink.lock().unwrap().extend(ids);
                Ok(())
            }
        });
        let next_start = start(config);
        until(&next_start, |stats| stats.adopted().found() >= tally.spooled() && stats.adopted().queued() == 0);
        let adopted = next_start.stats().adopted();
        assert_eq!((adopted.found(), adopted.dropped()), (adopted.sent(), 0), "seed {seed}: {adopted:?}");
        next_start.shutdown(soon());
        let mut once = taken.lock().unwrap().clone();
        let all = once.len();
        once.sort_unstable();
        once.dedup();
        // Only a batch that was sent in parts when it was spooled is there as a whole: what was sent of it is sent twice, and what
        // was dropped of it arrives all the same.
        assert!((all - once.len()) as u64 + tally.spooled() + tally.dropped() >= adopted.found(), "seed {seed}");
        let accounted = once.len() as u64 + tally.dropped();
        assert!(accounted >= recorded, "lost without a count, seed {seed}: {tally:?}, {adopted:?}");
        assert!(accounted - recorded <= adopted.found(), "counted twice, seed {seed}: {tally:?}, {adopted:?}");
    }
}

/// The batch that is tried, and takes all the memory there is, is on the disk; so there is room for what comes.
#[test]
fn spans_as_large_as_the_queue_are_spooled_in_an_outage() {
    let (folder, collector) = (folder(), Switch::default());
    let (mut config, _) = config_with(folder.path(), collector.sender());
    (config.queue_bytes, config.batch_bytes) = (64 << 10, 64 << 10);
    let pipeline = start(config);
    for id in 1..=10 {
        let mut large = spans(id..=id);
        large[0].attributes.tag(0, "large", TagValue::Text(&"x".repeat(40 << 10)));
        pipeline.ended(1);
        pipeline.offer(vec![Block::new(large)], &mut Buffers::default(), &mut Patience::of_a_test());
        // Two have no room in memory, and how long the disk takes is not what is tested.
        until(&pipeline, |stats| stats.tally().spooled() == id);
    }
    collector.on(true);
    assert_eq!(pipeline.flush(soon()).sent(), 10);
}

#[test]
fn tags_cut_for_a_write_that_fails_are_counted_once() {
    let (folder, collector) = (folder(), Switch::default());
    let directory = folder.path().join("spool");
    let (mut config, _) = config_with(&directory, collector.sender());
    config.batch_bytes = 4 << 10;
    let pipeline = start(config);
    spool_each(&pipeline, 1..=1);
    fs::rename(&directory, folder.path().join("away")).unwrap();
    fs::write(&directory, "no folder").unwrap();
    let mut large = spans(2..=2);
    large[0].attributes.tag(0, "large", TagValue::Text(&"x".repeat(8 << 10)));
    pipeline.ended(1);
    hand_on(&pipeline, large);
    until(&pipeline, |stats| stats.spool_failures() > 0);
    fs::remove_file(&directory).unwrap();
    fs::rename(folder.path().join("away"), &directory).unwrap();
    collector.on(true);
    assert_eq!(pipeline.flush(soon()).sent(), 2);
    assert_eq!(pipeline.stats().cut_tags(), 1);
}
