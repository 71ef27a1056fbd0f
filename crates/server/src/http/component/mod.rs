//! AI components as an admin edits them. Running one is in `http/ai.rs`.

pub mod draft;
pub mod trial;

use std::collections::BTreeMap;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use domain::id::FeatureKey;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::auth::{Authed, CatalogRead, CatalogWrite};
use super::body::{Body, given, given_objects, objects};
use super::etag::{IfMatch, Tagged};
use super::list::{List, ListQuery, Page};
use super::params::Path;
use super::problem::{Failed, Problem};
use super::retry::Retry;
use super::wire::{ItemBody, Json, mark_replay};
use crate::app::component::definition::Edit;
use crate::app::component::edit::{self, New, Switches, View};
use crate::app::component::{Action, ChargeRule, Definition, Draw};
use crate::app::patch::Patch;
use crate::error::Error;

/// Reads the key of a path; `-` and `_` are the same.
fn key(text: &str) -> Result<FeatureKey, Error> {
    FeatureKey::parse(text).map_err(|_| edit::unknown())
}

/// Something that a component does.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewActionBody {
    /// Its name in URLs.
    #[schema(example = "analyze")]
    name: String,
    /// What it does, for people.
    #[serde(default)]
    #[schema(example = "Reads the fields of an invoice.")]
    description: String,
    /// What the model is told about its task.
    #[serde(default)]
    #[schema(example = "You read invoices.")]
    system: String,
    /// How the input becomes the prompt: a template of Jinja over `input`.
    #[schema(example = "Invoice:\n{{ input.invoiceData }}")]
    template: String,
    /// What the input must look like, as JSON Schema.
    #[schema(value_type = Object, example = json!({"type": "object", "required": ["invoiceData"], "properties": {"invoiceData": {"type": "string"}}}))]
    input_schema: Value,
    /// What the result looks like, as JSON Schema; null or nothing for prose.
    #[serde(default)]
    #[schema(value_type = Option<Object>, example = json!({"type": "object", "properties": {"total": {"type": "string"}}}))]
    output_schema: Option<Value>,
    /// The longest result; 4,000 by default.
    #[serde(default = "output_tokens")]
    #[schema(example = 4_000)]
    max_output_tokens: u32,
    /// What it reads; JSON by default.
    #[serde(default = "accepts")]
    #[schema(value_type = Vec<super::names::InputKindName>)]
    accepts: Vec<String>,
    /// An input to try it with.
    #[serde(default)]
    #[schema(schema_with = super::wire::sample)]
    sample: Value,
}

fn output_tokens() -> u32 {
    4_000
}

fn accepts() -> Vec<String> {
    vec!["json".to_owned()]
}

impl From<NewActionBody> for Action {
    fn from(body: NewActionBody) -> Self {
        Self {
            name: body.name,
            description: body.description,
            system: body.system,
            template: body.template,
            input_schema: body.input_schema,
            output_schema: body.output_schema,
            max_output_tokens: body.max_output_tokens,
            accepts: body.accepts,
            sample: body.sample,
        }
    }
}

fn draws(items: Vec<ItemBody>) -> Vec<Draw> {
    items.into_iter().map(|item| Draw { feature: item.feature, amount: item.amount }).collect()
}

/// A component to add.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewComponentBody {
    /// Its key, which is also its feature's; `-` reads as `_`.
    #[schema(value_type = String, example = "invoice_ocr")]
    key: FeatureKey,
    /// What people read.
    #[schema(example = "Invoice OCR & Analysis")]
    name: String,
    /// Its group; `general` by default.
    #[schema(example = "documents")]
    category: Option<String>,
    /// What it does, for people.
    #[schema(example = "Reads an invoice and checks its sums.")]
    description: Option<String>,
    /// Credits of every call, besides its tokens; 0 by default.
    #[schema(example = 10)]
    base_token_cost: Option<i64>,
    /// The pool that credits are drawn from; none by default.
    #[schema(value_type = Option<String>, example = "tokens")]
    credit_feature: Option<FeatureKey>,
    /// Which upstream runs it; the only one by default.
    #[schema(example = "anthropic")]
    upstream: Option<String>,
    /// The upstream's name of the model; the demo needs none.
    #[schema(example = "claude-sonnet-5-5")]
    model: Option<String>,
    /// When a call is charged; for a `success` by default.
    charge_rule: Option<ChargeRule>,
    /// Whether it may be called; true by default.
    active: Option<bool>,
    /// Order in lists; the last by default.
    #[schema(example = 6)]
    position: Option<i64>,
    /// What a call draws; one of its own feature by default, which is made when it is missing.
    #[serde(default, deserialize_with = "given_objects")]
    draws: Option<Vec<ItemBody>>,
    /// What it does.
    #[serde(deserialize_with = "objects")]
    actions: Vec<NewActionBody>,
    /// Plans that are to grant its own feature, with the limit of each; null is unlimited.
    #[serde(default)]
    #[schema(example = json!({"starter": 100, "enterprise": null}))]
    grant: BTreeMap<String, Option<i64>>,
}

