//! Seals entries into their tenant's chain, and verifies chains.

use domain::audit::{Entry, Finding, Head, Keys, Report, Verifier, may_begin};
use domain::id::TenantId;
use domain::time::Timestamp;
use store::db::Db;

use crate::app::seal::{MasterKey, digest};
use crate::cx::App;
use crate::error::Result;

/// Entries sealed in one transaction, so that the gate never waits long for its turn.
const SEALED_AT_ONCE: i64 = 100;
/// Entries read at once by a verification.
const READ_AT_ONCE: i64 = 1_000;
/// How often a verification reads on when the chain has grown meanwhile.
const LOOKS_MAX: usize = 20;

/// The chain's cryptography.
pub fn keys(mac: &(dyn Fn(&[u8]) -> String + Sync)) -> Keys<'_> {
    Keys { hash: digest, mac }
}

/// Begins the chain of every new tenant, and gives every entry that was committed its place. One that commits later,
/// though it began earlier, gets a later one.
pub async fn seal(app: &App, now: Timestamp) -> Result<()> {
    for tenant in store::audit::headless_tenants(&app.db).await? {
        begin(&app.db, &app.master, &tenant, now).await?;
    }
    for tenant in store::audit::unsealed_tenants(&app.db).await? {
        let mut sealed = None;
        while let Some(head) = seal_some(&app.db, &app.master, &tenant, now).await? {
            sealed = Some(head);
            if app.stopping.is_cancelled() {
                break;
            }
        }
        if let Some(head) = sealed {
            // A log that is kept elsewhere is what a whole database that was set back can be told by.
            tracing::info!(tenant.id = %tenant, audit.seq = head.seq, audit.hash = %head.hash, "the audit trail is sealed up to here");
        }
    }
    Ok(())
}

async fn begin(db: &Db, master: &MasterKey, tenant: &TenantId, now: Timestamp) -> Result<()> {
    let mac = |bytes: &[u8]| master.audit_code(bytes);
    let mut tx = db.begin().await?;
    let sealed = store::audit::last_sealed(&mut tx, tenant).await?;
    let waiting = store::audit::unsealed(&mut tx, tenant, SEALED_AT_ONCE).await?;
    if sealed.is_some() || !may_begin(&waiting, now) {
        return Ok(());
    }
    store::audit::insert_head(&mut tx, tenant, &Head::genesis(tenant.as_str(), now, keys(&mac))).await?;
    Ok(tx.commit().await?)
}

/// Seals some entries. Answers the new head while there is more to do.
async fn seal_some(db: &Db, master: &MasterKey, tenant: &TenantId, now: Timestamp) -> Result<Option<Head>> {
    let mac = |bytes: &[u8]| master.audit_code(bytes);
    let (name, keys) = (tenant.as_str(), keys(&mac));
    let mut tx = db.begin().await?;
    let head = store::audit::lock_head(&mut tx, tenant).await?.filter(|head| head.is_genuine(name, keys));
    let last = store::audit::last_sealed(&mut tx, tenant).await?;
    let Some(head) = head.filter(|head| follows(head, last.as_ref())) else {
        tracing::error!(tenant.id = %tenant, "the audit trail was changed from outside and is not continued: run `tollgate audit verify`");
        return Ok(None);
    };
    let mut entries = store::audit::unsealed(&mut tx, tenant, SEALED_AT_ONCE).await?;
    let mut end = (head.seq, head.hash.clone());
    for entry in &mut entries {
        end = entry.seal(name, (end.0, &end.1), keys);
        store::audit::seal(&mut tx, tenant, entry).await?;
    }
    if entries.is_empty() {
        return Ok(None);
    }
    let head = head.moved(name, end, now, keys);
    store::audit::move_head(&mut tx, tenant, &head).await?;
    tx.commit().await?;
    Ok(Some(head))
}

