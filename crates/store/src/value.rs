//! What can be bound to a statement.

/// A value bound to a statement.
#[derive(Debug, Clone)]
pub enum Value {
    /// TEXT.
    Text(Option<String>),
    /// BIGINT.
    Int(Option<i64>),
    /// BOOLEAN.
    Bool(bool),
}

macro_rules! value_from {
    ($($from:ty => |$v:ident| $to:expr),* $(,)?) => {$(
        impl From<$from> for Value {
            fn from($v: $from) -> Self {
                $to
            }
        }
    )*};
}

value_from! {
    &str => |v| Self::Text(Some(v.to_owned())),
    String => |v| Self::Text(Some(v)),
    &String => |v| Self::Text(Some(v.clone())),
    Option<String> => |v| Self::Text(v),
    Option<&str> => |v| Self::Text(v.map(str::to_owned)),
    i64 => |v| Self::Int(Some(v)),
    Option<i64> => |v| Self::Int(v),
    bool => |v| Self::Bool(v),
    domain::time::Timestamp => |v| Self::Int(Some(v.as_micros())),
    Option<domain::time::Timestamp> => |v| Self::Int(v.map(domain::time::Timestamp::as_micros)),
    &domain::id::TenantId => |v| Self::Text(Some(v.to_string())),
    &domain::id::CustomerId => |v| Self::Text(Some(v.to_string())),
    &domain::id::UserId => |v| Self::Text(Some(v.to_string())),
    &domain::id::PlanId => |v| Self::Text(Some(v.to_string())),
    &domain::id::PriceId => |v| Self::Text(Some(v.to_string())),
    &domain::id::SubscriptionId => |v| Self::Text(Some(v.to_string())),
    &domain::id::GrantId => |v| Self::Text(Some(v.to_string())),
    &domain::id::EventId => |v| Self::Text(Some(v.to_string())),
    &domain::id::ReservationId => |v| Self::Text(Some(v.to_string())),
    &domain::id::DecisionId => |v| Self::Text(Some(v.to_string())),
    &domain::id::KeyId => |v| Self::Text(Some(v.to_string())),
    &domain::id::SessionId => |v| Self::Text(Some(v.to_string())),
    &domain::id::JobId => |v| Self::Text(Some(v.to_string())),
    &domain::id::FeatureKey => |v| Self::Text(Some(v.to_string())),
}
