//! What became of the spans: every recorded one is sent, queued, or dropped for a reason.

use std::fmt;

use crate::model::loss::DropReason;
use crate::model::numbers::{Count, Number};

/// How many spans were recorded, and what became of them.
///
/// At every instant `recorded == sent + queued + dropped`; unsampled spans are in none of them. Displays as one line:
///
/// ```text
/// sent 1,234 spans in 9 batches, 0 dropped
/// sent 0 spans, 12 dropped (12 unreachable)
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub(crate) recorded: u64,
    pub(crate) sent: u64,
    pub(crate) queued: u64,
    pub(crate) spooled: u64,
    pub(crate) batches: u64,
    pub(crate) dropped: [u64; DropReason::ALL.len()],
}

impl Tally {
    /// Spans that ended, and those that would have been recorded if there had been room.
    #[must_use]
    pub const fn recorded(&self) -> u64 {
        self.recorded
    }

    /// Spans that the backend accepted. Zipkin answers before it has stored them.
    #[must_use]
    pub const fn sent(&self) -> u64 {
        self.sent
    }

    /// Spans that are on their way: held for late tags, waiting in memory or in the spool, or in a request without an answer
    /// yet.
    #[must_use]
    pub const fn queued(&self) -> u64 {
        self.queued
    }

    /// Those of the [queued](Self::queued) ones that are in the spool: they survive the process, and after shutdown they
    /// are whose turn comes next, this program's or another's with the same spool.
    #[must_use]
    pub const fn spooled(&self) -> u64 {
        self.spooled
    }

    /// Requests that the backend accepted, or calls of a reporter that succeeded. Those with what other tracers left in the spool
    /// are not among them: those spans are in no tally of this tracer.
    #[must_use]
    pub const fn batches(&self) -> u64 {
        self.batches
    }

    /// Spans that were lost, for whatever reason.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.iter().sum()
    }

    /// Spans that were lost for this reason.
    #[must_use]
    pub const fn dropped_by(&self, reason: DropReason) -> u64 {
        self.dropped[reason as usize]
    }

    /// The reasons for which spans were lost, with their numbers.
    pub fn drops(&self) -> impl Iterator<Item = (DropReason, u64)> {
        DropReason::ALL.into_iter().map(|reason| (reason, self.dropped_by(reason))).filter(|(_, spans)| *spans > 0)
    }

    /// Whether the numbers add up; they always do.
    #[must_use]
    pub fn is_conserved(&self) -> bool {
        self.recorded == self.sent + self.queued + self.dropped()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.recorded == 0 {
            return f.write_str("no spans recorded");
        }
        write!(f, "sent {}", Count(self.sent, "span"))?;
        if self.batches > 0 {
            write!(f, " in {}", Count(self.batches, "batch"))?;
        }
        if self.queued > 0 {
            write!(f, ", {} still queued", Number(self.queued))?;
            if self.spooled > 0 {
                write!(f, " ({} of them in the spool)", Number(self.spooled))?;
            }
        }
        write!(f, ", {} dropped", Number(self.dropped()))?;
        for (at, (reason, spans)) in self.drops().enumerate() {
            write!(f, "{}{} {reason}", if at == 0 { " (" } else { ", " }, Number(spans))?;
        }
        if self.dropped() > 0 { f.write_str(")") } else { Ok(()) }
    }
}

/// A [`Tally`], and what it cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    pub(crate) tally: Tally,
    pub(crate) bytes_sent: u64,
    pub(crate) queued_bytes: u64,
    pub(crate) retries: u64,
    pub(crate) late_tags: u64,
    pub(crate) cut_values: u64,
    pub(crate) cut_tags: u64,
    pub(crate) left_out_baggage: u64,
    pub(crate) spooled_bytes: u64,
    pub(crate) spool_failures: u64,
    pub(crate) set_aside: u64,
    pub(crate) adopted: Adopted,
}

/// Spans that other tracers left in the spool, and what became of them here. They were recorded there, and are in no
/// [`Tally`] of this tracer.
///
/// At every instant `found == sent + queued + dropped`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Adopted {
    pub(crate) found: u64,
    pub(crate) sent: u64,
    pub(crate) queued: u64,
    pub(crate) dropped: u64,
}

impl Adopted {
    /// Spans in files of tracers that were gone: shut down, or killed.
    #[must_use]
    pub const fn found(&self) -> u64 {
        self.found
    }

    /// Those that the backend accepted.
    #[must_use]
    pub const fn sent(&self) -> u64 {
        self.sent
    }

    /// Those that are still in the spool.
    #[must_use]
    pub const fn queued(&self) -> u64 {
        self.queued
    }

    /// Those that were lost: rejected, too large, damaged, or the oldest when the spool was full.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }
}

