//! Who may do what, as one table; `docs/permissions.md` shows it with the routes.

use domain::permission::{Permission, Role, Scope};
use serde::Serialize;
use utoipa::ToSchema;

use super::auth::{Authed, SignedIn};
use super::problem::{Failed, Problem};
use super::wire::Json;

/// A permission and who has it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PermissionBody {
    #[schema(example = "catalog:write")]
    name: &'static str,
    /// What it allows.
    #[schema(example = "change the catalog")]
    allows: &'static str,
    /// The roles that have it over the whole tenant.
    #[schema(value_type = Vec<super::names::RoleName>, example = json!(["admin", "owner", "operator"]))]
    roles: Vec<&'static str>,
    /// Whether a person has it over the customer that they belong to.
    own_customer: bool,
    /// The scopes by which an API key has it.
    #[schema(value_type = Vec<super::names::ScopeName>, example = json!(["admin"]))]
    scopes: Vec<&'static str>,
}

impl PermissionBody {
    fn of(permission: Permission) -> Self {
        let rule = permission.rule();
        let roles = Role::ALL.into_iter().filter(|role| permission.of_person(*role, false));
        let scopes = Scope::ALL.into_iter().filter(|scope| permission.of_key(&[*scope]));
        Self {
            name: rule.name,
            allows: rule.allows,
            roles: roles.map(Role::name).collect(),
            own_customer: rule.own_customer,
            scopes: scopes.map(Scope::name).collect(),
        }
    }
}

/// All permissions.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Permissions {
    data: Vec<PermissionBody>,
    /// Always null: they are all on one page.
    #[schema(required, example = json!(null))]
    next_cursor: Option<String>,
}

/// List who may do what.
#[utoipa::path(get, path = "/api/admin/permissions", operation_id = "listPermissions", tag = "admin",
    responses((status = 200, body = Permissions), (status = 401, body = Problem)))]
pub async fn list(_: Authed<SignedIn>) -> Result<Json<Permissions>, Failed> {
    let data = Permission::ALL.into_iter().map(PermissionBody::of).collect();
    Ok(Json(Permissions { data, next_cursor: None }))
}
