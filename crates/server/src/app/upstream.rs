//! Upstreams of AI calls: where they are, with which key, and whether they answer. A key goes in and never comes out.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use domain::id::FeatureKey;
use providers::http::{Reach, Secret, SetupError};
use providers::llm::{Anthropic, Call, Config, Demo, FailureKind, OpenAi, Part, Upstream, anthropic, openai};
use serde_json::{Value, json};
use store::db::Tx;
use store::gate::Idempotency;
use store::tenant::TenantRow;
use store::upstream::UpstreamRow;

use super::component::edit::current;
use super::component::trial::ask;
use super::patch::Patch;
use super::revision::Expected;
use super::seal::MasterKey;
use super::{audit, creation};
use crate::cx::{Cx, clock};
use crate::error::{Code, Error, Result};
use crate::limits::TEXT_CHARS_MAX;

/// Upstreams of a tenant.
pub const UPSTREAMS_MAX: usize = 50;
/// Characters of a key that stay readable.
const HINT_CHARS: usize = 4;
/// Keys shorter than this show nothing: what stays readable would be too much of them.
const HINTED_KEY_CHARS_MIN: usize = 16;
const KEY_CHARS_MAX: usize = 1_000;
/// How long an upstream has to answer a test.
const TEST_TIMEOUT: Duration = Duration::from_secs(20);
/// Words that an answer to a test may have.
const TEST_TOKENS_MAX: u32 = 64;

/// What an upstream speaks.
pub const KINDS: [&str; 3] = ["anthropic", "openai", "demo"];

/// Where a sealed upstream key stands.
pub fn upstream_place(upstream: &str) -> String {
    format!("upstream/{upstream}")
}

/// What of a key may be shown.
pub fn key_hint(key: &str) -> String {
    let key = key.trim();
    let chars = key.chars().count();
    if chars < HINTED_KEY_CHARS_MIN { String::new() } else { key.chars().skip(chars - HINT_CHARS).collect() }
}

/// Makes the clients of a tenant's upstreams. One that cannot be used is left out: it must not take the others along.
pub fn connect(
    tenant: &TenantRow,
    rows: Vec<UpstreamRow>,
    master: &MasterKey,
) -> Result<HashMap<String, Arc<dyn Upstream>>> {
    let mut upstreams = HashMap::new();
    for row in rows {
        let sealed = row.api_key_sealed.as_deref();
        let opened = sealed.map(|sealed| master.open(&tenant.id(), &upstream_place(&row.upstream), sealed));
        let key = match opened {
            None => String::new(),
            Some(Some(plain)) => String::from_utf8_lossy(&plain).into_owned(),
            Some(None) => return Err(Error::internal(format!("upstream {}: its key does not open", row.upstream))),
        };
        match client(&tenant.mode, &row, key) {
            Ok(client) => drop(upstreams.insert(row.upstream, client)),
            Err(why) => {
                tracing::error!(tenant.id = %tenant.tenant_id, upstream = %row.upstream, %why, "an upstream cannot be used");
            }
        }
    }
    Ok(upstreams)
}

fn client(mode: &str, row: &UpstreamRow, key: String) -> Result<Arc<dyn Upstream>, SetupError> {
    let plain = row.base_url.as_deref().is_some_and(|url| url.starts_with("http://"));
    if plain && mode != "sandbox" {
        return Err(SetupError::Reach("begin with https://"));
    }
    let config = |base_url: &str| {
        let base_url = row.base_url.as_deref().unwrap_or(base_url);
        let reach = match (mode, plain) {
            ("sandbox", true) => Reach::Private,
            ("sandbox", false) => Reach::Any,
            _ => Reach::Public,
        };
        Config { reach, ..Config::new(base_url, Secret::new(key.clone())) }
    };
    Ok(match row.kind.as_str() {
        "anthropic" => Arc::new(Anthropic::new(config(anthropic::BASE_URL))?),
        "openai" => Arc::new(OpenAi::new(config(openai::BASE_URL))?),
        _ => Arc::new(Demo),
    })
}

