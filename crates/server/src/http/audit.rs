//! The audit trail: who changed what, whole as a file, and whether anybody has touched it.

use axum::response::Response;
use domain::audit::{Finding, Report};
use domain::time::Timestamp;
use futures_util::{Stream, stream};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::audit::{Filter, NamedRow};
use store::list::{Place, Wanted};
use utoipa::{IntoParams, ToSchema};

use super::auth::{AuditRead, Authed};
use super::export::{self, Format};
use super::history::instant;
use super::list::{List, ListQuery, Page};
use super::params::{Path, Query};
use super::problem::{Failed, Problem};
use super::wire::Json;
use crate::app::audit::{self, chain, diff};
use crate::cx::Cx;
use crate::error::Error;

/// Entries that an export reads at once.
const EXPORTED_AT_ONCE: i64 = 500;
/// The columns of an export.
const COLUMNS: [&str; 12] =
    ["id", "at", "actor", "actorName", "action", "target", "before", "after", "changes", "origin", "requestId", "seq"];

/// Which entries are asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct AuditQuery {
    /// Who did it: `user:usr_…`, `key:key_…`, the id alone, or `system`.
    #[param(example = "usr_01jz3k5q8e4x9m2v7c1r6t0b5n")]
    actor: Option<String>,
    /// What was done, such as `plan.updated`, or everything that is done to such things: `plan`.
    #[param(example = "plan")]
    action: Option<String>,
    /// To what: an id or a name.
    #[param(example = "starter")]
    target: Option<String>,
    /// From when: a time (RFC 3339), or a date for its midnight in the tenant's zone.
    #[param(example = "2026-11-01")]
    from: Option<String>,
    /// Until when, in the same way and without that instant.
    #[param(example = "2026-12-01")]
    to: Option<String>,
}

/// What an export is asked for: the filters of the list, and a format.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct AuditExportQuery {
    /// `csv` or `json`.
    #[param(example = "csv")]
    format: Option<Format>,
    /// As for the list.
    #[param(example = "usr_01jz3k5q8e4x9m2v7c1r6t0b5n")]
    actor: Option<String>,
    /// As for the list.
    #[param(example = "plan")]
    action: Option<String>,
    /// As for the list.
    #[param(example = "starter")]
    target: Option<String>,
    /// As for the list.
    #[param(example = "2026-11-01")]
    from: Option<String>,
    /// As for the list.
    #[param(example = "2026-12-01")]
    to: Option<String>,
}

/// What a check may be told.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct VerifyQuery {
    /// An earlier head as `SEQ:HASH`, from the log or an earlier check: a trail that was set back does not have it.
    #[param(example = "42:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    head: Option<String>,
}

/// A field that a change has changed.
#[derive(Debug, Serialize, ToSchema)]
pub struct FieldChange {
    /// Where: a JSON pointer into `before` and `after`; empty for the whole.
    #[schema(example = "/basePrice")]
    field: String,
    #[schema(schema_with = super::wire::state)]
    before: Value,
    #[schema(schema_with = super::wire::state)]
    after: Value,
}

/// One change.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditEntryBody {
    #[schema(example = "aud_01jz3k5q8e4x9m2v7c1r6t0b5n")]
    id: String,
    #[schema(value_type = String, format = DateTime, example = "2026-11-22T10:00:00Z")]
    at: Timestamp,
    /// Who did it: a kind and an id, or `system` for the product itself.
    #[schema(example = "user:usr_01jz3k5q8e4x9m2v7c1r6t0b5n")]
    actor: String,
    /// What that person or key is called now.
    #[schema(required, example = "Ada Admin")]
    actor_name: Option<String>,
    /// What was done.
    #[schema(example = "plan.updated")]
    action: String,
    /// To what.
    #[schema(example = "starter")]
    target: String,
    /// The state before; null for what was not there.
    #[schema(schema_with = super::wire::state)]
    before: Value,
    /// The state after; null for what is gone.
    #[schema(schema_with = super::wire::state)]
    after: Value,
    /// The fields that differ.
    changes: Vec<FieldChange>,
    /// Where it came from: an address, or `system`.
    #[schema(example = "203.0.113.7")]
    origin: String,
    #[schema(example = "req_01jz3k5q8e4x9m2v7c1r6t0b5n")]
    request_id: String,
    /// Its place in the tenant's chain; null until it is sealed, some seconds after the change.
    #[schema(required, example = 42)]
    seq: Option<i64>,
    /// Whether it has its place.
    sealed: bool,
}

