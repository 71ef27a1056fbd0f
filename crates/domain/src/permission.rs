//! Who may do what: roles of people, scopes of keys.

use serde::{Deserialize, Serialize};

/// The role of a user inside a tenant, weakest first. `Operator` is above tenants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Uses the product for their own customer.
    User,
    /// Reads customers, usage and decisions.
    Support,
    /// Reads money as well.
    Finance,
    /// Changes the catalog and the settings.
    Admin,
    /// Manages members and keys, too.
    Owner,
    /// Manages tenants.
    Operator,
}

/// What an API key or a minted token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Scope {
    /// Record and hold usage of any customer.
    #[serde(rename = "usage:write")]
    UsageWrite,
    /// Read quotas, history and decisions.
    #[serde(rename = "usage:read")]
    UsageRead,
    /// Run AI components.
    #[serde(rename = "ai:run")]
    AiRun,
    /// Create and read customers.
    #[serde(rename = "customers:write")]
    CustomersWrite,
    /// Mint short-lived browser tokens.
    #[serde(rename = "tokens:mint")]
    TokensMint,
    /// Everything that an admin may do.
    #[serde(rename = "admin")]
    Admin,
}

impl Scope {
    /// Every scope, in the order of the documentation.
    pub const ALL: [Self; 6] =
        [Self::UsageWrite, Self::UsageRead, Self::AiRun, Self::CustomersWrite, Self::TokensMint, Self::Admin];

    /// The scope's name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::UsageWrite => "usage:write",
            Self::UsageRead => "usage:read",
            Self::AiRun => "ai:run",
            Self::CustomersWrite => "customers:write",
            Self::TokensMint => "tokens:mint",
            Self::Admin => "admin",
        }
    }

    /// The scope of a name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.name() == name)
    }
}

impl Role {
    /// Every role, weakest first.
    pub const ALL: [Self; 6] = [Self::User, Self::Support, Self::Finance, Self::Admin, Self::Owner, Self::Operator];

    /// The role's name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Support => "support",
            Self::Finance => "finance",
            Self::Admin => "admin",
            Self::Owner => "owner",
            Self::Operator => "operator",
        }
    }

    /// The role of a name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}
