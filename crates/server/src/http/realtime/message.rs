//! What a live connection says, on the wire.

use domain::event::Kind;
use domain::id::CustomerId;
use domain::time::Timestamp;
use serde::Serialize;
use store::event::Numbered;
use utoipa::ToSchema;

use crate::cx::now;
use crate::http::wire::{QuotaBody, QuotaMap};
use crate::live::{Place, id_of};

/// A message.
#[derive(Debug, Serialize, ToSchema)]
pub struct Message {
    /// Where to go on after this; opaque, and null for a ping.
    #[schema(required, example = "e5p1-2a")]
    id: Option<String>,
    /// When it happened; of quotas, when they were read.
    #[schema(value_type = String, format = DateTime, example = "2026-11-22T10:00:00Z")]
    at: Timestamp,
    #[serde(flatten)]
    news: News,
}

impl Message {
    /// Says something now.
    pub(super) fn new(place: Option<&Place>, news: News) -> Self {
        Self { id: place.map(id_of), at: now(), news }
    }

    /// Where to go on after it.
    pub(super) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Says where to go on after it.
    pub(super) fn stand_for(&mut self, place: &Place) {
        self.id = Some(id_of(place));
    }

    /// Tells of an event. The public hear what changed, the tenant's own people also by what.
    pub(super) fn of_event(place: &Place, told: &Numbered, to_staff: bool) -> Self {
        Self { id: Some(id_of(place)), at: told.at, news: News::of_event(told, to_staff) }
    }
}

/// What a message says.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "type", content = "data")]
pub enum News {
    /// All quotas as they stand.
    #[serde(rename = "snapshot")]
    Snapshot(Quotas),
    /// The quotas that changed, as they stand now.
    #[serde(rename = "usage.updated")]
    UsageUpdated(Quotas),
    /// What is sold is another: read `GET /api/plans`, `GET /api/subscription` and `GET /api/components` again.
    #[serde(rename = "plan.updated")]
    Plan(PlanNews),
    /// A customer's subscription began, changed or ended.
    #[serde(rename = "subscription.updated")]
    Subscription(SubscriptionNews),
    /// A customer was made, or is another: its name, limits of its own, credits, whether it may use anything.
    #[serde(rename = "customer.updated")]
    Customer(CustomerNews),
    /// A feature was made, changed, archived or deleted.
    #[serde(rename = "feature.updated")]
    Feature(Changed),
    /// An AI component or its draft.
    #[serde(rename = "component.updated")]
    Component(Changed),
    /// An add-on.
    #[serde(rename = "pack.updated")]
    Pack(Changed),
    /// A coupon.
    #[serde(rename = "coupon.updated")]
    Coupon(Changed),
    /// What a model costs.
    #[serde(rename = "model_price.updated")]
    ModelPrice(Changed),
    /// Where a price version stands with a payment provider.
    #[serde(rename = "price.updated")]
    Price(Changed),
    /// Many parts of the catalog at once.
    #[serde(rename = "catalog.updated")]
    Catalog(Changed),
    /// Where AI calls go.
    #[serde(rename = "upstream.updated")]
    Upstream(Changed),
    /// A purchase began or ended.
    #[serde(rename = "checkout.updated")]
    Checkout(Changed),
    /// A message to sales came, or was worked off.
    #[serde(rename = "contact_request.updated")]
    ContactRequest(Changed),
    /// An import began, came further or ended.
    #[serde(rename = "import.updated")]
    Import(Changed),
    /// Who works here, and as what.
    #[serde(rename = "member.updated")]
    Member(Changed),
    /// An API key was made or revoked.
    #[serde(rename = "key.updated")]
    Key(Changed),
    /// Settings or brand.
    #[serde(rename = "settings.updated")]
    Settings(Changed),
    /// Something came into a customer's inbox: read `GET /api/notifications` again.
    #[serde(rename = "notification.created")]
    Notification(NotificationNews),
    /// A tenant, for operators.
    #[serde(rename = "tenant.updated")]
    Tenant(Changed),
    /// Nothing happened since the id that was named.
    #[serde(rename = "resumed")]
    Resumed(Nothing),
    /// What happened meanwhile cannot be told any more: read again what you show. A snapshot follows.
    #[serde(rename = "resync")]
    Resync(Nothing),
    /// The connection lives.
    #[serde(rename = "ping")]
    Ping(Nothing),
}

/// Quotas of one customer.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = CustomerQuotas)]
pub struct Quotas {
    /// Whose they are; null in the snapshot of an admin, who hears all customers of the tenant.
    #[schema(value_type = Option<String>, required, example = "cus_01jz3k5q8e4x9m2v7c1r6t0b5n")]
    pub(super) customer: Option<CustomerId>,
    #[schema(value_type = BTreeMap<String, QuotaBody>)]
    pub(super) quotas: QuotaMap,
}