/// Whether a head stands where the chain ends. A broken chain is not continued, since that would hide its end.
fn follows(head: &Head, last: Option<&(i64, Option<String>)>) -> bool {
    match last {
        None => head.seq == 0,
        Some((seq, hash)) => head.seq == *seq && hash.as_ref() == Some(&head.hash),
    }
}

/// An earlier head, written as `SEQ:HASH`.
pub fn kept_head(text: &str) -> Option<(i64, String)> {
    let (seq, hash) = text.split_once(':')?;
    Some((seq.parse().ok().filter(|seq| *seq > 0)?, hash.to_owned()))
}

/// Reads a tenant's whole chain and answers what contradicts it, and an earlier head if one was kept. The product may
/// run meanwhile.
pub async fn verify(
    db: &Db,
    master: &MasterKey,
    tenant: &TenantId,
    (kept, now): (Option<(i64, String)>, Timestamp),
) -> Result<Report> {
    let mac = |bytes: &[u8]| master.audit_code(bytes);
    let mut verifier = Verifier::new(tenant.as_str(), keys(&mac)).expecting(kept);
    let mut place = (i64::MIN, String::new());
    let mut head = None;
    for _ in 0..LOOKS_MAX {
        while let Some(last) = read_on(db, tenant, &place, &mut verifier).await? {
            place = last;
        }
        // The head is read after the entries: it cannot be behind them, and when it is ahead there is more to read.
        let before = head.replace(store::audit::head(db, tenant).await?);
        let seq = |head: &Option<Option<Head>>| head.as_ref().and_then(|head| Some(head.as_ref()?.seq));
        if seq(&head) <= Some(verifier.seq()) || seq(&before) == seq(&head) {
            break;
        }
    }
    let mut after = String::new();
    loop {
        let entries = store::audit::unsealed_after(db, tenant, &after, READ_AT_ONCE).await?;
        let Some(last) = entries.last() else { break };
        after.clone_from(&last.id);
        for entry in &entries {
            verifier.unsealed(entry, now);
        }
    }
    Ok(verifier.end(head.flatten(), now))
}

/// Reads the next entries of a chain. Answers where they end; none when there were no more.
async fn read_on(
    db: &Db,
    tenant: &TenantId,
    after: &(i64, String),
    verifier: &mut Verifier<'_>,
) -> Result<Option<(i64, String)>> {
    let entries = store::audit::sealed_after(db, tenant, (after.0, &after.1), READ_AT_ONCE).await?;
    for entry in &entries {
        verifier.sealed(entry);
    }
    let place = |entry: &Entry| (entry.seq.unwrap_or_default(), entry.id.clone());
    Ok(entries.last().map(place))
}

