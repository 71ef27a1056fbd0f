//! Closed sets of words as the OpenAPI document lists them; the values themselves are the domain's.
#![expect(dead_code, reason = "only their names are used, by the document")]

use utoipa::ToSchema;

/// How a feature behaves, for the document.
#[derive(ToSchema)]
#[schema(as = FeatureKind, rename_all = "snake_case")]
pub enum KindName {
    Counter,
    Gauge,
    Flag,
    Credit,
}

/// How close a quota is to its limit, for the document.
#[derive(ToSchema)]
#[schema(as = QuotaStatus, rename_all = "snake_case")]
pub enum StatusName {
    Ok,
    Warning,
    Critical,
    Exceeded,
}

/// What happens at a limit, for the document.
#[derive(ToSchema)]
#[schema(as = LimitType, rename_all = "snake_case")]
pub enum LimitTypeName {
    Hard,
    Soft,
    Unlimited,
}

/// When a counter starts again, for the document.
#[derive(ToSchema)]
#[schema(as = Reset, rename_all = "snake_case")]
pub enum ResetName {
    Minute,
    Hour,
    Day,
    Week,
    BillingMonth,
    CalendarMonth,
    Year,
    Never,
}