/// A plan that changed.
#[derive(Debug, Serialize, ToSchema)]
pub struct PlanNews {
    /// Its name in URLs; null when more than one plan is concerned, as by a feature that has another name.
    #[schema(required, example = "starter")]
    plan: Option<String>,
    /// The version that it has now; null when it was not published anew.
    #[schema(required, example = 4)]
    version: Option<i64>,
    /// What was done, as in the audit trail; for those who work for the tenant, null for others.
    #[schema(required, example = "plan.updated")]
    cause: Option<String>,
}

/// A subscription that changed.
#[derive(Debug, Serialize, ToSchema)]
pub struct SubscriptionNews {
    /// Whose.
    #[schema(required, example = "cus_01jz3k5q8e4x9m2v7c1r6t0b5n")]
    customer: Option<String>,
    /// The plan that it is on.
    #[schema(required, example = "professional")]
    plan: Option<String>,
    /// Where it stands.
    #[schema(required, example = "active")]
    status: Option<String>,
    /// Why, as in the customer's timeline.
    #[schema(required, example = "upgraded")]
    cause: Option<String>,
}

/// A customer that changed.
#[derive(Debug, Serialize, ToSchema)]
pub struct CustomerNews {
    /// Which; null for many.
    #[schema(required, example = "cus_01jz3k5q8e4x9m2v7c1r6t0b5n")]
    customer: Option<String>,
    /// What was done, as in the audit trail; for those who work for the tenant, null for the customer.
    #[schema(required, example = "override.set")]
    cause: Option<String>,
}

/// Something in an inbox.
#[derive(Debug, Serialize, ToSchema)]
pub struct NotificationNews {
    /// Which; null for many.
    #[schema(required, example = "ntf_01jz3k5q8e4x9m2v7c1r6t0b5n")]
    id: Option<String>,
    /// Whose.
    #[schema(required, example = "cus_01jz3k5q8e4x9m2v7c1r6t0b5n")]
    customer: Option<String>,
    /// What it is about.
    #[schema(required, example = "quota_warning")]
    kind: Option<String>,
}

/// Something that changed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ChangedThing)]
pub struct Changed {
    /// The name or id that the API has for it; null for many.
    #[schema(required, example = "invoice_ocr")]
    id: Option<String>,
    /// What was done, as in the audit trail.
    #[schema(required, example = "component.changed")]
    cause: Option<String>,
}

/// An empty object.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct Nothing {}

impl News {
    fn of_event(told: &Numbered, to_staff: bool) -> Self {
        let event = &told.event;
        let (subject, facts) = (event.subject.clone(), event.facts.clone());
        if !to_staff && event.kind == Kind::Customer {
            return Self::Customer(CustomerNews { customer: subject, cause: None });
        }
        if !to_staff && !matches!(event.kind, Kind::Subscription | Kind::Notification) {
            // What the public may hear of is what is sold.
            let plan = subject.filter(|_| event.kind == Kind::Plan);
            return Self::Plan(PlanNews { plan, version: facts.version, cause: None });
        }
        let changed = Changed { id: subject.clone(), cause: facts.cause.clone() };
        match event.kind {
            Kind::Plan => Self::Plan(PlanNews { plan: subject, version: facts.version, cause: facts.cause }),
            Kind::Subscription => Self::Subscription(SubscriptionNews {
                customer: subject,
                plan: facts.plan,
                status: facts.status,
                cause: facts.cause,
            }),
            Kind::Customer => Self::Customer(CustomerNews { customer: subject, cause: facts.cause }),
            Kind::Feature => Self::Feature(changed),
            Kind::Component => Self::Component(changed),
            Kind::Pack => Self::Pack(changed),
            Kind::Coupon => Self::Coupon(changed),
            Kind::ModelPrice => Self::ModelPrice(changed),
            Kind::Price => Self::Price(changed),
            Kind::Catalog => Self::Catalog(changed),
            Kind::Upstream => Self::Upstream(changed),
            Kind::Checkout => Self::Checkout(changed),
            Kind::ContactRequest => Self::ContactRequest(changed),
            Kind::Import => Self::Import(changed),
            Kind::Member => Self::Member(changed),
            Kind::Key => Self::Key(changed),
            Kind::Settings => Self::Settings(changed),
            Kind::Notification => {
                let customer = event.customer.as_ref().map(ToString::to_string);
                Self::Notification(NotificationNews { id: subject, customer, kind: facts.cause })
            }
            Kind::Tenant => Self::Tenant(changed),
        }
    }
}
