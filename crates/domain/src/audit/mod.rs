//! The audit trail as a chain: what each entry's hash covers, and what contradicts a chain that was read.
//!
//! An entry carries a code of whoever wrote it from the moment it is written, and soon after a place in its tenant's
//! chain: a number without gaps, the hash of the entry before, and a hash over all of it. The head names the last
//! place under a code of its own. Codes need a key that the database does not have, hashes do not.

mod verify;

use crate::time::Timestamp;
pub use verify::{FINDINGS_MAX, Fault, Finding, Report, Verifier};

/// What the first entry of a chain has for the hash of the one before.
pub const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// An entry that has no place in the chain after so long is a finding, in seconds.
pub const UNSEALED_SECONDS_MAX: i64 = 300;

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
    pub mac: String,
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
    /// When the chain began: with its tenant.
    pub began_at: Timestamp,
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
        fields.text(&self.mac);
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
        time_of(&self.id).unwrap_or(self.at)
    }

    /// Whether it was written just now.
    fn is_young(&self, now: Timestamp) -> bool {
        self.written_at().plus_seconds(UNSEALED_SECONDS_MAX) >= now
    }
}

/// The time in an id, if it has one.
fn time_of(id: &str) -> Option<Timestamp> {
    let time = id.split_once('_').map_or("", |(_, rest)| rest).chars().take(ID_TIME_CHARS);
    let digits: Vec<usize> = time.map(|c| ID_ALPHABET.find(c)).collect::<Option<_>>()?;
    let millis = digits
        .iter()
        .filter(|_| digits.len() == ID_TIME_CHARS)
        .try_fold(0_i64, |sum, digit| sum.checked_mul(32)?.checked_add(i64::try_from(*digit).ok()?))?;
    (digits.len() == ID_TIME_CHARS).then(|| Timestamp::EPOCH.plus_micros(millis.saturating_mul(1_000)))
}

/// Whether a chain may begin with these entries, the oldest that have no place. Only with young ones: who takes every
/// place and the head away, to have the rest chained anew without what is deleted, finds it refused.
pub fn may_begin(entries: &[Entry], now: Timestamp) -> bool {
    entries.iter().all(|entry| entry.is_young(now))
}

impl Head {
    /// The head of a chain without entries.
    pub fn genesis(tenant: &str, now: Timestamp, keys: Keys<'_>) -> Self {
        let head = Self { seq: 0, hash: GENESIS.to_owned(), mac: String::new(), sealed_at: now, began_at: now };
        Self { mac: head.code(tenant, keys), ..head }
    }

    /// The head after more entries.
    #[must_use]
    pub fn moved(&self, tenant: &str, (seq, hash): (i64, String), now: Timestamp, keys: Keys<'_>) -> Self {
        let head = Self { seq, hash, mac: String::new(), sealed_at: now, began_at: self.began_at };
        Self { mac: head.code(tenant, keys), ..head }
    }

    fn code(&self, tenant: &str, keys: Keys<'_>) -> String {
        let mut fields = Fields::of("audit head 1", tenant);
        fields.number(self.seq);
        fields.text(&self.hash);
        fields.number(self.sealed_at.as_micros());
        fields.number(self.began_at.as_micros());
        (keys.mac)(&fields.0)
    }

