//! Reads a chain and tells what contradicts it.

use std::fmt;

use super::{Entry, GENESIS, Head, Keys, UNSEALED_SECONDS_MAX, time_of};
use crate::time::Timestamp;

/// Findings that a report lists; the rest is counted.
pub const FINDINGS_MAX: usize = 1_000;

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The entry is not what was written.
    Edited,
    /// The entry was not written by the product, or not as it stands here.
    Foreign,
    /// The entry does not follow the one before it.
    Unlinked,
    /// Entries in between are gone.
    Missing,
    /// Its number was given before.
    Repeated,
    /// Its place in the chain was taken away, in whole or in part.
    Torn,
    /// It was written long ago and has no place in the chain.
    Unsealed,
    /// Entries at the end are gone.
    Cut,
    /// Entries follow that the head does not know.
    Beyond,
    /// The last entry is another than the head says.
    OtherHead,
    /// The head was not made by the product.
    ForgedHead,
    /// There is no head, though there should be one.
    NoHead,
    /// The chain began long after its tenant did.
    Restarted,
}

impl Fault {
    /// Its name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Edited => "edited",
            Self::Foreign => "foreign",
            Self::Unlinked => "unlinked",
            Self::Missing => "missing",
            Self::Repeated => "repeated",
            Self::Torn => "torn",
            Self::Unsealed => "unsealed",
            Self::Cut => "cut",
            Self::Beyond => "beyond",
            Self::OtherHead => "other_head",
            Self::ForgedHead => "forged_head",
            Self::NoHead => "no_head",
            Self::Restarted => "restarted",
        }
    }

    /// What it means, in words.
    const fn told(self) -> &'static str {
        match self {
            Self::Edited => "was changed after it was sealed",
            Self::Foreign => "was not written by Tollgate as it stands here",
            Self::Unlinked => "does not follow the entry before it",
            Self::Missing => "entries before this one are gone",
            Self::Repeated => "has a number that was given before",
            Self::Torn => "has lost its place in the chain",
            Self::Unsealed => "was never sealed",
            Self::Cut => "entries up to this number are gone from the end",
            Self::Beyond => "stands behind the end of the chain",
            Self::OtherHead => "is not the entry that the head names",
            Self::ForgedHead => "the head was not made by Tollgate with this key",
            Self::NoHead => "the head of the chain is gone",
            Self::Restarted => "the chain began long after its tenant did: an earlier one was taken away",
        }
    }
}

/// Something that contradicts the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong.
    pub fault: Fault,
    /// At which place.
    pub seq: Option<i64>,
    /// With which entry.
    pub id: Option<String>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(seq) = self.seq {
            write!(f, "{seq} ")?;
        }
        if let Some(id) = &self.id {
            write!(f, "({id}) ")?;
        }
        f.write_str(self.fault.told())
    }
}

/// What a chain was found to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Entries that have a place in the chain.
    pub sealed: i64,
    /// Entries that were just written and get theirs in a moment.
    pub waiting: i64,
    /// The head, if there is one.
    pub head: Option<Head>,
    /// What is wrong: the first [`FINDINGS_MAX`].
    pub findings: Vec<Finding>,
    /// How many more there are.
    pub more: i64,
}

/// Reads a chain from its beginning, entry by entry, and notes what contradicts it.
pub struct Verifier<'a> {
    tenant: &'a str,
    keys: Keys<'a>,
    seq: i64,
    hash: String,
    last_id: Option<String>,
    kept: Option<(i64, String)>,
    report: Report,
}

impl<'a> Verifier<'a> {
    /// For a tenant's chain.
    pub fn new(tenant: &'a str, keys: Keys<'a>) -> Self {
        let report = Report { sealed: 0, waiting: 0, head: None, findings: Vec::new(), more: 0 };
        Self { tenant, keys, seq: 0, hash: GENESIS.to_owned(), last_id: None, kept: None, report }
    }

