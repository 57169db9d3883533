//! Who may write to a directory of the spool.

use std::fs::Metadata;

/// Who runs this program, as far as files are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl User {
    /// The one whose rights this process has now.
    #[cfg(unix)]
    #[expect(unsafe_code, reason = "std does not tell the ids of the process")]
    pub(crate) fn this() -> Self {
        // SAFETY: the calls take nothing, touch no memory and do not fail.
        unsafe { Self { uid: libc::geteuid(), gid: libc::getegid() } }
    }

    /// The owner of everything, where owners are not looked at.
    #[cfg(not(unix))]
    pub(crate) fn this() -> Self {
        Self { uid: 0, gid: 0 }
    }
}

/// Owner, group and mode of a directory. The default is one that is private, of the user 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rights {
    uid: u32,
    gid: u32,
    mode: u32,
}

/// How far the spool's directory is shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// What is in it is moved or removed by this user and root alone, or by a group of this user alone.
    Private,
    /// A part of the users of the machine may do more than that, or all may make entries: a sentence about it.
    Some(String),
    /// Everybody may move and remove what is in it: a sentence about it.
    Everybody(String),
}

const GROUP_WRITES: u32 = 0o020;
const OTHERS_WRITE: u32 = 0o002;
/// Who may write may make entries, and not move or remove those of others.
const STICKY: u32 = 0o1000;

impl Rights {
    #[cfg(unix)]
    pub(crate) fn of(data: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        Self { uid: data.uid(), gid: data.gid(), mode: data.mode() }
    }

    #[cfg(not(unix))]
    pub(crate) fn of(_: &Metadata) -> Self {
        Self::default()
    }

    const fn lets(self, who: u32) -> bool {
        self.mode & who != 0
    }

    /// How the spool's directory is shared, for this user.
    pub(crate) fn sharing(self, user: User) -> Sharing {
        let Self { uid, gid, mode } = self;
        let mode = mode & 0o7777;
        if self.lets(OTHERS_WRITE) && !self.lets(STICKY) {
            return Sharing::Everybody(format!("every user may move and remove what is in it (mode {mode:04o})"));
        }
        // The sticky bit does not bind the owner.
        if uid != user.uid && uid != 0 {
            return Sharing::Some(format!("it is user {uid}'s, who may move and remove what is in it"));
        }
        if self.lets(OTHERS_WRITE) {
            return Sharing::Some(format!("every user may write to it (mode {mode:04o})"));
        }
        if self.lets(GROUP_WRITES) && !self.lets(STICKY) && gid != user.gid {
            return Sharing::Some(format!("group {gid} may move and remove what is in it (mode {mode:04o})"));
        }
        Sharing::Private
    }

    /// Whether nobody but this user and root can make entries here.
    pub(crate) const fn is_alone(self, user: User) -> bool {
        (self.uid == user.uid || self.uid == 0) && !self.lets(GROUP_WRITES | OTHERS_WRITE)
    }

    /// Whether a tracer's folder with these rights, in a spool with those, is this user's, and nobody else has put anything
    /// into it; if not, why.
    pub(crate) fn check_folder(self, spool: Self, user: User) -> Result<(), Foreign> {
        let Self { uid, gid, mode } = self;
        if uid != user.uid {
            return Err(Foreign { is_own: false, reason: format!("it is user {uid}'s") });
        }
        // Kubernetes opens all of a volume to the pod's group, its root first, each time it is mounted. An owner who sets that trusts
        // the group with the spool.
        let trusted = spool.lets(GROUP_WRITES) && spool.gid == gid;
        if self.lets(OTHERS_WRITE) || (self.lets(GROUP_WRITES) && !trusted) {
            let mode = mode & 0o7777;
            return Err(Foreign { is_own: true, reason: format!("others may write to it (mode {mode:04o})") });
        }
        Ok(())
    }
}

/// Why something is left alone that is called as if it was ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Foreign {
    /// This user made it, who can set it right.
    pub(crate) is_own: bool,
    pub(crate) reason: String,
}

#[cfg(test)]
mod tests {
    #![expect(clippy::panic, reason = "tests fail by panicking")]
    use super::*;

    const USER: User = User { uid: 1_000, gid: 1_000 };

    const fn rights(uid: u32, gid: u32, mode: u32) -> Rights {
        Rights { uid, gid, mode: 0o040_000 | mode }
    }

    #[test]
    fn a_directory_in_which_everybody_may_move_entries_is_not_used() {
        for (uid, mode) in [(1_000, 0o777), (0, 0o777), (0, 0o2777), (1_000, 0o702)] {
            let Sharing::Everybody(text) = rights(uid, 0, mode).sharing(USER) else { panic!("{uid} {mode:o}") };
            assert_eq!(text, format!("every user may move and remove what is in it (mode {mode:04o})"));
        }
    }

    #[test]
    fn a_directory_that_some_others_may_write_to_is_told_of() {
        let told = |rights: Rights, user| match rights.sharing(user) {
            Sharing::Some(text) => text,
            other => panic!("{rights:?}: {other:?}"),
        };
        let root = User { uid: 0, gid: 0 };
        assert_eq!(told(rights(0, 0, 0o1777), USER), "every user may write to it (mode 1777)");
        assert_eq!(told(rights(0, 0, 0o1777), root), "every user may write to it (mode 1777)");
        assert_eq!(told(rights(0, 7, 0o2775), USER), "group 7 may move and remove what is in it (mode 2775)");
        // As that of a container's process, or an unknown one, on a volume of the host.
        assert_eq!(told(rights(65_534, 7, 0o775), USER), "it is user 65534's, who may move and remove what is in it");
        assert_eq!(told(rights(1_001, 7, 0o1777), root), "it is user 1001's, who may move and remove what is in it");
    }

    #[test]
    fn a_directory_of_this_user_or_root_is_used_without_a_word() {
        // The third is what `mkdir` makes with a group for each user; in the last one the group may add, and no more.
        for private in [(1_000, 1_000, 0o700), (0, 0, 0o755), (1_000, 1_000, 0o775), (0, 7, 0o1775)] {
            let (uid, gid, mode) = private;
            assert_eq!(rights(uid, gid, mode).sharing(USER), Sharing::Private, "{private:?}");
        }
        assert!(rights(0, 0, 0o755).is_alone(USER) && rights(1_000, 1, 0o700).is_alone(USER));
        assert!(!rights(1_000, 1_000, 0o775).is_alone(USER) && !rights(0, 0, 0o1777).is_alone(USER));
        assert!(!rights(1_001, 1, 0o700).is_alone(USER));
    }

    #[test]
    fn a_folder_is_taken_over_when_nobody_else_could_write_to_it() {
        let (alone, pod) = (rights(1_000, 1_000, 0o700), rights(0, 7, 0o2775));
        let is_taken = |folder: Rights, spool| folder.check_folder(spool, USER).is_ok();
        assert!(is_taken(rights(1_000, 1_000, 0o700), alone) && is_taken(rights(1_000, 5, 0o2755), alone));
        for foreign in [(0, 0, 0o700), (1_001, 1_000, 0o700), (1_000, 1_000, 0o770), (1_000, 1_000, 0o702)] {
            let (uid, gid, mode) = foreign;
            assert!(!is_taken(rights(uid, gid, mode), alone), "{foreign:?}");
        }
        // The group has the whole volume.
        assert!(is_taken(rights(1_000, 7, 0o2770), pod));
        assert!(!is_taken(rights(1_000, 8, 0o2770), pod) && !is_taken(rights(1_000, 7, 0o777), pod));
    }
}