    /// Whether it was made by who holds the key.
    pub fn is_genuine(&self, tenant: &str, keys: Keys<'_>) -> bool {
        self.mac == self.code(tenant, keys)
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
                mac: String::new(),
                seq: None,
                prev_hash: None,
                hash: None,
            };
            entry.mac = entry.code("ten_a", keys());
            end = entry.seal("ten_a", (end.0, &end.1), keys());
            entries.push(entry);
        }
        (entries, Head::genesis("ten_a", Timestamp::EPOCH, keys()).moved("ten_a", end, Timestamp::EPOCH, keys()))
    }

    fn faults(tenant: &str, entries: &[Entry], head: Option<Head>) -> Vec<Fault> {
        let mut verifier = Verifier::new(tenant, keys());
        for entry in entries {
            verifier.sealed(entry);
        }
        verifier.end(head, Timestamp::EPOCH).findings.into_iter().map(|finding| finding.fault).collect()
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
        let older = head.moved("ten_a", (4, entries[3].hash.clone().unwrap()), Timestamp::EPOCH, keys());
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
            let report = verifier.end(None, Timestamp::EPOCH);
            (report.waiting, report.findings.first().map(|finding| finding.fault))
        };
        assert_eq!(told(&entry, UNSEALED_SECONDS_MAX), (1, None));
        assert_eq!(told(&entry, UNSEALED_SECONDS_MAX + 1), (0, Some(Fault::Unsealed)));
        // One millisecond before: the id has the time of writing in its upper 48 bits.
        let bits = (u128::try_from((UNSEALED_SECONDS_MAX + 1) * 1_000).unwrap()) << 80;
        entry.id = format!("aud_{}", crate::id::encode(bits));
        entry.mac = entry.code("ten_a", keys());
        assert_eq!(told(&entry, UNSEALED_SECONDS_MAX + 1), (1, None), "it is young, whatever it tells of");
        entry.actor = "nobody".into();
        assert_eq!(told(&entry, UNSEALED_SECONDS_MAX + 1), (0, Some(Fault::Foreign)));
        entry.hash = Some("0".into());
        assert_eq!(told(&entry, UNSEALED_SECONDS_MAX + 1), (0, Some(Fault::Torn)));
    }

    #[test]
    fn a_chain_begins_with_its_tenant_and_never_again() {
        let born = 1_000_000_i64;
        let tenant = format!("ten_{}", crate::id::encode(u128::try_from(born * 1_000).unwrap() << 80));
        let at = |seconds: i64| Timestamp::EPOCH.plus_seconds(born + seconds);
        let told = |head: Option<i64>, now: i64| {
            let head = head.map(|began| Head::genesis(&tenant, at(began), keys()));
            let report = Verifier::new(&tenant, keys()).end(head, at(now));
            report.findings.first().map(|finding| finding.fault)
        };
        assert_eq!(told(Some(2), 1_000_000), None);
        assert_eq!(told(Some(UNSEALED_SECONDS_MAX + 1), 1_000_000), Some(Fault::Restarted));
        assert_eq!(told(None, UNSEALED_SECONDS_MAX), None, "it is just being made");
        assert_eq!(told(None, UNSEALED_SECONDS_MAX + 1), Some(Fault::NoHead));
        let (entries, _) = chain(2);
        assert!(may_begin(&entries, Timestamp::EPOCH.plus_seconds(UNSEALED_SECONDS_MAX)));
        assert!(!may_begin(&entries, Timestamp::EPOCH.plus_seconds(UNSEALED_SECONDS_MAX + 1)));
        assert!(may_begin(&[], at(0)));
    }

    #[test]
    fn a_trail_that_was_set_back_is_told_by_a_head_that_was_kept() {
        let (entries, head) = chain(5);
        let found = |length: usize, kept: (i64, &str)| {
            let mut verifier = Verifier::new("ten_a", keys()).expecting(Some((kept.0, kept.1.to_owned())));
            for entry in &entries[..length] {
                verifier.sealed(entry);
            }
            let last = &entries[length - 1];
            let end = (last.seq.unwrap(), last.hash.clone().unwrap());
            let head = head.moved("ten_a", end, Timestamp::EPOCH, keys());
            verifier.end(Some(head), Timestamp::EPOCH).findings.first().map(|finding| finding.fault)
        };
        let kept = (4, entries[3].hash.as_deref().unwrap());
        assert_eq!(found(5, kept), None);
        assert_eq!(found(4, kept), None);
        assert_eq!(found(3, kept), Some(Fault::Cut));
        assert_eq!(found(5, (4, "another")), Some(Fault::OtherHead));
    }
}