/// An upstream as an admin sees it, with the components that run on it.
pub type View = (UpstreamRow, Vec<FeatureKey>);

/// All upstreams.
pub async fn list(cx: &Cx) -> Result<Vec<View>> {
    let cx = current(cx).await?;
    let rows = store::upstream::list(&cx.app.db, cx.tenant.id()).await?;
    Ok(rows.into_iter().map(|row| view(&cx, row)).collect())
}

fn view(cx: &Cx, row: UpstreamRow) -> View {
    let components = cx.tenant.components.values().filter(|component| component.upstream == row.upstream);
    let keys = components.map(|component| component.key.clone()).collect();
    (row, keys)
}

async fn get(cx: &Cx, name: &str) -> Result<View> {
    list(cx).await?.into_iter().find(|(row, _)| row.upstream == name).ok_or_else(unknown)
}

fn unknown() -> Error {
    Error::new(Code::NotFound, "GET /api/admin/upstreams lists the upstreams that there are.")
}

/// What an edit says; what it does not say stays.
#[derive(Debug, Default)]
pub struct Edit {
    /// What it speaks.
    pub kind: Option<String>,
    /// Where it is, or that it is where its provider's own is.
    pub base_url: Patch<String>,
    /// Its key, or that it has none.
    pub api_key: Patch<String>,
}

/// Adds an upstream. Answers whether a request with the same key had added it before.
pub async fn create(cx: &Cx, (name, edit): (&str, Edit), identity: Option<&Idempotency>) -> Result<(View, bool)> {
    let mut tx = cx.app.db.begin().await?;
    if let Some(made) = creation::claim(&mut tx, cx, identity).await? {
        drop(tx);
        return Ok((get(cx, &made).await?, true));
    }
    check_name(name)?;
    if store::upstream::find_locked(&mut tx, cx.tenant.id(), name).await?.is_some() {
        return Err(Error::new(Code::Taken, format!("An upstream is called {name} already; change it instead.")));
    }
    if store::upstream::list(&mut tx, cx.tenant.id()).await?.len() >= UPSTREAMS_MAX {
        return Err(Error::field("/name", format!("there are {UPSTREAMS_MAX} upstreams already")));
    }
    let row = applied(cx, &keyless(name, &edit.kind.clone().unwrap_or_default()), edit)?;
    write(&mut tx, cx, &row, ("upstream.created", None)).await?;
    creation::note(&mut tx, cx, identity, name).await?;
    tx.commit().await?;
    Ok((get(cx, name).await?, false))
}

/// Checks what components are to call an upstream.
pub fn check_name(name: &str) -> Result<()> {
    let checked = FeatureKey::parse(name).map(|_| ());
    checked.map_err(|_| Error::field("/name", "use 1 to 64 of a-z, 0-9, _ and -, starting with a letter"))
}

/// An upstream without a key, at its provider's own address.
pub fn keyless(name: &str, kind: &str) -> UpstreamRow {
    UpstreamRow {
        upstream: name.to_owned(),
        kind: kind.to_owned(),
        base_url: None,
        api_key_sealed: None,
        key_hint: None,
        revision: 1,
    }
}

/// Changes an upstream. The very next call on any node uses it.
pub async fn change(cx: &Cx, name: &str, edit: Edit, expected: &Expected) -> Result<View> {
    let mut tx = cx.app.db.begin().await?;
    let before = store::upstream::find_locked(&mut tx, cx.tenant.id(), name).await?.ok_or_else(unknown)?;
    expected.check(cx, before.revision)?;
    let moved = edit.kind.as_ref().is_some_and(|kind| *kind != before.kind)
        || edit.base_url.clone().of(before.base_url.clone()) != before.base_url;
    if moved && before.api_key_sealed.is_some() && edit.api_key == Patch::Keep {
        let detail = "send the key again: a stored key is not sent to another address on its own";
        return Err(Error::field("/apiKey", detail));
    }
    let mut row = applied(cx, &before, edit)?;
    row.revision = row.revision.saturating_add(1);
    write(&mut tx, cx, &row, ("upstream.changed", Some(&before))).await?;
    tx.commit().await?;
    get(cx, name).await
}