impl From<NamedRow> for AuditEntryBody {
    fn from(row: NamedRow) -> Self {
        let state = |text: Option<String>| text.map_or(Value::Null, |text| read_state(&text));
        let (before, after) = (state(row.before), state(row.after));
        let differences = diff::between(&before, &after).into_iter();
        let change = |diff: diff::Difference| FieldChange { field: diff.field, before: diff.before, after: diff.after };
        Self {
            id: row.audit_id,
            at: Timestamp::from_micros(row.at),
            actor: row.actor,
            actor_name: row.actor_name,
            action: row.action,
            target: row.target,
            changes: differences.map(change).collect(),
            before,
            after,
            origin: row.origin,
            request_id: row.request_id,
            seq: row.seq,
            sealed: row.seq.is_some(),
        }
    }
}

/// A state as it was stored; as a text when somebody has made it something else than JSON.
fn read_state(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::from(text))
}

/// A part of the audit trail.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditBody {
    data: Vec<AuditEntryBody>,
    /// Where the next page begins; null on the last.
    #[schema(required, example = json!(null))]
    next_cursor: Option<String>,
}

/// Something that contradicts the chain.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditFinding {
    /// What is wrong, in a word: `edited`, `foreign`, `unlinked`, `missing`, `repeated`, `torn`, `unsealed`, `cut`,
    /// `beyond`, `other_head`, `forged_head`, `no_head` or `restarted`.
    #[schema(example = "edited")]
    fault: &'static str,
    /// At which place of the chain.
    #[schema(required, example = 42)]
    seq: Option<i64>,
    /// With which entry.
    #[schema(required, example = "aud_01jz3k5q8e4x9m2v7c1r6t0b5n")]
    id: Option<String>,
    /// The same as a sentence.
    #[schema(example = "42 (aud_01jz3k5q8e4x9m2v7c1r6t0b5n) was changed after it was sealed")]
    detail: String,
}

impl From<Finding> for AuditFinding {
    fn from(finding: Finding) -> Self {
        Self { detail: finding.to_string(), fault: finding.fault.name(), seq: finding.seq, id: finding.id }
    }
}

/// The end of a chain: keep it elsewhere, and a trail that was set back as a whole can be told by it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditHeadBody {
    #[schema(example = 42)]
    seq: i64,
    #[schema(example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    hash: String,
    #[schema(value_type = String, format = DateTime, example = "2026-11-22T10:00:02Z")]
    sealed_at: Timestamp,
}

/// What the tenant's audit trail was found to be.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditReport {
    /// Whether nothing is wrong.
    ok: bool,
    /// Entries that have their place in the chain.
    #[schema(example = 42)]
    sealed: i64,
    /// Entries that were just written and get theirs in a moment.
    #[schema(example = 0)]
    waiting: i64,
    /// Null before anything was sealed.
    #[schema(required)]
    head: Option<AuditHeadBody>,
    /// What is wrong, at most 1,000 of it.
    findings: Vec<AuditFinding>,
    /// How many more findings there are.
    #[schema(example = 0)]
    more: i64,
}

impl From<Report> for AuditReport {
    fn from(report: Report) -> Self {
        Self {
            ok: report.findings.is_empty(),
            sealed: report.sealed,
            waiting: report.waiting,
            head: report.head.map(|head| AuditHeadBody { seq: head.seq, hash: head.hash, sealed_at: head.sealed_at }),
            findings: report.findings.into_iter().map(AuditFinding::from).collect(),
            more: report.more,
        }
    }
}

impl AuditQuery {
    fn filter(self, cx: &Cx) -> Result<Filter, Error> {
        let text = |name: &str, text: Option<String>| match text {
            Some(text) if text.contains('\0') => Err(Error::parameter(name, "leave out the zero byte")),
            text => Ok(text.unwrap_or_default()),
        };
        let actor = text("actor", self.actor)?;
        let kind = [("usr_", "user:"), ("key_", "key:"), ("cus_", "browser:")];
        let kind = kind.iter().find(|(prefix, _)| actor.starts_with(prefix)).map_or("", |(_, kind)| *kind);
        Ok(Filter {
            actor: format!("{kind}{actor}"),
            action: text("action", self.action)?,
            target: text("target", self.target)?,
            from: instant(cx, "from", self.from.as_deref())?.unwrap_or(Timestamp::from_micros(i64::MIN)),
            to: instant(cx, "to", self.to.as_deref())?.unwrap_or(Timestamp::from_micros(i64::MAX)),
        })
    }
}

