//! Settings and brand of the tenant.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::{Authed, SettingsWrite};
use super::body::Body;
use super::etag::{IfMatch, Tagged};
use super::problem::{Failed, Problem};
use crate::app::patch::Patch;
use crate::app::setting::{self, BillingEdit, BrandEdit, SettingsEdit};
use crate::cx::Cx;
use crate::error::FieldError;

/// Whether the gate refuses anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Enforcement {
    /// Limits hold.
    On,
    /// Everything is allowed and recorded: for a product that is itself self-hosted.
    Off,
}

/// From which per cent of a limit a quota warns, where a plan feature does not say.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct SettingsThresholds {
    #[schema(example = 80)]
    warning: u16,
    #[schema(example = 90)]
    critical: u16,
}

/// The same, to change: absent fields stay as they are.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SettingsThresholdsEdit {
    #[schema(example = 75, minimum = 1, maximum = 100)]
    warning: Option<u16>,
    #[schema(example = 95, minimum = 1, maximum = 100)]
    critical: Option<u16>,
}

/// For how long things are kept.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SettingsRetention {
    /// Days for explanations of refusals.
    #[schema(example = 35)]
    decision_days: i64,
}

/// The same, to change.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SettingsRetentionEdit {
    #[schema(example = 90, minimum = 1, maximum = 3650)]
    decision_days: Option<i64>,
}

/// How failed payments and trials are handled.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SettingsBilling {
    /// Days for which an overdue subscription may be used.
    #[schema(example = 7)]
    grace_days: i64,
    /// On which days after the first failure a payment is tried again.
    #[schema(example = json!([1, 3, 5]))]
    retry_days: Vec<i64>,
    /// Days before the end of a trial at which it is announced; 0 for never.
    #[schema(example = 3)]
    trial_warning_days: i64,
    /// The free plan that an overdue subscription or an unpaid trial falls back to, by its name in URLs; null ends it.
    #[schema(required, example = "free")]
    fallback_plan: Option<String>,
}

/// The same, to change: absent fields stay as they are.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SettingsBillingEdit {
    #[schema(example = 7, minimum = 0, maximum = 90)]
    grace_days: Option<i64>,
    /// Ascending; those within the grace count.
    #[schema(example = json!([1, 3, 5]))]
    retry_days: Option<Vec<i64>>,
    #[schema(example = 3, minimum = 0, maximum = 90)]
    trial_warning_days: Option<i64>,
    /// Null for none.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "free")]
    fallback_plan: Patch<String>,
}

impl From<SettingsBillingEdit> for BillingEdit {
    fn from(body: SettingsBillingEdit) -> Self {
        let SettingsBillingEdit { grace_days, retry_days, trial_warning_days, fallback_plan } = body;
        Self { grace_days, retry_days, trial_warning_days, fallback_plan }
    }
}

/// How the tenant is set up.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SettingsBody {
    /// What people read.
    #[schema(example = "HaliSoft")]
    name: String,
    /// ISO 4217.
    #[schema(example = "USD")]
    currency: String,
    /// IANA.
    #[schema(example = "Europe/Berlin")]
    timezone: String,
    /// The language of pages.
    #[schema(example = "en")]
    locale: String,
    enforcement: Enforcement,
    /// Whether every edit must carry `If-Match`.
    require_if_match: bool,
    /// Whether people may buy before they have proven their address.
    allow_unverified: bool,
    #[schema(required, example = "help@halisoft.example")]
    support_email: Option<String>,
    #[schema(required, example = "sales@halisoft.example")]
    sales_email: Option<String>,
    thresholds: SettingsThresholds,
    /// The plan of a new customer, by its name in URLs; null for none.
    #[schema(required, example = "free")]
    default_plan: Option<String>,
    retention: SettingsRetention,
    billing: SettingsBilling,
}

impl SettingsBody {
    fn of(cx: &Cx) -> Self {
        let (row, settings) = (&cx.tenant.row, cx.tenant.settings());
        Self {
            name: row.name.clone(),
            currency: row.currency.clone(),
            timezone: row.timezone.clone(),
            locale: settings.locale,
            enforcement: if row.enforced { Enforcement::On } else { Enforcement::Off },
            require_if_match: settings.require_if_match,
            allow_unverified: settings.allow_unverified,
            support_email: settings.support_email,
            sales_email: settings.sales_email,
            thresholds: SettingsThresholds {
                warning: settings.thresholds.warning,
                critical: settings.thresholds.critical,
            },
            default_plan: setting::default_plan(cx),
            retention: SettingsRetention { decision_days: settings.decision_days },
            billing: SettingsBilling {
                grace_days: settings.grace_days,
                retry_days: settings.retry_days,
                trial_warning_days: settings.trial_warning_days,
                fallback_plan: setting::plan_slug(cx, settings.fallback_plan.as_deref()),
            },
        }
    }
}

/// What is to change; absent fields stay as they are.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SettingsPatch {
    #[schema(example = "HaliSoft")]
    name: Option<String>,
    /// Refused while there are prices in another.
    #[schema(example = "USD")]
    currency: Option<String>,
    #[schema(example = "Europe/Berlin")]
    timezone: Option<String>,
    #[schema(example = "de-AT")]
    locale: Option<String>,
    enforcement: Option<Enforcement>,
    require_if_match: Option<bool>,
    allow_unverified: Option<bool>,
    /// Null takes it away.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "help@halisoft.example")]
    support_email: Patch<String>,
    /// Null takes it away.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "sales@halisoft.example")]
    sales_email: Patch<String>,
    thresholds: Option<SettingsThresholdsEdit>,
    /// Null for none.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "starter")]
    default_plan: Patch<String>,
    retention: Option<SettingsRetentionEdit>,
    billing: Option<SettingsBillingEdit>,
}

