//! Looking at the product as one user does, without changing anything.

use domain::id::{CustomerId, UserId};
use domain::permission::Role;
use serde_json::json;

use super::{audit, session};
use crate::cx::{Actor, Cx};
use crate::error::{Code, Error, Result};

/// Lets a person of the tenant look as a user does. Answers the token, which ends with their own session.
pub async fn start(cx: &Cx, user: &UserId) -> Result<String> {
    let Actor::User { user: by, session, .. } = &cx.actor else {
        return Err(Error::new(Code::Forbidden, "Only a person who signed in can look as another does."));
    };
    let absent = || Error::new(Code::NotFound, "Name a user of this tenant by the id of GET /api/admin/users.");
    let seen = session::find_user(cx, user).await?.ok_or_else(absent)?;
    if Role::parse(&seen.role) != Some(Role::User) {
        return Err(Error::new(
            Code::Forbidden,
            "Only users can be looked over the shoulder, not those who work here.",
        ));
    }
    let customer = seen.customer_id.as_deref().map(CustomerId::stored);
    let viewer = Actor::Viewer { user: user.clone(), customer, by: by.clone(), session: session.clone() };
    let token = cx.app.tokens.for_viewer(cx.tenant.id(), &viewer, cx.now)?;
    let target = seen.customer_id.as_deref().unwrap_or(user.as_str());
    let after = json!({ "user": user, "email": seen.email });
    let mut tx = cx.app.db.begin().await?;
    let change = audit::Change { action: "user.impersonated", target, before: None, after: Some(after) };
    audit::write(&mut tx, cx, change).await?;
    tx.commit().await?;
    Ok(token)
}
