//! Receiving files: their size is held before the first byte is kept, and settled when the last one is.

use std::time::{Duration, Instant};

use bytes::Bytes;
use domain::file::{HEAD_BYTES, SIZE_BYTES_MAX, State, UNKNOWN_TYPE, media_type, name};
use domain::id::{FileId, ReservationId};
use store::file::FileRow;

use super::{discard, failed, feature, folder, keep, lease, not_found, own, turn, whose};
use crate::app::usage::{self, Action, Holder};
use crate::cx::{Cx, id_bits, now};
use crate::error::{Code, Error, Result};

/// Bytes of one piece, which is what an upload needs of memory.
const PART_BYTES: usize = 8 * 1024 * 1024;
/// A file must be whole so many seconds after it was begun: as long as its size may be held.
const WHOLE_WITHIN_SECONDS: i64 = 86_400;
/// A sender who is slow says so this often.
const RENEW: Duration = Duration::from_secs(20);
/// A form's last line may end without a line break, by so many bytes the file is larger than its form says.
const LEEWAY_BYTES: i64 = 2;

/// A file to come.
#[derive(Debug)]
pub struct NewFile {
    /// The customer that a key names; people act for their own.
    pub customer: Option<String>,
    /// What its sender calls it.
    pub name: String,
    /// Its bytes.
    pub size: i64,
    /// Whether its sender may go on later.
    pub resumable: bool,
}

/// Refuses what has no room, before anything of it is read.
pub async fn admit(cx: &Cx, customer: Option<&str>, size: i64) -> Result<()> {
    if size > SIZE_BYTES_MAX {
        return Err(Error::new(Code::BodyTooLarge, format!("Send files of at most {SIZE_BYTES_MAX} bytes.")));
    }
    let items = vec![(feature(), size.max(1))];
    let action = Action { customer: customer.map(str::to_owned), items, ..Action::default() };
    usage::check(cx, &action).await.map(drop)
}

/// Writes a file down, and holds its size.
pub async fn begin(cx: &Cx, new: NewFile) -> Result<Receiving> {
    let customer = whose(cx, new.customer.as_deref()).await?;
    let reservation = ReservationId::from_bits(id_bits());
    let row = FileRow {
        file_id: FileId::from_bits(id_bits()).to_string(),
        customer_id: customer.to_string(),
        feature: feature().to_string(),
        name: name(&new.name),
        media_type: UNKNOWN_TYPE.to_owned(),
        size: new.size,
        received: 0,
        state: State::Receiving.name().to_owned(),
        resumable: new.resumable,
        reservation_id: reservation.to_string(),
        writer: domain::id::encode_as("wrt", id_bits()),
        lease_until: lease(cx).as_micros(),
        expires_at: cx.now.plus_seconds(WHOLE_WITHIN_SECONDS).as_micros(),
        created_by: cx.actor.name(),
        created_at: cx.tenant_now().as_micros(),
    };
    let mut tx = cx.app.db.begin().await?;
    store::file::insert(&mut tx, cx.tenant.id(), &row).await?;
    tx.commit().await?;
    let action = Action { items: vec![(feature(), new.size.max(1))], ..Action::default() };
    let until = cx.tenant_now().plus_seconds(WHOLE_WITHIN_SECONDS);
    let held = usage::hold(cx, customer.as_str(), &action, (until, Holder::File(reservation)), |_| Ok(())).await;
    if let Err(error) = held {
        let mut tx = cx.app.db.begin().await?;
        store::file::delete(&mut tx, cx.tenant.id(), &row.file_id).await?;
        tx.commit().await?;
        return Err(error);
    }
    Ok(Receiving::of(cx, row))
}

/// An upload that its sender may go on with.
pub async fn find(cx: &Cx, id: &str) -> Result<FileRow> {
    let row = own(cx, id).await?;
    let open = row.state()? == State::Receiving && row.resumable && row.expires_at > cx.now.as_micros();
    let id = ReservationId::stored(row.reservation_id.as_str());
    // After a crash between the two an upload may be there whose size is not held.
    let held = store::usage::find_reservation(&cx.app.db, cx.tenant.id(), &id).await?.is_some();
    if open && held { Ok(row) } else { Err(not_found()) }
}

/// Goes on with an upload from where it stands.
pub async fn go_on(cx: &Cx, mut row: FileRow, offset: i64) -> Result<Receiving> {
    if offset != row.received {
        let detail = format!("The upload stands at {}; send what follows from there.", row.received);
        return Err(Error::new(Code::PreconditionFailed, detail));
    }
    let writer = domain::id::encode_as("wrt", id_bits());
    let mut tx = cx.app.db.begin().await?;
    if !store::file::take(&mut tx, cx.tenant.id(), &row, &writer, (cx.now, lease(cx))).await? {
        let detail = "Another request sends this upload; ask where it stands, and go on from there.";
        return Err(Error::new(Code::InUse, detail).retry_after(5));
    }
    tx.commit().await?;
    row.writer = writer;
    Ok(Receiving::of(cx, row))
}

