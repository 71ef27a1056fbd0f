//! The audit trail as a chain: what each entry's hash covers, and what contradicts a chain that was read.
//!
//! An entry carries a code of whoever wrote it from the moment it is written, and soon after a place in its tenant's
//! chain: a number without gaps, the hash of the entry before, and a hash over all of it. The head names the last
//! place under a code of its own. Codes need a key that the database does not have, hashes do not.

use std::fmt;

use crate::time::Timestamp;

/// What the first entry of a chain has for the hash of the one before.
pub const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// An entry that has no place in the chain after so long is a finding, in seconds.
pub const UNSEALED_SECONDS_MAX: i64 = 300;
/// Findings that a report lists; the rest is counted.
pub const FINDINGS_MAX: usize = 1_000;

/// The characters of an id that hold its time, after the prefix: 50 bits, of which the upper two are always 0.
const ID_TIME_CHARS: usize = 10;
const ID_ALPHABET: &str = "0123456789abcdefghjkmnpqrstvwxyz";

/// Who did what to what, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its id, in the order of time.
    pub id: String,
    /// When it happened.
    pub at: Timestamp,
    /// `user:usr_…`, `key:key_…` or `system`.
    pub actor: String,
    /// What was done, such as `key.created`.
    pub action: String,
    /// To what.
    pub target: String,
    /// The state before, as JSON.
    pub before: Option<String>,
    /// The state after, as JSON.
    pub after: Option<String>,
    /// The request.
    pub request_id: String,
    /// Where it came from.
    pub origin: String,
    /// The writer's code.
    pub mac: Option<String>,
    /// Its place in the chain, from 1 on; none until it is sealed.
    pub seq: Option<i64>,
    /// The hash of the entry before.
    pub prev_hash: Option<String>,
    /// The hash of this entry with everything above.
    pub hash: Option<String>,
}

/// The last sealed place of a tenant's chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Its number; 0 before anything is sealed.
    pub seq: i64,
    /// Its hash.
    pub hash: String,
    /// The code over both.
    pub mac: String,
    /// When it was sealed.
    pub sealed_at: Timestamp,
}

/// The cryptography, which is the caller's.
#[derive(Clone, Copy)]
pub struct Keys<'a> {
    /// A hash, as text.
    pub hash: fn(&[u8]) -> String,
    /// A code that only who holds the key can make, as text.
    pub mac: &'a (dyn Fn(&[u8]) -> String + Sync),
}

/// Fields written one after another, each with its kind and its length, so that no two lists read the same.
struct Fields(Vec<u8>);

impl Fields {
    fn of(kind: &str, tenant: &str) -> Self {
        let mut fields = Self(Vec::with_capacity(512));
        fields.text(kind);
        fields.text(tenant);
        fields
    }

    fn text(&mut self, text: &str) {
        self.0.push(1);
        self.0.extend(u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
        self.0.extend(text.as_bytes());
    }

    fn maybe(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.text(text),
            None => self.0.push(0),
        }
    }

    fn number(&mut self, number: i64) {
        self.0.push(2);
        self.0.extend(number.to_be_bytes());
    }
}

impl Entry {
    fn written(&self, kind: &str, tenant: &str) -> Fields {
        let mut fields = Fields::of(kind, tenant);
        fields.text(&self.id);
        fields.number(self.at.as_micros());
        for text in [&self.actor, &self.action, &self.target] {
            fields.text(text);
        }
        fields.maybe(self.before.as_deref());
        fields.maybe(self.after.as_deref());
        fields.text(&self.request_id);
        fields.text(&self.origin);
        fields
    }

    /// The code of who writes it, over everything but its place in the chain.
    pub fn code(&self, tenant: &str, keys: Keys<'_>) -> String {
        (keys.mac)(&self.written("audit entry 1", tenant).0)
    }

    fn chained(&self, tenant: &str, (seq, prev_hash): (i64, &str), keys: Keys<'_>) -> String {
        let mut fields = self.written("audit place 1", tenant);
        fields.maybe(self.mac.as_deref());
        fields.number(seq);
        fields.text(prev_hash);
        (keys.hash)(&fields.0)
    }

    /// Gives it the place after a head. Answers the number and hash of the new head.
    pub fn seal(&mut self, tenant: &str, (seq, hash): (i64, &str), keys: Keys<'_>) -> (i64, String) {
        let seq = seq.saturating_add(1);
        let own = self.chained(tenant, (seq, hash), keys);
        self.seq = Some(seq);
        self.prev_hash = Some(hash.to_owned());
        self.hash = Some(own.clone());
        (seq, own)
    }

