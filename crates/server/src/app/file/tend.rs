//! Files that were left halfway: by a crash, or by a sender who did not come back in time.

use std::sync::Arc;

use domain::file::State;
use store::file::FileRow;

use super::{bring_out, discard, keep, lease};
use crate::app::tenant;
use crate::cx::{App, Cx, id_bits};
use crate::error::Result;

/// Files of one tenant in one run.
const TOGETHER: i64 = 100;

/// Brings every file that nobody works on, and that is not at rest, to its end.
pub async fn tend(app: &Arc<App>) -> Result<()> {
    for tenant in tenant::at_work(app).await? {
        let tenant = app.tenants.fresh(&app.db, &app.master, &tenant.id()).await?;
        let cx = Cx::system(app, &tenant, "tend-files");
        for row in store::file::left(&app.db, tenant.id(), cx.now, TOGETHER).await? {
            let id = row.file_id.clone();
            // What fails for one file holds up no other; its lease ends, and it is tried again.
            if let Err(error) = tend_one(&cx, row).await {
                tracing::warn!(file.id = %id, %error, "a file that was left halfway could not be brought to its end");
            }
        }
    }
    Ok(())
}

async fn tend_one(cx: &Cx, mut row: FileRow) -> Result<()> {
    let writer = domain::id::encode_as("wrt", id_bits());
    let mut tx = cx.app.db.begin().await?;
    if !store::file::take(&mut tx, cx.tenant.id(), &row, &writer, (cx.now, lease(cx))).await? {
        return Ok(());
    }
    tx.commit().await?;
    row.writer = writer;
    match row.state()? {
        State::Receiving => discard(cx, &row).await,
        State::Received => keep(cx, &mut row).await,
        State::Leaving => bring_out(cx, &row).await,
        State::Kept => Ok(()),
    }
}
