//! Files of customers (decision 0025): listed, read and deleted here, received by [`receive`].
//!
//! A file's row is there before anything else of it and until everything else is gone, so that a crash leaves nothing
//! that nobody knows of: [`tend`] brings whatever was left halfway to its end. The quota counts a file from before its
//! first byte is kept, as a reservation, until after the deletion is committed.

pub mod receive;
pub mod tend;

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use domain::entitlement::resolve_or_nothing;
use domain::file::State;
use domain::id::{CustomerId, FeatureKey, ReservationId};
use domain::time::Timestamp;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt as _, TryStreamExt as _};
use providers::object::ObjectError;
use store::db::Tx;
use store::file::FileRow;
use store::gate::Command;
use store::list::Wanted;

use super::idempotency;
use super::usage::{self, Action};
use crate::cx::{Actor, App, Cx};
use crate::error::{Code, Error, Result};

/// How long a file is worked on before somebody else may take it, in seconds: longer than one call of the store takes.
const LEASE_SECONDS: i64 = 120;

/// The folder of a file's bytes. Nothing in it is of anybody's choosing.
fn folder(cx: &Cx, row: &FileRow) -> String {
    format!("{}/{}", cx.tenant.id(), row.file_id)
}

fn feature() -> FeatureKey {
    FeatureKey::stored(domain::file::FEATURE)
}

fn lease(cx: &Cx) -> Timestamp {
    crate::cx::now().max(cx.now).plus_seconds(LEASE_SECONDS)
}

fn not_found() -> Error {
    Error::new(Code::NotFound, "There is no such file; GET /api/files lists them.")
}

/// What the store of bytes could not do.
fn failed(error: &ObjectError) -> Error {
    match error {
        ObjectError::Full => {
            Error::new(Code::StorageFull, "There is no room for files; try again once there is.").retry_after(30)
        }
        ObjectError::Setup(_) | ObjectError::Missing | ObjectError::Failed(_) => {
            tracing::warn!(%error, "the store of files did not answer as it should");
            Error::new(Code::Unavailable, "The store of files is away; try again shortly.").retry_after(5)
        }
    }
}

/// The customer that a caller acts for.
async fn whose(cx: &Cx, named: Option<&str>) -> Result<CustomerId> {
    let named = usage::acting_for(cx, named)?;
    Ok(cx.app.customers.get(cx, &named).await?.customer.id.clone())
}

/// A file that the caller may know of: of their own customer, or of any for a key.
async fn own(cx: &Cx, id: &str) -> Result<FileRow> {
    if id.contains('\0') {
        return Err(not_found());
    }
    let row = store::file::find(&cx.app.db, cx.tenant.id(), id).await?.ok_or_else(not_found)?;
    let any = matches!(cx.actor, Actor::Key { .. } | Actor::System);
    let own = cx.actor.own_customer().is_some_and(|own| own.as_str() == row.customer_id);
    if any || own { Ok(row) } else { Err(not_found()) }
}

/// A customer's files, the newest first.
pub async fn list(cx: &Cx, customer: Option<&str>, wanted: &Wanted) -> Result<Vec<FileRow>> {
    let customer = whose(cx, customer).await?;
    Ok(store::file::list(&cx.app.db, cx.tenant.id(), customer.as_str(), wanted).await?)
}

/// One file.
pub async fn get(cx: &Cx, id: &str) -> Result<FileRow> {
    let row = own(cx, id).await?;
    if row.state()? == State::Kept { Ok(row) } else { Err(not_found()) }
}

/// The bytes of a file, piece by piece as they are asked for.
pub async fn content(cx: &Cx, row: &FileRow) -> Result<BoxStream<'static, io::Result<Bytes>>> {
    let parts = store::file::parts(&cx.app.db, cx.tenant.id(), &row.file_id).await?;
    let folder = folder(cx, row);
    let app = cx.app.clone();
    let kept = parts.into_iter().filter(|part| part.size.is_some());
    let open = move |key: String| {
        let app: Arc<App> = app.clone();
        async move { app.objects.get(&key).await.map_err(io::Error::other) }
    };
    let keys: Vec<_> = kept.map(|part| format!("{folder}/{}", part.object)).collect();
    Ok(stream::iter(keys).then(open).try_flatten().boxed())
}

