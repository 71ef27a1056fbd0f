//! What a database needs before anything is served: the platform tenant, its keys, and somebody who may begin.

use std::path::Path;

use domain::id::{TenantId, UserId};
use domain::permission::Role;
use domain::time::Timestamp;
use store::db::{Db, Tx};
use store::tenant::TenantRow;
use store::user::UserRow;

use super::seal::{MASTER_KEY_BYTES, MasterKey, fill, hash, random_text, to_hex};
use super::session::address;
use super::tenant::PLATFORM;
use super::token::Tokens;
use crate::cx::{Cx, id_bits};
use crate::error::{Code, Error, Result};

/// The reserved tenant's id.
pub fn platform() -> TenantId {
    TenantId::stored("ten_platform")
}

const SIGNING_KEY: &str = "jwt/ed25519";
const DEMO_MASTER_KEY: &str = "insecure-demo-master-key";
/// Sealed at the first start, opened at every other: shows whether the master key fits the database.
const KEY_CHECK: &str = "master-key-check";
const SETUP_LINK: &str = "setup-link";
const CHECK_TEXT: &[u8] = b"tollgate";

/// Makes sure that the reserved tenant is there.
pub async fn ensure_platform(db: &Db, now: Timestamp) -> Result<()> {
    if store::tenant::find(db, &platform()).await?.is_some() {
        return Ok(());
    }
    let mut tx = db.begin().await?;
    let inserted = store::tenant::insert(&mut tx, &blank_tenant(platform(), PLATFORM, "Platform", now)).await;
    match inserted {
        Err(store::error::Error::Conflict(_)) => Ok(()),
        Err(error) => Err(error.into()),
        Ok(()) => Ok(tx.commit().await?),
    }
}

/// The names of all tenants besides the reserved one, oldest first.
pub async fn tenants(db: &Db) -> Result<Vec<String>> {
    let rows = store::tenant::list(db).await?;
    Ok(rows.into_iter().map(|row| row.slug).filter(|slug| slug != PLATFORM).collect())
}

/// A tenant without anything.
pub fn blank_tenant(id: TenantId, slug: &str, name: &str, now: Timestamp) -> TenantRow {
    TenantRow {
        tenant_id: id.to_string(),
        slug: slug.to_owned(),
        name: name.to_owned(),
        mode: "live".to_owned(),
        currency: "USD".to_owned(),
        timezone: "UTC".to_owned(),
        enforced: true,
        clock_offset: 0,
        default_plan_id: None,
        brand: "{}".to_owned(),
        epoch: now.as_micros(),
        created_at: now.as_micros(),
        settings: "{}".to_owned(),
        revision: 1,
        suspended: false,
    }
}

/// The master key: from the environment, from a file of the data folder (made at the first start), or in demo mode from
/// the database, where it protects nothing. A key that does not fit the database is refused.
pub async fn master_key(
    db: &Db,
    data: &Path,
    from_environment: Option<&str>,
    demo: bool,
    now: Timestamp,
) -> Result<MasterKey> {
    refuse_other_mode(db, from_environment.is_some(), demo).await?;
    let bytes = match from_environment {
        Some(text) => from_hex(text).ok_or_else(|| {
            Error::new(Code::Internal, "TOLLGATE_MASTER_KEY must be 64 hexadecimal digits (32 bytes).")
        })?,
        None if demo => demo_key(db, now).await?,
        None => {
            let file = data.join("master.key");
            // A new key could open nothing of what is there.
            if !file.exists() && store::secret::find(db, &platform(), KEY_CHECK).await?.is_some() {
                return Err(other_key());
            }
            file_key(&file)?
        }
    };
    let master = MasterKey::new(&bytes)?;
    let mut tx = db.begin().await?;
    let sealed = master.seal(&platform(), KEY_CHECK, CHECK_TEXT)?;
    let stored = store::secret::keep_first(&mut tx, &platform(), KEY_CHECK, &sealed, now).await?;
    tx.commit().await?;
    fitting(master, &stored)
}

fn fitting(master: MasterKey, check: &str) -> Result<MasterKey> {
    if master.open(&platform(), KEY_CHECK, check).as_deref() != Some(CHECK_TEXT) {
        return Err(other_key());
    }
    Ok(master)
}

