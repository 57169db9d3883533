//! What is measured.

/// Children of a trace where there are many.
pub const CHILDREN: u32 = 100;

/// A program that every contestant writes in its own way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// A root with a hundred sync children, one after the other.
    SyncChild,
    /// A root with one sync child: half of the spans start a trace.
    RootAndChild,
    /// An async root with a hundred async children, each of which is pending once: the root is polled again, too.
    AsyncChild,
    /// As [`SyncChild`](Self::SyncChild); each child has an integer, a static string and a formatted value.
    Tags,
    /// As [`SyncChild`](Self::SyncChild), in a trace that is not sampled.
    Unsampled,
    /// As [`SyncChild`](Self::SyncChild), in a program that has installed no tracer.
    Off,
}

/// The least that a scenario could cost; see [`crate::contestants::floor`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Floor {
    /// Two clock reads and a record of 32 bytes per span.
    F1,
    /// One thread-local load and a branch per span.
    F4,
}

impl Floor {
    /// As tables call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F1 => "F1",
            Self::F4 => "F4",
        }
    }
}

impl Scenario {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 6] =
        [Self::SyncChild, Self::RootAndChild, Self::AsyncChild, Self::Tags, Self::Unsampled, Self::Off];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SyncChild => "sync-child",
            Self::RootAndChild => "root-and-child",
            Self::AsyncChild => "async-child",
            Self::Tags => "tags",
            Self::Unsampled => "unsampled",
            Self::Off => "off",
        }
    }

    /// What the table says it is.
    pub const fn title(self) -> &'static str {
        match self {
            Self::SyncChild => "sync child, 100 in a trace",
            Self::RootAndChild => "root and one child, whole trace",
            Self::AsyncChild => "async child that yields once, 100 in a trace",
            Self::Tags => "sync child with three tags, one formatted",
            Self::Unsampled => "sync child, unsampled",
            Self::Off => "sync child, nothing installed",
        }
    }

    /// The scenario of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scenario| scenario.name() == name)
    }

    /// Children of each root.
    pub const fn children(self) -> u32 {
        match self {
            Self::RootAndChild => 1,
            _ => CHILDREN,
        }
    }

    /// Spans of a trace: the root and its children.
    pub const fn spans(self) -> u32 {
        self.children() + 1
    }

    /// Spans of a trace that arrive at the backend.
    pub const fn delivered(self) -> u32 {
        match self {
            Self::Unsampled | Self::Off => 0,
            _ => self.spans(),
        }
    }

    /// What it is held against.
    pub const fn floor(self) -> Floor {
        match self {
            Self::Unsampled | Self::Off => Floor::F4,
            _ => Floor::F1,
        }
    }
}
