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

/// What a route requires of its caller. [`Permission::rule`] is the whole table; `docs/permissions.md` shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Permission {
    /// Any credential.
    SignedIn,
    /// Record and hold usage.
    UsageWrite,
    /// Correct usage: keys alone.
    UsageCorrect,
    /// Read quotas, history and decisions.
    UsageRead,
    /// Run AI components.
    AiRun,
    /// Create customers and read their public part.
    CustomersWrite,
    /// Mint browser tokens: keys alone.
    TokensMint,
    /// Buy, change and end a subscription.
    SubscriptionWrite,
    /// See all customers and users, their usage, decisions and history.
    CustomersRead,
    /// Change what one customer may use: overrides, credits, plan, suspension.
    CustomersManage,
    /// Look at the product as one user sees it, without changing anything.
    Impersonate,
    /// See the whole catalog, also what is not public.
    CatalogRead,
    /// Change the catalog: plans, prices, features, components, packs, coupons, model prices.
    CatalogWrite,
    /// See revenue, cost and margin.
    RevenueRead,
    /// See who changed what.
    AuditRead,
    /// See and change the tenant's settings, brand, providers and upstreams.
    SettingsWrite,
    /// See and change who works here, and as what.
    MembersWrite,
    /// Make, list and revoke API keys.
    KeysWrite,
    /// Bring in customers, subscriptions and usage from elsewhere.
    Import,
    /// See and run jobs.
    JobsRun,
    /// Make, list and suspend tenants.
    TenantsWrite,
}

/// Who has a permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Its name in tables and refusals.
    pub name: &'static str,
    /// The weakest role that has it over the whole tenant; none for no role.
    pub role: Option<Role>,
    /// Whether a person has it over the customer that they belong to.
    pub own_customer: bool,
    /// The scope by which a key or a browser token has it; the scope `admin` gives whatever the role admin has, too.
    pub scope: Option<Scope>,
    /// Whether keys alone have it, and no person.
    pub keys_only: bool,
    /// What it allows, in a few words.
    pub allows: &'static str,
}

impl Rule {
    const fn of_role(name: &'static str, role: Role, allows: &'static str) -> Self {
        Self { name, role: Some(role), own_customer: false, scope: None, keys_only: false, allows }
    }

    const fn of_scope(name: &'static str, scope: Scope, allows: &'static str) -> Self {
        Self { name, role: None, own_customer: true, scope: Some(scope), keys_only: false, allows }
    }
}

impl Permission {
    /// Every permission, in the order of the table.
    pub const ALL: [Self; 21] = [
        Self::SignedIn,
        Self::UsageWrite,
        Self::UsageCorrect,
        Self::UsageRead,
        Self::AiRun,
        Self::CustomersWrite,
        Self::TokensMint,
        Self::SubscriptionWrite,
        Self::CustomersRead,
        Self::CustomersManage,
        Self::Impersonate,
        Self::CatalogRead,
        Self::CatalogWrite,
        Self::RevenueRead,
        Self::AuditRead,
        Self::SettingsWrite,
        Self::MembersWrite,
        Self::KeysWrite,
        Self::Import,
        Self::JobsRun,
        Self::TenantsWrite,
    ];

    /// Who has it.
    pub const fn rule(self) -> Rule {
        match self {
            Self::SignedIn => Rule::of_role("signed-in", Role::User, "what any credential may do"),
            Self::UsageWrite => Rule::of_scope("usage:write", Scope::UsageWrite, "record and hold usage"),
            Self::UsageCorrect => {
                let base = Rule::of_scope("usage:correct", Scope::UsageWrite, "set gauges and take events back");
                Rule { keys_only: true, own_customer: false, ..base }
            }
            Self::UsageRead => {
                let base = Rule::of_scope("usage:read", Scope::UsageRead, "read quotas, history and decisions");
                Rule { role: Some(Role::Support), ..base }
            }
            Self::AiRun => Rule::of_scope("ai:run", Scope::AiRun, "run AI components"),
            Self::CustomersWrite => {
                let base = Rule::of_scope("customers:write", Scope::CustomersWrite, "create customers and read them");
                Rule { role: Some(Role::Admin), own_customer: false, ..base }
            }
            Self::TokensMint => {
                let base = Rule::of_scope("tokens:mint", Scope::TokensMint, "mint short-lived browser tokens");
                Rule { keys_only: true, own_customer: false, ..base }
            }
            Self::SubscriptionWrite => {
                Rule::of_scope("subscription:write", Scope::CustomersWrite, "buy, change and end a subscription")
            }
            Self::CustomersRead => Rule::of_role("customers:read", Role::Support, "see every customer and user"),
            Self::CustomersManage => {
                Rule::of_role("customers:manage", Role::Admin, "override limits, give credits, change plans, suspend")
            }
            Self::Impersonate => {
                Rule::of_role("impersonate", Role::Support, "see the product as one user does, reading only")
            }
            Self::CatalogRead => Rule::of_role("catalog:read", Role::Support, "see the whole catalog"),
            Self::CatalogWrite => Rule::of_role("catalog:write", Role::Admin, "change the catalog"),
            Self::RevenueRead => Rule::of_role("revenue:read", Role::Finance, "see revenue, cost and margin"),
            Self::AuditRead => Rule::of_role("audit:read", Role::Admin, "see who changed what"),
            Self::SettingsWrite => Rule::of_role("settings:write", Role::Admin, "see and change settings and brand"),
            Self::MembersWrite => Rule::of_role("members:write", Role::Admin, "see and change who works here"),
            Self::KeysWrite => Rule::of_role("keys:write", Role::Admin, "make, list and revoke API keys"),
            Self::Import => Rule::of_role("import", Role::Admin, "bring in customers, subscriptions and usage"),
            Self::JobsRun => Rule::of_role("jobs:run", Role::Admin, "see and run jobs"),
            Self::TenantsWrite => Rule::of_role("tenants:write", Role::Operator, "make, list and suspend tenants"),
        }
    }