    /// When it was written: its id says so, since `at` may be the time that a demo or an import tells of.
    fn written_at(&self) -> Timestamp {
        let time = self.id.split_once('_').map_or("", |(_, rest)| rest).chars().take(ID_TIME_CHARS);
        let digits: Option<Vec<usize>> = time.map(|c| ID_ALPHABET.find(c)).collect();
        let digits = digits.filter(|digits| digits.len() == ID_TIME_CHARS).unwrap_or_default();
        if digits.is_empty() {
            return self.at;
        }
        let millis = digits
            .into_iter()
            .fold(0_i64, |sum, digit| sum.saturating_mul(32).saturating_add(i64::try_from(digit).unwrap_or_default()));
        Timestamp::EPOCH.plus_micros(millis.saturating_mul(1_000))
    }
}

impl Head {
    /// A head with its code.
    pub fn new(tenant: &str, (seq, hash): (i64, String), sealed_at: Timestamp, keys: Keys<'_>) -> Self {
        let mut head = Self { seq, hash, mac: String::new(), sealed_at };
        head.mac = head.code(tenant, keys);
        head
    }

    /// The head of a chain without entries.
    pub fn genesis(tenant: &str, now: Timestamp, keys: Keys<'_>) -> Self {
        Self::new(tenant, (0, GENESIS.to_owned()), now, keys)
    }

    fn code(&self, tenant: &str, keys: Keys<'_>) -> String {
        let mut fields = Fields::of("audit head 1", tenant);
        fields.number(self.seq);
        fields.text(&self.hash);
        fields.number(self.sealed_at.as_micros());
        (keys.mac)(&fields.0)
    }

    /// Whether it was made by who holds the key.
    pub fn is_genuine(&self, tenant: &str, keys: Keys<'_>) -> bool {
        self.mac == self.code(tenant, keys)
    }
}

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
    /// There are sealed entries, but no head.
    NoHead,
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
    report: Report,
}

impl<'a> Verifier<'a> {
    /// For a tenant's chain.
    pub fn new(tenant: &'a str, keys: Keys<'a>) -> Self {
        let report = Report { sealed: 0, waiting: 0, head: None, findings: Vec::new(), more: 0 };
        Self { tenant, keys, seq: 0, hash: GENESIS.to_owned(), last_id: None, report }
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
        } else if entry.mac.as_deref() != Some(&*entry.code(self.tenant, self.keys)) {
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
        self.seq = number;
        hash.clone_into(&mut self.hash);
        self.last_id = Some(entry.id.clone());
    }

    /// Reads an entry that has no number.
    pub fn unsealed(&mut self, entry: &Entry, now: Timestamp) {
        let id = Some(entry.id.as_str());
        if entry.hash.is_some() || entry.prev_hash.is_some() {
            self.note(Fault::Torn, None, id);
        } else if entry.written_at().plus_seconds(UNSEALED_SECONDS_MAX) < now {
            self.note(Fault::Unsealed, None, id);
        } else if entry.mac.as_deref() != Some(&*entry.code(self.tenant, self.keys)) {
            self.note(Fault::Foreign, None, id);
        } else {
            self.report.waiting = self.report.waiting.saturating_add(1);
        }
    }

    /// Compares the end with the head and answers what was found.
    pub fn end(mut self, head: Option<Head>) -> Report {
        let last = self.last_id.clone();
        match &head {
            None if self.report.sealed > 0 => self.note(Fault::NoHead, None, None),
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A stand-in: the real functions are the server's, and so is the test with ten thousand manipulations.
    fn hash(bytes: &[u8]) -> String {
        let sum = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| {
            (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3).rotate_left(7)
        });
        format!("{sum:016x}")
    }

    fn keys() -> Keys<'static> {
        Keys { hash, mac: &|bytes| hash(&[b"key", bytes].concat()) }
    }

    fn chain(length: u32) -> (Vec<Entry>, Head) {
        let mut end = (0, GENESIS.to_owned());
        let mut entries = Vec::new();
        for number in 0..length {
            let mut entry = Entry {
                id: format!("aud_{}", crate::id::encode(u128::from(number))),
                at: Timestamp::EPOCH.plus_seconds(i64::from(number)),
                actor: "system".into(),
                action: "plan.changed".into(),
                target: format!("plan-{number}"),
                before: None,
                after: Some("{}".into()),
                request_id: "req".into(),
                origin: "test".into(),
                mac: None,
                seq: None,
                prev_hash: None,
                hash: None,
            };
            entry.mac = Some(entry.code("ten_a", keys()));
            end = entry.seal("ten_a", (end.0, &end.1), keys());
            entries.push(entry);
        }
        (entries, Head::new("ten_a", end, Timestamp::EPOCH, keys()))
    }

