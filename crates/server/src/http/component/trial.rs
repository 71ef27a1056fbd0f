//! Trying a component out before it is published.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::key;
use crate::app::component::trial::{self, Outcome, Request};
use crate::app::model_price;
use crate::http::auth::{Authed, CatalogWrite};
use crate::http::body::Body;
use crate::http::decimal::Decimal;
use crate::http::params::Path;
use crate::http::problem::{Failed, Problem};
use crate::http::wire::Json;

/// What to try.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ComponentTrial {
    /// One of its actions.
    #[schema(example = "analyze")]
    action: String,
    /// The input, as the action's schema says.
    #[schema(schema_with = crate::http::wire::sample)]
    input: Value,
    /// Whether to try the draft instead of what is live.
    #[serde(default)]
    draft: bool,
}

/// What came of a trial.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ComponentTried {
    /// The version that was tried; null for the draft.
    #[schema(required, example = 3)]
    version: Option<i64>,
    /// What the model was told about its task.
    #[schema(example = "You read invoices.")]
    system: String,
    /// The template with the input filled in.
    #[schema(example = "Invoice:\nInvoice INV-2041 … Total 1,190.00 EUR")]
    prompt: String,
    /// What it answered; null when the call failed.
    #[schema(schema_with = crate::http::wire::result)]
    result: Value,
    /// Whether a customer's call would have succeeded.
    works: bool,
    /// What is wrong: why the call failed, or where the result does not fit the output schema.
    #[schema(example = json!([]))]
    problems: Vec<String>,
    usage: crate::http::ai::RunUsage,
    /// What it cost, in the tenant's currency; null when the model has no price.
    #[schema(value_type = Option<f64>, required, example = 0.0055)]
    cost: Option<Decimal>,
    #[schema(example = "USD")]
    currency: String,
    /// The model that answered, or that was asked.
    #[schema(example = "claude-sonnet-5-5")]
    model: String,
    #[schema(value_type = crate::http::names::ProviderName, example = "anthropic")]
    provider: String,
    /// Whether a demo answered instead of a model.
    demo: bool,
    /// How long it took.
    #[schema(example = 2_140)]
    milliseconds: i64,
}

impl ComponentTried {
    fn of(outcome: Outcome, currency: &str) -> Self {
        Self {
            version: outcome.version,
            system: outcome.system,
            prompt: outcome.prompt,
            result: outcome.result.unwrap_or(Value::Null),
            works: outcome.problems.is_empty(),
            problems: outcome.problems,
            usage: crate::http::ai::RunUsage {
                input_tokens: outcome.input_tokens,
                output_tokens: outcome.output_tokens,
                credits: outcome.credits,
            },
            cost: outcome.cost_micros.map(|micros| Decimal(model_price::decimal(micros))),
            currency: currency.to_owned(),
            model: outcome.model,
            demo: outcome.provider == "demo",
            provider: outcome.provider,
            milliseconds: outcome.milliseconds,
        }
    }
}

/// Try a component on its upstream, as it is live or as its draft has it. No customer is metered; the tenant's account at
/// the upstream pays. At most 20 times a minute.
#[utoipa::path(post, path = "/api/admin/components/{component}/test", operation_id = "testComponent", tag = "admin", request_body = ComponentTrial,
    params(("component" = String, Path, example = "invoice-ocr")),
    responses((status = 200, body = ComponentTried), (status = 403, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem), (status = 429, body = Problem)))]
pub async fn test(
    cx: Authed<CatalogWrite>,
    Path(component): Path<String>,
    Body(body): Body<ComponentTrial>,
) -> Result<Json<ComponentTried>, Failed> {
    let request = Request { component: key(&component)?, action: body.action, input: body.input, draft: body.draft };
    let outcome = trial::run(&cx, request).await?;
    Ok(Json(ComponentTried::of(outcome, &cx.tenant.row.currency)))
}