fn other_key() -> Error {
    let detail = "the master key does not fit this database: give the one that it was made with as TOLLGATE_MASTER_KEY \
                  (--master-key), or start with the data folder (--data) in which its master.key lies; every node needs the same";
    Error::new(Code::Internal, detail)
}

/// The demo keeps a key of its own in its database: which of the two a database is must be said at its start. Told
/// before any key is made.
async fn refuse_other_mode(db: &Db, has_key: bool, demo: bool) -> Result<()> {
    let Some(check) = store::secret::find(db, &platform(), KEY_CHECK).await? else { return Ok(()) };
    let kept = store::secret::find(db, &platform(), DEMO_MASTER_KEY).await?.and_then(|text| from_hex(&text));
    let master = kept.map(|bytes| MasterKey::new(&bytes)).transpose()?;
    let by_demo = master.is_some_and(|key| key.open(&platform(), KEY_CHECK, &check).as_deref() == Some(CHECK_TEXT));
    let elsewhere = "or name another place by --data or --database-url";
    let detail = match (has_key, demo, by_demo) {
        (false, false, true) => {
            format!(
                "this database was made by the demo: start it with --demo (TOLLGATE_DEMO=true), {elsewhere} to begin without the demo"
            )
        }
        (false, true, false) => {
            format!(
                "this database was not made by the demo: start it without --demo (TOLLGATE_DEMO), {elsewhere} for the \
                 demo; one that the demo made with a master key of its own needs that key (TOLLGATE_MASTER_KEY)"
            )
        }
        _ => return Ok(()),
    };
    Err(Error::new(Code::Internal, detail))
}

/// The master key that a database was made with, for commands that make nothing: given, or in the data folder, or the
/// demo's own. Also says whether it is the demo's, which protects nothing.
pub async fn known_master_key(db: &Db, data: &Path, given: Option<&str>) -> Result<(MasterKey, bool)> {
    let file = data.join("master.key");
    let kept = store::secret::find(db, &platform(), DEMO_MASTER_KEY).await?;
    let (bytes, demo) = match (given, kept) {
        (Some(text), _) => (from_hex(text), false),
        (None, _) if file.exists() => (Some(file_key(&file)?), false),
        (None, Some(kept)) => (from_hex(&kept), true),
        (None, None) => (None, false),
    };
    let missing = || {
        let detail = format!(
            "Name the data folder with the master key by --data (there is none at {}), or give the key as \
             TOLLGATE_MASTER_KEY: 64 hexadecimal digits.",
            file.display()
        );
        Error::new(Code::Internal, detail)
    };
    let master = MasterKey::new(&bytes.ok_or_else(missing)?)?;
    let check = store::secret::find(db, &platform(), KEY_CHECK).await?.unwrap_or_default();
    Ok((fitting(master, &check)?, demo))
}

async fn demo_key(db: &Db, now: Timestamp) -> Result<Vec<u8>> {
    let mut bytes = [0_u8; MASTER_KEY_BYTES];
    fill(&mut bytes)?;
    let mut tx = db.begin().await?;
    let kept = store::secret::keep_first(&mut tx, &platform(), DEMO_MASTER_KEY, &to_hex(&bytes), now).await?;
    tx.commit().await?;
    from_hex(&kept).ok_or_else(|| Error::internal("the demo's master key does not parse"))
}