impl From<NewComponentBody> for New {
    fn from(body: NewComponentBody) -> Self {
        let edit = Edit {
            name: Some(body.name),
            category: body.category,
            description: body.description,
            base_token_cost: body.base_token_cost,
            credit_feature: body.credit_feature.into(),
            upstream: body.upstream,
            model: body.model,
            charge_rule: body.charge_rule,
            draws: body.draws.map(draws),
            actions: Some(body.actions.into_iter().map(Action::from).collect()),
        };
        let (active, position) = (body.active.unwrap_or(true), body.position);
        Self { key: body.key, edit, active, position, grant: body.grant }
    }
}

/// What changes of a component's definition; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ComponentPatch {
    /// What people read.
    #[serde(default, deserialize_with = "given")]
    #[schema(example = "Invoice OCR & Analysis")]
    name: Option<String>,
    /// Its group.
    #[serde(default, deserialize_with = "given")]
    #[schema(example = "documents")]
    category: Option<String>,
    /// What it does, for people.
    #[serde(default, deserialize_with = "given")]
    #[schema(example = "Reads an invoice and checks its sums.")]
    description: Option<String>,
    /// Credits of every call, besides its tokens.
    #[serde(default, deserialize_with = "given")]
    #[schema(example = 10)]
    base_token_cost: Option<i64>,
    /// The pool that credits are drawn from; null for none.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "tokens")]
    credit_feature: Patch<FeatureKey>,
    /// Which upstream runs it.
    #[serde(default, deserialize_with = "given")]
    #[schema(example = "anthropic")]
    upstream: Option<String>,
    /// The upstream's name of the model.
    #[serde(default, deserialize_with = "given")]
    #[schema(example = "claude-sonnet-5-5")]
    model: Option<String>,
    /// When a call is charged.
    #[serde(default, deserialize_with = "given")]
    charge_rule: Option<ChargeRule>,
    /// What a call draws, all of it.
    #[serde(default, deserialize_with = "given_objects")]
    draws: Option<Vec<ItemBody>>,
    /// What it does, all of it.
    #[serde(default, deserialize_with = "given_objects")]
    actions: Option<Vec<NewActionBody>>,
    /// Whether it may be called: the kill switch. No part of a version.
    #[serde(default, deserialize_with = "given")]
    active: Option<bool>,
    /// Order in lists. No part of a version.
    #[serde(default, deserialize_with = "given")]
    #[schema(example = 6)]
    position: Option<i64>,
    /// `false` brings a component back that was taken away. No part of a version.
    #[serde(default, deserialize_with = "given")]
    archived: Option<bool>,
}

impl ComponentPatch {
    fn parts(self) -> (Edit, Switches) {
        let edit = Edit {
            name: self.name,
            category: self.category,
            description: self.description,
            base_token_cost: self.base_token_cost,
            credit_feature: self.credit_feature,
            upstream: self.upstream,
            model: self.model,
            charge_rule: self.charge_rule,
            draws: self.draws.map(draws),
            actions: self.actions.map(|actions| actions.into_iter().map(Action::from).collect()),
        };
        (edit, Switches { active: self.active, position: self.position, archived: self.archived })
    }
}

/// A component as an admin sees it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AdminComponentBody {
    #[schema(example = "invoice_ocr")]
    key: String,
    /// The key in URLs.
    #[schema(example = "invoice-ocr")]
    slug: String,
    #[serde(flatten)]
    definition: Definition,
    /// Whether it may be called.
    active: bool,
    /// Order in lists.
    #[schema(example = 6)]
    position: i64,
    /// Whether it was taken away.
    archived: bool,
    /// Which version is live.
    #[schema(example = 3)]
    version: i64,
    /// Whether there is an edit that is not published yet.
    has_draft: bool,
    /// Slugs of the plans on sale that include all that a call draws.
    #[schema(example = json!(["professional", "enterprise"]))]
    available_in: Vec<String>,
    /// Slugs of the other plans on sale: they must grant what a call draws before their customers can call it.
    #[schema(example = json!(["starter"]))]
    missing_in: Vec<String>,
    /// Grows with every change; as an `ETag` it is `"3"`.
    #[schema(example = 3)]
    revision: i64,
}

impl From<View> for AdminComponentBody {
    fn from(view: View) -> Self {
        let View { row, definition, available_in, missing_in } = view;
        Self {
            slug: row.component.replace('_', "-"),
            key: row.component,
            definition,
            active: row.active,
            position: row.position,
            archived: row.archived,
            version: row.version,
            has_draft: row.draft_of.is_some(),
            available_in,
            missing_in,
            revision: row.revision,
        }
    }
}

fn tagged(view: View) -> Tagged<AdminComponentBody> {
    Tagged(view.row.revision.to_string(), view.into())
}

/// Components as an admin sees them.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AdminComponentsBody {
    data: Vec<AdminComponentBody>,
    /// Where the next page begins; null on the last.
    #[schema(required, example = json!(null))]
    next_cursor: Option<String>,
}