/// Ends an upload for good.
pub async fn give_up(cx: &Cx, id: &str) -> Result<()> {
    let row = find(cx, id).await?;
    let received = row.received;
    let taken = go_on(cx, row, received).await?;
    discard(cx, &taken.row).await
}

/// A file whose bytes come in.
pub struct Receiving {
    cx: Cx,
    row: FileRow,
    pieces: Vec<Bytes>,
    waiting: usize,
    renewed: Instant,
}

impl Receiving {
    fn of(cx: &Cx, row: FileRow) -> Self {
        Self { cx: cx.clone(), row, pieces: Vec::new(), waiting: 0, renewed: Instant::now() }
    }

    /// Whether all is there.
    pub fn is_whole(&self) -> bool {
        self.waiting == 0 && self.row.received == self.row.size
    }

    /// Takes the bytes that follow.
    pub async fn push(&mut self, bytes: Bytes) -> Result<()> {
        let more = i64::try_from(self.waiting.saturating_add(bytes.len())).unwrap_or(i64::MAX);
        let leeway = if self.row.resumable { 0 } else { LEEWAY_BYTES };
        if self.row.received.saturating_add(more) > self.row.size.saturating_add(leeway) {
            return Err(Error::new(
                Code::BodyTooLarge,
                format!("{} bytes were announced; send no more.", self.row.size),
            ));
        }
        // However much comes at once, a piece is no larger than others.
        let mut rest = bytes;
        while !rest.is_empty() {
            let room = PART_BYTES.saturating_sub(self.waiting);
            let piece = rest.split_to(rest.len().min(room));
            self.waiting = self.waiting.saturating_add(piece.len());
            self.pieces.push(piece);
            if self.waiting >= PART_BYTES {
                self.put().await?;
            }
        }
        if self.renewed.elapsed() > RENEW {
            let mut tx = self.cx.app.db.begin().await?;
            if !store::file::renew(&mut tx, self.cx.tenant.id(), &self.row, lease(&self.cx)).await? {
                return Err(lost());
            }
            tx.commit().await?;
            self.renewed = Instant::now();
        }
        Ok(())
    }

    /// Puts what waits as one more piece. Its key is written down before, so that nothing is there that nobody knows of.
    pub async fn put(&mut self) -> Result<()> {
        if self.waiting == 0 {
            return Ok(());
        }
        let (db, tenant) = (&self.cx.app.db, self.cx.tenant.id());
        if self.row.received == 0 {
            let head: Vec<u8> = self.pieces.iter().flatten().take(HEAD_BYTES).copied().collect();
            media_type(&head).clone_into(&mut self.row.media_type);
        }
        let object = domain::id::encode_as("prt", id_bits());
        let mut tx = db.begin().await?;
        if !store::file::renew(&mut tx, tenant, &self.row, lease(&self.cx)).await? {
            return Err(lost());
        }
        store::file::begin_part(&mut tx, tenant, &self.row.file_id, (&object, self.row.received)).await?;
        tx.commit().await?;
        let key = format!("{}/{object}", folder(&self.cx, &self.row));
        let pieces = std::mem::take(&mut self.pieces);
        let size = i64::try_from(std::mem::take(&mut self.waiting)).unwrap_or(i64::MAX);
        self.cx.app.objects.put(&key, pieces).await.map_err(|error| failed(&error))?;
        let mut tx = db.begin().await?;
        if !store::file::end_part(&mut tx, tenant, &self.row, (&object, size), lease(&self.cx)).await? {
            return Err(lost());
        }
        tx.commit().await?;
        self.row.received = self.row.received.saturating_add(size);
        self.renewed = Instant::now();
        Ok(())
    }

    /// All has come: the file is its customer's.
    pub async fn finish(mut self) -> Result<FileRow> {
        self.put().await?;
        let Self { cx, mut row, .. } = self;
        row.size = row.received;
        let mut tx = cx.app.db.begin().await?;
        turn(&mut tx, &cx, &mut row, State::Received).await?;
        tx.commit().await?;
        keep(&cx, &mut row).await?;
        Ok(row)
    }

    /// The sender stops here, and may go on later. What waits is lost unless it was put.
    pub async fn pause(self) -> Result<FileRow> {
        let mut tx = self.cx.app.db.begin().await?;
        store::file::renew(&mut tx, self.cx.tenant.id(), &self.row, now()).await?;
        tx.commit().await?;
        Ok(self.row)
    }

    /// Nothing more will come: it never was.
    pub async fn give_up(self) -> Result<()> {
        discard(&self.cx, &self.row).await
    }
}

/// The error of a sender who took so long that somebody else has taken over.
fn lost() -> Error {
    Error::new(
        Code::DeadlinePassed,
        "The upload took too long without a byte; begin again, or go on from where it stands.",
    )
}