fn file_key(path: &Path) -> Result<Vec<u8>> {
    use std::io::Write as _;
    use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
    let failed = |e: std::io::Error| Error::internal(format!("{}: {e}", path.display()));
    if let Ok(text) = std::fs::read_to_string(path) {
        let mode = std::fs::metadata(path).map_err(failed)?.permissions().mode();
        if mode & 0o077 != 0 {
            let detail = format!("{} can be read by others; run chmod 600 on it.", path.display());
            return Err(Error::new(Code::Internal, detail));
        }
        return from_hex(text.trim()).ok_or_else(|| Error::internal(format!("{} is not a key", path.display())));
    }
    let mut bytes = vec![0_u8; MASTER_KEY_BYTES];
    fill(&mut bytes)?;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    file.write_all(to_hex(&bytes).as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    Ok(bytes)
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u32> = text.chars().map(|c| c.to_digit(16)).collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits
        .chunks_exact(2)
        .filter_map(|pair| u8::try_from(pair.iter().fold(0, |sum, d| sum * 16 + d)).ok())
        .collect();
    (bytes.len() == MASTER_KEY_BYTES && digits.len() == 2 * MASTER_KEY_BYTES).then_some(bytes)
}

/// The platform's signing key, made at the first start.
pub async fn tokens(db: &Db, master: &MasterKey, now: Timestamp) -> Result<Tokens> {
    let sealed = master.seal(&platform(), SIGNING_KEY, &Tokens::generate()?)?;
    let mut tx = db.begin().await?;
    let stored = store::secret::keep_first(&mut tx, &platform(), SIGNING_KEY, &sealed, now).await?;
    tx.commit().await?;
    let pkcs8 = master.open(&platform(), SIGNING_KEY, &stored);
    Tokens::new(&pkcs8.ok_or_else(|| Error::internal("the signing key does not open"))?)
}

/// At the first start without demo: the path of a one-time link by which the first operator signs up.
pub async fn setup_link(cx: &Cx) -> Result<Option<String>> {
    if store::user::owners(&cx.app.db, &platform()).await? > 0 {
        return Ok(None);
    }
    let secret = random_text()?;
    let mut tx = cx.app.db.begin().await?;
    store::secret::remove(&mut tx, &platform(), SETUP_LINK).await?;
    store::secret::keep_first(&mut tx, &platform(), SETUP_LINK, &hash(&secret), cx.now).await?;
    tx.commit().await?;
    Ok(Some(format!("/setup?token={secret}")))
}

/// Makes the first operator by the one-time link, which is spent by it.
pub async fn use_setup_link(cx: &Cx, secret: &str, email: &str, password: &str) -> Result<()> {
    let wrong = || Error::new(Code::Forbidden, "The link is wrong or was used; restart the server for a new one.");
    let stored = store::secret::find(&cx.app.db, &platform(), SETUP_LINK).await?;
    if stored.as_deref() != Some(&hash(secret)) {
        return Err(wrong());
    }
    let user = new_user(cx, email, password, Role::Operator).await?;
    let mut tx = cx.app.db.begin().await?;
    if !store::secret::remove(&mut tx, &platform(), SETUP_LINK).await? {
        return Err(wrong());
    }
    insert_user(&mut tx, (&platform(), PLATFORM), &user, cx.now).await?;
    Ok(tx.commit().await?)
}

/// A user's row with its password hashed.
pub async fn new_user(cx: &Cx, email: &str, password: &str, role: Role) -> Result<UserRow> {
    Ok(UserRow {
        user_id: UserId::from_bits(id_bits()).to_string(),
        email: address(email)?,
        name: None,
        password_hash: cx.app.passwords.hash(password).await?,
        role: role.name().to_owned(),
        customer_id: None,
        verified: true,
    })
}

async fn insert_user(tx: &mut Tx, (tenant, slug): (&TenantId, &str), user: &UserRow, now: Timestamp) -> Result<()> {
    match store::user::insert(tx, tenant, user, now).await {
        Err(store::error::Error::Conflict(_)) => {
            let detail = format!("{} exists already in {slug}; choose another address.", user.email);
            Err(Error::new(Code::Taken, detail))
        }
        inserted => Ok(inserted?),
    }
}

/// Makes a member of the tenant, from the command line.
pub async fn create_member(cx: &Cx, email: &str, password: &str, role: Role) -> Result<UserRow> {
    let user = new_user(cx, email, password, role).await?;
    let mut tx = cx.app.db.begin().await?;
    insert_user(&mut tx, (cx.tenant.id(), &cx.tenant.row.slug), &user, cx.now).await?;
    let after = serde_json::json!({ "role": user.role });
    let change =
        super::audit::Change { action: "member.created", target: &user.user_id, before: None, after: Some(after) };
    super::audit::write(&mut tx, cx, change).await?;
    tx.commit().await?;
    Ok(user)
}
