//! The catalog as code: everything that a tenant sells as one document, to be kept, compared and applied as a whole.
//!
//! What a document says is read into rows (`wanted.rs`), the rows of both sides are told as documents again
//! (`state.rs`), and those are compared (`difference.rs`): what is shown is what is written (`apply.rs`). A tenant that
//! is made from a template is filled in the same way.

mod apply;
pub mod difference;
pub mod document;
pub mod entry;
pub mod read;
mod state;
#[cfg(test)]
mod tests;
mod wanted;

use domain::plan::Applies;
use serde_json::Value;
use store::db::Tx;
use store::tenant::TenantRow;

use super::revision::Expected;
use super::{plan, seal};
use crate::cx::Cx;
use crate::error::{Code, Error, Result};
use difference::Change;
use document::Document;
use read::Problems;
use state::State;

/// A catalog as it goes out.
#[derive(Debug)]
pub struct Exported {
    /// The document.
    pub document: Value,
    /// The same as YAML.
    pub yaml: String,
    /// What it is known by, until something in it changes.
    pub tag: String,
}

/// How a document is applied.
#[derive(Debug, Clone, Copy, Default)]
pub struct How {
    /// Whether only to tell what it would change.
    pub dry_run: bool,
    /// Whether to archive what the document does not have.
    pub prune: bool,
    /// For whom changed grants of plans hold; prices are for new subscriptions in any case.
    pub applies: Applies,
}

/// What came of a document.
#[derive(Debug)]
pub struct Outcome {
    /// What differed.
    pub changes: Vec<Change>,
    /// Whether it is so no more: it was no dry run.
    pub applied: bool,
    /// By what the catalog is known now.
    pub tag: String,
}

/// A tenant's catalog at one moment.
struct Now {
    row: TenantRow,
    state: State,
    default_plan: Option<String>,
}

impl Now {
    async fn load(tx: &mut Tx, cx: &Cx) -> Result<Self> {
        let row = store::tenant::lock(tx, cx.tenant.id()).await?;
        let row = row.ok_or_else(|| Error::new(Code::UnknownTenant, "The tenant is gone."))?;
        let default_plan = state::default_plan(tx, cx, &row).await?;
        Ok(Self { state: State::load(tx, cx).await?, row, default_plan })
    }

    fn document(&self) -> Result<Document> {
        self.state.document(&self.row, self.default_plan.as_deref())
    }

    fn exported(&self) -> Result<Exported> {
        let document = self.state.clone().exported().document(&self.row, self.default_plan.as_deref())?;
        let yaml = document.to_yaml()?;
        Ok(Exported { document: document.to_value()?, tag: seal::hash(&yaml), yaml })
    }
}

/// The whole catalog.
pub async fn export(cx: &Cx) -> Result<Exported> {
    let cx = &plan::fresh(cx).await?;
    let mut tx = cx.app.db.begin().await?;
    Now::load(&mut tx, cx).await?.exported()
}

/// Compares a document with the catalog, and makes the catalog what it says: all of it or nothing.
pub async fn apply(cx: &Cx, text: &[u8], how: How, expected: &Expected) -> Result<Outcome> {
    let (document, problems) = read::read(text)?;
    let cx = &plan::fresh(cx).await?;
    let mut tx = cx.app.db.begin().await?;
    store::catalog::lock(&mut tx, cx.tenant.id()).await?;
    let now = Now::load(&mut tx, cx).await?;
    let tag = now.exported()?.tag;
    if !how.dry_run || *expected != Expected::Unsaid {
        expected.check(cx, &tag)?;
    }
    let changes = write(&mut tx, cx, (&now, document, problems), how).await?;
    if how.dry_run {
        return Ok(Outcome { changes, applied: false, tag });
    }
    let tag = Now::load(&mut tx, cx).await?.exported()?.tag;
    tx.commit().await?;
    Ok(Outcome { changes, applied: true, tag })
}

/// Fills a new tenant with what a document says.
pub async fn fill(tx: &mut Tx, cx: &Cx, document: Document) -> Result<()> {
    let now = Now::load(tx, cx).await?;
    write(tx, cx, (&now, document, Problems::default()), How::default()).await.map(drop)
}

/// Writes what differs, unless it is only to be told. Answers what does.
async fn write(
    tx: &mut Tx,
    cx: &Cx,
    (now, document, mut problems): (&Now, Document, Problems),
    how: How,
) -> Result<Vec<Change>> {
    let mut wanted = wanted::read(cx, &now.state, &document, &mut problems)?;
    if how.prune {
        wanted.prune(cx, &now.state, &document);
    }
    let default_plan = document.default_plan.clone().of(now.default_plan.clone());
    if let Some(slug) = &default_plan {
        let plan = wanted.plans.iter().chain(&now.state.plans).find(|plan| plan.slug == *slug);
        if plan.is_none_or(|plan| plan.archived) {
            let detail = format!("new customers get the plan {slug}; name another one that is sold, or null");
            problems.add("/defaultPlan", detail);
        }
    }
    problems.refuse()?;
    let said = wanted.document(&now.row, default_plan.as_deref())?.with_sections_of(&document);
    let changes = difference::between(&now.document()?, &said)?;
    if !how.dry_run {
        apply::write(tx, cx, (&now.state, &wanted), &changes, how.applies).await?;
        if now.default_plan != default_plan {
            apply::default_plan(tx, cx, &now.row, (now.default_plan.as_deref(), default_plan.as_deref())).await?;
        }
        apply::note(tx, cx, &changes).await?;
    }
    Ok(changes)
}