/// How the tenant looks.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BrandBody {
    /// The name on every page; the tenant's where the brand has none.
    #[schema(example = "HaliSoft")]
    name: String,
    #[schema(required, example = "https://halisoft.example/logo.svg")]
    logo: Option<String>,
    #[schema(required, example = "#0f766e")]
    primary: Option<String>,
    #[schema(required, example = "#b45309")]
    accent: Option<String>,
    /// `sm`, `md` or `lg`.
    #[schema(required, example = "md")]
    radius: Option<String>,
    /// `auto`, `light` or `dark`.
    #[schema(required, example = "auto")]
    scheme: Option<String>,
    /// Whether Tollgate's own name may show.
    powered_by: bool,
    /// `terms`, `privacy`, `support` and `sales`, where the tenant has them.
    #[schema(example = json!({ "terms": "https://halisoft.example/terms" }))]
    links: BTreeMap<String, String>,
    /// What is allowed and yet hard to read.
    warnings: Vec<FieldError>,
}

impl BrandBody {
    fn of(cx: &Cx) -> Self {
        let brand = cx.tenant.brand();
        Self {
            warnings: setting::warnings(&brand),
            name: brand.name,
            logo: brand.logo,
            primary: brand.primary,
            accent: brand.accent,
            radius: brand.radius,
            scheme: brand.scheme,
            powered_by: brand.powered_by,
            links: brand.links,
        }
    }
}

/// What is to change; absent fields stay as they are, null takes away.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BrandPatch {
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "HaliSoft")]
    name: Patch<String>,
    /// An https address, a path of this server, or a `data:image/…;base64,` of at most 64 KiB.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "https://halisoft.example/logo.svg")]
    logo: Patch<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "#0f766e")]
    primary: Patch<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "#b45309")]
    accent: Patch<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "md")]
    radius: Patch<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "auto")]
    scheme: Patch<String>,
    powered_by: Option<bool>,
    /// Links by name; one that is null is taken away, one that is absent stays.
    #[schema(example = json!({ "terms": "https://halisoft.example/terms" }))]
    links: Option<BTreeMap<String, Option<String>>>,
}

fn revision(cx: &Cx) -> String {
    cx.tenant.row.revision.to_string()
}

/// Read how the tenant is set up.
#[utoipa::path(get, path = "/api/admin/settings", operation_id = "getSettings", tag = "admin",
    responses((status = 200, body = SettingsBody), (status = 403, body = Problem)))]
pub async fn settings(cx: Authed<SettingsWrite>) -> Result<Tagged<SettingsBody>, Failed> {
    let cx = setting::current(&cx).await?;
    Ok(Tagged(revision(&cx), SettingsBody::of(&cx)))
}

/// Change how the tenant is set up. It holds from the next decision on.
#[utoipa::path(patch, path = "/api/admin/settings", operation_id = "updateSettings", tag = "admin", request_body = SettingsPatch,
    responses((status = 200, body = SettingsBody), (status = 403, body = Problem), (status = 412, body = Problem), (status = 422, body = Problem)))]
pub async fn update_settings(
    cx: Authed<SettingsWrite>,
    IfMatch(expected): IfMatch,
    Body(body): Body<SettingsPatch>,
) -> Result<Tagged<SettingsBody>, Failed> {
    let (warning, critical) = body.thresholds.map_or((None, None), |edit| (edit.warning, edit.critical));
    let edit = SettingsEdit {
        name: body.name,
        currency: body.currency,
        timezone: body.timezone,
        locale: body.locale,
        enforced: body.enforcement.map(|enforcement| enforcement == Enforcement::On),
        require_if_match: body.require_if_match,
        allow_unverified: body.allow_unverified,
        support_email: body.support_email,
        sales_email: body.sales_email,
        warning,
        critical,
        default_plan: body.default_plan,
        decision_days: body.retention.and_then(|retention| retention.decision_days),
        billing: body.billing.map(BillingEdit::from).unwrap_or_default(),
    };
    let cx = setting::edit(&cx, edit, &expected).await?;
    Ok(Tagged(revision(&cx), SettingsBody::of(&cx)))
}

/// Read how the tenant looks.
#[utoipa::path(get, path = "/api/admin/branding", operation_id = "getBranding", tag = "admin",
    responses((status = 200, body = BrandBody), (status = 403, body = Problem)))]
pub async fn branding(cx: Authed<SettingsWrite>) -> Result<Tagged<BrandBody>, Failed> {
    let cx = setting::current(&cx).await?;
    Ok(Tagged(revision(&cx), BrandBody::of(&cx)))
}

/// Change how the tenant looks. The next page that anybody loads has it.
#[utoipa::path(patch, path = "/api/admin/branding", operation_id = "updateBranding", tag = "admin", request_body = BrandPatch,
    responses((status = 200, body = BrandBody), (status = 403, body = Problem), (status = 412, body = Problem), (status = 422, body = Problem)))]
pub async fn update_branding(
    cx: Authed<SettingsWrite>,
    IfMatch(expected): IfMatch,
    Body(body): Body<BrandPatch>,
) -> Result<Tagged<BrandBody>, Failed> {
    let edit = BrandEdit {
        name: body.name,
        logo: body.logo,
        primary: body.primary,
        accent: body.accent,
        radius: body.radius,
        scheme: body.scheme,
        powered_by: body.powered_by,
        links: body.links.map(|links| links.into_iter().collect()),
    };
    let cx = setting::edit_brand(&cx, edit, &expected).await?;
    Ok(Tagged(revision(&cx), BrandBody::of(&cx)))
}
