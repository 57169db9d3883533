//! A directory that others use, too: what is theirs stays as it is, whatever it is called.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::*;
use crate::reporter::encode::Body;

const LIST: &[u8] = b"[{}]";

/// All that is below a directory: inode, mode, owner, number of names, and what is in it or where it leads.
fn everything(directory: &Path) -> BTreeMap<PathBuf, (u64, u32, u32, u64, Vec<u8>)> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let data = path.symlink_metadata().unwrap();
        let inside = if data.is_symlink() {
            fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()
        } else if data.is_file() {
            fs::read(&path).unwrap()
        } else {
            Vec::new()
        };
        if data.is_dir() {
            all.extend(everything(&path));
        }
        all.insert(path, (data.ino(), data.mode(), data.uid(), data.nlink(), inside));
    }
    all
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// A directory for this user alone, whatever the mask is.
fn make(path: PathBuf) -> PathBuf {
    fs::create_dir(&path).unwrap();
    mode(&path, 0o700);
    path
}

fn pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// The folder of a tracer that is gone, with this one batch.
fn left_behind(spool: &Path, number: u64) -> PathBuf {
    let folder = Folder::create(spool).unwrap();
    folder.write(number, LIST, 1).unwrap();
    folder.path().to_owned()
}

/// What a look finds to send: numbers of batches, by folder.
fn look(spool: &Path) -> (Vec<Vec<u64>>, Left) {
    let left = Heir::default().look(spool);
    let numbers = |batches: &[folder::Found]| batches.iter().map(|batch| batch.number).collect();
    (left.orphans.iter().map(|(_, batches)| numbers(batches)).collect(), left)
}

/// Only root gives files to others: elsewhere the test says that it was not made.
fn is_root() -> bool {
    let is_root = rights::User::this().uid == 0;
    if !is_root {
        // Shown for a test that passes, too.
        writeln!(io::stderr(), "skipped: it takes root to make files of other users").ok();
    }
    is_root
}

fn spool() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let spool = make(directory.path().join("spool"));
    (directory, spool)
}

#[test]
fn entries_that_are_no_folders_of_this_user_alone_are_left_as_they_are() {
    let (directory, spool) = spool();
    // Somebody's, which a link in the spool leads to.
    let victim = left_behind(&make(directory.path().join("elsewhere")), 1);
    fs::write(victim.join("mail.spool"), "precious").unwrap();
    // Other programs have files of such names, too.
    for name in ["myapp", "00C0FFEE00C0FFEE"] {
        let program = make(spool.join(name));
        fs::write(program.join("lock"), "4711").unwrap();
        fs::write(program.join("0000000000000001.spool"), "a job").unwrap();
    }
    for name in ["mine.bad", "myapp-1.bad", "00c0ffee00c0ffee-letter.bad"] {
        fs::write(spool.join(name), "somebody's").unwrap();
    }
    // Called as ours are, and none of ours: these are told of.
    symlink(&victim, spool.join("0000000000000001")).unwrap();
    fs::write(spool.join("0000000000000002"), "a file").unwrap();
    pipe(&spool.join("0000000000000003"));
    for (folder, mask) in [(4, 0o777), (5, 0o770), (6, 0o722)] {
        let path = spool.join(name::folder(folder));
        fs::rename(left_behind(&spool, 1), &path).unwrap();
        mode(&path, mask);
    }
    for folder in 7..10 {
        let path = spool.join(name::folder(folder));
        fs::rename(left_behind(&spool, 1), &path).unwrap();
        fs::remove_file(path.join("lock")).unwrap();
        match folder {
            7 => symlink(victim.join("lock"), path.join("lock")).unwrap(),
            8 => pipe(&path.join("lock")),
            _ => drop(make(path.join("lock"))),
        }
    }
    // In one that may be ours there is nothing of ours.
    fs::write(make(spool.join(name::folder(10))).join("README"), "somebody's").unwrap();

    let before = everything(directory.path());
    for _ in 0..2 {
        let (found, left) = look(&spool);
        assert_eq!((found.len(), left.bad, left.aside.len()), (0, 0, 0));
        assert_eq!(left.alone.count, 9, "{:?}", left.alone);
    }
    assert_eq!(everything(directory.path()), before);
}

#[test]
fn entries_in_a_folder_that_are_no_batches_of_this_user_are_left_as_they_are() {
    let (directory, spool) = spool();
    let elsewhere = left_behind(&make(directory.path().join("elsewhere")), 1).join(name::batch(1));
    let folder = left_behind(&spool, 1);
    symlink(&elsewhere, folder.join(name::batch(2))).unwrap();
    pipe(&folder.join(name::batch(3)));
    let inner = make(folder.join(name::batch(4)));
    fs::write(inner.join("file"), "somebody's").unwrap();
    fs::write(folder.join("letter.spool"), "somebody's").unwrap();
    fs::write(folder.join("1.spool"), "somebody's").unwrap();
    let before = everything(directory.path());
    let (found, left) = look(&spool);
    assert_eq!((found, left.bad, left.aside.len(), left.alone.count), (vec![vec![1]], 0, 0, 3));
    drop(left);
    assert_eq!(everything(directory.path()), before);
    // The one batch is sent, and all else stays.
    let left = Heir::default().look(&spool);
    assert!(left.orphans[0].0.remove(1));
    drop(left);
    let mut after = before;
    after.remove(&folder.join(name::batch(1))).unwrap();
    let stays: Vec<_> = everything(directory.path()).into_keys().collect();
    assert_eq!(stays, after.into_keys().collect::<Vec<_>>());
}

