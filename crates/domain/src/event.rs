//! What is told to whoever looks on: that something changed, and who may hear of it. A message says what to read anew and
//! nothing that the reader could not read.

use serde::{Deserialize, Serialize};

use crate::id::CustomerId;
use crate::permission::Permission;

/// Everything that can be told; the whole list, since clients match on the names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A plan, what it grants or what it costs; its draft, for those who edit it.
    Plan,
    /// A customer's subscription.
    Subscription,
    /// A customer: its name, limits of its own, credits, whether it may use anything.
    Customer,
    /// A feature.
    Feature,
    /// An AI component.
    Component,
    /// An add-on.
    Pack,
    /// A coupon.
    Coupon,
    /// What a model costs.
    ModelPrice,
    /// Where a price version stands with a payment provider.
    Price,
    /// Many parts of the catalog at once.
    Catalog,
    /// Where AI calls go.
    Upstream,
    /// A purchase.
    Checkout,
    /// A message to sales.
    ContactRequest,
    /// An import.
    Import,
    /// Who works for the tenant.
    Member,
    /// An API key.
    Key,
    /// Settings and brand.
    Settings,
    /// Something came into a customer's inbox.
    Notification,
    /// A tenant; for operators.
    Tenant,
}

impl Kind {
    /// Every kind, in the order of the documentation.
    pub const ALL: [Self; 19] = [
        Self::Plan,
        Self::Subscription,
        Self::Customer,
        Self::Feature,
        Self::Component,
        Self::Pack,
        Self::Coupon,
        Self::ModelPrice,
        Self::Price,
        Self::Catalog,
        Self::Upstream,
        Self::Checkout,
        Self::ContactRequest,
        Self::Import,
        Self::Member,
        Self::Key,
        Self::Settings,
        Self::Notification,
        Self::Tenant,
    ];

    /// Its name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plan => "plan.updated",
            Self::Subscription => "subscription.updated",
            Self::Customer => "customer.updated",
            Self::Feature => "feature.updated",
            Self::Component => "component.updated",
            Self::Pack => "pack.updated",
            Self::Coupon => "coupon.updated",
            Self::ModelPrice => "model_price.updated",
            Self::Price => "price.updated",
            Self::Catalog => "catalog.updated",
            Self::Upstream => "upstream.updated",
            Self::Checkout => "checkout.updated",
            Self::ContactRequest => "contact_request.updated",
            Self::Import => "import.updated",
            Self::Member => "member.updated",
            Self::Key => "key.updated",
            Self::Settings => "settings.updated",
            Self::Notification => "notification.created",
            Self::Tenant => "tenant.updated",
        }
    }

    /// The kind of a name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// What somebody who works for the tenant needs to hear of it: what reads the list that it concerns.
    pub const fn permission(self) -> Permission {
        match self {
            Self::Plan
            | Self::Feature
            | Self::Component
            | Self::Pack
            | Self::Coupon
            | Self::ModelPrice
            | Self::Price
            | Self::Catalog => Permission::CatalogRead,
            Self::Subscription | Self::Customer | Self::Checkout | Self::ContactRequest | Self::Notification => {
                Permission::CustomersRead
            }
            Self::Upstream | Self::Settings => Permission::SettingsWrite,
            Self::Import => Permission::Import,
            Self::Member => Permission::MembersWrite,
            Self::Key => Permission::KeysWrite,
            Self::Tenant => Permission::TenantsWrite,
        }
    }
}

/// Who may hear of an event beside the tenant's own people, fewest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Audience {
    /// Nobody.
    Staff,
    /// The customer that it names.
    Customer,
    /// Customers who have the plan that it names, which others cannot see.
    Holders,
    /// Everybody: it is about what is public.
    Everyone,
}

impl Audience {
    const ALL: [Self; 4] = [Self::Staff, Self::Customer, Self::Holders, Self::Everyone];

    /// Its name in the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Staff => "staff",
            Self::Customer => "customer",
            Self::Holders => "holders",
            Self::Everyone => "everyone",
        }
    }

    /// The audience of a name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|audience| audience.name() == name)
    }
}

