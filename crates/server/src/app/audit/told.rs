//! What is told to live connections of each change: the audit trail and the outbox are written at one place, so that
//! nothing is audited and not told.

use domain::event::{Audience, Event, Facts, Kind};
use domain::id::CustomerId;
use store::db::Tx;

use crate::cx::Cx;

/// Tells of a change, if the transaction commits.
pub fn tell(tx: &mut Tx, cx: &Cx, event: Event) {
    store::event::tell(tx, cx.tenant.id(), cx.now, event);
}

/// Tells the tenant's own people of a change that is no entry of the audit trail.
pub fn tell_staff(tx: &mut Tx, cx: &Cx, kind: Kind, what: (&str, &str)) {
    tell(tx, cx, of_staff(kind, what));
}

/// An event for the tenant's own people: about what, and what was done.
pub fn of_staff(kind: Kind, (subject, cause): (&str, &str)) -> Event {
    let customer = (kind == Kind::Customer).then(|| CustomerId::stored(subject));
    let facts = Facts { cause: Some(cause.to_owned()), ..Facts::default() };
    Event { kind, audience: Audience::Staff, subject: Some(subject.to_owned()), customer, facts }
}

/// The event of a change, by what was done to what; none where nothing that anybody could have read is another, or where
/// whoever changes it tells more than that.
pub fn event_of(action: &str, target: &str) -> Option<Event> {
    let (kind, audience) = what(action)?;
    Some(Event { audience, ..of_staff(kind, (target, action)) })
}

/// The event of what the operator did to a tenant, as its own people see it: its name and its brand are settings.
pub fn of_own_tenant(action: &str, tenant: &str) -> Event {
    Event { audience: Audience::Everyone, ..of_staff(Kind::Settings, (tenant, action)) }
}

/// Which kind an action is of, and who may hear of it. The next action needs its line here.
fn what(action: &str) -> Option<(Kind, Audience)> {
    let noun = action.split('.').next().unwrap_or_default();
    let kind = match noun {
        "plan" | "price" => Kind::Plan,
        "provider_price" => Kind::Price,
        "override" | "credits" | "customer" => Kind::Customer,
        "feature" => Kind::Feature,
        "component" => Kind::Component,
        "pack" => Kind::Pack,
        "coupon" => Kind::Coupon,
        "model_price" => Kind::ModelPrice,
        "catalog" => Kind::Catalog,
        "upstream" => Kind::Upstream,
        "checkout" => Kind::Checkout,
        "contact_request" => Kind::ContactRequest,
        "import" => Kind::Import,
        "member" => Kind::Member,
        "key" => Kind::Key,
        "settings" | "brand" | "email_settings" | "email_template" => Kind::Settings,
        "tenant" => Kind::Tenant,
        // Each transition of a subscription tells of itself; who looks as a user does changes nothing. What a person does
        // to their own account is theirs, and the outbox moves by itself all the time. A clock tells when it has arrived.
        "clock" | "subscription" | "invoice" | "sandbox" | "user" | "password" | "address" | "email"
        | "email_preference" | "inbox_preference" => {
            return None;
        }
        _ => {
            debug_assert!(false, "{action}: say in app/audit/told.rs who hears of it");
            return None;
        }
    };
    if action.ends_with(".tested") {
        return None;
    }
    // What everybody sees of it may be another. A plan tells for itself whether that is so.
    let audience = match noun {
        "component" if !action.contains(".draft.") => Audience::Everyone,
        "feature" | "settings" | "brand" | "catalog" => Audience::Everyone,
        "override" | "credits" | "customer" => Audience::Customer,
        _ => Audience::Staff,
    };
    Some((kind, audience))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_is_told_as_what_it_changed_and_to_whom_it_may_be() {
        let told = |action| event_of(action, "cus_a").map(|e| (e.kind, e.audience, e.customer.is_some()));
        let table = [
            ("plan.draft_saved", Some((Kind::Plan, Audience::Staff, false))),
            ("override.set", Some((Kind::Customer, Audience::Customer, true))),
            ("feature.updated", Some((Kind::Feature, Audience::Everyone, false))),
            ("component.changed", Some((Kind::Component, Audience::Everyone, false))),
            ("component.draft.dropped", Some((Kind::Component, Audience::Staff, false))),
            ("member.added", Some((Kind::Member, Audience::Staff, false))),
            ("brand.updated", Some((Kind::Settings, Audience::Everyone, false))),
            ("subscription.changed", None),
            ("clock.advanced", None),
            ("user.impersonated", None),
            ("upstream.tested", None),
            ("email_template.updated", Some((Kind::Settings, Audience::Staff, false))),
            ("email_settings.tested", None),
            ("password.reset", None),
        ];
        for (action, expected) in table {
            assert_eq!(told(action), expected, "{action}");
        }
    }
}
