//! What models cost, for a million tokens.

use axum::http::StatusCode;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use store::model_price::ModelPriceRow;
use utoipa::ToSchema;

use super::auth::{Authed, CatalogRead, CatalogWrite};
use super::body::Body;
use super::decimal::Decimal;
use super::list::{List, ListQuery, Page, sortable};
use super::params::Query;
use super::problem::{Failed, Problem};
use super::wire::Json;
use crate::app::model_price::{self, decimal, micros};
use crate::error::Error;

/// A price to set: exact decimals of up to six places, in the tenant's currency for a million tokens.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewModelPriceBody {
    /// The upstream's name of the model.
    #[schema(example = "claude-haiku-5-5")]
    model: String,
    /// From when it holds; now by default. The bands of one price have the same instant.
    #[schema(value_type = Option<String>, format = DateTime, example = "2027-01-01T00:00:00Z")]
    effective_from: Option<Timestamp>,
    /// For prompts with more tokens than this; 0 by default.
    #[serde(default)]
    #[schema(example = 0)]
    prompt_tokens_over: i64,
    /// Input that is not cached.
    #[schema(value_type = f64, example = 0.10)]
    input: Decimal,
    /// Output.
    #[schema(value_type = f64, example = 0.50)]
    output: Decimal,
    /// Input that is written to the five-minute cache.
    #[serde(rename = "cacheWrite5m")]
    #[schema(value_type = f64, example = 0.125)]
    cache_write_5m: Decimal,
    /// Input that is written to the one-hour cache.
    #[serde(rename = "cacheWrite1h")]
    #[schema(value_type = f64, example = 0.20)]
    cache_write_1h: Decimal,
    /// Input that is read from the cache.
    #[schema(value_type = f64, example = 0.01)]
    cache_read: Decimal,
}

/// What a model costs for a million tokens, in the tenant's currency.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModelPriceBody {
    #[schema(example = "claude-haiku-5-5")]
    model: String,
    /// From when it holds.
    #[schema(value_type = String, format = DateTime, example = "2027-01-01T00:00:00Z")]
    effective_from: Timestamp,
    /// For prompts with more tokens than this.
    #[schema(example = 0)]
    prompt_tokens_over: i64,
    #[schema(value_type = f64, example = 0.10)]
    input: Decimal,
    #[schema(value_type = f64, example = 0.50)]
    output: Decimal,
    #[serde(rename = "cacheWrite5m")]
    #[schema(value_type = f64, example = 0.125)]
    cache_write_5m: Decimal,
    #[serde(rename = "cacheWrite1h")]
    #[schema(value_type = f64, example = 0.20)]
    cache_write_1h: Decimal,
    #[schema(value_type = f64, example = 0.01)]
    cache_read: Decimal,
}

impl From<ModelPriceRow> for ModelPriceBody {
    fn from(row: ModelPriceRow) -> Self {
        let rate = |micros: i64| Decimal(decimal(micros));
        Self {
            model: row.model,
            effective_from: Timestamp::from_micros(row.effective_from),
            prompt_tokens_over: row.prompt_tokens_over,
            input: rate(row.input),
            output: rate(row.output),
            cache_write_5m: rate(row.cache_write_5m),
            cache_write_1h: rate(row.cache_write_1h),
            cache_read: rate(row.cache_read),
        }
    }
}

/// What models cost.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModelPricesBody {
    /// The tenant's, in which all these prices are.
    #[schema(example = "USD")]
    currency: String,
    data: Vec<ModelPriceBody>,
    /// Where the next page begins; null on the last.
    #[schema(required, example = json!(null))]
    next_cursor: Option<String>,
}

/// Which prices are listed.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ModelPriceFilter {
    /// Those of one model.
    #[param(example = "claude-haiku-5-5")]
    model: Option<String>,
}

/// List what models cost, by model and the instant from which it holds; those of the past included.
#[utoipa::path(get, path = "/api/admin/model-prices", operation_id = "listModelPrices", tag = "admin", params(ListQuery, ModelPriceFilter),
    responses((status = 200, body = ModelPricesBody), (status = 403, body = Problem), (status = 422, body = Problem)))]
pub async fn list(
    cx: Authed<CatalogRead>,
    List(query, filter): List<ModelPriceFilter>,
) -> Result<Json<ModelPricesBody>, Failed> {
    let wanted = query.wanted(&["model"])?;
    let mut rows = model_price::list(&cx).await?;
    rows.retain(|row| filter.model.as_ref().is_none_or(|model| *model == row.model));
    let place =
        |row: &ModelPriceRow| (row.model.clone(), sortable(row.effective_from) + &sortable(row.prompt_tokens_over));
    let Page { data, next_cursor } = Page::within(rows, &wanted, place, |row| row.model.clone());
    let data = data.into_iter().map(ModelPriceBody::from).collect();
    Ok(Json(ModelPricesBody { currency: cx.tenant.row.currency.clone(), data, next_cursor }))
}

/// Set what a model costs from an instant on. A price that is not in force yet is replaced; one that is, or was, stays as
/// it is.
#[utoipa::path(put, path = "/api/admin/model-prices", operation_id = "setModelPrice", tag = "admin", request_body = NewModelPriceBody,
    responses((status = 200, body = ModelPriceBody), (status = 403, body = Problem), (status = 422, body = Problem)))]
pub async fn put(
    cx: Authed<CatalogWrite>,
    Body(body): Body<NewModelPriceBody>,
) -> Result<Json<ModelPriceBody>, Failed> {
    let rate = |name: &str, Decimal(text): &Decimal| {
        micros(text)
            .ok_or_else(|| Error::field(format!("/{name}"), "use a decimal number of at least 0 with at most 6 places"))
    };
    let row = ModelPriceRow {
        input: rate("input", &body.input)?,
        output: rate("output", &body.output)?,
        cache_write_5m: rate("cacheWrite5m", &body.cache_write_5m)?,
        cache_write_1h: rate("cacheWrite1h", &body.cache_write_1h)?,
        cache_read: rate("cacheRead", &body.cache_read)?,
        model: body.model,
        effective_from: 0,
        prompt_tokens_over: body.prompt_tokens_over,
    };
    Ok(Json(model_price::put(&cx, row, body.effective_from).await?.into()))
}

/// Which price to take back.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ModelPriceName {
    /// The model.
    #[param(example = "claude-haiku-5-5")]
    model: String,
    /// From when it would hold.
    #[param(value_type = String, format = DateTime, example = "2027-01-01T00:00:00Z")]
    effective_from: Timestamp,
    /// Its band; 0 by default.
    #[param(value_type = Option<i64>, example = 0)]
    prompt_tokens_over: Option<String>,
}

/// Take a price back that is not in force yet.
#[utoipa::path(delete, path = "/api/admin/model-prices", operation_id = "removeModelPrice", tag = "admin", params(ModelPriceName),
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub async fn remove(cx: Authed<CatalogWrite>, Query(name): Query<ModelPriceName>) -> Result<StatusCode, Failed> {
    let band = name.prompt_tokens_over.as_deref().unwrap_or("0").parse();
    let band = band.map_err(|_| Error::parameter("promptTokensOver", "use a whole number of at least 0"))?;
    model_price::remove(&cx, &name.model, name.effective_from, band).await?;
    Ok(StatusCode::NO_CONTENT)
}
