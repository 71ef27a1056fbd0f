//! What differs between a tenant's catalog and a document: as a list, and as text that people read before they agree.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::document::{Document, brief};
use super::entry::Entry;
use crate::app::audit::diff::{self, Difference};
use crate::app::patch::Patch;
use crate::error::{Error, Result};

/// Characters of a value that the text shows.
const SHOWN_CHARS_MAX: usize = 100;

/// What happens to something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It is new.
    Added,
    /// It is to be something else.
    Changed,
    /// It is sold no more; who has it keeps it.
    Archived,
    /// The document does not have it, and it stays as it is.
    Kept,
}

/// Something that differs.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The section of the document.
    pub section: &'static str,
    /// What it is called.
    pub noun: &'static str,
    /// Which one.
    pub key: String,
    /// What happens.
    pub kind: Kind,
    /// The members that differ.
    pub fields: Vec<Difference>,
}

/// Compares what is with what is wanted, section by section; a section that is not there is not looked at.
pub fn between(now: &Document, wanted: &Document) -> Result<Vec<Change>> {
    let mut found = Vec::new();
    section(&mut found, now.features.as_deref(), wanted.features.as_deref())?;
    section(&mut found, now.plans.as_deref(), wanted.plans.as_deref())?;
    section(&mut found, now.upstreams.as_deref(), wanted.upstreams.as_deref())?;
    section(&mut found, now.components.as_deref(), wanted.components.as_deref())?;
    section(&mut found, now.model_prices.as_deref(), wanted.model_prices.as_deref())?;
    section(&mut found, now.packs.as_deref(), wanted.packs.as_deref())?;
    section(&mut found, now.coupons.as_deref(), wanted.coupons.as_deref())?;
    if wanted.default_plan != Patch::Keep && wanted.default_plan != now.default_plan {
        let value = |plan: &Patch<String>| serde_json::to_value(plan).map_err(Error::internal);
        let (before, after) = (value(&now.default_plan)?, value(&wanted.default_plan)?);
        let fields = vec![Difference { field: String::new(), before, after }];
        let (section, noun) = ("defaultPlan", "default plan");
        found.push(Change { section, noun, key: String::new(), kind: Kind::Changed, fields });
    }
    Ok(found)
}

fn section<E: Entry>(found: &mut Vec<Change>, now: Option<&[E]>, wanted: Option<&[E]>) -> Result<()> {
    let Some(wanted) = wanted else { return Ok(()) };
    let now = now.unwrap_or_default();
    let change =
        |entry: &E, kind, fields| Change { section: E::SECTION, noun: E::NOUN, key: entry.key(), kind, fields };
    for entry in wanted {
        match now.iter().find(|before| before.key() == entry.key()) {
            None => found.push(change(entry, Kind::Added, diff::between(&Value::Null, &by_name(brief(entry)?)))),
            Some(before) if before == entry => {}
            Some(before) => {
                let kind = if before.is_live() && !entry.is_live() { Kind::Archived } else { Kind::Changed };
                found.push(change(entry, kind, differing(before, entry)?));
            }
        }
    }
    let absent =
        now.iter().filter(|before| before.is_live() && !wanted.iter().any(|entry| entry.key() == before.key()));
    found.extend(absent.map(|entry| change(entry, Kind::Kept, Vec::new())));
    Ok(())
}

fn differing<E: Entry>(before: &E, after: &E) -> Result<Vec<Difference>> {
    let value = |entry: &E| serde_json::to_value(entry).map_err(Error::internal);
    let (before, after) = (value(before)?, value(after)?);
    let fields = diff::between(&by_name(before.clone()), &by_name(after.clone()));
    // By their names actions that only change their places are the same.
    Ok(if fields.is_empty() { diff::between(&before, &after) } else { fields })
}

/// A component with its actions by their names, so that a changed prompt is told as such.
fn by_name(mut entry: Value) -> Value {
    if let Some(Value::Array(actions)) = entry.get_mut("actions") {
        let named = |action: &mut Value| {
            let name = action.as_object_mut()?.shift_remove("name")?;
            Some((name.as_str()?.to_owned(), action.take()))
        };
        let named: Map<String, Value> = actions.iter_mut().filter_map(named).collect();
        if let Some(members) = entry.as_object_mut() {
            members.insert("actions".to_owned(), named.into());
        }
    }
    entry
}

/// How many things are to be added, changed and archived, and how many stay that the document does not have.
pub fn counts(changes: &[Change]) -> [usize; 4] {
    let of = |kind| changes.iter().filter(|change| change.kind == kind).count();
    [of(Kind::Added), of(Kind::Changed), of(Kind::Archived), of(Kind::Kept)]
}

/// The difference as text.
pub fn told(changes: &[Change], applied: bool) -> String {
    if changes.is_empty() {
        return "The catalog is what the document says.\n".to_owned();
    }
    let mut text = String::new();
    for change in changes {
        let name = format!("{} {}", change.noun, change.key);
        let name = name.trim_end();
        let head = match change.kind {
            Kind::Added => format!("+ {name}"),
            Kind::Changed => format!("~ {name}"),
            Kind::Archived => format!("- {name} (archived: sold no more, and kept by who has it)"),
            Kind::Kept => format!("? {name} (not in the document; it stays as it is)"),
        };
        let _infallible = writeln!(text, "{head}");
        for field in &change.fields {
            text.push_str(&line(field, change.kind));
        }
    }
    let [added, edited, archived, kept] = counts(changes);
    let to = if applied { "" } else { "to " };
    let verbs = if applied { ["added", "changed", "archived"] } else { ["add", "change", "archive"] };
    let [add, change, archive] = verbs;
    let _infallible = writeln!(
        text,
        "{added} {to}{add}, {edited} {to}{change}, {archived} {to}{archive}, {kept} not in the document"
    );
    text
}

fn line(field: &Difference, kind: Kind) -> String {
    let name = field.field.trim_start_matches('/').replace("~1", "/").replace("~0", "~");
    let name = if name.is_empty() { String::new() } else { format!("{name}: ") };
    match (&field.before, &field.after) {
        (Value::String(before), Value::String(after)) if before.contains('\n') || after.contains('\n') => {
            format!("    {name}\n{}", lines(before, after))
        }
        (_, after) if kind == Kind::Added => format!("    {name}{}\n", shown(after)),
        (before, after) => format!("    {name}{} → {}\n", shown(before), shown(after)),
    }
}

/// The lines between what two texts have in common at their beginnings and ends.
fn lines(before: &str, after: &str) -> String {
    let (before, after): (Vec<_>, Vec<_>) = (before.lines().collect(), after.lines().collect());
    let pairs = before.iter().zip(&after);
    let head = pairs.take_while(|(one, other)| one == other).count();
    let rest = before.len().min(after.len()).saturating_sub(head);
    let pairs = before.iter().rev().zip(after.iter().rev()).take(rest);
    let tail = pairs.take_while(|(one, other)| one == other).count();
    let between = |lines: &[&str], sign: char| {
        let kept = lines.len().saturating_sub(head).saturating_sub(tail);
        let line = |line: &&str| format!("      {sign} {}\n", cut(line));
        lines.iter().skip(head).take(kept).map(line).collect::<String>()
    };
    between(&before, '-') + &between(&after, '+')
}

fn shown(value: &Value) -> String {
    cut(&value.to_string())
}

fn cut(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    if text.chars().nth(SHOWN_CHARS_MAX).is_some() {
        shown.push('…');
    }
    shown
}
