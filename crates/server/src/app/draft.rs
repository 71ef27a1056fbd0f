//! Drafts: an edit of a plan that is saved and not published yet. It is kept as an edit, so that what others publish
//! meanwhile is not taken back with it.

use domain::plan::{Applies, Terms};
use domain::time::Timestamp;
use serde_json::Value;
use store::db::Tx;
use store::plan::PlanRow;

use super::audit;
use super::plan::{self, Edit, Publication, Sold};
use super::revision::Expected;
use crate::cx::Cx;
use crate::error::{Code, Error, Result};

/// A saved draft.
#[derive(Debug, Clone)]
pub struct Draft {
    /// What it changes.
    pub edit: Edit,
    /// Who saved it.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Grows with every draft of the plan.
    pub revision: i64,
}

fn missing() -> Error {
    Error::new(Code::NotFound, "The plan has no draft; save one first: PUT /api/admin/plans/{slug}/draft.")
}

impl Draft {
    fn of(row: &PlanRow) -> Result<Self> {
        let text = row.draft.as_deref().ok_or_else(missing)?;
        Ok(Self {
            edit: serde_json::from_str(text).map_err(Error::internal)?,
            by: row.draft_by.clone().unwrap_or_default(),
            at: Timestamp::from_micros(row.draft_at.unwrap_or_default()),
            revision: row.draft_revision,
        })
    }
}

/// Saves a draft in place of the one before. It is checked as if it were published now.
pub async fn save(cx: &Cx, slug: &str, expected: &Expected, edit: &Edit) -> Result<Draft> {
    let cx = &plan::fresh(cx).await?;
    let mut tx = cx.app.db.begin().await?;
    let before = plan::lock(&mut tx, cx, slug).await?;
    if before.row.draft.is_some() {
        expected.check(cx, before.row.draft_revision)?;
    }
    plan::edited(&mut tx, cx, &before.terms, edit).await?;
    let text = serde_json::to_string(edit).map_err(Error::internal)?;
    let draft = (text.as_str(), &*cx.actor.name(), cx.tenant_now());
    store::plan::put_draft(&mut tx, cx.tenant.id(), &before.row.id(), Some(draft)).await?;
    audited(&mut tx, cx, &before.row, ("plan.draft_saved", Some(&text))).await?;
    let row = store::plan::find(&mut tx, cx.tenant.id(), slug).await?.ok_or_else(plan::unknown)?;
    tx.commit().await?;
    Draft::of(&row)
}

/// The draft of a plan.
pub async fn get(cx: &Cx, slug: &str) -> Result<Draft> {
    let row = store::plan::find(&cx.app.db, cx.tenant.id(), slug).await?.ok_or_else(plan::unknown)?;
    Draft::of(&row)
}

/// Drops the draft of a plan.
pub async fn drop_draft(cx: &Cx, slug: &str, expected: &Expected) -> Result<()> {
    let cx = &plan::fresh(cx).await?;
    let mut tx = cx.app.db.begin().await?;
    let before = plan::lock(&mut tx, cx, slug).await?;
    let draft = Draft::of(&before.row)?;
    expected.check(cx, draft.revision)?;
    store::plan::put_draft(&mut tx, cx.tenant.id(), &before.row.id(), None).await?;
    audited(&mut tx, cx, &before.row, ("plan.draft_dropped", None)).await?;
    Ok(tx.commit().await?)
}

async fn audited(tx: &mut Tx, cx: &Cx, row: &PlanRow, (action, after): (&'static str, Option<&str>)) -> Result<()> {
    let value = |text: &str| serde_json::from_str::<Value>(text).map_err(Error::internal);
    let before = row.draft.as_deref().map(value).transpose()?;
    let after = after.map(value).transpose()?;
    audit::write(tx, cx, audit::Change { action, target: &row.slug, before, after }).await
}

/// What the plan would say with its draft, and what it says now.
pub async fn previewed(cx: &Cx, slug: &str) -> Result<(Sold, Terms)> {
    let cx = &plan::fresh(cx).await?;
    // Nothing is written: the transaction only keeps plan and features as they are while the draft is read into them.
    let mut tx = cx.app.db.begin().await?;
    let before = plan::lock(&mut tx, cx, slug).await?;
    let draft = Draft::of(&before.row)?;
    let terms = plan::edited(&mut tx, cx, &before.terms, &draft.edit).await?;
    Ok((before, terms))
}

/// Publishes the draft.
pub async fn publish(cx: &Cx, slug: &str, expected: &Expected, applies: Applies) -> Result<Sold> {
    let cx = &plan::fresh(cx).await?;
    let mut tx = cx.app.db.begin().await?;
    let before = plan::lock(&mut tx, cx, slug).await?;
    expected.check(cx, before.row.revision)?;
    let draft = Draft::of(&before.row)?;
    let terms = plan::edited(&mut tx, cx, &before.terms, &draft.edit).await?;
    store::plan::put_draft(&mut tx, cx.tenant.id(), &before.row.id(), None).await?;
    let mut after = plan::publish(
        &mut tx,
        cx,
        &before,
        Publication { terms, applies, action: "plan.published", archived_at: before.row.archived_at },
    )
    .await?;
    after.row.draft = None;
    tx.commit().await?;
    Ok(after)
}

/// Publishes a new version that says what the version before the newest said.
pub async fn undo(cx: &Cx, slug: &str, expected: &Expected, applies: Applies) -> Result<Sold> {
    let cx = &plan::fresh(cx).await?;
    let mut tx = cx.app.db.begin().await?;
    let before = plan::lock(&mut tx, cx, slug).await?;
    expected.check(cx, before.row.revision)?;
    let versions = store::plan::versions(&mut tx, cx.tenant.id(), &before.row.id(), 2).await?;
    let [_, earlier] = versions.as_slice() else {
        return Err(Error::new(Code::NotFound, "The plan has no earlier version; there is nothing to undo."));
    };
    let publication =
        Publication { terms: earlier.terms()?, applies, action: "plan.undone", archived_at: before.row.archived_at };
    let after = plan::publish(&mut tx, cx, &before, publication).await?;
    tx.commit().await?;
    Ok(after)
}