/// Which components are listed.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ComponentFilter {
    /// Those of one category.
    #[param(example = "documents")]
    category: Option<String>,
    /// `true` lists those that were taken away instead of the others.
    #[param(value_type = Option<bool>, example = true)]
    archived: Option<String>,
}

/// Add an AI component: it is callable at once, on every node. Its own counter feature is made when it is missing, and
/// `grant` gives it to plans in the same step; `missingIn` names the plans that do not include it yet.
#[utoipa::path(post, path = "/api/admin/components", operation_id = "createComponent", tag = "admin", request_body = NewComponentBody,
    params(("Idempotency-Key" = Option<String>, Header, example = "019aa8a0-0000-7000-8000-000000000001")),
    responses((status = 201, body = AdminComponentBody), (status = 403, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub async fn create(
    cx: Authed<CatalogWrite>,
    retry: Retry,
    Body(body): Body<NewComponentBody>,
) -> Result<Response, Failed> {
    let identity = retry.identity(&cx, "admin/components", &body)?;
    let (view, replayed) = edit::create(&cx, body.into(), identity.as_ref()).await?;
    let mut response = (StatusCode::CREATED, tagged(view)).into_response();
    mark_replay(&mut response, replayed);
    Ok(response)
}

/// List the AI components with all that they are made of, in the order of `position`, or sorted by `name` or `key`. `q`
/// looks into keys and names.
#[utoipa::path(get, path = "/api/admin/components", operation_id = "listAdminComponents", tag = "admin", params(ListQuery, ComponentFilter),
    responses((status = 200, body = AdminComponentsBody), (status = 403, body = Problem), (status = 422, body = Problem)))]
pub async fn list(
    cx: Authed<CatalogRead>,
    List(query, filter): List<ComponentFilter>,
) -> Result<Json<AdminComponentsBody>, Failed> {
    let wanted = query.wanted(&["position", "name", "key"])?;
    let archived = super::params::flag("archived", filter.archived.as_deref())?.unwrap_or(false);
    let mut views = edit::list(&cx).await?;
    let of_category = |view: &View| filter.category.as_ref().is_none_or(|wanted| *wanted == view.definition.category);
    views.retain(|view| view.row.archived == archived && of_category(view));
    let place = |view: &View| {
        let value = match wanted.sort {
            "position" => super::list::sortable(view.row.position),
            "name" => view.definition.name.to_lowercase(),
            _ => String::new(),
        };
        (value, view.row.component.clone())
    };
    let text = |view: &View| format!("{} {}", view.row.component, view.definition.name);
    let Page { data, next_cursor } = Page::within(views, &wanted, place, text);
    Ok(Json(AdminComponentsBody { data: data.into_iter().map(AdminComponentBody::from).collect(), next_cursor }))
}

/// Read a component with all that it is made of.
#[utoipa::path(get, path = "/api/admin/components/{component}", operation_id = "getAdminComponent", tag = "admin", params(("component" = String, Path, example = "invoice-ocr")),
    responses((status = 200, body = AdminComponentBody), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub async fn get(cx: Authed<CatalogRead>, Path(component): Path<String>) -> Result<Tagged<AdminComponentBody>, Failed> {
    Ok(tagged(edit::get(&cx, &key(&component)?).await?))
}

/// Change a component, at once and on every node. What it is made of becomes a new version; `active`, the kill switch,
/// and `position` do not.
#[utoipa::path(patch, path = "/api/admin/components/{component}", operation_id = "changeComponent", tag = "admin", request_body = ComponentPatch,
    params(("component" = String, Path, example = "invoice-ocr"), ("If-Match" = Option<String>, Header, example = "\"3\"")),
    responses((status = 200, body = AdminComponentBody), (status = 403, body = Problem), (status = 404, body = Problem), (status = 412, body = Problem), (status = 422, body = Problem)))]
pub async fn change(
    cx: Authed<CatalogWrite>,
    Path(component): Path<String>,
    IfMatch(expected): IfMatch,
    Body(body): Body<ComponentPatch>,
) -> Result<Tagged<AdminComponentBody>, Failed> {
    Ok(tagged(edit::change(&cx, &key(&component)?, body.parts(), &expected).await?))
}

/// Take a component away. Its versions and what was used of it stay; `PATCH {"archived": false}` brings it back.
#[utoipa::path(delete, path = "/api/admin/components/{component}", operation_id = "archiveComponent", tag = "admin",
    params(("component" = String, Path, example = "invoice-ocr"), ("If-Match" = Option<String>, Header, example = "\"3\"")),
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem), (status = 412, body = Problem)))]
pub async fn archive(
    cx: Authed<CatalogWrite>,
    Path(component): Path<String>,
    IfMatch(expected): IfMatch,
) -> Result<StatusCode, Failed> {
    let away = Switches { archived: Some(true), ..Switches::default() };
    edit::change(&cx, &key(&component)?, (Edit::default(), away), &expected).await?;
    Ok(StatusCode::NO_CONTENT)
}