impl Stats {
    /// What became of the spans.
    #[must_use]
    pub const fn tally(&self) -> Tally {
        self.tally
    }

    /// Bytes of encoded spans that the backend accepted, before compression; 0 with a reporter of one's own. What other tracers
    /// left in the spool counts, too, unlike in [`Tally::sent`] and [`Tally::batches`].
    #[must_use]
    pub const fn bytes_sent(&self) -> u64 {
        self.bytes_sent
    }

    /// Bytes that finished spans occupy in the queue and in the batch being sent, an estimate; the bound is
    /// `queue_bytes`. A batch that is in the spool, too, does not count.
    #[must_use]
    pub const fn queued_bytes(&self) -> u64 {
        self.queued_bytes
    }

    /// Requests, or calls of a reporter, that were made again; those with what other tracers left in the spool, too.
    #[must_use]
    pub const fn retries(&self) -> u64 {
        self.retries
    }

    /// Tags and annotations that came after their span was handed on, and are lost.
    #[must_use]
    pub const fn late_tags(&self) -> u64 {
        self.late_tags
    }

    /// Values and keys that were too long for the log and were cut; and tags, annotations and errors that are lost, because the
    /// log had no room for them (`log_bytes`) or their thread was just ending.
    #[must_use]
    pub const fn cut_values(&self) -> u64 {
        self.cut_values
    }

    /// Tags and annotations that were removed from spans which were too large for a request (`batch_bytes`), and names that were
    /// shortened for that: such a span has the tag `traced.cut`. And those beyond what one span may have
    /// ([`SPAN_BYTES`](crate::limits::SPAN_BYTES)).
    ///
    /// Tags and annotations share the room: each gets half of it, and more where the other needs less. The largest tags go first.
    /// Of annotations those go first that would take an eighth of the room each, then those in the middle. Names are shortened
    /// when nothing else is left. What a collector finds too large by itself (413) loses all tags and annotations.
    #[must_use]
    pub const fn cut_tags(&self) -> u64 {
        self.cut_tags
    }

    /// Bytes of files in the spool that are this tracer's to send, in whole blocks; the bound is `spool_bytes`.
    #[must_use]
    pub const fn spooled_bytes(&self) -> u64 {
        self.spooled_bytes
    }

    /// Attempts to write to the spool that failed, as on a full disk; the spans stayed in memory.
    #[must_use]
    pub const fn spool_failures(&self) -> u64 {
        self.spool_failures
    }

    /// Files of the spool that were torn or no batches, and were renamed to `*.bad`.
    #[must_use]
    pub const fn set_aside(&self) -> u64 {
        self.set_aside
    }

    /// What was found in the spool of other tracers' spans.
    #[must_use]
    pub const fn adopted(&self) -> Adopted {
        self.adopted
    }

    /// Fields of baggage that could not be kept or sent on: too long, too many, no UTF-8, or with control characters where
    /// no header takes them.
    #[must_use]
    pub const fn left_out_baggage(&self) -> u64 {
        self.left_out_baggage
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(sent: u64, batches: u64, queued: u64, drops: &[(DropReason, u64)]) -> String {
        let mut tally = Tally { sent, batches, queued, ..Tally::default() };
        for (reason, spans) in drops {
            tally.dropped[*reason as usize] += spans;
        }
        tally.recorded = sent + queued + tally.dropped();
        tally.to_string()
    }

    #[test]
    fn a_tally_is_one_line() {
        assert_eq!(tally(0, 0, 0, &[]), "no spans recorded");
        assert_eq!(tally(1, 1, 0, &[]), "sent 1 span in 1 batch, 0 dropped");
        assert_eq!(tally(1_234, 9, 0, &[]), "sent 1,234 spans in 9 batches, 0 dropped");
        assert_eq!(tally(0, 0, 0, &[(DropReason::Unreachable, 12)]), "sent 0 spans, 12 dropped (12 unreachable)");
        assert_eq!(
            tally(1_000_000, 10, 5, &[(DropReason::Unreachable, 200), (DropReason::QueueFull, 31)]),
            "sent 1,000,000 spans in 10 batches, 5 still queued, 231 dropped (31 queue full, 200 unreachable)"
        );
    }

    #[test]
    fn what_is_in_the_spool_is_told_apart() {
        let tally = Tally { recorded: 7, queued: 7, spooled: 5, ..Tally::default() };
        assert_eq!(tally.to_string(), "sent 0 spans, 7 still queued (5 of them in the spool), 0 dropped");
        assert!(tally.is_conserved());
    }

    #[test]
    fn reasons_are_listed_in_their_own_order() {
        for (at, reason) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, at);
        }
    }
}
