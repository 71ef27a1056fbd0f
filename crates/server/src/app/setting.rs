//! How a tenant is set up and how it looks. A change holds for the next decision on every node, and for the next page.

use domain::catalog::{Plan, Thresholds};
use domain::color::{Color, TEXT_CONTRAST};
use domain::id::PlanId;
use domain::money::Currency;
use domain::revenue::Interval;
use domain::time::Zone;
use serde_json::{Value, json};
use store::db::Tx;
use store::tenant::{KeptZone, TenantRow};

use super::audit;
use super::patch::Patch;
use super::revision::Expected;
use super::session::{address, one_line};
use super::tenant::{Brand, Settings};
use crate::cx::Cx;
use crate::error::{Code, Error, FieldError, Result};
use crate::words::below;

/// Per cent up to which a threshold may stand.
const THRESHOLD_MAX: u16 = 100;
/// Days for which an earlier time zone is kept: more than the longest period has.
const ZONE_DAYS: i64 = 400;
/// Days for which explanations may be kept.
const DECISION_DAYS_MAX: i64 = 3_650;
/// Days of a grace, of an announcement, and after which a payment is tried again.
const BILLING_DAYS_MAX: i64 = 90;
/// Tries of a payment.
const TRIES_MAX: usize = 10;
/// Bytes of a link.
const LINK_BYTES_MAX: usize = 500;
/// Bytes of a logo that stands in the page itself.
const INLINE_LOGO_BYTES_MAX: usize = 64 * 1024;
/// What a brand links to.
const LINKS: [&str; 4] = ["terms", "privacy", "support", "sales"];

/// What is to change about the settings; none stays as it is, an inner none takes away.
#[derive(Default)]
pub struct SettingsEdit {
    pub name: Option<String>,
    pub currency: Option<String>,
    pub timezone: Option<String>,
    pub locale: Option<String>,
    pub enforced: Option<bool>,
    pub require_if_match: Option<bool>,
    pub allow_unverified: Option<bool>,
    pub support_email: Patch<String>,
    pub sales_email: Patch<String>,
    pub warning: Option<u16>,
    pub critical: Option<u16>,
    pub default_plan: Patch<String>,
    pub decision_days: Option<i64>,
    pub billing: BillingEdit,
}

/// What is to change about failed payments and trials.
#[derive(Default)]
pub struct BillingEdit {
    pub grace_days: Option<i64>,
    pub retry_days: Option<Vec<i64>>,
    pub trial_warning_days: Option<i64>,
    pub fallback_plan: Patch<String>,
}

/// What is to change about the brand, in the same way.
#[derive(Default)]
pub struct BrandEdit {
    pub name: Patch<String>,
    pub logo: Patch<String>,
    pub primary: Patch<String>,
    pub accent: Patch<String>,
    pub radius: Patch<String>,
    pub scheme: Patch<String>,
    pub powered_by: Option<bool>,
    pub links: Option<Vec<(String, Option<String>)>>,
}

/// The tenant as the database has it now, in the context of a call.
pub async fn current(cx: &Cx) -> Result<Cx> {
    let tenant = cx.app.tenants.fresh(&cx.app.db, &cx.app.master, cx.tenant.id()).await?;
    Ok(cx.clone().with_tenant(tenant))
}

/// The default plan by its name in URLs.
pub fn default_plan(cx: &Cx) -> Option<String> {
    plan_slug(cx, cx.tenant.row.default_plan_id.as_deref())
}

/// A plan's name in URLs.
pub fn plan_slug(cx: &Cx, id: Option<&str>) -> Option<String> {
    cx.tenant.catalog.plans.get(&PlanId::stored(id?)).map(|plan| plan.slug.to_string())
}

/// Changes the settings.
pub async fn edit(cx: &Cx, edit: SettingsEdit, expected: &Expected) -> Result<Cx> {
    let cx = &current(cx).await?;
    let mut tx = cx.app.db.begin().await?;
    let before = locked(&mut tx, cx, expected).await?;
    let after = changed(&mut tx, cx, &before, edit).await?;
    let state = |row: &TenantRow| {
        let settings: Settings = serde_json::from_str(&row.settings).unwrap_or_default();
        // The zone itself tells it.
        let settings = Settings { earlier_zones: Vec::new(), ..settings };
        json!({ "name": row.name, "currency": row.currency, "timezone": row.timezone, "enforced": row.enforced,
            "defaultPlan": plan_slug(cx, row.default_plan_id.as_deref()), "settings": settings })
    };
    write(tx, cx, ("settings.updated", &after), (state(&before), state(&after))).await
}