    /// Expects the place and the hash of an earlier head, which was kept elsewhere.
    #[must_use]
    pub fn expecting(mut self, kept: Option<(i64, String)>) -> Self {
        self.kept = kept;
        self
    }

    /// The place that was read last.
    pub const fn seq(&self) -> i64 {
        self.seq
    }

    fn note(&mut self, fault: Fault, seq: Option<i64>, id: Option<&str>) {
        if self.report.findings.len() < FINDINGS_MAX {
            self.report.findings.push(Finding { fault, seq, id: id.map(str::to_owned) });
        } else {
            self.report.more = self.report.more.saturating_add(1);
        }
    }

    /// Reads the next entry that has a number, in the order of numbers.
    pub fn sealed(&mut self, entry: &Entry) {
        self.report.sealed = self.report.sealed.saturating_add(1);
        let (seq, id) = (entry.seq, Some(entry.id.as_str()));
        let number = seq.unwrap_or_default();
        let (Some(prev_hash), Some(hash)) = (entry.prev_hash.as_deref(), entry.hash.as_deref()) else {
            self.note(Fault::Torn, seq, id);
            return;
        };
        if entry.chained(self.tenant, (number, prev_hash), self.keys) != hash {
            self.note(Fault::Edited, seq, id);
        } else if entry.mac != entry.code(self.tenant, self.keys) {
            self.note(Fault::Foreign, seq, id);
        }
        if number <= self.seq {
            self.note(Fault::Repeated, seq, id);
            return;
        }
        if number != self.seq.saturating_add(1) {
            self.note(Fault::Missing, seq, id);
        } else if prev_hash != self.hash {
            self.note(Fault::Unlinked, seq, id);
        }
        if self.kept.as_ref().is_some_and(|(kept, own)| *kept == number && own != hash) {
            self.note(Fault::OtherHead, seq, id);
        }
        self.seq = number;
        hash.clone_into(&mut self.hash);
        self.last_id = Some(entry.id.clone());
    }

    /// Reads an entry that has no number.
    pub fn unsealed(&mut self, entry: &Entry, now: Timestamp) {
        let id = Some(entry.id.as_str());
        if entry.hash.is_some() || entry.prev_hash.is_some() {
            self.note(Fault::Torn, None, id);
        } else if !entry.is_young(now) {
            self.note(Fault::Unsealed, None, id);
        } else if entry.mac != entry.code(self.tenant, self.keys) {
            self.note(Fault::Foreign, None, id);
        } else {
            self.report.waiting = self.report.waiting.saturating_add(1);
        }
    }

    /// Compares the end with the head and answers what was found.
    pub fn end(mut self, head: Option<Head>, now: Timestamp) -> Report {
        let last = self.last_id.clone();
        let late = time_of(self.tenant).map(|born| born.plus_seconds(UNSEALED_SECONDS_MAX));
        if let Some((seq, _)) = self.kept.clone().filter(|(seq, _)| *seq > self.seq) {
            self.note(Fault::Cut, Some(seq), None);
        }
        if head.as_ref().is_some_and(|head| late.is_some_and(|late| head.began_at > late)) {
            self.note(Fault::Restarted, None, None);
        }
        match &head {
            None if self.report.sealed > 0 || late.is_some_and(|late| now > late) => {
                self.note(Fault::NoHead, None, None);
            }
            Some(head) if !head.is_genuine(self.tenant, self.keys) => {
                self.note(Fault::ForgedHead, Some(head.seq), None);
            }
            Some(head) if head.seq > self.seq => self.note(Fault::Cut, Some(head.seq), None),
            Some(head) if head.seq < self.seq => self.note(Fault::Beyond, Some(self.seq), last.as_deref()),
            Some(head) if head.hash != self.hash => self.note(Fault::OtherHead, Some(self.seq), last.as_deref()),
            None | Some(_) => {}
        }
        self.report.head = head;
        self.report
    }
}