/// A backup may be a second name of a file. The name in the folder is ours; what else it is called stays.
#[test]
fn the_other_name_of_a_batch_stays_when_the_batch_is_sent_or_set_aside() {
    let (directory, spool) = spool();
    let folder = left_behind(&spool, 1);
    fs::hard_link(folder.join(name::batch(1)), directory.path().join("backup")).unwrap();
    fs::write(directory.path().join("mail"), "precious").unwrap();
    fs::hard_link(directory.path().join("mail"), folder.join(name::batch(2))).unwrap();
    let backup = fs::read(directory.path().join("backup")).unwrap();
    let (found, left) = look(&spool);
    assert_eq!((found, left.bad), (vec![vec![1]], 1));
    assert!(left.orphans[0].0.remove(1) && left.aside[0].remove());
    drop(left);
    assert_eq!(fs::read_dir(&spool).unwrap().count(), 0);
    assert_eq!(fs::read(directory.path().join("backup")).unwrap(), backup);
    assert_eq!(fs::read(directory.path().join("mail")).unwrap(), b"precious");
}

#[test]
fn what_another_user_made_is_neither_sent_nor_removed() {
    if !is_root() {
        return;
    }
    let (directory, spool) = spool();
    let (folder, lock, batch) = (left_behind(&spool, 1), left_behind(&spool, 1), left_behind(&spool, 1));
    fs::copy(batch.join(name::batch(1)), batch.join(name::batch(2))).unwrap();
    let bad = spool.join(name::aside("00c0ffee00c0ffee", 1));
    fs::write(&bad, "torn").unwrap();
    let known = aside::Aside::bad(bad.clone()).unwrap();
    for path in [&folder, &lock.join("lock"), &batch.join(name::batch(2)), &bad] {
        chown(path, Some(4_711), None).unwrap();
    }
    let before = everything(directory.path());
    for is_shared in [false, true] {
        mode(&spool, if is_shared { 0o1777 } else { 0o700 });
        let (found, left) = look(&spool);
        assert_eq!((found, left.bad, left.aside.len()), (vec![vec![1]], 0, 0));
        // Where everybody has a spool, others' folders are nothing to tell of.
        assert_eq!(left.alone.count, if is_shared { 2 } else { 3 }, "{:?}", left.alone);
        assert!(!left.orphans[0].0.remove(2));
    }
    assert!(!known.remove());
    mode(&spool, 0o700);
    assert_eq!(everything(directory.path()), before);
}

#[test]
fn a_directory_that_everybody_may_change_is_left_as_it_is() {
    let (_directory, spool) = spool();
    let folder = left_behind(&spool, 1);
    mode(&spool, 0o777);
    let before = everything(&spool);
    let (found, left) = look(&spool);
    assert_eq!((found.len(), left.alone.count), (0, 1));
    let error = Folder::create(&spool).unwrap_err();
    assert_eq!(error.to_string(), "every user may move and remove what is in it (mode 0777)");
    assert_eq!(everything(&spool), before);
    // As in /tmp, nobody else can.
    mode(&spool, 0o1777);
    assert_eq!(look(&spool).0, [[1]]);
    let own = Folder::create(&spool).unwrap();
    assert_eq!(own.path().metadata().unwrap().mode() & 0o7777, 0o700);
    assert!(folder.exists());
}

/// As Kubernetes does it each time a volume is mounted.
#[test]
fn a_volume_that_was_opened_to_its_group_keeps_its_spans() {
    let (_directory, spool) = spool();
    let folder = left_behind(&spool, 1);
    for path in [&spool, &folder] {
        mode(path, 0o2770);
    }
    mode(&folder.join(name::batch(1)), 0o660);
    assert_eq!(look(&spool).0, [[1]]);
}

/// Nobody touches a lock after it is made: who removes old files takes it first.
#[test]
fn a_folder_without_its_lock_is_taken_over_when_its_tracer_is_gone_and_not_before() {
    let (_directory, spool) = spool();
    let living = Folder::create(&spool).unwrap();
    living.write(1, LIST, 1).unwrap();
    fs::remove_file(living.path().join("lock")).unwrap();
    let (found, left) = look(&spool);
    assert_eq!((found.len(), left.alone.count), (0, 0));
    drop(living);
    for _ in 0..2 {
        let (found, left) = look(&spool);
        assert_eq!((found, left.bad, left.alone.count), (vec![vec![1]], 0, 0));
        // The tracer that takes it over has it.
        assert_eq!(look(&spool).0.len(), 0);
    }
}