    /// The permission of a name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|permission| permission.rule().name == name)
    }

    /// Whether a person has it: over the whole tenant by their role, or over the customer they belong to.
    pub fn of_person(self, role: Role, has_customer: bool) -> bool {
        let needed = self.rule();
        !needed.keys_only && (needed.role.is_some_and(|least| role >= least) || (needed.own_customer && has_customer))
    }

    /// Whether a key with these scopes has it. The scope `admin` stands for every scope and for the role admin.
    pub fn of_key(self, scopes: &[Scope]) -> bool {
        let rule = self.rule();
        let admin = scopes.contains(&Scope::Admin);
        let by_scope = rule.scope.is_some_and(|scope| admin || scopes.contains(&scope));
        by_scope || self == Self::SignedIn || (admin && rule.role.is_some_and(|least| least <= Role::Admin))
    }

    /// Whether a browser's token with these scopes has it, over its own customer.
    pub fn of_browser(self, scopes: &[Scope]) -> bool {
        let rule = self.rule();
        self == Self::SignedIn || (!rule.keys_only && rule.scope.is_some_and(|scope| scopes.contains(&scope)))
    }
}

/// Why somebody's role cannot be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoleRefusal {
    /// The role to be given is above the giver's own.
    AboveOwn,
    /// The person stands above who wants to change them.
    OfSuperior,
    /// Nobody would be left who may do everything.
    Last,
}

/// Whether somebody may make a member of one role a member of another; none is no member. `others` are the roles of
/// everybody else who can sign in.
pub fn change_role(
    by: Role,
    from: Option<Role>,
    to: Option<Role>,
    others: impl Iterator<Item = Role>,
) -> Result<(), RoleRefusal> {
    if from.is_some_and(|role| role > by) {
        return Err(RoleRefusal::OfSuperior);
    }
    if to.is_some_and(|role| role > by) {
        return Err(RoleRefusal::AboveOwn);
    }
    // Owners keep a tenant, or admins where there is no owner, and operators the platform.
    let kept = from.filter(|role| *role >= Role::Admin && to < Some(*role));
    match kept {
        Some(role) if others.max().is_none_or(|highest| highest < role) => Err(RoleRefusal::Last),
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_distinct_and_lead_back() {
        for permission in Permission::ALL {
            assert_eq!(Permission::parse(permission.rule().name), Some(permission));
        }
    }

    #[test]
    fn a_stronger_role_has_all_of_a_weaker_one() {
        for permission in Permission::ALL {
            for pair in Role::ALL.windows(2) {
                assert!(!permission.of_person(pair[0], false) || permission.of_person(pair[1], false));
            }
        }
    }

    #[test]
    fn a_key_has_what_its_scopes_say_and_never_more_than_an_admin() {
        assert!(Permission::UsageWrite.of_key(&[Scope::UsageWrite]));
        assert!(!Permission::UsageWrite.of_key(&[Scope::UsageRead]));
        assert!(!Permission::CatalogWrite.of_key(&[Scope::CustomersWrite]));
        assert!(Permission::CatalogWrite.of_key(&[Scope::Admin]) && Permission::TokensMint.of_key(&[Scope::Admin]));
        assert!(!Permission::TenantsWrite.of_key(&[Scope::Admin]));
        assert!(
            !Permission::TokensMint.of_person(Role::Owner, true) && !Permission::AiRun.of_person(Role::Owner, false)
        );
        assert!(!Permission::UsageCorrect.of_browser(&[Scope::UsageWrite]));
    }

    #[test]
    fn nobody_gives_more_than_they_have_and_somebody_is_always_left() {
        use Role::{Admin, Finance, Operator, Owner, Support};
        let change = |by, from, to, others: &[Role]| change_role(by, from, to, others.iter().copied());
        assert_eq!(change(Admin, None, Some(Admin), &[Admin]), Ok(()));
        assert_eq!(change(Admin, None, Some(Owner), &[Admin]), Err(RoleRefusal::AboveOwn));
        assert_eq!(change(Admin, Some(Support), Some(Owner), &[Admin]), Err(RoleRefusal::AboveOwn));
        assert_eq!(change(Admin, Some(Owner), Some(Admin), &[Admin, Owner]), Err(RoleRefusal::OfSuperior));
        assert_eq!(change(Admin, Some(Owner), None, &[Admin, Owner]), Err(RoleRefusal::OfSuperior));
        assert_eq!(change(Owner, Some(Owner), None, &[Admin, Owner]), Ok(()));
        assert_eq!(change(Owner, Some(Owner), Some(Admin), &[Admin]), Err(RoleRefusal::Last));
        assert_eq!(change(Admin, Some(Admin), None, &[Support, Finance]), Err(RoleRefusal::Last));
        assert_eq!(change(Admin, Some(Admin), Some(Support), &[Owner]), Ok(()));
        assert_eq!(change(Owner, Some(Admin), None, &[Owner]), Ok(()));
        assert_eq!(change(Admin, Some(Support), None, &[Admin]), Ok(()));
        assert_eq!(change(Operator, Some(Operator), None, &[]), Err(RoleRefusal::Last));
        assert_eq!(change(Owner, Some(Owner), Some(Owner), &[]), Ok(()));
    }
}