/// What is told beside the subject; small, since who hears it reads what changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// The plan that a subscription is on, by its name in URLs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// The version that a plan has now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
    /// Where a subscription stands now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// What was done, as in the audit trail or in the history of a subscription.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

/// Something that changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What kind of thing.
    pub kind: Kind,
    /// Who may hear of it.
    pub audience: Audience,
    /// Which one, by the name that the API has for it; none for many of its kind.
    pub subject: Option<String>,
    /// The customer that it concerns.
    pub customer: Option<CustomerId>,
    /// What is told of it.
    pub facts: Facts,
}

/// Who listens.
#[derive(Debug, Clone, Copy)]
pub enum Ear<'a> {
    /// One customer, who has a plan.
    Customer {
        /// Which.
        id: &'a CustomerId,
        /// The plan of its subscription by its name in URLs.
        plan: Option<&'a str>,
    },
    /// Somebody who hears all of a tenant, as far as permissions reach.
    Tenant,
}

impl Event {
    /// Whether a listener may hear of it; `may` says which permissions the listener has over the tenant.
    pub fn is_for(&self, ear: Ear<'_>, may: impl Fn(Permission) -> bool) -> bool {
        match ear {
            Ear::Tenant => may(self.kind.permission()) || self.audience == Audience::Everyone,
            Ear::Customer { id, plan } => match self.audience {
                Audience::Staff => false,
                Audience::Customer => self.customer.as_ref() == Some(id),
                Audience::Holders => self.customer.as_ref() == Some(id) || self.is_of_plan(plan),
                Audience::Everyone => true,
            },
        }
    }

    /// Whether what a customer may use can be another after it, told or not.
    pub fn moves_quotas_of(&self, id: &CustomerId, plan: Option<&str>) -> bool {
        match self.kind {
            Kind::Customer | Kind::Subscription => self.customer.as_ref() == Some(id),
            Kind::Plan => self.audience > Audience::Customer && self.is_of_plan(plan),
            Kind::Feature | Kind::Settings | Kind::Catalog => self.audience > Audience::Staff,
            Kind::Component
            | Kind::Pack
            | Kind::Coupon
            | Kind::ModelPrice
            | Kind::Price
            | Kind::Upstream
            | Kind::Checkout
            | Kind::ContactRequest
            | Kind::Import
            | Kind::Member
            | Kind::Key
            | Kind::Notification
            | Kind::Tenant => false,
        }
    }

    fn is_of_plan(&self, plan: Option<&str>) -> bool {
        self.kind == Kind::Plan && plan.is_some() && self.subject.as_deref() == plan
    }

    /// Takes another event about the same subject in, which comes later. Answers whether it was one.
    pub fn absorb(&mut self, later: &Self) -> bool {
        let customers = self.customer.is_none() || later.customer.is_none() || self.customer == later.customer;
        if self.kind != later.kind || self.subject != later.subject || !customers {
            return false;
        }
        self.audience = self.audience.max(later.audience);
        self.customer = self.customer.take().or_else(|| later.customer.clone());
        let Facts { plan, version, status, cause } = later.facts.clone();
        let facts = &mut self.facts;
        facts.plan = plan.or(facts.plan.take());
        facts.version = version.or(facts.version.take());
        facts.status = status.or(facts.status.take());
        facts.cause = cause.or(facts.cause.take());
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: Kind, audience: Audience, subject: &str, customer: Option<&str>) -> Event {
        let (subject, customer) = (Some(subject.to_owned()), customer.map(CustomerId::stored));
        Event { kind, audience, subject, customer, facts: Facts::default() }
    }

    #[test]
    fn names_are_distinct_and_lead_back() {
        for kind in Kind::ALL {
            assert_eq!(Kind::parse(kind.name()), Some(kind));
        }
        for audience in Audience::ALL {
            assert_eq!(Audience::parse(audience.name()), Some(audience));
        }
    }