/// One of a release that locks the file alone, or of another machine on a disk of the network.
#[test]
fn a_folder_whose_lock_is_held_is_not_taken_over() {
    let (_directory, spool) = spool();
    let path = left_behind(&spool, 1);
    let held = directory::Directory::open(&path).unwrap().lock_file("lock").unwrap().unwrap();
    assert_eq!(look(&spool).0.len(), 0);
    drop(held);
    assert_eq!(look(&spool).0, [[1]]);
}

#[test]
fn a_lock_looks_used_as_long_as_its_tracer_lives() {
    let (_directory, spool) = spool();
    let folder = Folder::create(&spool).unwrap();
    let lock = folder.path().join("lock");
    let old = std::time::SystemTime::UNIX_EPOCH;
    let times = fs::FileTimes::new().set_accessed(old).set_modified(old);
    fs::File::options().write(true).open(&lock).unwrap().set_times(times).unwrap();
    folder.touch();
    let data = lock.metadata().unwrap();
    assert!(data.modified().unwrap() > old && data.accessed().unwrap() > old);
}

/// What is left alone in a folder may have the number that comes next.
#[test]
fn no_batch_is_moved_onto_something_else() {
    let (_directory, spool) = spool();
    let first = left_behind(&spool, 1);
    let mut heir = Heir::default();
    let left = heir.look(&spool);
    fs::create_dir(first.join(name::batch(2))).unwrap();
    symlink("nowhere", first.join(name::batch(3))).unwrap();
    fs::write(first.join(name::batch(4)), "somebody's").unwrap();
    left_behind(&spool, 1);
    let later = heir.look(&spool);
    assert_eq!((later.orphans.len(), later.orphans[0].1[0].number), (1, 5));
    assert_eq!(fs::read(first.join(name::batch(4))).unwrap(), b"somebody's");
    drop((left, later));
    // And those are behind it for the next heir.
    symlink("nowhere", first.join(name::batch(9))).unwrap();
    let mut heir = Heir::default();
    let left = heir.look(&spool);
    assert_eq!(left.orphans[0].1.iter().map(|batch| batch.number).collect::<Vec<_>>(), [1, 5]);
    left_behind(&spool, 1);
    assert_eq!(heir.look(&spool).orphans[0].1[0].number, 10);
}

#[test]
fn nothing_that_was_set_aside_is_written_over() {
    let (_directory, spool) = spool();
    let folder = Folder::create(&spool).unwrap();
    let own = folder.path().file_name().unwrap().to_str().unwrap();
    let earlier = spool.join(name::aside(own, 1));
    fs::write(&earlier, "earlier").unwrap();
    folder.write(1, b"torn", 1).unwrap();
    assert!(folder.set_aside(1).is_some());
    assert_eq!(fs::read(&earlier).unwrap(), b"earlier");
    let names: Vec<_> = fs::read_dir(&spool).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.iter().filter(|name| name::is_aside(name.to_str().unwrap())).count(), 2, "{names:?}");
}

/// A batch is written under a name that nothing has, and what has it is not removed for that.
#[test]
fn what_stands_in_a_batchs_place_stays() {
    let (_directory, spool) = spool();
    let folder = Folder::create(&spool).unwrap();
    let (path, elsewhere) = (folder.path().join(name::batch(1)), spool.join("mail"));
    fs::write(&elsewhere, "precious").unwrap();
    symlink(&elsewhere, &path).unwrap();
    assert!(folder.write(1, LIST, 1).is_err());
    assert!(folder.read(1, &mut Body::new(64)).is_err());
    assert!(path.is_symlink());
    assert_eq!(fs::read(&elsewhere).unwrap(), b"precious");
}

/// The name leads elsewhere between the look at a folder and what is done in it.
#[test]
fn what_is_done_in_a_folder_is_done_in_the_one_that_was_opened() {
    let (directory, spool) = spool();
    let folder = Folder::create(&spool).unwrap();
    folder.write(1, LIST, 1).unwrap();
    let (path, moved) = (folder.path().to_owned(), directory.path().join("moved"));
    let victim = left_behind(&make(directory.path().join("elsewhere")), 1);
    fs::rename(&path, &moved).unwrap();
    symlink(&victim, &path).unwrap();
    assert!(!folder.is_in_place() && folder.holds(1));
    folder.read(1, &mut Body::new(64)).unwrap();
    folder.write(2, LIST, 1).unwrap();
    assert!(moved.join(name::batch(2)).exists());
    assert!(folder.remove(1) && folder.remove(2));
    drop(folder);
    assert!(victim.join(name::batch(1)).exists() && victim.join("lock").exists() && moved.exists());
}
