//! API keys: shown once, stored hashed, checked from memory for a few seconds at a time.

use std::sync::Arc;

use domain::id::{KeyId, TenantId};
use domain::permission::Scope;
use domain::time::Timestamp;
use serde_json::json;
use store::key::KeyRow;
use store::list::Wanted;

use super::cache::Believed;
use super::{audit, fail_open, seal};
use crate::cx::{Actor, App, Cx, id_bits};
use crate::error::{Code, Error, Result};

/// Random characters of a key: 30 of 62 are 178 bits.
const RANDOM_CHARS: usize = 30;
const CHECK_CHARS: usize = 6;
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// A checked key is believed for so long; a revocation on another node takes at most that.
const BELIEVED_SECONDS: i64 = 5;
/// A key that was good is believed for so long while the store, which could say otherwise, is away.
const UNCHECKED_SECONDS_MAX: i64 = 900;
const KEYS_MAX: usize = 10_000;
/// The last use is noted this often.
const TOUCH_MICROS: i64 = 60_000_000;

/// Keys in memory.
pub struct Keys(Believed<Arc<Good>>);

/// What a good key stands for.
struct Good {
    tenant: TenantId,
    actor: Actor,
    expires_at: Option<Timestamp>,
}

impl Default for Keys {
    fn default() -> Self {
        Self(Believed::new(KEYS_MAX, BELIEVED_SECONDS))
    }
}

/// Whether a credential is an API key by its form.
pub fn looks_like(credential: &str) -> bool {
    credential.starts_with("tg_")
}

/// Who a key stands for, and in which tenant; none when it is wrong, revoked or over.
pub async fn verify(app: &App, secret: &str, now: Timestamp) -> Result<Option<(TenantId, Actor)>> {
    if !well_formed(secret) {
        return Ok(None);
    }
    if let Some(good) = app.keys.0.get(secret, now) {
        let runs = good.expires_at.is_none_or(|at| now < at);
        return Ok(runs.then(|| (good.tenant.clone(), good.actor.clone())));
    }
    // Boxed, because a request whose key is known should not carry the room to read one.
    match Box::pin(look_up(app, secret, now)).await {
        Err(error) if fail_open::is_away(&error) => {
            // With the store away only what fails open can be done with it.
            let known = app.keys.0.get_old(secret, now, UNCHECKED_SECONDS_MAX);
            let good = known.filter(|good| good.expires_at.is_none_or(|at| now < at)).ok_or(error)?;
            Ok(Some((good.tenant.clone(), good.actor.clone())))
        }
        checked => checked,
    }
}

async fn look_up(app: &App, secret: &str, now: Timestamp) -> Result<Option<(TenantId, Actor)>> {
    let Some(row) = store::key::find_by_secret(&app.db, &seal::hash(secret)).await? else { return Ok(None) };
    let expires_at = row.expires_at.map(Timestamp::from_micros);
    if row.revoked_at.is_some() || expires_at.is_some_and(|at| now >= at) {
        return Ok(None);
    }
    let tenant = TenantId::stored(row.tenant_id.as_str());
    let scopes = row.scopes.split(' ').filter_map(Scope::parse).collect();
    let key = KeyId::stored(row.key_id.as_str());
    touch(app, &tenant, &row, &key, now).await?;
    let actor = Actor::Key { key, scopes };
    let good = Good { tenant: tenant.clone(), actor: actor.clone(), expires_at };
    app.keys.0.put(secret, Arc::new(good), now);
    Ok(Some((tenant, actor)))
}

async fn touch(app: &App, tenant: &TenantId, row: &KeyRow, key: &KeyId, now: Timestamp) -> Result<()> {
    if row.last_used_at.is_some_and(|at| now.as_micros() < at.saturating_add(TOUCH_MICROS)) {
        return Ok(());
    }
    let mut tx = app.db.begin().await?;
    store::key::touch(&mut tx, tenant, key, now).await?;
    Ok(tx.commit().await?)
}

/// `tg_<live|test>_<30 random><6 of CRC-32>`: a typo fails without a query, and scanners can find a leaked key.
fn well_formed(secret: &str) -> bool {
    let Some(rest) = secret.strip_prefix("tg_live_").or_else(|| secret.strip_prefix("tg_test_")) else { return false };
    rest.len() == RANDOM_CHARS + CHECK_CHARS
        && rest.is_ascii()
        && secret.split_at_checked(secret.len() - CHECK_CHARS).is_some_and(|(head, tail)| check_chars(head) == tail)
}

fn check_chars(head: &str) -> String {
    let mut sum = crc32fast::hash(head.as_bytes());
    (0..CHECK_CHARS)
        .map(|_| {
            let digit = usize::try_from(sum % 62).unwrap_or(0);
            sum /= 62;
            char::from(BASE62.get(digit).copied().unwrap_or(b'0'))
        })
        .collect()
}

fn generate(live: bool) -> Result<String> {
    let mut head = String::from(if live { "tg_live_" } else { "tg_test_" });
    let wanted = head.len() + RANDOM_CHARS;
    while head.len() < wanted {
        let mut bytes = [0_u8; 64];
        seal::fill(&mut bytes)?;
        // Bytes above the last multiple of 62 are dropped, so that every character is equally likely.
        let fair = bytes.iter().filter(|byte| **byte < 248);
        let chars = fair.filter_map(|byte| BASE62.get(usize::from(byte % 62))).map(|byte| char::from(*byte));
        head.extend(chars.take(wanted - head.len()));
    }
    let check = check_chars(&head);
    Ok(head + &check)
}

