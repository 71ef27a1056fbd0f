//! The one error of all use cases: what went wrong, and what the caller can do about it.
//!
//! The table in [`Code::row`] gives each code its HTTP status and title; `http/problem.rs` renders it.

use domain::quota::Quota;
use serde::Serialize;

/// What went wrong. The name in kebab case is the problem's `code` and the end of its `type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    MalformedJson,
    BodyTooLarge,
    UnsupportedMediaType,
    InvalidInput,
    Unauthenticated,
    InvalidCredentials,
    TooManyAttempts,
    Forbidden,
    AddressUnproven,
    CrossSite,
    TenantMismatch,
    TenantSuspended,
    UnknownTenant,
    NotFound,
    MethodNotAllowed,
    UnknownFeature,
    UnknownComponent,
    ComponentOff,
    ComponentBroken,
    UnknownCustomer,
    SubscriptionRequired,
    CustomerSuspended,
    FeatureNotInPlan,
    QuotaExceeded,
    GaugeBelowZero,
    IdempotencyKeyReused,
    IdempotencyInFlight,
    ReservationEnded,
    NotReversible,
    Taken,
    InUse,
    SubscriptionState,
    PreconditionFailed,
    PreconditionRequired,
    UpstreamFailed,
    UpstreamOverloaded,
    ProviderRefused,
    ProviderSyncPending,
    StorageFull,
    Busy,
    Unavailable,
    DeadlinePassed,
    Internal,
}

impl Code {
    /// Every code, for the documentation.
    pub const ALL: &[Self] = &[
        Self::MalformedJson,
        Self::BodyTooLarge,
        Self::UnsupportedMediaType,
        Self::InvalidInput,
        Self::Unauthenticated,
        Self::InvalidCredentials,
        Self::TooManyAttempts,
        Self::Forbidden,
        Self::AddressUnproven,
        Self::CrossSite,
        Self::TenantMismatch,
        Self::TenantSuspended,
        Self::UnknownTenant,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::UnknownFeature,
        Self::UnknownComponent,
        Self::ComponentOff,
        Self::ComponentBroken,
        Self::UnknownCustomer,
        Self::SubscriptionRequired,
        Self::CustomerSuspended,
        Self::FeatureNotInPlan,
        Self::QuotaExceeded,
        Self::GaugeBelowZero,
        Self::IdempotencyKeyReused,
        Self::IdempotencyInFlight,
        Self::ReservationEnded,
        Self::NotReversible,
        Self::Taken,
        Self::InUse,
        Self::SubscriptionState,
        Self::PreconditionFailed,
        Self::PreconditionRequired,
        Self::UpstreamFailed,
        Self::UpstreamOverloaded,
        Self::ProviderRefused,
        Self::ProviderSyncPending,
        Self::StorageFull,
        Self::Busy,
        Self::Unavailable,
        Self::DeadlinePassed,
        Self::Internal,
    ];

    /// Status, name and title.
    pub const fn row(self) -> (u16, &'static str, &'static str) {
        match self {
            Self::MalformedJson => (400, "malformed-json", "The body is not JSON"),
            Self::BodyTooLarge => (413, "body-too-large", "The body is too large"),
            Self::UnsupportedMediaType => (415, "unsupported-media-type", "The media type is not supported"),
            Self::InvalidInput => (422, "invalid-input", "The input is not valid"),
            Self::Unauthenticated => (401, "unauthenticated", "Sign in first"),
            Self::InvalidCredentials => (401, "invalid-credentials", "E-mail or password is wrong"),
            Self::TooManyAttempts => (429, "too-many-attempts", "Too many attempts"),
            Self::Forbidden => (403, "forbidden", "Not allowed"),
            Self::AddressUnproven => (403, "address-unproven", "Prove your e-mail address first"),
            Self::CrossSite => (403, "cross-site", "The request came from another site"),
            Self::TenantMismatch => (403, "tenant-mismatch", "The credential belongs to another tenant"),
            Self::TenantSuspended => (403, "tenant-suspended", "The workspace is suspended"),
            Self::UnknownTenant => (404, "unknown-tenant", "There is no such tenant"),
            Self::NotFound => (404, "not-found", "There is no such thing"),
            Self::MethodNotAllowed => (405, "method-not-allowed", "The method is not allowed here"),
            Self::UnknownFeature => (404, "unknown-feature", "There is no such feature"),
            Self::UnknownComponent => (404, "unknown-component", "There is no such component or action"),
            Self::ComponentOff => (403, "component-off", "The component is switched off"),
            Self::ComponentBroken => (500, "component-broken", "The component does not work"),
            Self::UnknownCustomer => (404, "unknown-customer", "There is no such customer"),
            Self::SubscriptionRequired => (402, "subscription-required", "A subscription is required"),
            Self::CustomerSuspended => (403, "customer-suspended", "The customer is suspended"),
            Self::FeatureNotInPlan => (403, "feature-not-in-plan", "The plan does not include this"),
            Self::QuotaExceeded => (429, "quota-exceeded", "Quota exceeded"),
            Self::GaugeBelowZero => (422, "gauge-below-zero", "The level cannot go below zero"),
            Self::IdempotencyKeyReused => (422, "idempotency-key-reused", "The key was used with another body"),
            Self::IdempotencyInFlight => (409, "idempotency-in-flight", "The first request is still running"),
            Self::ReservationEnded => (409, "reservation-ended", "The reservation has ended"),
            Self::NotReversible => (409, "not-reversible", "The event cannot be reversed"),
            Self::Taken => (409, "taken", "It exists already"),
            Self::InUse => (409, "in-use", "Something still needs it"),
            Self::SubscriptionState => (409, "subscription-state", "The subscription does not allow this now"),
            Self::PreconditionFailed => (412, "precondition-failed", "It was changed meanwhile"),
            Self::PreconditionRequired => (428, "precondition-required", "Say which revision you edit"),
            Self::UpstreamFailed => (502, "upstream-failed", "The AI service failed"),
            Self::UpstreamOverloaded => (503, "upstream-overloaded", "The AI service is overloaded"),
            Self::ProviderRefused => (502, "provider-refused", "The payment provider refused"),
            Self::ProviderSyncPending => {
                (503, "provider-sync-pending", "The payment provider does not know this price yet")
            }
            Self::StorageFull => (503, "storage-full", "The server's storage is full"),
            Self::Busy => (503, "busy", "The server has too much to do right now"),
            Self::Unavailable => (503, "unavailable", "The service is not available right now"),
            Self::DeadlinePassed => (504, "deadline-passed", "The request took too long"),
            Self::Internal => (500, "internal", "Something went wrong here"),
        }
    }
}

