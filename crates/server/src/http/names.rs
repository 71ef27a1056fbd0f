//! Closed sets of words as the OpenAPI document lists them; the values themselves are the domain's.
#![expect(dead_code, reason = "only their names are used, by the document")]

use utoipa::ToSchema;

/// How a feature behaves.
#[derive(ToSchema)]
#[schema(as = FeatureKind, rename_all = "snake_case")]
pub enum KindName {
    Counter,
    Gauge,
    Flag,
    Credit,
}

/// How close a quota is to its limit.
#[derive(ToSchema)]
#[schema(as = QuotaStatus, rename_all = "snake_case")]
pub enum StatusName {
    Ok,
    Warning,
    Critical,
    Exceeded,
}

/// How a customer stands: the worst of its quotas, or an overdue payment.
#[derive(ToSchema)]
#[schema(as = Health, rename_all = "snake_case")]
pub enum HealthName {
    Ok,
    NearLimit,
    OverLimit,
    PastDue,
}

/// What happens at a limit.
#[derive(ToSchema)]
#[schema(as = LimitType, rename_all = "snake_case")]
pub enum LimitTypeName {
    Hard,
    Soft,
    Unlimited,
}

/// When a counter starts again.
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

/// What a person may do.
#[derive(ToSchema)]
#[schema(as = Role, rename_all = "snake_case")]
pub enum RoleName {
    User,
    Support,
    Finance,
    Admin,
    Owner,
    Operator,
}

/// What a key or a token may do.
#[derive(ToSchema)]
#[schema(as = Scope)]
pub enum ScopeName {
    #[schema(rename = "usage:write")]
    UsageWrite,
    #[schema(rename = "usage:read")]
    UsageRead,
    #[schema(rename = "ai:run")]
    AiRun,
    #[schema(rename = "customers:write")]
    CustomersWrite,
    #[schema(rename = "tokens:mint")]
    TokensMint,
    #[schema(rename = "admin")]
    Admin,
}

/// Where a subscription stands.
#[derive(ToSchema)]
#[schema(as = SubscriptionStatus, rename_all = "snake_case")]
pub enum SubscriptionStatusName {
    Pending,
    Trialing,
    Active,
    PastDue,
    Paused,
    Canceled,
    Expired,
}

/// How often a price is paid.
#[derive(ToSchema)]
#[schema(as = Interval, rename_all = "snake_case")]
pub enum IntervalName {
    Month,
    Year,
}

/// For which subscriptions a version of a plan holds.
#[derive(ToSchema)]
#[schema(as = Applies, rename_all = "snake_case")]
pub enum AppliesName {
    Now,
    Renewal,
    New,
}

/// Where a payment provider stands with a price.
#[derive(ToSchema)]
#[schema(as = SyncState, rename_all = "snake_case")]
pub enum SyncStateName {
    Pending,
    Synced,
    Failed,
}

/// What kind of tenant it is.
#[derive(ToSchema)]
#[schema(as = TenantMode, rename_all = "snake_case")]
pub enum TenantModeName {
    Live,
    Sandbox,
}

/// What a new tenant sells at first.
#[derive(ToSchema)]
#[schema(as = TenantTemplate, rename_all = "snake_case")]
pub enum StarterName {
    Halisoft,
    Studio,
    Empty,
}

/// Where a component runs; `none` is an upstream that is not set up.
#[derive(ToSchema)]
#[schema(as = Provider, rename_all = "snake_case")]
pub enum ProviderName {
    Anthropic,
    Openai,
    Demo,
    None,
}

/// What an upstream speaks.
#[derive(ToSchema)]
#[schema(as = UpstreamKind, rename_all = "snake_case")]
pub enum UpstreamKindName {
    Anthropic,
    Openai,
    Demo,
}

/// For how long a coupon takes something off.
#[derive(ToSchema)]
#[schema(as = CouponDuration, rename_all = "snake_case")]
pub enum CouponDurationName {
    Once,
    Repeating,
    Forever,
}

/// What an action reads.
#[derive(ToSchema)]
#[schema(as = InputKind, rename_all = "snake_case")]
pub enum InputKindName {
    Json,
    Text,
    Image,
    Pdf,
}

/// Where the rows are.
#[derive(ToSchema)]
#[schema(as = DatabaseKind)]
pub enum DatabaseKindName {
    #[schema(rename = "SQLite")]
    Sqlite,
    #[schema(rename = "PostgreSQL")]
    Postgres,
}

/// A kind of mail.
#[derive(ToSchema)]
#[schema(as = EmailKind, rename_all = "snake_case")]
pub enum EmailKindName {
    Welcome,
    VerifyAddress,
    ResetPassword,
    Invitation,
    PasswordChanged,
    AddressKnown,
    AccessChanged,
    QuotaWarning,
    QuotaReached,
    MonthlyReport,
    Receipt,
    PaymentFailed,
    PlanChanged,
    PriceChange,
    Canceled,
}

/// Who may do without a mail.
#[derive(ToSchema)]
#[schema(as = EmailCategory, rename_all = "snake_case")]
pub enum EmailCategoryName {
    Security,
    Money,
    Optional,
}