/// List who changed what: the newest first, or sorted by `at`. `q` looks into what was done and to what.
#[utoipa::path(get, path = "/api/admin/audit", operation_id = "listAudit", tag = "admin", params(ListQuery, AuditQuery),
    responses((status = 200, body = AuditBody), (status = 403, body = Problem), (status = 422, body = Problem)))]
pub async fn list(cx: Authed<AuditRead>, List(query, filter): List<AuditQuery>) -> Result<Json<AuditBody>, Failed> {
    let wanted = query.wanted(&["-at"])?;
    let rows = audit::list(&cx, &filter.filter(&cx)?, &wanted).await?;
    let Page { data, next_cursor } = Page::of(rows, &wanted, |row| (row.at.to_string(), row.audit_id.clone()));
    Ok(Json(AuditBody { data: data.into_iter().map(AuditEntryBody::from).collect(), next_cursor }))
}

/// Read one change.
#[utoipa::path(get, path = "/api/admin/audit/{id}", operation_id = "getAuditEntry", tag = "admin",
    params(("id" = String, Path, example = "aud_01jz3k5q8e4x9m2v7c1r6t0b5n")),
    responses((status = 200, body = AuditEntryBody), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub async fn get(cx: Authed<AuditRead>, Path(id): Path<String>) -> Result<Json<AuditEntryBody>, Failed> {
    Ok(Json(audit::get(&cx, &id).await?.into()))
}

/// Get the audit trail as a file, oldest first. CSV cells that a spreadsheet would take for a formula begin with `'`.
#[utoipa::path(get, path = "/api/admin/audit/export", operation_id = "exportAudit", tag = "admin", params(AuditExportQuery),
    responses((status = 200, content((AuditBody = "application/json"), (String = "text/csv; charset=utf-8; header=present"))),
        (status = 403, body = Problem), (status = 422, body = Problem)))]
pub async fn export(cx: Authed<AuditRead>, Query(query): Query<AuditExportQuery>) -> Result<Response, Failed> {
    let AuditExportQuery { format, actor, action, target, from, to } = query;
    let filter = AuditQuery { actor, action, target, from, to }.filter(&cx)?;
    let name = format!("audit-{}", cx.tenant.row.slug);
    Ok(export::answer(format.unwrap_or_default(), &name, &COLUMNS, pages(cx.0.clone(), filter)))
}

/// The entries of a filter, page after page.
fn pages(cx: Cx, filter: Filter) -> impl Stream<Item = Result<Vec<AuditEntryBody>, Error>> + Send {
    let first = Some(Place::default());
    stream::try_unfold(first, move |place| {
        let (cx, filter) = (cx.clone(), filter.clone());
        async move {
            let Some(place) = place else { return Ok(None) };
            let after = Some(place).filter(|place| !place.id.is_empty());
            let wanted = Wanted { sort: "at", descending: false, after, search: String::new(), rows: EXPORTED_AT_ONCE };
            let rows = audit::list(&cx, &filter, &wanted).await?;
            let last = rows.last().map(|row| Place { value: row.at.to_string(), id: row.audit_id.clone() });
            Ok(last.map(|last| (rows.into_iter().map(AuditEntryBody::from).collect(), Some(last))))
        }
    })
}

/// Check the tenant's audit trail: whether any entry was changed, removed, added or moved from outside.
#[utoipa::path(get, path = "/api/admin/audit/verify", operation_id = "verifyAudit", tag = "admin", params(VerifyQuery),
    responses((status = 200, body = AuditReport), (status = 403, body = Problem), (status = 422, body = Problem)))]
pub async fn verify(cx: Authed<AuditRead>, Query(query): Query<VerifyQuery>) -> Result<Json<AuditReport>, Failed> {
    let wrong = || Error::parameter("head", "write it as SEQ:HASH, both as an earlier check told them");
    let kept = query.head.map(|text| chain::kept_head(&text).ok_or_else(wrong)).transpose()?;
    let report = chain::verify(&cx.app.db, &cx.app.master, cx.tenant.id(), (kept, cx.now)).await?;
    Ok(Json(report.into()))
}