    fn faults(tenant: &str, entries: &[Entry], head: Option<Head>) -> Vec<Fault> {
        let mut verifier = Verifier::new(tenant, keys());
        for entry in entries {
            verifier.sealed(entry);
        }
        verifier.end(head).findings.into_iter().map(|finding| finding.fault).collect()
    }

    #[test]
    fn a_chain_as_it_was_sealed_has_no_finding_and_each_kind_of_fault_has_its_name() {
        let (entries, head) = chain(5);
        let found = |entries: &[Entry]| faults("ten_a", entries, Some(head.clone()));
        assert_eq!(found(&entries), []);
        let changed = |at: usize, change: fn(&mut Entry)| {
            let mut entries = entries.clone();
            change(&mut entries[at]);
            found(&entries)
        };
        assert_eq!(changed(1, |entry| entry.after = None), [Fault::Edited]);
        assert_eq!(changed(1, |entry| entry.after = Some(String::new())), [Fault::Edited]);
        assert_eq!(changed(4, |entry| entry.hash = Some("0".into())), [Fault::Edited, Fault::OtherHead]);
        assert_eq!(changed(2, |entry| entry.hash = None), [Fault::Torn, Fault::Missing]);
        assert_eq!(changed(2, |entry| entry.seq = Some(2)), [Fault::Edited, Fault::Repeated, Fault::Missing]);
        assert_eq!(found(&[&entries[..2], &entries[3..]].concat()), [Fault::Missing]);
        assert_eq!(found(&entries[..4]), [Fault::Cut]);
        assert_eq!(found(&[]), [Fault::Cut]);
        assert_eq!(faults("ten_a", &entries, None), [Fault::NoHead]);
        let older = Head::new("ten_a", (4, entries[3].hash.clone().unwrap()), Timestamp::EPOCH, keys());
        assert_eq!(faults("ten_a", &entries, Some(older)), [Fault::Beyond]);
        let forged = Head { sealed_at: Timestamp::EPOCH.plus_seconds(1), ..head.clone() };
        assert_eq!(faults("ten_a", &entries, Some(forged)), [Fault::ForgedHead]);
        assert!(faults("ten_b", &entries, Some(head)).contains(&Fault::Edited), "another tenant's chain");
    }

    #[test]
    fn a_chain_made_anew_with_hashes_alone_lacks_the_writers_code() {
        let (mut entries, head) = chain(3);
        entries[1].actor = "user:usr_somebody".into();
        let mut end = (0, GENESIS.to_owned());
        for entry in &mut entries {
            end = entry.seal("ten_a", (end.0, &end.1), keys());
        }
        assert_eq!(faults("ten_a", &entries, Some(head.clone())), [Fault::Foreign, Fault::OtherHead]);
        let forged = Head { hash: end.1, ..head };
        assert_eq!(faults("ten_a", &entries, Some(forged)), [Fault::Foreign, Fault::ForgedHead]);
    }

    #[test]
    fn young_entries_wait_and_old_ones_are_told() {
        let (entries, _) = chain(1);
        let mut entry = Entry { seq: None, prev_hash: None, hash: None, ..entries[0].clone() };
        let told = |entry: &Entry, seconds: i64| {
            let mut verifier = Verifier::new("ten_a", keys());
            verifier.unsealed(entry, Timestamp::EPOCH.plus_seconds(seconds));
            let report = verifier.end(None);
            (report.waiting, report.findings.first().map(|finding| finding.fault))
        };
        assert_eq!(told(&entry, UNSEALED_SECONDS_MAX), (1, None));
        assert_eq!(told(&entry, UNSEALED_SECONDS_MAX + 1), (0, Some(Fault::Unsealed)));
        // One millisecond before: the id has the time of writing in its upper 48 bits.
        let bits = (u128::try_from((UNSEALED_SECONDS_MAX + 1) * 1_000).unwrap()) << 80;
        entry.id = format!("aud_{}", crate::id::encode(bits));
        entry.mac = Some(entry.code("ten_a", keys()));
        assert_eq!(told(&entry, UNSEALED_SECONDS_MAX + 1), (1, None), "it is young, whatever it tells of");
        entry.actor = "nobody".into();
        assert_eq!(told(&entry, UNSEALED_SECONDS_MAX + 1), (0, Some(Fault::Foreign)));
        entry.hash = Some("0".into());
        assert_eq!(told(&entry, UNSEALED_SECONDS_MAX + 1), (0, Some(Fault::Torn)));
    }
}