/// Makes a key. Answers its row and the secret, which is not shown again.
pub async fn create(cx: &Cx, name: &str, scopes: &[Scope], expires_at: Option<Timestamp>) -> Result<(KeyRow, String)> {
    let chars = name.chars().count();
    if chars == 0 || chars > 100 || name.chars().any(char::is_control) {
        return Err(Error::field("/name", "use 1 to 100 characters that say where the key is used"));
    }
    if scopes.is_empty() {
        let known: Vec<_> = Scope::ALL.iter().map(|scope| scope.name()).collect();
        return Err(Error::field("/scopes", format!("name at least one of {}", known.join(", "))));
    }
    if expires_at.is_some_and(|at| at <= cx.now) {
        return Err(Error::field("/expiresAt", "name a time to come, or leave it out for a key that does not end"));
    }
    if let Some(missing) =
        scopes.iter().find(|scope| !cx.actor.stands(domain::permission::Role::Admin) && !cx.actor.may(**scope))
    {
        return Err(Error::new(
            Code::Forbidden,
            format!("You cannot give `{}`, which you do not have.", missing.name()),
        ));
    }
    let secret = generate(cx.tenant.row.mode == "live")?;
    let names: Vec<_> = scopes.iter().map(|scope| scope.name()).collect();
    let row = KeyRow {
        tenant_id: cx.tenant.id().to_string(),
        key_id: KeyId::from_bits(id_bits()).to_string(),
        name: name.to_owned(),
        hint: format!("{}…", secret.chars().take(12).collect::<String>()),
        scopes: names.join(" "),
        created_at: cx.now.as_micros(),
        expires_at: expires_at.map(Timestamp::as_micros),
        revoked_at: None,
        last_used_at: None,
    };
    let mut tx = cx.app.db.begin().await?;
    store::key::insert(&mut tx, &row, &seal::hash(&secret)).await?;
    let after = json!({ "name": row.name, "scopes": names, "hint": row.hint });
    audit::write(
        &mut tx,
        cx,
        audit::Change { action: "key.created", target: &row.key_id, before: None, after: Some(after) },
    )
    .await?;
    tx.commit().await?;
    Ok((row, secret))
}

/// Whether a key that was let in may still be used.
pub async fn is_good(cx: &Cx, key: &KeyId) -> Result<bool> {
    Ok(store::key::is_good(&cx.app.db, cx.tenant.id(), key, crate::cx::now()).await?)
}

/// Whether the key is good that minted a token, as far as is believed of keys.
pub async fn still_mints(app: &App, tenant: &TenantId, actor: &Actor, now: Timestamp) -> Result<bool> {
    let Some(key) = actor.key() else { return Ok(true) };
    // No secret looks like this.
    let name = format!("{tenant}/{key}");
    if app.keys.0.get(&name, now).is_some() {
        return Ok(true);
    }
    // Boxed, because a request whose key is known should not carry the room to read one.
    let checked = Box::pin(store::key::is_good(&app.db, tenant, key, now)).await.map_err(Error::from);
    match checked {
        Err(error) if fail_open::is_away(&error) => {
            app.keys.0.get_old(&name, now, UNCHECKED_SECONDS_MAX).map(|_| true).ok_or(error)
        }
        Ok(true) => {
            let good = Good { tenant: tenant.clone(), actor: actor.clone(), expires_at: None };
            app.keys.0.put(&name, Arc::new(good), now);
            Ok(true)
        }
        checked => checked,
    }
}

/// Keys of the tenant.
pub async fn list(cx: &Cx, wanted: &Wanted) -> Result<Vec<KeyRow>> {
    Ok(store::key::list(&cx.app.db, cx.tenant.id(), wanted).await?)
}

/// Refuses a caller whose key, or whose token's key, was revoked after it was let in.
pub async fn still_good(cx: &Cx) -> Result<()> {
    let Some(key) = cx.actor.key() else { return Ok(()) };
    if is_good(cx, key).await? {
        return Ok(());
    }
    cx.app.keys.0.clear();
    Err(Error::new(Code::Unauthenticated, "The key was revoked; use another."))
}

/// Revokes a key: no decision on any node is made with it from now on, and within seconds it reads nothing either.
pub async fn revoke(cx: &Cx, key: &KeyId) -> Result<()> {
    let mut tx = cx.app.db.begin().await?;
    if !store::key::revoke(&mut tx, cx.tenant.id(), key, cx.now).await? {
        return Err(Error::new(Code::NotFound, "There is no such key, or it was revoked before."));
    }
    // So that the next decision on any node, which is prepared with the epoch, looks at the key again.
    store::tenant::bump_epoch(&mut tx, cx.tenant.id(), cx.now).await?;
    audit::write(&mut tx, cx, audit::Change { action: "key.revoked", target: key.as_str(), before: None, after: None })
        .await?;
    tx.commit().await?;
    cx.app.keys.0.clear();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_carries_its_own_check() {
        let key = generate(false).unwrap();
        assert!(key.starts_with("tg_test_") && well_formed(&key), "{key}");
        for at in 8..key.len() {
            let mut typo: Vec<char> = key.chars().collect();
            typo[at] = if typo[at] == 'x' { 'y' } else { 'x' };
            let typo: String = typo.into_iter().collect();
            assert!(!well_formed(&typo), "{typo}");
        }
        for bad in ["", "tg_", "tg_live_", "sk-ant", &"tg_test_".repeat(9), "tg_test_éééééééééééééééééé"]
        {
            assert!(!well_formed(bad), "{bad}");
        }
        assert_ne!(key, generate(false).unwrap());
    }
}