/// One field that is wrong.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct FieldError {
    /// Where: a JSON pointer into the body; for the query, `/` and the parameter's name.
    #[schema(example = "/items/0/amount")]
    pub pointer: String,
    /// What to do.
    #[schema(example = "use a whole number of at least 1")]
    pub detail: String,
}

/// Something that the user can do about a refusal.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Action {
    /// What to do.
    #[serde(rename = "type")]
    pub kind: ActionKind,
    /// The words for a button.
    #[schema(example = "Upgrade plan")]
    pub label: &'static str,
    /// The plans that would fit, for `upgrade`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub plans: Vec<ActionPlan>,
    /// Where to do it, when the tenant's brand names an address: for `contactSales`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, example = "mailto:sales@halisoft.example")]
    pub href: Option<String>,
}

/// What a user can do about a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum ActionKind {
    /// Take one of the plans that are named.
    Upgrade,
    /// Buy more units of the feature.
    TopUp,
    /// Talk to sales.
    ContactSales,
    /// Make room in a gauge.
    Delete,
}

/// A plan that an action leads to.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActionPlan {
    /// Its name in URLs.
    #[schema(example = "professional")]
    pub slug: String,
    /// What people read.
    #[schema(example = "Professional")]
    pub name: String,
    /// What it grants of the feature; null is unlimited.
    #[schema(required, example = 1_000)]
    pub limit: Option<i64>,
}

/// What went wrong, with everything that the answer says about it.
#[derive(Debug, Clone)]
pub struct Error {
    /// The kind.
    pub code: Code,
    /// A sentence that says what to do.
    pub detail: String,
    /// Everything else that the answer says; boxed, because errors are rare and results are everywhere.
    pub more: Box<More>,
}

/// What an error says besides its sentence.
#[derive(Debug, Clone, Default)]
pub struct More {
    /// Fields at fault.
    pub fields: Vec<FieldError>,
    /// The quotas at fault.
    pub quotas: Vec<Quota>,
    /// What the user can do.
    pub actions: Vec<Action>,
    /// The id under which the explanation is kept.
    pub decision: Option<String>,
    /// Seconds after which another try makes sense.
    pub retry_after: Option<i64>,
}

/// The result of a use case.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of a kind, with a sentence that says what to do.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), more: Box::default() }
    }

    /// One field of the input is wrong.
    pub fn field(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        let field = FieldError { pointer: pointer.into(), detail: detail.into() };
        let detail = if field.pointer.is_empty() {
            field.detail.clone()
        } else {
            format!("{}: {}", field.pointer, field.detail)
        };
        let mut error = Self::new(Code::InvalidInput, detail);
        error.more.fields.push(field);
        error
    }

    /// One parameter of the query is wrong.
    pub fn parameter(name: &str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        let told = format!("The query parameter `{name}`: {detail}");
        Self { detail: told, ..Self::field(format!("/{name}"), detail) }
    }

    /// A failure that the caller cannot do anything about. The cause is logged here, once, and not told.
    pub fn internal(cause: impl std::fmt::Display) -> Self {
        tracing::error!(%cause, "internal error");
        Self::new(Code::Internal, "Try again; if it stays, tell support the request id.")
    }

    /// The same, with seconds after which another try makes sense.
    #[must_use]
    pub fn retry_after(mut self, seconds: i64) -> Self {
        self.more.retry_after = Some(seconds.max(1));
        self
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code.row().1, self.detail)
    }
}

impl std::error::Error for Error {}

impl From<store::error::Error> for Error {
    fn from(error: store::error::Error) -> Self {
        use store::error::Error as Store;
        match error {
            Store::Away(why) => {
                tracing::warn!(%why, "the store is away");
                Self::new(Code::Unavailable, "Try again shortly; with the same Idempotency-Key nothing happens twice.")
                    .retry_after(1)
            }
            Store::Busy(why) => {
                tracing::warn!(%why, "a request was turned away");
                Self::new(Code::Busy, "Nothing happened; send the same again shortly, with the same Idempotency-Key.")
                    .retry_after(1)
            }
            Store::Full => Self::new(Code::StorageFull, "Reading still works; writing does again once there is room.")
                .retry_after(30),
            Store::Conflict(what) => Self::new(Code::Taken, format!("{what} exists already; choose another.")),
            other @ (Store::Setup(_) | Store::Broken { .. } | Store::Driver(_)) => Self::internal(other),
        }
    }
}