/// Takes an upstream away that no component runs on.
pub async fn remove(cx: &Cx, name: &str, expected: &Expected) -> Result<()> {
    let mut tx = cx.app.db.begin().await?;
    let before = store::upstream::find_locked(&mut tx, cx.tenant.id(), name).await?.ok_or_else(unknown)?;
    expected.check(cx, before.revision)?;
    let users = store::upstream::components(&mut tx, cx.tenant.id(), name).await?;
    if !users.is_empty() {
        let detail = format!("Components run on it: {}. Give them another upstream first.", users.join(", "));
        return Err(Error::new(Code::InUse, detail));
    }
    store::upstream::remove(&mut tx, cx.tenant.id(), name).await?;
    store::tenant::bump_epoch(&mut tx, cx.tenant.id(), cx.now).await?;
    let before = Some(state(&before));
    audit::write(&mut tx, cx, audit::Change { action: "upstream.removed", target: name, before, after: None }).await?;
    Ok(tx.commit().await?)
}

/// Writes an upstream that is new, or another one from now on.
pub async fn write(
    tx: &mut Tx,
    cx: &Cx,
    row: &UpstreamRow,
    (action, before): (&'static str, Option<&UpstreamRow>),
) -> Result<()> {
    store::upstream::put(tx, cx.tenant.id(), row).await?;
    store::tenant::bump_epoch(tx, cx.tenant.id(), cx.now).await?;
    let after = Some(state(row));
    audit::write(tx, cx, audit::Change { action, target: &row.upstream, before: before.map(state), after }).await
}

/// What an audit entry says: of the key whether there is one, and its end.
fn state(row: &UpstreamRow) -> Value {
    json!({ "kind": row.kind, "baseUrl": row.base_url, "hasKey": row.api_key_sealed.is_some(), "keyHint": row.key_hint })
}

/// What becomes of an upstream; nothing that could not be called.
pub fn applied(cx: &Cx, before: &UpstreamRow, edit: Edit) -> Result<UpstreamRow> {
    let mut row = before.clone();
    row.kind = edit.kind.unwrap_or(row.kind);
    if !KINDS.contains(&row.kind.as_str()) {
        return Err(Error::field("/kind", format!("use one of {}", KINDS.join(", "))));
    }
    row.base_url = edit.base_url.of(row.base_url).map(|url| url.trim().trim_end_matches('/').to_owned());
    let key = match edit.api_key {
        Patch::Keep => None,
        Patch::Clear => {
            (row.api_key_sealed, row.key_hint) = (None, None);
            None
        }
        Patch::Set(key) => {
            let key = key.trim().to_owned();
            if key.is_empty() || key.len() > KEY_CHARS_MAX || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(Error::field("/apiKey", "use the key as its provider shows it, or null for none"));
            }
            let sealed = cx.app.master.seal(cx.tenant.id(), &upstream_place(&row.upstream), key.as_bytes())?;
            (row.api_key_sealed, row.key_hint) = (Some(sealed), Some(key_hint(&key)));
            Some(key)
        }
    };
    if let Some(url) = &row.base_url {
        address(cx, url)?;
    }
    client(&cx.tenant.row.mode, &row, key.unwrap_or_default())
        .map_err(|why| Error::field("/baseUrl", why.to_string()))?;
    Ok(row)
}

/// Keys go over https; only a sandbox may call a server of its own network without.
fn address(cx: &Cx, url: &str) -> Result<()> {
    let sandbox = cx.tenant.row.mode == "sandbox";
    let secure = url.starts_with("https://");
    if url.chars().count() > TEXT_CHARS_MAX || url.contains(['?', '#']) || url.chars().any(char::is_control) {
        return Err(Error::field(
            "/baseUrl",
            format!("use an address of at most {TEXT_CHARS_MAX} characters, without a query"),
        ));
    }
    match (secure, sandbox) {
        (true, _) | (false, true) if secure || url.starts_with("http://") => Ok(()),
        (_, true) => {
            Err(Error::field("/baseUrl", "begin with https://, or with http:// for a server of your own network"))
        }
        (_, false) => Err(Error::field("/baseUrl", "begin with https://")),
    }
}