/// Changes the brand.
pub async fn edit_brand(cx: &Cx, edit: BrandEdit, expected: &Expected) -> Result<Cx> {
    let cx = &current(cx).await?;
    let mut tx = cx.app.db.begin().await?;
    let row = locked(&mut tx, cx, expected).await?;
    let before: Brand = serde_json::from_str(&row.brand).unwrap_or_default();
    let after = branded(before.clone(), edit)?;
    let brand = serde_json::to_string(&after).map_err(Error::internal)?;
    let state = |brand: &Brand| serde_json::to_value(brand).unwrap_or_default();
    write(tx, cx, ("brand.updated", &TenantRow { brand, ..row }), (state(&before), state(&after))).await
}

/// The tenant's row, which nobody else changes meanwhile.
async fn locked(tx: &mut Tx, cx: &Cx, expected: &Expected) -> Result<TenantRow> {
    let row = store::tenant::lock(tx, cx.tenant.id()).await?;
    let row = row.ok_or_else(|| Error::new(Code::UnknownTenant, "The tenant is gone."))?;
    expected.check(cx, row.revision)?;
    Ok(row)
}

async fn write(
    mut tx: Tx,
    cx: &Cx,
    (action, row): (&'static str, &TenantRow),
    (before, after): (Value, Value),
) -> Result<Cx> {
    if before != after {
        store::tenant::update(&mut tx, cx.tenant.id(), row).await?;
        store::tenant::bump_epoch(&mut tx, cx.tenant.id(), cx.now).await?;
        let change = audit::Change { action, target: &row.slug, before: Some(before), after: Some(after) };
        audit::write(&mut tx, cx, change).await?;
        tx.commit().await?;
    }
    current(cx).await
}

/// The name of a time zone that somebody wrote, as the IANA database spells it.
pub fn zone_name(text: &str) -> Result<String> {
    let zone = Zone::parse(text);
    let zone = zone.map_err(|_| Error::field("/timezone", "use an IANA name such as Europe/Berlin, or UTC"))?;
    Ok(zone.name().to_owned())
}

/// The row with the changes in it, each checked.
async fn changed(tx: &mut Tx, cx: &Cx, before: &TenantRow, edit: SettingsEdit) -> Result<TenantRow> {
    let mut row = before.clone();
    if let Some(name) = edit.name {
        row.name = one_line("/name", &name)?;
    }
    if let Some(currency) = edit.currency {
        row.currency = currency_of(tx, cx, &currency).await?;
    }
    if let Some(timezone) = edit.timezone {
        row.timezone = zone_name(&timezone)?;
    }
    let zone_was =
        (row.timezone != before.timezone).then(|| KeptZone { zone: before.timezone.clone(), until: cx.tenant_now() });
    row.enforced = edit.enforced.unwrap_or(row.enforced);
    let sold = |slug: String| {
        let plan = cx.tenant.catalog.plan_by_slug(&slug).filter(|plan| plan.active);
        let plan = plan.ok_or_else(|| Error::field("/defaultPlan", "name a plan that is sold, by its slug"))?;
        Ok::<_, Error>(plan.id.to_string())
    };
    row.default_plan_id = edit.default_plan.try_map(sold)?.of(row.default_plan_id);
    let mut settings: Settings = serde_json::from_str(&row.settings).unwrap_or_default();
    settings.require_if_match = edit.require_if_match.unwrap_or(settings.require_if_match);
    settings.allow_unverified = edit.allow_unverified.unwrap_or(settings.allow_unverified);
    if let Some(locale) = edit.locale {
        settings.locale = locale_of(&locale)?;
    }
    let email = |pointer: &'static str| move |email: String| email_of(pointer, &email);
    settings.support_email = edit.support_email.try_map(email("/supportEmail"))?.of(settings.support_email);
    settings.sales_email = edit.sales_email.try_map(email("/salesEmail"))?.of(settings.sales_email);
    settings.thresholds = thresholds(settings.thresholds, (edit.warning, edit.critical))?;
    settings.decision_days = days(edit.decision_days.unwrap_or(settings.decision_days))?;
    if let Some(kept) = zone_was {
        // Periods that run now go on (domain::time::period_through); none is longer than a year.
        let since = kept.until.plus_days(-ZONE_DAYS, &Zone::UTC).map_err(Error::internal)?;
        settings.earlier_zones.retain(|earlier| earlier.until > since);
        settings.earlier_zones.push(kept);
    }
    settings = billing(cx, settings, edit.billing)?;
    row.settings = serde_json::to_string(&settings).map_err(Error::internal)?;
    Ok(row)
}

/// How failed payments and trials are handled, checked.
fn billing(cx: &Cx, mut settings: Settings, edit: BillingEdit) -> Result<Settings> {
    let days = |pointer: &str, days: i64| {
        let good = (0..=BILLING_DAYS_MAX).contains(&days);
        let detail = format!("use whole days from 0 to {BILLING_DAYS_MAX}");
        if good { Ok(days) } else { Err(Error::field(format!("/billing/{pointer}"), detail)) }
    };
    settings.grace_days = days("graceDays", edit.grace_days.unwrap_or(settings.grace_days))?;
    settings.trial_warning_days =
        days("trialWarningDays", edit.trial_warning_days.unwrap_or(settings.trial_warning_days))?;
    if let Some(tries) = edit.retry_days {
        let rise = tries.iter().zip(tries.iter().skip(1)).all(|(one, next)| one < next);
        let within = tries.iter().all(|day| (1..=BILLING_DAYS_MAX).contains(day));
        if !rise || !within || tries.len() > TRIES_MAX {
            let detail = format!("use at most {TRIES_MAX} whole days from 1 to {BILLING_DAYS_MAX}, ascending");
            return Err(Error::field("/billing/retryDays", detail));
        }
        settings.retry_days = tries;
    }
    let free = |slug: String| {
        let plan = cx.tenant.catalog.plan_by_slug(&slug).filter(|plan| plan.active);
        let costless = |plan: &&Plan| {
            let price = cx.tenant.price(plan, Interval::Month);
            !plan.contact_sales && price.is_none_or(|price| price.amount.minor == 0)
        };
        let free = plan.filter(costless);
        let detail = "name a plan that is sold and costs nothing, by its slug, or null for none";
        let plan = free.ok_or_else(|| Error::field("/billing/fallbackPlan", detail))?;
        Ok::<_, Error>(plan.id.to_string())
    };
    settings.fallback_plan = edit.fallback_plan.try_map(free)?.of(settings.fallback_plan);
    Ok(settings)
}

async fn currency_of(tx: &mut Tx, cx: &Cx, code: &str) -> Result<String> {
    let currency = Currency::parse(code).map_err(|_| Error::field("/currency", "use an ISO 4217 code such as EUR"))?;
    let other = store::tenant::other_currency(tx, cx.tenant.id(), currency.code()).await?;
    if let Some(other) = other.filter(|_| currency.code() != cx.tenant.row.currency) {
        let detail = format!("there are prices in {other}, which stay what they are; make another tenant for {code}");
        return Err(Error::field("/currency", detail));
    }
    Ok(currency.code().to_owned())
}

/// A language tag (RFC 5646), as far as its form goes.
fn locale_of(tag: &str) -> Result<String> {
    let mut parts = tag.split('-');
    let language = parts
        .next()
        .is_some_and(|part| (2..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_lowercase()));
    let rest = parts.all(|part| (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    if language && rest && tag.len() <= 35 {
        return Ok(tag.to_owned());
    }
    Err(Error::field("/locale", "use a language tag such as en or de-AT"))
}

/// Reads a language tag.
pub fn language(tag: &str) -> Result<String> {
    locale_of(tag)
}

fn email_of(pointer: &str, email: &str) -> Result<String> {
    address(email)
        .map_err(|_| Error::field(pointer, "write an e-mail address, such as name@example.com, or null for none"))
}

fn thresholds(now: Thresholds, (warning, critical): (Option<u16>, Option<u16>)) -> Result<Thresholds> {
    let wanted = Thresholds { warning: warning.unwrap_or(now.warning), critical: critical.unwrap_or(now.critical) };
    if wanted.warning == 0 || wanted.warning > wanted.critical || wanted.critical > THRESHOLD_MAX {
        let detail = "use whole per cents from 1 to 100, `warning` at most `critical`";
        return Err(Error::field("/thresholds", detail));
    }
    Ok(wanted)
}

fn days(days: i64) -> Result<i64> {
    if (1..=DECISION_DAYS_MAX).contains(&days) {
        return Ok(days);
    }
    Err(Error::field("/retention/decisionDays", format!("use a whole number from 1 to {DECISION_DAYS_MAX}")))
}

/// The brand with the changes in it, each checked.
fn branded(mut brand: Brand, edit: BrandEdit) -> Result<Brand> {
    // Without a name of its own the brand has the tenant's.
    let name = edit.name.try_map(|name| one_line("/name", &name))?;
    brand.name = name.of(Some(brand.name)).unwrap_or_default();
    brand.logo = edit.logo.try_map(logo_of)?.of(brand.logo);
    brand.primary = edit.primary.try_map(|color| color_of("/primary", &color))?.of(brand.primary);
    brand.accent = edit.accent.try_map(|color| color_of("/accent", &color))?.of(brand.accent);
    let radius = edit.radius.try_map(|word| word_of("/radius", word, &["sm", "md", "lg"]))?;
    brand.radius = radius.of(brand.radius);
    let scheme = edit.scheme.try_map(|word| word_of("/scheme", word, &["auto", "light", "dark"]))?;
    brand.scheme = scheme.of(brand.scheme);
    brand.powered_by = edit.powered_by.unwrap_or(brand.powered_by);
    for (name, link) in edit.links.into_iter().flatten() {
        let pointer = below("/links", &name);
        if !LINKS.contains(&name.as_str()) {
            return Err(Error::field(pointer, format!("leave it out; known here: {}", LINKS.join(", "))));
        }
        match link {
            Some(link) => brand.links.insert(name, link_of(&pointer, link)?),
            None => brand.links.remove(&name),
        };
    }
    Ok(brand)
}

fn color_of(pointer: &str, text: &str) -> Result<String> {
    match Color::parse(text) {
        Some(_) => Ok(text.to_ascii_lowercase()),
        None => Err(Error::field(pointer, "write a color as #rrggbb, such as #0f766e, or null for none")),
    }
}

fn word_of(pointer: &str, word: String, known: &[&str]) -> Result<String> {
    if known.contains(&word.as_str()) {
        return Ok(word);
    }
    Err(Error::field(pointer, format!("use one of {}, or null for none", known.join(", "))))
}

fn link_of(pointer: &str, link: String) -> Result<String> {
    let known =
        ["https://", "http://", "mailto:"].iter().any(|scheme| link.len() > scheme.len() && link.starts_with(scheme));
    if known && link.len() <= LINK_BYTES_MAX && is_plain(&link) {
        return Ok(link);
    }
    Err(Error::field(pointer, "use an address that begins with https://, http:// or mailto:, or null for none"))
}

fn is_plain(address: &str) -> bool {
    address.chars().all(|c| !c.is_whitespace() && !c.is_control() && !"\"'<>\\;,".contains(c))
}

fn logo_of(logo: String) -> Result<String> {
    let inline = ["png", "jpeg", "webp", "svg+xml"].iter().any(|kind| {
        let data = logo.strip_prefix("data:image/").and_then(|rest| rest.strip_prefix(kind)?.strip_prefix(";base64,"));
        data.is_some_and(|data| data.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte)))
    });
    let linked =
        (logo.starts_with("https://") || (logo.starts_with('/') && !logo.starts_with("//"))) && is_plain(&logo);
    if (inline && logo.len() <= INLINE_LOGO_BYTES_MAX) || (linked && logo.len() <= LINK_BYTES_MAX) {
        return Ok(logo);
    }
    let detail = "use an https:// address, a path of this server, or data:image/png;base64,… (png, jpeg, webp or \
                  svg+xml) of at most 64 KiB";
    Err(Error::field("/logo", detail))
}

/// What is allowed and yet hard to read.
pub fn warnings(brand: &Brand) -> Vec<FieldError> {
    let colors = [("/primary", &brand.primary), ("/accent", &brand.accent)];
    let told = colors.into_iter().filter_map(|(pointer, color)| {
        let contrast = Color::parse(color.as_deref()?)?.contrast(Color::WHITE);
        (contrast < TEXT_CONTRAST).then(|| FieldError {
            pointer: pointer.to_owned(),
            detail: format!(
                "its contrast with white is {}.{:02}:1, and text needs 4.50:1 (WCAG 2.2); a darker color reads better",
                contrast / 100,
                contrast % 100
            ),
        })
    });
    told.collect()
}