    #[test]
    fn a_customer_hears_what_is_its_own_or_public_and_staff_what_they_may_read() {
        use Audience::{Customer, Everyone, Holders, Staff};
        let own = CustomerId::stored("cus_own");
        let on = |plan| Ear::Customer { id: &own, plan };
        let table = [
            (event(Kind::Plan, Everyone, "starter", None), Some("pro"), true),
            (event(Kind::Plan, Holders, "secret", None), Some("pro"), false),
            (event(Kind::Plan, Holders, "secret", None), Some("secret"), true),
            (event(Kind::Plan, Holders, "secret", None), None, false),
            (event(Kind::Plan, Staff, "starter", None), Some("starter"), false),
            (event(Kind::Plan, Customer, "starter", Some("cus_other")), Some("starter"), false),
            (event(Kind::Plan, Customer, "starter", Some("cus_own")), Some("pro"), true),
            (event(Kind::Subscription, Customer, "cus_own", Some("cus_own")), None, true),
            (event(Kind::Subscription, Customer, "cus_other", Some("cus_other")), None, false),
            (event(Kind::Customer, Staff, "cus_own", Some("cus_own")), None, false),
            (event(Kind::Component, Holders, "starter", None), Some("starter"), false),
        ];
        for (event, plan, heard) in table {
            assert_eq!(event.is_for(on(plan), |_| true), heard, "{event:?} {plan:?}");
        }
        let support = |permission: Permission| permission.of_person(crate::permission::Role::Support, false);
        let heard = |kind| event(kind, Staff, "x", None).is_for(Ear::Tenant, support);
        let kinds: Vec<_> = Kind::ALL.into_iter().filter(|kind| !heard(*kind)).collect();
        assert_eq!(
            kinds,
            [Kind::Upstream, Kind::Import, Kind::Member, Kind::Key, Kind::Settings, Kind::Tenant],
            "what support does not see"
        );
        assert!(event(Kind::Settings, Everyone, "x", None).is_for(Ear::Tenant, support));
    }

    #[test]
    fn quotas_move_with_the_own_plan_and_with_what_is_done_to_the_customer() {
        use Audience::{Customer, Everyone, Holders, Staff};
        let own = CustomerId::stored("cus_own");
        let table = [
            (event(Kind::Plan, Everyone, "starter", None), true),
            (event(Kind::Plan, Holders, "starter", None), true),
            (event(Kind::Plan, Staff, "starter", None), false),
            (event(Kind::Plan, Customer, "starter", Some("cus_own")), false),
            (event(Kind::Plan, Everyone, "pro", None), false),
            (event(Kind::Customer, Staff, "cus_own", Some("cus_own")), true),
            (event(Kind::Customer, Staff, "cus_other", Some("cus_other")), false),
            (event(Kind::Settings, Everyone, "halisoft", None), true),
            (event(Kind::Component, Everyone, "invoice_ocr", None), false),
        ];
        for (event, moves) in table {
            assert_eq!(event.moves_quotas_of(&own, Some("starter")), moves, "{event:?}");
        }
    }

    #[test]
    fn what_is_said_twice_of_one_thing_is_said_once_with_all_that_is_known() {
        let mut first = event(Kind::Plan, Audience::Everyone, "starter", None);
        first.facts.version = Some(3);
        let mut later = event(Kind::Plan, Audience::Staff, "starter", None);
        later.facts.cause = Some("plan.updated".into());
        assert!(first.absorb(&later));
        assert_eq!((first.audience, first.facts.version), (Audience::Everyone, Some(3)));
        assert_eq!(first.facts.cause.as_deref(), Some("plan.updated"));
        assert!(!first.absorb(&event(Kind::Plan, Audience::Staff, "pro", None)));
        assert!(!first.absorb(&event(Kind::Coupon, Audience::Staff, "starter", None)));
        let mut own = event(Kind::Plan, Audience::Customer, "starter", Some("cus_a"));
        assert!(!own.absorb(&event(Kind::Plan, Audience::Customer, "starter", Some("cus_b"))));
    }
}