/// What a test call came to.
#[derive(Debug)]
pub struct Tested {
    /// Whether it answered.
    pub works: bool,
    /// What happened, and what to do.
    pub detail: String,
    /// The model that answered, or that was asked.
    pub model: String,
    /// How long it took.
    pub milliseconds: i64,
}

/// Calls an upstream with a few words.
pub async fn test(cx: &Cx, name: &str, model: Option<String>) -> Result<Tested> {
    let cx = &current(cx).await?;
    let (row, _) = get(cx, name).await?;
    let model = model
        .or_else(|| usual_model(cx, &row))
        .ok_or_else(|| Error::field("/model", "name the model to ask: no component runs on this upstream yet"))?;
    if model.chars().count() > TEXT_CHARS_MAX || model.chars().any(char::is_control) {
        return Err(Error::field("/model", format!("use at most {TEXT_CHARS_MAX} characters")));
    }
    let Some(upstream) = cx.tenant.upstreams.get(name) else {
        let detail = "Its address may not be called by this tenant; change baseUrl.".to_owned();
        return Ok(Tested { works: false, detail, model, milliseconds: 0 });
    };
    cx.app.trials.admit(cx.tenant.id(), cx.now)?;
    let began = clock();
    let answer = ask(&**upstream, &small_call(cx, &model)).await;
    let milliseconds = clock().saturating_sub(began).max(0) / 1_000;
    let tested = match answer {
        Ok(answer) => Tested { works: true, detail: "It answers.".to_owned(), model: answer.model, milliseconds },
        Err(failure) => {
            let detail = format!("{} {}", in_words(failure.kind), failure.detail);
            Tested { works: false, detail, model, milliseconds }
        }
    };
    let after = json!({ "works": tested.works, "model": tested.model });
    let mut tx = cx.app.db.begin().await?;
    let change = audit::Change { action: "upstream.tested", target: name, before: None, after: Some(after) };
    audit::write(&mut tx, cx, change).await?;
    tx.commit().await?;
    Ok(tested)
}

fn usual_model(cx: &Cx, row: &UpstreamRow) -> Option<String> {
    let used = cx.tenant.components.values().find(|component| component.upstream == row.upstream);
    let used = used.map(|component| component.model.clone());
    let priced =
        cx.tenant.model_prices.iter().find(|price| row.kind == "anthropic" && price.model.starts_with("claude-"));
    used.or_else(|| priced.map(|price| price.model.clone())).or_else(|| (row.kind == "demo").then(|| "demo".to_owned()))
}

fn small_call(cx: &Cx, model: &str) -> Call {
    Call {
        model: model.to_owned(),
        api_version: None,
        system: String::new(),
        parts: vec![Part::Text("Answer with the word OK.".to_owned())],
        output_schema: None,
        max_output_tokens: TEST_TOKENS_MAX,
        component: String::new(),
        action: String::new(),
        input: Value::Null,
        request_id: cx.request_id.to_string(),
        timeout: TEST_TIMEOUT,
    }
}

/// What a failure means for an admin, and what to do.
pub fn in_words(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::Rejected => "It can be reached, but does not take the request; check the model and the address.",
        FailureKind::Credentials => "It does not take the key, or the account has no money left; set another apiKey.",
        FailureKind::RateLimited => "It can be reached, but allows no more calls right now; try later.",
        FailureKind::Overloaded => "It can be reached, but has too much to do; try later.",
        FailureKind::Timeout => "It did not answer in time; check the address, or try later.",
        FailureKind::Unavailable => "It cannot be reached, or fails inside; check the address.",
        FailureKind::Cut | FailureKind::Canceled => "Its answer ended too early; check what stands between.",
        FailureKind::BadAnswer => {
            "Its answer is none that we can use; check the address, the model and what it was told."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_is_the_end_of_a_key_that_is_long_enough_to_have_one() {
        assert_eq!(key_hint("sk-ant-test-0123456789"), "6789");
        assert_eq!(key_hint("short-key"), "");
    }
}