/// A report in words, a line for each finding.
pub fn told(slug: &str, report: &Report) -> String {
    let head = report.head.as_ref().map_or_else(String::new, |head| {
        format!(", sealed up to {} at {} with the hash {}", head.seq, head.sealed_at, head.hash)
    });
    let mut lines = vec![format!("{slug}: {} entries{head}", report.sealed)];
    if report.waiting > 0 {
        lines.push(format!("{slug}: {} more were just written and wait for their place", report.waiting));
    }
    let finding = |finding: &Finding| format!("{slug}: {}: {finding}", finding.fault.name());
    lines.extend(report.findings.iter().map(finding));
    match report.more {
        0 if report.findings.is_empty() => lines.push(format!("{slug}: nothing is wrong")),
        0 => {}
        more => lines.push(format!("{slug}: and {more} more findings")),
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use domain::audit::GENESIS;

    use super::*;

    const TENANT: &str = "ten_a";
    const LENGTH: usize = 40;
    const MANIPULATIONS: u64 = 10_000;

    /// Numbers that look random and are the same in every run.
    struct Chance(u64);

    impl Chance {
        fn below(&mut self, end: usize) -> usize {
            // Source: Steele et al., "Fast Splittable Pseudorandom Number Generators" (SplitMix64).
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            usize::try_from((mixed ^ (mixed >> 31)) % u64::try_from(end).unwrap()).unwrap()
        }
    }

    fn entry(number: usize) -> Entry {
        let at = i64::try_from(number).unwrap();
        Entry {
            id: domain::id::encode_as("aud", u128::try_from(number).unwrap() << 80),
            at: Timestamp::EPOCH.plus_seconds(at),
            actor: if number.is_multiple_of(3) { "system".into() } else { format!("user:usr_{}", number % 5) },
            action: "plan.changed".into(),
            target: format!("pln_{}", number % 4),
            before: number.is_multiple_of(2).then(|| format!("{{\"basePrice\":{number}}}")),
            after: (!number.is_multiple_of(7)).then(|| format!("{{\"basePrice\":{}}}", number + 50)),
            request_id: format!("req_{number}"),
            origin: "127.0.0.1".into(),
            mac: String::new(),
            seq: None,
            prev_hash: None,
            hash: None,
        }
    }

    fn chain(keys: Keys<'_>) -> (Vec<Entry>, Head) {
        let mut end = (0, GENESIS.to_owned());
        let mut entries: Vec<_> = (0..LENGTH).map(entry).collect();
        for entry in &mut entries {
            entry.mac = entry.code(TENANT, keys);
            end = entry.seal(TENANT, (end.0, &end.1), keys);
        }
        let head = Head::genesis(TENANT, Timestamp::EPOCH, keys).moved(TENANT, end, Timestamp::EPOCH, keys);
        (entries, head)
    }

    /// Reads rows as [`verify`] does: those with a number in the order of numbers and ids, then the others.
    fn report(entries: &[Entry], head: Option<Head>, keys: Keys<'_>) -> Report {
        let mut verifier = Verifier::new(TENANT, keys);
        let mut entries: Vec<_> = entries.iter().collect();
        entries.sort_by_key(|entry| (entry.seq, &entry.id));
        for entry in entries.iter().filter(|entry| entry.seq.is_some()) {
            verifier.sealed(entry);
        }
        for entry in entries.iter().filter(|entry| entry.seq.is_none()) {
            verifier.unsealed(entry, Timestamp::EPOCH.plus_seconds(i64::try_from(LENGTH).unwrap()));
        }
        verifier.end(head, Timestamp::EPOCH)
    }

    /// Another text: changed, longer, shorter, empty or another row's.
    fn other(text: &str, chance: &mut Chance) -> String {
        let at = chance.below(text.len().max(1));
        let head: String = text.chars().take(at).collect();
        match chance.below(5) {
            0 => format!("{head}~{}", text.chars().skip(at + 1).collect::<String>()),
            1 => format!("{text} "),
            2 => head,
            3 => String::new(),
            _ => format!("x{text}"),
        }
    }

    fn other_or_none(text: Option<&String>, chance: &mut Chance) -> Option<String> {
        match text {
            Some(_) if chance.below(3) == 0 => None,
            Some(text) => Some(other(text, chance)),
            None => Some(["", "null", "{}"][chance.below(3)].to_owned()),
        }
    }

    fn edit(row: &mut Entry, chance: &mut Chance) {
        match chance.below(13) {
            0 => row.id = other(&row.id, chance),
            1 => row.at = row.at.plus_micros(1 - 2 * i64::from(chance.below(2) == 0)),
            2 => row.actor = other(&row.actor, chance),
            3 => row.action = other(&row.action, chance),
            4 => row.target = other(&row.target, chance),
            5 => row.before = other_or_none(row.before.as_ref(), chance),
            6 => row.after = other_or_none(row.after.as_ref(), chance),
            7 => row.request_id = other(&row.request_id, chance),
            8 => row.origin = other(&row.origin, chance),
            9 => row.mac = other(&row.mac, chance),
            10 => row.seq = [None, Some(0), Some(-1), Some(3), Some(i64::MAX)][chance.below(5)],
            11 => row.prev_hash = other_or_none(row.prev_hash.as_ref(), chance),
            _ => row.hash = other_or_none(row.hash.as_ref(), chance),
        }
    }

    /// Something that somebody with the database, and without the key, may do to the rows and the head.
    fn manipulate(rows: &mut Vec<Entry>, head: &mut Option<Head>, chance: &mut Chance, keys: Keys<'_>) -> &'static str {
        let (one, two) = (chance.below(rows.len()), chance.below(rows.len()));
        match chance.below(9) {
            0..=2 => {
                edit(&mut rows[one], chance);
                "edit"
            }
            3 => {
                rows.remove(one);
                "delete"
            }
            4 => {
                // Two rows change their contents and keep their places.
                let places = |row: &Entry| (row.seq, row.prev_hash.clone(), row.hash.clone());
                let (first, second) = (places(&rows[one]), places(&rows[two]));
                (rows[one].seq, rows[one].prev_hash, rows[one].hash) = second;
                (rows[two].seq, rows[two].prev_hash, rows[two].hash) = first;
                "swap"
            }
            5 => {
                let mut copy = rows[one].clone();
                copy.id = domain::id::encode_as("aud", u128::try_from(LENGTH + two).unwrap() << 80);
                match chance.below(3) {
                    0 => {}
                    1 => (copy.seq, copy.prev_hash, copy.hash) = (None, None, None),
                    _ => copy.seq = Some(i64::try_from(LENGTH + 1).unwrap()),
                }
                rows.push(copy);
                "insert a copy"
            }
            6 => {
                rows.truncate(one);
                if let (Some(head), Some(last), 0) = (head.as_mut(), rows.last(), chance.below(2)) {
                    // The head is set back as well, but its code cannot be.
                    (head.seq, head.hash) = (last.seq.unwrap(), last.hash.clone().unwrap());
                }
                "cut the tail"
            }
            7 => {
                // All hashes from an edited row on are made anew, which needs no key.
                edit(&mut rows[one], &mut Chance(u64::try_from(two * 13).unwrap()));
                let before = one.checked_sub(1).map(|at| rows[at].clone());
                let mut end = before.map_or((0, GENESIS.to_owned()), |row| (row.seq.unwrap(), row.hash.unwrap()));
                for row in rows.iter_mut().skip(one) {
                    end = row.seal(TENANT, (end.0, &end.1), keys);
                }
                if let (Some(head), 0) = (head.as_mut(), chance.below(2)) {
                    (head.seq, head.hash) = end;
                }
                "edit and chain anew"
            }
            _ => {
                if chance.below(2) == 0 {
                    *head = None;
                } else if let Some(head) = head {
                    head.sealed_at = head.sealed_at.plus_micros(1);
                }
                "forge the head"
            }
        }
    }

    #[test]
    fn ten_thousand_manipulations_are_all_found() {
        let master = MasterKey::new(&[7; 32]).unwrap();
        let mac = |bytes: &[u8]| master.audit_code(bytes);
        let keys = keys(&mac);
        let (entries, head) = chain(keys);
        assert_eq!(report(&entries, Some(head.clone()), keys).findings, []);
        let mut chance = Chance(1);
        let mut made = 0;
        while made < MANIPULATIONS {
            let (mut rows, mut end) = (entries.clone(), Some(head.clone()));
            let name = manipulate(&mut rows, &mut end, &mut chance, keys);
            // Some choices change nothing, such as a row that is swapped with itself.
            if (&rows, end.as_ref()) != (&entries, Some(&head)) {
                made += 1;
                let found = report(&rows, end, keys);
                assert!(!found.findings.is_empty(), "{name} was not found: number {made}");
            }
        }
    }

    #[test]
    fn another_key_makes_other_codes() {
        let (one, other) = (MasterKey::new(&[7; 32]).unwrap(), MasterKey::new(&[8; 32]).unwrap());
        let (entries, head) = chain(keys(&|bytes| one.audit_code(bytes)));
        let found = report(&entries, Some(head), keys(&|bytes| other.audit_code(bytes)));
        assert_eq!(found.findings.len(), LENGTH + 1);
    }
}