/// Deletes a file. From its commit on nobody sees it, and the quota follows.
pub async fn remove(cx: &Cx, id: &str) -> Result<()> {
    let mut row = get(cx, id).await?;
    let mut tx = cx.app.db.begin().await?;
    turn(&mut tx, cx, &mut row, State::Leaving).await?;
    tx.commit().await?;
    if let Err(error) = bring_out(cx, &row).await {
        tracing::warn!(file.id = %row.file_id, %error, "a deleted file is still there; the job brings it out");
    }
    Ok(())
}

/// Brings a file from the state in which it was read to another.
async fn turn(tx: &mut Tx, cx: &Cx, row: &mut FileRow, to: State) -> Result<()> {
    if !store::file::turn(tx, cx.tenant.id(), row, (to, lease(cx))).await? {
        return Err(not_found());
    }
    to.name().clone_into(&mut row.state);
    Ok(())
}

/// Settles the size of a file that is there as a whole, and lets its customer have it. Safe to do twice.
async fn keep(cx: &Cx, row: &mut FileRow) -> Result<()> {
    let id = ReservationId::stored(row.reservation_id.as_str());
    if let Some(held) = store::usage::find_reservation(&cx.app.db, cx.tenant.id(), &id).await? {
        let used = [(FeatureKey::stored(row.feature.as_str()), row.size)];
        let settled = usage::settle_held(cx, &held.customer, &held.held, &used, (&Action::default(), None)).await;
        if let Err(error) = settled
            && error.code != Code::ReservationEnded
        {
            return Err(error);
        }
    }
    let mut tx = cx.app.db.begin().await?;
    turn(&mut tx, cx, row, State::Kept).await?;
    Ok(tx.commit().await?)
}

/// Forgets a file that did not become whole: its hold, its bytes, its row. Safe to do twice.
async fn discard(cx: &Cx, row: &FileRow) -> Result<()> {
    let id = ReservationId::stored(row.reservation_id.as_str());
    if let Some(held) = store::usage::find_reservation(&cx.app.db, cx.tenant.id(), &id).await? {
        usage::release_held(cx, &held.customer, &held.held).await?;
    }
    forget(cx, row).await
}

/// Takes the size of a deleted file out of the quota, and then its bytes and its row away. Safe to do twice.
async fn bring_out(cx: &Cx, row: &FileRow) -> Result<()> {
    let feature = FeatureKey::stored(row.feature.as_str());
    let idempotency = Some(idempotency::internal(&format!("file/{}", row.file_id)));
    let action = Action { idempotency, ..Action::default() };
    // Also without a plan: what is deleted frees its room whoever pays.
    let by = async |level: Option<i64>| {
        usage::submit(cx, &row.customer_id, &action, |cx, account| {
            let now = cx.tenant_now();
            let entitled = Arc::new(resolve_or_nothing(&cx.tenant.catalog, &account.customer, &feature, now));
            Ok(match level {
                Some(level) => Command::SetGauge((entitled, level)),
                None => Command::AdjustGauge((entitled, row.size.saturating_neg())),
            })
        })
        .await
    };
    if row.size > 0 {
        match by(None).await {
            // Somebody set the gauge lower than the files are.
            Err(error) if error.code == Code::GaugeBelowZero => by(Some(0)).await.map(drop)?,
            moved => moved.map(drop)?,
        }
    }
    forget(cx, row).await
}

/// Removes the bytes of a file, and then what is known of it.
async fn forget(cx: &Cx, row: &FileRow) -> Result<()> {
    let tenant = cx.tenant.id();
    let parts = store::file::parts(&cx.app.db, tenant, &row.file_id).await?;
    let names: Vec<_> = parts.into_iter().map(|part| part.object).collect();
    cx.app.objects.remove(&folder(cx, row), &names).await.map_err(|error| failed(&error))?;
    let mut tx = cx.app.db.begin().await?;
    store::file::delete(&mut tx, tenant, &row.file_id).await?;
    Ok(tx.commit().await?)
}
